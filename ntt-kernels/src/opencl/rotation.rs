//! Products by powers of `X`, digits of single residues, and blind rotations: each a command on a
//! whole batch, with accumulators, digits and key in device memory.
//!
//! | command | launches by rows | tiled, for `N <= 2^10` |
//! |---|---|---|
//! | product by a power, digit | 1 | 1, 1 |
//! | blind rotation | 2, and 4 for each step | 2, and 6 for each step, 4 |
//! | the same with groups of key bits | 1, and 4 for each step | 1, and 6 for each step, 4 |
//!
//! A step is digits, their transform, product with the key, inverse transform. Without groups the
//! products of a step are added to the accumulators where the next step makes its digits.

use std::sync::Arc;

use super::{
    memory::Buffer,
    programs::Source,
    ring::{OpenClRing, Place, State},
    sys::{Arg, Words8},
    tables::{Rows, root_powers},
    transform::End,
};
use crate::{
    error::Result,
    poly::{DigitPlan, LimbSet, Power, RotationPlan, View, ViewMut, lwe_width},
};

impl OpenClRing {
    pub(super) fn monomial(
        &self,
        state: &mut State,
        dst: &ViewMut,
        src: &View,
        power: &Power,
    ) -> Result<()> {
        let rows = self.rows(state, dst.batch(), dst.limbs())?;
        let (mut turn, lanes) = (Turn::fixed(Place::of(src)), dst.batch());
        let lanes = match power {
            Power::Fixed(exponent) => {
                turn.exponent = (exponent % (2 << dst.log_n())) as u32;
                lanes
            }
            Power::Word {
                lwe,
                width,
                index,
                inverse,
            } => {
                turn = Turn {
                    lwe: Place::of(lwe),
                    limb: only_limb(lwe),
                    width: *width as u32,
                    index: *index as u32,
                    sign: if *inverse { 2 } else { 1 },
                    exponent: 0,
                };
                lanes * width / lwe.batch()
            }
        };
        let (dst, from) = ((Place::of(dst), dst.log_n()), Place::of(src));
        self.turn(state, dst, (from, src.batch()), turn, lanes, &rows)
    }

    /// `lanes` polynomials of the destination have the same exponent; those of the source repeat.
    fn turn(
        &self,
        state: &mut State,
        (dst, log_n): (Place<'_>, u32),
        (src, repeat): (Place<'_>, usize),
        turn: Turn<'_>,
        lanes: usize,
        rows: &Rows,
    ) -> Result<()> {
        let mut args = Vec::from(dst.args());
        args.extend(src.args());
        args.extend(turn.lwe.args());
        args.extend([
            Arg::Word(turn.limb),
            Arg::Word(turn.width),
            Arg::Word(turn.index),
            Arg::Word(turn.sign),
            Arg::Word(turn.exponent),
            Arg::Word(lanes as u32),
            Arg::Word(repeat as u32),
        ]);
        self.by_rows(state, "monomial", args, (rows, 1), log_n)
    }

    pub(super) fn digit(
        &self,
        state: &mut State,
        dst: &ViewMut,
        src: &View,
        plan: DigitPlan,
        level: u32,
    ) -> Result<()> {
        let rows = self.rows(state, dst.batch(), dst.limbs())?;
        let mut args = Vec::from(Place::of(dst).args());
        args.extend(Place::of(src).args());
        args.extend([plan.base_log(), plan.levels(), level].map(Arg::Word));
        self.by_rows(state, "digit", args, (&rows, 1), dst.log_n())
    }

    /// See [`Cmd::BlindRotate`](crate::poly::Cmd::BlindRotate).
    pub(super) fn blind_rotate(
        &self,
        state: &mut State,
        acc: &ViewMut,
        (table, lwe, key): (&View, &View, &View),
        plan: &RotationPlan,
    ) -> Result<()> {
        let (lanes, limbs, n) = (plan.lanes(), acc.limbs(), acc.n());
        let count = acc.batch() / lanes;
        let product = self.scratch(state, count * lanes * n)?;
        let digits = self.scratch(state, count * plan.row_count() * n)?;
        let rotation = Rotation {
            ring: self,
            plan,
            log_n: acc.log_n(),
            limb: only_limb(acc),
            lwe: Place::of(lwe),
            key: Place::of(key),
            product: Place::scratch(&product, limbs),
            digits: Place::scratch(&digits, limbs),
            accumulators: self.rows(state, count * lanes, limbs)?,
            digit_rows: self.rows(state, count * plan.row_count(), limbs)?,
            ciphertexts: self.rows(state, count, limbs)?,
        };
        let start = Turn {
            sign: 2,
            ..rotation.turn(plan.exponents())
        };
        let table = (Place::of(table), table.batch());
        let (dst, rows) = (Place::of(acc), rotation.accumulators.clone());
        self.turn(state, (dst, acc.log_n()), table, start, lanes, &rows)?;
        if plan.group() > 1 {
            return rotation.run_grouped(state, dst, limbs);
        }
        let other: Buffer = self.scratch(state, count * lanes * n)?;
        rotation.run(state, [dst, Place::scratch(&other, limbs)])
    }

    /// Queues a kernel of rotation.cl; `args` come before rows and moduli.
    fn by_rows(
        &self,
        state: &mut State,
        kernel: &'static str,
        args: Vec<Arg<'_>>,
        (rows, depth): (&Rows, usize),
        log_n: u32,
    ) -> Result<()> {
        let (n, items) = (1 << log_n, self.items(1 << log_n));
        let mut args: Vec<Arg<'_>> = args; // with a shorter lifetime
        args.extend([
            Arg::Memory(&rows.list),
            Arg::Memory(&self.constants.moduli),
            Arg::Word(log_n),
        ]);
        let kernel = (Source::Rotation { items }, kernel);
        self.launch(state, kernel, args, [n, rows.count, depth], items)
    }
}

/// The exponents of products by powers of `X`.
#[derive(Clone, Copy)]
struct Turn<'a> {
    lwe: Place<'a>,
    limb: u32,
    width: u32,
    index: u32,
    /// As rotation.cl says.
    sign: u32,
    exponent: u32,
}

impl<'a> Turn<'a> {
    /// By `X^0`; the place is not read.
    fn fixed(unread: Place<'a>) -> Self {
        Self {
            lwe: unread,
            limb: 0,
            width: 1,
            index: 0,
            sign: 0,
            exponent: 0,
        }
    }
}

struct Rotation<'a> {
    ring: &'a OpenClRing,
    plan: &'a RotationPlan,
    log_n: u32,
    limb: u32,
    lwe: Place<'a>,
    key: Place<'a>,
    /// One polynomial for each of the accumulators.
    product: Place<'a>,
    /// One polynomial for each row of a GGSW ciphertext and each accumulator.
    digits: Place<'a>,
    accumulators: Arc<Rows>,
    digit_rows: Arc<Rows>,
    ciphertexts: Arc<Rows>,
}

impl<'a> Rotation<'a> {
    fn turn(&self, index: usize) -> Turn<'a> {
        Turn {
            lwe: self.lwe,
            limb: self.limb,
            width: self.width(),
            index: index as u32,
            sign: 1,
            exponent: 0,
        }
    }

    fn width(&self) -> u32 {
        lwe_width(self.plan.exponents(), self.log_n) as u32
    }

    /// `acc += GGSW * (X^a acc - acc)` for every step. The first place has the accumulators and gets
    /// the result.
    fn run(&self, state: &mut State, [dst, other]: [Place<'a>; 2]) -> Result<()> {
        let (mut acc, mut next) = (dst, other);
        for step in 0..self.plan.steps() {
            let mut args = Vec::from(self.digits.args());
            for place in [next, acc, self.product] {
                args.extend(place.args());
            }
            args.push(Arg::Word(u32::from(step > 0)));
            args.extend(self.lwe.args());
            args.extend([Arg::Word(step as u32), self.shape()]);
            let rows = (&*self.accumulators, 1);
            (self.ring).by_rows(state, "difference_digits", args, rows, self.log_n)?;
            if step > 0 {
                std::mem::swap(&mut acc, &mut next);
            }
            self.transform_digits(state)?;
            let mut args = Vec::from(self.product.args());
            args.extend(self.digits.args());
            args.extend(self.key.args());
            args.extend([Arg::Word(step as u32), self.shape()]);
            let rows = (&*self.ciphertexts, self.plan.lanes());
            (self.ring).by_rows(state, "external_product", args, rows, self.log_n)?;
            self.transform_products(state, self.product)?;
        }
        let operands = [dst, acc, self.product];
        (self.ring).add_rows(state, operands, &self.accumulators, self.log_n)
    }

    /// `acc = (G + sum_p (X^a_p - 1) GGSW_p) * acc` for every step.
    fn run_grouped(&self, state: &mut State, acc: Place<'a>, limbs: LimbSet) -> Result<()> {
        let limb = self.limb as usize;
        let powers = (self.ring).powers(state, (limbs, self.log_n), || {
            root_powers(&self.ring.shared, self.ring.spec.modulus(limb), self.log_n)
        })?;
        for step in 0..self.plan.steps() {
            let mut args = Vec::from(self.digits.args());
            args.extend(acc.args());
            args.push(self.shape());
            let rows = (&*self.accumulators, 1);
            (self.ring).by_rows(state, "accumulator_digits", args, rows, self.log_n)?;
            self.transform_digits(state)?;
            let mut args = Vec::from(self.product.args());
            for place in [self.digits, self.key, self.lwe] {
                args.extend(place.args());
            }
            let first = (step * self.plan.patterns()) as u32;
            args.extend([Arg::Memory(&powers), Arg::Word(first), self.shape()]);
            let rows = (&*self.ciphertexts, 1);
            (self.ring).by_rows(state, "grouped_product", args, rows, self.log_n)?;
            self.transform_products(state, acc)?;
        }
        Ok(())
    }

    fn transform_digits(&self, state: &mut State) -> Result<()> {
        let places = (self.digits, self.digits);
        (self.ring).transform(state, places, &self.digit_rows, self.log_n, End::Forward)
    }

    fn transform_products(&self, state: &mut State, dst: Place<'_>) -> Result<()> {
        let places = (dst, self.product);
        (self.ring).transform(state, places, &self.accumulators, self.log_n, End::Inverse)
    }

    /// The plan as rotation.cl takes it.
    fn shape(&self) -> Arg<'static> {
        let (mask, body) = (self.plan.digits(0), self.plan.digits(self.plan.lanes() - 1));
        Arg::Words8(Words8([
            self.plan.lanes() as u32 - 1,
            mask.base_log(),
            mask.levels(),
            body.base_log(),
            body.levels(),
            self.plan.row_count() as u32,
            self.plan.patterns() as u32,
            self.width(),
        ]))
    }
}

/// The limb of a view that has one.
pub(super) fn only_limb(view: &View) -> u32 {
    let limb = view.limbs().iter().next();
    limb.expect("the ring has checked that there is one limb") as u32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::print_stderr)] // says why nothing was tested

    use crate::{
        CpuDevice, Ring,
        arith::primes_below,
        device::Device,
        error::Error,
        opencl::{OpenClDevice, Transforms},
        poly::{
            Cmd, DigitPlan, Domain, LimbSet, LweSwitchKey, RingSpec, Role, RotationPlan, Shape,
            lwe_width,
        },
        testing::Input,
    };

    const LOG_N: u32 = 6;
    const STEPS: usize = 4;

    /// A key-switch, exponents and a rotation of `count` ciphertexts; the accumulators.
    fn look_up(device: &dyn Device, group: usize, count: usize) -> Vec<u64> {
        let q = primes_below(50, 2 << LOG_N, 1).unwrap();
        let ring = Ring::new(device, &RingSpec::new(LOG_N, &q).unwrap()).unwrap();
        let digits = DigitPlan::new(16, 2).unwrap();
        let plan = RotationPlan::new(STEPS * group, 1, digits, digits).unwrap();
        let plan = plan.grouped(group).unwrap();
        let (source, target) = (1 << LOG_N, plan.dimension());
        let shape = |polys| Shape::new(polys, LimbSet::single(0), LOG_N);
        let buffer = |polys, domain, seed| {
            let words = Input::Random(seed).words(ring.spec(), shape(polys));
            ring.upload(shape(polys), domain, &words).unwrap()
        };
        let switch = DigitPlan::new(4, 4).unwrap();
        let words = (0..source * 4 * (target + 1)).map(|i| (i as u32).wrapping_mul(0x9e37_79b9));
        let words: Vec<u32> = words.collect();
        let switch = LweSwitchKey::new((source, target), switch, words).unwrap();
        let key = buffer(plan.key_polys(), Domain::Eval, 1);
        let key = ring.prepare(&key, Role::Diagonal).unwrap();
        let table = buffer(2, Domain::Coeff, 2);
        let input = buffer(lwe_width(source, LOG_N) * count, Domain::Coeff, 3);
        let alloc = |polys| ring.alloc(shape(polys), Domain::Coeff).unwrap();
        let mut small = alloc(lwe_width(target, LOG_N) * count);
        let mut exponents = alloc(lwe_width(plan.exponents(), LOG_N) * count);
        let mut acc = alloc(2 * count);
        let before = ring.stats();
        for _ in 0..2 {
            ring.submit(Cmd::LweKeySwitch {
                dst: small.view_mut(),
                src: input.view(),
                key: switch.clone(),
            })
            .unwrap();
            ring.submit(Cmd::LweGroupSwitch {
                dst: exponents.view_mut(),
                src: small.view(),
                plan,
            })
            .unwrap();
            ring.submit(Cmd::BlindRotate {
                acc: acc.view_mut(),
                table: table.view(),
                lwe: exponents.view(),
                key: key.view(),
                plan,
            })
            .unwrap();
        }
        let after = ring.stats();
        assert_eq!(
            (after.bytes_h2d, after.bytes_d2h, after.host_fallback_cmds),
            (before.bytes_h2d, before.bytes_d2h, 0)
        );
        ring.download(&acc).unwrap()
    }

    /// Two look-ups of a batch: three launches before each rotation, whatever the batch; residues
    /// are the CPU's. More ciphertexts than a work item switches together.
    #[test]
    fn a_rotation_of_a_batch_is_four_launches_for_each_step() {
        let cpu = CpuDevice::builder().threads(1).build().unwrap();
        for transforms in [Transforms::Rows, Transforms::Tiled] {
            let builder = OpenClDevice::builder()
                .with_doubles()
                .transforms(transforms);
            let device = match builder.without_optimisation().build() {
                Ok(device) => device,
                Err(error @ Error::Unavailable { .. }) => {
                    return eprintln!("not tested here: {error}");
                }
                Err(error) => panic!("{error}"),
            };
            for (group, count) in [(1, 1), (1, 11), (2, 11)] {
                let start = device.launches();
                let got = look_up(&device, group, count);
                // The key is copied once.
                let launches = device.launches() - start - 1;
                let around = if group == 1 { 2 } else { 1 };
                assert_eq!(launches, 2 * (3 + around + 4 * STEPS as u64));
                assert!(got == look_up(&cpu, group, count), "{transforms:?} {group}");
            }
        }
    }
}
