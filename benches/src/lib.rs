//! Benchmark suite of Ringloom.
