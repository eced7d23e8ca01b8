//! HTTP/1 framing, both directions of one connection (RFC 9112).
//!
//! [`Http1`] follows borrowed slices, cut anywhere, and keeps only what telling an exchange may still need: the heads of
//! requests whose response has not come, and a head that a cut split. What it says depends on the bytes and their order
//! across the two directions, never on their cuts. What it cannot follow is told once and ends the watching; it does
//! not guess, because a wrong pairing of answers with requests would accuse the innocent.

mod body;
pub(super) mod direction;
mod framing;
pub mod head;
#[cfg(test)]
mod holes;
pub(super) mod interest;
#[cfg(test)]
mod moments;
pub(super) mod pending;
mod pool;
pub(super) mod reader;
pub(super) mod requests;
mod responses;
mod scan;
#[cfg(test)]
mod tests;

use super::observation::{Ended, RawExchange};
use crate::model::{ExchangeNo, Stamp};
use body::Body;
use direction::{Direction, Fault, State};
use pending::Queue;
pub use pool::Pool;

/// Largest head followed, its empty line included; IIS's own limit is 16 KiB a field unless its registry says more.
pub const MAX_HEAD: usize = 256 * 1024;

/// Where the framing tells what it saw.
pub trait Out {
    /// A request's head is complete: its number on the connection. For those who note where it was.
    fn request(&mut self, _exchange: ExchangeNo) {}
    /// A response's head is complete, or the connection ended without one, and the exchange matters.
    fn exchange(&mut self, exchange: RawExchange);
    /// An exchange that was told has ended.
    fn ended(&mut self, ended: Ended);
    /// The bytes could not be followed; nothing more will come of this connection.
    ///
    /// `offset` counts that direction's bytes up to the message that could not be followed, or up to the very byte in
    /// a body. `why` holds nothing of the bytes themselves.
    fn unparsable(&mut self, from: &'static str, offset: u64, why: String);
}

/// Follows both directions of one connection.
#[derive(Debug, Default)]
pub struct Http1 {
    client: Direction,
    upstream: Direction,
    queue: Queue,
    /// Bytes of heads in `queue`.
    held: usize,
    /// First byte of the request whose head is being read.
    request: Stamp,
    /// Client marker of the last request.
    marker: u64,
    requests: u32,
    phase: Phase,
    /// The previous exchange was told for its own authentication or refusal: its follow-up is told as well.
    follow_up: bool,
    /// Every exchange is told.
    all: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Http,
    /// Another protocol after 101 or CONNECT, unparsable, or closed: nothing more is told.
    Over,
}

impl Http1 {
    /// Tells every exchange, and not only those that have to do with authentication or were refused.
    #[must_use]
    pub fn telling_all(mut self, all: bool) -> Self {
        self.all = all;
        self
    }

    pub(super) const fn tells_all(&self) -> bool {
        self.all
    }

    /// Bytes from the client, before they are forwarded.
    pub fn client(&mut self, at: Stamp, bytes: &[u8], pool: &mut Pool, out: &mut impl Out) {
        let mut rest = bytes;
        while self.phase == Phase::Http && !rest.is_empty() {
            match self.client_step(at, rest, pool, out) {
                Ok(after) => rest = after,
                Err(fault) => return self.blind(fault, pool, out),
            }
        }
    }

    /// Bytes from the upstream, before they are forwarded.
    pub fn upstream(&mut self, at: Stamp, bytes: &[u8], pool: &mut Pool, out: &mut impl Out) {
        let mut rest = bytes;
        while self.phase == Phase::Http && !rest.is_empty() {
            match self.upstream_step(at, rest, pool, out) {
                Ok(after) => rest = after,
                Err(fault) => return self.blind(fault, pool, out),
            }
        }
    }

    /// `n` bytes of a direction were not seen. `true`: all of them are content of a body whose end stays known, or nothing
    /// is followed any more; they count as if they had come, and a copy of that body ends before them. `false`: nobody
    /// can say where the next message begins, so nothing more may be given to this connection.
    pub fn skip(&mut self, from_client: bool, at: Stamp, n: u64, pool: &mut Pool, out: &mut impl Out) -> bool {
        if self.phase == Phase::Over || n == 0 {
            return true;
        }
        if from_client { self.skip_request(at, n, pool, out) } else { self.skip_response(at, n, pool, out) }
    }

    /// The client sent its FIN: no more requests.
    pub fn client_end(&mut self, _at: Stamp, _pool: &mut Pool, _out: &mut impl Out) {
        // Answers still come, and a body cut here is told when the connection is over.
    }

    /// The upstream sent its FIN: ends a body that has no length.
    pub fn upstream_end(&mut self, at: Stamp, pool: &mut Pool, out: &mut impl Out) {
        if self.phase == Phase::Http && matches!(self.upstream.state, State::Body(Body::UntilClose)) {
            self.upstream.state = State::default();
            self.response_ended(at, pool, out);
        }
    }

    /// The connection is over, in whatever way: tells what was still open.
    pub fn closed(&mut self, at: Stamp, pool: &mut Pool, out: &mut impl Out) {
        if self.phase == Phase::Http {
            while let Some(mut pending) = self.queue.pop() {
                if pending.authorization && !pending.answered {
                    out.exchange(pending.exchange(None));
                    pending.told = true;
                }
                if pending.told {
                    let response = if pending.answered { self.upstream.content } else { 0 };
                    out.ended(pending.ended(self.client.content, response, at));
                }
                pending.release(pool);
            }
        }
        self.release(pool);
    }

    /// Memory that unfinished messages take, about, in bytes.
    pub(in crate::wire) fn footprint(&self) -> usize {
        let reader = |direction: &Direction| match &direction.state {
            State::Head(reader) => reader.footprint(),
            State::Body(_) | State::Connect(_) | State::Refused => 0,
        };
        let heads = reader(&self.client).saturating_add(reader(&self.upstream));
        heads.saturating_add(self.queue.footprint(self.held))
    }

    /// Requests seen so far, the unreported ones included.
    pub const fn exchanges(&self) -> u32 {
        self.requests
    }

    /// Whether this still follows HTTP: `false` after `unparsable`, 101, an accepted CONNECT, or `closed`.
    pub fn watching(&self) -> bool {
        self.phase == Phase::Http
    }

    /// Whether HTTP is followed and no message is under way: a connection that can end here without harm.
    pub fn between_messages(&self) -> bool {
        let idle = |direction: &Direction| matches!(&direction.state, State::Head(reader) if reader.idle());
        self.phase == Phase::Http && self.queue.len() == 0 && idle(&self.client) && idle(&self.upstream)
    }

    /// The first exchange is over in both directions.
    fn over(&mut self, at: Stamp, pool: &mut Pool, out: &mut impl Out) {
        if let Some(mut first) = self.queue.pop() {
            if first.told {
                out.ended(first.ended(self.client.content, self.upstream.content, at));
            }
            self.held = self.held.saturating_sub(first.release(pool));
        }
    }

    fn blind(&mut self, fault: Fault, pool: &mut Pool, out: &mut impl Out) {
        self.release(pool);
        out.unparsable(fault.side.name(), fault.offset, fault.why);
    }

    /// Nothing more is told: gives every buffer back.
    fn release(&mut self, pool: &mut Pool) {
        self.phase = Phase::Over;
        while let Some(mut pending) = self.queue.pop() {
            pending.release(pool);
        }
        self.held = 0;
        for direction in [&mut self.client, &mut self.upstream] {
            if let State::Head(reader) = &mut direction.state {
                pool.give(reader.take());
            }
        }
    }
}
