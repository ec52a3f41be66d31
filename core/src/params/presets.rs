//! Named sets, and sets for a depth.

use ringloom_ntt::poly::LimbSet;

use super::{
    Params, ParamsLiteral,
    PrimeSpec::{self, Bits, Prime},
    SecurityReport,
};
use crate::error::{Error, Result};

/// Name, ring, bits of level 0, levels, bits of the primes each level adds, special primes, scale,
/// limbs per digit.
struct Preset {
    name: &'static str,
    log_n: u32,
    bottom: &'static [u32],
    levels: usize,
    step: &'static [u32],
    special: (usize, u32),
    log_scale: u32,
    limbs_per_digit: usize,
}

#[rustfmt::skip]
const PRESETS: [Preset; 7] = [
    // k: active limbs of Q.
    Preset { name: "n12_k1", log_n: 12, bottom: &[45], levels: 0, step: &[], special: (1, 46), log_scale: 30, limbs_per_digit: 1 },
    Preset { name: "n13_k2", log_n: 13, bottom: &[50], levels: 1, step: &[40], special: (1, 50), log_scale: 40, limbs_per_digit: 1 },
    Preset { name: "n13_k3", log_n: 13, bottom: &[50], levels: 2, step: &[40], special: (1, 50), log_scale: 40, limbs_per_digit: 1 },
    Preset { name: "n14_k9", log_n: 14, bottom: &[50], levels: 8, step: &[40], special: (1, 50), log_scale: 40, limbs_per_digit: 1 },
    Preset { name: "n15_k15", log_n: 15, bottom: &[50], levels: 14, step: &[45], special: (3, 50), log_scale: 45, limbs_per_digit: 3 },
    // Two primes per level: a scale of 2^80.
    Preset { name: "n15_k14_2p", log_n: 15, bottom: &[50, 50], levels: 6, step: &[40, 40], special: (3, 50), log_scale: 80, limbs_per_digit: 3 },
    Preset { name: "n16_k27", log_n: 16, bottom: &[50], levels: 26, step: &[45], special: (9, 50), log_scale: 45, limbs_per_digit: 9 },
];

pub(super) fn names() -> Vec<&'static str> {
    PRESETS.iter().map(|p| p.name).collect()
}

pub(super) fn preset(name: &str) -> Result<Params> {
    let found = PRESETS
        .iter()
        .find(|p| p.name == name)
        .ok_or_else(|| Error::UnknownName {
            op: "Params::preset",
            what: "parameter set",
            expected: names().join(", "),
            got: name.to_owned(),
        })?;
    let bits = |list: &[u32]| list.iter().map(|&b| Bits(b)).collect::<Vec<PrimeSpec>>();
    let mut chain = vec![bits(found.bottom)];
    chain.resize(found.levels + 1, bits(found.step));
    Params::new(&ParamsLiteral {
        log_n: found.log_n,
        chain,
        special: vec![Bits(found.special.1); found.special.0],
        log_scale: found.log_scale,
        limbs_per_digit: found.limbs_per_digit,
    })
}

const BOTTOM: u32 = 50;
const STEP: u32 = 40;
/// Bits by which the special primes exceed the widest digit, so that key-switch noise stays below
/// rounding.
const SPECIAL_MARGIN: u32 = 5;

pub(super) fn for_depth(depth: usize) -> Result<Params> {
    let too_deep = || Error::InvalidParams {
        op: "Params::for_depth",
        what: "no secure ring has enough levels",
        expected: "a depth of at most 80 or so".into(),
        got: depth.to_string(),
        remedy: "make the circuit shallower",
    };
    if depth >= LimbSet::MAX_LIMBS {
        return Err(too_deep());
    }
    let limbs = depth + 1;
    let chain_bits = BOTTOM as usize + STEP as usize * depth;
    for log_n in 12..=17 {
        let limit = SecurityReport::new(log_n, 0.0).limit().unwrap_or(0) as usize;
        // Transforms of a key-switch: digits times limbs of the extended basis.
        let options = (1..=limbs).filter_map(|per_digit| {
            let digit = BOTTOM + STEP * (per_digit as u32 - 1) + SPECIAL_MARGIN;
            let count = digit.div_ceil(50);
            let bits = digit.div_ceil(count);
            let total = chain_bits + (count * bits) as usize;
            let transforms = limbs.div_ceil(per_digit) * (limbs + count as usize);
            (total <= limit).then_some((transforms, per_digit, count, bits))
        });
        if let Some((_, per_digit, count, bits)) = options.min() {
            return Params::new(&literal(log_n, depth, per_digit, count, bits));
        }
    }
    Err(too_deep())
}

/// Two narrow primes at the bottom, so that a narrow special prime is as large as a digit and the
/// smallest ring can hold a wide scale. Products are made of bytes: the primes fill three, four and two
/// (of the primes that are 1 modulo 2^13 the nearest to 2^16 is 2^16 + 1, a third byte for one residue), and
/// half of the second is at most `127 (1 + 2^8 + 2^16 + 2^24)`, so its centred residues fit four as well.
pub(super) fn for_coeff_product() -> Result<Params> {
    Params::new(&ParamsLiteral {
        log_n: 12,
        chain: vec![vec![Bits(24), Prime(4_277_403_649)], vec![Prime(40_961)]],
        special: vec![Bits(32)],
        log_scale: 15,
        limbs_per_digit: 1,
    })
}

/// A digit for each prime, none larger than the special prime.
pub(super) fn for_encrypted_coeff_product() -> Result<Params> {
    Params::new(&ParamsLiteral {
        log_n: 12,
        chain: vec![vec![Bits(37)], vec![Bits(32)]],
        special: vec![Bits(37)],
        log_scale: 32,
        limbs_per_digit: 1,
    })
}

pub(super) fn insecure_toy(levels: usize, log_n: u32) -> Result<Params> {
    // The limb check refuses the largest count that is built up here.
    let levels = levels.min(LimbSet::MAX_LIMBS);
    Params::insecure_new(&literal(log_n, levels, 2.min(levels + 1), 2, 48))
}

fn literal(log_n: u32, depth: usize, per_digit: usize, special: u32, bits: u32) -> ParamsLiteral {
    let mut chain = vec![vec![Bits(BOTTOM)]];
    chain.resize(depth + 1, vec![Bits(STEP)]);
    let special = vec![Bits(bits); special as usize];
    ParamsLiteral {
        log_n,
        chain,
        special,
        log_scale: STEP,
        limbs_per_digit: per_digit,
    }
}
