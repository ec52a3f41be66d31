//! Cases from closures.

use serde_json::Value;

use crate::{Result, case::Case};

/// A case from closures.
pub struct Timed<C, T, D> {
    facts: Value,
    call: C,
    output: Option<T>,
    distance: D,
}

impl<T: 'static, C: FnMut() -> T + 'static, D: Fn(&T) -> f64 + 'static> Timed<C, T, D> {
    pub fn boxed(facts: Value, call: C, distance: D) -> Box<dyn Case> {
        Box::new(Self {
            facts,
            call,
            output: None,
            distance,
        })
    }
}

impl<T, C: FnMut() -> T, D: Fn(&T) -> f64> Case for Timed<C, T, D> {
    fn facts(&self) -> &Value {
        &self.facts
    }

    fn call(&mut self) {
        self.output = Some((self.call)());
    }

    fn error(&mut self) -> Result<f64> {
        let output = self.output.as_ref().ok_or("no call so far")?;
        Ok((self.distance)(output))
    }
}
