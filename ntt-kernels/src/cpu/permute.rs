//! Permutations of evaluations, kept between commands.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use crate::arith::eval_permutation;

/// Most bytes of permutations a ring keeps: 512 of degree `2^14`.
const KEPT_BYTES: usize = 32 << 20;

/// The permutations of recent Galois elements, by degree and element. Public data.
#[derive(Debug, Default)]
pub(super) struct Permutations(RwLock<Kept>);

#[derive(Debug, Default)]
struct Kept {
    tables: HashMap<(u32, u64), Arc<[u32]>>,
    bytes: usize,
}

impl Permutations {
    /// `out[i] = values[permutation[i]]` is `X -> X^galois`.
    pub(super) fn get(&self, log_n: u32, galois: u64) -> Arc<[u32]> {
        let key = (log_n, galois);
        let kept = self.0.read().expect(INTACT);
        if let Some(found) = kept.tables.get(&key) {
            return found.clone();
        }
        drop(kept);
        let table: Arc<[u32]> = eval_permutation(log_n, galois).into();
        let bytes = size_of_val(&*table);
        let mut kept = self.0.write().expect(INTACT);
        if kept.bytes + bytes > KEPT_BYTES {
            // Plans cycle through their elements, so no choice of victims beats a fresh start.
            *kept = Kept::default();
        }
        if kept.tables.insert(key, table.clone()).is_none() {
            kept.bytes += bytes;
        }
        table
    }
}

const INTACT: &str = "no code panics while it holds the permutations";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_and_shared() {
        let kept = Permutations::default();
        assert!(Arc::ptr_eq(&kept.get(10, 5), &kept.get(10, 5)));
        assert_eq!(kept.get(4, 1)[..], (0..16).collect::<Vec<_>>());
        for galois in (1..1201).step_by(2) {
            kept.get(14, galois);
            assert!(kept.0.read().unwrap().bytes <= KEPT_BYTES);
        }
        let inner = kept.0.read().unwrap();
        let sum: usize = inner.tables.values().map(|t| size_of_val(&**t)).sum();
        assert_eq!(sum, inner.bytes);
    }
}
