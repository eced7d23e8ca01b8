//! What a finding implements, and what it may see.

use super::{Meta, Settings};
use crate::model::event::{Handshake, Start};
use crate::model::finding::{Basis, Evidence, Finding, Severity};
use crate::model::short::{one_line, within};
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::track::connection::Connection;
use crate::track::site::{Closed, Site};
use crate::track::turn::Turn;

/// So many bytes of a sentence are told: it may hold several names of a peer's, each as long as a head.
const MOST: usize = 2_048;

/// A finding's eyes: a method for each granularity, all empty by default.
pub trait Detect: Send {
    /// The tap started.
    fn on_start(&mut self, _start: &Start, _at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {}
    /// A connection opened.
    fn on_open(&mut self, _connection: &Connection, _view: &View<'_>, _out: &mut Raise<'_>) {}
    /// An exchange's response head (or its connection's end without one) passed.
    fn on_turn(&mut self, _turn: &Turn, _view: &View<'_>, _out: &mut Raise<'_>) {}
    /// That exchange's last byte passed: its bodies' lengths and times are known, and a refusal's page.
    fn on_end(&mut self, _turn: &Turn, _view: &View<'_>, _out: &mut Raise<'_>) {}
    /// A handshake was given up, long after its last exchange.
    fn on_given_up(&mut self, _handshake: &Handshake, _at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {}
    /// A connection ended.
    fn on_close(&mut self, _closed: &Closed, _at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {}
    /// Time passed: called once a second of the traffic's time, with the full second.
    fn on_time(&mut self, _now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {}
    /// The watch ends.
    fn on_stop(&mut self, _at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {}
    /// How many entries it holds. Whoever remembers something says so here, and bounds it.
    fn entries(&self) -> usize {
        0
    }
    /// How many entries were pushed out because there were too many.
    fn forgotten(&self) -> u64 {
        0
    }
}

/// What a finding may see besides the step itself.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// All connections and challenges.
    pub site: &'a Site,
    /// The operator's settings.
    pub settings: &'a Settings,
}

/// A place in the traffic, on its way to becoming evidence.
#[derive(Debug, Clone)]
pub struct Place {
    connection: Option<ConnectionId>,
    exchange: Option<ExchangeNo>,
    message: Option<String>,
    at: Option<Stamp>,
}

impl Place {
    /// What was known at start, or of no single connection.
    pub const fn nowhere() -> Self {
        Self { connection: None, exchange: None, message: None, at: None }
    }

    /// A message on a connection.
    pub fn new(connection: ConnectionId, exchange: Option<ExchangeNo>, message: &str, at: Stamp) -> Self {
        Self { connection: Some(connection), exchange, message: Some(message.to_owned()), at: Some(at) }
    }

    /// The request of a turn.
    pub fn request(turn: &Turn) -> Self {
        let e = &turn.exchange;
        let name = crate::track::leg::request_name(turn.request);
        Self::new(e.connection, Some(e.exchange), name, e.times.request_head)
    }

    /// The response of a turn (its request's place when there is none).
    pub fn response(turn: &Turn) -> Self {
        let e = &turn.exchange;
        match e.times.response_head {
            Some(at) => Self::new(e.connection, Some(e.exchange), "response", at),
            None => Self::request(turn),
        }
    }

    /// Makes evidence of it.
    pub fn says(self, says: impl Into<String>) -> Evidence {
        Evidence {
            primary: false,
            connection: self.connection,
            exchange: self.exchange,
            message: self.message,
            at: self.at,
            frame: None,
            says: sentence(says.into()),
        }
    }
}

/// One line of bounded length: names in it are a peer's, and may hold anything.
fn sentence(text: String) -> String {
    let text = if text.contains(char::is_control) { one_line(&text).into_owned() } else { text };
    if text.len() <= MOST { text } else { within(&text, MOST).into_owned() }
}

/// A finding in the making. It cannot be made without a basis, a summary and its primary evidence.
#[derive(Debug)]
pub struct Draft {
    basis: Basis,
    summary: String,
    scheme: Option<String>,
    root: Option<&'static str>,
    severity: Option<Severity>,
    evidence: Vec<Evidence>,
}

impl Draft {
    /// A draft with its primary evidence.
    pub fn new(basis: Basis, summary: impl Into<String>, primary: Evidence) -> Self {
        Self {
            basis,
            summary: summary.into(),
            scheme: None,
            root: None,
            severity: None,
            evidence: vec![Evidence { primary: true, ..primary }],
        }
    }

    /// The scheme of the case.
    #[must_use]
    pub fn scheme(mut self, scheme: Option<&str>) -> Self {
        self.scheme = scheme.map(str::to_owned);
        self
    }

    /// The slug of the finding that explains this one, where the detector itself knows it. Otherwise it is found by
    /// the evidence that both share ([`Meta::consequence_of`](super::Meta::consequence_of)).
    #[must_use]
    pub fn because(mut self, root: &'static str) -> Self {
        self.root = Some(root);
        self
    }

    /// [`because`](Self::because), when the detector knows one.
    #[must_use]
    pub fn because_if(self, root: Option<&'static str>) -> Self {
        match root {
            Some(root) => self.because(root),
            None => self,
        }
    }

    /// Less bad than the catalogue has it, in this case. It is never worse.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    /// Related evidence.
    #[must_use]
    pub fn and(mut self, evidence: Evidence) -> Self {
        self.evidence.push(evidence);
        self
    }

    /// Related evidence, when there is any.
    #[must_use]
    pub fn and_if(self, evidence: Option<Evidence>) -> Self {
        match evidence {
            Some(e) => self.and(e),
            None => self,
        }
    }
}

/// Where findings go.
#[derive(Debug)]
pub struct Raise<'a> {
    pub(super) meta: &'static Meta,
    pub(super) site: &'a Site,
    /// How many this detector raised so far, and how many of them are told.
    pub(super) raised: u64,
    pub(super) most: u64,
    /// The page's fix, made once.
    pub(super) fix: &'a mut Option<String>,
    pub(super) out: &'a mut Vec<(Stamp, Finding)>,
}

impl Raise<'_> {
    /// Raises the finding, unless something on one of its connections was not seen before its evidence.
    pub fn raise(&mut self, at: Stamp, draft: Draft) {
        debug_assert!(draft.basis <= self.meta.basis, "{} cannot be {:?}", self.meta.slug, draft.basis);
        if draft.evidence.iter().any(|e| e.connection.is_some_and(|id| self.is_blind(id, e.at))) {
            return;
        }
        self.raised += 1;
        if self.raised > self.most {
            return;
        }
        let mut connections = Vec::new();
        for id in draft.evidence.iter().filter_map(|e| e.connection) {
            if !connections.contains(&id) {
                connections.push(id);
            }
        }
        self.out.push((
            at,
            Finding {
                slug: self.meta.slug.to_owned(),
                severity: draft.severity.map_or(self.meta.severity, |s| s.min(self.meta.severity)),
                basis: draft.basis.min(self.meta.basis),
                title: self.meta.title.to_owned(),
                summary: sentence(draft.summary),
                scheme: draft.scheme,
                root: draft.root.map(str::to_owned),
                connections,
                evidence: draft.evidence,
                fix: self.fix.get_or_insert_with(|| self.meta.fix()).clone(),
            },
        ));
    }

    /// [`raise`](Self::raise) for what comes in storms: the draft is not made when it would only be counted. Its
    /// evidence must all be of one connection, and none later than `at`.
    pub fn raise_with(&mut self, at: Stamp, connection: ConnectionId, draft: impl FnOnce() -> Draft) {
        if self.raised < self.most {
            self.raise(at, draft());
        } else if !self.is_blind(connection, Some(at)) {
            self.raised += 1;
        }
    }

    /// Whether something on a connection was not seen before a moment.
    fn is_blind(&self, connection: ConnectionId, at: Option<Stamp>) -> bool {
        let gap = self.site.gap_of(connection);
        gap.is_some_and(|gap| at.is_none_or(|at| gap <= at))
    }
}
