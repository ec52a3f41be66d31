//! Fused commands as sequences of primitive ones. Each lowering is also the definition that a
//! device's fused kernel is tested against.

use super::Ring;
use crate::{
    error::Result,
    poly::{
        Cmd, Domain, ElementwiseOp, Factors, GadgetPlan, IntMatrix, ModDownPlan, Shape, View,
        ViewMut,
    },
};

pub(super) fn lower(ring: &Ring, cmd: Cmd) -> Result<()> {
    match cmd {
        Cmd::Tensor { dst, a, b } => tensor(ring, &dst, &a, &b),
        Cmd::ModDown { dst, src, plan } => mod_down(ring, dst, &src, &plan),
        Cmd::Decompose { dst, src, plan } => decompose(ring, &dst, &src, &plan),
        Cmd::ModMatMul {
            dst,
            left,
            src,
            lanes,
        } => match &left {
            Factors::Integers(left) => mod_mat_mul(ring, &dst, left, &src, lanes),
            Factors::Images { polys, log_rows } => {
                images_mat_mul(ring, &dst, (polys, *log_rows), &src, lanes)
            }
        },
        Cmd::GadgetProduct {
            acc,
            src,
            key,
            plan,
            accumulate,
        } => {
            let shape = Shape::new(plan.digits().len(), plan.extended(), acc.log_n());
            let mut digits = ring.alloc(shape, Domain::Eval)?;
            ring.submit(Cmd::Decompose {
                dst: digits.view_mut(),
                src,
                plan,
            })?;
            ring.submit(Cmd::InnerProduct {
                acc,
                digits: digits.view(),
                key,
                accumulate,
            })
        }
        primitive => unreachable!("{} has no lowering", primitive.kind().name()),
    }
}

/// Row by row: the first product into the destination, the others added.
fn mod_mat_mul(
    ring: &Ring,
    dst: &ViewMut,
    left: &IntMatrix,
    src: &View,
    lanes: usize,
) -> Result<()> {
    let shape = Shape::new(lanes, dst.limbs(), dst.log_n());
    let mut product = ring.alloc(shape, dst.domain())?;
    for i in 0..left.rows() {
        let row = dst.clone().polys(i * lanes, lanes, 1)?;
        for (j, &entry) in left.row(i).iter().enumerate() {
            let moduli = dst.limbs().iter().map(|l| ring.spec().modulus(l));
            let scaled = if j == 0 {
                row.clone()
            } else {
                product.view_mut()
            };
            ring.submit(Cmd::ScaleLimbs {
                dst: scaled,
                src: Some(src.clone().polys(j * lanes, lanes, 1)?),
                consts: moduli.map(|m| m.from_i64(entry)).collect(),
            })?;
            if j > 0 {
                ring.submit(Cmd::Elementwise {
                    op: ElementwiseOp::Add,
                    dst: row.clone(),
                    a: None,
                    b: Some(product.view()),
                })?;
            }
        }
    }
    Ok(())
}

/// Row by row: the images of all polynomials, then the sum of the products.
fn images_mat_mul(
    ring: &Ring,
    dst: &ViewMut,
    (polys, log_rows): (&View, u32),
    src: &View,
    lanes: usize,
) -> Result<()> {
    let mut images = ring.alloc(polys.shape(), Domain::Eval)?;
    for i in 0..1 << log_rows {
        ring.submit(Cmd::Automorphism {
            dst: images.view_mut(),
            src: polys.clone(),
            galois: Factors::galois(dst.log_n(), log_rows, i),
        })?;
        for j in 0..polys.batch() {
            ring.submit(Cmd::Elementwise {
                op: if j == 0 {
                    ElementwiseOp::Mul
                } else {
                    ElementwiseOp::MulAcc
                },
                dst: dst.clone().polys(i * lanes, lanes, 1)?,
                a: Some(src.clone().polys(j * lanes, lanes, 1)?),
                b: Some(images.poly(j)?),
            })?;
        }
    }
    Ok(())
}

fn tensor(ring: &Ring, dst: &ViewMut, a: &View, b: &View) -> Result<()> {
    let poly = |v: &View, i| v.clone().polys(i, 1, 1);
    let product = |op, out: usize, i, j| -> Result<()> {
        ring.submit(Cmd::Elementwise {
            op,
            dst: dst.clone().polys(out, 1, 1)?,
            a: Some(poly(a, i)?),
            b: Some(poly(b, j)?),
        })
    };
    product(ElementwiseOp::Mul, 0, 0, 0)?;
    product(ElementwiseOp::Mul, 1, 0, 1)?;
    product(ElementwiseOp::MulAcc, 1, 1, 0)?;
    product(ElementwiseOp::Mul, 2, 1, 1)
}

fn mod_down(ring: &Ring, dst: ViewMut, src: &View, plan: &ModDownPlan) -> Result<()> {
    let (keep, drop) = (plan.kept(), plan.dropped());
    let mut dropped = ring.copy(&src.clone().with_limbs(drop)?)?;
    ring.intt(&mut dropped)?;
    let shape = Shape::new(src.batch(), keep, src.log_n());
    let mut lifted = ring.alloc(shape, Domain::Coeff)?;
    ring.submit(Cmd::BaseConvert {
        dst: lifted.view_mut(),
        src: dropped.view(),
        plan: plan.lift().clone(),
    })?;
    ring.ntt(&mut lifted)?;
    ring.submit(Cmd::Elementwise {
        op: ElementwiseOp::Sub,
        dst: dst.clone(),
        a: Some(src.clone().with_limbs(keep)?),
        b: Some(lifted.view()),
    })?;
    let consts = plan.inverses().iter().map(|w| w.value).collect();
    ring.submit(Cmd::ScaleLimbs {
        dst,
        src: None,
        consts,
    })
}

fn decompose(ring: &Ring, dst: &ViewMut, src: &View, plan: &GadgetPlan) -> Result<()> {
    let mut coeffs = ring.copy(src)?;
    ring.intt(&mut coeffs)?;
    for (d, digit) in plan.digits().iter().enumerate() {
        // The digit's own residues are those of the source: no transform needed.
        let own = digit.limbs();
        let row = dst.clone().polys(d, 1, 1)?;
        ring.submit(Cmd::Copy {
            dst: row.clone().with_limbs(own)?,
            src: src.clone().with_limbs(own)?,
        })?;
        let lifted = row
            .with_limbs(digit.lift().target())?
            .in_domain(Domain::Coeff);
        ring.submit(Cmd::BaseConvert {
            dst: lifted.clone(),
            src: coeffs.view().with_limbs(own)?,
            plan: digit.lift().clone(),
        })?;
        ring.submit(Cmd::Ntt {
            buf: lifted,
            inverse: false,
        })?;
    }
    Ok(())
}
