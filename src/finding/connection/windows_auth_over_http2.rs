//! See the page below.

use std::net::IpAddr;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::auth::Scheme;
use crate::model::finding::{Basis, Evidence};
use crate::model::{ConnectionId, Stamp};
use crate::track::handshake::Event;
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A client tries to log on with Windows authentication over HTTP/2, and does not go over to HTTP/1.1 when it is
    /// refused. NTLM and Negotiate log on a connection, and on HTTP/2 many requests share one: IIS does not take them
    /// there.
    ///
    /// ## What authtap saw
    /// On a connection that speaks HTTP/2: credentials of NTLM or Negotiate that were answered by 401, or whose request
    /// was reset with HTTP_1_1_REQUIRED (0xd); or a 401 that offers nothing but them. And no request of the same address
    /// logged on over HTTP/1.1 within the answer window (`answer-window`, five minutes by default) or until the watch
    /// ended. Of a client that only got the 401 it is `inferred` when it asked again and again, and else `suspected`: it
    /// may not have wanted to log on.
    ///
    /// ## Why it breaks
    /// IIS speaks HTTP/2 with whoever offers it in TLS, and refuses Windows authentication there. Browsers and most
    /// programs then open an HTTP/1.1 connection and log on. A program that is told to use HTTP/2 alone, or a proxy in
    /// front that always speaks HTTP/2 to IIS, never does.
    ///
    /// ## Fix
    /// - The program: let it use HTTP/1.1 (in .NET `HttpRequestMessage.Version = HttpVersion.Version11`, or a `VersionPolicy` that allows a lower one; in curl `--http1.1`).
    /// - A proxy in front: HTTP/1.1 towards IIS (`disableHTTP2` in Traefik, `Version` 1.1 in YARP).
    /// - Or for all clients of the site: HTTP/2 off on its https binding (`sslFlags` with the bit 4).
    ///
    /// ## Not this when
    /// The same address logs on over HTTP/1.1 afterwards: that is the documented way, and nothing is reported. Other
    /// schemes, Basic and Bearer among them, work on HTTP/2.
    ///
    /// ## References
    /// - RFC 9113 section 7 (HTTP_1_1_REQUIRED); Microsoft *HTTP/2 on IIS*
    slug: "windows-auth-over-http2",
    title: "Windows authentication is tried over HTTP/2",
    severity: High,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm", "negotiate", "kerberos"],
    cause: Client,
    consequence_of: [],
    since: "0.1.0",
}

/// The error code HTTP_1_1_REQUIRED (RFC 9113 section 7).
const HTTP_1_1_REQUIRED: u32 = 0xd;
/// At the watch's end, what happened so long ago will not be followed by a logon.
const SETTLED: Duration = Duration::from_secs(5);

/// What is known of an address that met Windows authentication on HTTP/2.
#[derive(Debug)]
enum Client {
    Waiting(Box<Waiting>),
    /// It logged on otherwise once: it knows the way, also when that is not seen again.
    KnowsTheWay,
}

/// The first refusal that no other logon has followed.
#[derive(Debug)]
struct Waiting {
    /// The address that authtap sees.
    peer: IpAddr,
    connection: ConnectionId,
    at: Stamp,
    /// Credentials were sent. Without them a person may still be asked for some while the connection is open.
    sent: bool,
    closed_at: Option<Stamp>,
    times: u32,
    scheme: Option<&'static str>,
    /// What happened, for the summary.
    what: String,
    evidence: Evidence,
}

/// Waits for the HTTP/1.1 logon of each client that was refused on HTTP/2.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    clients: Memory<IpAddr, Client>,
    by_connection: Memory<ConnectionId, IpAddr>,
}

impl Detector {
    fn judge(client: IpAddr, w: Waiting, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        // What was not seen may be the very logon that is missed here.
        if view.site.gaps().client_since(w.peer, w.at) {
            return;
        }
        let basis = match (w.sent, w.times) {
            (true, _) => Basis::Observed,
            (false, 1) => Basis::Suspected,
            (false, _) => Basis::Inferred,
        };
        let again = if w.times > 1 { format!(" ({} times in all)", w.times) } else { String::new() };
        let summary = format!(
            "The client {client} {} over HTTP/2 on connection {}{again}, and did not log on over HTTP/1.1 in the {} s that \
             followed.",
            w.what,
            w.connection,
            at.since(w.at).as_secs()
        );
        out.raise(at, Draft::new(basis, summary, w.evidence).scheme(w.scheme));
    }

    /// What a turn on HTTP/2 shows of Windows authentication that does not work there.
    fn refused(turn: &Turn) -> Option<Waiting> {
        let e = &turn.exchange;
        let line = turn.request_line();
        let (sent, what, evidence) = match &e.authorization {
            Some(field) if is_windows(&field.scheme) => {
                let name = &field.scheme_as_sent;
                if e.reset == Some(HTTP_1_1_REQUIRED) {
                    let says = format!("credentials of {name}; the request was reset with HTTP_1_1_REQUIRED");
                    let what = format!("sent credentials of {name} with {line} and was told to use HTTP/1.1");
                    (true, what, Place::request(turn).says(says))
                } else if turn.status() == 401 {
                    let what = format!("sent credentials of {name} with {line} and was refused");
                    (true, what, Place::response(turn).says(format!("401 over HTTP/2 to credentials of {name}")))
                } else {
                    return None;
                }
            }
            None if turn.answer == Event::Refused && offers_windows_alone(turn) => {
                let offered = turn.offered().join(", ");
                let what = format!("asked for {line} and was offered only {offered}");
                (false, what, Place::response(turn).says(format!("401 over HTTP/2 offering only {offered}")))
            }
            _ => return None,
        };
        Some(Waiting {
            peer: turn.peer,
            connection: e.connection,
            at: turn.at(),
            sent,
            closed_at: None,
            times: 1,
            scheme: turn.scheme,
            what,
            evidence,
        })
    }
}

fn is_windows(scheme: &Scheme) -> bool {
    matches!(scheme, Scheme::Ntlm | Scheme::Negotiate | Scheme::Nego2 | Scheme::Kerberos)
}

fn offers_windows_alone(turn: &Turn) -> bool {
    let challenges = &turn.exchange.challenges;
    !challenges.is_empty() && challenges.iter().all(|c| is_windows(&c.scheme))
}

/// Somebody at this address got in, or goes about it in a way that can work.
fn logs_on(turn: &Turn) -> bool {
    if turn.is_http2() {
        return turn.request != Event::Bare && matches!(turn.answer, Event::Accepted | Event::AcceptedOnce);
    }
    turn.request != Event::Bare || turn.logon_before.is_some()
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.clients.len() + self.by_connection.len()
    }

    fn forgotten(&self) -> u64 {
        self.clients.forgotten() + self.by_connection.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        if logs_on(turn) {
            if let Some(client) = self.clients.get_mut(&turn.party) {
                *client = Client::KnowsTheWay;
            }
            return;
        }
        let Some(new) = Some(turn).filter(|t| t.is_http2()).and_then(Self::refused) else { return };
        let (at, connection) = (new.at, new.connection);
        match self.clients.get_mut(&turn.party) {
            Some(Client::KnowsTheWay) => return,
            Some(Client::Waiting(w)) => {
                w.times += 1;
                // Its newest connection is the one that a person may be in front of.
                w.closed_at = None;
                if new.sent && !w.sent {
                    let (times, first) = (w.times, w.at);
                    **w = Waiting { times, at: first, ..new };
                }
            }
            None => {
                self.clients.entry(turn.party, at, view, || Client::Waiting(Box::new(new)));
            }
        }
        self.by_connection.entry(connection, at, view, || turn.party);
    }

    fn on_close(&mut self, closed: &Closed, at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        let client = self.by_connection.remove(&closed.close.connection);
        if let Some(Client::Waiting(w)) = client.and_then(|client| self.clients.get_mut(&client)) {
            w.closed_at = Some(at);
        }
    }

    fn on_time(&mut self, now: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        let mut kept = Vec::new();
        while let Some((address, client)) = self.clients.pop_unused(now, view.settings.answer_window) {
            match client {
                Client::Waiting(w) if w.sent || w.closed_at.is_some() => Self::judge(address, *w, now, view, out),
                other => kept.push((address, other)),
            }
        }
        for (address, client) in kept {
            self.clients.entry(address, now, view, || client);
        }
    }

    fn on_stop(&mut self, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        for (address, client) in self.clients.drain() {
            if let Client::Waiting(w) = client {
                let since = if w.sent { Some(w.at) } else { w.closed_at };
                if since.is_some_and(|since| at.since(since) >= SETTLED) {
                    Self::judge(address, *w, at, view, out);
                }
            }
        }
    }
}
