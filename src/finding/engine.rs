//! Observations in, events out.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Meta;
use super::catalogue;
use super::detect::{Detect, Raise, View};
use crate::model::event::{ConnectionClose, ConnectionOpen, Event, Exchange, Gap, Handshake, Start, What};
use crate::model::finding::Finding;
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::token::Key;
use crate::track::intake;
use crate::track::site::{Closed, Limits, Site};
use crate::track::turn::Turn;
use crate::wire::observation::{Ended, Observation, Seen};

/// So many findings of one slug are told; more are only counted. A report with a thousand cases of one defect is not
/// better than one with a hundred.
const MOST_PER_SLUG: u64 = 1_000;

/// What the operator may set of tracking and findings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Key of the fingerprints of this run.
    pub key: [u8; 16],
    /// Bounds of what is remembered.
    pub limits: Limits,
    /// Peers whose word about the client counts.
    pub trusted_proxies: Vec<Network>,
    /// So many refused logons of one user within [`lockout_window`](Self::lockout_window) are a risk.
    pub lockout_threshold: u32,
    /// See [`lockout_threshold`](Self::lockout_threshold).
    pub lockout_window: Duration,
    /// A challenge that no request of the same client has answered for so long is unanswered.
    pub answer_window: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            key: [0; 16],
            limits: Limits::default(),
            trusted_proxies: Vec::new(),
            lockout_threshold: 4,
            lockout_window: Duration::from_mins(10),
            answer_window: Duration::from_mins(5),
        }
    }
}

/// A range of addresses, `10.0.0.0/8` or `2001:db8::/32`, or a single one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads CIDR notation; `None` when it is not that.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = if let Some((a, b)) = text.split_once('/') {
            (a.parse::<IpAddr>().ok()?, b.parse::<u8>().ok()?)
        } else {
            let a = text.parse::<IpAddr>().ok()?;
            (a, if a.is_ipv4() { 32 } else { 128 })
        };
        (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some(Self { address, bits })
    }

    /// Whether the address is in the range. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let top = |value: u128, width: u32| value.checked_shr(width.saturating_sub(u32::from(self.bits))).unwrap_or(0);
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => top(u128::from(u32::from(a)), 32) == top(u128::from(u32::from(b)), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => top(u128::from(a), 128) == top(u128::from(b), 128),
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// Observations in, events out: decoding, tracking and the catalogue. Pure: the same input gives the same events.
pub struct Engine {
    settings: Settings,
    key: Key,
    site: Site,
    detectors: Vec<(&'static Meta, Box<dyn Detect>)>,
    raised: HashMap<&'static str, u64>,
    /// Exchanges whose last byte has not passed, with the sequence number that they were taken in with.
    open: HashMap<ConnectionId, Vec<Open>>,
    seq: u64,
}

/// An exchange whose last byte has not passed.
struct Open {
    seq: u64,
    at: Stamp,
    exchange: Arc<Exchange>,
}

impl Open {
    fn event(self) -> Event {
        Event { seq: self.seq, at: self.at, what: What::Exchange(Box::new(Arc::unwrap_or_clone(self.exchange))) }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("seq", &self.seq).field("open", &self.open.len()).finish_non_exhaustive()
    }
}

/// One step, as the detectors are called.
enum Step<'a> {
    Start(&'a Start),
    Opened(ConnectionId),
    Turn(&'a Turn),
    GivenUp(&'a Handshake),
    Closed(&'a Closed),
    Time,
    Stop,
}

impl Engine {
    /// A new engine that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            key: Key(settings.key),
            site: Site::new(settings.limits),
            settings,
            detectors: catalogue::detectors(),
            raised: HashMap::new(),
            open: HashMap::new(),
            seq: 0,
        }
    }

    /// Takes in one observation and appends what follows from it.
    pub fn observe(&mut self, observation: Observation, out: &mut Vec<Event>) {
        let at = observation.at;
        self.advance(at, out);
        match observation.what {
            Seen::Start(start) => self.start(&start, at, out),
            Seen::Opened(open) => self.opened(*open, at, out),
            Seen::Exchange(connection, raw) => match intake::exchange(connection, &raw, &self.key) {
                Some(exchange) => self.exchange(exchange, at, out),
                // The framing parsed these heads a moment ago; if they cannot be read again it is a bug of ours.
                None => debug_assert!(false, "a told head cannot be read"),
            },
            Seen::Ended(connection, ended) => self.ended(connection, ended, out),
            Seen::Gap(gap) => self.gap(gap, at, out),
            Seen::Closed(close) => self.closed(*close, at, out),
        }
    }

    /// Takes in an event of a capture as if it were seen now: what can be derived (handshakes, findings, totals) is
    /// derived anew, so an old capture is diagnosed by a newer catalogue.
    pub fn replay(&mut self, event: Event, out: &mut Vec<Event>) {
        let at = event.at;
        self.advance(at, out);
        match event.what {
            What::Start(start) => self.start(&start, at, out),
            What::ConnectionOpen(open) => self.opened(*open, at, out),
            What::Exchange(exchange) => {
                let (connection, number) = (exchange.connection, exchange.exchange);
                self.exchange(*exchange, at, out);
                out.extend(self.take_open(connection, number).map(Open::event));
            }
            What::Gap(gap) => self.gap(gap, at, out),
            What::ConnectionClose(close) => self.closed(*close, at, out),
            What::Stop(_) => self.finish(at, out),
            What::Handshake(_) | What::Finding(_) => {}
        }
    }

    /// Time passes without an observation: deadlines up to `now` fall due.
    pub fn advance(&mut self, now: Stamp, out: &mut Vec<Event>) {
        for (at, handshake) in self.site.advance(now) {
            self.step(&Step::GivenUp(&handshake), at, out);
            self.tell(at, What::Handshake(Box::new(handshake)), out);
        }
        self.step(&Step::Time, now, out);
    }

    /// The end: what was still open is judged, and the `stop` event is appended.
    pub fn finish(&mut self, at: Stamp, out: &mut Vec<Event>) {
        self.advance(at, out);
        for (at, handshake) in self.site.finish(at) {
            self.step(&Step::GivenUp(&handshake), at, out);
            self.tell(at, What::Handshake(Box::new(handshake)), out);
        }
        self.step(&Step::Stop, at, out);
        let mut open: Vec<Open> = self.open.drain().flat_map(|(_, o)| o).collect();
        open.sort_by_key(|o| o.seq);
        out.extend(open.into_iter().map(Open::event));
        let totals = self.site.totals().clone();
        self.tell(at, What::Stop(totals), out);
    }

    fn start(&mut self, start: &Start, at: Stamp, out: &mut Vec<Event>) {
        self.tell(at, What::Start(Box::new(start.clone())), out);
        self.site.started(start.clone());
        self.step(&Step::Start(start), at, out);
    }

    fn opened(&mut self, open: ConnectionOpen, at: Stamp, out: &mut Vec<Event>) {
        let id = open.connection;
        self.tell(at, What::ConnectionOpen(Box::new(open.clone())), out);
        self.site.opened(open, at);
        self.step(&Step::Opened(id), at, out);
    }

    fn exchange(&mut self, exchange: Exchange, at: Stamp, out: &mut Vec<Event>) {
        // The exchange keeps the number of this moment, though it is told when its last byte has passed.
        self.seq += 1;
        let seq = self.seq;
        let connection = exchange.connection;
        if self.site.connection(connection).is_none() {
            // Its opening was not seen (a gap): it is recorded, and nothing is drawn from it.
            self.open.entry(connection).or_default().push(Open { seq, at, exchange: Arc::new(exchange) });
            return;
        }
        let Some(turn) = self.site.exchange(exchange) else { return };
        if let Some(handshake) = &turn.handshake {
            self.tell(at, What::Handshake(Box::new(handshake.clone())), out);
        }
        self.step(&Step::Turn(&turn), at, out);
        self.open.entry(connection).or_default().push(Open { seq, at, exchange: turn.exchange });
    }

    fn take_open(&mut self, connection: ConnectionId, number: ExchangeNo) -> Option<Open> {
        let list = self.open.get_mut(&connection)?;
        let index = list.iter().position(|o| o.exchange.exchange == number)?;
        let found = list.remove(index);
        if list.is_empty() {
            self.open.remove(&connection);
        }
        Some(found)
    }

    fn ended(&mut self, connection: ConnectionId, ended: Ended, out: &mut Vec<Event>) {
        let Some(mut open) = self.take_open(connection, ended.exchange) else { return };
        let exchange = Arc::make_mut(&mut open.exchange);
        exchange.request_body = ended.request_body;
        exchange.response_body = ended.response_body;
        exchange.times.end = Some(ended.end);
        out.push(open.event());
    }

    /// Something was not seen. Also for gaps that the observer itself finds (a sink that fails).
    pub fn gap(&mut self, gap: Gap, at: Stamp, out: &mut Vec<Event>) {
        self.site.gap(&gap, at);
        self.tell(at, What::Gap(gap), out);
    }

    fn closed(&mut self, close: ConnectionClose, at: Stamp, out: &mut Vec<Event>) {
        // What is still open then lost its end to a gap.
        out.extend(self.open.remove(&close.connection).into_iter().flatten().map(Open::event));
        let Some(closed) = self.site.closed(close.clone(), at) else {
            self.tell(at, What::ConnectionClose(Box::new(close)), out);
            return;
        };
        self.tell(at, What::ConnectionClose(Box::new(closed.close.clone())), out);
        self.step(&Step::Closed(&closed), at, out);
    }

    fn tell(&mut self, at: Stamp, what: What, out: &mut Vec<Event>) {
        self.seq += 1;
        out.push(Event { seq: self.seq, at, what });
    }

    fn step(&mut self, step: &Step<'_>, at: Stamp, out: &mut Vec<Event>) {
        let mut found: Vec<(Stamp, Finding)> = Vec::new();
        let view = View { site: &self.site, settings: &self.settings };
        for (meta, detector) in &mut self.detectors {
            let raise = &mut Raise { meta, site: &self.site, out: &mut found };
            match step {
                Step::Start(start) => detector.on_start(start, at, &view, raise),
                Step::Opened(id) => {
                    if let Some(c) = self.site.connection(*id) {
                        detector.on_open(c, &view, raise);
                    }
                }
                Step::Turn(turn) => detector.on_turn(turn, &view, raise),
                Step::GivenUp(handshake) => detector.on_given_up(handshake, at, &view, raise),
                Step::Closed(closed) => detector.on_close(closed, at, &view, raise),
                Step::Time => detector.on_time(at, &view, raise),
                Step::Stop => detector.on_stop(at, &view, raise),
            }
        }
        for (at, finding) in found {
            let meta = catalogue::ALL.iter().find(|m| m.slug == finding.slug);
            let count = self.raised.entry(meta.map_or("", |m| m.slug)).or_default();
            *count += 1;
            self.site.totals_mut().findings += 1;
            if *count <= MOST_PER_SLUG {
                self.tell(at, What::Finding(Box::new(finding)), out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trusted proxy that is not recognised turns proofs into suspicions, and one too many lets anybody lie.
    #[test]
    fn networks_contain_what_they_say() {
        let n = |t: &str| Network::parse(t).expect(t);
        let a = |t: &str| t.parse::<IpAddr>().expect(t);
        assert!(n("10.0.0.0/8").contains(a("10.255.0.1")) && !n("10.0.0.0/8").contains(a("11.0.0.1")));
        assert!(n("0.0.0.0/0").contains(a("203.0.113.9")) && !n("0.0.0.0/0").contains(a("2001:db8::1")));
        assert!(n("192.0.2.7").contains(a("192.0.2.7")) && !n("192.0.2.7").contains(a("192.0.2.8")));
        assert!(n("192.0.2.0/24").contains(a("::ffff:192.0.2.9")));
        assert!(n("2001:db8::/32").contains(a("2001:db8:1::1")) && !n("2001:db8::/32").contains(a("2001:db9::1")));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "x", "::/129", "10.0.0.0/"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
