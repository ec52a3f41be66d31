//! Tables of one modulus on the card: the prime, its Montgomery constant, twiddles.

use ringloom_ntt::{
    Result,
    arith::{Modulus, bit_reverse, root_of_unity},
};

use crate::layout::{BEAT_WORDS, TABLE, Words, field};

/// `R mod q`: times a residue, its Montgomery form.
pub(crate) fn montgomery(m: &Modulus, words: Words) -> u64 {
    m.reduce(1 << words.log_r())
}

/// Words of a table: header, forward twiddles, inverse twiddles.
pub(crate) fn words(log_n: u32) -> usize {
    BEAT_WORDS + (2 << log_n)
}

/// The table for degrees up to `2^log_n`.
///
/// Forward twiddle `k` is `psi^bitrev(k)`, inverse twiddle `k` is `psi^-bitrev(k) / 2`, both times
/// `R`; those of a smaller degree are the first ones. The inverse transform halves in every stage,
/// which gives `1/N` without a product.
pub(crate) fn build(m: &Modulus, log_n: u32, kernels: Words) -> Result<Vec<u64>> {
    let n = 1usize << log_n;
    let psi = root_of_unity(m, log_n)?;
    let mut words = vec![0; words(log_n)];
    let r = montgomery(m, kernels);
    words[field(&TABLE, "q")] = m.value();
    words[field(&TABLE, "square")] = m.mul(r, r);
    let (forward, inverse) = words[BEAT_WORDS..].split_at_mut(n);
    let half = m.mul(r, m.inv(2));
    for (row, root, start) in [(forward, psi, r), (inverse, m.inv(psi), half)] {
        let mut power = start;
        for k in 0..n {
            row[bit_reverse(k, log_n)] = power;
            power = m.mul(power, root);
        }
    }
    Ok(words)
}
