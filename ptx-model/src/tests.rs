//! Small kernels, written by hand, with known results and known faults.

use crate::{
    counts::Counts,
    execute::{Fault, Launch, run},
    memory::{Allocation, Global},
    parse::{Kernel, parse},
};

/// A kernel with memory and a word as its parameters.
fn kernel(shared_bytes: usize, body: &str) -> Kernel {
    let text = format!(
        ".version 7.0\n.target sm_80\n.address_size 64\n\
         .entry k(\n.param .u64 .ptr .global .align 8 k_param_0,\n.param .u32 k_param_1\n)\n{{\n\
         .shared .align 8 .b8 tile[{shared_bytes}];\n.reg .b64 %rd<9>;\n\
         ld.param.u64 %rd0, [k_param_0];\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, %ctaid.x;\n\
         mov.u32 %r2, %ntid.x;\nmad.lo.s32 %r3, %r1, %r2, %r0;\n\
         mul.wide.u32 %rd1, %r3, 8;\nadd.s64 %rd1, %rd0, %rd1;\n\
         mul.wide.u32 %rd2, %r0, 8;\n{body}\nret;\n}}\n"
    );
    let kernels = parse(&text).unwrap_or_else(|error| panic!("{}", error.0));
    kernels.into_iter().next().expect("one kernel")
}

/// What the kernel makes of the words 0, 1, 2.
fn result(kernel: &Kernel, words: usize, groups: usize, items: usize) -> Result<Vec<u64>, String> {
    let mut allocation = Allocation::new(1, 8 * words, false);
    for (i, bytes) in allocation.bytes.chunks_exact_mut(8).enumerate() {
        bytes.copy_from_slice(&(i as u64).to_le_bytes());
    }
    let mut params = vec![0; 12];
    params[..8].copy_from_slice(&allocation.address().to_le_bytes());
    params[8..].copy_from_slice(&7u32.to_le_bytes());
    let launch = Launch {
        kernel,
        params: &params,
        groups: [groups, 1, 1],
        items: [items, 1, 1],
        number: 1,
    };
    let mut global = Global::new(true);
    global.add(&mut allocation, [(0, 8 * words)].into_iter());
    let mut counts = Counts::default();
    run(&launch, &mut global, &mut counts).map_err(|fault: Fault| fault.what.to_string())?;
    drop(global);
    let words = allocation.bytes.chunks_exact(8);
    Ok(words
        .map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")))
        .collect())
}

/// The body applied to one word of each item.
fn each(body: &str) -> Vec<u64> {
    let body = format!("ld.global.u64 %rd3, [%rd1];\n{body}\nst.global.u64 [%rd1], %rd4;");
    result(&kernel(8, &body), 96, 2, 48).expect("no fault")
}

fn expect(body: &str, of: impl Fn(u64) -> u64) {
    let want: Vec<u64> = (0..96).map(of).collect();
    assert_eq!(each(body), want, "{body}");
}

#[test]
fn words_of_64_bits() {
    expect("add.s64 %rd4, %rd3, -5;", |x| x.wrapping_sub(5));
    expect("mul.lo.s64 %rd4, %rd3, -3;", |x| {
        x.wrapping_mul(3).wrapping_neg()
    });
    let high = |x: u64| ((u128::from(x) * u128::from(u64::MAX - 1)) >> 64) as u64;
    expect("mul.hi.u64 %rd4, %rd3, -2;", high);
    expect("sub.s64 %rd4, 0, %rd3;\nshr.s64 %rd4, %rd4, 1;", |x| {
        ((-(x as i64)) >> 1) as u64
    });
    expect("cvt.u32.u64 %r4, %rd3;\nshl.b64 %rd4, 1, %r4;", |x| {
        if x < 64 { 1 << x } else { 0 }
    });
    expect("popc.b64 %r4, %rd3;\ncvt.u64.u32 %rd4, %r4;", |x| {
        x.count_ones().into()
    });
    expect("min.u64 %rd4, %rd3, 40;", |x| x.min(40));
}

#[test]
fn words_of_32_bits_have_nothing_above() {
    let to_32 = "cvt.u32.u64 %r4, %rd3;\n";
    let op = |line: &str| format!("{to_32}{line}\ncvt.u64.u32 %rd4, %r5;");
    expect(&op("sub.s32 %r5, %r4, 10;"), |x| {
        (x as u32).wrapping_sub(10).into()
    });
    expect(&op("or.b32 %r5, %r4, -8;"), |x| {
        (x as u32 | 0xffff_fff8).into()
    });
    expect(&op("neg.s32 %r5, %r4;"), |x| {
        (x as u32).wrapping_neg().into()
    });
    expect(&op("sub.s32 %r5, %r4, 10;\nshr.s32 %r5, %r5, 1;"), |x| {
        ((x as i32 - 10) >> 1) as u32 as u64
    });
    expect(&op("bfe.u32 %r5, %r4, 2, 3;"), |x| x >> 2 & 7);
    expect(&op("shf.l.wrap.b32 %r5, %r4, %r4, 7;"), |x| {
        (x as u32).rotate_left(7).into()
    });
    expect(&op("brev.b32 %r5, %r4;"), |x| {
        (x as u32).reverse_bits().into()
    });
    expect(&op("mad.lo.s32 %r5, %r4, -1, 3;"), |x| {
        3u32.wrapping_sub(x as u32).into()
    });
}

#[test]
fn doubles_are_rounded_to_nearest_and_fused() {
    let body = "cvt.rn.f64.u64 %fd1, %rd3;\nmul.rn.f64 %fd2, %fd1, 0d3FB999999999999A;\n\
                neg.f64 %fd3, %fd2;\nfma.rn.f64 %fd4, %fd1, 0d3FB999999999999A, %fd3;\nmov.b64 %rd4, %fd4;";
    expect(body, |x| {
        let product = x as f64 * 0.1;
        (x as f64).mul_add(0.1, -product).to_bits()
    });
    let body = "cvt.rn.f64.u64 %fd1, %rd3;\nsub.rn.f64 %fd1, %fd1, 0d4004000000000000;\ncvt.rzi.s64.f64 %rd4, %fd1;";
    expect(body, |x| (x as f64 - 2.5) as i64 as u64);
}

#[test]
fn lanes_part_and_meet_again() {
    // Collatz: as many rounds as each item needs.
    let body = "mov.u64 %rd4, 0;\nmax.u64 %rd3, %rd3, 1;\n$L1:\nsetp.eq.s64 %p1, %rd3, 1;\n@%p1 bra $L4;\n\
                and.b64 %rd5, %rd3, 1;\nsetp.eq.s64 %p2, %rd5, 0;\n@%p2 bra $L2;\n\
                mul.lo.s64 %rd3, %rd3, 3;\nadd.s64 %rd3, %rd3, 1;\nbra.uni $L3;\n\
                $L2:\nshr.u64 %rd3, %rd3, 1;\n$L3:\nadd.s64 %rd4, %rd4, 1;\nbra.uni $L1;\n$L4:";
    expect(body, |x| {
        let (mut x, mut rounds) = (x.max(1), 0);
        while x != 1 {
            x = if x % 2 == 0 { x / 2 } else { 3 * x + 1 };
            rounds += 1;
        }
        rounds
    });
}

/// Each item writes its word to shared memory and reads that of another one.
fn exchange(barrier: &str) -> Kernel {
    kernel(
        8 * 64,
        &format!(
            "ld.global.u64 %rd3, [%rd1];\nmov.u64 %rd5, tile;\nadd.s64 %rd6, %rd5, %rd2;\nst.shared.u64 [%rd6], %rd3;\n\
             {barrier}\nmov.u64 %rd7, 504;\nsub.s64 %rd7, %rd7, %rd2;\nadd.s64 %rd7, %rd5, %rd7;\n\
             ld.shared.u64 %rd4, [%rd7];\nst.global.u64 [%rd1], %rd4;"
        ),
    )
}

#[test]
fn barriers_order_what_items_share() {
    let got = result(&exchange("bar.sync 0;"), 128, 2, 64).expect("no fault");
    let want: Vec<u64> = (0..128).map(|i| i / 64 * 64 + 63 - i % 64).collect();
    assert_eq!(got, want);
}

#[test]
fn what_no_kernel_may_do_is_a_fault() {
    let fault = |kernel: &Kernel| result(kernel, 128, 2, 64).expect_err("a fault");
    assert!(fault(&exchange("")).contains("a race"));
    let parted = "setp.lt.u32 %p1, %r0, 40;\n@%p1 bra $L1;\nbar.sync 0;\n$L1:\n";
    assert!(fault(&kernel(8, parted)).contains("not all items"));
    let of_warps = "setp.lt.u32 %p1, %r0, 32;\n@%p1 bra $L1;\nbar.sync 0;\n$L1:\n";
    assert!(fault(&kernel(8, of_warps)).contains("another barrier"));
    let body = "ld.global.u64 %rd3, [%rd1+8];";
    assert!(fault(&kernel(8, body)).contains("outside"));
    // The last word that there is.
    assert!(fault(&kernel(8, "ld.global.u64 %rd3, [-8];")).contains("outside"));
    assert!(fault(&kernel(8, "ld.global.u64 %rd3, [%rd1+4];")).contains("aligned"));
    assert!(fault(&kernel(8, "ld.shared.u64 %rd3, [tile+8];")).contains("outside"));
    // Groups are not ordered, items neither.
    let to_first = "st.global.u64 [%rd0], %rd0;";
    assert!(fault(&kernel(8, to_first)).contains("a race"));
    let from_other_group = "xor.b32 %r4, %r3, 64;\nmul.wide.u32 %rd3, %r4, 8;\nadd.s64 %rd3, %rd0, %rd3;\n\
                            ld.global.u64 %rd4, [%rd3];\nst.global.u64 [%rd1], %rd4;";
    assert!(fault(&kernel(8, from_other_group)).contains("a race"));
    assert!(fault(&kernel(8, "div.u32 %r4, %r0, %r0;")).contains("division"));
}

#[test]
fn what_is_not_modelled_is_said() {
    let text = ".entry k(\n.param .u32 k_param_0\n)\n{\natom.add.u32 %r1, [%rd1], 1;\n}\n";
    let error = parse(text).expect_err("no atomics");
    assert!(
        error.0.contains("line 5") && error.0.contains("atom.add.u32"),
        "{}",
        error.0
    );
}
