//! GGSW ciphertexts of bits: the rows of a bootstrap key.
//!
//! Row `(lane, level)` of a GGSW ciphertext of `m` is a GLWE ciphertext of `m g` for the body and
//! of `-m g s_c` for mask `c`, where `g` is the gadget factor of the level. All of the message
//! lies in the body, so that the masks are a seed.

use ringloom_ntt::poly::{Cmd, Domain, ElementwiseOp, PolyBuf, Seed, SeedLayout, ViewMut};
use zeroize::Zeroizing;

use super::{secret::TfheSecretKey, session::TfheSession};
use crate::{
    error::Result,
    rlwe::{Purpose, SecureRandom},
};

/// Masks of the rows of GGSW ciphertext `index`: `rows * masks` polynomials, evaluation domain.
pub(super) fn expand_masks(
    session: &TfheSession,
    dst: ViewMut,
    seed: Seed,
    index: usize,
) -> Result<()> {
    let key_index = index as u32;
    Ok(session.ring().submit(Cmd::ExpandSeed {
        dst,
        seed: SeedLayout { seed, key_index },
    })?)
}

/// Encrypts bits as GGSW ciphertexts, a few at a time.
pub(super) struct GgswEncryptor<'k> {
    secret: &'k TfheSecretKey,
    seed: Seed,
    /// `g` or `-g s_c` for each row, evaluation domain.
    factors: PolyBuf,
}

impl<'k> GgswEncryptor<'k> {
    pub(super) fn new(secret: &'k TfheSecretKey, seed: Seed) -> Result<Self> {
        let (session, ring) = (secret.session(), secret.session().ring());
        let (params, plan) = (session.params(), session.params().rotation());
        let m = params.ring_spec().modulus(0);
        let shape = session.shape(plan.row_count());
        let mut factors = ring.alloc_secret(shape, Domain::Eval)?;
        for (row, (lane, level)) in plan.rows().enumerate() {
            let factor = 1 << plan.digits(lane).factor_log(m.bits(), level);
            let dst = factors.poly_mut(row)?;
            if lane == params.masks() {
                // A constant has the same value everywhere.
                let one = vec![m.reduce(factor); params.n()];
                let one = ring.upload(session.shape(1), Domain::Eval, &one)?;
                let src = one.view();
                ring.submit(Cmd::Copy { dst, src })?;
            } else {
                ring.submit(Cmd::ScaleLimbs {
                    dst,
                    src: Some(secret.ring_eval(lane)?),
                    consts: [m.neg(m.reduce(factor))].into(),
                })?;
            }
        }
        Ok(Self {
            secret,
            seed,
            factors,
        })
    }

    /// The bodies of the ciphertexts of `bits`, which are numbers `first..` of their seed: `rows`
    /// polynomials for each, evaluation domain. Constant time.
    pub(super) fn bodies(
        &self,
        first: usize,
        bits: &[u8],
        random: &mut SecureRandom,
    ) -> Result<Vec<u64>> {
        let params = self.secret.session().params();
        // The bits as constant polynomials.
        let words = bits.iter().flat_map(|&b| vec![u64::from(b); params.n()]);
        let words = Zeroizing::new(words.collect::<Vec<_>>());
        let (session, ring) = (self.secret.session(), self.secret.session().ring());
        let shape = session.shape(bits.len());
        self.bodies_of(
            first,
            &ring.upload_secret(shape, Domain::Eval, &words)?,
            random,
        )
    }

    /// The same for polynomials of residues, `N` words each, in coefficients.
    pub(super) fn bodies_of_polys(
        &self,
        first: usize,
        words: &[u64],
        random: &mut SecureRandom,
    ) -> Result<Vec<u64>> {
        let (session, ring) = (self.secret.session(), self.secret.session().ring());
        let shape = session.shape(words.len() / session.params().n());
        let mut messages = ring.upload_secret(shape, Domain::Coeff, words)?;
        ring.ntt(&mut messages)?;
        self.bodies_of(first, &messages, random)
    }

    fn bodies_of(
        &self,
        first: usize,
        messages: &PolyBuf,
        random: &mut SecureRandom,
    ) -> Result<Vec<u64>> {
        let (session, ring) = (self.secret.session(), self.secret.session().ring());
        let (params, rows) = (session.params(), self.factors.shape().batch);
        let (masks, count) = (params.masks(), messages.shape().batch);
        let mut a = ring.alloc(session.shape(count * rows * masks), Domain::Eval)?;
        for i in 0..count {
            let dst = a.view_mut().polys(i * rows * masks, rows * masks, 1)?;
            expand_masks(session, dst, self.seed, first + i)?;
        }
        let mut body = (self.secret).errors(random, Purpose::KeyError, count * rows)?;
        let of_mask = (0..masks).map(|c| a.view().polys(c, count * rows, masks));
        let of_mask = of_mask.collect::<ringloom_ntt::Result<Vec<_>>>()?;
        self.secret.add_products(&mut body, &of_mask)?;
        for row in 0..rows {
            ring.submit(Cmd::Elementwise {
                op: ElementwiseOp::MulAcc,
                dst: body.view_mut().polys(row, count, rows)?,
                a: Some(messages.view()),
                b: Some(self.factors.poly(row)?),
            })?;
        }
        Ok(ring.download(&body)?)
    }
}
