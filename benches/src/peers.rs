//! Other Rust libraries' transforms, behind the feature `peers`.

use crate::{
    Result,
    case::{Case, Context},
};

/// Names and versions of the peers that this binary holds.
pub fn names() -> Vec<(&'static str, String)> {
    if !cfg!(feature = "peers") {
        return Vec::new();
    }
    NAMES.map(|name| (name, version(name))).to_vec()
}

/// Peers that come through cargo.
pub const NAMES: [&str; 2] = ["tfhe-ntt", "concrete-ntt"];

/// Ids of the peers that this binary holds.
pub fn ids() -> Vec<String> {
    let ring: Vec<String> = crate::ids::all()
        .into_iter()
        .filter(|id| id.starts_with("ring/"))
        .collect();
    let of = |(name, _)| ring.iter().map(move |id| format!("peer/{name}/{id}"));
    names().into_iter().flat_map(of).collect()
}

/// The version that was locked.
fn version(name: &str) -> String {
    let lock = include_str!("../../Cargo.lock");
    let entry = lock
        .split(&format!("name = \"{name}\"\nversion = \""))
        .nth(1);
    let version = entry.and_then(|e| e.split('"').next()).unwrap_or("unknown");
    version.to_owned()
}

/// Prepares `<name>/ring/<op>/<params>`.
///
/// # Errors
/// A peer that is not in this binary; an unknown id.
#[cfg(not(feature = "peers"))]
pub fn prepare(_: &Context, id: &str) -> Result<Box<dyn Case>> {
    Err(format!("peer/{id}: not in this binary; build it with --features peers").into())
}

#[cfg(feature = "peers")]
pub use with::prepare;

#[cfg(feature = "peers")]
mod with {
    use super::{Case, Context, Result};
    use crate::{
        case::Facts,
        params::OneLimb,
        party::residues,
        ring::{facts, residue_distance},
    };

    /// Prepares `<name>/ring/<op>/<params>`.
    ///
    /// # Errors
    /// An unknown id.
    pub fn prepare(ctx: &Context, id: &str) -> Result<Box<dyn Case>> {
        let parts: Vec<&str> = id.split('/').collect();
        let (["tfhe-ntt" | "concrete-ntt", "ring", op, params], Some(&name)) =
            (&parts[..], parts.first())
        else {
            return Err(format!("unknown peer id, got peer/{id}").into());
        };
        let inverse = match *op {
            "ntt_fwd" => false,
            "ntt_inv" => true,
            _ => return Err(format!("unknown peer id, got peer/{id}").into()),
        };
        let set = OneLimb::parse(params)?;
        let set = if ctx.smoke { set.toy() } else { set };
        let (n, prime) = (1 << set.log_n, set.prime()?);
        let no_plan = || format!("{name} refuses N = {n}, q = {prime}");
        let mut facts = facts(set, prime);
        if inverse {
            facts.note = Some("without the factor 1/N, which is a separate call".into());
        }
        Ok(if name == "tfhe-ntt" {
            let plan = tfhe_ntt::prime64::Plan::try_new(n, prime).ok_or_else(no_plan)?;
            Box::new(Transform::new(plan, facts, prime, inverse))
        } else {
            let plan = concrete_ntt::prime64::Plan::try_new(n, prime).ok_or_else(no_plan)?;
            Box::new(Transform::new(plan, facts, prime, inverse))
        })
    }

    trait Plan {
        fn fwd(&self, buf: &mut [u64]);
        fn inv(&self, buf: &mut [u64]);
        fn normalize(&self, buf: &mut [u64]);
    }

    macro_rules! plan {
        ($($plan:ty),*) => {$(
            impl Plan for $plan {
                fn fwd(&self, buf: &mut [u64]) {
                    self.fwd(buf);
                }
                fn inv(&self, buf: &mut [u64]) {
                    self.inv(buf);
                }
                fn normalize(&self, buf: &mut [u64]) {
                    self.normalize(buf);
                }
            }
        )*};
    }

    plan!(tfhe_ntt::prime64::Plan, concrete_ntt::prime64::Plan);

    /// As ours: calls transform the same buffer, the check undoes them.
    struct Transform<P> {
        plan: P,
        facts: Facts,
        input: Vec<u64>,
        words: Vec<u64>,
        /// Where the words begin, so that they lie on a cache line.
        start: usize,
        inverse: bool,
        calls: usize,
    }

    impl<P: Plan> Transform<P> {
        fn new(plan: P, facts: Facts, prime: u64, inverse: bool) -> Self {
            let input = residues(facts.n, prime, 1);
            let words = vec![0; facts.n + 8];
            let start = words.as_ptr().align_offset(64).min(8);
            let mut new = Self {
                plan,
                facts,
                input,
                words,
                start,
                inverse,
                calls: 0,
            };
            new.fill();
            new
        }

        fn words(&mut self) -> &mut [u64] {
            &mut self.words[self.start..self.start + self.facts.n]
        }

        fn fill(&mut self) {
            let input = std::mem::take(&mut self.input);
            self.words().copy_from_slice(&input);
            self.input = input;
            self.calls = 0;
        }
    }

    impl<P: Plan> Case for Transform<P> {
        fn facts(&self) -> &Facts {
            &self.facts
        }

        fn reset(&mut self) -> Result<()> {
            self.fill();
            Ok(())
        }

        fn call(&mut self) -> Result<()> {
            self.calls += 1;
            let words = &mut self.words[self.start..self.start + self.facts.n];
            if self.inverse {
                self.plan.inv(words);
            } else {
                self.plan.fwd(words);
            }
            Ok(())
        }

        fn sync(&mut self) -> Result<()> {
            Ok(())
        }

        fn error(&mut self) -> Result<f64> {
            for _ in 0..std::mem::take(&mut self.calls) {
                let words = &mut self.words[self.start..self.start + self.facts.n];
                // Forward and inverse leave a factor N, in either order.
                if self.inverse {
                    self.plan.fwd(words);
                } else {
                    self.plan.inv(words);
                }
                self.plan.normalize(words);
            }
            let got = self.words().to_vec();
            Ok(residue_distance(&got, &self.input))
        }
    }
}
