//! Security limits.

use std::fmt;

use crate::error::{Error, Result};

/// How the parameters stand against published limits on `log2(QP)`.
///
/// The claim rests on table 5.2 of ePrint 2024/463 (classical attacks, uniform ternary secret,
/// error deviation 3.19; ours is 3.24), special primes included. The quantum columns are for
/// information: the two published ones differ, so both are there, each with its model.
///
/// # Reference
/// \[BCC+24\] table 5.2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SecurityReport {
    log_n: u32,
    log_qp: f64,
    row: Option<&'static Row>,
}

#[derive(Debug, PartialEq)]
struct Row {
    log_n: u32,
    classical: [u32; 3],
    quantum_laamospol14: u32,
    quantum_chaloy21: u32,
}

const fn row(log_n: u32, classical: [u32; 3], laamospol14: u32, chaloy21: u32) -> Row {
    Row {
        log_n,
        classical,
        quantum_laamospol14: laamospol14,
        quantum_chaloy21: chaloy21,
    }
}

/// Largest `log2(QP)` for 128, 192, 256 bits (classical; 0 where none is tabled), and for 128 bits
/// in two quantum models.
const TABLE: [Row; 8] = [
    row(10, [26, 0, 0], 25, 20),
    row(11, [53, 36, 27], 50, 40),
    row(12, [106, 73, 56], 101, 80),
    row(13, [214, 147, 114], 202, 161),
    row(14, [430, 297, 230], 409, 322),
    row(15, [868, 597, 462], 825, 644),
    row(16, [1747, 1199, 929], 1663, 1289),
    row(17, [3523, 2411, 1866], 3348, 2578),
];

impl SecurityReport {
    /// What holds for a ring of degree `2^log_n` and a modulus, special primes included, of `log_qp` bits.
    pub fn new(log_n: u32, log_qp: f64) -> Self {
        Self {
            log_n,
            log_qp,
            row: TABLE.iter().find(|row| row.log_n == log_n),
        }
    }

    /// The model behind the claim.
    pub const fn model(&self) -> &'static str {
        "ePrint 2024/463 table 5.2, classical, uniform ternary secret"
    }

    /// Logarithm of the ring degree.
    pub const fn log_n(&self) -> u32 {
        self.log_n
    }

    /// `log2(QP)`.
    pub const fn log_qp(&self) -> f64 {
        self.log_qp
    }

    /// Largest secure `log2(QP)` at 128 bits; none outside the table.
    pub fn limit(&self) -> Option<u32> {
        self.row.map(|row| row.classical[0])
    }

    /// Bits below the limit; negative beyond it.
    pub fn margin_bits(&self) -> f64 {
        self.limit().map_or(f64::NEG_INFINITY, f64::from) - self.log_qp
    }

    /// The highest claim met: 0, 128, 192 or 256 bits.
    pub fn claimed_bits(&self) -> u32 {
        let met = |column: usize| {
            self.row
                .is_some_and(|r| self.log_qp <= r.classical[column].into())
        };
        [256, 192, 128]
            .into_iter()
            .zip([2, 1, 0])
            .find(|&(_, c)| met(c))
            .map_or(0, |(bits, _)| bits)
    }

    /// Whether 128 bits hold in each quantum model, by its name.
    pub fn quantum(&self) -> [(&'static str, bool); 2] {
        let holds =
            |limit: fn(&Row) -> u32| self.row.is_some_and(|r| self.log_qp <= limit(r).into());
        [
            ("LaaMosPol14", holds(|r| r.quantum_laamospol14)),
            ("ChaLoy21", holds(|r| r.quantum_chaloy21)),
        ]
    }
}

impl fmt::Display for SecurityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(limit) = self.limit() else {
            return write!(
                f,
                "no claim: N = 2^{} is not in {}",
                self.log_n,
                self.model()
            );
        };
        let claim = match self.claimed_bits() {
            0 => "BELOW 128 bits".to_owned(),
            bits => format!("{bits} bits"),
        };
        write!(
            f,
            "{claim} ({}): N = 2^{}, log QP {:.1}, limit {limit}, margin {:.1}",
            self.model(),
            self.log_n,
            self.log_qp,
            self.margin_bits()
        )?;
        for (model, holds) in self.quantum() {
            write!(
                f,
                "; 128 bits quantum ({model}): {}",
                if holds { "yes" } else { "no" }
            )?;
        }
        Ok(())
    }
}

pub(super) fn check(op: &'static str, log_n: u32, log_qp: f64) -> Result<()> {
    let limit = SecurityReport::new(log_n, log_qp).limit().unwrap_or(0);
    if log_qp <= f64::from(limit) {
        Ok(())
    } else {
        Err(Error::InsecureParams {
            op,
            log_n,
            log_qp,
            limit,
        })
    }
}
