//! What authtap knows of IIS: codes, pages, log lines.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a fixture that does not fit is a failed test")]

mod code;
mod log;
mod page;
