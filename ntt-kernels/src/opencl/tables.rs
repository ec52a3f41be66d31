//! Constants on the device: moduli, twiddles, row lists and those of plans.

use std::{any::Any, sync::Arc};

use super::{device::Shared, memory::table_fault, sys::Memory};
use crate::{
    arith::{Modulus, ShoupWord, bit_reverse, root_of_unity},
    error::Result,
    poly::{BaseConvertPlan, GadgetPlan, LiftMode, LimbSet, ModDownPlan, RingSpec},
};

/// What depends on the modulus table only.
pub(super) struct Constants {
    /// Eight words for each limb, as `modulus` in common.cl says.
    pub(super) moduli: Memory,
    /// `psi^bitrev(k)` with quotients, `N` for each limb.
    pub(super) forward: Memory,
    /// `psi^-bitrev(k)` with quotients.
    pub(super) inverse: Memory,
    /// `1/N` and `psi^(-N/2)/N` with quotients, 18 degrees for each limb.
    pub(super) scalings: Memory,
}

/// Degrees `2^0` to `2^17`.
const DEGREES: u32 = 18;

impl Constants {
    pub(super) fn new(shared: &Shared, spec: &RingSpec) -> Result<Self> {
        let log_n = spec.log_n();
        let mut moduli = Vec::with_capacity(8 * spec.moduli().len());
        let mut forward = Vec::with_capacity(spec.moduli().len() << log_n);
        let mut inverse = Vec::with_capacity(spec.moduli().len() << log_n);
        let mut scalings = Vec::new();
        for m in spec.moduli() {
            moduli.extend(modulus_words(m));
            let psi = root_of_unity(m, log_n)?;
            forward.extend(powers(m, psi, log_n));
            let inverses = powers(m, m.inv(psi), log_n);
            for log_n in 0..DEGREES {
                // A modulus may be too small for a degree of other rings: the entry is not used.
                let n_inv = m.inv(m.reduce(1 << log_n));
                let last = m.mul(n_inv, inverses[1][0]);
                let ([a, b], [c, d]) = (pair(m.shoup(n_inv)), pair(m.shoup(last)));
                scalings.push([a, b, c, d]);
            }
            inverse.extend(inverses);
        }
        Ok(Self {
            moduli: table(shared, &moduli)?,
            forward: table(shared, &forward)?,
            inverse: table(shared, &inverse)?,
            scalings: table(shared, &scalings)?,
        })
    }
}

/// The row of the modulus table, as common.cl reads it.
fn modulus_words(m: &Modulus) -> [u64; 8] {
    let (q, bits) = (u128::from(m.value()), m.bits());
    let barrett = u128::MAX / q;
    let mu = (1u128 << (2 * bits)) / q;
    let reciprocal = (1u128 << (bits + 63)) / q;
    [
        m.value(),
        (barrett >> 64) as u64,
        barrett as u64,
        // Below 2^(bits + 1), as q is above 2^(bits - 1), so the shifted one fits a word.
        (mu << (63 - bits)) as u64,
        u64::from(bits),
        reciprocal as u64,
        0,
        0,
    ]
}

fn powers(m: &Modulus, root: u64, log_n: u32) -> Vec<[u64; 2]> {
    let mut table = vec![[0; 2]; 1 << log_n];
    let step = m.shoup(root);
    let mut power = 1;
    for i in 0..table.len() {
        table[bit_reverse(i, log_n)] = pair(m.shoup(power));
        power = m.mul_shoup(power, step);
    }
    table
}

pub(super) fn pair(w: ShoupWord) -> [u64; 2] {
    [w.value, w.quotient]
}

/// A table on the device.
pub(super) fn table<T: bytemuck::NoUninit>(shared: &Shared, words: &[T]) -> Result<Memory> {
    let bytes = size_of_val(words);
    let fault = table_fault(bytes, shared.info.buffer_bytes);
    shared.session.table(words).map_err(fault)
}

/// A list of rows that a command works on.
pub(super) struct Rows {
    pub(super) list: Memory,
    pub(super) count: usize,
}

impl Rows {
    pub(super) fn new(shared: &Shared, rows: impl Iterator<Item = (usize, usize)>) -> Result<Self> {
        let list: Vec<u32> = rows.map(|(poly, limb)| (poly << 8 | limb) as u32).collect();
        Ok(Self {
            list: table(shared, &list)?,
            count: list.len(),
        })
    }

    /// Polynomial by polynomial.
    pub(super) fn product(shared: &Shared, batch: usize, limbs: LimbSet) -> Result<Self> {
        let rows = (0..batch).flat_map(|poly| limbs.iter().map(move |limb| (poly, limb)));
        Self::new(shared, rows)
    }
}

/// Constants of one or more lifts from rows of one source polynomial.
pub(super) struct Lift {
    pub(super) sources: Rows,
    /// `(Q/q_i)^-1`, quotient, summand, 0 for each source row.
    pub(super) constants: Memory,
    pub(super) tasks: Memory,
    pub(super) task_count: usize,
    pub(super) factors: Memory,
    pub(super) exact: bool,
}

/// Target limbs of one task of a lift.
const TARGETS: usize = 4;

impl Lift {
    /// Lifts `plans`, the result of the `d`-th in polynomial `d` of the destination. All have the
    /// mode of the first.
    fn new(shared: &Shared, spec: &RingSpec, plans: &[&BaseConvertPlan]) -> Result<Self> {
        let exact = plans[0].mode() == LiftMode::CentredExact;
        let row_count: usize = plans.iter().map(|plan| plan.source().len()).sum();
        let (mut rows, mut constants) = (Vec::new(), Vec::new());
        let (mut tasks, mut factors) = (Vec::<[u32; 8]>::new(), Vec::<[u64; TARGETS]>::new());
        for (poly, plan) in plans.iter().enumerate() {
            let (first, count) = (rows.len(), plan.source().len());
            for (i, limb) in plan.source().iter().enumerate() {
                let [factor, quotient] = pair(plan.inv_hats()[i]);
                let summand = if exact { 0 } else { plan.halves()[i] };
                rows.push((0, limb));
                constants.push([factor, quotient, summand, 0]);
            }
            let targets: Vec<(usize, usize)> = plan.target().iter().enumerate().collect();
            for group in targets.chunks(TARGETS) {
                let start = factors.len() * TARGETS;
                let mut limbs = 0;
                let mut block = vec![[0; TARGETS]; count + 1];
                for (k, &(target, limb)) in group.iter().enumerate() {
                    limbs |= (limb as u32) << (8 * k);
                    for (s, &hat) in plan.hats(target).iter().enumerate() {
                        block[s][k] = hat;
                    }
                    block[count][k] = if exact {
                        spec.modulus(limb).neg(plan.products()[target])
                    } else {
                        plan.offsets()[target]
                    };
                }
                factors.extend(block);
                let (poly, first, count) = (poly as u32, first as u32, count as u32);
                let (start, size) = (start as u32, group.len() as u32);
                tasks.push([poly, first, count, start, size, limbs, row_count as u32, 0]);
            }
        }
        Ok(Self {
            sources: Rows::new(shared, rows.into_iter())?,
            constants: table(shared, &constants)?,
            task_count: tasks.len(),
            tasks: table(shared, &tasks)?,
            factors: table(shared, &factors)?,
            exact,
        })
    }
}

/// Constants of a plan, and the plan itself: while it is here, its address is no other plan's.
pub(super) struct PlanTables {
    pub(super) lift: Lift,
    /// Mod-down: `D^-1` with quotients, by row of the modulus table.
    pub(super) inverses: Option<Memory>,
    /// Gadget: rows of the digits that are lifted, and those that the source has.
    pub(super) digits: Option<(Rows, Rows)>,
    _plan: Arc<dyn Any + Send + Sync>,
}

impl PlanTables {
    pub(super) fn convert(
        shared: &Shared,
        spec: &RingSpec,
        plan: &Arc<BaseConvertPlan>,
    ) -> Result<Self> {
        Ok(Self {
            lift: Lift::new(shared, spec, &[plan])?,
            inverses: None,
            digits: None,
            _plan: plan.clone(),
        })
    }

    pub(super) fn mod_down(
        shared: &Shared,
        spec: &RingSpec,
        plan: &Arc<ModDownPlan>,
    ) -> Result<Self> {
        let mut inverses = vec![[0; 2]; spec.moduli().len()];
        for (limb, &w) in plan.kept().iter().zip(plan.inverses()) {
            inverses[limb] = pair(w);
        }
        Ok(Self {
            lift: Lift::new(shared, spec, &[plan.lift()])?,
            inverses: Some(table(shared, &inverses)?),
            digits: None,
            _plan: plan.clone(),
        })
    }

    pub(super) fn gadget(shared: &Shared, spec: &RingSpec, plan: &Arc<GadgetPlan>) -> Result<Self> {
        let lifts: Vec<&BaseConvertPlan> = plan.digits().iter().map(|d| &**d.lift()).collect();
        let rows = |of: &dyn Fn(usize) -> LimbSet| {
            let digits = 0..plan.digits().len();
            Rows::new(
                shared,
                digits.flat_map(|d| of(d).iter().map(move |limb| (d, limb))),
            )
        };
        let lifted = rows(&|d| plan.digits()[d].lift().target())?;
        let own = rows(&|d| plan.digits()[d].limbs())?;
        Ok(Self {
            lift: Lift::new(shared, spec, &lifts)?,
            inverses: None,
            digits: Some((lifted, own)),
            _plan: plan.clone(),
        })
    }
}
