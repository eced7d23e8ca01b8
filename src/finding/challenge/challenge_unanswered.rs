//! See the page below.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::{Basis, Evidence};
use crate::model::{ConnectionId, Stamp};
use crate::track::handshake::Event;
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The server asked a client to log on, and the client never did: neither on that connection nor on another one.
    ///
    /// ## What authtap saw
    /// A 401 with its schemes, the end of that connection, and no request with credentials from the same address within
    /// the answer window (`answer-window`, five minutes by default) or until the watch ended.
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
    /// The same address logs on elsewhere in that time: browsers open spare connections, and many users may share an
    /// address behind a hop. Then nothing is reported.
    ///
    /// ## References
    /// - RFC 9110 section 11.6.1
    slug: "challenge-unanswered",
    title: "A client never answers the challenge",
    severity: Low,
    basis: Observed,
    schemes: [],
    cause: Client,
    consequence_of: [],
    yields_to: ["ip-restricted", "denied-by-filter-or-application"],
    since: "0.1.0",
}

/// At the watch's end, a connection that ended so long ago will not be answered by its client's next one.
const SETTLED: Duration = Duration::from_secs(5);
/// So many addresses are remembered at most.
const MOST: usize = 10_000;

/// The first challenge that waits for a client.
#[derive(Debug)]
struct Waiting {
    /// The address that authtap sees, which a trusted forwarder's client hides behind.
    peer: IpAddr,
    connection: ConnectionId,
    asked_at: Stamp,
    closed_at: Option<Stamp>,
    /// 401s that the client has not answered since.
    times: u32,
    offered: String,
    request: String,
    evidence: Evidence,
}

/// Waits for credentials from each address that was asked for them.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    /// When an address last sent credentials.
    answered: HashMap<IpAddr, Stamp>,
    waiting: HashMap<IpAddr, Waiting>,
    /// The client that waits with each connection.
    by_connection: HashMap<ConnectionId, IpAddr>,
    due: VecDeque<(Stamp, IpAddr)>,
}

impl Detector {
    fn judge(&mut self, client: IpAddr, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(w) = self.waiting.remove(&client) else { return };
        // What was not seen may be the very answer that is missed here.
        if view.site.gaps().client_since(w.peer, w.asked_at) {
            return;
        }
        let after = at.since(w.asked_at).as_secs();
        let again = if w.times > 1 { format!(" ({} refusals in all)", w.times) } else { String::new() };
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
}

/// The first moment after `now` that is whole windows after `due`, whatever time has jumped over.
fn next_after(due: Stamp, window: Duration, now: Stamp) -> Stamp {
    let step = i64::try_from(window.as_micros()).unwrap_or(i64::MAX).max(1);
    let passed = now.0.saturating_sub(due.0) / step;
    Stamp(due.0.saturating_add(passed.saturating_add(1).saturating_mul(step)))
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.answered.len() + self.waiting.len() + self.by_connection.len() + self.due.len()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        let id = turn.exchange.connection;
        let client = turn.party;
        let at = turn.exchange.times.response_head.unwrap_or(turn.exchange.times.request_head);
        let window = view.settings.answer_window;
        if turn.request != Event::Bare {
            if self.answered.len() >= MOST {
                self.answered.retain(|_, t| at.since(*t) < window);
            }
            if self.answered.len() < MOST {
                self.answered.insert(client, at);
            }
            self.waiting.remove(&client);
            return;
        }
        if turn.answer != Event::Refused || turn.exchange.challenges.is_empty() {
            return;
        }
        if let Some(w) = self.waiting.get_mut(&client) {
            w.times += 1;
            return;
        }
        let lately = self.answered.get(&client).is_some_and(|t| at.since(*t) < window);
        if lately || self.waiting.len() >= MOST {
            return;
        }
        let offered = turn.offered().join(", ");
        self.waiting.insert(
            client,
            Waiting {
                peer: turn.peer,
                connection: id,
                asked_at: at,
                closed_at: None,
                times: 1,
                request: format!("{} {}", turn.exchange.request.method, turn.exchange.request.target),
                evidence: Place::response(turn).says(format!("401 offering {offered}")),
                offered,
            },
        );
        self.by_connection.insert(id, client);
        self.due.push_back((at.after(window), client));
    }

    fn on_close(&mut self, closed: &Closed, at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        let id = closed.close.connection;
        if let Some(w) = self.by_connection.remove(&id).and_then(|client| self.waiting.get_mut(&client))
            && w.connection == id
        {
            w.closed_at = Some(at);
        }
    }

    fn on_time(&mut self, now: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        let window = view.settings.answer_window;
        while let Some(&(due, client)) = self.due.front() {
            if due > now {
                break;
            }
            self.due.pop_front();
            match self.waiting.get(&client) {
                // Asked again since the entry was made: its own entry follows.
                Some(w) if w.asked_at.after(window) > due => {}
                // Its connection is open: a person may be typing. Look again later.
                Some(w) if w.closed_at.is_none() => self.due.push_back((next_after(due, window, now), client)),
                Some(_) => self.judge(client, due, view, out),
                None => {}
            }
        }
    }

    fn on_stop(&mut self, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        let mut settled: Vec<IpAddr> = self
            .waiting
            .iter()
            .filter(|(_, w)| w.closed_at.is_some_and(|t| at.since(t) >= SETTLED))
            .map(|(client, _)| *client)
            .collect();
        settled.sort_unstable();
        for client in settled {
            self.judge(client, at, view, out);
        }
    }
}
