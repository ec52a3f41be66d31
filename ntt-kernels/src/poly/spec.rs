//! The ring description shared by all devices.

use std::{fmt, sync::Arc};

use super::{LimbSet, Shape};
use crate::{
    arith::{Modulus, root_of_unity},
    error::{Error, Result},
};

/// Smallest supported logarithm of a ring degree.
pub const MIN_LOG_N: u32 = 4;
/// Largest supported logarithm of a ring degree.
pub const MAX_LOG_N: u32 = 17;

/// The ordered modulus table `[q_0..q_L, p_0..p_{k-1}]` and the largest degree. Cheap to clone.
///
/// Smaller degrees of the same table need no spec of their own: the twiddles of `N/2` are a
/// prefix of those of `N`.
#[derive(Clone)]
pub struct RingSpec(Arc<Inner>);

struct Inner {
    log_n: u32,
    moduli: Vec<Modulus>,
    id: RingId,
}

/// Identity of a [`RingSpec`]: equal exactly when degree and modulus table are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RingId([u8; 16]);

impl RingSpec {
    /// A ring of degree `2^log_n` with these moduli.
    ///
    /// # Errors
    /// [`Error::InvalidDegree`]; [`Error::InvalidModulus`] for a modulus that is no prime below
    /// `2^61`, not 1 modulo `2N`, or there twice; [`Error::ShapeMismatch`] for none or more than
    /// 128 moduli.
    pub fn new(log_n: u32, moduli: &[u64]) -> Result<Self> {
        let op = "RingSpec::new";
        if !(MIN_LOG_N..=MAX_LOG_N).contains(&log_n) {
            return Err(Error::InvalidDegree {
                op,
                log_n,
                min: MIN_LOG_N,
                max: MAX_LOG_N,
            });
        }
        if moduli.is_empty() || moduli.len() > LimbSet::MAX_LIMBS {
            let (expected, got) = ("1 to 128 moduli".into(), moduli.len().to_string());
            return Err(Error::ShapeMismatch { op, expected, got });
        }
        let mut table = Vec::with_capacity(moduli.len());
        for (i, &q) in moduli.iter().enumerate() {
            let modulus = Modulus::new(q)?;
            root_of_unity(&modulus, log_n)?;
            if moduli[..i].contains(&q) {
                return Err(Error::InvalidModulus {
                    op,
                    value: q,
                    reason: "it is there twice",
                });
            }
            table.push(modulus);
        }
        let mut hasher = blake3::Hasher::new_derive_key("ringloom 2026 ring spec");
        hasher.update(&log_n.to_le_bytes());
        for q in moduli {
            hasher.update(&q.to_le_bytes());
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Ok(Self(Arc::new(Inner {
            log_n,
            moduli: table,
            id: RingId(id),
        })))
    }

    /// Logarithm of the largest degree.
    pub fn log_n(&self) -> u32 {
        self.0.log_n
    }

    /// The modulus table.
    pub fn moduli(&self) -> &[Modulus] {
        &self.0.moduli
    }

    /// Row `limb` of the table.
    ///
    /// # Panics
    /// When the row does not exist: limb sets are checked against the spec where they enter.
    pub fn modulus(&self, limb: usize) -> &Modulus {
        &self.0.moduli[limb]
    }

    /// All rows of the table.
    pub fn all_limbs(&self) -> LimbSet {
        LimbSet::range(0, self.0.moduli.len())
    }

    /// The identity.
    pub fn id(&self) -> RingId {
        self.0.id
    }

    /// Checks that a shape fits this ring.
    ///
    /// # Errors
    /// [`Error::InvalidDegree`] or [`Error::ShapeMismatch`].
    pub fn check_shape(&self, op: &'static str, shape: &Shape) -> Result<()> {
        if !(MIN_LOG_N..=self.log_n()).contains(&shape.log_n) {
            let (log_n, max) = (shape.log_n, self.log_n());
            return Err(Error::InvalidDegree {
                op,
                log_n,
                min: MIN_LOG_N,
                max,
            });
        }
        if shape.batch == 0 || shape.limbs.is_empty() || !self.all_limbs().contains_all(shape.limbs)
        {
            let expected = format!("a positive batch and limbs within {}", self.all_limbs());
            return Err(Error::ShapeMismatch {
                op,
                expected,
                got: shape.to_string(),
            });
        }
        Ok(())
    }
}

impl PartialEq for RingSpec {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for RingSpec {}

impl fmt::Debug for RingSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moduli: Vec<u64> = self.moduli().iter().map(Modulus::value).collect();
        f.debug_struct("RingSpec")
            .field("log_n", &self.log_n())
            .field("moduli", &moduli)
            .finish()
    }
}

impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..6].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RingId({self})")
    }
}
