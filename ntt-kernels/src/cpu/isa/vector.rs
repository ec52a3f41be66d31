//! The vector operations that the generic kernels are written in.

/// An instruction set with lanes of 64 bits. A value proves that the machine has it, so the
/// operations on registers are safe; loads and stores trust their pointers.
///
/// Every method is inlined into an entry point that enables the instruction set.
pub(super) trait Simd: Copy {
    /// One register: 64-bit floats, or 64-bit words by their bits.
    type V: Copy;
    /// Lanes of a register.
    const LANES: usize;

    /// Most stages of a pass, at least two and at most `log2 LANES`.
    fn most_stages(self) -> u32 {
        Self::LANES.trailing_zeros()
    }

    /// The same float in every lane.
    fn splat(self, a: f64) -> Self::V;
    /// The same word in every lane.
    fn splat_word(self, a: u64) -> Self::V;
    /// # Safety
    /// `LANES` words must be readable at `p`.
    unsafe fn load<T>(self, p: *const T) -> Self::V;
    /// # Safety
    /// `LANES` words must be writable at `p`.
    unsafe fn store(self, p: *mut u64, a: Self::V);

    /// Asks for the line at `p` in the second cache; `p` may be any address.
    #[inline(always)]
    fn fetch(self, _p: *const u64) {}

    /// `a + b`, rounded.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`, rounded.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`, rounded.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a * b - c`, rounded once.
    fn mul_sub(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `c - a * b`, rounded once.
    fn neg_mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The nearest integer.
    fn round(self, a: Self::V) -> Self::V;

    /// Words below `2^52` to floats.
    fn to_float(self, a: Self::V) -> Self::V;
    /// Floats that are integers in `[-q, q)` to words, plus `q` where negative.
    fn to_residue(self, a: Self::V, q: Constants<Self::V>) -> Self::V;

    /// `a + b mod 2^64`.
    fn add_word(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b mod 2^64`.
    fn sub_word(self, a: Self::V, b: Self::V) -> Self::V;
    /// Words `a` in `[0, 2c)` to `a mod c`, for `c < 2^62`.
    fn correct_word(self, a: Self::V, c: Self::V) -> Self::V;

    /// In debug builds, checks that all floats are integers of at most this size.
    #[inline(always)]
    fn check_floats(self, a: Self::V, bound: f64) {
        if cfg!(debug_assertions) {
            let mut words = [0u64; 8];
            // SAFETY: no register has more than eight lanes.
            unsafe { self.store(words.as_mut_ptr(), a) };
            assert_floats(&words[..Self::LANES], bound);
        }
    }

    /// Words as `high * 2^40 + low`.
    fn split40(self, a: Self::V) -> (Self::V, Self::V);

    /// Transposes the square of registers, `LANES` of them.
    fn transpose(self, rows: &mut [Self::V]);
}

/// Not inlined: a check follows every butterfly, and the kernels would grow tenfold.
#[inline(never)]
fn assert_floats(words: &[u64], bound: f64) {
    for word in words {
        let a = f64::from_bits(*word);
        // By way of integers: rounding is a call where the baseline has no instruction for it.
        let whole = a == (a as i64) as f64;
        assert!(a.abs() <= bound && whole, "{a}, not whole or above {bound}");
    }
}

/// What reductions by one prime below `2^50` need in registers.
#[derive(Clone, Copy)]
pub(super) struct Constants<V> {
    /// The prime as a float.
    pub(super) q: V,
    /// `1/q`, rounded.
    pub(super) q_inv: V,
    /// The prime as a word.
    pub(super) q_word: V,
    /// [`ONES`].
    pub(super) ones: V,
}

/// Next to it, neighbouring floats are neighbouring integers, in either direction by `2^51`.
const ONES: f64 = 1.5 * (1u64 << 52) as f64;

impl<V> Constants<V> {
    #[inline(always)]
    pub(super) fn new<S: Simd<V = V>>(s: S, q: u64) -> Self {
        Self {
            q: s.splat(q as f64),
            q_inv: s.splat(1.0 / q as f64),
            q_word: s.splat_word(q),
            ones: s.splat(ONES),
        }
    }

    /// The integer nearest to `a * b`, for `|a b| <= 2^51`, in two operations: most units take two
    /// more to round a float.
    #[inline(always)]
    pub(super) fn nearest<S: Simd<V = V>>(&self, s: S, a: V, b: V) -> V
    where
        V: Copy,
    {
        s.sub(s.mul_add(a, b, self.ones), self.ones)
    }
}
