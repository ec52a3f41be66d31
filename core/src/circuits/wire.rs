//! Plans of polynomials as bytes.

use super::poly_plan::{Basis, PolyOp, PolyPlan, PolyStep, Reg};
use crate::{
    circuits::MAX_DEGREE,
    error::Result,
    serial::{Reader, Writer},
};

/// More than any search gives for the highest degree.
const MAX_STEPS: usize = 1024;

impl PolyPlan {
    /// Basis, domain, degree, steps with depth, operands and constants.
    pub(crate) fn write(&self, w: &mut Writer<'_>) -> Result<()> {
        w.u8(match self.basis() {
            Basis::Chebyshev => 0,
            Basis::Power => 1,
        })?;
        let (low, high) = self.domain();
        w.floats(&[low, high])?;
        w.size(self.degree())?;
        w.size(self.steps().len())?;
        for step in self.steps() {
            w.u32(step.depth)?;
            match &step.op {
                PolyOp::Align { src } => {
                    w.u8(0)?;
                    w.size(src.0)?;
                }
                PolyOp::Combine {
                    products,
                    doubled,
                    terms,
                    constant,
                } => {
                    w.u8(1)?;
                    w.u8(u8::from(*doubled))?;
                    w.size(products.len())?;
                    for (a, b) in products {
                        w.size(a.0)?;
                        w.size(b.0)?;
                    }
                    w.size(terms.len())?;
                    for (reg, factor) in terms {
                        w.size(reg.0)?;
                        w.f64(*factor)?;
                    }
                    w.f64(*constant)?;
                }
            }
        }
        Ok(())
    }

    /// Reads a plan and checks all of its rules.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let basis = if reader.flag()? {
            Basis::Power
        } else {
            Basis::Chebyshev
        };
        let domain = (reader.finite()?, reader.finite()?);
        let degree = reader.size("a degree", MAX_DEGREE)?;
        let count = reader.size("a number of steps", MAX_STEPS)?;
        if degree == 0 || count == 0 {
            return Err(reader.refuse("a polynomial with steps", "a constant"));
        }
        let mut steps = Vec::new();
        for index in 0..count {
            let depth = reader.u32()?;
            let op = read_op(reader, index)?;
            steps.push(PolyStep {
                dst: Reg(index + 1),
                depth,
                op,
            });
        }
        Self::from_steps(basis, domain, degree, steps)
            .map_err(|fault| reader.refuse("a plan that can run", fault))
    }
}

/// The operation of step `index`, whose operands are registers up to that number.
fn read_op(reader: &mut Reader<'_>, index: usize) -> Result<PolyOp> {
    let reg = |reader: &mut Reader<'_>| reader.size("a register", index).map(Reg);
    if !reader.flag()? {
        return Ok(PolyOp::Align { src: reg(reader)? });
    }
    let doubled = reader.flag()?;
    let (mut products, mut terms) = (Vec::new(), Vec::new());
    for _ in 0..reader.size("a number of products", MAX_STEPS)? {
        products.push((reg(reader)?, reg(reader)?));
    }
    for _ in 0..reader.size("a number of terms", MAX_STEPS)? {
        terms.push((reg(reader)?, reader.finite()?));
    }
    Ok(PolyOp::Combine {
        products,
        doubled,
        terms,
        constant: reader.finite()?,
    })
}
