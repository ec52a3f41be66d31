//! The search for an evaluation plan.
//!
//! A step that multiplies at depth `e` computes a sum `f sum_i a_i b_i + sum_j c_j r_j + c` and
//! rescales once, so a polynomial `p` of degree below `2^(e + 1)` is delivered at depth `e + 1` by
//! either of
//! - *terms*: all basis polynomials that it needs are known at depth `e` or less;
//! - *split*: `p = q B_k + r`, with `B_k` known at depth `e`, the register of `q` delivered at depth
//!   `e` (so its degree is below `2^e`), and `r` merged into the same step.
//!
//! For a given set of known basis polynomials the cheapest tree of splits is found by dynamic
//! programming over (nonzero coefficients, depth). Around it runs an enumeration of the sets: all of
//! `1..=b` (baby steps), powers of two, some multiples of another number (giant steps). Basis
//! polynomials are then computed as late as their users allow, unused ones not at all, and the
//! cheapest complete plan wins. The set of powers of two alone reaches every depth
//! `ceil(log2(d + 1))` (split at `2^e`), and it is a part of every set, so the depth is minimal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    Basis, PlanCost, PolyOp, PolyStep, Reg,
    chebyshev::{MAX_DEGREE, chebyshev_div_rem},
};

/// The cheapest plan found for a polynomial of degree `1..=63` (last coefficient nonzero).
pub(super) fn search(basis: Basis, coeffs: &[f64]) -> Vec<PolyStep> {
    let degree = coeffs.len() - 1;
    debug_assert!((1..=MAX_DEGREE).contains(&degree) && coeffs[degree] != 0.0);
    candidate_sets(basis, degree)
        .into_iter()
        .map(|set| Planner::new(basis, set).plan(coeffs))
        .min_by_key(|steps| {
            let cost = PlanCost::of(steps);
            (weight(&cost), cost.products, steps.len())
        })
        .expect("the powers of two are always a candidate")
}

/// Weight of a whole plan, in hundredths of a relinearisation with its rescale.
fn weight(cost: &PlanCost) -> u32 {
    RELINEARISE * cost.relinearisations
        + PRODUCT * cost.products
        + RESCALE * (cost.linear + cost.aligns)
        + SCALAR * cost.scalar_products
}

/// Depth of `B_k`, which is a product of factors as equal as possible.
fn depth_of(k: usize) -> u32 {
    k.next_power_of_two().trailing_zeros()
}

/// Sets of basis polynomials, as bit masks, each closed under [`factors`].
fn candidate_sets(basis: Basis, degree: usize) -> BTreeSet<u64> {
    let powers = (0..6)
        .map(|i| 1usize << i)
        .filter(|&k| k <= degree)
        .fold(0, |set, k| set | bit(k));
    let mut sets = BTreeSet::from([powers]);
    for babies in 1..=degree.min(MAX_BABIES) {
        let baby_set = powers | (1..=babies).fold(0, |set, k| set | bit(k));
        sets.insert(baby_set);
        for giant in babies.max(2)..=(babies + 2).min(degree) {
            let mut multiples = baby_set;
            for k in (giant..=degree).step_by(giant) {
                multiples |= bit(k);
                sets.insert(multiples);
            }
            let mut doublings = baby_set;
            for k in (0..6).map(|i| giant << i).filter(|&k| k <= degree) {
                doublings |= bit(k);
                sets.insert(doublings);
            }
        }
    }
    sets.into_iter().map(|set| close(basis, set)).collect()
}

/// Adds the factors that members lack, halves first.
fn close(basis: Basis, mut set: u64) -> u64 {
    for k in (2..=MAX_DEGREE).rev() {
        if set & bit(k) != 0 && factors(basis, set, k, depth_of(k) - 1).next().is_none() {
            set |= bit(k / 2) | bit(k.div_ceil(2));
        }
    }
    set
}

/// The pairs `a >= b` in the set with `a + b = k`, known at the given depth; in the Chebyshev basis
/// `B_(a - b)` must be known as well.
fn factors(basis: Basis, set: u64, k: usize, depth: u32) -> impl Iterator<Item = (usize, usize)> {
    let known = move |j: usize| set & bit(j) != 0 && depth_of(j) <= depth;
    (1..=k / 2)
        .rev()
        .map(move |b| (k - b, b))
        .filter(move |&(a, b)| {
            known(a) && known(b) && (basis == Basis::Power || a == b || known(a - b))
        })
}

fn bit(k: usize) -> u64 {
    1 << k
}

/// Nonzero coefficients as a bit mask.
fn mask_of(coeffs: &[f64]) -> u64 {
    coeffs
        .iter()
        .enumerate()
        .filter(|(_, c)| **c != 0.0)
        .fold(0, |mask, (k, _)| mask | bit(k))
}

fn degree_of(mask: u64) -> usize {
    mask.checked_ilog2().unwrap_or(0) as usize
}

/// Quotient and remainder of a mask by `B_k` (a superset of the nonzero coefficients in `r`).
fn div_mask(basis: Basis, mask: u64, k: usize) -> (u64, u64) {
    let quotient = mask >> k;
    let mut rest = mask & (bit(k) - 1);
    if basis == Basis::Chebyshev {
        for i in 1..=degree_of(quotient) {
            if quotient & bit(i) != 0 {
                rest |= bit(k.abs_diff(i));
            }
        }
    }
    (quotient, rest)
}

/// The cheapest way to put a polynomial into the step that multiplies at some depth.
#[derive(Clone, Copy)]
struct Choice {
    /// Weight with terms only.
    terms: Option<u32>,
    /// Weight with at least one product, and where to split.
    split: Option<(u32, usize)>,
}

impl Choice {
    /// Whether to split; `in_product`: the step has a product anyway.
    fn prefers_split(&self, in_product: bool) -> bool {
        let extra = if in_product { 0 } else { RELINEARISE - RESCALE };
        match (self.terms, self.split) {
            (Some(terms), Some((split, _))) => split + extra < terms,
            (None, _) => true,
            (Some(_), None) => false,
        }
    }

    /// Weight as a part of a step that has a product.
    fn merged(&self) -> Option<u32> {
        let split = self.split.map(|(weight, _)| weight);
        self.terms.into_iter().chain(split).min()
    }

    /// Weight as a step of its own.
    fn alone(&self) -> Option<u32> {
        let split = self.split.map(|(weight, _)| weight + RELINEARISE);
        let terms = self.terms.map(|weight| weight + RESCALE);
        terms.into_iter().chain(split).min()
    }
}

/// A sum under construction, in terms of basis polynomials and other sums.
#[derive(Default)]
struct Node {
    /// Depth of the result.
    depth: u32,
    /// Products of a node and a basis polynomial.
    products: Vec<(usize, usize)>,
    /// The square of this basis polynomial, if any.
    square: Option<usize>,
    /// Basis polynomials with factors.
    terms: Vec<(usize, f64)>,
    constant: f64,
}

/// Search and construction for one set of basis polynomials.
struct Planner {
    basis: Basis,
    set: u64,
    memo: HashMap<(u64, u32), Choice>,
    nodes: Vec<Node>,
}

impl Planner {
    fn new(basis: Basis, set: u64) -> Self {
        Self {
            basis,
            set,
            memo: HashMap::new(),
            nodes: Vec::new(),
        }
    }

    fn plan(mut self, coeffs: &[f64]) -> Vec<PolyStep> {
        let degree = coeffs.len() - 1;
        let monic = self.basis == Basis::Power && degree.is_power_of_two() && degree > 1;
        if monic && coeffs[degree] == 1.0 {
            // t^d = t^(d/2) t^(d/2) needs no coefficient, hence no level for it.
            let mut root = Node {
                depth: depth_of(degree),
                square: Some(degree / 2),
                ..Node::default()
            };
            self.fill(&mut root, &coeffs[..degree], true);
            self.nodes.push(root);
        } else {
            self.deliver(coeffs, depth_of(degree + 1));
        }
        Schedule::new(self.basis, self.set, self.nodes).steps()
    }

    /// The cheapest way to put the polynomial of a mask into a step multiplying at depth `e`.
    fn choose(&mut self, mask: u64, e: u32) -> Choice {
        if let Some(&choice) = self.memo.get(&(mask, e)) {
            return choice;
        }
        let degree = degree_of(mask);
        let variable = mask & !1;
        let known = self.known(e);
        let mut choice = Choice {
            terms: None,
            split: None,
        };
        if known & variable == variable {
            choice.terms = Some(SCALAR * variable.count_ones());
        }
        // Beyond 3k > degree a division in the Chebyshev basis would reduce the same term twice.
        for k in (degree / 3 + 1..=degree).filter(|&k| known & bit(k) != 0) {
            let (quotient, rest) = div_mask(self.basis, mask, k);
            let weight = if quotient == 1 {
                // B_k with a factor: a term.
                self.choose(rest, e)
                    .split
                    .map(|(weight, _)| weight + SCALAR)
            } else if e == 0 || degree_of(quotient) >> e != 0 {
                None
            } else {
                let align = if depth_of(k) < e { RESCALE / 2 } else { 0 };
                let quotient = self.choose(quotient, e - 1).alone();
                let rest = self.choose(rest, e).merged();
                quotient
                    .zip(rest)
                    .map(|(quotient, rest)| PRODUCT + align + quotient + rest)
            };
            if let Some(weight) = weight
                && choice.split.is_none_or(|(best, _)| weight < best)
            {
                choice.split = Some((weight, k));
            }
        }
        self.memo.insert((mask, e), choice);
        choice
    }

    /// Members of the set that are known at the given depth.
    fn known(&self, depth: u32) -> u64 {
        let up_to = 1u32 << depth;
        let all = if up_to >= 63 {
            u64::MAX
        } else {
            (1 << (up_to + 1)) - 1
        };
        self.set & all
    }

    /// Builds the node that delivers a polynomial at a depth, and returns its index.
    fn deliver(&mut self, coeffs: &[f64], depth: u32) -> usize {
        let mut node = Node {
            depth,
            ..Node::default()
        };
        self.fill(&mut node, coeffs, false);
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Adds a polynomial to a node.
    fn fill(&mut self, node: &mut Node, coeffs: &[f64], in_product: bool) {
        let mask = mask_of(coeffs);
        let e = node.depth - 1;
        let choice = self.choose(mask, e);
        if !choice.prefers_split(in_product) {
            for (k, &c) in coeffs.iter().enumerate().filter(|(_, c)| **c != 0.0) {
                match k {
                    0 => node.constant += c,
                    _ => node.terms.push((k, c)),
                }
            }
            return;
        }
        let (_, k) = choice
            .split
            .expect("degrees below 2^(e + 1) can be split at a power of two");
        let coeffs = &coeffs[..=degree_of(mask)];
        let (quotient, rest) = match self.basis {
            Basis::Chebyshev => chebyshev_div_rem(coeffs, k),
            Basis::Power => (coeffs[k..].to_vec(), coeffs[..k].to_vec()),
        };
        if mask_of(&quotient) == 1 {
            node.terms.push((k, quotient[0]));
            self.fill(node, &rest, in_product);
        } else {
            let factor = self.deliver(&quotient, e);
            node.products.push((factor, k));
            self.fill(node, &rest, true);
        }
    }
}

/// When basis polynomials are computed, and the numbering of registers.
struct Schedule {
    basis: Basis,
    set: u64,
    nodes: Vec<Node>,
    /// Per basis polynomial: depths at which it is a factor, and depths at which it is a term.
    factor_at: BTreeMap<usize, BTreeSet<u32>>,
    term_at: BTreeMap<usize, BTreeSet<u32>>,
    /// Per computed basis polynomial: its depth and factors, in decreasing order of index.
    computed: Vec<(usize, u32, (usize, usize))>,
}

/// A value of the plan before registers are numbered: a basis polynomial at a depth, or a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Basis(usize, u32),
    Node(usize),
}

impl Schedule {
    fn new(basis: Basis, set: u64, nodes: Vec<Node>) -> Self {
        let mut schedule = Self {
            basis,
            set,
            nodes: Vec::new(),
            factor_at: BTreeMap::new(),
            term_at: BTreeMap::new(),
            computed: Vec::new(),
        };
        for node in &nodes {
            let e = node.depth - 1;
            for k in node.products.iter().map(|&(_, k)| k).chain(node.square) {
                schedule.factor_at.entry(k).or_default().insert(e);
            }
            for &(k, _) in &node.terms {
                schedule.term_at.entry(k).or_default().insert(e);
            }
        }
        schedule.nodes = nodes;
        // Factors have smaller indices, so all users of k are known when its turn comes.
        for k in (2..=MAX_DEGREE).rev() {
            if let Some(depth) = schedule.first_use(k) {
                schedule.compute(k, depth);
            }
        }
        schedule
    }

    /// The smallest depth at which a basis polynomial is read.
    fn first_use(&self, k: usize) -> Option<u32> {
        let users = [self.factor_at.get(&k), self.term_at.get(&k)];
        users.into_iter().flatten().flatten().min().copied()
    }

    /// Chooses the factors of `B_k`, computed at the given depth.
    fn compute(&mut self, k: usize, depth: u32) {
        let e = depth - 1;
        let price = |schedule: &Self, j: usize, factor: bool| {
            if j == 0 {
                return 0;
            }
            let new = j > 1 && schedule.first_use(j).is_none();
            let ready = schedule.factor_at.get(&j).is_some_and(|at| at.contains(&e));
            // Without a present user at another depth it can be computed where it is needed.
            let align = factor && !ready && !new && (j > 1 || e > 0);
            RELINEARISE * u32::from(new) + RESCALE * u32::from(align)
        };
        let (a, b) = factors(self.basis, self.set, k, e)
            .min_by_key(|&(a, b)| {
                let difference = match self.basis {
                    Basis::Chebyshev => price(self, a - b, false),
                    Basis::Power => 0,
                };
                price(self, a, true) + price(self, b, true) + difference
            })
            .expect("sets are closed under factors");
        for j in [a, b] {
            self.factor_at.entry(j).or_default().insert(e);
        }
        if self.basis == Basis::Chebyshev && a != b {
            self.term_at.entry(a - b).or_default().insert(e);
        }
        self.computed.push((k, depth, (a, b)));
    }

    /// Depth at which a basis polynomial is computed.
    fn depth_of(&self, k: usize) -> u32 {
        if k == 1 {
            return 0;
        }
        self.first_use(k).expect("only polynomials in use are read")
    }

    /// Numbers all values by depth and writes the steps.
    fn steps(self) -> Vec<PolyStep> {
        let mut values = Vec::new();
        for &(k, depth, _) in &self.computed {
            values.push((depth, Value::Basis(k, depth)));
        }
        for (&k, depths) in &self.factor_at {
            let aligned = depths.iter().filter(|&&depth| depth > self.depth_of(k));
            values.extend(aligned.map(|&depth| (depth, Value::Basis(k, depth))));
        }
        for (index, node) in self.nodes.iter().enumerate() {
            values.push((node.depth, Value::Node(index)));
        }
        values.sort();
        let mut registers = BTreeMap::from([(Value::Basis(1, 0), Reg(0))]);
        for (index, &(_, value)) in values.iter().enumerate() {
            registers.insert(value, Reg(index + 1));
        }
        values
            .iter()
            .enumerate()
            .map(|(index, &(depth, value))| PolyStep {
                dst: Reg(index + 1),
                depth,
                op: self.op(value, &registers),
            })
            .collect()
    }

    fn op(&self, value: Value, registers: &BTreeMap<Value, Reg>) -> PolyOp {
        let factor = |k: usize, depth: u32| registers[&Value::Basis(k, depth)];
        let term = |k: usize| registers[&Value::Basis(k, self.depth_of(k))];
        match value {
            Value::Basis(k, depth) if depth > self.depth_of(k) => PolyOp::Align { src: term(k) },
            Value::Basis(k, depth) => {
                let (_, _, (a, b)) = *self
                    .computed
                    .iter()
                    .find(|(other, ..)| *other == k)
                    .expect("a basis polynomial at its own depth was scheduled");
                let products = vec![(factor(a, depth - 1), factor(b, depth - 1))];
                let chebyshev = self.basis == Basis::Chebyshev;
                PolyOp::Combine {
                    products,
                    doubled: chebyshev,
                    terms: if chebyshev && a != b {
                        vec![(term(a - b), -1.0)]
                    } else {
                        Vec::new()
                    },
                    constant: if chebyshev && a == b { -1.0 } else { 0.0 },
                }
            }
            Value::Node(index) => {
                let node = &self.nodes[index];
                let e = node.depth - 1;
                let squares = node.square.map(|k| (factor(k, e), factor(k, e)));
                let products = node
                    .products
                    .iter()
                    .map(|&(node, k)| (registers[&Value::Node(node)], factor(k, e)));
                PolyOp::Combine {
                    products: squares.into_iter().chain(products).collect(),
                    doubled: false,
                    terms: node.terms.iter().map(|&(k, c)| (term(k), c)).collect(),
                    constant: node.constant,
                }
            }
        }
    }
}

/// Largest number of baby steps that is tried.
const MAX_BABIES: usize = 16;

// Weights by number of transforms and passes over limbs, for about ten limbs and one limb per digit.
// Only their proportions matter, and only for the choice among correct plans. A product alone is
// cheaper than this; the surplus keeps plans good for executors that relinearise each product.
const RELINEARISE: u32 = 100;
const RESCALE: u32 = 18;
const PRODUCT: u32 = 16;
const SCALAR: u32 = 2;
