//! Products of matrices on every instruction set and unit, against sums of single products.

use super::*;
use crate::{
    arith::{Modulus, primes_below},
    cpu::{kernel::LimbKernel, mat_mul::LeftMatrix},
    poly::IntMatrix,
};

/// A product, entry by entry.
fn check(k: impl LimbKernel, name: &str, m: &Modulus, matrix: &IntMatrix, len: usize, src: &[u64]) {
    let rows = matrix.rows();
    let mut words = vec![7; rows * len];
    let mut out: Vec<&mut [u64]> = words.chunks_exact_mut(len).collect();
    let left = LeftMatrix::new(k, std::iter::once(m), matrix);
    k.mat_mul(m, &left, src, &mut out);
    // Columns around the borders of blocks and tiles, rows around those of panels.
    for i in [0, 1, 15, 16, 31, 32, rows - 1] {
        for x in [0, 7, 8, 15, 16, 31, 32, len - 1] {
            let (Some(row), true) = (words.chunks_exact(len).nth(i), x < len) else {
                continue;
            };
            let terms = matrix.row(i).iter().enumerate();
            let product = |(j, &e): (usize, &i64)| m.mul(m.from_i64(e), src[j * len + x]);
            let sum = terms.map(product).fold(0, |a, b| m.add(a, b));
            assert_eq!(row[x], sum, "{name}, {m:?}, {matrix:?}, entry {i}, {x}");
        }
    }
}

fn on_every_unit(m: &Modulus, matrix: &IntMatrix, len: usize, src: &[u64]) {
    check(Scalar, "scalar", m, matrix, len, src);
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(k) = Avx2::detect() {
            check(k, "avx2", m, matrix, len, src);
        }
        if let Some(k) = Avx512Ifma::detect() {
            check(k.with_bytes(None), "ifma", m, matrix, len, src);
            for unit in avx512ifma::Bytes::available() {
                let name = format!("{unit:?}");
                check(k.with_bytes(Some(unit)), &name, m, matrix, len, src);
            }
        }
    }
}

/// Sums at their largest: every residue `q - 1`, every entry at the bound and of one sign, so many
/// terms that the sums of bytes are as large as they can be; and mixed ones.
#[test]
fn products_at_the_edges() {
    for bits in [20, 24, 25, 36, 40, 48, 49, 50, 51, 61] {
        let m = Modulus::new(primes_below(bits, 1 << 14, 1).unwrap()[0]).unwrap();
        for (rows, columns, bound) in [
            (1, 1, IntMatrix::MAX_BOUND),
            (33, 65, 127),
            (2, 2048, 32_639),
            (3, 2049, IntMatrix::MAX_BOUND),
            (32, 64, 8_355_711),
        ] {
            let b = bound as i64;
            // -128 in every byte but the highest: the most negative sums.
            let low = -(b.min(0x0080_8080_8080_8080));
            let extremes: [&dyn Fn(usize) -> i64; 4] = [&|_| b, &|_| -b, &|_| low, &|i| {
                [b, -b, 0, 1, -1, b / 3, low][i % 7]
            }];
            for entry in extremes {
                let entries: Vec<i64> = (0..rows * columns).map(entry).collect();
                let matrix = IntMatrix::new((rows, columns), bound, entries).unwrap();
                for (len, src) in [
                    (32, vec![m.value() - 1; columns * 32]),
                    (64, mixed(&m, columns * 64)),
                    (16, mixed(&m, columns * 16)),
                ] {
                    on_every_unit(&m, &matrix, len, &src);
                }
            }
        }
    }
}

/// Residues with extreme bytes among spread ones.
fn mixed(m: &Modulus, count: usize) -> Vec<u64> {
    let word = |i: usize| match i % 5 {
        0 => m.value() - 1,
        1 => m.value() / 2,
        2 => i as u64 % 2,
        _ => m.reduce((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    };
    (0..count).map(word).collect()
}
