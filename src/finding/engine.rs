//! Observations in, events out.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Meta;
use super::catalogue;
use super::detect::{Detect, Raise, View};
use super::roots::{self, Roots};
use crate::model::event::{
    ConnectionClose, ConnectionOpen, Event, Exchange, Gap, GapWhat, HalfClose, Handshake, Start, What,
};
use crate::model::finding::Finding;
use crate::model::network::Network;
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::token::Key;
use crate::track::ids::IdMap;
use crate::track::intake;
use crate::track::site::{Closed, Limits, Site};
use crate::track::turn::Turn;
use crate::wire::observation::{Ended, Observation, Seen};

/// So many findings of one slug are told; more are only counted. A report with a thousand cases of one defect is not
/// better than one with a hundred.
const MOST_PER_SLUG: u64 = 1_000;

/// Connections that are remembered. The relay allows no more open ones than this by far; the others' ends were lost to
/// a full queue, and they must not pile up for ever.
const MOST_CONNECTIONS: usize = 65_536;

/// Microseconds.
const A_SECOND: i64 = 1_000_000;

/// So much of a silence is told second by second; of a longer one the end. A foreign capture may claim a century.
const MOST_SECONDS: i64 = 3_600 * A_SECOND;

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
    /// What is observed was captured as packets: authtap stands nowhere, and nothing is its doing.
    pub of_packets: bool,
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
            of_packets: false,
        }
    }
}

/// Observations in, events out: decoding, tracking and the catalogue. Pure: the same input gives the same events.
pub struct Engine {
    settings: Settings,
    key: Key,
    site: Site,
    detectors: Vec<Detecting>,
    roots: Roots,
    /// Exchanges whose last byte has not passed, with the sequence number that they were taken in with.
    open: IdMap<ConnectionId, Vec<Open>>,
    /// Ends of replayed exchanges that are still to come, by their sequence numbers.
    ends: BTreeMap<u64, (Stamp, ConnectionId, ExchangeNo)>,
    seq: u64,
    /// Connections were forgotten because there were too many.
    lost_connections: bool,
    /// Memories that were told to be full.
    told_full: Vec<&'static str>,
    /// The second up to which time has been told to the detectors.
    told_until: Stamp,
}

/// A detector at work.
struct Detecting {
    meta: &'static Meta,
    detector: Box<dyn Detect>,
    /// Findings that it raised, the untold ones included.
    raised: u64,
    /// The page's fix, once it was needed.
    fix: Option<String>,
}

/// How much an engine remembers, to prove that it is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Connections that are open, or whose end was not seen.
    pub connections: usize,
    /// Challenges that may still be answered.
    pub challenges: usize,
    /// Deadlines of challenges whose connection ended.
    pub deadlines: usize,
    /// Exchanges whose last byte has not passed.
    pub exchanges: usize,
    /// Addresses that connections came from.
    pub peers: usize,
    /// What the detectors hold, in entries.
    pub detectors: usize,
}

/// An exchange whose last byte has not passed.
struct Open {
    seq: u64,
    at: Stamp,
    what: OpenExchange,
}

enum OpenExchange {
    Turn(Box<Turn>),
    /// Its connection's opening was not seen, so nothing is drawn from it.
    Unknown(Box<Exchange>),
}

impl Open {
    fn exchange(&self) -> &Exchange {
        match &self.what {
            OpenExchange::Turn(turn) => &turn.exchange,
            OpenExchange::Unknown(exchange) => exchange,
        }
    }

    fn exchange_mut(&mut self) -> &mut Exchange {
        match &mut self.what {
            OpenExchange::Turn(turn) => Arc::make_mut(&mut turn.exchange),
            OpenExchange::Unknown(exchange) => exchange,
        }
    }

    fn event(self) -> Event {
        let exchange = match self.what {
            OpenExchange::Turn(turn) => Box::new(Arc::unwrap_or_clone(turn.exchange)),
            OpenExchange::Unknown(exchange) => exchange,
        };
        Event { seq: self.seq, at: self.at, what: What::Exchange(exchange) }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("seq", &self.seq).field("open", &self.open.len()).finish_non_exhaustive()
    }
}

/// When an exchange was over in both directions.
fn last_byte(response: Stamp, request: Option<Stamp>) -> Stamp {
    request.map_or(response, |request| request.max(response))
}

/// One step, as the detectors are called.
enum Step<'a> {
    Start(&'a Start),
    Opened(ConnectionId),
    Turn(&'a Turn),
    End(&'a Turn),
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
            site: Site::new(settings.limits, settings.trusted_proxies.clone()),
            settings,
            detectors: catalogue::detectors()
                .into_iter()
                .map(|(meta, detector)| Detecting { meta, detector, raised: 0, fix: None })
                .collect(),
            roots: Roots::default(),
            open: IdMap::default(),
            ends: BTreeMap::new(),
            seq: 0,
            lost_connections: false,
            told_full: Vec::new(),
            told_until: Stamp(i64::MIN),
        }
    }

    /// How much is remembered.
    pub fn footprint(&self) -> Footprint {
        Footprint {
            connections: self.site.len(),
            challenges: self.site.challenges(),
            deadlines: self.site.deadlines(),
            peers: self.site.peers(),
            exchanges: self.open.values().map(Vec::len).sum(),
            detectors: self.detectors.iter().map(|d| d.detector.entries()).sum::<usize>() + self.roots.len(),
        }
    }

    /// The last number that was given out: each event, and each end of an exchange, has one of its own. Some belong to
    /// exchanges that are still open, and are told with them.
    pub const fn last_seq(&self) -> u64 {
        self.seq
    }

    /// Takes in one observation and appends what follows from it.
    pub fn observe(&mut self, observation: Observation, out: &mut Vec<Event>) {
        let at = match &observation.what {
            // As a replay has it.
            Seen::Ended(_, ended) => last_byte(ended.end, ended.request_end),
            _ => observation.at,
        };
        self.advance(at, out);
        match observation.what {
            Seen::Start(start) => self.start(&start, at, out),
            Seen::Opened(open) => self.opened(*open, at, out),
            Seen::Exchange(connection, raw) => match intake::exchange(connection, &raw, &self.key) {
                Some(exchange) => self.exchange(exchange, at, out),
                // The framing parsed these heads a moment ago; if they cannot be read again it is a bug of ours.
                None => debug_assert!(false, "a told head cannot be read"),
            },
            Seen::Ended(connection, ended) => self.ended(connection, &ended, out),
            Seen::Gap(gap) => self.gap(gap, at, out),
            Seen::HalfClosed(half) => self.half_closed(half, at, out),
            Seen::Closed(close) => self.closed(*close, at, out),
        }
    }

    /// Takes in an event of a capture as if it were seen now: what can be derived (handshakes, findings, totals) is
    /// derived anew, so an old capture is diagnosed by a newer catalogue.
    pub fn replay(&mut self, event: Event, out: &mut Vec<Event>) {
        let at = event.at;
        self.replay_ends(event.seq, out);
        self.advance(at, out);
        match event.what {
            What::Start(start) => self.start(&start, at, out),
            What::ConnectionOpen(open) => self.opened(*open, at, out),
            What::Exchange(mut exchange) => {
                if exchange.end_seq.is_none() && exchange.times.end.is_some() {
                    // A capture of an older version does not say when requests ended: they are taken for whole.
                    let times = &mut exchange.times;
                    times.request_end = times.request_end.or(Some(times.request_head));
                }
                let (connection, number) = (exchange.connection, exchange.exchange);
                let (end_seq, ended) = (exchange.end_seq, exchange.times.end);
                let ended = ended.map(|end| last_byte(end, exchange.times.request_end));
                self.exchange(*exchange, at, out);
                match (end_seq, ended) {
                    (Some(end_seq), Some(ended)) => {
                        self.ends.insert(end_seq, (ended, connection, number));
                    }
                    // A capture of an older version does not say in which order ends came.
                    (None, Some(_)) => {
                        if let Some(open) = self.take_open(connection, number) {
                            self.over(open, out);
                        }
                    }
                    (_, None) => {}
                }
            }
            // The limits that count are those of this engine.
            What::Gap(gap) if matches!(gap.what, GapWhat::LimitReached { .. }) => {}
            What::Gap(gap) => self.gap(gap, at, out),
            What::ConnectionHalfClose(half) => self.half_closed(half, at, out),
            What::ConnectionClose(close) => self.closed(*close, at, out),
            What::Stop(_) => self.finish(at, out),
            What::Handshake(_) | What::Finding(_) => {}
        }
    }

    /// Takes in the ends, of exchanges that were replayed, that came before the event numbered `before`.
    fn replay_ends(&mut self, before: u64, out: &mut Vec<Event>) {
        while let Some(first) = self.ends.first_entry().filter(|e| *e.key() < before) {
            let (at, connection, number) = first.remove();
            self.advance(at, out);
            if let Some(open) = self.take_open(connection, number) {
                self.over(open, out);
            }
        }
    }

    /// Time passes without an observation: deadlines up to `now` fall due.
    ///
    /// Findings look at the time once a second, at the full second: often enough for deadlines of minutes, and the same
    /// seconds whether somebody called in between or not.
    pub fn advance(&mut self, now: Stamp, out: &mut Vec<Event>) {
        while let Some((at, handshake)) = self.site.next_given_up(now) {
            // What is told has its own time, and a replay comes by there.
            self.look(at, out);
            self.given_up(handshake, at, out);
        }
        self.look(now, out);
    }

    /// Tells each full second up to `now` to the findings: a replay has the same ones as the watch, where the program
    /// looked at the clock while nothing happened.
    fn look(&mut self, now: Stamp, out: &mut Vec<Event>) {
        let second = now.0.saturating_sub(now.0.rem_euclid(A_SECOND));
        let next = self.told_until.0.saturating_add(A_SECOND).max(second.saturating_sub(MOST_SECONDS));
        let mut next = if self.told_until.0 == i64::MIN { second } else { next };
        while next <= second {
            self.told_until = Stamp(next);
            self.step(&Step::Time, Stamp(next), out);
            self.tell_limits(Stamp(next), out);
            next = next.saturating_add(A_SECOND);
        }
    }

    /// Tells once of each memory that it is full.
    fn tell_limits(&mut self, at: Stamp, out: &mut Vec<Event>) {
        let limits = &self.settings.limits;
        let forgetful = self.detectors.iter().filter(|d| d.detector.forgotten() > 0);
        let detectors = forgetful.map(|d| (d.meta.slug, limits.remembered));
        let own =
            [("connections", self.lost_connections, MOST_CONNECTIONS), ("roots", self.roots.forgotten(), roots::MOST)];
        let own = own.into_iter().filter(|(_, full, _)| *full).map(|(name, _, most)| (name, most));
        let full = detectors.chain(self.site.full()).chain(own);
        let full: Vec<_> = full.filter(|(memory, _)| !self.told_full.contains(memory)).collect();
        for (memory, most) in full {
            self.told_full.push(memory);
            let most = u64::try_from(most).unwrap_or(u64::MAX);
            let what = GapWhat::LimitReached { memory: memory.to_owned(), most };
            self.gap(Gap { connection: None, what }, at, out);
        }
    }

    fn given_up(&mut self, handshake: Handshake, at: Stamp, out: &mut Vec<Event>) {
        self.step(&Step::GivenUp(&handshake), at, out);
        self.tell(at, What::Handshake(Box::new(handshake)), out);
    }

    /// The end: what was still open is judged, and the `stop` event is appended.
    pub fn finish(&mut self, at: Stamp, out: &mut Vec<Event>) {
        self.advance(at, out);
        self.step(&Step::Time, at, out);
        for (at, handshake) in self.site.finish(at) {
            self.given_up(handshake, at, out);
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
        if self.site.len() >= MOST_CONNECTIONS {
            self.forget_lost(at, out);
        }
        let id = open.connection;
        self.site.opened(&open, at);
        self.tell(at, What::ConnectionOpen(Box::new(open)), out);
        self.step(&Step::Opened(id), at, out);
    }

    /// Forgets connections whose end may have been lost to a gap. Nothing is drawn from those any more.
    fn forget_lost(&mut self, at: Stamp, out: &mut Vec<Event>) {
        self.lost_connections = true;
        for closed in self.site.forget_lost(at) {
            out.extend(self.open.remove(&closed.close.connection).into_iter().flatten().map(Open::event));
            self.step(&Step::Closed(&closed), at, out);
        }
    }

    fn exchange(&mut self, exchange: Exchange, at: Stamp, out: &mut Vec<Event>) {
        let connection = exchange.connection;
        // Responses come in order: what is still open before this one lost its end to a gap.
        self.flush_open(connection, exchange.exchange, out);
        // The exchange keeps the number of this moment, though it is told when its last byte has passed.
        self.seq += 1;
        let seq = self.seq;
        let what = match self.site.exchange(exchange) {
            Ok(mut turn) => {
                // The handshake is told before what was found in it, which looks at it first.
                let place = out.len();
                let handshake_seq = turn.handshake.as_ref().map(|_| {
                    self.seq += 1;
                    self.seq
                });
                self.step(&Step::Turn(&turn), at, out);
                if let (Some(seq), Some(handshake)) = (handshake_seq, turn.handshake.take()) {
                    out.insert(place, Event { seq, at, what: What::Handshake(Box::new(handshake)) });
                }
                OpenExchange::Turn(Box::new(turn))
            }
            // Its opening was not seen (a gap): it is recorded, and nothing is drawn from it.
            Err(exchange) => OpenExchange::Unknown(exchange),
        };
        self.open.entry(connection).or_default().push(Open { seq, at, what });
    }

    /// Tells what is still open on a connection before an exchange.
    fn flush_open(&mut self, connection: ConnectionId, before: ExchangeNo, out: &mut Vec<Event>) {
        if let Some(list) = self.open.get_mut(&connection) {
            out.extend(list.extract_if(.., |o| o.exchange().exchange < before).map(Open::event));
        }
    }

    fn take_open(&mut self, connection: ConnectionId, number: ExchangeNo) -> Option<Open> {
        // The list stays: its connection will have more.
        let list = self.open.get_mut(&connection)?;
        let index = list.iter().position(|o| o.exchange().exchange == number)?;
        Some(list.remove(index))
    }

    fn ended(&mut self, connection: ConnectionId, ended: &Ended, out: &mut Vec<Event>) {
        let Some(mut open) = self.take_open(connection, ended.exchange) else { return };
        let exchange = open.exchange_mut();
        exchange.request_body = ended.request_body;
        exchange.response_body = ended.response_body;
        exchange.times.request_body = ended.request_body_at;
        exchange.times.request_end = ended.request_end;
        exchange.times.response_body = ended.response_body_at;
        exchange.times.end = Some(ended.end);
        if let Some(response) = &mut exchange.response {
            response.page = intake::page(response, &exchange.request.method, ended);
        }
        self.over(open, out);
    }

    /// An exchange's end is known: it is told, and what follows from its bodies is drawn.
    fn over(&mut self, mut open: Open, out: &mut Vec<Event>) {
        self.seq += 1;
        let end_seq = Some(self.seq);
        open.exchange_mut().end_seq = end_seq;
        let place = out.len();
        if let OpenExchange::Turn(turn) = &open.what {
            let times = &turn.exchange.times;
            let at = times.end.map_or(open.at, |end| last_byte(end, times.request_end));
            self.step(&Step::End(turn), at, out);
        }
        // The exchange is told before what was found in it, which looks at it first.
        out.insert(place, open.event());
    }

    /// Something was not seen. Also for gaps that the observer itself finds (a sink that fails).
    pub fn gap(&mut self, gap: Gap, at: Stamp, out: &mut Vec<Event>) {
        self.site.gap(&gap, at);
        self.tell(at, What::Gap(gap), out);
    }

    fn half_closed(&mut self, half: HalfClose, at: Stamp, out: &mut Vec<Event>) {
        if self.site.half_closed(half.connection, half.by, at) {
            self.tell(at, What::ConnectionHalfClose(half), out);
        }
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
        let view = View { site: &self.site, settings: &self.settings };
        let mut found: Vec<(Stamp, Finding)> = Vec::new();
        let mut raised = 0;
        for of in &mut self.detectors {
            let mut raise = Raise {
                meta: of.meta,
                site: &self.site,
                raised: of.raised,
                most: MOST_PER_SLUG,
                fix: &mut of.fix,
                out: &mut found,
            };
            let (detector, out) = (&mut of.detector, &mut raise);
            match step {
                Step::Start(start) => detector.on_start(start, at, &view, out),
                Step::Opened(id) => {
                    if let Some(c) = self.site.connection(*id) {
                        detector.on_open(c, &view, out);
                    }
                }
                Step::Turn(turn) => detector.on_turn(turn, &view, out),
                Step::End(turn) => detector.on_end(turn, &view, out),
                Step::GivenUp(handshake) => detector.on_given_up(handshake, at, &view, out),
                Step::Closed(closed) => detector.on_close(closed, at, &view, out),
                Step::Time => detector.on_time(at, &view, out),
                Step::Stop => detector.on_stop(at, &view, out),
            }
            raised += raise.raised - of.raised;
            of.raised = raise.raised;
        }
        if !found.is_empty() {
            let before = found.len();
            self.roots.relate(&mut found);
            raised -= u64::try_from(before - found.len()).unwrap_or(0);
        }
        self.site.totals_mut().findings += raised;
        for (at, finding) in found {
            self.tell(at, What::Finding(Box::new(finding)), out);
        }
    }
}
