//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::track::handshake::{Event, Meaning};
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// An NTLM logon should last as long as its connection. Here the server forgets it after each request: the next
    /// request is refused, and the whole handshake starts again.
    ///
    /// ## What authtap saw
    /// A successful AUTHENTICATE, and then a 401 for the next request on the same connection: once, where the server
    /// had said `Persistent-Auth: false`, or at least twice on one connection where it had said nothing, the same place
    /// had been served before, and the logon was for the same application (the first segment of the path).
    ///
    /// ## Why it breaks
    /// Nothing fails outright, but every request costs three, each with a round to a domain controller, and clients
    /// that believe they are logged on lose the body of an upload.
    ///
    /// ## Fix
    /// - IIS: *Configuration Editor > system.webServer/security/authentication/windowsAuthentication > authPersistSingleRequest* must be `False` (`appcmd set config /section:windowsAuthentication /authPersistSingleRequest:false`).
    /// - An intermediary that adds `Via`: older IIS versions then treat the connection as shared and forget the logon. Try once without the header (HAProxy: none by default; Apache: `ProxyVia Off`; Squid: `via off`). Whether current versions still do this is not verified.
    ///
    /// Afterwards requests that follow a logon on the same connection get their answer at once.
    ///
    /// ## Not this when
    /// The scheme is Kerberos: proving each request anew is a normal setting there. Or the connection ended in between,
    /// or the request went to another application.
    ///
    /// ## References
    /// - MS-N2HT section 3.2.5
    slug: "authentication-not-persistent",
    title: "The server forgets an NTLM logon after each request",
    severity: Medium,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm"],
    cause: Connections,
    consequence_of: [],
    since: "0.1.0",
}

/// What is remembered of a connection: its last NTLM logon.
#[derive(Debug, Default)]
struct Held {
    logon: Option<(ExchangeNo, Stamp, Option<bool>)>,
    /// Where that was.
    logon_place: String,
    /// Places that were answered while somebody was logged on: a 401 for another one may be that one's own.
    accepted: Vec<u64>,
    dropped: u32,
    told: bool,
}

/// So many places are remembered for each connection.
const MOST_PLACES: usize = 64;

impl Held {
    fn accept(&mut self, turn: &Turn) {
        let here = turn.path_hash();
        if self.accepted.len() < MOST_PLACES && !self.accepted.contains(&here) {
            self.accepted.push(here);
        }
    }
}

/// Two places of one application, as far as paths tell: below the same first segment, or both at the root.
fn one_application(a: &str, b: &str) -> bool {
    fn first(place: &str) -> &str {
        place.trim_start_matches('/').split_once('/').map_or("", |(first, _)| first)
    }
    a == b || first(a).eq_ignore_ascii_case(first(b))
}

/// Counts, per connection, logons that did not last.
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
        let logon = matches!(turn.meaning(), Meaning::Logon | Meaning::LogonOnce) && turn.status() != 401;
        if logon && turn.request == Event::Authenticate {
            let at = turn.exchange.times.response_head.unwrap_or_default();
            let memory = self.connections.entry(id, at, view, Held::default);
            memory.accept(turn);
            memory.logon = Some((turn.exchange.exchange, at, turn.persistent_auth));
            turn.path().clone_into(&mut memory.logon_place);
            return;
        }
        if turn.request != Event::Bare || turn.answer != Event::Refused {
            if let Some(m) = self.connections.get_mut(&id)
                && turn.request == Event::Bare
            {
                // It lasted for one more request at least.
                m.accept(turn);
                m.logon = None;
                m.dropped = 0;
            }
            return;
        }
        let Some(memory) = self.connections.get_mut(&id) else { return };
        let Some((exchange, at, said)) = memory.logon.take() else { return };
        // Each application pool asks for a logon of its own.
        let here = memory.accepted.contains(&turn.path_hash()) && one_application(&memory.logon_place, turn.path());
        if said != Some(false) && !here {
            return;
        }
        memory.dropped += 1;
        if memory.told || (said != Some(false) && memory.dropped < 2) {
            return;
        }
        memory.told = true;
        let via = view.site.connection(id).and_then(|c| c.via());
        let because = via.map_or_else(String::new, |v| {
            format!(" Its requests carry `Via: {v}`, which is known to make older IIS versions do this.")
        });
        let said = if said == Some(false) {
            "the server says `Persistent-Auth: false`".to_owned()
        } else {
            format!("it happened {} times on this connection", memory.dropped)
        };
        out.raise(
            turn.exchange.times.response_head.unwrap_or_default(),
            Draft::new(
                Basis::Observed,
                format!(
                    "The logon of exchange {exchange} on connection {id} did not last until the next request, which \
                     was refused; {said}.{because}"
                ),
                Place::response(turn).says("401 for a request that followed a logon on this connection"),
            )
            .scheme(turn.scheme.or(Some("ntlm")))
            .and(Place::new(id, Some(exchange), "AUTHENTICATE", at).says("the logon, which succeeded")),
        );
    }

    fn on_close(&mut self, closed: &crate::track::site::Closed, _at: Stamp, _: &View<'_>, _: &mut Raise<'_>) {
        self.connections.remove(&closed.close.connection);
    }
}
