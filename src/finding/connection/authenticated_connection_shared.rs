//! See the page below.

use std::collections::HashSet;
use std::net::IpAddr;

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

/// So many pairs of connection and client are remembered at most.
const MOST: usize = 10_000;

/// Compares each riding request's client with the one that logged on.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    told: HashSet<(ConnectionId, IpAddr)>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.told.len()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
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
        if self.told.len() >= MOST || !self.told.insert((id, now.address)) {
            return;
        }
        let trusted = then.trusted && now.trusted;
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
        if !self.told.is_empty() {
            self.told.retain(|(id, _)| *id != closed.close.connection);
        }
    }
}
