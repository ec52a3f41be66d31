//! tfhe-ntt's transforms without vector instructions as a peer of the bench suite.

#[path = "../../rust/case.rs"]
mod case;
#[path = "../../rust/protocol.rs"]
mod protocol;

use case::Case;
use protocol::Result;
use serde_json::{Value, json};
use tfhe_ntt::{prime::largest_prime_in_arithmetic_progression64, prime64::Plan};

fn main() -> Result<()> {
    let version = protocol::version(include_str!("../Cargo.lock"), "tfhe-ntt");
    protocol::serve(version, prepare)
}

/// `ring/<op>/n<log N>_q<bits>`, as `benches/src/ring.rs` has it.
fn prepare(id: &str, _: usize) -> Result<Box<dyn Case>> {
    let unknown = || format!("tfhe-ntt-scalar-peer has no {id}");
    let (op, set) = (id.strip_prefix("ring/"))
        .and_then(|rest| rest.split_once('/'))
        .ok_or_else(unknown)?;
    let inverse = match op {
        "ntt_fwd" => false,
        "ntt_inv" => true,
        _ => return Err(unknown().into()),
    };
    let numbers = set.strip_prefix('n').and_then(|s| s.split_once("_q"));
    let (log_n, bits) = numbers.ok_or_else(unknown)?;
    let (log_n, bits): (u32, u32) = (log_n.parse()?, bits.parse()?);
    let n = 1usize << log_n;
    // The prime of our ids: for every N up to 2^16.
    let (step, floor, limit) = (1 << 17, 1 << (bits - 1), (1 << bits) - 1);
    let prime = largest_prime_in_arithmetic_progression64(step, 1, floor, limit)
        .ok_or_else(|| format!("no prime of {bits} bits for N = {n}"))?;
    let plan =
        Plan::try_new(n, prime).ok_or_else(|| format!("tfhe-ntt refuses N = {n}, q = {prime}"))?;
    let mut state = 1u64;
    let input: Vec<u64> = (0..n)
        .map(|_| {
            // Knuth's generator, upper bits; the field is what matters.
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 13) % prime
        })
        .collect();
    let facts = json!({
        "n": n,
        "log_q": (prime as f64).log2(),
        "note": "code for x86 configured out; inverse without the factor 1/N, which is a separate call",
    });
    Ok(Box::new(Transform {
        plan,
        facts,
        words: input.clone(),
        input,
        inverse,
        calls: 0,
    }))
}

/// Calls transform the same words; the check undoes them.
struct Transform {
    plan: Plan,
    facts: Value,
    input: Vec<u64>,
    words: Vec<u64>,
    inverse: bool,
    calls: usize,
}

impl Transform {
    fn transform(&mut self, inverse: bool) {
        if inverse {
            self.plan.inv(&mut self.words);
        } else {
            self.plan.fwd(&mut self.words);
        }
    }
}

impl Case for Transform {
    fn facts(&self) -> &Value {
        &self.facts
    }

    fn call(&mut self) {
        self.calls += 1;
        self.transform(self.inverse);
    }

    fn error(&mut self) -> Result<f64> {
        // Forward and inverse leave a factor N, in either order.
        for _ in 0..std::mem::take(&mut self.calls) {
            self.transform(!self.inverse);
            self.plan.normalize(&mut self.words);
        }
        let wrong = self.words.iter().zip(&self.input).any(|(a, b)| a != b);
        Ok(if wrong { f64::INFINITY } else { 0.0 })
    }
}
