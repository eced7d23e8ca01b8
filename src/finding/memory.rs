//! What a detector remembers: bounded in number, the longest unused goes first.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use super::View;
use crate::model::Stamp;

/// A map that never holds more than `observe.remembered` entries.
///
/// Whoever uses one returns its [`len`](Self::len) from [`Detect::entries`](super::Detect::entries) and its
/// [`forgotten`](Self::forgotten) from [`Detect::forgotten`](super::Detect::forgotten): reaching the limit is told.
#[derive(Debug)]
pub(in crate::finding) struct Memory<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// When each was used, oldest first; an entry that was used again stands here more than once.
    used: VecDeque<Use<K>>,
    uses: u64,
    forgotten: u64,
}

#[derive(Debug)]
struct Use<K> {
    number: u64,
    at: Stamp,
    key: K,
}

#[derive(Debug)]
struct Entry<V> {
    /// The number of its last use.
    last: u64,
    value: V,
}

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), used: VecDeque::new(), uses: 0, forgotten: 0 }
    }
}

impl<K: Hash + Eq + Clone, V> Memory<K, V> {
    /// How much is remembered.
    pub(in crate::finding) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Entries that were pushed out because there were too many.
    pub(in crate::finding) const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// What is remembered of `key`.
    pub(in crate::finding) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.get(key).map(|e| &e.value)
    }

    /// The same, to change; that is no use of it.
    pub(in crate::finding) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.get_mut(key).map(|e| &mut e.value)
    }

    /// Forgets `key`, and returns what was remembered of it.
    pub(in crate::finding) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.remove(key).map(|e| e.value)
    }

    /// Uses the entry of `key`, which is made by `new` when there is none.
    pub(in crate::finding) fn entry(&mut self, key: K, now: Stamp, view: &View<'_>, new: impl FnOnce() -> V) -> &mut V {
        let most = view.settings.limits.remembered.max(1);
        if !self.entries.contains_key(&key) {
            while self.entries.len() >= most {
                self.forget_oldest();
            }
        }
        if self.used.len() > self.entries.len().saturating_mul(2).saturating_add(64) {
            let entries = &self.entries;
            self.used.retain(|u| entries.get(&u.key).is_some_and(|e| e.last == u.number));
        }
        self.uses += 1;
        let number = self.uses;
        self.used.push_back(Use { number, at: now, key: key.clone() });
        let entry = self.entries.entry(key).or_insert_with(|| Entry { last: number, value: new() });
        entry.last = number;
        &mut entry.value
    }

    /// Whether `key` is new here; it is remembered.
    pub(in crate::finding) fn is_first(&mut self, key: K, now: Stamp, view: &View<'_>) -> bool
    where
        V: Default,
    {
        let first = !self.entries.contains_key(&key);
        if first {
            self.entry(key, now, view, V::default);
        }
        first
    }

    /// The next entry that was not used for `keep`, taken out; `None` when there is none.
    pub(in crate::finding) fn pop_unused(&mut self, now: Stamp, keep: Duration) -> Option<(K, V)> {
        while let Some(oldest) = self.used.front() {
            if now.since(oldest.at) < keep {
                return None;
            }
            if let Some(found) = self.used.pop_front().and_then(|u| self.take(u)) {
                return Some(found);
            }
        }
        None
    }

    /// Forgets what was not used for `keep`.
    pub(in crate::finding) fn expire(&mut self, now: Stamp, keep: Duration) {
        while self.pop_unused(now, keep).is_some() {}
    }

    /// Everything, in the order of its last use; nothing is left.
    pub(in crate::finding) fn drain(&mut self) -> Vec<(K, V)> {
        let mut out = Vec::with_capacity(self.entries.len());
        while let Some(oldest) = self.used.pop_front() {
            out.extend(self.take(oldest));
        }
        out
    }

    /// The entry whose last use this is, taken out.
    fn take(&mut self, last: Use<K>) -> Option<(K, V)> {
        if self.entries.get(&last.key).is_none_or(|e| e.last != last.number) {
            return None;
        }
        let entry = self.entries.remove(&last.key)?;
        Some((last.key, entry.value))
    }

    fn forget_oldest(&mut self) {
        while let Some(oldest) = self.used.pop_front() {
            if self.take(oldest).is_some() {
                self.forgotten += 1;
                return;
            }
        }
        // Every entry has its last use in the queue.
        debug_assert!(self.entries.is_empty(), "entries without a use");
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Settings;
    use crate::track::site::{Limits, Site};

    /// A detector whose memory grows with the traffic ends in a tap that is killed in the middle of an incident.
    #[test]
    fn the_longest_unused_entry_goes_first_and_is_counted() {
        let limits = Limits { remembered: 3, ..Limits::default() };
        let settings = Settings { limits, ..Settings::default() };
        let site = Site::new(limits, Vec::new());
        let view = View { site: &site, settings: &settings };
        let mut memory: Memory<u32, u32> = Memory::default();
        for n in 0..3_u32 {
            *memory.entry(n, Stamp(i64::from(n)), &view, || 0) = n * 10;
        }
        memory.entry(0, Stamp(10), &view, || 99);
        memory.entry(3, Stamp(11), &view, || 30);
        assert_eq!(memory.get(&0), Some(&0), "used again, and kept");
        assert_eq!(memory.get(&1), None, "the longest unused");
        assert_eq!((memory.len(), memory.forgotten()), (3, 1));
        for _ in 0..10_000 {
            memory.entry(0, Stamp(12), &view, || 0);
        }
        assert!(memory.used.len() < 100, "{}", memory.used.len());
        assert_eq!(memory.pop_unused(Stamp(1_000_011), Duration::from_secs(1)), Some((2, 20)));
        memory.expire(Stamp(1_000_011), Duration::from_secs(1));
        assert_eq!(memory.len(), 1);
        assert_eq!(memory.drain(), [(0, 0)]);
    }
}
