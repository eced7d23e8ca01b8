//! Whom a case is about, and how often: told at the first case, and each time their number has doubled.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::scope::AnyCase;
use crate::track::turn::Turn;

/// One number for several parts, the same in each run: a key that needs no allocation.
pub(in crate::finding) fn key(parts: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// The client of a turn, as far as it can be told from others: address and `User-Agent`.
pub(in crate::finding) fn client(turn: &Turn) -> u64 {
    key((turn.party, turn.header("user-agent")))
}

/// The host that a request names, whatever its case.
pub(in crate::finding) fn host(turn: &Turn) -> u64 {
    key(AnyCase(turn.header("host").unwrap_or_default()))
}

/// Counts the cases of one subject.
#[derive(Debug, Default)]
pub(in crate::finding) struct Often {
    count: u64,
    told: u64,
}

impl Often {
    /// One more case: how many there are, when that is to be told.
    pub(in crate::finding) const fn again(&mut self) -> Option<u64> {
        self.count = self.count.saturating_add(1);
        if self.told > 0 && self.count < self.told.saturating_mul(2) {
            return None;
        }
        self.told = self.count;
        Some(self.count)
    }
}

/// ` (the 4th such case)`, or nothing for the first.
pub(in crate::finding) fn times(count: u64) -> String {
    if count > 1 { format!(" (case {count} of its kind)") } else { String::new() }
}
