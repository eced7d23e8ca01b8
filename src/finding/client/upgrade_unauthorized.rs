//! See the page below.

use std::net::IpAddr;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::cases::Cases;
use crate::finding::shared::silence::{Asked, Silence};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::finding::{Basis, Evidence};
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A client wants to open a WebSocket (SignalR, Blazor Server, a chat or a live view), is asked to log on, and cannot
    /// answer: most WebSocket clients take 401 for the end.
    ///
    /// ## What authtap saw
    /// A request with `Upgrade: websocket` and without credentials, answered by 401 with a challenge; then no attempt of
    /// the same client on that path that brought credentials or was let in, until it had left. The first case of a path is
    /// told, then the tenth, the twentieth and so on.
    ///
    /// ## Why it breaks
    /// A WebSocket opens a connection of its own. A logon that belongs to another connection (NTLM, and Kerberos where it
    /// is kept with the connection) does not reach it, and script has no way to add `Authorization`. Whether a browser
    /// answers the challenge of a WebSocket by itself differs by browser and scheme; programs do it only when told to.
    /// SignalR then falls back to long polling, which works but costs a request for each message, or fails altogether.
    ///
    /// ## Fix
    /// - Let the opening pass without a Windows logon, and prove who it is by a cookie or a short-lived token in the URL that the logged-on page was given: *Anonymous Authentication* enabled for that path (`<location path="hub">`), and the application checks the ticket.
    /// - A .NET client: `ClientWebSocket.Options.UseDefaultCredentials = true`; SignalR's .NET client: `options.UseDefaultCredentials = true` in `WithUrl`.
    /// - Browsers: add the site to the *Local intranet* zone or to `AuthServerAllowlist`, so that those which can log on by themselves do.
    /// - A proxy in front that ends the connection after the 401 (see whether the response has `Connection: close`): it must keep it, or the challenge cannot be answered there.
    ///
    /// Afterwards the upgrade gets 101.
    ///
    /// ## Not this when
    /// The client comes back with credentials: .NET's clients do, and get 101. Whatever those credentials meet has its own
    /// finding.
    ///
    /// ## References
    /// - RFC 6455 section 4.1 (a client may answer 401, and need not)
    /// - RFC 9110 section 7.8
    slug: "upgrade-unauthorized",
    title: "A WebSocket's opening is refused with 401, and its client does not answer",
    severity: Medium,
    basis: Observed,
    schemes: [],
    cause: Server,
    consequence_of: [],
    since: "0.1.0",
}

/// A client that can answer does so at once; a person at a prompt keeps the connection open.
const PATIENCE: Duration = Duration::from_secs(30);
/// So long a path's cases are counted together.
const MEMORY: Duration = Duration::from_hours(1);

/// A refused opening.
#[derive(Debug)]
struct Opening {
    request: String,
    offered: String,
    closes: bool,
    evidence: Evidence,
}

/// Waits for each refused client's next attempt, by client and path.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    waiting: Silence<(IpAddr, u64), Opening>,
    paths: Memory<u64, Cases>,
}

impl Detector {
    fn judge(&mut self, key: (IpAddr, u64), asked: Asked<Opening>, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        let (client, path) = key;
        let Some(count) = self.paths.entry(path, at, view, Cases::default).more(1) else { return };
        let opening = asked.of;
        let closes = if opening.closes { ", and the response ended the connection" } else { "" };
        let times = if asked.times > 1 { format!(", {} times", asked.times) } else { String::new() };
        let again = if count > 1 { format!(" ({count} clients on that path by now)") } else { String::new() };
        let summary = format!(
            "The client {client} asked for a WebSocket with {}{times}, was refused with 401 (offering {}){closes}, and did \
             not try again with credentials{again}.",
            opening.request, opening.offered
        );
        out.raise(at, Draft::new(Basis::Observed, summary, opening.evidence));
    }
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.waiting.len() + self.paths.len()
    }

    fn forgotten(&self) -> u64 {
        self.waiting.forgotten() + self.paths.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        if !turn.opens_websocket() {
            return;
        }
        let key = (turn.party, turn.path_hash());
        if turn.is_asked() {
            self.waiting.asked(key, turn, view, || {
                let offered = turn.offered().join(", ");
                Opening {
                    request: turn.request_line(),
                    closes: turn.response().is_some_and(crate::model::http::Response::ends_connection),
                    evidence: Place::response(turn).says(format!("401 to the upgrade, offering {offered}")),
                    offered,
                }
            });
        } else if turn.brings_credentials() || turn.is_accepted() {
            self.waiting.answered(&key);
        }
    }

    fn on_close(&mut self, closed: &Closed, at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.waiting.left(closed.close.connection, at);
    }

    fn on_time(&mut self, now: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        self.paths.expire(now, MEMORY);
        while let Some((key, asked)) = self.waiting.fallen_due(now, PATIENCE, view) {
            self.judge(key, asked, now, view, out);
        }
    }

    fn on_stop(&mut self, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        for (key, asked) in self.waiting.at_end(at, view) {
            self.judge(key, asked, at, view, out);
        }
    }
}
