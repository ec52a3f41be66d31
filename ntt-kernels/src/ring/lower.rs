//! Fused commands as sequences of primitive ones. Each lowering is also the definition that a
//! device's fused kernel is tested against.

use std::sync::Arc;

use super::Ring;
use crate::{
    error::Result,
    poly::{
        Cmd, Domain, ElementwiseOp, Factors, GadgetPlan, HoistedRotation, HoistedRotations,
        IntMatrix, KeySwitch, LimbSet, ModDownPlan, PolyBuf, Power, RotationPlan, Shape, View,
        ViewMut, lwe_width,
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
            Factors::Folded { matrix, log_fold } => {
                folded_mat_mul(ring, &dst, (matrix, *log_fold), &src, lanes)
            }
        },
        Cmd::BlindRotate {
            acc,
            table,
            lwe,
            key,
            plan,
        } => BlindRotation::new(ring, acc, lwe, key, plan)?.run(table),
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
        Cmd::KeySwitch { dst, switch } => key_switch(ring, dst, *switch),
        Cmd::HoistedRotate { rotations, shared } => (rotations.into_iter())
            .try_for_each(|rotation| hoisted_rotation(ring, rotation, &shared)),
        primitive => unreachable!("{} has no lowering", primitive.kind().name()),
    }
}

fn key_switch(ring: &Ring, dst: ViewMut, s: KeySwitch) -> Result<()> {
    let mut acc = ring.alloc(Shape::new(2, s.extended(), dst.log_n()), Domain::Eval)?;
    let (src, key, accumulate) = (s.src, s.key, false);
    ring.submit(if s.decomposed {
        Cmd::InnerProduct {
            acc: acc.view_mut(),
            digits: src,
            key,
            accumulate,
        }
    } else {
        Cmd::GadgetProduct {
            acc: acc.view_mut(),
            src,
            key,
            plan: s.gadget,
            accumulate,
        }
    })?;
    add_multiple(ring, acc.view_mut(), s.addend, s.consts)?;
    let divide = |dst| {
        ring.submit(Cmd::ModDown {
            dst,
            src: acc.view(),
            plan: s.mod_down.clone(),
        })
    };
    if s.galois == 1 {
        return divide(dst);
    }
    let mut divided = ring.alloc(dst.shape(), Domain::Eval)?;
    divide(divided.view_mut())?;
    ring.submit(Cmd::Automorphism {
        dst,
        src: divided.view(),
        galois: s.galois,
    })
}

/// `acc[c] += consts addend[c]`, on the limbs of the addend.
fn add_multiple(ring: &Ring, acc: ViewMut, addend: View, consts: Arc<[u64]>) -> Result<()> {
    let dst = acc.polys(0, addend.batch(), 1)?;
    let dst = dst.with_limbs(addend.limbs())?;
    let (op, a) = (ElementwiseOp::Add, None);
    if consts.iter().all(|&c| c == 1) {
        let b = Some(addend);
        return ring.submit(Cmd::Elementwise { op, dst, a, b });
    }
    let mut multiple = ring.alloc(addend.shape(), Domain::Eval)?;
    ring.submit(Cmd::ScaleLimbs {
        dst: multiple.view_mut(),
        src: Some(addend),
        consts,
    })?;
    let b = Some(multiple.view());
    ring.submit(Cmd::Elementwise { op, dst, a, b })
}

fn hoisted_rotation(ring: &Ring, r: HoistedRotation, shared: &HoistedRotations) -> Result<()> {
    let HoistedRotation { dst, key, galois } = r;
    let HoistedRotations {
        digits,
        gadget,
        addend,
        consts,
        mod_down,
    } = shared.clone();
    if let Some(mod_down) = mod_down {
        let switch = KeySwitch {
            src: digits,
            decomposed: true,
            key,
            gadget,
            addend,
            consts,
            mod_down,
            galois,
        };
        let switch = Box::new(switch);
        return ring.submit(Cmd::KeySwitch { dst, switch });
    }
    let mut acc = ring.alloc(dst.shape(), Domain::Eval)?;
    let acc_or_dst = match galois {
        1 => dst.clone(),
        _ => acc.view_mut(),
    };
    ring.submit(Cmd::InnerProduct {
        acc: acc_or_dst.clone(),
        digits,
        key,
        accumulate: false,
    })?;
    add_multiple(ring, acc_or_dst, addend, consts)?;
    if galois == 1 {
        return Ok(());
    }
    ring.submit(Cmd::Automorphism {
        dst,
        src: acc.view(),
        galois,
    })
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

/// The rows that become one, then for each place its product, moved back.
fn folded_mat_mul(
    ring: &Ring,
    dst: &ViewMut,
    (matrix, log_fold): (&IntMatrix, u32),
    src: &View,
    lanes: usize,
) -> Result<()> {
    let (fold, limbs, log_n) = (1usize << log_fold, dst.limbs(), dst.log_n());
    let powers = powers(ring, limbs, log_n, log_fold)?;
    let groups = matrix.columns().div_ceil(fold);
    let of = |rows: usize| Shape::new(rows * lanes, limbs, log_n);
    let first = |place: usize| match place {
        0 => ElementwiseOp::Mul,
        _ => ElementwiseOp::MulAcc,
    };
    let mut folded = ring.alloc(of(groups), Domain::Eval)?;
    for row in 0..matrix.columns() {
        let (group, place) = (row / fold, row % fold);
        ring.submit(Cmd::Elementwise {
            op: first(place),
            dst: folded.view_mut().polys(group * lanes, lanes, 1)?,
            a: Some(src.clone().polys(row * lanes, lanes, 1)?),
            b: Some(powers.poly(place)?),
        })?;
    }
    let mut product = ring.alloc(of(matrix.rows()), Domain::Eval)?;
    for place in 0..fold.min(matrix.columns()) {
        // 1 / Y^b = -Y^(t - b).
        let sign = if place == 0 { 1 } else { -1 };
        let entry = |i: usize, j: usize| {
            let entry = matrix.row(i).get(j * fold + place);
            sign * entry.copied().unwrap_or(0)
        };
        let entries = (0..matrix.rows()).flat_map(|i| (0..groups).map(move |j| (i, j)));
        let entries: Vec<i64> = entries.map(|(i, j)| entry(i, j)).collect();
        let part = IntMatrix::new((matrix.rows(), groups), matrix.bound(), entries)?;
        ring.submit(Cmd::ModMatMul {
            dst: product.view_mut(),
            left: part.into(),
            src: folded.view(),
            lanes,
        })?;
        ring.submit(Cmd::Elementwise {
            op: first(place),
            dst: dst.clone(),
            a: Some(product.view()),
            b: Some(powers.poly((fold - place) % fold)?),
        })?;
    }
    Ok(())
}

/// The powers `X^(N b / t)`, `b < t = 2^log_fold`, evaluation domain.
fn powers(ring: &Ring, limbs: LimbSet, log_n: u32, log_fold: u32) -> Result<PolyBuf> {
    let (n, fold) = (1usize << log_n, 1 << log_fold);
    let shape = Shape::new(fold, limbs, log_n);
    let mut words = vec![0; shape.words()];
    for (row, poly) in words.chunks_exact_mut(n).enumerate() {
        poly[(row / limbs.len()) << (log_n - log_fold)] = 1;
    }
    let mut powers = ring.upload(shape, Domain::Coeff, &words)?;
    ring.ntt(&mut powers)?;
    Ok(powers)
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

/// The lowering of a blind rotation: its steps, each on the whole batch.
struct BlindRotation<'a> {
    ring: &'a Ring,
    acc: ViewMut,
    lwe: View,
    key: View,
    plan: RotationPlan,
    /// Shaped like the accumulators: products by monomials.
    rotated: PolyBuf,
    /// Shaped like the accumulators: external products.
    product: PolyBuf,
    /// One polynomial for each row of a GGSW ciphertext and each accumulator.
    digits: PolyBuf,
}

impl<'a> BlindRotation<'a> {
    fn new(ring: &'a Ring, acc: ViewMut, lwe: View, key: View, plan: RotationPlan) -> Result<Self> {
        let count = acc.batch() / plan.lanes();
        let rows = Shape::new(count * plan.row_count(), acc.limbs(), acc.log_n());
        Ok(Self {
            ring,
            rotated: ring.alloc(acc.shape(), Domain::Coeff)?,
            product: ring.alloc(acc.shape(), Domain::Eval)?,
            digits: ring.alloc(rows, Domain::Coeff)?,
            acc,
            lwe,
            key,
            plan,
        })
    }

    fn run(mut self, table: View) -> Result<()> {
        self.ring.submit(Cmd::Monomial {
            dst: self.acc.clone(),
            src: table,
            power: self.power(self.plan.exponents(), true),
        })?;
        if self.plan.group() == 1 {
            return (0..self.plan.steps()).try_for_each(|step| self.step(step));
        }
        let mut bundle = Bundle::new(self.ring, &self.acc, self.plan)?;
        (0..self.plan.steps()).try_for_each(|step| self.grouped_step(step, &mut bundle))
    }

    /// Word `index` of the LWE ciphertexts as exponents.
    fn power(&self, index: usize, inverse: bool) -> Power {
        Power::Word {
            lwe: self.lwe.clone(),
            width: lwe_width(self.plan.exponents(), self.acc.log_n()),
            index,
            inverse,
        }
    }

    /// `acc += GGSW * (X^a acc - acc)`.
    fn step(&mut self, step: usize) -> Result<()> {
        let (ring, plan) = (self.ring, self.plan);
        ring.submit(Cmd::Monomial {
            dst: self.rotated.view_mut(),
            src: (*self.acc).clone(),
            power: self.power(step, false),
        })?;
        ring.submit(Cmd::Elementwise {
            op: ElementwiseOp::Sub,
            dst: self.rotated.view_mut(),
            a: None,
            b: Some((*self.acc).clone()),
        })?;
        let rotated = self.rotated.view();
        self.decompose(rotated)?;
        let count = self.acc.batch() / plan.lanes();
        for lane in 0..plan.lanes() {
            let terms = (0..plan.row_count()).map(|row| {
                let digit = self.digits.view().polys(row, count, plan.row_count())?;
                let key = self.key.clone();
                Ok((digit, key.polys(plan.key_poly(step, row, lane), 1, 1)?))
            });
            ring.submit(Cmd::DiagMulAcc {
                acc: self.product.view_mut().polys(lane, count, plan.lanes())?,
                terms: terms.collect::<Result<_>>()?,
                accumulate: false,
            })?;
        }
        ring.intt(&mut self.product)?;
        ring.submit(Cmd::Elementwise {
            op: ElementwiseOp::Add,
            dst: self.acc.clone(),
            a: None,
            b: Some(self.product.view()),
        })?;
        // Both buffers are written anew in the next step.
        self.product.domain = Domain::Eval;
        self.digits.domain = Domain::Coeff;
        Ok(())
    }

    /// `acc = (G + sum_p (X^a_p - 1) GGSW_p) * acc`.
    fn grouped_step(&mut self, step: usize, bundle: &mut Bundle) -> Result<()> {
        let (ring, plan) = (self.ring, self.plan);
        let (lanes, rows) = (plan.lanes(), plan.row_count());
        let count = self.acc.batch() / lanes;
        let first = step * plan.patterns();
        for p in 0..plan.patterns() {
            ring.submit(Cmd::Monomial {
                dst: (bundle.monomials.view_mut()).polys(p, count, plan.patterns())?,
                src: bundle.one.view(),
                power: self.power(first + p, false),
            })?;
        }
        ring.submit(Cmd::Elementwise {
            op: ElementwiseOp::Sub,
            dst: bundle.monomials.view_mut(),
            a: None,
            b: Some(bundle.one.view()),
        })?;
        ring.ntt(&mut bundle.monomials)?;
        self.decompose((*self.acc).clone())?;
        let m = *ring
            .spec()
            .modulus(self.acc.limbs().iter().next().unwrap_or(0));
        for (row, (of, level)) in plan.rows().enumerate() {
            for lane in 0..lanes {
                let terms = (0..plan.patterns()).map(|p| {
                    let monomial = bundle.monomials.view().polys(p, count, plan.patterns())?;
                    let key = self.key.clone();
                    Ok((
                        monomial,
                        key.polys(plan.key_poly(first + p, row, lane), 1, 1)?,
                    ))
                });
                ring.submit(Cmd::DiagMulAcc {
                    acc: bundle.ggsw.view_mut(),
                    terms: terms.collect::<Result<_>>()?,
                    accumulate: false,
                })?;
                if lane == of {
                    // The gadget's factor is a constant polynomial.
                    let factor = 1 << plan.digits(lane).factor_log(m.bits(), level);
                    ring.submit(Cmd::OffsetLimbs {
                        dst: bundle.ggsw.view_mut(),
                        src: None,
                        consts: [m.reduce(factor)].into(),
                    })?;
                }
                ring.submit(Cmd::Elementwise {
                    op: if row == 0 {
                        ElementwiseOp::Mul
                    } else {
                        ElementwiseOp::MulAcc
                    },
                    dst: self.product.view_mut().polys(lane, count, lanes)?,
                    a: Some(self.digits.view().polys(row, count, rows)?),
                    b: Some(bundle.ggsw.view()),
                })?;
            }
        }
        ring.intt(&mut self.product)?;
        ring.submit(Cmd::Copy {
            dst: self.acc.clone(),
            src: self.product.view(),
        })?;
        // These are written anew in the next step.
        self.product.domain = Domain::Eval;
        self.digits.domain = Domain::Coeff;
        bundle.monomials.domain = Domain::Coeff;
        Ok(())
    }

    /// The digits of accumulators, transformed.
    fn decompose(&mut self, src: View) -> Result<()> {
        let (lanes, rows) = (self.plan.lanes(), self.plan.row_count());
        let count = self.acc.batch() / lanes;
        for (row, (lane, level)) in self.plan.rows().enumerate() {
            self.ring.submit(Cmd::Digit {
                dst: self.digits.view_mut().polys(row, count, rows)?,
                src: src.clone().polys(lane, count, lanes)?,
                plan: self.plan.digits(lane),
                level,
            })?;
        }
        self.ring.ntt(&mut self.digits)
    }
}

/// What a step that takes several key bits works with.
struct Bundle {
    one: PolyBuf,
    /// One polynomial for each accumulator and pattern.
    monomials: PolyBuf,
    /// One polynomial of the GGSW ciphertext of each accumulator.
    ggsw: PolyBuf,
}

impl Bundle {
    fn new(ring: &Ring, acc: &ViewMut, plan: RotationPlan) -> Result<Self> {
        let count = acc.batch() / plan.lanes();
        let shape = |polys| Shape::new(polys, acc.limbs(), acc.log_n());
        // Without an upload: nothing moves during a rotation.
        let mut one = ring.alloc(shape(1), Domain::Coeff)?;
        let some = (**acc).clone().polys(0, 1, 1)?;
        ring.submit(Cmd::Elementwise {
            op: ElementwiseOp::Sub,
            dst: one.view_mut(),
            a: Some(some.clone()),
            b: Some(some),
        })?;
        one.domain = Domain::Eval;
        ring.submit(Cmd::OffsetLimbs {
            dst: one.view_mut(),
            src: None,
            consts: [1].into(),
        })?;
        ring.intt(&mut one)?;
        Ok(Self {
            one,
            monomials: ring.alloc(shape(count * plan.patterns()), Domain::Coeff)?,
            ggsw: ring.alloc(shape(count), Domain::Eval)?,
        })
    }
}
