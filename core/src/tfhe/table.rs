//! The parameter sets that are offered: docs/notes/tfhe.md says where they come from.

use super::params::{Failure, TfheLiteral};

/// A row of the table.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) literal: TfheLiteral,
    pub(super) failure: Failure,
}

type Digits = (u32, u32);

#[allow(clippy::too_many_arguments)] // the columns of a table
const fn row(
    name: &'static str,
    failure: Failure,
    (message_bits, norm): (u32, u32),
    (lwe_dimension, lwe_noise_log): (usize, u32),
    (masks, log_n): (usize, u32),
    mask_digits: Digits,
    body_digits: Digits,
    switch_digits: Digits,
) -> Row {
    Row {
        name,
        failure,
        literal: TfheLiteral {
            message_bits,
            norm,
            lwe_dimension,
            lwe_noise_log,
            group: 1,
            masks,
            log_n,
            mask_digits,
            body_digits,
            switch_digits,
        },
    }
}

/// The same with several key bits per step.
const fn grouped(group: usize, row: Row) -> Row {
    Row {
        literal: TfheLiteral {
            group,
            ..row.literal
        },
        ..row
    }
}

use Failure::{Below64 as F64, Below128 as F128};

/// Message bits and norm; LWE dimension and noise; masks and ring degree; digits of masks, of the
/// body, of the key-switch, each as bits and number.
#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    row("p1", F128, (1, 2), (684, 18), (4, 9), (24, 1), (24, 1), (3, 4)),
    row("p2", F128, (2, 3), (720, 17), (4, 9), (24, 1), (24, 1), (2, 7)),
    row("p3", F128, (3, 5), (804, 15), (2, 10), (24, 1), (24, 1), (3, 5)),
    row("p4", F128, (4, 5), (876, 13), (1, 11), (24, 1), (24, 1), (4, 4)),
    row("p5", F128, (5, 9), (924, 12), (1, 12), (16, 2), (21, 1), (3, 6)),
    row("p6", F128, (6, 9), (996, 10), (1, 13), (16, 2), (21, 1), (3, 7)),
    row("p4-norm16", F128, (4, 16), (876, 13), (1, 11), (24, 1), (24, 1), (3, 6)),
    row("p4-132", F128, (4, 5), (912, 13), (1, 11), (24, 1), (24, 1), (4, 4)),
    row("p6-norm64", F128, (6, 64), (996, 10), (1, 13), (16, 2), (16, 2), (3, 7)),
    row("p2-fail64", F64, (2, 3), (720, 17), (4, 9), (24, 1), (24, 1), (3, 4)),
    row("p3-fail64", F64, (3, 5), (720, 17), (2, 10), (24, 1), (24, 1), (2, 7)),
    row("p4-fail64", F64, (4, 5), (804, 15), (1, 11), (24, 1), (24, 1), (3, 5)),
    row("p5-fail64", F64, (5, 9), (876, 13), (1, 12), (24, 1), (24, 1), (3, 6)),
    row("p6-fail64", F64, (6, 9), (924, 12), (1, 13), (16, 2), (21, 1), (3, 6)),
    grouped(2, row("p2-g2", F128, (2, 3), (768, 16), (2, 10), (23, 1), (23, 1), (4, 3))),
    grouped(2, row("p3-g2", F128, (3, 5), (840, 14), (2, 10), (23, 1), (23, 1), (4, 4))),
    grouped(2, row("p4-g2", F128, (4, 5), (924, 12), (1, 11), (23, 1), (23, 1), (4, 4))),
    grouped(2, row("p5-g2", F128, (5, 9), (960, 11), (1, 12), (15, 2), (21, 1), (3, 6))),
    grouped(3, row("p2-g3", F128, (2, 3), (720, 17), (2, 10), (23, 1), (23, 1), (3, 5))),
    grouped(3, row("p3-g3", F128, (3, 5), (768, 16), (1, 11), (23, 1), (23, 1), (3, 5))),
    grouped(3, row("p4-g3", F128, (4, 5), (876, 13), (1, 11), (23, 1), (23, 1), (4, 4))),
    grouped(3, row("p5-g3", F128, (5, 9), (924, 12), (1, 12), (15, 2), (20, 1), (3, 6))),
    grouped(3, row("p6-g3", F128, (6, 9), (1032, 9), (1, 13), (15, 2), (20, 1), (3, 7))),
    grouped(4, row("p2-g4", F128, (2, 3), (720, 17), (1, 11), (23, 1), (23, 1), (3, 4))),
    grouped(4, row("p3-g4", F128, (3, 5), (768, 16), (1, 11), (23, 1), (23, 1), (3, 5))),
    grouped(4, row("p4-g4", F128, (4, 5), (840, 14), (1, 11), (23, 1), (23, 1), (3, 5))),
    grouped(4, row("p5-g4", F128, (5, 9), (924, 12), (1, 12), (15, 2), (20, 1), (3, 6))),
    grouped(4, row("p6-g4", F128, (6, 9), (996, 10), (1, 13), (15, 2), (20, 1), (3, 6))),
];
