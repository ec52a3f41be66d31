//! Which key-switch keys a computation needs.

use std::{collections::BTreeMap, fmt};

use ringloom_ntt::poly::LimbSet;
use serde::{Deserialize, Serialize};

use super::Params;

/// A set of key-switch keys, each with the highest level at which it is used. Lower levels need
/// smaller keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    relinearisation: Option<usize>,
    conjugation: Option<usize>,
    rotations: BTreeMap<i64, usize>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    automorphisms: BTreeMap<u64, usize>,
}

impl KeyRequest {
    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// And the relinearisation key, for products at levels up to `level`.
    #[must_use]
    pub fn with_relinearisation(mut self, level: usize) -> Self {
        self.relinearisation = self.relinearisation.max(Some(level));
        self
    }

    /// And the key for conjugation at levels up to `level`.
    #[must_use]
    pub fn with_conjugation(mut self, level: usize) -> Self {
        self.conjugation = self.conjugation.max(Some(level));
        self
    }

    /// And the key for a rotation by `steps` slots at levels up to `level`.
    #[must_use]
    pub fn with_rotation(mut self, steps: i64, level: usize) -> Self {
        let entry = self.rotations.entry(steps).or_insert(level);
        *entry = (*entry).max(level);
        self
    }

    /// And the key for the automorphism `X -> X^galois` at levels up to `level`: any of them, also
    /// those that are no rotation of slots. `galois` counts modulo `2N`; an even one is none.
    #[must_use]
    pub fn with_automorphism(mut self, galois: u64, level: usize) -> Self {
        let entry = self.automorphisms.entry(galois).or_insert(level);
        *entry = (*entry).max(level);
        self
    }

    /// What either request needs.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.relinearisation = all.relinearisation.max(other.relinearisation);
        all.conjugation = all.conjugation.max(other.conjugation);
        let all = other
            .rotations
            .iter()
            .fold(all, |all, (&steps, &level)| all.with_rotation(steps, level));
        other.automorphisms().fold(all, |all, (galois, level)| {
            all.with_automorphism(galois, level)
        })
    }

    /// Highest level of the relinearisation key, if it is needed.
    pub fn relinearisation(&self) -> Option<usize> {
        self.relinearisation
    }

    /// Highest level of the conjugation key, if it is needed.
    pub fn conjugation(&self) -> Option<usize> {
        self.conjugation
    }

    /// The rotations, in slots, with the highest level of each.
    pub fn rotations(&self) -> impl Iterator<Item = (i64, usize)> {
        self.rotations.iter().map(|(&steps, &level)| (steps, level))
    }

    /// The automorphisms asked for by Galois element, with the highest level of each.
    pub fn automorphisms(&self) -> impl Iterator<Item = (u64, usize)> {
        self.automorphisms.iter().map(|(&g, &level)| (g, level))
    }

    /// The Galois elements, with the highest level of each. Rotations that are equal modulo the
    /// number of slots are one; the rotation by 0 needs no key, nor does what is no automorphism.
    pub fn galois_elements(&self, params: &Params) -> BTreeMap<u64, usize> {
        let mut elements = BTreeMap::new();
        let rotations = self
            .rotations()
            .map(|(steps, l)| (rotation_element(params, steps), l));
        let conjugation = self.conjugation.map(|l| (conjugation_element(params), l));
        let mask = 2 * params.n() as u64 - 1;
        let automorphisms = self.automorphisms().map(|(g, l)| (g & mask, l));
        for (galois, level) in rotations
            .chain(conjugation)
            .chain(automorphisms)
            .filter(|&(galois, _)| galois != 1 && galois % 2 == 1)
        {
            let entry = elements.entry(galois).or_insert(level);
            *entry = level.max(*entry);
        }
        elements
    }

    /// Number of keys.
    pub fn count(&self, params: &Params) -> usize {
        usize::from(self.relinearisation.is_some()) + self.galois_elements(params).len()
    }

    /// Bytes of the keys at rest, without the few of their framing: half of each is a seed, and
    /// residues take as many bits as their modulus. Levels above the chain count as its top.
    pub fn seeded_bytes(&self, params: &Params) -> u64 {
        self.sum(params, |digits, limbs| digits * params.packed_bytes(limbs))
    }

    /// Bytes of the keys on a device, expanded, in words.
    pub fn expanded_bytes(&self, params: &Params) -> u64 {
        self.sum(params, |digits, limbs| {
            2 * digits * (limbs.len() * params.n() * 8) as u64
        })
    }

    /// Sum over all keys of a size in terms of digits and limbs.
    fn sum(&self, params: &Params, size: impl Fn(u64, LimbSet) -> u64) -> u64 {
        let key = |level: usize| {
            let gadget = params.levels()[level].gadget();
            size(gadget.digits().len() as u64, gadget.extended())
        };
        self.levels(params).map(key).sum()
    }

    /// The level of every key, at most the top one.
    pub(crate) fn levels(&self, params: &Params) -> impl Iterator<Item = usize> + use<> {
        let top = params.max_level();
        let galois = self.galois_elements(params).into_values();
        let all = self.relinearisation.into_iter().chain(galois);
        all.map(move |level| level.min(top))
    }
}

impl fmt::Display for KeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(level) = self.relinearisation {
            parts.push(format!("relinearisation at level {level}"));
        }
        if let Some(level) = self.conjugation {
            parts.push(format!("conjugation at level {level}"));
        }
        if !self.rotations.is_empty() {
            let steps: Vec<String> = self.rotations.keys().map(i64::to_string).collect();
            parts.push(format!("rotations by {}", steps.join(", ")));
        }
        if !self.automorphisms.is_empty() {
            let elements: Vec<String> = self.automorphisms.keys().map(u64::to_string).collect();
            parts.push(format!("automorphisms {}", elements.join(", ")));
        }
        f.write_str(&if parts.is_empty() {
            "no keys".to_owned()
        } else {
            parts.join("; ")
        })
    }
}

/// The Galois element of a rotation: `5^steps mod 2N`, steps modulo the number of slots.
pub fn rotation_element(params: &Params, steps: i64) -> u64 {
    let slots = params.slots() as i64;
    let mask = 2 * params.n() as u64 - 1;
    let (mut result, mut base, mut exponent) = (1u64, 5u64, steps.rem_euclid(slots) as u64);
    while exponent != 0 {
        if exponent & 1 == 1 {
            result = result.wrapping_mul(base) & mask;
        }
        base = base.wrapping_mul(base) & mask;
        exponent >>= 1;
    }
    result
}

/// The Galois element of complex conjugation: `2N - 1`.
pub fn conjugation_element(params: &Params) -> u64 {
    2 * params.n() as u64 - 1
}
