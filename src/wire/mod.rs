//! Passive framing: bytes become heads, body lengths and ends. Never rewrites, never guesses.

pub mod http1;
pub mod observation;
