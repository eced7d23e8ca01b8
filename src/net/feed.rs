//! The relay's end of the queue to the observer: bounded, and never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

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

/// Where taps put their observations. Cheap to clone; one per connection.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: SyncSender<Message>,
    clock: Clock,
    connections: AtomicU64,
    lost: AtomicU64,
}

impl Feed {
    pub(super) fn new(queue: SyncSender<Message>, clock: Clock) -> Self {
        Self(Arc::new(Inner { queue, clock, connections: AtomicU64::new(0), lost: AtomicU64::new(0) }))
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

    /// Counts what a connection dropped and can no longer tell itself, because it is over.
    pub(super) fn lose(&self, dropped: u64) {
        self.0.lost.fetch_add(dropped, Ordering::Relaxed);
    }

    /// What connections lost since the last call.
    pub(super) fn take_lost(&self) -> u64 {
        self.0.lost.swap(0, Ordering::Relaxed)
    }
}
