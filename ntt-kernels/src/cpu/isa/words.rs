//! Matrix products from products of 52-bit words: four rows by sixteen columns of sums in registers.
//!
//! Each word of the right operand that is read serves four rows, each factor sixteen columns. Columns are
//! copied side by side first, so that one run of memory feeds all sums.

use super::avx512ifma::Avx512Ifma;
use super::instructions::*;
use super::wide_sums::{WideSum, sum_group};
use crate::{arith::Modulus, poly::IntMatrix};

/// Rows whose sums are in registers at a time.
const ROWS: usize = 4;

/// Columns of these: two registers.
pub(super) const COLUMNS: usize = 16;

/// `out[i] = sum_j left[i][j] * src[j]` for rows of a multiple of [`COLUMNS`] words below the prime,
/// itself below `2^52`.
pub(super) fn mat_mul(
    s: Avx512Ifma,
    m: &Modulus,
    left: &IntMatrix,
    src: &[u64],
    out: &mut [&mut [u64]],
) {
    let (len, depth) = (out[0].len(), left.columns());
    assert!(len.is_multiple_of(COLUMNS) && src.len() == depth * len);
    assert!(out.len() == left.rows() && out.iter().all(|row| row.len() == len));
    let mut columns = Vec::with_capacity(src.len());
    for block in 0..len / COLUMNS {
        for row in src.chunks_exact(len) {
            columns.extend_from_slice(&row[block * COLUMNS..][..COLUMNS]);
        }
    }
    let mut factors = vec![[0; ROWS]; depth];
    for (panel, out) in out.chunks_mut(ROWS).enumerate() {
        // Rows that are missing keep the factors of those before, and nobody asks for them.
        for (r, i) in (panel * ROWS..left.rows()).take(ROWS).enumerate() {
            residues(m, left, i, |j, residue| factors[j][r] = residue);
        }
        for (block, ys) in columns.chunks_exact(depth * COLUMNS).enumerate() {
            // SAFETY: the token proves the instruction set; the lengths fit, by the lines above.
            unsafe {
                let sums = sums(s, m, &factors, ys);
                for (out, sums) in out.iter_mut().zip(&sums) {
                    let out = &mut out[block * COLUMNS..][..COLUMNS];
                    _mm512_storeu_si512(out.as_mut_ptr().cast(), sums[0]);
                    _mm512_storeu_si512(out[8..].as_mut_ptr().cast(), sums[1]);
                }
            }
        }
    }
}

/// The entries of a row modulo the prime.
fn residues(m: &Modulus, left: &IntMatrix, row: usize, mut put: impl FnMut(usize, u64)) {
    let q = m.value();
    if left.bound() < q {
        for (j, &entry) in left.row(row).iter().enumerate() {
            put(j, (entry as u64).wrapping_add(q & (entry >> 63) as u64));
        }
    } else {
        for (j, &entry) in left.row(row).iter().enumerate() {
            put(j, m.from_i64(entry));
        }
    }
}

/// `sum_j factors[j][r] * ys[j]` for rows `ys[j]` of sixteen words.
///
/// # Safety
/// The machine must have the instructions, and `ys` hold sixteen words for every four factors.
#[cfg_attr(
    not(modelled_avx512),
    target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma,avx2,fma")
)]
#[cfg_attr(modelled_avx512, target_feature(enable = "avx2,fma"))]
unsafe fn sums(
    _: Avx512Ifma,
    m: &Modulus,
    factors: &[[u64; ROWS]],
    ys: &[u64],
) -> [[__m512i; 2]; ROWS] {
    debug_assert!(ys.len() == factors.len() * COLUMNS);
    let reduction = WideSum::new(m);
    let zero = _mm512_setzero_si512();
    let mut total = [[zero; 2]; ROWS];
    let mut y = ys.as_ptr().cast::<__m512i>();
    // As many products below q^2 as a sum of two words takes besides one residue.
    for factors in factors.chunks(sum_group(2 * m.bits())) {
        let mut high = [[zero; 2]; ROWS];
        for factors in factors {
            // SAFETY: two registers for each factor.
            let at = unsafe {
                let at = [_mm512_loadu_si512(y), _mm512_loadu_si512(y.add(1))];
                y = y.add(2);
                at
            };
            for r in 0..ROWS {
                let factor = _mm512_set1_epi64(factors[r] as i64);
                for c in 0..2 {
                    total[r][c] = _mm512_madd52lo_epu64(total[r][c], factor, at[c]);
                    high[r][c] = _mm512_madd52hi_epu64(high[r][c], factor, at[c]);
                }
            }
        }
        for r in 0..ROWS {
            for c in 0..2 {
                total[r][c] = reduction.reduce(total[r][c], high[r][c]);
            }
        }
    }
    total
}
