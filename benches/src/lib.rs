//! Benchmark suite of Ringloom: one typed function per id, verified outputs, peers interleaved.
//!
//! | module | one line |
//! |---|---|
//! | [`ids`] | every id and the function behind it |
//! | [`params`] | parameter sets by name |
//! | [`case`] | a prepared benchmark: call, wait, check |
//! | [`party`] | keys and values that cases share |
//! | [`ring`], [`ckks`], [`matrix`], [`arrays`], [`conversions`], [`products`], [`model`], [`tfhe`] | the functions |
//! | [`peers`] | other libraries' transforms (feature `peers`) |
//! | [`worker`] | one case in a child process, over JSON lines |
//! | [`child`] | the other end: our workers and the Python peers |
//! | [`run`] | interleaved samples of a group |
//! | [`report`] | statistics, records, the table |
#![forbid(unsafe_code)]

pub mod arrays;
pub mod case;
pub mod child;
pub mod ckks;
pub mod conversions;
pub mod ids;
pub mod matrix;
pub mod mlp;
pub mod model;
pub mod params;
pub mod party;
pub mod peers;
pub mod products;
pub mod report;
pub mod ring;
pub mod run;
pub mod tfhe;
pub mod worker;

/// Any failure ends a benchmark with its message.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
