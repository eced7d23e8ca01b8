//! The operator's settings: [`mod@file`] is what may be written, [`resolve`](mod@resolve) what it means.

pub mod file;
pub mod key;
pub mod resolve;

pub use resolve::{Config, Mistake, Origin};
