//! One program per fused command; the definition is the lowering.

use std::sync::Arc;

use super::{
    Input,
    suite::{Program, Run, Setup},
};
use crate::{
    error::Result,
    poly::{
        Cmd, Domain, Factors, GadgetPlan, HoistedRotation, HoistedRotations, IntMatrix, KeySwitch,
        LimbSet, ModDownPlan, PolyBuf, Prepared, Role, Shape,
    },
};

pub(super) const ALL: [(&str, Program); 9] = [
    ("tensor", tensor),
    ("mod_down", mod_down),
    ("decompose", decompose),
    ("mod_mat_mul", mod_mat_mul),
    ("folded_mat_mul", folded_mat_mul),
    ("images_mat_mul", images_mat_mul),
    ("gadget_product", gadget_product),
    ("key_switch", key_switch),
    ("hoisted_rotate", hoisted_rotate),
];

const OTHER: Input = Input::Random(78);

fn tensor(run: &mut Run<'_>, s: Setup) -> Result<()> {
    for limbs in [s.limbs, s.some_limbs()] {
        for second in [s.input, OTHER] {
            let a = run.buffer(s.shape(3), Domain::Eval, s.input)?;
            let b = run.buffer(Shape::new(2, limbs, s.log_n), Domain::Eval, second)?;
            let mut dst = run.buffer(s.shape(7), Domain::Eval, OTHER)?;
            run.ring.submit(Cmd::Tensor {
                dst: dst.view_mut().polys(1, 3, 2)?.with_limbs(limbs)?,
                a: a.view().polys(0, 2, 2)?.with_limbs(limbs)?,
                b: b.view(),
            })?;
            run.see(format!("{limbs}"), &dst.view())?;
            // A square reads one buffer twice.
            run.ring.submit(Cmd::Tensor {
                dst: dst.view_mut().polys(4, 3, 1)?.with_limbs(limbs)?,
                a: b.view(),
                b: b.view(),
            })?;
            run.see(format!("{limbs}, square"), &dst.view())?;
            run.see("first source", &a.view())?;
            run.see("second source", &b.view())?;
        }
    }
    Ok(())
}

fn mod_down(run: &mut Run<'_>, s: Setup) -> Result<()> {
    let count = s.limbs.len();
    let keep_first = |keep: usize| (s.first(keep), s.limbs.difference(s.first(keep)));
    let (low, rest) = keep_first(1);
    let mut sets = vec![
        keep_first(count - 1),
        (rest, low),
        (s.some_limbs(), s.limbs.difference(s.some_limbs())),
        (low, rest),
    ];
    if count > 3 {
        sets.push(keep_first(count - 2));
        sets.push(keep_first(count - 3));
    }
    for (keep, drop) in sets {
        let plan = Arc::new(ModDownPlan::new(run.ring.spec(), keep, drop)?);
        let src = run.buffer(s.shape(2 * s.batch), Domain::Eval, s.input)?;
        let mut dst = run.buffer(s.shape(s.batch + 1), Domain::Eval, OTHER)?;
        run.ring.submit(Cmd::ModDown {
            dst: dst.view_mut().polys(1, s.batch, 1)?.with_limbs(keep)?,
            src: src.view().polys(0, s.batch, 2)?,
            plan,
        })?;
        run.see(format!("dropping {drop}"), &dst.view())?;
        run.see("source", &src.view())?;
    }
    Ok(())
}

/// Limbs of `Q`, special limbs, and the digits of one grouping.
struct Gadget {
    source: LimbSet,
    special: LimbSet,
    groups: Vec<LimbSet>,
}

/// Groupings of the limbs in use: digits of one limb, of two, of three, one digit for all. Large
/// tables are cut, since work grows with digits times limbs.
fn gadgets(s: Setup) -> Vec<Gadget> {
    let most = if s.log_n <= 6 { 21 } else { 11 };
    let cut: Vec<usize> = s.limbs.iter().take(most).collect();
    let specials = cut.len().div_ceil(4);
    let (source, special) = cut.split_at(cut.len() - specials);
    let mut sizes = vec![1, 2, 3, source.len()];
    sizes.retain(|&size| size <= source.len());
    sizes.dedup();
    sizes
        .into_iter()
        .map(|size| Gadget {
            source: source.iter().copied().collect(),
            special: special.iter().copied().collect(),
            groups: (source.chunks(size))
                .map(|group| group.iter().copied().collect())
                .collect(),
        })
        .collect()
}

/// The full source, and a lower level of it where there is one.
fn levels(gadget: &Gadget) -> Vec<LimbSet> {
    let lower = gadget.source.iter().take(gadget.source.len().div_ceil(2));
    let mut levels = vec![gadget.source, lower.collect()];
    levels.dedup();
    levels
}

fn decompose(run: &mut Run<'_>, s: Setup) -> Result<()> {
    for gadget in gadgets(s) {
        for level in levels(&gadget) {
            let spec = run.ring.spec();
            let plan = Arc::new(GadgetPlan::new(
                spec,
                level,
                gadget.special,
                &gadget.groups,
            )?);
            let digits = plan.digits().len();
            let src = run.buffer(s.shape(2), Domain::Eval, s.input)?;
            let mut dst = run.buffer(s.shape(digits + 1), Domain::Eval, OTHER)?;
            run.ring.submit(Cmd::Decompose {
                dst: (dst.view_mut().polys(1, digits, 1)?).with_limbs(plan.extended())?,
                src: src.view().polys(1, 1, 1)?.with_limbs(level)?,
                plan,
            })?;
            run.see(format!("{digits} digits of {level}"), &dst.view())?;
            run.see("source", &src.view())?;
        }
    }
    Ok(())
}

fn gadget_product(run: &mut Run<'_>, s: Setup) -> Result<()> {
    for gadget in gadgets(s) {
        let extended = gadget.source.union(gadget.special);
        let key = Shape::new(2 * gadget.groups.len(), extended, s.log_n);
        let key = run.buffer(key, Domain::Eval, s.input)?;
        let key = run.ring.prepare(&key, Role::Key)?;
        for level in levels(&gadget) {
            let spec = run.ring.spec();
            let plan = Arc::new(GadgetPlan::new(
                spec,
                level,
                gadget.special,
                &gadget.groups,
            )?);
            let src = run.buffer(s.shape(1), Domain::Eval, s.input)?;
            let mut acc = run.buffer(s.shape(3), Domain::Eval, OTHER)?;
            for accumulate in [false, true] {
                run.ring.submit(Cmd::GadgetProduct {
                    acc: acc.view_mut().polys(0, 2, 2)?.with_limbs(plan.extended())?,
                    src: src.view().with_limbs(level)?,
                    key: key.view(),
                    plan: plan.clone(),
                    accumulate,
                })?;
                let digits = plan.digits().len();
                let what = format!("{digits} digits of {level}, accumulate {accumulate}");
                run.see(what, &acc.view())?;
            }
            run.see("source", &src.view())?;
        }
    }
    Ok(())
}

/// The key-switch of a polynomial and of its digits; with and without an addend on dropped limbs and
/// an automorphism; dropping the special limbs alone, and one more.
fn key_switch(run: &mut Run<'_>, s: Setup) -> Result<()> {
    for gadget in gadgets(s) {
        let (source, special) = (gadget.source, gadget.special);
        let extended = source.union(special);
        let spec = run.ring.spec();
        let plan = Arc::new(GadgetPlan::new(spec, source, special, &gadget.groups)?);
        let key = Shape::new(2 * gadget.groups.len() + 2, extended, s.log_n);
        let key = run.buffer(key, Domain::Eval, s.input)?;
        let key = run.ring.prepare(&key, Role::Key)?;
        let operand = run.buffer(s.shape(3), Domain::Eval, s.input)?;
        let digits = Shape::new(gadget.groups.len(), extended, s.log_n);
        let digits = run.buffer(digits, Domain::Eval, OTHER)?;
        let last: LimbSet = source.iter().skip(source.len() - 1).collect();
        for (decomposed, dropped, polys, galois) in [
            (false, special, 1, 5),
            (false, special.union(last), 2, 1),
            (true, special, 2, (2 << s.log_n) - 1),
            (true, special.union(last), 1, 1),
        ] {
            let kept = extended.difference(dropped);
            if kept.is_empty() {
                continue;
            }
            let spec = run.ring.spec();
            let consts = source
                .iter()
                .map(|l| (spec.modulus(l).value() - 1).saturating_sub(l as u64));
            let switch = KeySwitch {
                src: match decomposed {
                    true => digits.view(),
                    false => operand.view().polys(1, 1, 1)?.with_limbs(source)?,
                },
                decomposed,
                key: key.view(),
                gadget: plan.clone(),
                addend: operand.view().polys(0, polys, 2)?.with_limbs(source)?,
                consts: consts.collect(),
                mod_down: Arc::new(ModDownPlan::new(spec, kept, dropped)?),
                galois,
            };
            let mut dst = run.buffer(s.shape(4), Domain::Eval, OTHER)?;
            run.ring.submit(Cmd::KeySwitch {
                dst: dst.view_mut().polys(1, 2, 2)?.with_limbs(kept)?,
                switch: Box::new(switch),
            })?;
            let what = format!("{} digits, decomposed {decomposed}", gadget.groups.len());
            run.see(format!("{what}, dropping {dropped}"), &dst.view())?;
        }
        run.see("operand", &operand.view())?;
        run.see("digits", &digits.view())?;
    }
    Ok(())
}

/// One rotation of digits and several, one of them by nothing, with keys of more digits and limbs; with a
/// division of the special limbs, of one more, and without; addends of both halves and of one, on all
/// limbs of the source and on some.
fn hoisted_rotate(run: &mut Run<'_>, s: Setup) -> Result<()> {
    for gadget in gadgets(s) {
        let (source, special) = (gadget.source, gadget.special);
        let extended = source.union(special);
        let count = gadget.groups.len();
        let spec = run.ring.spec();
        let plan = Arc::new(GadgetPlan::new(spec, source, special, &gadget.groups)?);
        let inputs = [s.input, OTHER, s.input, OTHER];
        let key = |(i, &input): (usize, &Input)| -> Result<Prepared> {
            let shape = Shape::new(2 * (count + i % 2), s.limbs, s.log_n);
            let key = run.buffer(shape, Domain::Eval, input)?;
            run.ring.prepare(&key, Role::Key)
        };
        let keys: Vec<Prepared> = (inputs.iter().enumerate())
            .map(key)
            .collect::<Result<_>>()?;
        let operand = run.buffer(s.shape(3), Domain::Eval, s.input)?;
        let digits = run.buffer(s.shape(2 * count), Domain::Eval, OTHER)?;
        let last: LimbSet = source.iter().skip(source.len() - 1).collect();
        let some: LimbSet = source.iter().step_by(2).collect();
        let elements = [5, (2 << s.log_n) - 1, 1, 3];
        for (dropped, several, polys, limbs) in [
            (Some(special), 4, 1, source),
            (Some(special.union(last)), 1, 2, some),
            (None, 3, 2, source),
            (None, 1, 1, some),
        ] {
            let kept = extended.difference(dropped.unwrap_or(LimbSet::EMPTY));
            if kept.is_empty() {
                continue;
            }
            let spec = run.ring.spec();
            let consts = limbs.iter().map(|l| match dropped {
                Some(_) => (spec.modulus(l).value() - 1).saturating_sub(l as u64),
                None => 1,
            });
            let shared = HoistedRotations {
                digits: digits.view().polys(0, count, 2)?.with_limbs(extended)?,
                gadget: plan.clone(),
                addend: operand.view().polys(0, polys, 2)?.with_limbs(limbs)?,
                consts: consts.collect(),
                mod_down: match dropped {
                    Some(dropped) => Some(Arc::new(ModDownPlan::new(spec, kept, dropped)?)),
                    None => None,
                },
            };
            let dst = |_| run.buffer(s.shape(4), Domain::Eval, OTHER);
            let mut dsts: Vec<PolyBuf> = (0..several).map(dst).collect::<Result<_>>()?;
            let rotation = |(i, dst): (usize, &mut PolyBuf)| -> Result<HoistedRotation> {
                Ok(HoistedRotation {
                    dst: dst.view_mut().polys(1, 2, 2)?.with_limbs(kept)?,
                    key: keys[i].view(),
                    galois: elements[i],
                })
            };
            let rotations = dsts.iter_mut().enumerate().map(rotation);
            run.ring.submit(Cmd::HoistedRotate {
                rotations: rotations.collect::<Result<_>>()?,
                shared: Box::new(shared),
            })?;
            for (i, dst) in dsts.iter().enumerate() {
                let what = format!("{count} digits, rotation {i} of {several}");
                run.see(format!("{what}, limbs {kept}"), &dst.view())?;
            }
        }
        run.see("operand", &operand.view())?;
        run.see("digits", &digits.view())?;
    }
    Ok(())
}

/// Shapes around the borders of tiles, bounds around those of digits, extreme entries.
fn mod_mat_mul(run: &mut Run<'_>, s: Setup) -> Result<()> {
    for (rows, columns, bound) in [
        (1, 1, 1),
        (3, 2, 127),
        (2, 5, 32_640),
        (5, 3, IntMatrix::MAX_BOUND),
    ] {
        let largest = bound as i64;
        let entries: Vec<i64> = (0..rows * columns)
            .map(|i| [largest, -largest, 0, 1, -1, largest / 3][(i + s.batch) % 6])
            .collect();
        let left = IntMatrix::new((rows, columns), bound, entries)?;
        for (domain, lanes) in [(Domain::Coeff, 1), (Domain::Eval, 2)] {
            let limbs = s.some_limbs();
            let src = run.buffer(s.shape(2 * columns * lanes), domain, s.input)?;
            let mut dst = run.buffer(s.shape(rows * lanes + 1), domain, OTHER)?;
            run.ring.submit(Cmd::ModMatMul {
                dst: dst
                    .view_mut()
                    .polys(1, rows * lanes, 1)?
                    .with_limbs(limbs)?,
                left: left.clone().into(),
                src: src.view().polys(1, columns * lanes, 1)?.with_limbs(limbs)?,
                lanes,
            })?;
            run.see(format!("{left:?}, {lanes} lanes"), &dst.view())?;
            run.see("source", &src.view())?;
        }
    }
    Ok(())
}

/// The same with rows that become one: none, some that are short of a whole one, all that fit; bounds below and
/// above the primes.
fn folded_mat_mul(run: &mut Run<'_>, s: Setup) -> Result<()> {
    let most = s.log_n.saturating_sub(Factors::MIN_LOG_WINDOW);
    for (log_fold, columns, bound, lanes) in [
        (0, 2, 127, 1),
        (1, 3, 32_640, 2),
        (2, 9, 127, 1),
        (most, 5, IntMatrix::MAX_BOUND, 2),
    ] {
        if log_fold > most {
            continue;
        }
        let (rows, largest) = (3, bound as i64);
        let entries: Vec<i64> = (0..rows * columns)
            .map(|i| [largest, -largest, 0, 1, -1, largest / 3][(i + s.batch) % 6])
            .collect();
        let matrix = IntMatrix::new((rows, columns), bound, entries)?;
        let limbs = s.some_limbs();
        let src = run.buffer(s.shape(2 * columns * lanes), Domain::Eval, s.input)?;
        let mut dst = run.buffer(s.shape(rows * lanes + 1), Domain::Eval, OTHER)?;
        run.ring.submit(Cmd::ModMatMul {
            dst: dst
                .view_mut()
                .polys(1, rows * lanes, 1)?
                .with_limbs(limbs)?,
            left: Factors::Folded {
                matrix: matrix.clone(),
                log_fold,
            },
            src: src.view().polys(1, columns * lanes, 1)?.with_limbs(limbs)?,
            lanes,
        })?;
        run.see(
            format!("{matrix:?}, 2^{log_fold} rows in one, {lanes} lanes"),
            &dst.view(),
        )?;
        run.see("source", &src.view())?;
    }
    Ok(())
}

/// The same with images of polynomials on the left: few rows, all rows, one or more columns.
fn images_mat_mul(run: &mut Run<'_>, s: Setup) -> Result<()> {
    for (log_rows, columns, lanes) in [(0, 1, 1), (2, 3, 2), (s.log_n.min(5), 2, 1)] {
        let limbs = s.some_limbs();
        let rows = 1 << log_rows;
        let left = run.buffer(s.shape(columns + 1), Domain::Eval, s.input)?;
        let src = run.buffer(s.shape(2 * columns * lanes), Domain::Eval, OTHER)?;
        let mut dst = run.buffer(s.shape(rows * lanes + 1), Domain::Eval, OTHER)?;
        run.ring.submit(Cmd::ModMatMul {
            dst: dst
                .view_mut()
                .polys(1, rows * lanes, 1)?
                .with_limbs(limbs)?,
            left: Factors::Images {
                polys: left.view().polys(1, columns, 1)?.with_limbs(limbs)?,
                log_rows,
            },
            src: src.view().polys(1, columns * lanes, 1)?.with_limbs(limbs)?,
            lanes,
        })?;
        run.see(
            format!("{rows} x {columns} images, {lanes} lanes"),
            &dst.view(),
        )?;
        run.see("factors", &left.view())?;
        run.see("source", &src.view())?;
    }
    Ok(())
}
