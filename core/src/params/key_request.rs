//! Which evaluation keys a computation needs.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::Params;
use crate::error::{Error, Result};

/// The evaluation keys a computation needs, each with the highest level it is used on.
///
/// Requests are data: a plan says what it needs, requests are united, and the client makes exactly
/// these keys. Rotations are by slots, to the left when positive; they count modulo the number of
/// slots, and a rotation by 0 needs no key.
///
/// ```
/// use ringloom::{KeyRequest, Params};
///
/// let params = Params::insecure_toy(3)?;
/// let request = KeyRequest::new().with_relinearisation(3).with_rotations([1, -1, 0], 2);
/// let elements = request.galois_elements(&params)?;
/// assert_eq!(elements.into_iter().collect::<Vec<_>>(), [(5, 2), (1229, 2)]);
/// # Ok::<(), ringloom::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    relinearisation: Option<usize>,
    conjugation: Option<usize>,
    rotations: BTreeMap<i64, usize>,
}

/// Size of the keys of a [`KeyRequest`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyBytes {
    /// At rest: one polynomial and a 32-byte seed per digit.
    pub seeded: u64,
    /// On a device: two polynomials per digit.
    pub expanded: u64,
}

impl KeyRequest {
    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the relinearisation key, up to `level`.
    pub fn with_relinearisation(mut self, level: usize) -> Self {
        self.relinearisation = self.relinearisation.max(Some(level));
        self
    }

    /// Adds the conjugation key, up to `level`.
    pub fn with_conjugation(mut self, level: usize) -> Self {
        self.conjugation = self.conjugation.max(Some(level));
        self
    }

    /// Adds the key of a rotation by `slots`, up to `level`.
    pub fn with_rotation(mut self, slots: i64, level: usize) -> Self {
        let entry = self.rotations.entry(slots).or_insert(level);
        *entry = level.max(*entry);
        self
    }

    /// Adds the keys of several rotations, up to `level`.
    pub fn with_rotations(self, slots: impl IntoIterator<Item = i64>, level: usize) -> Self {
        slots
            .into_iter()
            .fold(self, |request, r| request.with_rotation(r, level))
    }

    /// All keys of either request, each up to the higher of its levels.
    pub fn union(mut self, other: &Self) -> Self {
        self.relinearisation = self.relinearisation.max(other.relinearisation);
        self.conjugation = self.conjugation.max(other.conjugation);
        (other.rotations.iter()).fold(self, |request, (&r, &level)| {
            request.with_rotation(r, level)
        })
    }

    /// Highest level of the relinearisation key, if there is one.
    pub fn relinearisation(&self) -> Option<usize> {
        self.relinearisation
    }

    /// Highest level of the conjugation key, if there is one.
    pub fn conjugation(&self) -> Option<usize> {
        self.conjugation
    }

    /// Rotations as given, with the highest level of each.
    pub fn rotations(&self) -> &BTreeMap<i64, usize> {
        &self.rotations
    }

    /// Whether no key is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The Galois elements of rotations and conjugation with the highest level of each, ascending.
    /// Rotations that are equal modulo the slots share one; the identity is left out.
    ///
    /// # Errors
    /// [`Error::LevelExhausted`] when a level is above the top.
    pub fn galois_elements(&self, params: &Params) -> Result<BTreeMap<u64, usize>> {
        self.check_levels("KeyRequest::galois_elements", params)?;
        let mut elements = BTreeMap::new();
        let rotations = (self.rotations.iter()).map(|(&r, &l)| (params.galois_element(r), l));
        let conjugation = self.conjugation.map(|l| (params.conjugation_element(), l));
        for (element, level) in rotations.chain(conjugation) {
            if element != 1 {
                let entry = elements.entry(element).or_insert(level);
                *entry = level.max(*entry);
            }
        }
        Ok(elements)
    }

    /// Bytes of all keys asked for: on level `l`, each has one row per digit of the level, over the
    /// limbs of the level and the special ones, in words of 8 bytes.
    ///
    /// # Errors
    /// [`Error::LevelExhausted`] when a level is above the top.
    pub fn key_bytes(&self, params: &Params) -> Result<KeyBytes> {
        self.check_levels("KeyRequest::key_bytes", params)?;
        let galois = self.galois_elements(params)?;
        let mut bytes = KeyBytes::default();
        for level in galois.into_values().chain(self.relinearisation) {
            let gadget = params.level(level)?.gadget();
            let digits = gadget.digits().len() as u64;
            let poly = (gadget.extended().len() * params.n() * size_of::<u64>()) as u64;
            bytes.seeded += digits * (poly + 32);
            bytes.expanded += digits * 2 * poly;
        }
        Ok(bytes)
    }

    fn check_levels(&self, op: &'static str, params: &Params) -> Result<()> {
        let single = self.relinearisation.into_iter().chain(self.conjugation);
        let needed = single.chain(self.rotations.values().copied()).max();
        let level = params.max_level();
        match needed {
            Some(needed) if needed > level => Err(Error::LevelExhausted { op, level, needed }),
            _ => Ok(()),
        }
    }
}

impl Params {
    /// Galois element of the rotation by `slots` to the left: `5^slots mod 2N`, the exponent
    /// counted modulo the number of slots.
    pub fn galois_element(&self, slots: i64) -> u64 {
        let mut exponent = slots.rem_euclid(self.slots() as i64);
        let mask = 2 * self.n() as u64 - 1;
        let (mut power, mut element) = (5, 1);
        while exponent != 0 {
            if exponent & 1 == 1 {
                element = (element * power) & mask;
            }
            power = (power * power) & mask;
            exponent >>= 1;
        }
        element
    }

    /// Galois element of the conjugation: `2N - 1`.
    pub fn conjugation_element(&self) -> u64 {
        2 * self.n() as u64 - 1
    }
}

impl fmt::Display for KeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(level) = self.relinearisation {
            parts.push(format!("relinearisation (level {level})"));
        }
        if let Some(level) = self.conjugation {
            parts.push(format!("conjugation (level {level})"));
        }
        let mut by_level = BTreeMap::<usize, Vec<String>>::new();
        for (r, &level) in &self.rotations {
            by_level.entry(level).or_default().push(r.to_string());
        }
        for (level, rotations) in by_level.iter().rev() {
            parts.push(format!(
                "rotations by {} (level {level})",
                rotations.join(", ")
            ));
        }
        match parts.is_empty() {
            true => f.write_str("no keys"),
            false => f.write_str(&parts.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn galois_elements_are_powers_of_five() {
        let params = Params::insecure_toy(1).unwrap();
        let two_n = 2 * params.n() as u64;
        let mut want = 1;
        for r in 0..params.slots() as i64 {
            assert_eq!(params.galois_element(r), want);
            assert_eq!(params.galois_element(r - params.slots() as i64), want);
            assert_eq!(params.galois_element(r + 7 * params.slots() as i64), want);
            want = want * 5 % two_n;
        }
        assert_eq!(want, 1);
        assert_eq!(params.conjugation_element(), two_n - 1);
        for r in [1, 17, 400] {
            let (g, h) = (params.galois_element(r), params.galois_element(-r));
            assert_eq!(g * h % two_n, 1);
        }
        for extreme in [i64::MIN, i64::MAX] {
            assert_eq!(params.galois_element(extreme) % 4, 1);
        }
    }

    #[test]
    fn union_keeps_the_higher_level() {
        let a = KeyRequest::new()
            .with_relinearisation(2)
            .with_rotations([1, 5], 1);
        let b = KeyRequest::new()
            .with_relinearisation(1)
            .with_conjugation(0)
            .with_rotation(5, 2);
        let both = a.clone().union(&b);
        assert_eq!(both, b.union(&a));
        assert_eq!(both.relinearisation(), Some(2));
        assert_eq!(both.conjugation(), Some(0));
        assert_eq!(both.rotations(), &BTreeMap::from([(1, 1), (5, 2)]));
        assert_eq!(
            both.to_string(),
            "relinearisation (level 2); conjugation (level 0); rotations by 5 (level 2); \
             rotations by 1 (level 1)"
        );
        assert_eq!(KeyRequest::new().to_string(), "no keys");
        assert!(KeyRequest::new().is_empty() && !both.is_empty());
        let json = serde_json::to_string(&both).unwrap();
        assert_eq!(serde_json::from_str::<KeyRequest>(&json).unwrap(), both);
    }

    #[test]
    fn equal_rotations_share_one_element() {
        let params = Params::insecure_toy(2).unwrap();
        let slots = params.slots() as i64;
        let request = KeyRequest::new()
            .with_rotation(3, 1)
            .with_rotation(3 - slots, 2)
            .with_rotation(slots, 2)
            .with_conjugation(1);
        let elements = request.galois_elements(&params).unwrap();
        let want = BTreeMap::from([(125, 2), (2 * params.n() as u64 - 1, 1)]);
        assert_eq!(elements, want);
        let above = request.with_rotation(1, 3);
        assert_eq!(
            above.galois_elements(&params),
            Err(Error::LevelExhausted {
                op: "KeyRequest::galois_elements",
                level: 2,
                needed: 3
            })
        );
        assert!(above.key_bytes(&params).is_err());
    }

    #[test]
    fn key_bytes_count_digits_and_limbs_of_the_level() {
        // N = 2^15, 15 limbs in digits of 3, three special limbs.
        let params = Params::preset("n15_k15").unwrap();
        let poly = |limbs: u64| limbs * (1 << 15) * 8;
        let full = KeyRequest::new().with_relinearisation(14);
        let bytes = full.key_bytes(&params).unwrap();
        assert_eq!(bytes.expanded, 2 * 5 * poly(18));
        assert_eq!(bytes.seeded, 5 * (poly(18) + 32));
        // Level 3 has four limbs: two digits.
        let low = full.with_rotations([1, 2], 3);
        let more = low.key_bytes(&params).unwrap();
        assert_eq!(more.expanded - bytes.expanded, 2 * 2 * 2 * poly(7));
    }
}
