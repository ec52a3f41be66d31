//! What instructions do to the values of a warp.

use crate::instruction::{Binary, Bits, Compare, Kind, Order, Ternary, Unary};

/// Items of a warp.
pub(crate) const LANES: usize = 32;

/// The value of each item of a warp.
pub(crate) type Values = [u64; LANES];

// Loops: the compiler makes vectors of them, and of closures over arrays it does not.

#[inline(always)]
fn each(a: &Values, of: impl Fn(u64) -> u64) -> Values {
    let mut values = [0; LANES];
    for lane in 0..LANES {
        values[lane] = of(a[lane]);
    }
    values
}

#[inline(always)]
fn each2(a: &Values, b: &Values, of: impl Fn(u64, u64) -> u64) -> Values {
    let mut values = [0; LANES];
    for lane in 0..LANES {
        values[lane] = of(a[lane], b[lane]);
    }
    values
}

/// The first where the mask has the lane's bit, else the second.
pub(crate) fn choose(mask: u32, a: &Values, b: &Values) -> Values {
    let mut values = [0; LANES];
    for lane in 0..LANES {
        values[lane] = if mask >> lane & 1 == 1 {
            a[lane]
        } else {
            b[lane]
        };
    }
    values
}

/// A result of 32 bits.
#[inline(always)]
fn low(x: u64) -> u64 {
    u64::from(x as u32)
}

#[inline(always)]
fn signed(x: u64, bits: Bits) -> i64 {
    match bits {
        Bits::B32 => i64::from(x as u32 as i32),
        Bits::B64 => x as i64,
    }
}

#[inline(always)]
fn cut(x: u64, bits: Bits) -> u64 {
    match bits {
        Bits::B32 => low(x),
        Bits::B64 => x,
    }
}

#[inline(always)]
fn doubles(a: u64, b: u64, of: impl Fn(f64, f64) -> f64) -> u64 {
    of(f64::from_bits(a), f64::from_bits(b)).to_bits()
}

/// Shifts by as many bits as a word has, or more, leave nothing: PTX clamps.
#[inline(always)]
fn shift(bits: Bits, by: u64, of: impl Fn(u32) -> u64) -> Option<u64> {
    let width = match bits {
        Bits::B32 => 32,
        Bits::B64 => 64,
    };
    (low(by) < width).then(|| of(by as u32))
}

pub(crate) fn unary(op: Unary, a: &Values) -> Values {
    match op {
        Unary::Move => *a,
        Unary::Not(bits) => each(a, |a| cut(!a, bits)),
        Unary::Negate(bits) => each(a, |a| cut(a.wrapping_neg(), bits)),
        Unary::Absolute64 => each(a, |a| (a as i64).wrapping_abs() as u64),
        Unary::Ones64 => each(a, |a| a.count_ones().into()),
        Unary::LeadingZeros64 => each(a, |a| a.leading_zeros().into()),
        Unary::Reverse32 => each(a, |a| (a as u32).reverse_bits().into()),
        Unary::NegateDouble => each(a, |a| (-f64::from_bits(a)).to_bits()),
        Unary::AbsoluteDouble => each(a, |a| f64::from_bits(a).abs().to_bits()),
        Unary::Low => each(a, low),
        Unary::SignExtend => each(a, |a| signed(a, Bits::B32) as u64),
        Unary::ToDoubleSigned => each(a, |a| (a as i64 as f64).to_bits()),
        Unary::ToDouble => each(a, |a| (a as f64).to_bits()),
        // Beyond the range, both give the nearest; what is no number is zero here and the least there,
        // and no kernel converts one.
        Unary::FromDoubleSigned => each(a, |a| f64::from_bits(a) as i64 as u64),
    }
}

/// `None` for a division by zero, which PTX leaves open.
pub(crate) fn binary(op: Binary, a: &Values, b: &Values, mask: u32) -> Option<Values> {
    Some(match op {
        Binary::Add(bits) => each2(a, b, |a, b| cut(a.wrapping_add(b), bits)),
        Binary::Subtract(bits) => each2(a, b, |a, b| cut(a.wrapping_sub(b), bits)),
        Binary::Multiply(bits) => each2(a, b, |a, b| cut(a.wrapping_mul(b), bits)),
        Binary::MultiplyHigh64 => {
            each2(a, b, |a, b| ((u128::from(a) * u128::from(b)) >> 64) as u64)
        }
        Binary::MultiplyHigh32 => each2(a, b, |a, b| (low(a) * low(b)) >> 32),
        Binary::MultiplyWide => each2(a, b, |a, b| low(a) * low(b)),
        Binary::MultiplyWideSigned => each2(a, b, |a, b| {
            (signed(a, Bits::B32) * signed(b, Bits::B32)) as u64
        }),
        Binary::Minimum => each2(a, b, u64::min),
        Binary::Maximum => each2(a, b, u64::max),
        Binary::MinimumSigned(bits) => each2(a, b, |a, b| {
            if signed(a, bits) < signed(b, bits) {
                a
            } else {
                b
            }
        }),
        Binary::MaximumSigned(bits) => each2(a, b, |a, b| {
            if signed(a, bits) > signed(b, bits) {
                a
            } else {
                b
            }
        }),
        Binary::Divide | Binary::Remainder => {
            if (0..LANES).any(|lane| mask >> lane & 1 == 1 && b[lane] == 0) {
                return None;
            }
            let divide = op == Binary::Divide;
            each2(a, b, |a, b| match (b, divide) {
                (0, _) => 0,
                (_, true) => a / b,
                (_, false) => a % b,
            })
        }
        Binary::And => each2(a, b, |a, b| a & b),
        Binary::Or => each2(a, b, |a, b| a | b),
        Binary::Xor => each2(a, b, |a, b| a ^ b),
        Binary::ShiftLeft(bits) => each2(a, b, |a, b| {
            shift(bits, b, |by| cut(a << by, bits)).unwrap_or(0)
        }),
        Binary::ShiftRight(bits) => each2(a, b, |a, b| shift(bits, b, |by| a >> by).unwrap_or(0)),
        Binary::ShiftRightSigned(bits) => each2(a, b, |a, b| {
            let a = signed(a, bits);
            cut(
                shift(bits, b, |by| (a >> by) as u64).unwrap_or((a >> 63) as u64),
                bits,
            )
        }),
        Binary::AddDouble => each2(a, b, |a, b| doubles(a, b, |a, b| a + b)),
        Binary::SubtractDouble => each2(a, b, |a, b| doubles(a, b, |a, b| a - b)),
        Binary::MultiplyDouble => each2(a, b, |a, b| doubles(a, b, |a, b| a * b)),
    })
}

#[inline(always)]
fn each3([a, b, c]: [&Values; 3], of: impl Fn(u64, u64, u64) -> u64) -> Values {
    let mut values = [0; LANES];
    for lane in 0..LANES {
        values[lane] = of(a[lane], b[lane], c[lane]);
    }
    values
}

pub(crate) fn ternary(op: Ternary, operands: [&Values; 3]) -> Values {
    match op {
        Ternary::MultiplyAdd(Bits::B32) => {
            each3(operands, |a, b, c| low(a.wrapping_mul(b).wrapping_add(c)))
        }
        Ternary::MultiplyAdd(Bits::B64) => {
            each3(operands, |a, b, c| a.wrapping_mul(b).wrapping_add(c))
        }
        Ternary::MultiplyWideAdd => each3(operands, |a, b, c| (low(a) * low(b)).wrapping_add(c)),
        Ternary::FusedDouble => each3(operands, |a, b, c| {
            let [a, b, c] = [a, b, c].map(f64::from_bits);
            a.mul_add(b, c).to_bits()
        }),
        Ternary::Field32 => each3(operands, |a, from, count| {
            let [from, count] = [from & 255, count & 255].map(|x| x.min(32));
            (low(a) >> from) & ((1 << count) - 1)
        }),
        Ternary::Funnel32 => each3(operands, |a, b, by| low(((b << 32 | a) << (by & 31)) >> 32)),
    }
}

#[inline(always)]
fn holds(a: &Values, b: &Values, of: impl Fn(u64, u64) -> bool) -> u32 {
    (0..LANES).fold(0, |mask, lane| {
        mask | u32::from(of(a[lane], b[lane])) << lane
    })
}

/// A bit for each lane for which the comparison holds. No kernel compares
/// what is no number.
pub(crate) fn compare(Compare(order, kind): Compare, a: &Values, b: &Values) -> u32 {
    macro_rules! ordered {
        ($of:expr) => {
            match order {
                Order::Equal => holds(a, b, |a, b| $of(a) == $of(b)),
                Order::NotEqual => holds(a, b, |a, b| $of(a) != $of(b)),
                Order::Less => holds(a, b, |a, b| $of(a) < $of(b)),
                Order::LessEqual => holds(a, b, |a, b| $of(a) <= $of(b)),
                Order::Greater => holds(a, b, |a, b| $of(a) > $of(b)),
                Order::GreaterEqual => holds(a, b, |a, b| $of(a) >= $of(b)),
            }
        };
    }
    match kind {
        Kind::Unsigned => ordered!(std::convert::identity::<u64>),
        Kind::Signed(bits) => ordered!(|x| signed(x, bits)),
        Kind::Double => ordered!(f64::from_bits),
    }
}
