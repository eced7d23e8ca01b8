//! Values as text: times, numbers in hexadecimal, addresses; and what does not fit on the way back.

use std::net::SocketAddr;

use crate::model::{FileTime, Stamp};

/// A value of a line that no event can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}` holds {got:?}, expected {expected}")]
pub struct Unfit {
    /// The field.
    pub field: &'static str,
    /// What it should hold.
    pub expected: &'static str,
    /// What it holds, cut to a readable length.
    pub got: String,
}

impl Unfit {
    /// A misfit; `got` is cut, since a foreign file may hold anything.
    pub(super) fn new(field: &'static str, expected: &'static str, got: &str) -> Self {
        Self { field, expected, got: got.chars().take(60).collect() }
    }
}

/// RFC 3339, or `@…us` for what no calendar holds.
pub(super) fn stamp(stamp: Stamp) -> String {
    stamp.to_string()
}

/// Reads what [`stamp`] writes.
pub(super) fn to_stamp(field: &'static str, text: &str) -> Result<Stamp, Unfit> {
    let number = || text.strip_prefix('@')?.strip_suffix("us")?.parse().ok().map(Stamp);
    Stamp::parse(text).or_else(number).ok_or_else(|| Unfit::new(field, "an RFC 3339 time", text))
}

/// Reads an optional time.
pub(super) fn to_stamp_opt(field: &'static str, text: Option<&str>) -> Result<Option<Stamp>, Unfit> {
    text.map(|t| to_stamp(field, t)).transpose()
}

/// Reads a FILETIME's text.
pub(super) fn to_file_time(field: &'static str, text: Option<&str>) -> Result<Option<FileTime>, Unfit> {
    text.map(|t| FileTime::parse(t).ok_or_else(|| Unfit::new(field, "an RFC 3339 time", t))).transpose()
}

/// Reads an address and port.
pub(super) fn to_addr(field: &'static str, text: &str) -> Result<SocketAddr, Unfit> {
    text.parse().map_err(|_| Unfit::new(field, "an address and port", text))
}

/// Reads an optional address and port.
pub(super) fn to_addr_opt(field: &'static str, text: Option<&str>) -> Result<Option<SocketAddr>, Unfit> {
    text.map(|t| to_addr(field, t)).transpose()
}

/// `0x` and eight digits.
pub(super) fn hex32(value: u32) -> String {
    format!("0x{value:08x}")
}

/// Reads what [`hex32`] writes.
pub(super) fn to_u32(field: &'static str, text: &str) -> Result<u32, Unfit> {
    text.strip_prefix("0x")
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .ok_or_else(|| Unfit::new(field, "a number such as 0xe2898215", text))
}
