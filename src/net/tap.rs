//! The tap of one connection: drives the framing on borrowed slices and hands what it says to the observer.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::close::{Side, own};
use super::feed::Feed;
use super::flow::LARGEST_CHUNK;
use crate::model::event::{ConnectionClose, ConnectionOpen, Gap, GapWhat, HalfClose};
use crate::model::transport::{Addresses, By, End, How, Tls};
use crate::model::{ConnectionId, Stamp};
use crate::wire::follow::Follow;
use crate::wire::http1::{Out, Pool};
use crate::wire::observation::{Ended, RawExchange, Seen};

/// What the connections of one thread share, because only one of them runs at a time: an idle one holds no buffer.
pub(super) struct Spare {
    pub(super) chunk: Box<[u8]>,
    pub(super) pool: Pool,
}

thread_local! {
    static SPARE: RefCell<Spare> = RefCell::new(Spare {
        chunk: vec![0; LARGEST_CHUNK].into_boxed_slice(),
        pool: Pool::default(),
    });
}

/// Runs `f` with this thread's buffers.
pub(super) fn with_spare<R>(f: impl FnOnce(&mut Spare) -> R) -> R {
    SPARE.with_borrow_mut(f)
}

/// The tap of one connection. Told or not, its end reaches the observer: dropping it counts as authtap's own end.
#[derive(Debug)]
pub(super) struct Tap {
    teller: Teller,
    /// `None` after a failure of our own: the connection is blind from there.
    framing: Option<Follow>,
    tell_all: bool,
    exchanges: u32,
    accepted: Stamp,
    bytes: [u64; 2],
    half_closed: bool,
    closed: bool,
}

/// Tells the observer what belongs to one connection, and never lets it look complete when something was dropped.
#[derive(Debug)]
struct Teller {
    feed: Feed,
    id: ConnectionId,
    dropped: u64,
    at: Stamp,
}

impl Teller {
    fn tell(&mut self, what: Seen) {
        if self.dropped > 0 {
            let gap = Seen::Gap(Gap { connection: Some(self.id), what: GapWhat::QueueFull { dropped: self.dropped } });
            if !self.feed.tell(self.at, gap) {
                self.dropped += 1;
                return;
            }
            self.dropped = 0;
        }
        if !self.feed.tell(self.at, what) {
            self.dropped += 1;
        }
    }
}

impl Out for Teller {
    fn exchange(&mut self, exchange: RawExchange) {
        self.tell(Seen::Exchange(self.id, Box::new(exchange)));
    }

    fn ended(&mut self, ended: Ended) {
        self.tell(Seen::Ended(self.id, ended));
    }

    fn unparsable(&mut self, from: &'static str, offset: u64, why: String) {
        self.tell(Seen::Gap(Gap { connection: Some(self.id), what: GapWhat::Unparsable { from, offset, why } }));
    }
}

impl Tap {
    /// The tap of a connection that was accepted at `accepted`.
    pub(super) fn new(feed: Feed, accepted: Stamp, tell_all: bool) -> Self {
        let id = feed.next_connection();
        Self {
            teller: Teller { feed, id, dropped: 0, at: accepted },
            framing: Some(Follow::new(tell_all)),
            tell_all,
            exchanges: 0,
            accepted,
            bytes: [0; 2],
            half_closed: false,
            closed: false,
        }
    }

    pub(super) const fn id(&self) -> ConnectionId {
        self.teller.id
    }

    pub(super) fn now(&self) -> Stamp {
        self.teller.feed.now()
    }

    /// Bytes seen from a side.
    pub(super) const fn bytes(&self, from: Side) -> u64 {
        self.bytes[from.index()]
    }

    /// The connection is open on both sides, or will not be.
    pub(super) fn opened(&mut self, addresses: Addresses, tls: Option<Tls>, upstream_tls: Option<Tls>) {
        // Opened when it was accepted: what the dial and the handshakes took is part of the connection's life.
        let agreed = [&tls, &upstream_tls].into_iter().flatten().any(|t| t.alpn_chosen.as_deref() == Some("h2"));
        if agreed && self.framing.is_some() {
            self.framing = Some(Follow::http2(self.tell_all));
        }
        self.teller.at = self.accepted;
        self.teller.tell(Seen::Opened(Box::new(ConnectionOpen {
            connection: self.teller.id,
            addresses,
            tls,
            upstream_tls,
            begun_before: false,
        })));
    }

    /// Bytes of a side, before they are forwarded.
    pub(super) fn saw(&mut self, from: Side, at: Stamp, bytes: &[u8], pool: &mut Pool) {
        self.guarded(from, at, |framing, teller| match from {
            Side::Client => framing.client(at, bytes, pool, teller),
            Side::Upstream => framing.upstream(at, bytes, pool, teller),
        });
        self.bytes[from.index()] += bytes.len() as u64;
    }

    /// A side's orderly end.
    pub(super) fn saw_end(&mut self, from: Side, at: Stamp, pool: &mut Pool) {
        self.guarded(from, at, |framing, teller| match from {
            Side::Client => framing.client_end(at, pool, teller),
            Side::Upstream => framing.upstream_end(at, pool, teller),
        });
        if !std::mem::replace(&mut self.half_closed, true) {
            self.teller.at = at;
            let by = match from {
                Side::Client => By::Client,
                Side::Upstream => By::Upstream,
            };
            self.teller.tell(Seen::HalfClosed(HalfClose { connection: self.teller.id, by }));
        }
    }

    /// The connection is over.
    pub(super) fn closed(&mut self, at: Stamp, end: End, pool: &mut Pool) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.guarded(Side::Client, at, |framing, teller| {
            framing.closed(at, pool, teller);
        });
        if let Some(framing) = &self.framing {
            self.exchanges = framing.exchanges();
        }
        self.teller.at = at;
        self.teller.tell(Seen::Closed(Box::new(ConnectionClose {
            connection: self.teller.id,
            end,
            mid_handshake: false,
            client_bytes: self.bytes(Side::Client),
            upstream_bytes: self.bytes(Side::Upstream),
            exchanges: self.exchanges,
            duration: at.since(self.accepted),
        })));
    }

    /// Whether no exchange is open, as far as can be known: of a blind connection it cannot.
    pub(super) fn between_messages(&self) -> bool {
        self.framing.as_ref().is_some_and(Follow::between_messages)
    }

    /// Runs the framing. A panic in there is our bug and not the traffic's: the connection goes blind and says so.
    fn guarded(&mut self, from: Side, at: Stamp, run: impl FnOnce(&mut Follow, &mut Teller)) {
        let Some(framing) = &mut self.framing else {
            return;
        };
        self.teller.at = at;
        let teller = &mut self.teller;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(framing, teller))) {
            self.exchanges = framing.exchanges();
            self.framing = None;
            let why = format!("authtap's own framing failed: {}", panic_text(&*panic));
            let offset = self.bytes(from);
            self.teller.unparsable(from.name(), offset, why);
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        if !self.closed {
            let at = self.now();
            let (how, detail) = if std::thread::panicking() {
                (How::Error, "authtap failed")
            } else {
                (How::Timeout, "authtap stopped before the connection ended")
            };
            let end = own(how, detail.to_owned());
            // Dropped by the runtime, so no relay of this thread is at work; should that ever change, the framing's
            // spare buffers are merely not given back.
            let told = SPARE.try_with(|spare| match spare.try_borrow_mut() {
                Ok(mut spare) => self.closed(at, end.clone(), &mut spare.pool),
                Err(_) => self.closed(at, end.clone(), &mut Pool::default()),
            });
            if told.is_err() {
                self.closed(at, end, &mut Pool::default());
            }
        }
        if self.teller.dropped > 0 {
            // A connection's last word is its end: when anything is untold now, so is that.
            self.teller.feed.lose(self.teller.id, self.teller.dropped);
        }
    }
}

/// The words of a panic.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;
    use crate::model::transport::By;
    use crate::net::clock::Clock;
    use crate::net::feed::{Lost, Message};

    fn tap(room: usize) -> (Tap, Receiver<Message>) {
        let (queue, received) = sync_channel(room);
        let feed = Feed::new(queue, Clock::start());
        let at = feed.now();
        (Tap::new(feed, at, false), received)
    }

    fn end() -> End {
        End { by: By::Client, how: How::Fin, errno: None, detail: None }
    }

    fn ended(exchange: u32) -> Ended {
        Ended { exchange, ..Ended::default() }
    }

    fn told(received: &Receiver<Message>) -> Vec<Seen> {
        received
            .try_iter()
            .filter_map(|m| match m {
                Message::Seen(o) => Some(o.what),
                Message::Wake => None,
            })
            .collect()
    }

    /// A finding drawn from a connection with a hole in it would accuse the wrong machine.
    #[test]
    fn what_the_full_queue_dropped_is_told_before_anything_else_of_that_connection() {
        let (mut tap, received) = tap(2);
        for n in 1..=5 {
            tap.teller.ended(ended(n));
        }
        assert_eq!(told(&received).len(), 2);
        tap.teller.ended(ended(6));
        let after = told(&received);
        assert!(
            matches!(
                after[0],
                Seen::Gap(Gap { connection: Some(ConnectionId(1)), what: GapWhat::QueueFull { dropped: 3 } })
            ),
            "{after:?}"
        );
        assert!(matches!(&after[1], Seen::Ended(_, e) if e.exchange == 6));
    }

    /// Without it a dropped last word would be counted nowhere, and the connection would seem open for ever.
    #[test]
    fn a_connection_whose_end_found_no_room_is_remembered() {
        let (mut tap, received) = tap(1);
        let feed = tap.teller.feed.clone();
        tap.teller.ended(ended(1));
        tap.closed(Stamp(1), end(), &mut Pool::default());
        drop(tap);
        assert_eq!(told(&received).len(), 1);
        assert_eq!(feed.take_lost(), [Lost { connection: ConnectionId(1), dropped: 1 }]);
        assert_eq!(feed.take_lost(), []);
    }

    /// Our own bug must not end somebody's upload.
    #[test]
    fn a_panic_in_the_framing_blinds_the_connection_and_is_told() {
        let (mut tap, received) = tap(8);
        tap.saw(Side::Client, Stamp(1), b"GET", &mut Pool::default());
        tap.guarded(Side::Client, Stamp(2), |_, _| panic!("injected"));
        tap.saw(Side::Client, Stamp(3), b" / HTTP", &mut Pool::default());
        assert!(tap.framing.is_none());
        assert_eq!(tap.bytes(Side::Client), 10);
        let seen = told(&received);
        assert!(
            seen.iter().any(|s| matches!(s, Seen::Gap(Gap {
                what: GapWhat::Unparsable { from: "client", offset: 3, why }, ..
            }) if why.contains("injected"))),
            "{seen:?}"
        );
    }

    /// A connection that authtap cut at its stop must not look as if the client had left.
    #[test]
    fn a_dropped_tap_tells_that_authtap_ended_it() {
        let (tap, received) = tap(8);
        drop(tap);
        let seen = told(&received);
        assert!(matches!(&seen[0], Seen::Closed(c) if c.end.by == By::Tap && c.end.how == How::Timeout));
    }
}
