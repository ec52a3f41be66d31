//! The security table, and what it says about a set of parameters.

use std::fmt;

/// Largest `log2(QP)` per ring degree, as tabled.
///
/// Only the column `classical_128` decides whether parameters are accepted; the others are
/// reported. The secret is uniform ternary; the error is centred binomial with standard deviation
/// 3.24, at least the 3.19 of the table.
///
/// # Reference
/// \[BCC+24\] table 5.2 (classical); companion script seed values and SparseLWEkit re-run
/// (quantum).
struct Row {
    log_n: u32,
    classical_128: u32,
    classical_192: Option<u32>,
    classical_256: Option<u32>,
    /// Older quantum model.
    quantum_laamospol14: u32,
    /// Stricter quantum model.
    quantum_chaloy21: u32,
}

/// Model behind the deciding column.
pub const CLASSICAL_MODEL: &str = "ePrint 2024/463 table 5.2, classical, ternary, sigma 3.19";
/// Model behind the looser quantum column (the lower end where the sources give a range).
pub const QUANTUM_MODEL_LOOSE: &str =
    "quantum, LaaMosPol14, ternary, 128 bits (seed values of the 2024/463 script)";
/// Model behind the stricter quantum column.
pub const QUANTUM_MODEL_STRICT: &str =
    "quantum, ChaLoy21, ternary, 128 bits (2024/463 script as re-run by SparseLWEkit)";

const TABLE: [Row; 8] = [
    row(10, 26, None, None, 25, 20),
    row(11, 53, Some(36), Some(27), 50, 40),
    row(12, 106, Some(73), Some(56), 101, 80),
    row(13, 214, Some(147), Some(114), 202, 161),
    row(14, 430, Some(297), Some(230), 409, 322),
    row(15, 868, Some(597), Some(462), 825, 644),
    row(16, 1747, Some(1199), Some(929), 1663, 1289),
    row(17, 3523, Some(2411), Some(1866), 3348, 2578),
];

const fn row(
    log_n: u32,
    classical_128: u32,
    classical_192: Option<u32>,
    classical_256: Option<u32>,
    quantum_laamospol14: u32,
    quantum_chaloy21: u32,
) -> Row {
    Row {
        log_n,
        classical_128,
        classical_192,
        classical_256,
        quantum_laamospol14,
        quantum_chaloy21,
    }
}

/// Largest `log2(QP)` at 128 classical bits for degree `2^log_n`, or `None` for a degree that is
/// not tabled.
pub fn max_log_qp(log_n: u32) -> Option<u32> {
    find(log_n).map(|row| row.classical_128)
}

/// Smallest tabled degree that allows `log2(QP) = bits`.
pub(super) fn min_log_n(bits: u64) -> Option<u32> {
    let mut rows = TABLE.iter();
    rows.find(|row| bits <= u64::from(row.classical_128))
        .map(|row| row.log_n)
}

fn find(log_n: u32) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.log_n == log_n)
}

/// What the security table says about a set of parameters; print it to read it.
#[derive(Debug, Clone, PartialEq)]
pub struct SecurityReport {
    /// Logarithm of the ring degree.
    pub log_n: u32,
    /// `log2(QP)`: the largest modulus of any public key, special primes included.
    pub log_qp: f64,
    /// The smallest `b` with `QP < 2^b`, which is compared with the limits.
    pub qp_bits: u64,
    /// Where the deciding limit comes from.
    pub model: &'static str,
    /// The deciding limit, or `None` when the degree is not tabled.
    pub limit: Option<u32>,
    /// `limit - log_qp` in bits: negative when insecure.
    pub margin_bits: Option<f64>,
    /// Classical security levels met: some of 128, 192, 256, ascending.
    pub classical_bits_met: Vec<u32>,
    /// Limits of the quantum models, which are reported and do not decide.
    pub quantum: Vec<QuantumLimit>,
}

/// The limit of one quantum cost model at 128 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantumLimit {
    /// Which model.
    pub model: &'static str,
    /// Largest `log2(QP)`.
    pub limit: u32,
    /// Whether the parameters are within it.
    pub met: bool,
}

impl SecurityReport {
    pub(super) fn new(log_n: u32, log_qp: f64, qp_bits: u64) -> Self {
        let row = find(log_n);
        let within = |limit: Option<u32>| limit.is_some_and(|l| qp_bits <= u64::from(l));
        let limit = row.map(|r| r.classical_128);
        let levels = [
            (128, limit),
            (192, row.and_then(|r| r.classical_192)),
            (256, row.and_then(|r| r.classical_256)),
        ];
        let quantum = row.map(|r| {
            [
                (QUANTUM_MODEL_LOOSE, r.quantum_laamospol14),
                (QUANTUM_MODEL_STRICT, r.quantum_chaloy21),
            ]
        });
        Self {
            log_n,
            log_qp,
            qp_bits,
            model: CLASSICAL_MODEL,
            limit,
            margin_bits: limit.map(|l| f64::from(l) - log_qp),
            classical_bits_met: (levels.iter())
                .filter(|(_, limit)| within(*limit))
                .map(|(bits, _)| *bits)
                .collect(),
            quantum: (quantum.into_iter().flatten())
                .map(|(model, limit)| QuantumLimit {
                    model,
                    limit,
                    met: within(Some(limit)),
                })
                .collect(),
        }
    }

    /// Whether at least 128 classical bits are met.
    pub fn is_secure(&self) -> bool {
        self.classical_bits_met.contains(&128)
    }
}

impl fmt::Display for SecurityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (log_n, log_qp) = (self.log_n, self.log_qp);
        let (Some(limit), Some(margin)) = (self.limit, self.margin_bits) else {
            return write!(
                f,
                "N = 2^{log_n}, log2(QP) = {log_qp:.2}: INSECURE, the degree is not tabled ({})",
                self.model
            );
        };
        write!(f, "N = 2^{log_n}, log2(QP) = {log_qp:.2}: ")?;
        match self.classical_bits_met.last() {
            Some(bits) => write!(f, "at least {bits} classical bits")?,
            None => write!(f, "INSECURE, below 128 classical bits")?,
        }
        write!(f, "; limit at 128 bits {limit}, margin {margin:.2} bits")?;
        write!(f, " ({})", self.model)?;
        for quantum in &self.quantum {
            let met = if quantum.met { "met" } else { "not met" };
            write!(f, "\n  {}: limit {}, {met}", quantum.model, quantum.limit)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_the_table() {
        let tabled = [26, 53, 106, 214, 430, 868, 1747, 3523];
        for (log_n, limit) in (10..=17).zip(tabled) {
            assert_eq!(max_log_qp(log_n), Some(limit));
            let bits = u64::from(limit);
            let at = SecurityReport::new(log_n, f64::from(limit), bits);
            assert!(at.is_secure() && at.margin_bits == Some(0.0));
            let above = SecurityReport::new(log_n, f64::from(limit) + 0.01, bits + 1);
            assert!(!above.is_secure() && above.margin_bits.unwrap() < 0.0);
            assert_eq!(min_log_n(bits), Some(log_n));
            assert_eq!(min_log_n(bits + 1), (log_n < 17).then_some(log_n + 1));
        }
        for log_n in [4, 9, 18] {
            assert_eq!(max_log_qp(log_n), None);
            assert!(!SecurityReport::new(log_n, 1.0, 1).is_secure());
        }
    }

    #[test]
    fn columns_are_ordered_and_reported() {
        for r in &TABLE {
            let columns = [
                r.classical_256.unwrap_or(0),
                r.classical_192.unwrap_or(0),
                r.classical_128,
            ];
            assert!(columns.is_sorted());
            assert!(r.quantum_chaloy21 < r.quantum_laamospol14);
            assert!(r.quantum_laamospol14 < r.classical_128);
        }
        let report = SecurityReport::new(14, 230.0, 230);
        assert_eq!(report.classical_bits_met, [128, 192, 256]);
        assert!(report.quantum.iter().all(|q| q.met));
        let report = SecurityReport::new(14, 297.0, 297);
        assert_eq!(report.classical_bits_met, [128, 192]);
        let report = SecurityReport::new(14, 420.0, 420);
        assert_eq!(report.classical_bits_met, [128]);
        assert_eq!(
            report.quantum.iter().map(|q| q.met).collect::<Vec<_>>(),
            [false, false]
        );
        let text = report.to_string();
        for part in [
            "2024/463 table 5.2",
            "LaaMosPol14",
            "ChaLoy21",
            "margin 10.00 bits",
            "limit 322",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let toy = SecurityReport::new(9, 140.0, 140).to_string();
        assert!(toy.contains("INSECURE"), "{toy}");
    }
}
