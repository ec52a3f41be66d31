//! Limb sets, shapes and domains.

use std::fmt;

/// Which rows of the modulus table a buffer holds, as a bit set of up to 128 limbs.
///
/// A level, a digit and an extended basis are all limb sets. Iteration is by table index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct LimbSet(u128);

impl LimbSet {
    /// Largest number of limbs in a table.
    pub const MAX_LIMBS: usize = 128;

    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// The rows `start..end`.
    pub const fn range(start: usize, end: usize) -> Self {
        assert!(
            start <= end && end <= Self::MAX_LIMBS,
            "limb indices are below 128"
        );
        let below_end = if end == 128 {
            u128::MAX
        } else {
            (1 << end) - 1
        };
        let below_start = if start == 128 {
            u128::MAX
        } else {
            (1 << start) - 1
        };
        Self(below_end & !below_start)
    }

    /// The one row `index`.
    pub const fn single(index: usize) -> Self {
        Self::range(index, index + 1)
    }

    /// Number of limbs.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there is no limb.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether row `index` is in the set.
    pub const fn contains(self, index: usize) -> bool {
        index < Self::MAX_LIMBS && self.0 >> index & 1 == 1
    }

    /// Whether every limb of `other` is in `self`.
    pub const fn contains_all(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Limbs in either set.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Limbs in both sets.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Limbs of `self` that are not in `other`.
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Number of limbs in the set below table row `index`: the position of that row in a buffer.
    pub const fn rank(self, index: usize) -> usize {
        (self.0 & ((1 << index) - 1)).count_ones() as usize
    }

    /// One above the highest row, or 0.
    pub const fn end(self) -> usize {
        128 - self.0.leading_zeros() as usize
    }

    /// The table rows, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> + Clone {
        let mut bits = self.0;
        std::iter::from_fn(move || {
            (bits != 0).then(|| {
                let index = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                index
            })
        })
    }
}

impl FromIterator<usize> for LimbSet {
    fn from_iter<I: IntoIterator<Item = usize>>(iter: I) -> Self {
        iter.into_iter()
            .fold(Self::EMPTY, |set, i| set.union(Self::single(i)))
    }
}

impl fmt::Debug for LimbSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Runs of rows, such as `0-8,12`.
impl fmt::Display for LimbSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        let mut rest = *self;
        let mut first = true;
        while let Some(start) = rest.iter().next() {
            let end = (start..Self::MAX_LIMBS)
                .find(|&i| !rest.contains(i))
                .unwrap_or(128);
            if !first {
                f.write_str(",")?;
            }
            first = false;
            if end == start + 1 {
                write!(f, "{start}")?;
            } else {
                write!(f, "{start}-{}", end - 1)?;
            }
            rest = rest.difference(Self::range(start, end));
        }
        f.write_str("}")
    }
}

/// `batch x limbs x N`: the extent of a buffer in words.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Shape {
    /// Number of polynomials.
    pub batch: usize,
    /// Rows of the modulus table held for each of them.
    pub limbs: LimbSet,
    /// Logarithm of the ring degree.
    pub log_n: u32,
}

impl Shape {
    /// A shape from its three parts.
    pub const fn new(batch: usize, limbs: LimbSet, log_n: u32) -> Self {
        Self {
            batch,
            limbs,
            log_n,
        }
    }

    /// The ring degree `N`.
    pub const fn n(&self) -> usize {
        1 << self.log_n
    }

    /// `batch * limbs * N`.
    pub const fn words(&self) -> usize {
        (self.batch * self.limbs.len()) << self.log_n
    }

    /// `8 * words`.
    pub const fn bytes(&self) -> u64 {
        self.words() as u64 * 8
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} x 2^{}", self.batch, self.limbs, self.log_n)
    }
}

/// How the words of a limb represent a polynomial.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Domain {
    /// Coefficients, ascending powers.
    Coeff,
    /// Values at the odd powers of `psi`: the negacyclic NTT. In host memory word `i` is the value
    /// at `psi^(2*bitrev(i)+1)`; on a device the order is private.
    Eval,
}

impl Domain {
    /// The word used in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Coeff => "coefficient",
            Self::Eval => "evaluation",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        let s: LimbSet = [0, 1, 2, 5].into_iter().collect();
        assert_eq!(s.to_string(), "{0-2,5}");
        assert_eq!((s.len(), s.end(), s.rank(5), s.rank(1)), (4, 6, 3, 1));
        assert_eq!(
            s.difference(LimbSet::single(1)).iter().collect::<Vec<_>>(),
            [0, 2, 5]
        );
        assert_eq!(LimbSet::range(0, 128).len(), 128);
        assert!(LimbSet::range(3, 3).is_empty());
        assert_eq!(LimbSet::range(0, 128).to_string(), "{0-127}");
    }
}
