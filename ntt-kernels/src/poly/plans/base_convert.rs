//! Base conversion: residues modulo one set of limbs to residues modulo another.

use crate::{
    arith::{Modulus, ShoupWord},
    error::{Error, Result},
    poly::{LimbSet, RingId, RingSpec},
};

/// What a base conversion does with the multiple of the source product `Q`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LiftMode {
    /// The result is `x + a Q` for a small integer `a`. With one source limb `a = 0` for the
    /// representative `|x| <= q/2`; with `k` limbs `|a| <= k/2`, symmetric around zero.
    Approximate,
    /// The result is the representative with `|x| < Q/2`, exact for every `x` whose distance
    /// from `Q/2` is above `k Q / 2^62`.
    CentredExact,
}

/// Constants for moving residues from `source` limbs to `target` limbs, as an exact integer
/// procedure, so that every device gives the same residues.
///
/// With `Q` the product of the source moduli, `y_i = x_i (Q/q_i)^-1 mod q_i`:
///
/// - approximate: `out_j = sum_i centred(y_i) (Q/q_i) mod p_j`, `centred(y)` in `[-q/2, q/2]`.
///   It is computed as `offset_j + sum_i ((y_i + half_i) mod q_i) (Q/q_i) mod p_j`;
/// - centred-exact: `out_j = sum_i y_i (Q/q_i) - a Q mod p_j`, where
///   `a = floor(1/2 + sum_i f_i)` and `f_i` is `y_i / q_i` rounded down to 64 fractional bits as
///   [`BaseConvertPlan::fraction`] states.
///
/// # Reference
/// \[HPS18\] section 2; centring after \[BMTH21\] section 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseConvertPlan {
    ring: RingId,
    source: LimbSet,
    target: LimbSet,
    mode: LiftMode,
    inv_hats: Vec<ShoupWord>,
    halves: Vec<u64>,
    reciprocals: Vec<(u32, u64)>,
    hats: Vec<Vec<u64>>,
    offsets: Vec<u64>,
    products: Vec<u64>,
}

impl BaseConvertPlan {
    /// Constants for `source -> target`.
    ///
    /// # Errors
    /// [`Error::InvalidPlan`] for empty or overlapping sets or limbs outside the table.
    pub fn new(spec: &RingSpec, source: LimbSet, target: LimbSet, mode: LiftMode) -> Result<Self> {
        let op = "BaseConvertPlan::new";
        let all = spec.all_limbs();
        if source.is_empty() || target.is_empty() || !all.contains_all(source.union(target)) {
            let reason = format!("{source} -> {target} is empty or outside the table {all}");
            return Err(Error::InvalidPlan { op, reason });
        }
        if !source.intersection(target).is_empty() {
            let reason = format!("source {source} and target {target} overlap");
            return Err(Error::InvalidPlan { op, reason });
        }
        // Q/q_i modulo any m, as a product over the other source limbs.
        let hat = |m: &Modulus, i: usize| {
            let others = source.iter().filter(|&other| other != i);
            others.fold(1, |acc, other| {
                m.mul(acc, m.reduce(spec.modulus(other).value()))
            })
        };
        let inv_hats = source.iter().map(|i| {
            let m = spec.modulus(i);
            m.shoup(m.inv(hat(m, i)))
        });
        let halves: Vec<u64> = source.iter().map(|i| spec.modulus(i).value() / 2).collect();
        let reciprocals = source.iter().map(|i| {
            let m = spec.modulus(i);
            (
                m.bits(),
                ((1u128 << (m.bits() + 63)) / u128::from(m.value())) as u64,
            )
        });
        let hats: Vec<Vec<u64>> = (target.iter())
            .map(|j| source.iter().map(|i| hat(spec.modulus(j), i)).collect())
            .collect();
        let offsets = target.iter().zip(&hats).map(|(j, row)| {
            let m = spec.modulus(j);
            let sum = row
                .iter()
                .zip(&halves)
                .fold(0, |acc, (&h, &half)| m.add(acc, m.mul(h, m.reduce(half))));
            m.neg(sum)
        });
        let products = target.iter().map(|j| {
            let m = spec.modulus(j);
            source
                .iter()
                .fold(1, |acc, i| m.mul(acc, m.reduce(spec.modulus(i).value())))
        });
        Ok(Self {
            ring: spec.id(),
            source,
            target,
            mode,
            inv_hats: inv_hats.collect(),
            reciprocals: reciprocals.collect(),
            offsets: offsets.collect(),
            products: products.collect(),
            halves,
            hats,
        })
    }

    /// The ring whose modulus table the constants are for.
    pub fn ring(&self) -> RingId {
        self.ring
    }

    /// Limbs read.
    pub fn source(&self) -> LimbSet {
        self.source
    }

    /// Limbs written.
    pub fn target(&self) -> LimbSet {
        self.target
    }

    /// Approximate or exact.
    pub fn mode(&self) -> LiftMode {
        self.mode
    }

    /// `(Q/q_i)^-1 mod q_i` per source limb.
    pub fn inv_hats(&self) -> &[ShoupWord] {
        &self.inv_hats
    }

    /// `floor(q_i / 2)` per source limb.
    pub fn halves(&self) -> &[u64] {
        &self.halves
    }

    /// `Q/q_i mod p_j`: for the `target`-th target limb, one per source limb.
    pub fn hats(&self, target: usize) -> &[u64] {
        &self.hats[target]
    }

    /// `-sum_i half_i (Q/q_i) mod p_j` per target limb.
    pub fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    /// `Q mod p_j` per target limb.
    pub fn products(&self) -> &[u64] {
        &self.products
    }

    /// `y / q_i` in units of `2^-64`, rounded down (at most 2 below the true value), for the
    /// `index`-th source limb: `floor((y 2^(64-b)) floor(2^(b+63) / q) / 2^63)`, `b` the width of
    /// `q`.
    #[inline]
    pub fn fraction(&self, index: usize, y: u64) -> u64 {
        let (bits, reciprocal) = self.reciprocals[index];
        ((u128::from(y << (64 - bits)) * u128::from(reciprocal)) >> 63) as u64
    }
}
