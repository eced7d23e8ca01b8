//! See the page below.

use std::net::IpAddr;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::silence::{Asked, Silence};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::{Basis, Evidence};
use crate::model::{ConnectionId, Stamp};
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The server asked a client to log on, and the client never did: neither on that connection nor on another one.
    ///
    /// ## What authtap saw
    /// A 401 with its schemes, the end of that connection, and no request with credentials from the same address within
    /// the answer window (`answer-window`, five minutes by default) or until the watch ended. Each client is told once.
    ///
    /// ## Why it breaks
    /// The client does not take any of the offered schemes, does not trust the site enough to log on by itself, or its
    /// user closed the prompt.
    ///
    /// ## Fix
    /// - Browsers log on by themselves only to sites they trust: add the site to the *Local intranet* zone (Group Policy *Site to Zone Assignment List*), `AuthServerAllowlist` (Edge, Chrome), `network.negotiate-auth.trusted-uris` and `network.automatic-ntlm-auth.trusted-uris` (Firefox).
    /// - Programs: give them credentials and let them use the scheme (`UseDefaultCredentials` in .NET, `--ntlm` or `--negotiate` with `-u` in curl).
    /// - A scheme that the client lacks: see which schemes were offered, and enable one that it has.
    ///
    /// ## Not this when
    /// The same address logs on elsewhere in that time, or did so in the hour before: browsers open spare connections and
    /// fetch icons and manifests without credentials, and many users may share an address behind a hop. Then nothing is
    /// reported. A browser's preflight and a WebSocket's opening have findings of
    /// their own (`cors-preflight-unauthorized`, `upgrade-unauthorized`).
    ///
    /// ## References
    /// - RFC 9110 section 11.6.1
    slug: "challenge-unanswered",
    title: "A client never answers the challenge",
    severity: Low,
    basis: Observed,
    schemes: [],
    cause: Client,
    consequence_of: [
        "windows-auth-over-http2",
        "negotiate-refuses-ntlm",
        "authorization-malformed",
        "health-probe-unauthorized",
        "fetch-without-credentials",
        "challenges-folded",
        "header-names-lowercased",
    ],
    yields_to: ["ip-restricted", "denied-by-filter-or-application"],
    since: "0.1.0",
}

/// Who sent credentials within this time has some. Browsers fetch icons and manifests without any, long after a logon.
const MEMORY: Duration = Duration::from_hours(1);

/// The first challenge that waits for a client.
#[derive(Debug)]
struct Waiting {
    connection: ConnectionId,
    offered: String,
    request: String,
    evidence: Evidence,
}

/// Waits for credentials from each address that was asked for them.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    /// Addresses that sent credentials lately.
    answered: Memory<IpAddr, ()>,
    waiting: Silence<IpAddr, Waiting>,
}

fn judge(client: IpAddr, asked: Asked<Waiting>, at: Stamp, out: &mut Raise<'_>) {
    let after = at.since(asked.at).as_secs();
    let again = if asked.times > 1 { format!(" ({} refusals in all)", asked.times) } else { String::new() };
    let w = asked.of;
    out.raise(
        at,
        Draft::new(
            Basis::Observed,
            format!(
                "The client {client} asked for {} on connection {}, was offered {}, and sent no credentials in the \
                 {after} s that followed{again}.",
                w.request, w.connection, w.offered
            ),
            w.evidence,
        ),
    );
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.answered.len() + self.waiting.len()
    }

    fn forgotten(&self) -> u64 {
        self.answered.forgotten() + self.waiting.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        let client = turn.party;
        if turn.brings_credentials() {
            self.answered.entry(client, turn.at(), view, || ());
            self.waiting.answered(&client);
            return;
        }
        // Neither can be answered by credentials; they have findings of their own.
        if !turn.is_asked() || turn.is_preflight() || turn.opens_websocket() || self.answered.get(&client).is_some() {
            return;
        }
        self.waiting.asked(client, turn, view, || {
            let offered = turn.offered().join(", ");
            Waiting {
                connection: turn.exchange.connection,
                request: turn.request_line(),
                evidence: Place::response(turn).says(format!("401 offering {offered}")),
                offered,
            }
        });
    }

    fn on_close(&mut self, closed: &Closed, at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.waiting.left(closed.close.connection, at);
    }

    fn on_time(&mut self, now: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        let window = view.settings.answer_window;
        self.answered.expire(now, MEMORY.max(window));
        while let Some((client, asked)) = self.waiting.fallen_due(now, window, view) {
            judge(client, asked, now, out);
        }
    }

    fn on_stop(&mut self, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        for (client, asked) in self.waiting.at_end(at, view) {
            judge(client, asked, at, out);
        }
    }
}
