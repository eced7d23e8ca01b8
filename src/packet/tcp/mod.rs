//! TCP reassembly: segments, as they were captured, become the bytes of each direction in order. Bounded, and what the
//! capture does not hold is told and never guessed.

mod flow;
mod key;
mod pieces;
mod stream;
mod table;
mod tell;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;

use super::{Segment, When};
use crate::model::Stamp;
use flow::{After, Flow};
use key::Pair;
use table::{Row, Table};

/// Most connections that are open at once. Clients that come through one proxy address have at most as many, its ports;
/// they take about 30 MB here. Beyond, the one that was used least recently is forgotten.
pub const MAX_OPEN: usize = 65_536;

/// Most ended connections that are remembered for their stragglers: those of a second at a rate that no single site has.
pub const MAX_ENDED: usize = 16_384;

/// Most bytes of one connection that wait for what comes before them, with what keeping them costs: a receiver with a
/// larger window is rare, and rarer still one that needs all of it.
pub const MAX_WAITING: usize = 1024 * 1024;

/// Most bytes that wait on all connections together.
pub const MAX_WAITING_ALL: usize = 64 * 1024 * 1024;

/// One TCP connection of a capture, from 0 in the order of their first packets. A port pair that is used again is
/// another connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub u64);

/// Whose bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// Who sent the SYN; without one, who sent the first packet.
    First,
    /// The other end.
    Second,
}

impl End {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// What the capture shows of how a connection began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The address of [`End::First`].
    pub first: SocketAddr,
    /// The address of [`End::Second`].
    pub second: SocketAddr,
    /// Its SYN, or the answer to it, was captured: `first` is the client's end, and nothing came before.
    pub whole: bool,
}

/// What happens on a connection, in the order of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening<'a> {
    /// Its first packet.
    Opened(Ends),
    /// The next bytes of a direction, once.
    Bytes(End, &'a [u8]),
    /// The next bytes of a direction are not in the capture, so many; what follows comes after them.
    Missing(End, u64),
    /// A direction's orderly end, in its place after the bytes.
    Fin(End),
    /// A reset by that end. Nothing follows.
    Reset(End),
    /// Both directions have ended. Nothing follows.
    Closed,
    /// It is another one, told already, under a translated address of the client: both ends' sequence numbers and the
    /// server are the same. Nothing of its bytes follows.
    Twin,
    /// Forgotten: its port pair is used anew, or the table was full. Nothing follows.
    Forgotten,
}

/// Whether a connection's bytes are still wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Go on.
    Bytes,
    /// Only ends: nothing more is kept or told of its bytes.
    Ends,
}

/// Who listens to the connections.
pub trait Listen {
    /// Something happened. `when` is the packet that made it known: bytes that waited for a late one have its time.
    fn heard(&mut self, flow: FlowId, when: When, what: Happening<'_>) -> Wanted;
}

/// All connections of a capture.
///
/// Of bytes that were sent more than once the first copy counts, as in Wireshark; which one the receiver took, a capture
/// does not tell.
#[derive(Debug, Default)]
pub struct Tcp {
    table: Table,
    opened: u64,
    buffered: usize,
    /// When to look at connections on which bytes wait behind a hole that is certain.
    times: BinaryHeap<Reverse<(Stamp, FlowId, u32)>>,
}

impl Tcp {
    /// Takes in the next packet of the capture.
    pub fn segment(&mut self, when: When, segment: &Segment<'_>, to: &mut impl Listen) {
        if self.times.peek().is_some_and(|Reverse((time, ..))| *time <= when.at) {
            self.times_come(when.at, to);
        }
        let Some((pair, from_low)) = Pair::of(segment.from, segment.to) else {
            return;
        };
        if let Some(place) = self.table.find(&pair) {
            if !segment.payload.is_empty() && self.table.is_twin(place) {
                self.step(place, |flow| flow.is_twin(when, to));
            }
            if self.step(place, |flow| flow.segment(from_low, when, segment, to)) != After::Anew {
                return self.hold_bounds(place, when, to);
            }
            self.forget(place, when, to);
        }
        let id = FlowId(self.opened);
        let Some((flow, ends)) = Flow::open(id, from_low, when, segment) else {
            return;
        };
        self.opened = self.opened.saturating_add(1);
        if self.table.length(Row::Open) >= MAX_OPEN
            && let Some(oldest) = self.table.oldest(Row::Open)
        {
            self.forget(oldest, when, to);
        }
        let place = self.table.insert(pair, flow);
        self.step(place, |flow| {
            flow.opened(ends, when, to);
            flow.segment(from_low, when, segment, to)
        });
        self.hold_bounds(place, when, to);
    }

    /// The capture ends: what still waits is told, with what is missing before it.
    pub fn finish(&mut self, when: When, to: &mut impl Listen) {
        let mut flows: Vec<Flow> = self.table.open().into_iter().filter_map(|place| self.table.remove(place)).collect();
        flows.sort_by_key(Flow::id);
        for mut flow in flows {
            flow.flush(when, to);
        }
        *self = Self { opened: self.opened, ..Self::default() };
    }

    /// Bytes that wait for what comes before them, with what keeping them costs: at most [`MAX_WAITING_ALL`].
    pub const fn buffered(&self) -> usize {
        self.buffered
    }

    /// Connections that are remembered, open or ended: at most [`MAX_OPEN`] and [`MAX_ENDED`].
    pub const fn flows(&self) -> usize {
        self.table.length(Row::Open).saturating_add(self.table.length(Row::Ended))
    }

    /// Does something with a connection, and keeps the books.
    fn step(&mut self, place: u32, f: impl FnOnce(&mut Flow) -> After) -> After {
        let Some(flow) = self.table.get(place) else {
            return After::Stays;
        };
        let before = flow.cost();
        let was_open = flow.is_open();
        let after = f(flow);
        self.buffered = self.buffered.saturating_sub(before).saturating_add(flow.cost());
        if !flow.timed
            && let Some(time) = flow.deadline()
        {
            flow.timed = true;
            self.times.push(Reverse((time, flow.id(), place)));
        }
        match (was_open, flow.is_open()) {
            (true, true) => self.table.touch(place),
            (true, false) => self.table.end(place),
            (false, _) => {}
        }
        after
    }

    /// Removes a connection; one that was open is told to be forgotten.
    fn forget(&mut self, place: u32, when: When, to: &mut impl Listen) {
        if let Some(mut flow) = self.table.remove(place) {
            self.buffered = self.buffered.saturating_sub(flow.cost());
            flow.forget(when, to);
        }
    }

    /// Looks at the connections whose time has come.
    fn times_come(&mut self, now: Stamp, to: &mut impl Listen) {
        // Each once: a clock that stands at its last value would let them come for ever.
        for _ in 0..self.times.len() {
            let Some(&Reverse((time, id, place))) = self.times.peek() else {
                return;
            };
            if time > now {
                return;
            }
            self.times.pop();
            // A place may have another connection by now.
            if self.table.get(place).is_some_and(|flow| flow.id() == id) {
                self.step(place, |flow| {
                    flow.timed = false;
                    flow.late(now, to)
                });
            }
        }
    }

    /// After a packet of the connection at `place`.
    fn hold_bounds(&mut self, place: u32, when: When, to: &mut impl Listen) {
        if self.table.length(Row::Ended) > MAX_ENDED
            && let Some(oldest) = self.table.oldest(Row::Ended)
        {
            self.table.remove(oldest);
        }
        if self.table.get(place).is_some_and(|flow| flow.cost() > MAX_WAITING) {
            self.step(place, |flow| flow.give_way(MAX_WAITING, when, to));
        }
        if self.buffered > MAX_WAITING_ALL {
            self.give_way(when, to);
        }
        // Times of connections that are gone; only a capture whose clock stands still collects them.
        if self.times.len() > MAX_OPEN.saturating_mul(2) {
            let mut times = std::mem::take(&mut self.times);
            times.retain(|Reverse((_, id, place))| self.table.get(*place).is_some_and(|flow| flow.id() == *id));
            self.times = times;
        }
    }

    /// Those with the most give way, until a quarter is free: so that looking for them is rare.
    fn give_way(&mut self, when: When, to: &mut impl Listen) {
        let places = self.table.open();
        let mut most: Vec<(usize, u32)> =
            places.into_iter().filter_map(|place| Some((self.table.get(place)?.cost(), place))).collect();
        most.sort_unstable_by_key(|(cost, place)| (Reverse(*cost), *place));
        for (_, place) in most {
            if self.buffered <= MAX_WAITING_ALL / 4 * 3 {
                break;
            }
            self.step(place, |flow| flow.give_way(0, when, to));
        }
    }
}
