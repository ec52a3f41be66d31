//! The commands of TFHE: monomials, digits, LWE switches, blind rotation.

use super::{
    Input,
    suite::{Program, Run, Setup},
};
use crate::{
    error::Result,
    poly::{
        Cmd, DigitPlan, Domain, LWE_WORD_BITS, LimbSet, LweSwitchKey, PolyBuf, Power, Role,
        RotationPlan, Shape, lwe_width,
    },
};

pub(super) const PRIMITIVE: [(&str, Program); 5] = [
    ("monomial", monomial),
    ("digit", digit),
    ("lwe_mod_switch", lwe_mod_switch),
    ("lwe_group_switch", lwe_group_switch),
    ("lwe_key_switch", lwe_key_switch),
];

pub(super) const FUSED: [(&str, Program); 2] = [
    ("blind_rotate", blind_rotate),
    ("grouped_rotate", grouped_rotate),
];

const OTHER: Input = Input::Random(79);

fn monomial(run: &mut Run<'_>, s: Setup) -> Result<()> {
    let n = 1u64 << s.log_n;
    let src = run.buffer(s.shape(2 * s.batch + 1), Domain::Coeff, s.input)?;
    for exponent in [0, 1, n - 1, n, n + 1, 2 * n - 1, 2 * n, u64::MAX] {
        let mut dst = run.buffer(s.shape(2 * s.batch), Domain::Coeff, OTHER)?;
        run.ring.submit(Cmd::Monomial {
            dst: (dst.view_mut().polys(0, s.batch, 2)?).with_limbs(s.some_limbs())?,
            src: (src.view().polys(1, s.batch, 2)?).with_limbs(s.some_limbs())?,
            power: Power::Fixed(exponent),
        })?;
        run.see(format!("X^{exponent}"), &dst.view())?;
    }
    let mut dst = run.buffer(s.shape(2 * s.batch), Domain::Coeff, OTHER)?;
    run.ring.submit(Cmd::Monomial {
        dst: dst.view_mut(),
        src: src.view().polys(1, 2, 1)?,
        power: Power::Fixed(3),
    })?;
    run.see("two polynomials for all", &dst.view())?;
    // Words of any size count modulo 2N; two polynomials to a ciphertext, three with its exponent.
    let limb: LimbSet = s.limbs.iter().take(1).collect();
    let lwe = run.buffer(
        Shape::new(2 * s.batch, limb, s.log_n),
        Domain::Coeff,
        s.input,
    )?;
    let src = run.buffer(s.shape(3 * s.batch), Domain::Coeff, OTHER)?;
    for (index, inverse) in [
        (0, false),
        (1, true),
        (n as usize, true),
        (2 * n as usize - 1, false),
    ] {
        let mut dst = run.buffer(s.shape(3 * s.batch), Domain::Coeff, s.input)?;
        run.ring.submit(Cmd::Monomial {
            dst: dst.view_mut(),
            src: src.view(),
            power: Power::Word {
                lwe: lwe.view(),
                width: 2,
                index,
                inverse,
            },
        })?;
        run.see(format!("word {index}, inverse {inverse}"), &dst.view())?;
    }
    run.see("exponents", &lwe.view())?;
    run.see("source", &src.view())
}

/// Bits of the narrowest modulus.
fn least_bits(run: &Run<'_>, limbs: LimbSet) -> u32 {
    let bits = limbs.iter().map(|l| run.ring.spec().modulus(l).bits());
    bits.min().unwrap_or(0)
}

fn digit(run: &mut Run<'_>, s: Setup) -> Result<()> {
    let bits = least_bits(run, s.limbs);
    let src = run.buffer(s.shape(2 * s.batch + 1), Domain::Coeff, s.input)?;
    for (base_log, levels) in [(bits.min(60), 1), (bits / 2, 1), (bits / 3, 3), (1, 2)] {
        let plan = DigitPlan::new(base_log, levels)?;
        for level in 1..=levels {
            let mut dst = run.buffer(s.shape(2 * s.batch), Domain::Coeff, OTHER)?;
            run.ring.submit(Cmd::Digit {
                dst: (dst.view_mut().polys(0, s.batch, 2)?).with_limbs(s.some_limbs())?,
                src: (src.view().polys(1, s.batch, 2)?).with_limbs(s.some_limbs())?,
                plan,
                level,
            })?;
            run.see(format!("{plan:?}, the one of level {level}"), &dst.view())?;
        }
    }
    run.see("source", &src.view())
}

/// A few single limbs that hold words modulo `2^32`.
fn wide_limbs(run: &Run<'_>, s: Setup) -> Vec<LimbSet> {
    let spec = run.ring.spec().clone();
    let wide = s
        .limbs
        .iter()
        .filter(|&l| spec.modulus(l).bits() > LWE_WORD_BITS);
    let wide: Vec<usize> = wide.collect();
    let step = wide.len().div_ceil(2).max(1);
    let some = wide.into_iter().step_by(step);
    some.map(|limb| [limb].into_iter().collect()).collect()
}

/// Small LWE ciphertexts with words below `2^32` from those of an input.
fn small_lwe(run: &Run<'_>, shape: Shape, input: Input) -> Result<PolyBuf> {
    let words: Vec<u64> = run
        .words(shape, input)
        .iter()
        .map(|w| w & 0xffff_ffff)
        .collect();
    run.ring.upload(shape, Domain::Coeff, &words)
}

/// A destination wider than `polys` polynomials of one limb: the surroundings must not change.
fn surrounded(run: &Run<'_>, s: Setup, limb: LimbSet, polys: usize) -> Result<PolyBuf> {
    let ends = [s.limbs.iter().next(), s.limbs.iter().last()];
    let limbs = limb.union(ends.into_iter().flatten().collect());
    run.buffer(Shape::new(polys + 1, limbs, s.log_n), Domain::Coeff, OTHER)
}

/// Dimensions whose body is the last word of a polynomial, and the first of the next.
fn dimensions(s: Setup) -> [usize; 3] {
    let n = 1 << s.log_n;
    [n - 1, n, 5]
}

fn lwe_mod_switch(run: &mut Run<'_>, s: Setup) -> Result<()> {
    for limbs in wide_limbs(run, s) {
        for dimension in dimensions(s) {
            let width = lwe_width(dimension, s.log_n);
            let shape = Shape::new(width * s.batch, limbs, s.log_n);
            let src = small_lwe(run, shape, s.input)?;
            let mut dst = surrounded(run, s, limbs, shape.batch)?;
            run.ring.submit(Cmd::LweModSwitch {
                dst: (dst.view_mut().polys(1, shape.batch, 1)?).with_limbs(limbs)?,
                src: src.view(),
                dimension,
            })?;
            run.see(format!("dimension {dimension}, limb {limbs}"), &dst.view())?;
            run.see("source", &src.view())?;
        }
    }
    Ok(())
}

fn lwe_group_switch(run: &mut Run<'_>, s: Setup) -> Result<()> {
    let digits = DigitPlan::new(8, 1)?;
    for limbs in wide_limbs(run, s) {
        // Exponents that end within a polynomial and just before the next; bodies likewise.
        for (dimension, group) in [(6, 1), (10, 2), (1 << s.log_n, 2), (6, 3), (4, 4)] {
            let plan = RotationPlan::new(dimension, 1, digits, digits)?.grouped(group)?;
            let shape = |words| Shape::new(lwe_width(words, s.log_n) * s.batch, limbs, s.log_n);
            let src = small_lwe(run, shape(dimension), s.input)?;
            let polys = shape(plan.exponents()).batch;
            let mut dst = surrounded(run, s, limbs, polys)?;
            run.ring.submit(Cmd::LweGroupSwitch {
                dst: (dst.view_mut().polys(1, polys, 1)?).with_limbs(limbs)?,
                src: src.view(),
                plan,
            })?;
            let what = format!("dimension {dimension}, groups of {group}, limb {limbs}");
            run.see(what, &dst.view())?;
            run.see("source", &src.view())?;
        }
    }
    Ok(())
}

fn lwe_key_switch(run: &mut Run<'_>, s: Setup) -> Result<()> {
    for limbs in wide_limbs(run, s) {
        for (source, target, base_log, levels) in [(5, 3, 4, 4), (1, 16, 31, 1), (17, 2, 3, 7)] {
            let digits = DigitPlan::new(base_log, levels)?;
            let rows = source * levels as usize;
            let words = (0..rows * (target + 1)).map(|i| (i as u32).wrapping_mul(0x9e37_79b9));
            let key = LweSwitchKey::new((source, target), digits, words.collect::<Vec<_>>())?;
            let shape = |dimension| {
                let polys = lwe_width(dimension, s.log_n) * s.batch;
                Shape::new(polys, limbs, s.log_n)
            };
            let src = run.buffer(shape(source), Domain::Coeff, s.input)?;
            let polys = shape(target).batch;
            let mut dst = surrounded(run, s, limbs, polys)?;
            run.ring.submit(Cmd::LweKeySwitch {
                dst: dst.view_mut().polys(1, polys, 1)?.with_limbs(limbs)?,
                src: src.view(),
                key,
            })?;
            run.see(format!("{source} to {target}, limb {limbs}"), &dst.view())?;
            run.see("source", &src.view())?;
        }
    }
    Ok(())
}

fn blind_rotate(run: &mut Run<'_>, s: Setup) -> Result<()> {
    (some_limbs(s).into_iter()).try_for_each(|limb| rotate(run, s, limb, &[(3, 1, 1), (3, 1, 2)]))
}

fn grouped_rotate(run: &mut Run<'_>, s: Setup) -> Result<()> {
    // One for each limb: they are long.
    let shapes = [(4, 2, 1), (3, 3, 2), (4, 4, 1)];
    (some_limbs(s).into_iter().zip(shapes))
        .try_for_each(|(limb, shape)| rotate(run, s, limb, &[shape]))
}

/// At most three limbs.
fn some_limbs(s: Setup) -> Vec<usize> {
    let some = s.limbs.iter().step_by(s.limbs.len().div_ceil(3));
    some.collect()
}

/// Rotations of dimensions, groups of key bits, and masks, on one limb.
fn rotate(
    run: &mut Run<'_>,
    s: Setup,
    limb: usize,
    shapes: &[(usize, usize, usize)],
) -> Result<()> {
    let limbs: LimbSet = [limb].into_iter().collect();
    let bits = least_bits(run, limbs);
    let one = DigitPlan::new((bits / 2).min(24), 1)?;
    let two = DigitPlan::new(bits / 3, 2)?;
    for &(dimension, group, masks) in shapes {
        let mask = if masks == 1 { one } else { two };
        let plan = RotationPlan::new(dimension, masks, mask, one)?.grouped(group)?;
        let shape = |polys| Shape::new(polys, limbs, s.log_n);
        let key = run.buffer(shape(plan.key_polys()), Domain::Eval, s.input)?;
        let key = run.ring.prepare(&key, Role::Diagonal)?;
        let width = lwe_width(plan.exponents(), s.log_n);
        let lwe = run.buffer(shape(width * s.batch), Domain::Coeff, Input::Random(80))?;
        let polys = plan.lanes() * s.batch;
        // One table for all, or one for each.
        let tables = if masks == 1 { plan.lanes() } else { polys };
        let table = run.buffer(shape(tables), Domain::Coeff, s.input)?;
        let mut acc = surrounded(run, s, limbs, polys)?;
        run.ring.submit(Cmd::BlindRotate {
            acc: acc.view_mut().polys(1, polys, 1)?.with_limbs(limbs)?,
            table: table.view(),
            lwe: lwe.view(),
            key: key.view(),
            plan,
        })?;
        run.see(format!("{plan:?}, limb {limb}"), &acc.view())?;
        run.see("table", &table.view())?;
        run.see("ciphertexts", &lwe.view())?;
    }
    Ok(())
}
