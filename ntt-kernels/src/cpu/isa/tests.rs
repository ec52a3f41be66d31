//! Every instruction set against plain definitions in 128-bit arithmetic.

use super::*;
use crate::arith::{Modulus, bit_reverse, primes_below, root_of_unity};
use crate::cpu::{kernel::LimbKernel, tables::LimbTables};
use proptest::prelude::*;

/// Runs a generic check on every kernel the machine has.
macro_rules! on_every_isa {
    ($check:ident $(, $arg:expr)*) => {{
        $check(Scalar $(, $arg)*);
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(k) = Avx2::detect() {
                $check(k $(, $arg)*);
            }
            if let Some(k) = Avx512Ifma::detect() {
                $check(k $(, $arg)*);
            }
        }
    }};
}
pub(super) use on_every_isa;

/// Words from a fixed linear congruential sequence, reduced.
pub(super) fn words(seed: u64, n: usize, q: u64) -> Vec<u64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 32
    };
    (0..n).map(|_| (next() << 32 | next()) % q).collect()
}

/// Operands at the edges of the range and pseudo-random ones.
pub(super) fn operands(n: usize, q: u64) -> Vec<Vec<u64>> {
    let alternating = (0..n).map(|i| if i % 2 == 0 { q - 1 } else { 0 }).collect();
    let mixed = (0..n)
        .map(|i| [0, 1, q - 1, q / 2, q / 2 + 1, 2][i % 6])
        .collect();
    vec![
        vec![q - 1; n],
        vec![0; n],
        alternating,
        mixed,
        words(1, n, q),
        words(2, n, q),
    ]
}

/// Moduli that are 1 modulo `2^17` (the last ones modulo less), at the borders of the paths.
pub(super) fn moduli() -> Vec<u64> {
    let mut all = vec![];
    for bits in [
        22, 30, 32, 33, 40, 45, 46, 47, 48, 49, 50, 51, 52, 53, 60, 61,
    ] {
        all.push(primes_below(bits, 1 << 17, 1).unwrap()[0]);
    }
    for bits in [45, 46, 47, 48, 49, 50, 52] {
        // The least prime above the border.
        let mut q = (1u64 << bits) + 1;
        while !crate::arith::is_prime(q) {
            q += 1 << 17;
        }
        all.push(q);
    }
    all.extend([97, 193, 257, 12_289, 40_961, 65_537, 786_433]);
    all
}

pub(super) fn mul(a: u64, b: u64, q: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(q)) as u64
}

/// `x(psi^(2 bitrev(i) + 1))` by Horner's rule.
fn evaluate(m: &Modulus, x: &[u64]) -> Vec<u64> {
    let log_n = x.len().trailing_zeros();
    let psi = root_of_unity(m, log_n).unwrap();
    let q = m.value();
    (0..x.len())
        .map(|i| {
            let point = m.pow(psi, 2 * bit_reverse(i, log_n) as u64 + 1);
            x.iter()
                .rev()
                .fold(0, |acc, &c| (mul(acc, point, q) + c) % q)
        })
        .collect()
}

/// The same by recursion on even and odd coefficients.
pub(super) fn textbook(m: &Modulus, x: &[u64], psi: u64) -> Vec<u64> {
    fn at_odd_powers(x: &[u64], psi: u64, m: &Modulus) -> Vec<u64> {
        // Values at psi^(2k + 1) for k in 0..n.
        if x.len() == 1 {
            return x.to_vec();
        }
        let half = x.len() / 2;
        let part = |odd| x.iter().copied().skip(odd).step_by(2).collect::<Vec<_>>();
        let square = m.mul(psi, psi);
        let (e, o) = (
            at_odd_powers(&part(0), square, m),
            at_odd_powers(&part(1), square, m),
        );
        let mut power = psi;
        let mut out = vec![0; x.len()];
        for k in 0..half {
            let t = m.mul(o[k], power);
            out[k] = m.add(e[k], t);
            out[k + half] = m.sub(e[k], t);
            power = m.mul(power, square);
        }
        out
    }
    let log_n = x.len().trailing_zeros();
    let values = at_odd_powers(x, psi, m);
    (0..x.len())
        .map(|i| values[bit_reverse(i, log_n)])
        .collect()
}

fn transforms_agree(k: impl LimbKernel, m: &Modulus, tables: &LimbTables, x: &[u64]) {
    let log_n = x.len().trailing_zeros();
    let want = textbook(m, x, root_of_unity(m, log_n).unwrap());
    let mut got = x.to_vec();
    k.ntt_forward(tables, &mut got);
    assert!(
        got == want,
        "{} forward, q = {m}, log N = {log_n}",
        k.name()
    );
    k.ntt_inverse(tables, &mut got);
    assert!(got == x, "{} inverse, q = {m}, log N = {log_n}", k.name());
    // An input of the inverse that is extreme in the evaluation domain.
    let mut back = x.to_vec();
    k.ntt_inverse(tables, &mut back);
    assert!(
        textbook(m, &back, root_of_unity(m, log_n).unwrap()) == x,
        "{} inverse of values, q = {m}, log N = {log_n}",
        k.name()
    );
}

#[test]
fn the_textbook_transform_is_the_definition() {
    for (q, log_n) in [(257, 4), (12_289, 6), (moduli()[14], 8)] {
        let m = Modulus::new(q).unwrap();
        let x = words(3, 1 << log_n, q);
        let psi = root_of_unity(&m, log_n).unwrap();
        assert_eq!(textbook(&m, &x, psi), evaluate(&m, &x));
    }
}

#[test]
fn transforms_of_every_degree() {
    for q in moduli() {
        let m = Modulus::new(q).unwrap();
        let log_max = ((q - 1).trailing_zeros() - 1).min(11);
        let tables = LimbTables::new(m, log_max).unwrap();
        for log_n in 4..=log_max {
            for x in operands(1 << log_n, q) {
                on_every_isa!(transforms_agree, &m, &tables, &x);
            }
        }
    }
}

#[test]
fn transforms_of_large_degree() {
    for bits in [24, 45, 46, 48, 50, 61] {
        let q = primes_below(bits, 1 << 18, 1).unwrap()[0];
        let m = Modulus::new(q).unwrap();
        let tables = LimbTables::new(m, 17).unwrap();
        for log_n in 12..=17 {
            for x in [vec![q - 1; 1 << log_n], words(5, 1 << log_n, q)] {
                on_every_isa!(transforms_agree, &m, &tables, &x);
            }
        }
    }
}

/// Inputs whose first coefficient meets, at every stage, a product as large as centred products
/// get: the values in the first place grow by half a modulus per stage, in either direction.
#[test]
fn transforms_of_growing_values() {
    for bits in [45, 46, 49, 50] {
        for q in primes_below(bits, 1 << 18, 1).unwrap() {
            let m = Modulus::new(q).unwrap();
            let tables = LimbTables::new(m, 17).unwrap();
            let psi = root_of_unity(&m, 17).unwrap();
            let (up, down) = (q / 100 * 45, q - q / 100 * 45);
            for (first, product) in [(q - 1, up), (0, down), (q - 1, q - 1), (0, 1)] {
                let log_n = 17;
                let mut x = vec![0; 1 << log_n];
                x[0] = first;
                for stage in 0..log_n {
                    // psi^bitrev(2^stage) is the twiddle of the first block.
                    let twiddle = m.pow(psi, 1 << (16 - stage));
                    x[1 << (log_n - 1 - stage)] = m.mul(product, m.inv(twiddle));
                }
                on_every_isa!(transforms_agree, &m, &tables, &x);
            }
        }
    }
}

fn elementwise_agrees(k: impl LimbKernel, m: &Modulus, a: &[u64], b: &[u64], d: &[u64]) {
    let (n, q) = (a.len(), m.value());
    let want = |f: &dyn Fn(u64, u64, u64) -> u128| -> Vec<u64> {
        (0..n)
            .map(|i| (f(a[i], b[i], d[i]) % u128::from(q)) as u64)
            .collect()
    };
    let name = k.name();
    let check = |op: &str, got: &[u64], want: Vec<u64>| {
        assert!(got == want, "{name} {op}, q = {q}, N = {n}")
    };
    let w128 = u128::from;
    let run = |f: &dyn Fn(&mut [u64])| {
        let mut dst = d.to_vec();
        f(&mut dst);
        dst
    };
    for c in [0, 1, q - 1, b[n / 2]] {
        let w = m.shoup(c);
        check(
            "scale",
            &run(&|x| k.scale(m, x, a, w)),
            want(&|a, _, _| w128(a) * w128(c)),
        );
        check(
            "scale_assign",
            &run(&|x| k.scale_assign(m, x, w)),
            want(&|_, _, d| w128(d) * w128(c)),
        );
        check(
            "scale_acc",
            &run(&|x| k.scale_acc(m, x, a, w)),
            want(&|a, _, d| w128(d) + w128(a) * w128(c)),
        );
        check(
            "offset",
            &run(&|x| k.offset(m, x, a, c)),
            want(&|a, _, _| w128(a) + w128(c)),
        );
        check(
            "offset_assign",
            &run(&|x| k.offset_assign(m, x, c)),
            want(&|_, _, d| w128(d) + w128(c)),
        );
        check(
            "sub_scale",
            &run(&|x| k.sub_scale(m, x, a, b, w)),
            want(&|a, b, _| (w128(a) + w128(q) - w128(b)) * w128(c)),
        );
    }
    check(
        "add",
        &run(&|x| k.add(m, x, a, b)),
        want(&|a, b, _| w128(a) + w128(b)),
    );
    check(
        "sub",
        &run(&|x| k.sub(m, x, a, b)),
        want(&|a, b, _| w128(a) + w128(q) - w128(b)),
    );
    check(
        "neg",
        &run(&|x| k.neg(m, x, a)),
        want(&|a, _, _| w128(q) - w128(a)),
    );
    check(
        "add_assign",
        &run(&|x| k.add_assign(m, x, b)),
        want(&|_, b, d| w128(d) + w128(b)),
    );
    check(
        "sub_assign",
        &run(&|x| k.sub_assign(m, x, b)),
        want(&|_, b, d| w128(d) + w128(q) - w128(b)),
    );
    check(
        "rsub_assign",
        &run(&|x| k.rsub_assign(m, x, b)),
        want(&|_, b, d| w128(b) + w128(q) - w128(d)),
    );
    check(
        "neg_assign",
        &run(&|x| k.neg_assign(m, x)),
        want(&|_, _, d| w128(q) - w128(d)),
    );
    check(
        "mul",
        &run(&|x| k.mul(m, x, a, b)),
        want(&|a, b, _| w128(a) * w128(b)),
    );
    check(
        "mul_assign",
        &run(&|x| k.mul_assign(m, x, b)),
        want(&|_, b, d| w128(d) * w128(b)),
    );
    check(
        "mul_acc",
        &run(&|x| k.mul_acc(m, x, a, b)),
        want(&|a, b, d| w128(d) + w128(a) * w128(b)),
    );
    let perm: Vec<u32> = (0..n as u32).map(|i| (i * 5 + 3) % n as u32).collect();
    let gathered: Vec<u64> = perm.iter().map(|&i| a[i as usize]).collect();
    check("gather", &run(&|x| k.gather(x, a, &perm)), gathered);
}

#[test]
fn elementwise_operations() {
    for q in moduli() {
        let m = Modulus::new(q).unwrap();
        for n in [16, 64] {
            let all = operands(n, q);
            for a in &all {
                for b in &all {
                    for d in [&all[0], &all[1], &all[4]] {
                        on_every_isa!(elementwise_agrees, &m, a, b, d);
                    }
                }
            }
        }
    }
}

fn sums_agree(k: impl LimbKernel, m: &Modulus, count: usize, extreme: bool) {
    let (n, q) = (32, m.value());
    let limb = |seed: u64| {
        if extreme {
            vec![q - 1; n]
        } else {
            words(seed, n, q)
        }
    };
    let (a, b): (Vec<_>, Vec<_>) = (0..count as u64).map(|s| (limb(s), limb(s + 999))).unzip();
    let pairs: Vec<(&[u64], &[u64])> = a.iter().zip(&b).map(|(a, b)| (&a[..], &b[..])).collect();
    let start = limb(7);
    for accumulate in [false, true] {
        let mut got = start.clone();
        k.dot(m, &mut got, &pairs, accumulate);
        for i in 0..n {
            let first = if accumulate { start[i] } else { 0 };
            let want = pairs
                .iter()
                .fold(first, |s, (a, b)| (s + mul(a[i], b[i], q)) % q);
            assert_eq!(got[i], want, "{} dot, q = {q}, {count} pairs", k.name());
        }
    }
    for y_bits in [20, 32, 40, 49, 50, 51, 52, 53, 60, 61] {
        let bound = 1u64 << y_bits;
        let source = |s: u64| {
            if extreme {
                vec![bound - 1; n]
            } else {
                words(s + 55, n, bound)
            }
        };
        let ys: Vec<Vec<u64>> = (0..count as u64).map(source).collect();
        let views: Vec<&[u64]> = ys.iter().map(|y| &y[..]).collect();
        let hs = if extreme {
            vec![q - 1; count]
        } else {
            words(8, count, q)
        };
        for offset in [0, q - 1] {
            let mut got = start.clone();
            k.combine(m, &mut got, &views, &hs, offset, y_bits);
            for i in 0..n {
                let want = ys
                    .iter()
                    .zip(&hs)
                    .fold(offset, |s, (y, &h)| (s + mul(y[i] % q, h, q)) % q);
                assert_eq!(
                    got[i],
                    want,
                    "{} combine, q = {q}, {count} limbs of {y_bits} bits",
                    k.name()
                );
            }
        }
        for y in &ys {
            let mut got = start.clone();
            k.reduce(m, &mut got, y);
            let want: Vec<u64> = y.iter().map(|y| y % q).collect();
            assert_eq!(got, want, "{} reduce, q = {q}, {y_bits} bits", k.name());
        }
    }
}

#[test]
fn lazy_sums() {
    for q in moduli() {
        let m = Modulus::new(q).unwrap();
        for count in [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 64, 65, 130] {
            for extreme in [false, true] {
                on_every_isa!(sums_agree, &m, count, extreme);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_limbs(
        q in prop::sample::select(moduli()),
        log_n in 4u32..9,
        seeds in prop::array::uniform3(any::<u64>()),
    ) {
        let m = Modulus::new(q).unwrap();
        let log_n = log_n.min((q - 1).trailing_zeros() - 1);
        let [a, b, d] = seeds.map(|s| words(s, 1 << log_n, q));
        let tables = LimbTables::new(m, log_n).unwrap();
        on_every_isa!(transforms_agree, &m, &tables, &a);
        on_every_isa!(elementwise_agrees, &m, &a, &b, &d);
    }
}
