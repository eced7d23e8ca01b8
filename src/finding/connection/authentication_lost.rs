//! See the page below.

use std::sync::Arc;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::place;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::model::user::UserKey;
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::track::challenges::{Names, Verdict};
use crate::track::connection::Logon;
use crate::track::handshake::{Event, Meaning};
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A connection was logged on, and stayed so for further requests. Then a request on it is asked for credentials
    /// again, as if nobody had ever logged on. It does not happen each time.
    ///
    /// ## What authtap saw
    /// A logon, at least one more request that was answered on that logon, and then a 401 for a request without
    /// credentials to the same application. The same user then logged on again on the same connection. When the new
    /// challenge bears another server's name, the connection behind was exchanged.
    ///
    /// ## Why it breaks
    /// The logon lives in the server's side of a TCP connection. A balancer between authtap and IIS that drops that
    /// connection (an idle timeout, a node that is drained) and opens another one under a client connection that lives
    /// on, loses it. Most clients log on again and only wait longer; a client that believes itself logged on loses the
    /// body of an upload, or fails.
    ///
    /// ## Fix
    /// An idle client connection must end before its server connection does.
    /// - The balancer behind authtap must keep idle client connections for a shorter time than IIS keeps its own (*Sites > (site) > Advanced Settings > Limits > Connection Time-out*, 120 s by default): HAProxy `timeout http-keep-alive 60s`, nginx `keepalive_timeout 60s`.
    /// - It must not hand the server's connection to others meanwhile: HAProxy `http-reuse never`; nginx: no `keepalive` in the upstream, or `ntlm;` (nginx Plus); F5 BIG-IP: no OneConnect profile without an NTLM profile.
    /// - An application pool that is recycled: *Application Pools > (pool) > Recycling*; compare the times with the System log (source WAS).
    /// - A second authtap between the balancer and IIS proves which it is.
    ///
    /// Afterwards a connection that is logged on gets no further 401 until it ends.
    ///
    /// ## Not this when
    /// Each request after a logon is refused (`authentication-not-persistent`), the request went to another application
    /// (`reauthenticated-per-application`), or the new logon is refused too, which is a permission. An application may
    /// also answer 401 by itself, for a session of its own that ended.
    ///
    /// ## References
    /// - MS-N2HT section 3.2.5; RFC 4559 section 6
    slug: "authentication-lost",
    title: "A connection that was logged on is asked for credentials again",
    severity: Medium,
    basis: Inferred,
    schemes: ["ntlm", "negotiate-ntlm", "kerberos"],
    cause: Connections,
    consequence_of: [],
    since: "0.1.0",
}

/// So many paths are remembered for each connection.
const MOST_APPLICATIONS: usize = 16;

/// A connection that is, or was, logged on.
#[derive(Debug, Default)]
struct Held {
    /// Applications of paths that were answered on this logon.
    applications: Vec<u64>,
    /// A further request was answered on it.
    lasted: bool,
    last: (ExchangeNo, Stamp),
    /// Who challenged for it.
    server: Option<Arc<Names>>,
    lost: Option<Lost>,
    told: bool,
}

/// The 401 that nobody expected.
#[derive(Debug)]
struct Lost {
    exchange: ExchangeNo,
    at: Stamp,
    idle: Option<Duration>,
    request: String,
    logon: Arc<Logon>,
}

impl Held {
    fn serve(&mut self, turn: &Turn) {
        self.last = (turn.exchange.exchange, turn.exchange.times.end.unwrap_or_else(|| turn.at()));
        let here = place::key(turn.path());
        if self.applications.len() < MOST_APPLICATIONS && !self.applications.contains(&here) {
            self.applications.push(here);
        }
    }
}

/// Follows each connection's logon until it is lost.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    connections: Memory<ConnectionId, Held>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.connections.len()
    }

    fn forgotten(&self) -> u64 {
        self.connections.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let id = turn.exchange.connection;
        match (turn.request, turn.meaning()) {
            (Event::Authenticate | Event::Token, Meaning::Logon) => {
                let server = match &turn.verdict {
                    Some(Verdict::Here(c, _)) => Some(Arc::clone(&c.names)),
                    _ => None,
                };
                let held = self.connections.entry(id, turn.at(), view, Held::default);
                if let Some(lost) = held.lost.take()
                    && !held.told
                    && same_user(turn, &lost.logon)
                {
                    held.told = true;
                    out.raise(turn.at(), draft(turn, &lost, held.server.as_deref(), server.as_deref()));
                }
                *held = Held { server, told: held.told, ..Held::default() };
                held.serve(turn);
            }
            (Event::Bare, Meaning::Ride) if turn.answer != Event::Undecided => {
                if let Some(held) = self.connections.get_mut(&id) {
                    held.lasted = true;
                    held.serve(turn);
                }
            }
            (Event::Bare, Meaning::Dropped) if turn.answer == Event::Refused => {
                let (Some(held), Some(logon)) = (self.connections.get_mut(&id), &turn.logon_before) else { return };
                // What is not told was answered, and not by a refusal.
                let lasted = held.lasted || turn.exchange.exchange > logon.exchange.saturating_add(1);
                if lasted && held.applications.contains(&place::key(turn.path())) {
                    let next = held.last.0.checked_add(1) == Some(turn.exchange.exchange);
                    held.lost = Some(Lost {
                        exchange: turn.exchange.exchange,
                        at: turn.at(),
                        idle: next.then(|| turn.exchange.times.request.since(held.last.1)),
                        request: turn.request_line(),
                        logon: Arc::clone(logon),
                    });
                }
            }
            (Event::Bare | Event::Negotiate, _) => {}
            // The new logon is refused as well: a permission, most likely.
            _ => {
                if let Some(held) = self.connections.get_mut(&id) {
                    held.lost = None;
                }
            }
        }
    }

    fn on_close(&mut self, closed: &Closed, _at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.connections.remove(&closed.close.connection);
    }
}

fn same_user(turn: &Turn, logon: &Logon) -> bool {
    match (&turn.user, &logon.user) {
        (Some(a), Some(b)) => UserKey::of(a) == UserKey::of(b),
        (None, None) => true,
        _ => false,
    }
}

fn draft(turn: &Turn, lost: &Lost, before: Option<&Names>, now: Option<&Names>) -> Draft {
    let id = turn.exchange.connection;
    let user = lost.logon.user.as_deref().unwrap_or("a user whose name Kerberos hides");
    let idle = lost.idle.map_or_else(String::new, |idle| format!(" after {} idle", told(idle)));
    let names = (before.and_then(Names::server), now.and_then(Names::server));
    let whom = match names {
        (Some(a), Some(b)) if !a.eq_ignore_ascii_case(b) => format!(
            "{a} had logged it on and {b} asks now, so a hop behind authtap exchanged the server's connection under it"
        ),
        _ => "most likely a hop behind authtap exchanged the server's connection under it, or else the server forgot \
              (an application pool that was recycled, or an application that asks by itself)"
            .to_owned(),
    };
    Draft::new(
        Basis::Inferred,
        format!(
            "Connection {id} was logged on as {user} and served further requests, and then{idle} {} was answered by 401 \
             until {user} had logged on again; {whom}.",
            lost.request
        ),
        Place::new(id, Some(lost.exchange), "response", lost.at)
            .says("401 for a request without credentials, on a connection that was logged on"),
    )
    .scheme(Some(lost.logon.scheme))
    .and(Place::new(id, Some(lost.logon.exchange), "logon", lost.logon.at).says(format!("the logon of {user}")))
    .and(Place::response(turn).says(format!("{}: logged on again", turn.status())))
}

/// `95 s`, or `400 ms`.
fn told(idle: Duration) -> String {
    if idle.as_secs() > 0 { format!("{} s", idle.as_secs()) } else { format!("{} ms", idle.as_millis()) }
}
