//! Commands that the host runs for devices without a kernel of their own. What they compute here
//! is their definition: the reference device runs the same code.

use zeroize::Zeroizing;

use crate::{
    error::Result,
    poly::{Cmd, Power, RingSpec, View, lwe_group_switch, lwe_mod_switch, lwe_width},
};

/// Words of a window in canonical order. Wiped, since they may be secret.
pub(crate) type Words = Zeroizing<Vec<u64>>;

/// The words that a command of a kind with a [host form](crate::poly::CmdKind::has_host_form)
/// leaves in its destination; `fetch` reads a window.
///
/// # Errors
/// Those of `fetch`.
pub(crate) fn run(
    spec: &RingSpec,
    cmd: &Cmd,
    fetch: impl Fn(&View) -> Result<Words>,
) -> Result<Words> {
    // Each of them has one.
    let dst = cmd.dsts()[0];
    let (n, log_n) = (dst.n(), dst.log_n());
    let mut out = Zeroizing::new(vec![0; dst.shape().words()]);
    // (polynomial, table row) of each row of the destination.
    let rows = || (0..dst.batch()).flat_map(|poly| dst.limbs().iter().map(move |l| (poly, l)));
    match cmd {
        Cmd::Monomial { src, power, .. } => {
            let src = fetch(src)?;
            let exponents = exponents(power, dst, fetch)?;
            let lanes = dst.batch() / exponents.len();
            let words = (out.chunks_exact_mut(n)).zip(src.chunks_exact(n).cycle());
            for ((dst, src), (poly, limb)) in words.zip(rows()) {
                let (m, exponent) = (spec.modulus(limb), exponents[poly / lanes]);
                for (i, &c) in src.iter().enumerate() {
                    let to = (i + exponent) % (2 * n);
                    dst[to % n] = if to < n { c } else { m.neg(c) };
                }
            }
        }
        Cmd::Digit {
            src, plan, level, ..
        } => {
            let src = fetch(src)?;
            let words = out.chunks_exact_mut(n).zip(src.chunks_exact(n));
            for ((dst, src), (_, limb)) in words.zip(rows()) {
                let m = spec.modulus(limb);
                for (dst, &c) in dst.iter_mut().zip(src) {
                    *dst = m.from_i64(plan.digit(m.bits(), m.centred(c), *level));
                }
            }
        }
        Cmd::LweModSwitch { src, dimension, .. } => {
            let src = fetch(src)?;
            let words = lwe_width(*dimension, log_n) * n;
            for (src, out) in src.chunks_exact(words).zip(out.chunks_exact_mut(words)) {
                lwe_mod_switch(*dimension, log_n, src, out);
            }
        }
        Cmd::LweGroupSwitch { src, plan, .. } => {
            let src = fetch(src)?;
            let (from, to) = (
                lwe_width(plan.dimension(), log_n),
                lwe_width(plan.exponents(), log_n),
            );
            let ciphertexts = src.chunks_exact(from * n).zip(out.chunks_exact_mut(to * n));
            for (src, out) in ciphertexts {
                lwe_group_switch(plan, log_n, src, out);
            }
        }
        Cmd::LweKeySwitch { src, key, .. } => {
            let limb = src.limbs().iter().next();
            let m = spec.modulus(limb.expect("the ring has checked that there is one limb"));
            let src = fetch(src)?;
            let (from, to) = (
                lwe_width(key.source(), log_n),
                lwe_width(key.target(), log_n),
            );
            let ciphertexts = src.chunks_exact(from * n).zip(out.chunks_exact_mut(to * n));
            for (src, out) in ciphertexts {
                key.switch(m, src, out);
            }
        }
        other => unreachable!("{} has no host form", other.kind().name()),
    }
    Ok(out)
}

/// The exponents of a monomial, below `2N`, one for each ciphertext.
fn exponents(
    power: &Power,
    dst: &View,
    fetch: impl Fn(&View) -> Result<Words>,
) -> Result<Vec<usize>> {
    let two_n = 2 * dst.n();
    Ok(match power {
        Power::Fixed(exponent) => vec![(exponent % two_n as u64) as usize],
        Power::Word {
            lwe,
            width,
            index,
            inverse,
        } => {
            let words = fetch(lwe)?;
            let ciphertexts = words.chunks_exact(width * dst.n());
            let word = |c: &[u64]| (c[*index] % two_n as u64) as usize;
            let signed = |e: usize| if *inverse { (two_n - e) % two_n } else { e };
            ciphertexts.map(|c| signed(word(c))).collect()
        }
    })
}
