//! Who was asked for credentials, and never came back with any.

use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use crate::finding::View;
use crate::finding::memory::Memory;
use crate::model::{ConnectionId, Stamp};
use crate::track::turn::Turn;

/// At the watch's end, whoever left so long ago will not answer with its next connection.
const SETTLED: Duration = Duration::from_secs(5);
/// So many of one connection are looked at when it ends: behind a forwarder many are asked on one.
const OF_ONE_CONNECTION: usize = 64;

/// The first time that somebody was asked, and what is remembered of it.
#[derive(Debug)]
pub(in crate::finding) struct Asked<V> {
    /// The address that authtap sees, which a trusted forwarder's client hides behind.
    peer: IpAddr,
    /// Where it was asked last.
    connection: ConnectionId,
    /// When that connection ended.
    left: Option<Stamp>,
    /// When.
    pub(in crate::finding) at: Stamp,
    /// So often, since.
    pub(in crate::finding) times: u32,
    /// What the finding makes of it.
    pub(in crate::finding) of: V,
}

impl<V> Asked<V> {
    /// It may still answer: its last connection is open, and a person may be typing.
    fn may_type(&self, view: &View<'_>) -> bool {
        view.site.connection(self.connection).is_some()
    }

    /// What was not seen may be the very answer that is missed.
    fn is_sure(&self, view: &View<'_>) -> bool {
        !view.site.gaps().client_since(self.peer, self.at)
    }
}

/// Those who were asked and have not answered, by what tells them apart. Each is told once, until it answers.
#[derive(Debug)]
pub(in crate::finding) struct Silence<K, V> {
    waiting: Memory<K, Asked<V>>,
    connections: Memory<ConnectionId, Vec<K>>,
    told: Memory<K, ()>,
}

impl<K, V> Default for Silence<K, V> {
    fn default() -> Self {
        Self { waiting: Memory::default(), connections: Memory::default(), told: Memory::default() }
    }
}

impl<K: Hash + Eq + Clone, V> Silence<K, V> {
    /// How many wait, or were told.
    pub(in crate::finding) fn len(&self) -> usize {
        self.waiting.len() + self.connections.len() + self.told.len()
    }

    /// How many were pushed out.
    pub(in crate::finding) const fn forgotten(&self) -> u64 {
        self.waiting.forgotten() + self.connections.forgotten() + self.told.forgotten()
    }

    /// `turn` asked `key`; `of` is what is remembered of the first time.
    pub(in crate::finding) fn asked(&mut self, key: K, turn: &Turn, view: &View<'_>, of: impl FnOnce() -> V) {
        let (peer, connection, at) = (turn.peer, turn.exchange.connection, turn.at());
        if self.told.get(&key).is_some() {
            return;
        }
        let there = self.connections.entry(connection, at, view, Vec::new);
        if there.len() < OF_ONE_CONNECTION && !there.contains(&key) {
            there.push(key.clone());
        }
        if let Some(asked) = self.waiting.get_mut(&key) {
            asked.times = asked.times.saturating_add(1);
            (asked.connection, asked.left) = (connection, None);
        } else {
            self.waiting.entry(key, at, view, || Asked { peer, connection, left: None, at, times: 1, of: of() });
        }
    }

    /// A connection ended.
    pub(in crate::finding) fn left(&mut self, connection: ConnectionId, at: Stamp) {
        for key in self.connections.remove(&connection).into_iter().flatten() {
            if let Some(asked) = self.waiting.get_mut(&key).filter(|a| a.connection == connection) {
                asked.left = Some(at);
            }
        }
    }

    /// It answered, or went another way: nothing is missed.
    pub(in crate::finding) fn answered(&mut self, key: &K) -> Option<Asked<V>> {
        self.told.remove(key);
        self.waiting.remove(key)
    }

    /// The next one that has not answered for `window` and has left its connection. Who has not left is looked at again
    /// a window later.
    pub(in crate::finding) fn fallen_due(
        &mut self,
        now: Stamp,
        window: Duration,
        view: &View<'_>,
    ) -> Option<(K, Asked<V>)> {
        while let Some((key, asked)) = self.waiting.pop_unused(now, window) {
            if asked.may_type(view) {
                self.waiting.entry(key, now, view, || asked);
            } else if asked.is_sure(view) {
                self.told.entry(key.clone(), now, view, || ());
                return Some((key, asked));
            }
        }
        None
    }

    /// At the watch's end: all that have left and will not answer any more.
    pub(in crate::finding) fn at_end(&mut self, at: Stamp, view: &View<'_>) -> Vec<(K, Asked<V>)> {
        let mut left = self.waiting.drain();
        left.retain(|(_, asked)| asked.left.is_some_and(|t| at.since(t) >= SETTLED) && asked.is_sure(view));
        left
    }
}
