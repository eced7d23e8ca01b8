//! What IIS says in its own words: codes, error pages, log lines. Pure knowledge; nothing here watches traffic.
//!
//! - [`code`]: substatus, win32 and SSPI codes, HTTPERR reasons and Kerberos errors, from data files with a source for
//!   each row.
//! - [`page`]: which layer wrote an error page (HTTP.sys, IIS, the application), and what a detailed page tells, in
//!   any language.
//! - [`log`]: lines of W3C extended and HTTPERR logs.
//!
//! # What must hold
//!
//! - No input panics, loops or takes memory out of proportion: no indexing, no unchecked arithmetic, no `as`, by lint.
//! - Query strings, cookies and what else may hold a secret are measured and not kept.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

pub mod code;
pub mod log;
pub mod page;
