//! What a finding implements, and what it may see.

use std::net::IpAddr;

use super::{Meta, Settings};
use crate::model::event::{Handshake, Start};
use crate::model::finding::{Basis, Evidence, Finding};
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::track::connection::Connection;
use crate::track::site::{Closed, Site};
use crate::track::turn::Turn;

/// A finding's eyes: a method for each granularity, all empty by default.
pub trait Detect: Send {
    /// The tap started.
    fn on_start(&mut self, _start: &Start, _at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {}
    /// A connection opened.
    fn on_open(&mut self, _connection: &Connection, _view: &View<'_>, _out: &mut Raise<'_>) {}
    /// An exchange's response head (or its connection's end without one) passed.
    fn on_turn(&mut self, _turn: &Turn, _view: &View<'_>, _out: &mut Raise<'_>) {}
    /// A handshake was given up, long after its last exchange.
    fn on_given_up(&mut self, _handshake: &Handshake, _at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {}
    /// A connection ended.
    fn on_close(&mut self, _closed: &Closed, _at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {}
    /// Time passed.
    fn on_time(&mut self, _now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {}
    /// The watch ends.
    fn on_stop(&mut self, _at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {}
}

/// What a finding may see besides the step itself.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// All connections and challenges.
    pub site: &'a Site,
    /// The operator's settings.
    pub settings: &'a Settings,
}

impl View<'_> {
    /// Whether this peer's word about the client counts (`trusted-proxies`).
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.settings.trusted_proxies.iter().any(|n| n.contains(peer))
    }
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
            says: says.into(),
        }
    }
}

/// A finding in the making. It cannot be made without a basis, a summary and its primary evidence.
#[derive(Debug)]
pub struct Draft {
    basis: Basis,
    summary: String,
    scheme: Option<String>,
    evidence: Vec<Evidence>,
}

impl Draft {
    /// A draft with its primary evidence.
    pub fn new(basis: Basis, summary: impl Into<String>, primary: Evidence) -> Self {
        Self { basis, summary: summary.into(), scheme: None, evidence: vec![Evidence { primary: true, ..primary }] }
    }

    /// The scheme of the case.
    #[must_use]
    pub fn scheme(mut self, scheme: Option<&str>) -> Self {
        self.scheme = scheme.map(str::to_owned);
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
    pub(super) out: &'a mut Vec<(Stamp, Finding)>,
}

impl Raise<'_> {
    /// Raises the finding, unless something on one of its connections was not seen before its evidence.
    pub fn raise(&mut self, at: Stamp, draft: Draft) {
        debug_assert!(draft.basis <= self.meta.basis, "{} cannot be {:?}", self.meta.slug, draft.basis);
        let blind = draft.evidence.iter().any(|e| {
            e.connection
                .and_then(|id| self.site.connection(id))
                .and_then(|c| c.gap)
                .is_some_and(|gap| e.at.is_none_or(|at| gap <= at))
        });
        if blind {
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
                severity: self.meta.severity,
                basis: draft.basis.min(self.meta.basis),
                title: self.meta.title.to_owned(),
                summary: draft.summary,
                scheme: draft.scheme,
                connections,
                evidence: draft.evidence,
                fix: self.meta.fix(),
            },
        ));
    }
}
