//! What a report says, before it is text: counted, grouped and put in order.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::join::IisLog;
pub use super::pairing::Pairing;
use super::roots;
use super::seen::Seen;
use crate::finding::{Cause, catalogue};
use crate::model::event::{Event, GapWhat, Handshake, Outcome, Start, Totals, What};
use crate::model::finding::{Basis, Evidence, Finding, Severity};
use crate::model::{ConnectionId, Stamp, TapId};
use crate::packet::diagnose::Facts;

/// Cases of one finding that are kept with their evidence; the others are counted.
const MAX_CASES: usize = 5;
/// Pieces of evidence that a finding shows.
const MAX_EVIDENCE: usize = 12;
/// Connections that a finding names.
const MAX_CONNECTIONS: usize = 1_000;
/// Distinct clients that are remembered.
const MAX_CLIENTS: usize = 10_000;
/// Kinds of authtap's own answers that are told apart; there are some ten.
const MAX_OWN_ANSWERS: usize = 32;
/// Gaps that are told one by one.
const MAX_GAPS: usize = 20;

/// Everything that a report says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// The taps whose captures were read, by id.
    pub taps: Vec<Tap>,
    /// First and last event.
    pub period: Option<(Stamp, Stamp)>,
    /// Client connections.
    pub connections: u64,
    /// Requests, the unrecorded ones included.
    pub exchanges: u64,
    /// Responses with status 401 among the recorded ones.
    pub refusals: u64,
    /// Requests with credentials among the recorded ones.
    pub credentials: u64,
    /// Distinct client addresses (at most 10,000 are told apart).
    pub clients: u64,
    /// Handshakes by outcome.
    pub handshakes: Outcomes,
    /// Handshakes by scheme and outcome.
    pub schemes: BTreeMap<String, Outcomes>,
    /// Findings, the worst first; what another one explains stands under that one.
    pub findings: Vec<Group>,
    /// Whether handshakes stayed on their connections.
    pub pairing: Pairing,
    /// Clients that authtap itself answered, by status code and error.
    pub own_answers: Vec<OwnAnswers>,
    /// What was not seen.
    pub blind: Blind,
    /// What IIS's logs said, when any was named.
    pub iis_log: Option<IisLog>,
    /// What was read of packet captures, when any was named.
    pub packets: Option<Facts>,
}

/// Clients that got an answer of authtap's own, and not the site's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnAnswers {
    /// 502 (the upstream cannot be reached) or 503 (authtap has no room).
    pub status: u16,
    /// The error's name in `Proxy-Status` (RFC 9209 section 2.3).
    pub error: String,
    /// How many.
    pub count: u64,
    /// When the first was.
    pub first_at: Stamp,
    /// Why, in the words of the first.
    pub why: String,
}

/// One tap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tap {
    /// Its id.
    pub tap: TapId,
    /// Its start, when a capture holds it.
    pub start: Option<(Stamp, Start)>,
    /// When it stopped; `None` while it runs, or when it was killed.
    pub stopped_at: Option<Stamp>,
}

/// Handshakes by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Accepted.
    pub authenticated: u64,
    /// Refused whole.
    pub rejected: u64,
    /// Not come together.
    pub broken: u64,
    /// Not gone on with by the client.
    pub abandoned: u64,
}

impl Outcomes {
    /// All of them.
    pub const fn total(self) -> u64 {
        self.authenticated.saturating_add(self.rejected).saturating_add(self.broken).saturating_add(self.abandoned)
    }

    fn count(&mut self, outcome: Outcome) {
        let n = match outcome {
            Outcome::Authenticated => &mut self.authenticated,
            Outcome::Rejected => &mut self.rejected,
            Outcome::Broken => &mut self.broken,
            Outcome::Abandoned => &mut self.abandoned,
        };
        *n = n.saturating_add(1);
    }
}

/// All cases of one finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The finding's name.
    pub slug: String,
    /// Where the fault lies.
    pub cause: Cause,
    /// The worst of the cases'.
    pub severity: Severity,
    /// The strongest of the cases'.
    pub basis: Basis,
    /// The defect.
    pub title: String,
    /// How often.
    pub count: u64,
    /// The first case.
    pub first_at: Stamp,
    /// The last case.
    pub last_at: Stamp,
    /// The sentence of the strongest case, the earliest of several.
    pub summary: String,
    /// The scheme of that case.
    pub scheme: Option<String>,
    /// What to change.
    pub fix: String,
    /// Connections that the cases are about: that case's first, then the others'.
    pub connections: Vec<(TapId, ConnectionId)>,
    /// That case's evidence, its primary one first, then the primary evidence of some other cases.
    pub evidence: Vec<(TapId, Evidence)>,
    /// The slug of the finding whose consequence these cases are.
    pub root: Option<String>,
    /// Findings that this one explains; they go when this one is mended. One level deep.
    pub consequences: Vec<Self>,
}

/// What was not seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blind {
    /// Connections that authtap could not follow to their end.
    pub connections: u64,
    /// Observations that were dropped.
    pub dropped: u64,
    /// Gaps in all.
    pub gaps: u64,
    /// The first of them, in words.
    pub told: Vec<(TapId, Option<ConnectionId>, Stamp, String)>,
}

impl View {
    /// From events in any order, of any number of taps.
    pub fn of<'a>(events: impl IntoIterator<Item = (&'a TapId, &'a Event)>) -> Self {
        let mut builder = Builder::default();
        for (tap, event) in events {
            builder.take(tap, event);
        }
        builder.view()
    }

    /// The worst finding's severity, for `--fail-on`.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().flat_map(|g| g.consequences.iter().chain([g])).map(|g| g.severity).max()
    }
}

/// Takes events one by one, in bounded memory but for the groups and taps themselves.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    taps: BTreeMap<TapId, TapCount>,
    period: Option<(Stamp, Stamp)>,
    clients: BTreeSet<IpAddr>,
    refusals: u64,
    credentials: u64,
    schemes: BTreeMap<String, Outcomes>,
    /// By slug, and by the root whose consequences they are.
    groups: BTreeMap<(String, Option<String>), Cases>,
    pairing: Pairing,
    own_answers: BTreeMap<(u16, String), Own>,
    gaps: u64,
    told: BTreeSet<(Stamp, TapId, u64, Option<ConnectionId>, String)>,
}

#[derive(Debug, Clone, Default)]
struct TapCount {
    seen: Seen,
    start: Option<(Stamp, Start)>,
    stop: Option<(Stamp, Totals)>,
    connections: u64,
    recorded: u64,
    closed: u64,
    outcomes: Outcomes,
    dropped: u64,
    blind: BTreeSet<ConnectionId>,
}

#[derive(Debug, Clone)]
struct Own {
    count: u64,
    first: (Stamp, String),
}

/// How cases are put in order: the strongest, worst, earliest first.
type CaseKey = (std::cmp::Reverse<(Basis, Severity)>, Stamp, TapId, u64);

#[derive(Debug, Clone)]
struct Cases {
    count: u64,
    severity: Severity,
    first_at: Stamp,
    last_at: Stamp,
    best: BTreeMap<CaseKey, Finding>,
    connections: BTreeSet<(TapId, ConnectionId)>,
}

impl Builder {
    /// Takes an event in. One that was taken before (same tap, same number) is ignored; number 0 means none.
    pub fn take(&mut self, tap: &TapId, event: &Event) {
        let count = self.taps.entry(tap.clone()).or_default();
        if event.seq != 0 && !count.seen.insert(event.seq) {
            return;
        }
        let at = event.at;
        self.period = Some(match self.period {
            None => (at, at),
            Some((first, last)) => (first.min(at), last.max(at)),
        });
        match &event.what {
            What::Start(x) => {
                if count.start.as_ref().is_none_or(|(first, _)| at < *first) {
                    count.start = Some((at, x.as_ref().clone()));
                }
            }
            What::ConnectionOpen(x) => {
                count.connections += 1;
                if self.clients.len() < MAX_CLIENTS {
                    self.clients.insert(x.addresses.client.ip());
                }
            }
            What::Exchange(x) => {
                // Its end has a number of its own.
                if let Some(end) = x.end_seq.filter(|_| event.seq != 0) {
                    count.seen.insert(end);
                }
                count.recorded += 1;
                if x.response.as_ref().is_some_and(|r| r.status == 401) {
                    self.refusals += 1;
                }
                self.credentials += u64::from(x.authorization.is_some());
            }
            What::Handshake(x) => self.handshake(tap, x),
            What::Gap(x) => {
                match &x.what {
                    GapWhat::QueueFull { dropped } => {
                        count.dropped = count.dropped.saturating_add(*dropped);
                    }
                    GapWhat::Unparsable { .. } | GapWhat::PacketsMissing { .. } => {
                        count.blind.extend(x.connection);
                    }
                    GapWhat::ObserverLost { .. } | GapWhat::LimitReached { .. } | GapWhat::SinkFailed { .. } => {}
                }
                // Nothing is missing from what was seen then.
                if !matches!(x.what, GapWhat::LimitReached { .. }) {
                    self.gaps += 1;
                }
                self.told.insert((at, tap.clone(), event.seq, x.connection, gap_in_words(&x.what)));
                if self.told.len() > MAX_GAPS {
                    self.told.pop_last();
                }
            }
            What::ConnectionHalfClose(_) => {}
            What::ConnectionClose(x) => {
                count.closed = count.closed.saturating_add(u64::from(x.exchanges));
                if let Some(answer) = x.end.own_answer() {
                    self.own_answer(at, answer);
                }
            }
            What::Finding(x) => self.finding(tap, event, x),
            What::Stop(x) => count.stop = Some((at, x.clone())),
        }
    }

    fn own_answer(&mut self, at: Stamp, (status, error, why): (u16, &str, &str)) {
        let this = (at, why.to_owned());
        let own = self.own_answers.entry((status, error.to_owned()));
        let own = own.or_insert_with(|| Own { count: 0, first: this.clone() });
        own.count = own.count.saturating_add(1);
        if this < own.first {
            own.first = this;
        }
        if self.own_answers.len() > MAX_OWN_ANSWERS {
            self.own_answers.pop_last();
        }
    }

    fn handshake(&mut self, tap: &TapId, handshake: &Handshake) {
        if let Some(count) = self.taps.get_mut(tap) {
            count.outcomes.count(handshake.outcome);
        }
        self.schemes.entry(handshake.scheme.clone()).or_default().count(handshake.outcome);
        self.pairing.take(handshake);
    }

    fn finding(&mut self, tap: &TapId, event: &Event, finding: &Finding) {
        let key = (finding.slug.clone(), finding.root.clone());
        let cases = self.groups.entry(key).or_insert_with(|| Cases {
            count: 0,
            severity: finding.severity,
            first_at: event.at,
            last_at: event.at,
            best: BTreeMap::new(),
            connections: BTreeSet::new(),
        });
        cases.count += 1;
        cases.severity = cases.severity.max(finding.severity);
        cases.first_at = cases.first_at.min(event.at);
        cases.last_at = cases.last_at.max(event.at);
        let key = (std::cmp::Reverse((finding.basis, finding.severity)), event.at, tap.clone(), event.seq);
        cases.best.insert(key, finding.clone());
        if cases.best.len() > MAX_CASES {
            cases.best.pop_last();
        }
        cases.connections.extend(finding.connections.iter().map(|c| (tap.clone(), *c)));
        while cases.connections.len() > MAX_CONNECTIONS {
            cases.connections.pop_last();
        }
    }

    /// What was taken in so far.
    pub fn view(&self) -> View {
        let mut view = View {
            period: self.period,
            refusals: self.refusals,
            credentials: self.credentials,
            clients: self.clients.len() as u64,
            schemes: self.schemes.clone(),
            pairing: self.pairing.clone(),
            ..View::default()
        };
        for (tap, count) in &self.taps {
            let stop = count.stop.as_ref().map(|(_, totals)| totals.clone());
            let stop = stop.unwrap_or_default();
            // A capture may lack lines (rotated away, a full disk); the totals at its end then know more.
            add(&mut view.connections, count.connections.max(stop.connections));
            add(&mut view.exchanges, count.recorded.max(count.closed).max(stop.exchanges));
            let seen = count.outcomes;
            add(&mut view.handshakes.authenticated, seen.authenticated.max(stop.authenticated));
            add(&mut view.handshakes.rejected, seen.rejected.max(stop.rejected));
            add(&mut view.handshakes.broken, seen.broken.max(stop.broken));
            add(&mut view.handshakes.abandoned, seen.abandoned.max(stop.abandoned));
            add(&mut view.blind.connections, (count.blind.len() as u64).max(stop.blind));
            add(&mut view.blind.dropped, count.dropped.max(stop.dropped));
            view.taps.push(Tap {
                tap: tap.clone(),
                start: count.start.clone(),
                stopped_at: count.stop.as_ref().map(|(at, _)| *at),
            });
        }
        let own = |((status, error), own): (&(u16, String), &Own)| OwnAnswers {
            status: *status,
            error: error.clone(),
            count: own.count,
            first_at: own.first.0,
            why: own.first.1.clone(),
        };
        view.own_answers = self.own_answers.iter().map(own).collect();
        view.blind.gaps = self.gaps;
        view.blind.told = self
            .told
            .iter()
            .map(|(at, tap, _, connection, why)| (tap.clone(), *connection, *at, why.clone()))
            .collect();
        let groups = self.groups.iter().filter_map(|((slug, root), cases)| group(slug, root.as_deref(), cases));
        view.findings = roots::nested(groups.collect());
        let against = self.groups.keys().any(|(slug, _)| catalogue::by_slug(slug).is_some_and(|m| m.denies_pairing));
        let gaps = view.blind.gaps > 0 || view.blind.connections > 0 || view.blind.dropped > 0;
        view.pairing.judge(view.handshakes.broken, against, gaps);
        view
    }
}

fn group(slug: &str, root: Option<&str>, cases: &Cases) -> Option<Group> {
    let ((_, _, tap, _), best) = cases.best.first_key_value()?;
    let mut connections: Vec<_> = best.connections.iter().map(|c| (tap.clone(), *c)).collect();
    for place in &cases.connections {
        if connections.len() >= MAX_CONNECTIONS {
            break;
        }
        if !best.connections.contains(&place.1) || &place.0 != tap {
            connections.push(place.clone());
        }
    }
    let mut evidence: Vec<_> = best.evidence.iter().map(|e| (tap.clone(), e.clone())).collect();
    evidence.sort_by_key(|(_, e)| !e.primary);
    for ((_, _, tap, _), other) in cases.best.iter().skip(1) {
        // One piece is primary: that of the case which is told. The others support it.
        evidence.extend(other.evidence.iter().filter(|e| e.primary).map(|e| {
            let e = Evidence { primary: false, ..e.clone() };
            (tap.clone(), e)
        }));
    }
    evidence.truncate(MAX_EVIDENCE);
    Some(Group {
        slug: slug.to_owned(),
        cause: catalogue::by_slug(slug).map_or(Cause::Other, |m| m.cause),
        severity: cases.severity,
        basis: best.basis,
        title: best.title.clone(),
        count: cases.count,
        first_at: cases.first_at,
        last_at: cases.last_at,
        summary: best.summary.clone(),
        scheme: best.scheme.clone(),
        fix: best.fix.clone(),
        connections,
        evidence,
        root: root.map(str::to_owned),
        consequences: Vec::new(),
    })
}

/// A gap in words.
fn gap_in_words(what: &GapWhat) -> String {
    match what {
        GapWhat::QueueFull { dropped } => {
            format!("{dropped} observations were dropped: authtap's observer could not keep up")
        }
        GapWhat::Unparsable { from, offset, why } => {
            format!("could not be followed after byte {offset} from the {from}: {why}")
        }
        GapWhat::PacketsMissing { from, offset, bytes } => {
            format!("{bytes} bytes from the {from} are missing from the packet capture, after byte {offset}")
        }
        GapWhat::ObserverLost { why } => {
            format!("authtap's observer failed and was started anew: {why}")
        }
        GapWhat::LimitReached { memory, most } => {
            format!(
                "the memory of {memory} is full ({most} entries): its oldest are forgotten, and may be missing from findings"
            )
        }
        GapWhat::SinkFailed { sink, dropped, why } => {
            format!("{dropped} events are missing from the {sink}: {why}")
        }
    }
}
/// A foreign capture may claim any number.
const fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}
