//! The relay's end of the queue to the observer: bounded, and never waited for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};

use super::clock::Clock;
use crate::model::{ConnectionId, Stamp};
use crate::wire::observation::{Observation, Seen};

/// What travels on the queue.
#[derive(Debug)]
pub(super) enum Message {
    /// Something was seen.
    Seen(Observation),
    /// Wakes the observer so that it looks whether it shall stop.
    Wake,
}

/// A connection whose end found no room on the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) connection: ConnectionId,
    /// Observations of it that nobody was told of.
    pub(super) dropped: u64,
}

/// Where taps put their observations. Cheap to clone; one per connection.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: SyncSender<Message>,
    clock: Clock,
    connections: AtomicU64,
    lost: Mutex<Vec<Lost>>,
}

impl Feed {
    pub(super) fn new(queue: SyncSender<Message>, clock: Clock) -> Self {
        Self(Arc::new(Inner { queue, clock, connections: AtomicU64::new(0), lost: Mutex::default() }))
    }

    /// Now.
    pub fn now(&self) -> Stamp {
        self.0.clock.now()
    }

    /// Puts an observation on the queue; `false` when the queue is full or the observer is gone. Never waits.
    pub fn tell(&self, at: Stamp, what: Seen) -> bool {
        self.send(Message::Seen(Observation { at, what }))
    }

    pub(super) fn wake(&self) {
        // A full queue needs no waking: the observer is at work on it.
        self.send(Message::Wake);
    }

    fn send(&self, message: Message) -> bool {
        match self.0.queue.try_send(message) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// The next connection's id, from 1.
    pub(super) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.0.connections.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Connections that taps were made for so far.
    pub fn connections(&self) -> u64 {
        self.0.connections.load(Ordering::Relaxed)
    }

    /// Remembers a connection that is over and could not tell so. What it did tell is on the queue before.
    pub(super) fn lose(&self, connection: ConnectionId, dropped: u64) {
        self.0.lost.lock().unwrap_or_else(PoisonError::into_inner).push(Lost { connection, dropped });
    }

    /// The connections remembered since the last call.
    pub(super) fn take_lost(&self) -> Vec<Lost> {
        std::mem::take(&mut *self.0.lost.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
