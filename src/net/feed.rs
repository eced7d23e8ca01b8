//! The relay's end of the queue to the observer: bounded, and never waited for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};

use super::clock::Clock;
use crate::model::{ConnectionId, Stamp};
use crate::wire::observation::{Observation, Seen};

/// Bytes of heads that may wait: one may have 256 KiB, and the queue thousands of places.
const HEADS: u64 = 64 * 1024 * 1024;

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
    /// Bytes of the heads on the queue.
    heads: AtomicU64,
    lost: Mutex<Vec<Lost>>,
}

impl Feed {
    pub(super) fn new(queue: SyncSender<Message>, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            queue,
            clock,
            connections: AtomicU64::new(0),
            heads: AtomicU64::new(0),
            lost: Mutex::default(),
        }))
    }

    /// Now.
    pub fn now(&self) -> Stamp {
        self.0.clock.now()
    }

    /// Puts an observation on the queue; `false` when the queue is full (of observations, or of the heads' bytes) or
    /// the observer is gone. Never waits.
    pub fn tell(&self, at: Stamp, what: Seen) -> bool {
        let bytes = heads(&what);
        if bytes > 0 && self.0.heads.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > HEADS {
            self.0.heads.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        let told = self.send(Message::Seen(Observation { at, what }));
        if !told && bytes > 0 {
            self.0.heads.fetch_sub(bytes, Ordering::Relaxed);
        }
        told
    }

    /// An observation was taken from the queue.
    pub(super) fn taken(&self, what: &Seen) {
        let bytes = heads(what);
        if bytes > 0 {
            self.0.heads.fetch_sub(bytes, Ordering::Relaxed);
        }
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

/// The memory of the heads of an exchange; all else that is told is small.
fn heads(what: &Seen) -> u64 {
    let Seen::Exchange(_, exchange) = what else { return 0 };
    let response = exchange.response.as_ref().map_or(0, |head| head.expose().capacity());
    exchange.request.expose().capacity().saturating_add(response) as u64
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::model::Secret;
    use crate::model::event::Times;
    use crate::wire::observation::RawExchange;

    /// The queue's places alone would let clients with huge heads take gigabytes.
    #[test]
    fn heads_beyond_their_budget_count_as_a_full_queue() {
        let head = 256 * 1024;
        let exchange = || {
            let raw = RawExchange {
                exchange: 1,
                request: Secret::new(vec![b'x'; head]),
                response: Some(Secret::new(vec![b'x'; head])),
                reset: None,
                interim: Vec::new(),
                times: Times::default(),
            };
            Seen::Exchange(ConnectionId(1), Box::new(raw))
        };
        let fit = usize::try_from(HEADS).unwrap() / (2 * head);
        let (queue, received) = sync_channel(2 * fit);
        let feed = Feed::new(queue, Clock::start());
        for _ in 0..fit {
            assert!(feed.tell(Stamp(1), exchange()));
        }
        assert!(!feed.tell(Stamp(1), exchange()), "no room for its bytes");
        assert!(feed.tell(Stamp(1), Seen::Start(Box::default())), "what has no head finds room");
        let Ok(Message::Seen(first)) = received.recv() else { panic!("nothing came") };
        feed.taken(&first.what);
        assert!(feed.tell(Stamp(1), exchange()), "there is room again");
        drop(received);
        assert!(!feed.tell(Stamp(1), Seen::Start(Box::default())));
        assert!(!feed.tell(Stamp(1), exchange()));
        assert_eq!(feed.0.heads.load(Ordering::Relaxed), HEADS, "what was not sent is not counted");
    }
}
