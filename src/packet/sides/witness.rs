//! What speaks for a hop between two server endpoints, and for its direction.

use std::cmp::Ordering;
use std::net::IpAddr;

use super::marks::{Lie, Sighting, compatible};

/// So many samples of a difference between clocks are kept.
const SAMPLES: usize = 64;

/// So many requests without a token of their own must have passed both endpoints, when no address tells.
const FEW: u32 = 3;

/// All that was seen of two endpoints, the first and the second.
#[derive(Debug, Default)]
pub(super) struct Witness {
    /// Messages of the second that lie within the same ones of the first.
    inside: u32,
    /// The other way.
    outside: u32,
    /// At the very same time, or overlapping: the first's began first, and not.
    began: (u32, u32),
    /// One after the other.
    apart: u32,
    /// A server's own token passed both, at whatever times: it can only have been handed on.
    handed_on: u32,
    /// The second's clients have the first's address, and not the other way; and the reverse.
    address: (u32, u32),
    /// The first's took longer; the second's did.
    longer: (u32, u32),
    /// Differences of their middles, first minus second, in microseconds.
    differences: Vec<i64>,
}

/// A hop: the outer endpoint fronts the inner one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hop {
    /// The outer endpoint is the first of the two.
    pub(super) first_is_outer: bool,
    /// Microseconds to add to the inner one's times.
    pub(super) shift: i64,
    /// The clocks of both differ by more than a request takes.
    pub(super) apart: bool,
    /// How many messages speak for it.
    pub(super) strength: u32,
}

impl Witness {
    /// The same message on both, once or several times; each list in the order of time. `answer`: it is a server's.
    pub(super) fn message(&mut self, first: (IpAddr, &[&Sighting]), second: (IpAddr, &[&Sighting]), answer: bool) {
        let mut free: Vec<&Sighting> = second.1.to_vec();
        let mut alone: Vec<&Sighting> = Vec::new();
        let mut pairs = Vec::new();
        for a in first.1 {
            let lies = |wanted: &[Lie]| free.iter().position(|b| wanted.contains(&a.lies(b, 0)));
            match lies(&[Lie::Inside, Lie::Outside, Lie::Same]).or_else(|| lies(&[Lie::Overlap])) {
                Some(at) => pairs.push((*a, free.remove(at))),
                None => alone.push(a),
            }
        }
        pairs.extend(alone.into_iter().zip(free));
        for (a, b) in pairs {
            self.pair(first.0, a, second.0, b);
            self.handed_on += u32::from(answer);
        }
    }

    fn pair(&mut self, first: IpAddr, a: &Sighting, second: IpAddr, b: &Sighting) {
        match a.lies(b, 0) {
            Lie::Inside => self.inside += 1,
            Lie::Outside => self.outside += 1,
            Lie::Same | Lie::Overlap if a.start < b.start => self.began.0 += 1,
            Lie::Same | Lie::Overlap => self.began.1 += u32::from(b.start < a.start),
            Lie::Apart => self.apart += 1,
        }
        match from(first, second, a, b) {
            Ordering::Greater => self.address.0 += 1,
            Ordering::Less => self.address.1 += 1,
            Ordering::Equal => {}
        }
        match a.length().cmp(&b.length()) {
            Ordering::Greater => self.longer.0 += 1,
            Ordering::Less => self.longer.1 += 1,
            Ordering::Equal => {}
        }
        if self.differences.len() < SAMPLES {
            self.differences.push(a.middle().saturating_sub(b.middle()));
        }
    }

    /// Whether it is a hop, and which way. A client that sends a message again does so after its answer: such messages
    /// lie one after the other, and nobody's address tells.
    pub(super) fn hop(mut self) -> Option<Hop> {
        let nested = self.inside + self.outside;
        let together = nested + self.began.0 + self.began.1;
        let addressed = self.address.0 != self.address.1;
        if self.handed_on == 0 && !addressed && together <= self.apart {
            return None;
        }
        let ways = [self.address, (self.inside, self.outside), self.longer, self.began];
        let first_is_outer = ways.iter().find(|(a, b)| a != b).is_none_or(|(a, b)| a > b);
        let apart = nested * 2 < together + self.apart;
        self.differences.sort_unstable();
        let middle = self.differences.get(self.differences.len() / 2).copied().unwrap_or(0);
        let shift = match (apart, first_is_outer) {
            (false, _) => 0,
            (true, true) => middle,
            (true, false) => middle.saturating_neg(),
        };
        Some(Hop { first_is_outer, shift, apart, strength: together + self.apart })
    }
}

/// Whose clients are the other one's host: greater when the second is reached from the first.
fn from(first: IpAddr, second: IpAddr, a: &Sighting, b: &Sighting) -> Ordering {
    let (to_second, to_first) = (b.client.ip() == first, a.client.ip() == second);
    to_second.cmp(&to_first)
}

/// What speaks for the first endpoint's fronting the second, where no message is anybody's own (Basic, bearer tokens,
/// requests without credentials): requests for the same that lie within each other, again and again.
#[derive(Debug, Default)]
pub(super) struct Likeness {
    /// Requests to the second within their likes to the first.
    within: u32,
    /// Of them, those that come from the first's address, or from the very same socket: a port that is translated, or a
    /// hop that keeps its clients' addresses.
    addressed: u32,
    /// Requests to the second that lie within no like of them, or come from a client of both.
    against: u32,
}

impl Likeness {
    /// Requests of one kind to both, each list in the order of time.
    pub(super) fn requests(&mut self, first: (IpAddr, &[&Sighting]), second: (IpAddr, &[&Sighting])) {
        let mut free: Vec<&Sighting> = first.1.to_vec();
        for b in second.1 {
            let client = b.client.ip();
            let holds = |a: &&Sighting| {
                let within = match a.lies(b, 0) {
                    Lie::Inside => true,
                    Lie::Same => from(first.0, second.0, a, b) == Ordering::Greater,
                    _ => false,
                };
                within && compatible(&a.marks, &b.marks)
            };
            let Some(at) = free.iter().position(holds) else {
                self.against += 1;
                continue;
            };
            let a = free.remove(at);
            let same_socket = a.client == b.client;
            if a.client.ip() == client && client != first.0 && !same_socket {
                self.against += 1;
                continue;
            }
            self.within += 1;
            self.addressed += u32::from(same_socket || from(first.0, second.0, a, b) == Ordering::Greater);
        }
    }

    /// How much speaks for it; `None` when too little does.
    pub(super) const fn strength(&self) -> Option<u32> {
        let by_address = self.addressed > 0 && self.against * 4 <= self.within;
        let by_time = self.within >= FEW && self.against == 0;
        if by_address || by_time { Some(self.within) } else { None }
    }
}
