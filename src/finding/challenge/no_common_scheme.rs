//! See the page below.

use std::net::IpAddr;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::auth::Scheme;
use crate::model::finding::{Basis, Evidence};
use crate::model::{ConnectionId, Stamp};
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The client logs on with a scheme that the server does not offer, is refused, and tries none of those that it does.
    ///
    /// ## What authtap saw
    /// A request with credentials of one scheme, a 401 whose `WWW-Authenticate` fields name only other schemes, and no
    /// request of the same client address with one of these in the half minute after it (or until the watch ended).
    ///
    /// ## Why it breaks
    /// The server ignores credentials of a scheme that is not enabled (IIS answers 401.2). The password may be right; it
    /// is never looked at.
    ///
    /// ## Fix
    /// - Server: enable the scheme that the clients use: *site > Authentication* in IIS Manager (`appcmd set config "SITE" /section:basicAuthentication /enabled:true /commit:apphost`, likewise `windowsAuthentication`, `digestAuthentication`). Basic only over TLS.
    /// - For `NTLM` while only `Negotiate` is offered: *Windows Authentication > Providers* must list NTLM.
    /// - Client: let it use an offered scheme (curl `--negotiate` or `--ntlm` instead of `--basic`; in .NET a `CredentialCache` entry for that scheme).
    ///
    /// ## Not this when
    /// The client only tries a scheme unasked, or sends an empty `Bearer` to see what there is, and then goes on with an
    /// offered one.
    ///
    /// ## References
    /// - RFC 9110 section 11.4
    slug: "no-common-scheme",
    title: "The client's scheme is not among those that the server offers",
    severity: High,
    basis: Observed,
    schemes: [],
    cause: Server,
    consequence_of: ["authorization-malformed", "challenges-folded"],
    since: "0.1.0",
}

/// So long a client may take to come back with an offered scheme.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client that tried what is not offered.
#[derive(Debug)]
struct Tried {
    /// The address that authtap sees, which a trusted forwarder's client hides behind.
    peer: IpAddr,
    scheme: Scheme,
    name: String,
    offered: Vec<Scheme>,
    offered_names: String,
    connection: ConnectionId,
    times: u32,
    at: Stamp,
    evidence: Evidence,
    answer: Evidence,
}

/// Waits for each such client's next try.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    tried: Memory<IpAddr, Tried>,
}

impl Detector {
    fn judge(client: IpAddr, t: Tried, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        // What was not seen may be the very try that is missed here.
        if view.site.gaps().client_since(t.peer, t.at) {
            return;
        }
        let times = if t.times > 1 { format!("{} times", t.times) } else { "once".to_owned() };
        out.raise(
            at,
            Draft::new(
                Basis::Observed,
                format!(
                    "The client {client} tried {} on connection {} ({times}), but the server offers only {}.",
                    t.name, t.connection, t.offered_names
                ),
                t.evidence,
            )
            .scheme(Some(t.scheme.name()))
            .and(t.answer),
        );
    }
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.tried.len()
    }

    fn forgotten(&self) -> u64 {
        self.tried.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        let Some(field) = turn.exchange.authorization.as_ref().filter(|_| turn.request != Event::Bare) else { return };
        let client = turn.party;
        if let Some(t) = self.tried.get_mut(&client) {
            let accepted = matches!(turn.answer, Event::Accepted | Event::AcceptedOnce);
            if accepted || (t.scheme != field.scheme && t.offered.contains(&field.scheme)) {
                self.tried.remove(&client);
            } else {
                t.times += 1;
            }
            return;
        }
        let offered: Vec<Scheme> = turn.exchange.challenges.iter().map(|c| c.scheme.clone()).collect();
        if turn.answer != Event::Refused || offered.is_empty() || offered.contains(&field.scheme) {
            return;
        }
        let at = turn.exchange.times.response_head.unwrap_or_default();
        let offered_names = turn.offered().join(", ");
        let tried = Tried {
            peer: turn.peer,
            scheme: field.scheme.clone(),
            name: field.scheme_as_sent.clone(),
            offered,
            connection: turn.exchange.connection,
            times: 1,
            at,
            evidence: Place::request(turn).says(format!("credentials of the scheme {}", field.scheme_as_sent)),
            answer: Place::response(turn).says(format!("401 offering {offered_names}")),
            offered_names,
        };
        self.tried.entry(client, at, view, || tried);
    }

    fn on_time(&mut self, now: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        while let Some((client, tried)) = self.tried.pop_unused(now, PATIENCE) {
            let due = tried.at.after(PATIENCE);
            Self::judge(client, tried, due, view, out);
        }
    }

    fn on_stop(&mut self, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        for (client, tried) in self.tried.drain() {
            Self::judge(client, tried, at, view, out);
        }
    }
}
