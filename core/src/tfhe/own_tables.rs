//! Tables that operations on encrypted integers need for themselves: made at their first use, then
//! kept beside the keys.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::{bytes::overflow_table, look_up::LookUpTable, server_keys::TfheKeys};
use crate::error::Result;

/// Most tables that are kept; another one replaces them all.
const MOST: usize = 64;

/// What a table of an operation gives for `v`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum OwnTable {
    /// `v`.
    Same,
    /// `max(v, 0)`.
    Positive,
    /// The number where `v > 0`, otherwise 0.
    Won(i64),
    /// `v` below the number, otherwise 0.
    Below(i64),
    /// Of two numbers `a` and `b`: 0 below `b`, otherwise `v - b + a`.
    Beyond(i64, i64),
    /// Half the number where the sum of two digits has a carry, otherwise minus that.
    Overflow(i64),
}

/// The tables of one key.
#[derive(Default)]
pub(super) struct OwnTables(Mutex<BTreeMap<Inputs, Arc<LookUpTable>>>);

/// A table and the range of its inputs.
type Inputs = (OwnTable, (i64, i64));

impl TfheKeys {
    /// A table for inputs of a range.
    pub(super) fn own_table(&self, what: OwnTable, range: (i64, i64)) -> Result<Arc<LookUpTable>> {
        let mut tables = (self.own.0.lock()).unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = tables.get(&(what, range)) {
            return Ok(table.clone());
        }
        let table = Arc::new(self.make(what, range)?);
        if tables.len() >= MOST {
            tables.clear();
        }
        tables.insert((what, range), table.clone());
        Ok(table)
    }

    fn make(&self, what: OwnTable, (low, high): (i64, i64)) -> Result<LookUpTable> {
        let session = self.session();
        let of = |f: &dyn Fn(i64) -> i64| LookUpTable::new(session, low..=high, f);
        match what {
            OwnTable::Same => of(&|v| v),
            OwnTable::Positive => of(&|v| v.max(0)),
            OwnTable::Won(size) => of(&|v| size * i64::from(v > 0)),
            OwnTable::Below(a) => of(&|v| if v < a { v } else { 0 }),
            OwnTable::Beyond(a, b) => of(&|v| if v < b { 0 } else { v - b + a }),
            OwnTable::Overflow(step) => overflow_table(session, step),
        }
    }
}

impl fmt::Debug for OwnTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnTables")
    }
}
