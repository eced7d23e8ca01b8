//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::subject;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::auth::AuthField;
use crate::model::finding::Basis;
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::track::handshake::Event;
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// Every request of a connection carries a Kerberos ticket of its own (AP-REQ). That is a normal way to work and no
    /// failure. It is told because it makes each request large and explains other things that a reader may wonder about.
    ///
    /// ## What authtap saw
    /// Five requests one after the other on one connection, each with an AP-REQ that the server accepted. Told once for
    /// each host, and again when the number of such connections doubles from eight on.
    ///
    /// ## Why it breaks
    /// By itself nothing. Tickets of users with many groups take several kilobytes, so each request costs that much, and
    /// limits on headers are met sooner. Where the server says `Persistent-Auth: false`, no connection stays logged on in
    /// return, and a pool in front leaks nobody's identity.
    ///
    /// ## Fix
    /// Nothing has to be done. To let a connection keep its logon:
    /// - IIS: *Configuration Editor > system.webServer/security/authentication/windowsAuthentication > authPersistNonNTLM* `True` (`appcmd set config /section:windowsAuthentication /authPersistNonNTLM:true`). Microsoft's pages disagree about the default; the answer's `Persistent-Auth` says what is so.
    /// - Do not do it while something in front shares connections between clients.
    /// - A client that sends a ticket each time although the server says `Persistent-Auth: true` does so by its own choice (pre-authentication).
    ///
    /// Afterwards the requests after the first one on a connection carry no `Authorization`.
    ///
    /// ## Not this when
    /// Requests without a ticket come in between, or the tickets are refused.
    ///
    /// ## References
    /// - MS-N2HT section 3.2.5; RFC 4559 section 5; RFC 4120 section 5.5.1
    slug: "kerberos-per-request",
    title: "Each request of a connection carries its own Kerberos ticket",
    severity: Info,
    basis: Observed,
    schemes: ["kerberos"],
    cause: Server,
    consequence_of: [],
    since: "0.1.0",
}

/// So many requests in a row.
const THRESHOLD: u32 = 5;

/// Tickets in a row on one connection.
#[derive(Debug, Default)]
struct Run {
    count: u32,
    last: ExchangeNo,
    first: Option<(ExchangeNo, Stamp)>,
    bytes: usize,
}

/// Counts tickets in a row, and connections of each host that have them.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    runs: Memory<ConnectionId, Run>,
    hosts: Memory<u64, u32>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.runs.len() + self.hosts.len()
    }

    fn forgotten(&self) -> u64 {
        self.runs.forgotten() + self.hosts.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        // On HTTP/2 no connection stays logged on, so that each request has to bring its own.
        if turn.request != Event::Token
            || turn.is_http2()
            || !matches!(turn.answer, Event::Accepted | Event::AcceptedOnce)
        {
            return;
        }
        let Some(field) = turn.exchange.authorization.as_ref().filter(|a| is_ticket(a)) else { return };
        let (id, exchange, at) = (turn.exchange.connection, turn.exchange.exchange, turn.at());
        let run = self.runs.entry(id, at, view, Run::default);
        if run.last.checked_add(1) != Some(exchange) {
            *run = Run::default();
        }
        run.last = exchange;
        run.count += 1;
        run.bytes = run.bytes.saturating_add(field.token_bytes);
        let first = *run.first.get_or_insert((exchange, at));
        if run.count != THRESHOLD {
            return;
        }
        let mean = run.bytes / usize::try_from(THRESHOLD).unwrap_or(1);
        let host = subject::host(turn);
        let connections = self.hosts.entry(host, at, view, || 0);
        *connections += 1;
        if *connections == 1 || (*connections >= 8 && connections.is_power_of_two()) {
            out.raise(at, draft(turn, first, mean, *connections));
        }
    }

    fn on_close(&mut self, closed: &Closed, _at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.runs.remove(&closed.close.connection);
    }
}

fn is_ticket(field: &AuthField) -> bool {
    field.kerberos().is_some_and(|k| k.message == "ap-req")
}

fn draft(turn: &Turn, (first, since): (ExchangeNo, Stamp), mean: usize, connections: u32) -> Draft {
    let id = turn.exchange.connection;
    let host = turn.header("host").unwrap_or("the site");
    let said = match turn.persistent_auth {
        Some(true) => "the server says `Persistent-Auth: true`, so it is the client's own choice",
        Some(false) => "the server says `Persistent-Auth: false` and wants it so",
        None => "the server does not say `Persistent-Auth`, so the client takes it to be wanted",
    };
    let many =
        if connections > 1 { format!(" It is the {connections}th connection to that host.") } else { String::new() };
    Draft::new(
        Basis::Observed,
        format!(
            "On connection {id} {THRESHOLD} requests to {host} one after the other carried a Kerberos token each, of {mean} \
             bytes on average, and were accepted; {said}.{many}"
        ),
        Place::request(turn).says("an AP-REQ, as on each request before it"),
    )
    .scheme(Some("kerberos"))
    .and(Place::new(id, Some(first), "AP-REQ", since).says("the first one of this row"))
}
