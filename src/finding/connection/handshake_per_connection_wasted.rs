//! See the page below.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::model::http::Response;
use crate::model::transport::By;
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::track::handshake::{Event, Meaning};
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A client opens a connection, logs on with NTLM, gets one answer and lets the connection end, again and again.
    /// Each request costs three, and a round to a domain controller.
    ///
    /// ## What authtap saw
    /// At least twenty connections in a row of one client (one address and one `User-Agent`), each with a whole handshake
    /// that succeeded, not one request after it, and its end within two seconds. It is told at twenty and each time
    /// the number doubles.
    ///
    /// ## Why it breaks
    /// Nothing is refused. But the site is slower than it could be, domain controllers work three times as hard, and under
    /// load NTLM's few slots towards a domain controller (`MaxConcurrentApi`) fill up: then logons fail that are right.
    ///
    /// ## Fix
    /// - The client closes: let it keep its connection. .NET: one `HttpClient` for all requests; Java: read each answer to its end; requests: one `Session`; curl: several URLs in one call.
    /// - The request or the answer says `Connection: close`: remove what adds it (a proxy's `httpclose`, nginx's default `proxy_http_version 1.0`, *HTTP Response Headers > Set Common Headers > Enable HTTP keep-alive* in IIS).
    /// - Or Kerberos, which needs one message and no domain controller.
    ///
    /// Afterwards the report shows several exchanges on a connection.
    ///
    /// ## Not this when
    /// A browser opens spare connections and uses each of them once: they stay open for longer than two seconds. Single
    /// runs of a command-line client are separate connections by nature; twenty in a row are told all the same.
    ///
    /// ## References
    /// - RFC 9112 section 9.3; MS-NTHT section 3
    slug: "handshake-per-connection-wasted",
    title: "Each request makes a new connection and a whole new handshake",
    severity: Low,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm"],
    cause: Connections,
    consequence_of: [],
    since: "0.1.0",
}

/// So many in a row.
const THRESHOLD: u32 = 20;
/// A connection that lives on for longer might have been used.
const AT_ONCE: Duration = Duration::from_secs(2);
/// A client that comes less often wastes little.
const APART: Duration = Duration::from_mins(1);
/// So many of the latest are named.
const NAMED: usize = 4;

/// One client: its address, and a hash of its `User-Agent`.
type Client = (IpAddr, u64);

/// A connection whose last exchange was a logon.
#[derive(Debug)]
struct LoggedOn {
    client: Client,
    exchange: ExchangeNo,
    at: Stamp,
    end: Stamp,
    announced: bool,
    scheme: &'static str,
}

/// What one client wasted in a row.
#[derive(Debug, Default)]
struct Wasted {
    count: u32,
    by_client: u32,
    announced: u32,
    last: Stamp,
    latest: VecDeque<(ConnectionId, ExchangeNo, Stamp)>,
}

/// Counts connections that ended right after their logon.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    connections: Memory<ConnectionId, LoggedOn>,
    clients: Memory<Client, Wasted>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.connections.len() + self.clients.len()
    }

    fn forgotten(&self) -> u64 {
        self.connections.forgotten() + self.clients.forgotten()
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        if turn.request != Event::Authenticate || turn.meaning() != Meaning::Logon {
            return;
        }
        let mut hasher = DefaultHasher::new();
        turn.header("user-agent").hash(&mut hasher);
        let e = &turn.exchange;
        let end = e.times.end.unwrap_or_else(|| turn.at());
        let asks = e.request.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        let new = LoggedOn {
            client: (turn.party, hasher.finish()),
            exchange: e.exchange,
            at: turn.at(),
            end,
            announced: asks || turn.response().is_some_and(Response::ends_connection),
            scheme: turn.scheme.unwrap_or("ntlm"),
        };
        self.connections.remove(&e.connection);
        self.connections.entry(e.connection, end, view, || new);
    }

    fn on_close(&mut self, closed: &Closed, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        let id = closed.close.connection;
        let Some(logon) = self.connections.remove(&id) else { return };
        let last = closed.close.exchanges == logon.exchange && closed.ended_at.since(logon.end) <= AT_ONCE;
        if !last || view.site.gap_of(id).is_some() {
            // It was used, or kept to be used: this client does not waste.
            self.clients.remove(&logon.client);
            return;
        }
        let wasted = self.clients.entry(logon.client, at, view, Wasted::default);
        if at.since(wasted.last) > APART {
            *wasted = Wasted::default();
        }
        wasted.last = at;
        wasted.count += 1;
        wasted.by_client += u32::from(closed.close.end.by == By::Client);
        wasted.announced += u32::from(logon.announced);
        wasted.latest.push_back((id, logon.exchange, logon.at));
        if wasted.latest.len() > NAMED {
            wasted.latest.pop_front();
        }
        if wasted.count.is_multiple_of(THRESHOLD) && (wasted.count / THRESHOLD).is_power_of_two() {
            out.raise(at, draft(logon.client.0, logon.scheme, wasted));
        }
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.clients.expire(now, APART);
    }
}

fn draft(client: IpAddr, scheme: &'static str, wasted: &Wasted) -> Draft {
    let whom = if wasted.announced == wasted.count {
        "each request or answer said `Connection: close`".to_owned()
    } else if wasted.by_client == wasted.count {
        "the client, or a hop before authtap, closed each".to_owned()
    } else if wasted.by_client == 0 {
        "the server's side closed each".to_owned()
    } else {
        format!("the client's side closed {} of them first", wasted.by_client)
    };
    let mut places = wasted.latest.iter().rev().map(|(id, exchange, at)| {
        Place::new(*id, Some(*exchange), "response", *at).says("a logon that succeeded, the connection's last exchange")
    });
    let first = places.next().unwrap_or_else(|| Place::nowhere().says("connections that ended"));
    let draft = Draft::new(
        Basis::Observed,
        format!(
            "{client} made {} connections in a row that each carried a whole NTLM handshake and not one request more; {whom}.",
            wasted.count
        ),
        first,
    );
    places.fold(draft.scheme(Some(scheme)), Draft::and)
}
