//! What the CPU device needs of an instruction set, one limb at a time.

use super::{
    mat_mul::{self, LeftMatrix},
    packed::{self, Packed},
    seed_row::SeedRow,
    tables::LimbTables,
};
use crate::arith::{Modulus, ShoupWord};

/// Smallest ring degree of the kernels, as a logarithm.
pub const MIN_LOG_DEGREE: u32 = 4;

/// Largest ring degree of the kernels, as a logarithm.
pub const MAX_LOG_DEGREE: u32 = 17;

/// One row of a base conversion: the words `offset + sum_i ys[i] * hs[i] mod q`.
pub struct Lift<'a> {
    /// Words below `y_below`: residues of other moduli.
    pub ys: &'a [&'a [u64]],
    /// A factor below `q` for each source.
    pub hs: &'a [u64],
    /// A residue.
    pub offset: u64,
    /// At most `2^61`.
    pub y_below: u64,
    /// Words that are wanted soon: a transform fetches them into the second cache while it
    /// computes, so that what reads them next does not wait for the memory.
    pub soon: &'a [u64],
}

impl Lift<'_> {
    /// Whether there is one source with the factor one.
    pub fn is_shift(&self) -> bool {
        self.hs == [1]
    }

    /// Bits of the words.
    pub fn y_bits(&self) -> u32 {
        u64::BITS - self.y_below.saturating_sub(1).leading_zeros()
    }
}

/// The kernels of one instruction set.
///
/// Every slice of one call has the same length `N`, a power of two in `2^4..=2^17`; inputs are
/// residues in `[0, q)` unless said otherwise, outputs are the exact residues in `[0, q)`, bit
/// for bit the same on every instruction set. Slices of different length panic: the device has
/// checked shapes before. Arithmetic is branch-free on the data.
///
/// A value of an implementing type is a proof that the machine has the instruction set, so the
/// methods are safe to call.
pub trait LimbKernel: Copy + Send + Sync + 'static {
    /// Short name, as in `cpu-scalar`.
    fn name(self) -> &'static str;

    /// Runs a portable loop compiled for the instruction set. What the closure calls must be
    /// inlined into it.
    fn vectorise<R>(self, f: impl FnOnce() -> R) -> R;

    /// Negacyclic transform in place, coefficients to evaluation order:
    /// `out[i] = x(psi^(2 * bitrev(i) + 1))` for the fixed root `psi` of degree `N = x.len()`.
    ///
    /// Cost: `N/2 * log2 N` butterflies.
    fn ntt_forward(self, tables: &LimbTables, x: &mut [u64]);

    /// Exact inverse of [`LimbKernel::ntt_forward`], factor `1/N` included.
    fn ntt_inverse(self, tables: &LimbTables, x: &mut [u64]);

    /// `dst = a + b`.
    fn add(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64]);
    /// `dst = a - b`.
    fn sub(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64]);
    /// `dst = -a`.
    fn neg(self, m: &Modulus, dst: &mut [u64], a: &[u64]);
    /// `dst = dst + b`.
    fn add_assign(self, m: &Modulus, dst: &mut [u64], b: &[u64]);
    /// `dst = dst - b`.
    fn sub_assign(self, m: &Modulus, dst: &mut [u64], b: &[u64]);
    /// `dst = b - dst`.
    fn rsub_assign(self, m: &Modulus, dst: &mut [u64], b: &[u64]);
    /// `dst = -dst`.
    fn neg_assign(self, m: &Modulus, dst: &mut [u64]);

    /// `dst = a * b`, word by word.
    fn mul(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64]);
    /// `dst = dst * b`.
    fn mul_assign(self, m: &Modulus, dst: &mut [u64], b: &[u64]);
    /// `dst = dst + a * b`.
    fn mul_acc(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64]);

    /// `dst = a * w` for a fixed factor `w = m.shoup(..)`.
    fn scale(self, m: &Modulus, dst: &mut [u64], a: &[u64], w: ShoupWord);
    /// `dst = dst * w`.
    fn scale_assign(self, m: &Modulus, dst: &mut [u64], w: ShoupWord);
    /// `dst = dst + a * w`.
    fn scale_acc(self, m: &Modulus, dst: &mut [u64], a: &[u64], w: ShoupWord);
    /// `dst = a + c` for a residue `c`.
    fn offset(self, m: &Modulus, dst: &mut [u64], a: &[u64], c: u64);
    /// `dst = dst + c` for a residue `c`.
    fn offset_assign(self, m: &Modulus, dst: &mut [u64], c: u64);
    /// `dst = (a - b) * w`: the tail of a rescale and of a mod-down.
    fn sub_scale(self, m: &Modulus, dst: &mut [u64], a: &[u64], b: &[u64], w: ShoupWord);

    /// `dst = (accumulate ? dst : 0) + sum_k a_k * b_k` over any number of pairs.
    ///
    /// The sum is reduced once per group of pairs, not once per product.
    fn dot(self, m: &Modulus, dst: &mut [u64], pairs: &[(&[u64], &[u64])], accumulate: bool);

    /// `dst[c] = (accumulate ? dst[c] : 0) + sum_k a[k] * b[c][k]`: `C` sums, one or two, with the
    /// same left operands, each of which is read once. They may be of [`LimbKernel::lift_forward_lazy`].
    /// Words of one side are equally wide.
    fn dot_shared<const C: usize>(
        self,
        m: &Modulus,
        dst: [&mut [u64]; C],
        a: &[Packed<'_>],
        b: [&[Packed<'_>]; C],
        accumulate: bool,
    ) {
        let a: Vec<_> = a.iter().map(Packed::unpacked).collect();
        for (dst, b) in dst.into_iter().zip(b) {
            let b: Vec<_> = b.iter().map(Packed::unpacked).collect();
            let pairs: Vec<(&[u64], &[u64])> =
                a.iter().map(|a| &**a).zip(b.iter().map(|b| &**b)).collect();
            self.dot(m, dst, &pairs, accumulate);
        }
    }

    /// Bytes of a residue in the form that sums of products read fastest.
    fn packed_width(self, _m: &Modulus) -> usize {
        packed::PLAIN
    }

    /// `dst = offset + sum_i ys[i] * hs[i]`.
    ///
    /// `ys[i]` are words below `2^y_bits <= 2^61`, residues of other moduli; `hs[i] < q` and
    /// `offset < q`.
    fn combine(
        self,
        m: &Modulus,
        dst: &mut [u64],
        ys: &[&[u64]],
        hs: &[u64],
        offset: u64,
        y_bits: u32,
    );

    /// `dst` = one row of a base conversion.
    fn lift(self, m: &Modulus, dst: &mut [u64], lift: &Lift<'_>) {
        if lift.is_shift() && lift.y_below <= m.value() {
            self.offset(m, dst, lift.ys[0], lift.offset);
        } else {
            self.combine(m, dst, lift.ys, lift.hs, lift.offset, lift.y_bits());
        }
    }

    /// [`LimbKernel::lift`], then [`LimbKernel::ntt_forward`].
    fn lift_forward(self, tables: &LimbTables, dst: &mut [u64], lift: &Lift<'_>) {
        self.lift(tables.modulus(), dst, lift);
        self.ntt_forward(tables, dst);
    }

    /// [`LimbKernel::lift_forward`] whose results are only congruent to the residues, and only in
    /// as many low bits as [`LimbKernel::dot_shared`] reads.
    fn lift_forward_lazy(self, tables: &LimbTables, dst: &mut [u64], lift: &Lift<'_>) {
        self.lift_forward(tables, dst, lift);
    }

    /// `dst = (a - t) * w`, where `t` is what [`LimbKernel::lift_forward`] gives: one row of a
    /// mod-down. `work` is scratch.
    fn mod_down(
        self,
        tables: &LimbTables,
        dst: &mut [u64],
        work: &mut [u64],
        lift: &Lift<'_>,
        a: &[u64],
        w: ShoupWord,
    ) {
        self.lift_forward(tables, work, lift);
        self.sub_scale(tables.modulus(), dst, a, work, w);
    }

    /// `dst = ntt_inverse(src) * w + c` for a residue `c`.
    fn ntt_inverse_from(
        self,
        tables: &LimbTables,
        dst: &mut [u64],
        src: &[u64],
        w: ShoupWord,
        c: u64,
    ) {
        let m = tables.modulus();
        dst.copy_from_slice(src);
        self.ntt_inverse(tables, dst);
        if w.value != 1 {
            self.scale_assign(m, dst, w);
        }
        if c != 0 {
            self.offset_assign(m, dst, c);
        }
    }

    /// Whether [`LimbKernel::mat_mul`] wants a left operand of so many digits as bytes.
    fn multiplies_bytes(self, _m: &Modulus, _digits: usize) -> bool {
        false
    }

    /// `out[i] = sum_j left[i][j] * src[j]`: row `j` of the source is words `j * len..` of `src`,
    /// where `len` is the length of a row of `out`.
    fn mat_mul(self, m: &Modulus, left: &LeftMatrix<'_>, src: &[u64], out: &mut [&mut [u64]]) {
        mat_mul::by_words(self, m, left.matrix, src, out);
    }

    /// `dst = a mod q` for words `a < 2^61`.
    fn reduce(self, m: &Modulus, dst: &mut [u64], a: &[u64]);

    /// `dst[i] = src[perm[i]]`: an automorphism in the evaluation domain. An index of `N` or
    /// more panics.
    fn gather(self, dst: &mut [u64], src: &[u64], perm: &[u32]);

    /// `dst` = the first words of a row of a seed expansion ([`SeedLayout`](crate::poly::SeedLayout)).
    fn expand_seed(self, m: &Modulus, dst: &mut [u64], row: &SeedRow) {
        row.expand(m, dst);
    }
}
