//! What each primitive command computes, on words in canonical order.

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

use super::{Words, transform};
use crate::{
    arith::{Modulus, eval_permutation, root_of_unity},
    poly::{BaseConvertPlan, ElementwiseOp, LiftMode, RingSpec, SeedLayout, SeedStream, Shape},
};

/// The rows of a destination, each with its modulus: what all definitions run over.
pub(super) struct Rows<'a> {
    spec: &'a RingSpec,
    shape: Shape,
}

impl<'a> Rows<'a> {
    pub(super) fn new(spec: &'a RingSpec, shape: Shape) -> Self {
        Self { spec, shape }
    }

    /// `(position of the row, table row, modulus)`, in canonical order.
    fn each(&self) -> impl Iterator<Item = (usize, usize, &'a Modulus)> {
        let (spec, limbs) = (self.spec, self.shape.limbs);
        (0..self.shape.batch)
            .flat_map(move |_| limbs.iter())
            .enumerate()
            .map(|(row, limb)| (row, limb, spec.modulus(limb)))
    }

    /// One result word from each position. There is room for all of them from the start, so that
    /// none stays behind in an outgrown allocation.
    fn map(&self, f: impl Fn(&Modulus, usize, usize) -> u64) -> Words {
        let n = self.shape.n();
        let mut out = Zeroizing::new(Vec::with_capacity(self.shape.words()));
        for (row, _, m) in self.each() {
            out.extend((row * n..(row + 1) * n).map(|at| f(m, row, at)));
        }
        out
    }

    /// `dst` is read by `MulAcc` only.
    pub(super) fn elementwise(
        &self,
        op: ElementwiseOp,
        dst: Words,
        a: &[u64],
        b: Option<&[u64]>,
    ) -> Words {
        let second = |at: usize| b.expect("the ring has checked that there are two operands")[at];
        self.map(|m, _, at| match op {
            ElementwiseOp::Add => m.add(a[at], second(at)),
            ElementwiseOp::Sub => m.sub(a[at], second(at)),
            ElementwiseOp::Neg => m.neg(a[at]),
            ElementwiseOp::Mul => m.mul(a[at], second(at)),
            ElementwiseOp::MulAcc => m.add(dst[at], m.mul(a[at], second(at))),
        })
    }

    pub(super) fn multiply_add(&self, acc: Words, a: &[u64], b: &[u64]) -> Words {
        self.elementwise(ElementwiseOp::MulAcc, acc, a, Some(b))
    }

    pub(super) fn scale(&self, src: Words, consts: &[u64]) -> Words {
        self.map(|m, row, at| m.mul(src[at], consts[row % consts.len()]))
    }

    pub(super) fn offset(&self, src: Words, consts: &[u64]) -> Words {
        self.map(|m, row, at| m.add(src[at], consts[row % consts.len()]))
    }

    pub(super) fn transform(&self, mut words: Words, inverse: bool) -> Words {
        let n = self.shape.n();
        for (row, _, m) in self.each() {
            let psi = root_of_unity(m, self.shape.log_n)
                .expect("the ring description has a root for every modulus");
            let limb = &mut words[row * n..][..n];
            if inverse {
                transform::inverse(m, psi, limb);
            } else {
                transform::forward(m, psi, limb);
            }
        }
        words
    }

    /// Coefficient `i` goes to power `i * galois`, where `X^N = -1`.
    pub(super) fn automorphism_coeff(&self, src: &[u64], galois: u64) -> Words {
        let n = self.shape.n();
        let mut out = Zeroizing::new(vec![0; src.len()]);
        for (row, _, m) in self.each() {
            for i in 0..n {
                let power = (i as u64 * galois) as usize % (2 * n);
                let c = src[row * n + i];
                out[row * n + power % n] = if power < n { c } else { m.neg(c) };
            }
        }
        out
    }

    /// See [`eval_permutation`].
    pub(super) fn automorphism_eval(&self, src: &[u64], galois: u64) -> Words {
        let n = self.shape.n();
        let source = eval_permutation(self.shape.log_n, galois);
        self.map(|_, row, at| src[row * n + source[at % n] as usize])
    }

    /// See [`SeedStream`].
    pub(super) fn expand_seed(&self, layout: &SeedLayout) -> Words {
        let mut out = Vec::with_capacity(self.shape.words());
        for (row, limb, m) in self.each() {
            let digit = row / self.shape.limbs.len();
            let mut stream = ChaCha20Rng::from_seed(layout.seed.bytes);
            stream.set_stream(layout.nonce(digit, limb));
            let mut wide = |block: u64, i: usize| {
                stream.set_word_pos(u128::from(block) * 16 + i as u128 * 4);
                let mut bytes = [0; 16];
                stream.fill_bytes(&mut bytes);
                m.reduce_wide(u128::from_le_bytes(bytes))
            };
            if layout.seed.stream == SeedStream::DoubleWords {
                out.extend((0..self.shape.n()).map(|i| wide(0, i)));
                continue;
            }
            let mut words = ChaCha20Rng::from_seed(layout.seed.bytes);
            words.set_stream(layout.nonce(digit, limb));
            let taken = (1 << 64) - (1 << 64) % u128::from(m.value());
            for i in 0..self.shape.n() {
                let word = words.next_u64();
                out.push(if u128::from(word) < taken {
                    word % m.value()
                } else {
                    wide(SeedLayout::SECOND, i)
                });
            }
        }
        Zeroizing::new(out)
    }

    /// See [`BaseConvertPlan`]. The rows of `self` are the target limbs.
    pub(super) fn base_convert(&self, plan: &BaseConvertPlan, src: &[u64]) -> Words {
        let (n, spec) = (self.shape.n(), self.spec);
        let (sources, targets) = (plan.source(), plan.target());
        let mut out = Zeroizing::new(vec![0; self.shape.words()]);
        let mut digits = Zeroizing::new(vec![0; sources.len()]);
        for poly in 0..self.shape.batch {
            for i in 0..n {
                // y_k = x_k (Q/q_k)^-1 mod q_k.
                for (k, limb) in sources.iter().enumerate() {
                    let x = src[(poly * sources.len() + k) * n + i];
                    digits[k] = spec.modulus(limb).mul(x, plan.inv_hats()[k].value);
                }
                // floor(1/2 + sum_k y_k / q_k) with 64 fractional bits.
                let fractions = digits.iter().enumerate();
                let sum: u128 = fractions
                    .map(|(k, &y)| u128::from(plan.fraction(k, y)))
                    .sum();
                let multiple = ((sum + (1 << 63)) >> 64) as u64;
                for (j, limb) in targets.iter().enumerate() {
                    let m = spec.modulus(limb);
                    let terms = sources.iter().zip(digits.iter()).zip(plan.hats(j));
                    let lifted = terms.fold(0, |acc, ((source, &y), &hat)| {
                        let y = match plan.mode() {
                            LiftMode::Approximate => m.from_i64(spec.modulus(source).centred(y)),
                            LiftMode::CentredExact => m.reduce(y),
                        };
                        m.add(acc, m.mul(y, hat))
                    });
                    out[(poly * targets.len() + j) * n + i] = match plan.mode() {
                        LiftMode::Approximate => lifted,
                        LiftMode::CentredExact => {
                            m.sub(lifted, m.mul(m.reduce(multiple), plan.products()[j]))
                        }
                    };
                }
            }
        }
        out
    }
}
