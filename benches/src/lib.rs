//! Benchmarks of the pieces; see `benches/`.
