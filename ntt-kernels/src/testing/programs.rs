//! One program per primitive command. Each uploads known words, runs every variant of the command
//! and reads back destinations, their surroundings and sources.

use std::sync::Arc;

use super::{
    Input,
    suite::{Program, Run, Setup},
};
use crate::{
    error::Result,
    poly::{
        BaseConvertPlan, Cmd, Domain, ElementwiseOp, LiftMode, LimbSet, Role, Seed, SeedLayout,
        SeedStream, Shape,
    },
};

pub(super) const ALL: [(&str, Program); 11] = [
    ("transfer", transfer),
    (SECRET, secret),
    ("copy", copy),
    ("elementwise", elementwise),
    ("scale_limbs and offset_limbs", constants),
    ("ntt", ntt),
    ("base_convert", base_convert),
    ("automorphism", automorphism),
    ("expand_seed", expand_seed),
    ("inner_product", inner_product),
    ("diag_mul_acc", diag_mul_acc),
];

/// The program that runs on host CPUs only.
pub(super) const SECRET: &str = "secret";

const DOMAINS: [Domain; 2] = [Domain::Coeff, Domain::Eval];
/// Second operands, where the first is the setup's input.
const OTHER: Input = Input::Random(77);

fn transfer(run: &mut Run<'_>, s: Setup) -> Result<()> {
    for domain in DOMAINS {
        let buf = run.buffer(s.shape(2 * s.batch + 1), domain, s.input)?;
        run.see("whole", &buf.view())?;
        run.see("strided", &buf.view().polys(1, s.batch, 2)?)?;
        let window = buf.view().polys(s.batch, 1, 1)?;
        run.see("limb window", &window.with_limbs(s.some_limbs())?)?;
    }
    run.ring.wait()
}

/// Secrets take the same paths on the host.
fn secret(run: &mut Run<'_>, s: Setup) -> Result<()> {
    let shape = s.shape(s.batch);
    let words = run.words(shape, s.input);
    let mut secret = run.ring.upload_secret(shape, Domain::Coeff, &words)?;
    run.ring.ntt(&mut secret)?;
    let mut product = run.ring.alloc_secret(shape, Domain::Eval)?;
    let other = run.buffer(shape, Domain::Eval, OTHER)?;
    run.ring.submit(Cmd::Elementwise {
        op: ElementwiseOp::Mul,
        dst: product.view_mut(),
        a: Some(other.view()),
        b: Some(secret.view()),
    })?;
    run.see("product", &product.view())?;
    run.see("copy", &run.ring.copy(&secret.view())?.view())
}

fn copy(run: &mut Run<'_>, s: Setup) -> Result<()> {
    for domain in DOMAINS {
        let shape = s.shape(2 * s.batch + 1);
        let src = run.buffer(shape, domain, s.input)?;
        let mut dst = run.buffer(shape, domain, OTHER)?;
        run.ring.submit(Cmd::Copy {
            dst: dst
                .view_mut()
                .polys(0, s.batch, 2)?
                .with_limbs(s.some_limbs())?,
            src: src
                .view()
                .polys(1, s.batch, 2)?
                .with_limbs(s.some_limbs())?,
        })?;
        run.see("windows", &dst.view())?;
        run.ring.submit(Cmd::Copy {
            dst: dst.view_mut(),
            src: src.view(),
        })?;
        run.see("whole", &dst.view())?;
        run.see("source", &src.view())?;
        // Between buffers with different limbs, so that rows lie at different places.
        let narrow = Shape::new(s.batch, s.some_limbs(), s.log_n);
        let mut narrow = run.buffer(narrow, domain, OTHER)?;
        run.ring.submit(Cmd::Copy {
            dst: narrow.view_mut(),
            src: src
                .view()
                .polys(0, s.batch, 1)?
                .with_limbs(s.some_limbs())?,
        })?;
        run.see("from a wider buffer", &narrow.view())?;
    }
    Ok(())
}

fn elementwise(run: &mut Run<'_>, s: Setup) -> Result<()> {
    use ElementwiseOp::{Add, Mul, MulAcc, Neg, Sub};
    for (domain, ops) in [
        (Domain::Coeff, &[Add, Sub, Neg][..]),
        (Domain::Eval, &[Add, Sub, Neg, Mul, MulAcc][..]),
    ] {
        for &op in ops {
            for (second, b_batch) in [(s.input, s.batch), (OTHER, s.batch), (OTHER, 1)] {
                let b_given = op != Neg;
                let a = run.buffer(s.shape(s.batch), domain, s.input)?;
                let b = run.buffer(s.shape(b_batch), domain, second)?;
                let mut dst = run.buffer(s.shape(s.batch), domain, s.input)?;
                let b_view = b_given.then(|| b.view());
                run.ring.submit(Cmd::Elementwise {
                    op,
                    dst: dst.view_mut(),
                    a: Some(a.view()),
                    b: b_view.clone(),
                })?;
                run.see(format!("{op:?}"), &dst.view())?;
                if op != MulAcc {
                    run.ring.submit(Cmd::Elementwise {
                        op,
                        dst: dst.view_mut(),
                        a: None,
                        b: b_view,
                    })?;
                    run.see(format!("{op:?} in place"), &dst.view())?;
                }
                run.see(format!("{op:?} first source"), &a.view())?;
                run.see(format!("{op:?} second source"), &b.view())?;
            }
            windowed_elementwise(run, s, op, domain)?;
        }
    }
    Ok(())
}

/// Three buffers in which the rows of the operands lie at different places.
fn windowed_elementwise(
    run: &mut Run<'_>,
    s: Setup,
    op: ElementwiseOp,
    domain: Domain,
) -> Result<()> {
    let limbs = s.some_limbs();
    let a = run.buffer(s.shape(2 * s.batch + 1), domain, s.input)?;
    let b = run.buffer(Shape::new(s.batch + 2, limbs, s.log_n), domain, OTHER)?;
    let mut dst = run.buffer(s.shape(3 * s.batch), domain, OTHER)?;
    let b = b.view().polys(2, s.batch, 1)?;
    run.ring.submit(Cmd::Elementwise {
        op,
        dst: dst.view_mut().polys(0, s.batch, 3)?.with_limbs(limbs)?,
        a: Some(a.view().polys(1, s.batch, 2)?.with_limbs(limbs)?),
        b: (op != ElementwiseOp::Neg).then_some(b),
    })?;
    run.see(format!("{op:?} in windows"), &dst.view())
}

fn constants(run: &mut Run<'_>, s: Setup) -> Result<()> {
    for (scale, domain) in [(true, Domain::Coeff), (false, Domain::Eval)] {
        for factor in [Input::Zeros, Input::Ones, Input::Maximal, OTHER] {
            let limbs = s.some_limbs();
            let consts = run.constants(s.shape(1), factor);
            let some = run.constants(Shape::new(1, limbs, s.log_n), factor);
            let src = run.buffer(s.shape(2 * s.batch), domain, s.input)?;
            let mut dst = run.buffer(s.shape(2 * s.batch + 1), domain, OTHER)?;
            let cmd = |dst, src, consts: &Arc<[u64]>| {
                let consts = consts.clone();
                if scale {
                    Cmd::ScaleLimbs { dst, src, consts }
                } else {
                    Cmd::OffsetLimbs { dst, src, consts }
                }
            };
            let whole = src.view().polys(1, s.batch, 1)?;
            let window = whole.clone().with_limbs(limbs)?;
            for src in [Some(window), None] {
                let part = dst.view_mut().polys(1, s.batch, 2)?.with_limbs(limbs)?;
                run.ring.submit(cmd(part, src, &some))?;
                run.see("windows", &dst.view())?;
            }
            for src in [Some(whole), None] {
                let polys = dst.view_mut().polys(0, s.batch, 1)?;
                run.ring.submit(cmd(polys, src, &consts))?;
                run.see("all limbs", &dst.view())?;
            }
            run.see("source", &src.view())?;
        }
    }
    Ok(())
}

fn ntt(run: &mut Run<'_>, s: Setup) -> Result<()> {
    let mut buf = run.buffer(s.shape(s.batch), Domain::Coeff, s.input)?;
    run.ring.ntt(&mut buf)?;
    run.see("forward", &buf.view())?;
    run.ring.intt(&mut buf)?;
    run.see("there and back", &buf.view())?;
    let mut buf = run.buffer(s.shape(s.batch), Domain::Eval, s.input)?;
    run.ring.intt(&mut buf)?;
    run.see("inverse", &buf.view())?;
    for (from, to) in [(Domain::Coeff, Domain::Eval), (Domain::Eval, Domain::Coeff)] {
        let limbs = s.some_limbs();
        let mut buf = run.buffer(s.shape(2 * s.batch + 1), from, s.input)?;
        let window = buf.view_mut().polys(1, s.batch, 2)?.with_limbs(limbs)?;
        run.ring.submit(Cmd::Ntt {
            buf: window,
            inverse: from == Domain::Eval,
        })?;
        let others = buf.view().polys(1, s.batch, 2)?;
        run.see("window", &others.clone().with_limbs(limbs)?.in_domain(to))?;
        let rest = s.limbs.difference(limbs);
        if !rest.is_empty() {
            run.see("other limbs", &others.with_limbs(rest)?)?;
        }
        run.see("other polynomials", &buf.view().polys(0, s.batch + 1, 2)?)?;
    }
    Ok(())
}

fn base_convert(run: &mut Run<'_>, s: Setup) -> Result<()> {
    let (all, count) = (s.limbs, s.limbs.len());
    let (first, odd) = (s.first(1), all.difference(s.some_limbs()));
    let last = all.difference(s.first(count - 1));
    let sets = [
        (first, all.difference(first)),
        (last, all.difference(last)),
        (all.difference(last), last),
        (s.first(count / 2), all.difference(s.first(count / 2))),
        (odd, s.some_limbs()),
    ];
    for (source, target) in sets {
        for mode in [LiftMode::Approximate, LiftMode::CentredExact] {
            let plan = BaseConvertPlan::new(run.ring.spec(), source, target, mode)?;
            let plan = Arc::new(plan);
            let name = format!("{source} to {target}, {mode:?}");
            let buf = run.buffer(s.shape(2 * s.batch), Domain::Coeff, s.input)?;
            let mut dst = run.buffer(s.shape(s.batch + 1), Domain::Coeff, OTHER)?;
            run.ring.submit(Cmd::BaseConvert {
                dst: dst.view_mut().polys(1, s.batch, 1)?.with_limbs(target)?,
                src: buf.view().polys(0, s.batch, 2)?.with_limbs(source)?,
                plan: plan.clone(),
            })?;
            run.see(format!("{name}, windows"), &dst.view())?;
            run.see(format!("{name}, source"), &buf.view())?;
            let exact = Shape::new(1, source, s.log_n);
            let words = extremes(run, exact, &plan);
            let src = run.ring.upload(exact, Domain::Coeff, &words)?;
            let exact = Shape::new(1, target, s.log_n);
            let mut dst = run.ring.alloc(exact, Domain::Coeff)?;
            run.ring.submit(Cmd::BaseConvert {
                dst: dst.view_mut(),
                src: src.view(),
                plan,
            })?;
            run.see(format!("{name}, largest sums"), &dst.view())?;
        }
    }
    Ok(())
}

/// Residues whose `y_i` are all extreme: largest, both sides of the middle, zero, one, in turn.
/// They make the sums of a conversion as large as they can be.
fn extremes(run: &Run<'_>, shape: Shape, plan: &BaseConvertPlan) -> Vec<u64> {
    let mut words = Vec::with_capacity(shape.words());
    for (limb, inv_hat) in shape.limbs.iter().zip(plan.inv_hats()) {
        let m = run.ring.spec().modulus(limb);
        let (hat, largest) = (m.inv(inv_hat.value), m.value() - 1);
        let y = [largest, largest / 2, largest / 2 + 1, 0, 1];
        words.extend((0..shape.n()).map(|i| m.mul(hat, y[i % y.len()])));
    }
    words
}

fn automorphism(run: &mut Run<'_>, s: Setup) -> Result<()> {
    let n = 1u64 << s.log_n;
    let power_of_five = (0..n / 4 - 1).fold(1, |g, _| g * 5 % (2 * n));
    for domain in DOMAINS {
        let src = run.buffer(s.shape(2 * s.batch + 1), domain, s.input)?;
        for galois in [
            1,
            3,
            5,
            25 % (2 * n),
            power_of_five,
            n - 1,
            n + 1,
            2 * n - 1,
        ] {
            let (name, limbs) = (format!("{galois}, {}", domain.name()), s.some_limbs());
            let mut dst = run.buffer(s.shape(2 * s.batch), domain, OTHER)?;
            run.ring.submit(Cmd::Automorphism {
                dst: dst.view_mut().polys(0, s.batch, 2)?.with_limbs(limbs)?,
                src: src.view().polys(1, s.batch, 2)?.with_limbs(limbs)?,
                galois,
            })?;
            run.see(format!("{name}, windows"), &dst.view())?;
            run.ring.submit(Cmd::Automorphism {
                dst: dst.view_mut().polys(s.batch, s.batch, 1)?,
                src: src.view().polys(1, s.batch, 1)?,
                galois,
            })?;
            run.see(name, &dst.view())?;
        }
        run.see("source", &src.view())?;
    }
    Ok(())
}

fn expand_seed(run: &mut Run<'_>, s: Setup) -> Result<()> {
    let layouts = [([0; 32], 0), ([0xa5; 32], 1), ([0xff; 32], u32::MAX)];
    let layouts = layouts.map(|(bytes, key_index)| {
        SeedStream::ALL.map(|stream| SeedLayout {
            seed: Seed { bytes, stream },
            key_index,
        })
    });
    for seed in layouts.into_iter().flatten() {
        for domain in DOMAINS {
            let mut dst = run.buffer(s.shape(2 * s.batch + 1), domain, s.input)?;
            run.ring.submit(Cmd::ExpandSeed {
                dst: dst
                    .view_mut()
                    .polys(1, s.batch, 2)?
                    .with_limbs(s.some_limbs())?,
                seed,
            })?;
            run.see("windows", &dst.view())?;
            run.ring.submit(Cmd::ExpandSeed {
                dst: dst.view_mut(),
                seed,
            })?;
            run.see("whole", &dst.view())?;
        }
    }
    Ok(())
}

fn inner_product(run: &mut Run<'_>, s: Setup) -> Result<()> {
    // On small rings more terms than products of 61 bits fit in a double word.
    let many = if s.log_n <= 4 { 70 } else { 5 };
    for digits in [1, 2, many] {
        for limbs in [s.limbs, s.some_limbs()] {
            let limbs: LimbSet = limbs.iter().take(24).collect();
            let shape = Shape::new(digits, limbs, s.log_n);
            let key = Shape::new(2 * (digits + 1), key_limbs(s), s.log_n);
            let key = run.buffer(key, Domain::Eval, s.input)?;
            let key = run.ring.prepare(&key, Role::Key)?;
            let digits = run.buffer(shape, Domain::Eval, s.input)?;
            let mut acc = run.buffer(s.shape(4), Domain::Eval, OTHER)?;
            for accumulate in [false, true] {
                run.ring.submit(Cmd::InnerProduct {
                    acc: acc.view_mut().polys(1, 2, 2)?.with_limbs(limbs)?,
                    digits: digits.view(),
                    key: key.view(),
                    accumulate,
                })?;
                run.see(format!("{shape}, accumulate {accumulate}"), &acc.view())?;
            }
            run.see("digits", &digits.view())?;
        }
    }
    Ok(())
}

/// Limbs of a key: as many as the accumulators above use.
pub(super) fn key_limbs(s: Setup) -> LimbSet {
    s.first(48)
}

fn diag_mul_acc(run: &mut Run<'_>, s: Setup) -> Result<()> {
    let many = if s.log_n <= 4 { 70 } else { 5 };
    let rotated = run.buffer(s.shape(2 * s.batch + 1), Domain::Eval, s.input)?;
    let wide = run.buffer(s.shape(1), Domain::Eval, s.input)?;
    let wide = run.ring.prepare(&wide, Role::Diagonal)?;
    let other = run.buffer(s.shape(1), Domain::Eval, OTHER)?;
    let other = run.ring.prepare(&other, Role::Diagonal)?;
    for count in [1, 2, 3, many] {
        for limbs in [s.limbs, s.some_limbs()] {
            let mut acc = run.buffer(s.shape(2 * s.batch), Domain::Eval, s.input)?;
            for accumulate in [false, true] {
                let terms = (0..count).map(|k| {
                    let rotated = rotated.view().polys(k % 2, s.batch, 2)?;
                    let diagonal = if k % 3 == 1 { &other } else { &wide };
                    Ok((rotated.with_limbs(limbs)?, diagonal.view()))
                });
                run.ring.submit(Cmd::DiagMulAcc {
                    acc: acc.view_mut().polys(0, s.batch, 2)?.with_limbs(limbs)?,
                    terms: terms.collect::<Result<_>>()?,
                    accumulate,
                })?;
                let what = format!("{count} terms on {limbs}, accumulate {accumulate}");
                run.see(what, &acc.view())?;
            }
        }
    }
    run.see("sources", &rotated.view())
}
