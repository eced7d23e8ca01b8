//! Which events were taken already: the same capture given twice must not count twice.

use std::collections::BTreeMap;

/// A set of numbers, as ranges: captures number their events almost without holes.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// First → last of each range; ranges neither overlap nor touch.
    ranges: BTreeMap<u64, u64>,
}

impl Seen {
    /// Adds a number; false when it was there.
    pub(super) fn insert(&mut self, n: u64) -> bool {
        let before = self.ranges.range(..=n).next_back().map(|(a, b)| (*a, *b));
        if before.is_some_and(|(_, last)| last >= n) {
            return false;
        }
        let first = match before {
            Some((first, last)) if last.checked_add(1) == Some(n) => first,
            _ => n,
        };
        let next = n.checked_add(1);
        let last = next.and_then(|next| self.ranges.remove(&next)).unwrap_or(n);
        self.ranges.insert(first, last);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;

    /// `authtap report c.jsonl c.jsonl` would double every number.
    #[test]
    fn a_number_counts_once_in_any_order() {
        let mut seen = Seen::default();
        for n in [5, 3, 4, 1, u64::MAX, 2, u64::MAX - 1] {
            assert!(seen.insert(n), "{n}");
        }
        for n in [1, 2, 3, 4, 5, u64::MAX, u64::MAX - 1] {
            assert!(!seen.insert(n), "{n}");
        }
        assert_eq!(seen.ranges.len(), 2);
    }
}
