//! The secret key and its identity.

use std::fmt;

use ringloom_ntt::{
    Ring,
    poly::{Cmd, Domain, ElementwiseOp, LimbSet, PolyBuf, Shape},
};
use zeroize::Zeroizing;

use super::random::{Purpose, SecureRandom};
use crate::{error::Result, session::Session};

/// Public identity of a secret key. Everything made under a key carries it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub(crate) [u8; 32]);

impl KeyId {
    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..6].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A uniform ternary secret. It lives in host memory, is wiped on drop, and is never printed,
/// serialised or sent to a device other than the host CPU.
///
/// ```
/// use ringloom::{Params, SecretKey, Session};
/// let params = Params::insecure_toy(2)?;
/// let device = ringloom::open_device("cpu", None)?;
/// let session = Session::new(&params, &*device)?;
/// let secret = SecretKey::generate(&session)?;
/// assert!(format!("{secret:?}").starts_with("SecretKey(id "));
/// # Ok::<(), ringloom::Error>(())
/// ```
pub struct SecretKey {
    session: Session,
    id: KeyId,
    coeffs: Zeroizing<Vec<i8>>,
    eval: PolyBuf,
}

impl SecretKey {
    /// Draws a secret with randomness of the operating system.
    ///
    /// # Errors
    /// [`Error::Randomness`](crate::Error::Randomness); [`Error::Ring`](crate::Error::Ring) when
    /// the session's device is not the host CPU.
    pub fn generate(session: &Session) -> Result<Self> {
        Self::generate_with(session, &mut SecureRandom::from_os()?)
    }

    /// Draws a secret from the given source.
    ///
    /// # Errors
    /// As [`SecretKey::generate`].
    pub fn generate_with(session: &Session, random: &mut SecureRandom) -> Result<Self> {
        let id = KeyId(random.bytes(Purpose::KeyId));
        let coeffs = random.ternary(Purpose::SecretKey, session.params().n());
        Self::from_coeffs(session, id, coeffs)
    }

    pub(crate) fn from_coeffs(
        session: &Session,
        id: KeyId,
        coeffs: Zeroizing<Vec<i8>>,
    ) -> Result<Self> {
        let limbs = session.params().ring_spec().all_limbs();
        let eval = small_to_eval(session, limbs, 1, &coeffs)?;
        Ok(Self {
            session: session.clone(),
            id,
            coeffs,
            eval,
        })
    }

    /// The public identity.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The session it was made for.
    pub fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn coeffs(&self) -> &[i8] {
        &self.coeffs
    }

    /// The secret over the whole table, evaluation domain.
    pub(crate) fn eval(&self) -> &PolyBuf {
        &self.eval
    }

    /// Fresh errors, one polynomial per batch entry, in the evaluation domain.
    pub(crate) fn errors(
        &self,
        random: &mut SecureRandom,
        purpose: Purpose,
        limbs: LimbSet,
        batch: usize,
    ) -> Result<PolyBuf> {
        let errors = random.errors(purpose, batch * self.session.params().n());
        small_to_eval(&self.session, limbs, batch, &errors)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(id {})", self.id)
    }
}

/// `error - a * secret`, polynomial by polynomial of `a` (evaluation domain): the masked half of
/// an encryption. `error` has the shape of `a`; the result replaces it.
pub(crate) fn mask(
    session: &Session,
    mut error: PolyBuf,
    a: &PolyBuf,
    secret: &PolyBuf,
) -> Result<PolyBuf> {
    let ring = session.ring();
    let mut product = ring.alloc_secret(a.shape(), Domain::Eval)?;
    ring.submit(Cmd::Elementwise {
        op: ElementwiseOp::Mul,
        dst: product.view_mut(),
        a: Some(a.view()),
        b: Some(secret.view().with_limbs(a.limbs())?),
    })?;
    ring.submit(Cmd::Elementwise {
        op: ElementwiseOp::Sub,
        dst: error.view_mut(),
        a: None,
        b: Some(product.view()),
    })?;
    Ok(error)
}

/// Uploads small secret coefficients (`batch` polynomials) and transforms them.
pub(crate) fn small_to_eval(
    session: &Session,
    limbs: LimbSet,
    batch: usize,
    coeffs: &[i8],
) -> Result<PolyBuf> {
    let shape = Shape::new(batch, limbs, session.params().log_n());
    embed_small(session.ring(), shape, coeffs)
}

/// Small secret coefficients as evaluations.
pub(crate) fn embed_small(ring: &Ring, shape: Shape, coeffs: &[i8]) -> Result<PolyBuf> {
    let values: Zeroizing<Vec<i64>> =
        Zeroizing::new(coeffs.iter().map(|&v| i64::from(v)).collect());
    Ok(ring.embed_secret(shape, &values)?)
}
