//! Passive framing: bytes become heads, body lengths and ends. Never rewrites, never guesses.

// The peer chooses every byte that comes in here: a slip must be a compile error, not a panic in the traffic's path.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions))]

pub mod follow;
pub mod http1;
pub mod http2;
pub mod observation;
