//! Constants on the device: moduli, twiddles, row lists and those of plans.

use std::{any::Any, sync::Arc};

use super::{device::Shared, memory::table_fault, programs::RowsIn, sys::Memory};
use crate::{
    arith::{Modulus, ShoupWord, bit_reverse, root_of_unity},
    error::Result,
    poly::{BaseConvertPlan, GadgetPlan, LiftMode, LimbSet, ModDownPlan, RingSpec},
};

/// What depends on the modulus table only.
pub(super) struct Constants {
    /// Eight words for each limb, as `modulus` in common.cl says.
    pub(super) moduli: Memory,
    /// `psi^bitrev(k)`, `N` for each limb, and what [`row_factor`] puts beside them: pairs, or where
    /// transforms run row by row or are in doubles first all factors. Tiles in doubles read no other.
    pub(super) forward: Memory,
    /// `psi^-bitrev(k)`, in the same form.
    pub(super) inverse: Memory,
    /// `1/N` and `psi^(-N/2)/N`, 18 degrees for each limb, as [`scaling`] makes.
    pub(super) scalings: Memory,
    /// For each limb no digit, as [`PlanTables::owners`] says.
    pub(super) nobody: Memory,
    /// What transforms are in.
    pub(super) rows_in: RowsIn,
}

/// `psi^0` to `psi^(N-1)` as residues, where `psi` belongs to a ring of degree `2^log_n`.
pub(super) fn root_powers(shared: &Shared, m: &Modulus, log_n: u32) -> Result<Memory> {
    let psi = root_of_unity(m, log_n)?;
    let powers = std::iter::successors(Some(1), |&power| Some(m.mul(power, psi)));
    table(shared, &powers.take(1 << log_n).collect::<Vec<u64>>())
}

/// Large constants on the device, latest last.
pub(super) struct Latest<K>(Vec<(K, Memory)>);

impl<K> Default for Latest<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Clone> Latest<K> {
    /// The constants of `key`, made now if need be: of `bytes` bytes, after the oldest have made room
    /// within `most`.
    pub(super) fn get(
        &mut self,
        key: &K,
        same: impl Fn(&K, &K) -> bool,
        (bytes, most): (u64, u64),
        make: impl FnOnce() -> Result<Memory>,
    ) -> Result<&Memory> {
        let entry = match self.0.iter().position(|(kept, _)| same(kept, key)) {
            Some(at) => self.0.remove(at),
            None => {
                while !self.0.is_empty() && self.held_bytes() + bytes > most {
                    self.0.remove(0);
                }
                (key.clone(), make()?)
            }
        };
        self.0.push(entry);
        let (_, memory) = self.0.last().expect("it was just pushed");
        Ok(memory)
    }

    fn held_bytes(&self) -> u64 {
        self.0.iter().map(|(_, memory)| memory.bytes() as u64).sum()
    }
}

/// Degrees `2^0` to `2^17`.
pub(super) const DEGREES: u32 = 18;

impl Constants {
    pub(super) fn new(shared: &Shared, spec: &RingSpec) -> Result<Self> {
        let log_n = spec.log_n();
        let mut moduli = Vec::with_capacity(8 * spec.moduli().len());
        let mut forward = Vec::with_capacity((2 * spec.moduli().len()) << log_n);
        let mut inverse = Vec::with_capacity((2 * spec.moduli().len()) << log_n);
        let mut scalings = Vec::new();
        let twiddles = |m: &Modulus, table: &mut Vec<u64>, powers: &[u64]| {
            let factors = powers.iter().map(|&w| row_factor(shared, m, w));
            if shared.tiled && !in_doubles(shared, m) {
                table.extend(factors.flatten());
            } else {
                let (factors, ratios): (Vec<u64>, Vec<u64>) = factors.map(|[w, r]| (w, r)).unzip();
                table.extend(factors);
                table.extend(ratios);
            }
        };
        for m in spec.moduli() {
            moduli.extend(modulus_words(shared, m));
            let psi = root_of_unity(m, log_n)?;
            twiddles(m, &mut forward, &powers(m, psi, log_n));
            let inverses = powers(m, m.inv(psi), log_n);
            for log_n in 0..DEGREES {
                scalings.extend(scaling(shared, m, inverses[1], log_n, 1, 0));
            }
            twiddles(m, &mut inverse, &inverses);
        }
        Ok(Self {
            moduli: table(shared, &moduli)?,
            forward: table(shared, &forward)?,
            inverse: table(shared, &inverse)?,
            scalings: table(shared, &scalings)?,
            nobody: table(shared, &vec![u32::MAX; spec.moduli().len()])?,
            rows_in: match spec
                .moduli()
                .iter()
                .filter(|m| in_doubles(shared, m))
                .count()
            {
                0 => RowsIn::Words,
                count if count == spec.moduli().len() => RowsIn::Doubles,
                _ => RowsIn::Both,
            },
        })
    }
}

/// The factors of sums and differences in the last stage of an inverse transform, whose twiddle is
/// `root`. A modulus may be too small for a degree of other rings: what comes out is not used.
fn last_factors(m: &Modulus, root: u64, log_n: u32) -> (u64, u64) {
    let n_inv = m.inv(m.reduce(1 << log_n));
    (n_inv, m.mul(n_inv, root))
}

/// The last stage of an inverse transform, whose result is multiplied by `factor` and
/// increased by `summand`.
fn scaling(
    shared: &Shared,
    m: &Modulus,
    root: u64,
    log_n: u32,
    factor: u64,
    summand: u64,
) -> [u64; 8] {
    let (sum, difference) = last_factors(m, root, log_n);
    let [a, b] = row_factor(shared, m, m.mul(sum, factor));
    let [c, d] = row_factor(shared, m, m.mul(difference, factor));
    [a, b, c, d, summand, 0, 0, 0]
}

/// A factor as transforms take it: centred and divided by the modulus, both in doubles, or with its
/// quotient.
fn row_factor(shared: &Shared, m: &Modulus, factor: u64) -> [u64; 2] {
    if !in_doubles(shared, m) {
        return pair(m.shoup(factor));
    }
    row_factor_in_doubles(m, factor)
}

/// A factor, centred, and divided by a modulus below `2^50`, both in doubles.
pub(super) fn row_factor_in_doubles(m: &Modulus, factor: u64) -> [u64; 2] {
    // All three below 2^50: exact.
    let (q, w) = (m.value() as f64, factor as f64);
    let centred = if w > q / 2.0 { w - q } else { w };
    [centred.to_bits(), (centred / q).to_bits()]
}

/// Whether transforms modulo this prime run in doubles.
fn in_doubles(shared: &Shared, m: &Modulus) -> bool {
    shared.arithmetic.doubles && m.bits() <= 50
}

/// The row of the modulus table, as common.cl reads it.
fn modulus_words(shared: &Shared, m: &Modulus) -> [u64; 8] {
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
        if in_doubles(shared, m) {
            (1.0 / m.value() as f64).to_bits()
        } else {
            0
        },
        0,
    ]
}

fn powers(m: &Modulus, root: u64, log_n: u32) -> Vec<u64> {
    let mut table = vec![0; 1 << log_n];
    let step = m.shoup(root);
    let mut power = 1;
    for i in 0..table.len() {
        table[bit_reverse(i, log_n)] = power;
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
    /// For each limb the last stage of the inverse transform that makes its source words, as
    /// [`scaling`].
    pub(super) scalings: Memory,
    /// For tiles, for each limb of the modulus table, one polynomial of the destination after the
    /// other: first source row, number of source rows, first factor, 0.
    pub(super) targets: Memory,
}

/// Target limbs of one task of a lift.
const TARGETS: usize = 4;

impl Lift {
    /// Lifts `plans`, the result of the `d`-th in polynomial `d` of the destination. All have the
    /// mode of the first.
    fn new(
        shared: &Shared,
        spec: &RingSpec,
        plans: &[&BaseConvertPlan],
        log_n: u32,
    ) -> Result<Self> {
        let exact = plans[0].mode() == LiftMode::CentredExact;
        let (mut rows, mut constants) = (Vec::new(), Vec::new());
        let limbs = spec.moduli().len();
        let mut scalings = vec![[0; 8]; limbs];
        let mut places = vec![[0u32; 4]; limbs * plans.len()];
        let (mut tasks, mut factors) = (Vec::<[u32; 8]>::new(), Vec::<[u64; TARGETS]>::new());
        for (poly, plan) in plans.iter().enumerate() {
            let (first, count) = (rows.len(), plan.source().len());
            for (i, limb) in plan.source().iter().enumerate() {
                let [factor, quotient] = pair(plan.inv_hats()[i]);
                let summand = if exact { 0 } else { plan.halves()[i] };
                let m = spec.modulus(limb);
                // The twiddle of stage 0, as the tables have it.
                let psi = m.inv(root_of_unity(m, spec.log_n())?);
                let root = m.pow(psi, 1 << (spec.log_n() - 1));
                scalings[limb] = scaling(shared, m, root, log_n, factor, summand);
                rows.push((0, limb));
                constants.push([factor, quotient, summand, 0]);
            }
            let targets: Vec<(usize, usize)> = plan.target().iter().enumerate().collect();
            for group in targets.chunks(TARGETS) {
                let start = factors.len() * TARGETS;
                let mut targets = 0;
                let mut block = vec![[0; TARGETS]; count + 1];
                for (k, &(target, limb)) in group.iter().enumerate() {
                    targets |= (limb as u32) << (8 * k);
                    places[poly * limbs + limb] =
                        [first as u32, count as u32, (start + k) as u32, 0];
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
                tasks.push([poly, first, count, start, size, targets, 0, 0]);
            }
        }
        Ok(Self {
            sources: Rows::new(shared, rows.into_iter())?,
            constants: table(shared, &constants)?,
            task_count: tasks.len(),
            tasks: table(shared, &tasks)?,
            factors: table(shared, &factors)?,
            exact,
            scalings: table(shared, &scalings)?,
            targets: table(shared, &places)?,
        })
    }
}

/// Constants of a plan, and the plan itself: while it is here, its address is no other plan's.
pub(super) struct PlanTables {
    pub(super) lift: Lift,
    /// Mod-down: `D^-1` by row of the modulus table, as [`row_factor`].
    pub(super) inverses: Option<Memory>,
    /// Gadget: the digit that has each limb of the modulus table among its own.
    pub(super) owners: Option<Memory>,
    /// Gadget: rows of the digits that are lifted, and those that the source has.
    pub(super) digits: Option<(Rows, Rows)>,
    _plan: Arc<dyn Any + Send + Sync>,
}

impl PlanTables {
    pub(super) fn convert(
        shared: &Shared,
        spec: &RingSpec,
        plan: &Arc<BaseConvertPlan>,
        log_n: u32,
    ) -> Result<Self> {
        Ok(Self {
            lift: Lift::new(shared, spec, &[plan], log_n)?,
            inverses: None,
            owners: None,
            digits: None,
            _plan: plan.clone(),
        })
    }

    pub(super) fn mod_down(
        shared: &Shared,
        spec: &RingSpec,
        plan: &Arc<ModDownPlan>,
        log_n: u32,
    ) -> Result<Self> {
        let mut inverses = vec![[0; 2]; spec.moduli().len()];
        for (limb, &w) in plan.kept().iter().zip(plan.inverses()) {
            inverses[limb] = row_factor(shared, spec.modulus(limb), w.value);
        }
        Ok(Self {
            lift: Lift::new(shared, spec, &[plan.lift()], log_n)?,
            inverses: Some(table(shared, &inverses)?),
            owners: None,
            digits: None,
            _plan: plan.clone(),
        })
    }

    pub(super) fn gadget(
        shared: &Shared,
        spec: &RingSpec,
        plan: &Arc<GadgetPlan>,
        log_n: u32,
    ) -> Result<Self> {
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
        let mut owners = vec![u32::MAX; spec.moduli().len()];
        for (d, digit) in plan.digits().iter().enumerate() {
            digit
                .limbs()
                .iter()
                .for_each(|limb| owners[limb] = d as u32);
        }
        Ok(Self {
            lift: Lift::new(shared, spec, &lifts, log_n)?,
            inverses: None,
            owners: Some(table(shared, &owners)?),
            digits: Some((lifted, own)),
            _plan: plan.clone(),
        })
    }
}
