//! What the fuzz targets check. `tests/it/fuzz.rs` includes the same file and replays every kept input, so that a
//! finding of the fuzzer stays a test on stable Rust.

pub mod oracles;
