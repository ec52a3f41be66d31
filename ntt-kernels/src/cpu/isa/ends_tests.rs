//! Transforms that begin with a base conversion or end with something else than residues, and the
//! sums that take what they leave, against the single steps in plain arithmetic.

use super::tests::{moduli, mul, on_every_isa, operands, textbook, words};
use super::*;
use crate::arith::{Modulus, bit_reverse, root_of_unity};
use crate::cpu::kernel::{Lift, LimbKernel};
use crate::cpu::packed::{Packed, pack};
use crate::cpu::tables::LimbTables;

/// Degrees on both sides of what eight lanes take.
const LOG_DEGREES: [u32; 3] = [4, 6, 9];

fn for_moduli(mut f: impl FnMut(&Modulus, &LimbTables, u32)) {
    for q in moduli() {
        let m = Modulus::new(q).unwrap();
        let most = (q - 1).trailing_zeros() - 1;
        for log_n in LOG_DEGREES.into_iter().filter(|&log_n| log_n <= most) {
            f(&m, &LimbTables::new(m, log_n).unwrap(), log_n);
        }
    }
}

/// Bounds of words at which a transform may begin with them, and around those.
fn bounds(m: &Modulus, log_n: u32) -> Vec<u64> {
    let q = m.value();
    let room = (1u64 << 52).saturating_sub(q.saturating_mul(4 * u64::from(log_n) + 1));
    let around = [
        q / 2,
        q,
        2 * q,
        3 * q,
        4 * q,
        room,
        1 << 50,
        1 << 52,
        1 << 60,
    ];
    let all = around
        .into_iter()
        .flat_map(|b| [b.saturating_sub(1), b, b + 1]);
    all.filter(|&b| b > 1 && b <= 1 << 61).collect()
}

fn lifts_agree(k: impl LimbKernel, tables: &LimbTables, lift: &Lift<'_>, log_n: u32) {
    let (m, n) = (tables.modulus(), 1usize << log_n);
    let q = m.value();
    let name = format!("{}, q = {q}, N = {n}, below {}", k.name(), lift.y_below);
    let sum = |i: usize| {
        let terms = lift.ys.iter().zip(lift.hs);
        terms.fold(lift.offset, |s, (y, &h)| (s + mul(y[i] % q, h, q)) % q)
    };
    let row: Vec<u64> = (0..n).map(sum).collect();
    let mut got = vec![7; n];
    k.lift(m, &mut got, lift);
    assert!(got == row, "lift, {name}");

    let want = textbook(m, &row, root_of_unity(m, log_n).unwrap());
    k.lift_forward(tables, &mut got, lift);
    assert!(got == want, "lift_forward, {name}");

    let a = [vec![q - 1; n], words(21, n, q)];
    for w in [q - 1, q / 3] {
        for a in &a {
            let (mut got, mut work) = (vec![7; n], vec![9; n]);
            k.mod_down(tables, &mut got, &mut work, lift, a, m.shoup(w));
            let want = want.iter().zip(a).map(|(t, a)| mul(m.sub(*a, *t), w, q));
            assert!(got.iter().copied().eq(want), "mod_down, {name}");
        }
    }

    // Lazy words are what they are in sums of products.
    let mut lazy = vec![vec![7; n]; 5];
    for lazy in &mut lazy {
        k.lift_forward_lazy(tables, lazy, lift);
    }
    let lazy: Vec<_> = lazy.iter().map(|x| Packed::plain(x)).collect();
    let keys = [vec![q - 1; n], words(22, n, q)].map(|key| vec![key; 5]);
    let keys = keys
        .each_ref()
        .map(|key| key.iter().map(|x| Packed::plain(x)).collect::<Vec<_>>());
    for accumulate in [false, true] {
        let mut sums = [vec![q - 1; n], vec![q - 1; n]];
        let [first, second] = &mut sums;
        k.dot_shared(m, [first, second], &lazy, [&keys[0], &keys[1]], accumulate);
        let mut one = vec![q - 1; n];
        k.dot_shared(m, [&mut one], &lazy, [&keys[1]], accumulate);
        assert!(one == sums[1], "one sum, {name}");
        for (sums, key) in sums
            .iter()
            .zip(&keys)
            .map(|(sums, key)| (sums, key[0].unpacked()))
        {
            let start = if accumulate { q - 1 } else { 0 };
            let want = |i: usize| (start + mul(5, mul(want[i], key[i], q), q)) % q;
            assert!(
                (0..n).all(|i| sums[i] == want(i)),
                "lift_forward_lazy, {name}"
            );
        }
    }
}

#[test]
fn transforms_of_lifts() {
    for_moduli(|m, tables, log_n| {
        let (n, q) = (1usize << log_n, m.value());
        for y_below in bounds(m, log_n) {
            for ys in [vec![y_below - 1; n], words(20, n, y_below)] {
                for offset in [0, q - 1] {
                    let (ys, hs) = ([&ys[..]], [1]);
                    let lift = Lift {
                        ys: &ys,
                        hs: &hs,
                        offset,
                        y_below,
                        soon: &[],
                    };
                    on_every_isa!(lifts_agree, tables, &lift, log_n);
                }
            }
        }
        // Several sources.
        for count in [1, 2, 3, 8, 17] {
            for y_below in [1 << 45, 1 << 50, 1 << 52, 1 << 61] {
                let (ys, hs) = (vec![y_below - 1; n], vec![q - 1; count]);
                let ys = vec![&ys[..]; count];
                let lift = Lift {
                    ys: &ys,
                    hs: &hs,
                    offset: q - 1,
                    y_below,
                    soon: &[],
                };
                on_every_isa!(lifts_agree, tables, &lift, log_n);
            }
        }
    });
}

fn inverses_agree(k: impl LimbKernel, tables: &LimbTables, x: &[u64], w: u64, c: u64) {
    let m = tables.modulus();
    let mut want = x.to_vec();
    Scalar.ntt_inverse(tables, &mut want);
    let want = want.iter().map(|&x| m.add(mul(x, w, m.value()), c));
    let mut got = vec![7; x.len()];
    k.ntt_inverse_from(tables, &mut got, x, m.shoup(w), c);
    assert!(
        got.iter().copied().eq(want),
        "{} inverse times {w} plus {c}, q = {}, N = {}",
        k.name(),
        m.value(),
        x.len()
    );
}

#[test]
fn inverse_transforms_times_a_factor_plus_a_residue() {
    for_moduli(|m, tables, log_n| {
        let q = m.value();
        for x in operands(1 << log_n, q) {
            for (w, c) in [
                (1, 0),
                (1, q - 1),
                (q - 1, 0),
                (q - 1, q - 1),
                (q / 3, q / 2),
            ] {
                on_every_isa!(inverses_agree, tables, &x, w, c);
            }
        }
    });
}

fn two_sums_agree(k: impl LimbKernel, m: &Modulus, count: usize, extreme: bool) {
    let (n, q) = (32, m.value());
    let limb = |seed: u64| match extreme {
        true => vec![q - 1; n],
        false => words(seed, n, q),
    };
    let rows = |from: u64| {
        (0..count as u64)
            .map(|s| limb(s + from))
            .collect::<Vec<_>>()
    };
    let (a, b) = (rows(0), [rows(1_000), rows(2_000)]);
    let width = k.packed_width(m);
    let packed = |rows: &[Vec<u64>]| -> Vec<Vec<u64>> {
        let pack = |row: &Vec<u64>| {
            let mut out = vec![u64::MAX; n / 8 * width];
            pack(row, width, &mut out);
            out
        };
        rows.iter().map(pack).collect()
    };
    let (packed_a, packed_b) = (packed(&a), b.each_ref().map(|b| packed(b)));
    fn views(rows: &[Vec<u64>], width: usize) -> Vec<Packed<'_>> {
        rows.iter().map(|row| Packed::new(row, width)).collect()
    }
    let left = [views(&a, 8), views(&packed_a, width)];
    let right = [&b, &packed_b].map(|b| b.each_ref().map(|b| b));
    let right = [(right[0], 8), (right[1], width)].map(|(b, width)| b.map(|b| views(b, width)));
    for (left, right) in left
        .iter()
        .flat_map(|left| right.iter().map(move |right| (left, right)))
    {
        for accumulate in [false, true] {
            let start = [limb(5), limb(6)];
            let mut got = start.clone();
            let [first, second] = &mut got;
            k.dot_shared(m, [first, second], left, [&right[0], &right[1]], accumulate);
            let mut one = start[1].clone();
            k.dot_shared(m, [&mut one], left, [&right[1]], accumulate);
            assert_eq!(
                one,
                got[1],
                "{}, q = {q}, one sum of {count} pairs",
                k.name()
            );
            for c in 0..2 {
                for i in 0..n {
                    let first = if accumulate { start[c][i] } else { 0 };
                    let pairs = a.iter().zip(&b[c]);
                    let want = pairs.fold(first, |s, (a, b)| (s + mul(a[i], b[i], q)) % q);
                    assert_eq!(got[c][i], want, "{}, q = {q}, {count} pairs", k.name());
                }
            }
        }
    }
}

#[test]
fn two_sums_with_shared_operands() {
    for q in moduli() {
        let m = Modulus::new(q).unwrap();
        for count in [0, 1, 2, 6, 7, 8, 15, 16, 17, 64, 65, 130] {
            for extreme in [false, true] {
                on_every_isa!(two_sums_agree, &m, count, extreme);
            }
        }
    }
}

fn gathers_agree(k: impl LimbKernel, src: &[u64], perm: &[u32]) {
    let mut got = vec![7; src.len()];
    k.gather(&mut got, src, perm);
    let want = perm.iter().map(|&at| src[at as usize]);
    assert!(
        got.iter().copied().eq(want),
        "{} gather, N = {}",
        k.name(),
        src.len()
    );
}

#[test]
fn permutations_of_automorphisms() {
    for log_n in 4..=10u32 {
        let n = 1usize << log_n;
        let src = words(3, n, 1 << 50);
        for galois in [3, 5, 25, 125, n + 1, 2 * n - 1, n - 3] {
            let place = |i: usize| {
                let exponent = (2 * bit_reverse(i, log_n) + 1) * (galois | 1) % (2 * n);
                bit_reverse(exponent / 2, log_n) as u32
            };
            let perm: Vec<u32> = (0..n).map(place).collect();
            on_every_isa!(gathers_agree, &src, &perm);
        }
    }
}
