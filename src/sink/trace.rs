//! Events as `tracing` spans and events, for the console.
//!
//! Field names are those of OpenTelemetry's semantic conventions where they exist (`client.address`,
//! `http.response.status_code` …); what only authtap knows is under `authtap.`.
//!
//! Levels: ERROR a finding of high or critical severity; WARN other findings of medium severity, broken or rejected
//! handshakes, gaps, connections that ended badly; INFO each 401 that refuses somebody, other handshakes, start and
//! stop; DEBUG the rest, and with it the 401s that are ordinary legs: two of them are how a healthy NTLM logon looks.
//!
//! A storm of one kind is cut to some lines a second ([`limit`]), and what was held back is told by number.

mod console;
mod limit;
mod lossy;

pub use console::{Colours, ConsoleError, LogFormat, init, subscriber};
pub use limit::A_SECOND;
pub use lossy::Console;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tracing::{Level, Span, debug, enabled, error, info, info_span, warn};

use self::limit::{Kind, Limit};
use super::Sink;
use crate::model::event::{ConnectionClose, ConnectionOpen, Event, Exchange, Gap, GapWhat};
use crate::model::event::{Handshake, Outcome, Start, Totals, What};
use crate::model::finding::{Finding, Severity};
use crate::model::transport::{Addresses, By, How, Tls};
use crate::model::{ConnectionId, Stamp, TapId};

/// Connections whose span is kept or could be made. Above that the oldest is dropped: the closing of its connection was not seen.
const MAX_SPANS: usize = 65_536;

/// A [`Sink`] that speaks to whatever `tracing` subscriber is in force.
#[derive(Debug)]
pub struct Trace {
    tap: TapId,
    connections: BTreeMap<ConnectionId, Slot>,
    limit: Limit,
}

/// A connection's span, or what to make it of when there is something to say: most connections stay silent.
#[derive(Debug)]
enum Slot {
    Silent(Box<Silent>),
    Span(Span),
}

#[derive(Debug)]
struct Silent {
    addresses: Addresses,
    tls: Option<Box<Names>>,
    upstream_tls: Option<Box<Names>>,
}

/// What a span says of a TLS session.
#[derive(Debug)]
struct Names {
    version: Option<String>,
    cipher: Option<String>,
    sni: Option<String>,
    alpn: Option<String>,
}

impl Names {
    fn of(tls: Option<&Tls>) -> Option<Box<Self>> {
        tls.map(|t| {
            Box::new(Self {
                version: t.version.clone(),
                cipher: t.cipher.clone(),
                sni: t.sni.clone(),
                alpn: t.alpn_chosen.clone(),
            })
        })
    }
}

/// Tells, unless its level is off (then nothing of it is made) or its kind was told too often in this second.
macro_rules! limited {
    ($self:ident, $level:ident, $kind:expr, $at:expr, $tell:expr) => {
        if enabled!(Level::$level) && $self.limit.lets(&$kind, Level::$level, $at) {
            $tell
        }
    };
}

impl Trace {
    /// For one tap.
    pub fn new(tap: TapId) -> Self {
        Self { tap, connections: BTreeMap::new(), limit: Limit::default() }
    }

    /// The span of a connection, made when it is needed first.
    fn span(&mut self, connection: Option<ConnectionId>) -> Span {
        let slot = connection.and_then(|id| self.connections.get_mut(&id).map(|slot| (id, slot)));
        match slot {
            None => Span::none(),
            Some((_, Slot::Span(span))) => span.clone(),
            Some((id, slot)) => {
                let Slot::Silent(silent) = slot else { return Span::none() };
                let span = new_span(&self.tap, id, silent);
                *slot = Slot::Span(span.clone());
                span
            }
        }
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

    fn open(&mut self, open: &ConnectionOpen, at: Stamp) {
        if self.connections.len() >= MAX_SPANS {
            self.connections.pop_first();
        }
        let silent = Silent {
            addresses: open.addresses.clone(),
            tls: Names::of(open.tls.as_ref()),
            upstream_tls: Names::of(open.upstream_tls.as_ref()),
        };
        self.connections.insert(open.connection, Slot::Silent(Box::new(silent)));
        if enabled!(Level::DEBUG) {
            let _in = self.span(Some(open.connection)).entered();
            debug!("connection opened");
        }
        for (side, tls) in [("client", open.tls.as_ref()), ("upstream", open.upstream_tls.as_ref())] {
            let Some(tls) = tls else { continue };
            if let Some(alert) = &tls.alert {
                limited!(self, WARN, Kind::Tls, at, {
                    let _in = self.span(Some(open.connection)).entered();
                    warn!(authtap.side = side, error.r#type = alert, "TLS handshake failed: {alert}");
                });
            }
            if let Some(why) = &tls.verification {
                limited!(self, INFO, Kind::Certificate, at, {
                    let _in = self.span(Some(open.connection)).entered();
                    info!(authtap.side = side, "certificate does not verify: {why}");
                });
            }
        }
    }

    fn close(&mut self, close: &ConnectionClose, at: Stamp) {
        macro_rules! tell {
            ($level:ident, $text:literal) => {{
                let _in = self.span(Some(close.connection)).entered();
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
            }};
        }
        if close.mid_handshake {
            limited!(
                self,
                WARN,
                Kind::CloseMidHandshake,
                at,
                tell!(warn, "connection closed in the middle of a handshake")
            );
        } else if close.end.how == How::Fin {
            if enabled!(Level::DEBUG) {
                tell!(debug, "connection closed");
            }
        } else if close.end.by == By::Client && close.end.how == How::Reset {
            // Browsers reset connections that they no longer need; that is no incident.
            if enabled!(Level::DEBUG) {
                tell!(debug, "connection reset by the client");
            }
        } else {
            limited!(self, WARN, Kind::CloseAbnormal, at, tell!(warn, "connection ended abnormally"));
        }
        self.connections.remove(&close.connection);
    }

    fn exchange(&mut self, exchange: &Exchange, at: Stamp) {
        let request = &exchange.request;
        let status = exchange.response.as_ref().map(|r| r.status);
        let (path, query) = match request.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (request.target.as_str(), None),
        };
        macro_rules! tell {
            ($level:ident, $($text:tt)+) => {{
                let _in = self.span(Some(exchange.connection)).entered();
                let schemes =
                    exchange.challenges.iter().map(|c| c.scheme_as_sent.as_str()).collect::<Vec<_>>().join(", ");
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
            }};
        }
        match status {
            Some(401) if !is_ordinary(exchange.leg.as_deref()) => {
                limited!(self, INFO, Kind::Refusal, at, tell!(info, "401 {} {}", request.method, path));
            }
            Some(status) => {
                if enabled!(Level::DEBUG) {
                    tell!(debug, "{} {} {}", status, request.method, path);
                }
            }
            None => {
                limited!(self, INFO, Kind::Unanswered, at, tell!(info, "no response to {} {}", request.method, path));
            }
        }
    }

    fn handshake(&mut self, handshake: &Handshake, at: Stamp) {
        macro_rules! tell {
            ($level:ident) => {{
                let _in = self.span(handshake.legs.last().map(|l| l.connection)).entered();
                let connections: Vec<u64> = handshake.legs.iter().map(|l| l.connection.0).collect();
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
            }};
        }
        let kind = Kind::Handshake(outcome(handshake.outcome));
        match handshake.outcome {
            Outcome::Authenticated | Outcome::Abandoned => limited!(self, INFO, kind, at, tell!(info)),
            Outcome::Rejected | Outcome::Broken => limited!(self, WARN, kind, at, tell!(warn)),
        }
    }

    fn finding(&mut self, finding: &Finding, at: Stamp) {
        macro_rules! tell {
            ($level:ident) => {{
                let _in = self.span(finding.connections.first().copied()).entered();
                let connections: Vec<u64> = finding.connections.iter().map(|c| c.0).collect();
                let because = finding.root.as_ref().map(|r| format!(" (a consequence of {r})")).unwrap_or_default();
                $level!(
                    authtap.finding.slug = finding.slug,
                    authtap.finding.severity = finding.severity.name(),
                    authtap.finding.basis = finding.basis.name(),
                    authtap.finding.scheme = finding.scheme,
                    authtap.finding.root = finding.root,
                    authtap.finding.connections = ?connections,
                    authtap.finding.fix = finding.fix,
                    "{}: {}{because}",
                    finding.title,
                    finding.summary
                )
            }};
        }
        let kind = Kind::Finding(&finding.slug);
        match finding.severity {
            Severity::Critical | Severity::High => limited!(self, ERROR, kind, at, tell!(error)),
            Severity::Medium => limited!(self, WARN, kind, at, tell!(warn)),
            Severity::Low | Severity::Info => limited!(self, INFO, kind, at, tell!(info)),
        }
    }

    fn gap(&mut self, gap: &Gap, at: Stamp) {
        if !enabled!(Level::WARN) || !self.limit.lets(&Kind::Gap(gap_name(&gap.what)), Level::WARN, at) {
            return;
        }
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
            GapWhat::PacketsMissing { from, offset, bytes } => warn!(
                authtap.connection = connection,
                authtap.gap.what = "packets-missing",
                authtap.gap.from = from,
                authtap.gap.offset = offset,
                authtap.gap.bytes = bytes,
                "{bytes} bytes of this connection are missing from the packet capture"
            ),
            GapWhat::ObserverLost { why } => warn!(
                authtap.connection = connection,
                authtap.gap.what = "observer-lost",
                "the observer failed and was started anew ({why}); the traffic was not held up"
            ),
            GapWhat::LimitReached { memory, most } => warn!(
                authtap.gap.what = "limit-reached",
                authtap.gap.memory = memory,
                authtap.gap.most = most,
                "the memory of {memory} is full ({most} entries): its oldest are forgotten"
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
            What::ConnectionOpen(x) => self.open(x, event.at),
            What::Exchange(x) => self.exchange(x, event.at),
            What::Handshake(x) => self.handshake(x, event.at),
            What::Gap(x) => self.gap(x, event.at),
            What::ConnectionHalfClose(_) => {}
            What::ConnectionClose(x) => self.close(x, event.at),
            What::Finding(x) => self.finding(x, event.at),
            What::Stop(x) => {
                self.limit.tell_held();
                self.stop(x);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), String> {
        self.limit.tell_held();
        Ok(())
    }
}

fn new_span(tap: &TapId, id: ConnectionId, silent: &Silent) -> Span {
    let a = &silent.addresses;
    let text = |x: Option<SocketAddr>| x.map(|x| x.ip().to_string());
    let port = |x: Option<SocketAddr>| x.map(|x| x.port());
    let (tls, upstream_tls) = (silent.tls.as_deref(), silent.upstream_tls.as_deref());
    info_span!(
        "connection",
        authtap.tap = %tap,
        authtap.connection = id.0,
        client.address = %a.client.ip(),
        client.port = a.client.port(),
        server.address = text(a.upstream),
        server.port = port(a.upstream),
        authtap.upstream_local.address = text(a.upstream_local),
        authtap.upstream_local.port = port(a.upstream_local),
        tls.protocol.version = tls.and_then(|t| t.version.as_deref()),
        tls.cipher = tls.and_then(|t| t.cipher.as_deref()),
        tls.client.server_name = tls.and_then(|t| t.sni.as_deref()),
        tls.next_protocol = tls.and_then(|t| t.alpn.as_deref()),
        authtap.upstream_tls.protocol.version = upstream_tls.and_then(|t| t.version.as_deref()),
        authtap.upstream_tls.cipher = upstream_tls.and_then(|t| t.cipher.as_deref()),
    )
}

/// A 401 that belongs to every handshake: an offer of schemes to a bare request, a CHALLENGE, a further token.
fn is_ordinary(leg: Option<&str>) -> bool {
    matches!(leg, Some("offer" | "challenge" | "more-wanted"))
}

const fn gap_name(what: &GapWhat) -> &'static str {
    match what {
        GapWhat::QueueFull { .. } => "queue-full",
        GapWhat::Unparsable { .. } => "unparsable",
        GapWhat::PacketsMissing { .. } => "packets-missing",
        GapWhat::ObserverLost { .. } => "observer-lost",
        GapWhat::LimitReached { .. } => "limit-reached",
        GapWhat::SinkFailed { .. } => "sink-failed",
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
