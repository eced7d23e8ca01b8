//! See the page below.

use std::net::IpAddr;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::alternation::{Seen, Who, alternation};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::model::{ConnectionId, Stamp};
use crate::track::handshake::{Event, Meaning};
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// One connection to the server was logged on by one client, and then carried another client's request. The server
    /// answers that request as the first user: identities leak, and no 401 shows it.
    ///
    /// ## What authtap saw
    /// On a connection that was logged on, a request without credentials whose own field names another client
    /// (`X-Forwarded-For`, `Forwarded`, `X-Real-IP` …) than the request that logged on, answered with something other
    /// than 401. When the peer that set the field is one of `trusted-proxies`, this is `observed`; otherwise anybody
    /// may have written the field, and it is `suspected`.
    ///
    /// Where no field names a client, two alternations are told as `suspected`: two Kerberos tickets on one connection
    /// that stays logged on (A, B, and A again), or two clients by `User-Agent` and cookies (A, B, and A again) of which
    /// only one logged on. A single change is none: tickets are renewed, and cookies are set anew.
    ///
    /// ## Why it breaks
    /// NTLM (and Kerberos, when the server says `Persistent-Auth: true`) belongs to the connection, not to the request.
    /// An intermediary that takes a used connection from its pool hands over whoever is logged on there.
    ///
    /// ## Fix
    /// Stop it now: this shows people other people's data.
    /// - HAProxy: `http-reuse never` in the backend. It protects NTLM by itself after a 401, but not a client that sends its first token unasked.
    /// - nginx: no `keepalive` in that upstream, or `ntlm;` (nginx Plus), or the `stream` module.
    /// - Envoy: `connection_pool_per_downstream_connection: true`. Traefik: a version that pins the connection on the request's `Authorization`.
    /// - IIS, to stop the leak until the intermediary is mended: `appcmd set config /section:windowsAuthentication /authPersistSingleRequest:true` (each request then logs on anew, at a cost).
    ///
    /// Afterwards each connection to the server carries one client only.
    ///
    /// ## Not this when
    /// One client has several addresses, for example behind a changing forward proxy: compare the two addresses that
    /// the evidence names. A request with credentials of its own is not reported here.
    ///
    /// ## References
    /// - RFC 4559 section 6; MS-N2HT section 3.2.5; RFC 7239
    slug: "authenticated-connection-shared",
    title: "One logged-on connection carries several clients' requests",
    severity: Critical,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm", "kerberos"],
    cause: Connections,
    consequence_of: [],
    denies_pairing: true,
    since: "0.1.0",
}

/// A connection that carries somebody else for so long is told anew.
const KEPT: Duration = Duration::from_hours(1);

/// Compares each riding request's client with the one that logged on.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    /// Clients that were told, with their connection; the peer itself for all that nobody vouches for.
    told: Memory<(ConnectionId, IpAddr), ()>,
    /// Whom the fingerprints of a connection show.
    seen: Memory<ConnectionId, Seen>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.told.len() + self.seen.len()
    }

    fn forgotten(&self) -> u64 {
        self.told.forgotten() + self.seen.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        self.alternates(turn, view, out);
        if turn.request != Event::Bare || turn.meaning() != Meaning::Ride {
            return;
        }
        let Some(logon) = &turn.logon_before else { return };
        let (Some(then), Some(now)) = (&logon.client, &turn.client) else { return };
        if then.address == now.address {
            return;
        }
        let id = turn.exchange.connection;
        let Some(connection) = view.site.connection(id) else { return };
        let trusted = then.trusted && now.trusted;
        // Addresses that anybody may make up are told once of a connection: a load test invents one a request.
        let key = (id, if trusted { now.address } else { turn.peer });
        if !self.told.is_first(key, turn.at(), view) {
            return;
        }
        if let Some(seen) = self.seen.get_mut(&id) {
            seen.told = true;
        }
        let basis = if trusted { Basis::Observed } else { Basis::Suspected };
        let user = logon.user.as_deref().unwrap_or("a user whose name Kerberos hides");
        let doubt = if trusted {
            String::new()
        } else {
            format!(
                " Nobody among trusted-proxies vouches for both addresses (the peer is {}), so they could also be made up.",
                connection.client_ip()
            )
        };
        out.raise(
            turn.exchange.times.response_head.unwrap_or_default(),
            Draft::new(
                basis,
                format!(
                    "Connection {id} was logged on as {user} by the client {}, and then carried a request of the client \
                     {}, which the server answered with {} as {user}.{doubt}",
                    then.address,
                    now.address,
                    turn.status()
                ),
                Place::request(turn).says(format!("a request without credentials; `{}` names {}", now.field, now.address)),
            )
            .scheme(Some(logon.scheme))
            .and(
                Place::new(id, Some(logon.exchange), "logon", logon.at)
                    .says(format!("the logon of {user}; `{}` names {}", then.field, then.address)),
            )
            .and(Place::response(turn).says(format!("{}: answered without asking who it is", turn.status()))),
        );
    }

    fn on_close(&mut self, closed: &Closed, _at: Stamp, _: &View<'_>, _: &mut Raise<'_>) {
        self.seen.remove(&closed.close.connection);
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.told.expire(now, KEPT);
    }
}

impl Detector {
    /// Two clients that take turns on a logged-on connection, by what they cannot help showing.
    fn alternates(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let id = turn.exchange.connection;
        let accepted = matches!(turn.answer, Event::Accepted | Event::AcceptedOnce);
        match (turn.request, turn.meaning()) {
            (Event::Authenticate | Event::Token, Meaning::Logon) if self.seen.get(&id).is_none() => {
                let seen = Seen { first: Who::of(turn), other: None, told: false };
                self.seen.entry(id, turn.at(), view, || seen);
                return;
            }
            (Event::Token, Meaning::Logon) | (Event::Bare, Meaning::Ride) if accepted => {}
            // Whoever logs on by name is another finding's (`identity-changed-on-connection`).
            (Event::Bare, meaning) if meaning != Meaning::Dropped => return,
            _ => {
                self.seen.remove(&id);
                return;
            }
        }
        let Some(seen) = self.seen.get_mut(&id).filter(|s| !s.told) else { return };
        if let Some(how) = seen.first.differs(turn) {
            seen.other.get_or_insert((turn.exchange.exchange, turn.at(), how));
        } else if let Some(other) = seen.other.filter(|(.., how)| seen.first.is_again(turn, *how)) {
            seen.told = true;
            out.raise(turn.at(), alternation(turn, &seen.first, other));
        }
    }
}
