//! Events as `tracing` spans and events, for the console.
//!
//! Field names are those of OpenTelemetry's semantic conventions where they exist (`client.address`,
//! `http.response.status_code` …); what only authtap knows is under `authtap.`.
//!
//! Levels: ERROR a finding of high or critical severity; WARN other findings of medium severity, broken or rejected
//! handshakes, gaps, connections that ended badly; INFO each 401, other handshakes, start and stop; DEBUG the rest.

mod console;

pub use console::{Colours, ConsoleError, LogFormat, init, subscriber};

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tracing::{Span, debug, error, info, info_span, warn};

use super::Sink;
use crate::model::event::{ConnectionClose, ConnectionOpen, Event, Exchange, Gap, GapWhat};
use crate::model::event::{Handshake, Outcome, Start, Totals, What};
use crate::model::finding::{Finding, Severity};
use crate::model::transport::{By, How};
use crate::model::{ConnectionId, TapId};

/// Spans that are kept open. Above that the oldest is dropped: the closing of its connection was not seen.
const MAX_SPANS: usize = 65_536;

/// A [`Sink`] that speaks to whatever `tracing` subscriber is in force.
#[derive(Debug)]
pub struct Trace {
    tap: TapId,
    spans: BTreeMap<ConnectionId, Span>,
}

impl Trace {
    /// For one tap.
    pub fn new(tap: TapId) -> Self {
        Self { tap, spans: BTreeMap::new() }
    }

    fn span(&self, connection: Option<ConnectionId>) -> Span {
        connection.and_then(|c| self.spans.get(&c).cloned()).unwrap_or_else(Span::none)
    }

    fn start(&self, start: &Start) {
        info!(
            authtap.tap = %self.tap,
            authtap.version = start.version,
            authtap.listen = ?start.listen,
            authtap.upstream = ?start.upstream,
            "authtap started"
        );
        for (name, found) in &start.self_checks {
            info!(authtap.check.name = name, "self-check {name}: {found}");
        }
    }

    fn open(&mut self, open: &ConnectionOpen) {
        let a = &open.addresses;
        let text = |x: Option<SocketAddr>| x.map(|x| x.ip().to_string());
        let port = |x: Option<SocketAddr>| x.map(|x| x.port());
        let tls = open.tls.as_ref();
        let upstream_tls = open.upstream_tls.as_ref();
        let span = info_span!(
            "connection",
            authtap.tap = %self.tap,
            authtap.connection = open.connection.0,
            client.address = %a.client.ip(),
            client.port = a.client.port(),
            server.address = text(a.upstream),
            server.port = port(a.upstream),
            authtap.upstream_local.address = text(a.upstream_local),
            authtap.upstream_local.port = port(a.upstream_local),
            tls.protocol.version = tls.and_then(|t| t.version.as_deref()),
            tls.cipher = tls.and_then(|t| t.cipher.as_deref()),
            tls.client.server_name = tls.and_then(|t| t.sni.as_deref()),
            tls.next_protocol = tls.and_then(|t| t.alpn_chosen.as_deref()),
            authtap.upstream_tls.protocol.version = upstream_tls.and_then(|t| t.version.as_deref()),
            authtap.upstream_tls.cipher = upstream_tls.and_then(|t| t.cipher.as_deref()),
        );
        let inside = span.enter();
        debug!("connection opened");
        for (side, tls) in [("client", tls), ("upstream", upstream_tls)] {
            let Some(tls) = tls else { continue };
            if let Some(alert) = &tls.alert {
                warn!(authtap.side = side, error.r#type = alert, "TLS handshake failed: {alert}");
            }
            if let Some(why) = &tls.verification {
                info!(authtap.side = side, "certificate does not verify: {why}");
            }
        }
        drop(inside);
        if self.spans.len() >= MAX_SPANS {
            self.spans.pop_first();
        }
        self.spans.insert(open.connection, span);
    }

    fn close(&mut self, close: &ConnectionClose) {
        let span = self.spans.remove(&close.connection).unwrap_or_else(Span::none);
        let _in = span.enter();
        macro_rules! tell {
            ($level:ident, $text:literal) => {
                $level!(
                    authtap.connection = close.connection.0,
                    authtap.close.by = by(close.end.by),
                    authtap.close.how = how(close.end.how),
                    authtap.close.errno = close.end.errno,
                    authtap.close.detail = close.end.detail,
                    authtap.close.mid_handshake = close.mid_handshake,
                    authtap.client_bytes = close.client_bytes,
                    authtap.upstream_bytes = close.upstream_bytes,
                    authtap.exchanges = close.exchanges,
                    authtap.duration_seconds = close.duration.as_secs_f64(),
                    $text
                )
            };
        }
        if close.mid_handshake {
            tell!(warn, "connection closed in the middle of a handshake");
        } else if close.end.how == How::Fin {
            tell!(debug, "connection closed");
        } else if close.end.by == By::Client && close.end.how == How::Reset {
            // Browsers reset connections that they no longer need; that is no incident.
            tell!(debug, "connection reset by the client");
        } else {
            tell!(warn, "connection ended abnormally");
        }
    }

    fn exchange(&self, exchange: &Exchange) {
        let _in = self.span(Some(exchange.connection)).entered();
        let request = &exchange.request;
        let (path, query) = match request.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (request.target.as_str(), None),
        };
        let status = exchange.response.as_ref().map(|r| r.status);
        let schemes = exchange.challenges.iter().map(|c| c.scheme_as_sent.as_str()).collect::<Vec<_>>().join(", ");
        macro_rules! tell {
            ($level:ident, $($text:tt)+) => {
                $level!(
                    authtap.connection = exchange.connection.0,
                    authtap.exchange = exchange.exchange,
                    http.request.method = request.method,
                    url.path = path,
                    url.query = query,
                    http.response.status_code = status,
                    network.protocol.name = "http",
                    network.protocol.version = request.version.strip_prefix("HTTP/"),
                    user_agent.original = request.header("user-agent"),
                    authtap.authorization.scheme =
                        exchange.authorization.as_ref().map(|a| a.scheme.name()),
                    authtap.challenge.schemes = (!schemes.is_empty()).then_some(schemes.as_str()),
                    authtap.handshake.leg = exchange.leg,
                    $($text)+
                )
            };
        }
        match status {
            Some(401) => tell!(info, "401 {} {}", request.method, path),
            Some(status) => tell!(debug, "{} {} {}", status, request.method, path),
            None => tell!(info, "no response to {} {}", request.method, path),
        }
    }

    fn handshake(&self, handshake: &Handshake) {
        let last = handshake.legs.last();
        let _in = self.span(last.map(|l| l.connection)).entered();
        let connections: Vec<u64> = handshake.legs.iter().map(|l| l.connection.0).collect();
        macro_rules! tell {
            ($level:ident) => {
                $level!(
                    authtap.handshake.id = handshake.handshake.0,
                    authtap.handshake.scheme = handshake.scheme,
                    authtap.handshake.outcome = outcome(handshake.outcome),
                    authtap.handshake.connections = ?connections,
                    authtap.handshake.server = handshake.server,
                    user.name = handshake.user,
                    "{} handshake {}",
                    handshake.scheme,
                    outcome(handshake.outcome)
                )
            };
        }
        match handshake.outcome {
            Outcome::Authenticated | Outcome::Abandoned => tell!(info),
            Outcome::Rejected | Outcome::Broken => tell!(warn),
        }
    }

    fn finding(&self, finding: &Finding) {
        let _in = self.span(finding.connections.first().copied()).entered();
        let connections: Vec<u64> = finding.connections.iter().map(|c| c.0).collect();
        macro_rules! tell {
            ($level:ident) => {
                $level!(
                    authtap.finding.slug = finding.slug,
                    authtap.finding.severity = finding.severity.name(),
                    authtap.finding.basis = finding.basis.name(),
                    authtap.finding.scheme = finding.scheme,
                    authtap.finding.connections = ?connections,
                    authtap.finding.fix = finding.fix,
                    "{}: {}",
                    finding.title,
                    finding.summary
                )
            };
        }
        match finding.severity {
            Severity::Critical | Severity::High => tell!(error),
            Severity::Medium => tell!(warn),
            Severity::Low | Severity::Info => tell!(info),
        }
    }

    fn gap(&self, gap: &Gap) {
        let _in = self.span(gap.connection).entered();
        let connection = gap.connection.map(|c| c.0);
        match &gap.what {
            GapWhat::QueueFull { dropped } => warn!(
                authtap.connection = connection,
                authtap.gap.what = "queue-full",
                authtap.gap.dropped = dropped,
                "{dropped} observations dropped: the observer could not keep up; the traffic was not held up"
            ),
            GapWhat::Unparsable { from, offset, why } => warn!(
                authtap.connection = connection,
                authtap.gap.what = "unparsable",
                authtap.gap.from = from,
                authtap.gap.offset = offset,
                "cannot follow this connection any further ({why}); its bytes flow on"
            ),
            GapWhat::ObserverLost { why } => warn!(
                authtap.connection = connection,
                authtap.gap.what = "observer-lost",
                "the observer failed and was started anew ({why}); the traffic was not held up"
            ),
            GapWhat::SinkFailed { sink, dropped, why } => warn!(
                authtap.connection = connection,
                authtap.gap.what = "sink-failed",
                authtap.gap.sink = sink,
                authtap.gap.dropped = dropped,
                "{dropped} events not written to {sink}: {why}"
            ),
        }
    }

    fn stop(&self, totals: &Totals) {
        info!(
            authtap.tap = %self.tap,
            authtap.connections = totals.connections,
            authtap.exchanges = totals.exchanges,
            authtap.handshakes.authenticated = totals.authenticated,
            authtap.handshakes.rejected = totals.rejected,
            authtap.handshakes.broken = totals.broken,
            authtap.handshakes.abandoned = totals.abandoned,
            authtap.findings = totals.findings,
            authtap.dropped = totals.dropped,
            authtap.blind = totals.blind,
            "authtap stopped"
        );
    }
}

impl Sink for Trace {
    fn name(&self) -> &'static str {
        "trace"
    }

    fn write(&mut self, event: &Event) -> Result<(), String> {
        match &event.what {
            What::Start(x) => self.start(x),
            What::ConnectionOpen(x) => self.open(x),
            What::Exchange(x) => self.exchange(x),
            What::Handshake(x) => self.handshake(x),
            What::Gap(x) => self.gap(x),
            What::ConnectionClose(x) => self.close(x),
            What::Finding(x) => self.finding(x),
            What::Stop(x) => self.stop(x),
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), String> {
        Ok(())
    }
}

const fn by(by: By) -> &'static str {
    match by {
        By::Client => "client",
        By::Upstream => "upstream",
        By::Tap => "tap",
    }
}

const fn how(how: How) -> &'static str {
    match how {
        How::Fin => "fin",
        How::Reset => "reset",
        How::Timeout => "timeout",
        How::TlsAlert => "tls-alert",
        How::Error => "error",
    }
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Authenticated => "authenticated",
        Outcome::Rejected => "rejected",
        Outcome::Broken => "broken",
        Outcome::Abandoned => "abandoned",
    }
}

#[cfg(test)]
mod tests;
