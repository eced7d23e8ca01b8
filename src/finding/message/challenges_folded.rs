//! See the page below.

use std::net::IpAddr;

use crate::finding::memory::Memory;
use crate::finding::shared::silence::{Asked, Silence};
use crate::finding::shared::subject::key;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::auth::{Scheme, Token};
use crate::model::finding::{Basis, Evidence};
use crate::track::handshake::Event;
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The 401 names several schemes in one `WWW-Authenticate` field, as a list with commas, and the client cannot read
    /// that: it never logs on, or with something that was not offered.
    ///
    /// ## What authtap saw
    /// A 401 with fewer `WWW-Authenticate` fields than challenges, and what its client did next: credentials of a scheme
    /// that is not in the list, or that could not be read, and were refused (`inferred`); or nothing at all within the
    /// answer window, until it had left (`suspected`). Clients of which another one with the same `User-Agent` answered
    /// such a list are not reported.
    ///
    /// ## Why it breaks
    /// The list is legal, and hard to read: commas also part the parameters of one challenge. Many clients look at the
    /// first scheme only, or take the whole line for one. IIS sends a field for each scheme, so something between it and
    /// the client joined them: Node.js joins equal fields when a proxy copies `headers` instead of `rawHeaders`, and so do
    /// gateways that keep headers in a map.
    ///
    /// ## Fix
    /// Let the hop pass the fields on one by one.
    /// - A proxy in Node.js (http-proxy, http-proxy-middleware, webpack's development server): in `proxyRes`, set `proxyRes.headers["www-authenticate"] = proxyRes.headers["www-authenticate"].split(",")`; this breaks challenges with parameters, which must be split by hand.
    /// - A gateway or an application of your own: append, do not set (`Headers.Append` in ASP.NET Core, `addHeader` in Java, `Header.Add` in Go).
    /// - Or offer one scheme only, if that serves all clients: *site > Authentication > Windows Authentication > Providers*.
    /// - Or a client that reads the list: see for a newer version.
    ///
    /// Afterwards the 401 has one `WWW-Authenticate` line for each scheme, and the client answers.
    ///
    /// ## Not this when
    /// The client has no credentials, does not trust the site, or is a probe: then it would not answer separate fields
    /// either. Clients that read the list log on, and nothing is reported.
    ///
    /// ## References
    /// - RFC 9110 sections 5.3 and 11.6.1
    slug: "challenges-folded",
    title: "Several challenges came folded into one field, and the client cannot read them",
    severity: Medium,
    basis: Inferred,
    schemes: [],
    cause: Intermediary,
    consequence_of: ["health-probe-unauthorized", "fetch-without-credentials"],
    since: "0.1.0",
}

/// A folded list that waits for its client.
#[derive(Debug)]
struct Folded {
    schemes: Vec<Scheme>,
    list: String,
    /// Hash over its `User-Agent`.
    agent: u64,
    request: String,
    evidence: Evidence,
}

/// Waits for the answer to each folded list.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    waiting: Silence<IpAddr, Folded>,
    /// `User-Agent`s that can read a list.
    readers: Memory<u64, ()>,
}

/// Whether a field holds more than one challenge.
fn is_folded(turn: &Turn) -> bool {
    let challenges = turn.exchange.challenges.len();
    let fields = turn
        .response()
        .map_or(0, |r| r.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("www-authenticate")).count());
    challenges > fields
}

impl Detector {
    /// What the client sent next: a reader's answer, or one that shows that it could not read.
    fn answered(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(asked) = self.waiting.answered(&turn.party) else { return };
        let Some(field) = &turn.exchange.authorization else { return };
        let folded = asked.of;
        if key(turn.user_agent()) != folded.agent {
            return;
        }
        if folded.schemes.contains(&field.scheme) && field.token != Token::Unknown {
            self.readers.entry(folded.agent, turn.at(), view, || ());
            return;
        }
        if turn.answer != Event::Refused {
            return;
        }
        let sent = match field.scheme_as_sent.as_str() {
            "" => "something that is no scheme".to_owned(),
            name if field.token == Token::Unknown => format!("`{name}` with a value that cannot be read"),
            name => format!("`{name}`"),
        };
        let summary = format!(
            "The 401 to {} offered `{}` in one field, and the client {} answered with {sent}, which was refused: most \
             likely it cannot read the list.",
            folded.request, folded.list, turn.party
        );
        let primary = Place::request(turn).says(format!("{sent} in answer to the folded list"));
        let draft = Draft::new(Basis::Inferred, summary, primary).and(folded.evidence);
        out.raise(turn.at(), draft.and(Place::response(turn).says("401: the server refused it")));
    }

    fn judge(&self, client: IpAddr, asked: Asked<Folded>, at: Stamp, out: &mut Raise<'_>) {
        let folded = asked.of;
        if self.readers.get(&folded.agent).is_some() {
            return;
        }
        let summary = format!(
            "The 401 to {} offered `{}` in one field, and the client {client} sent no credentials in the {} s after it: it \
             may not read the list, or it has no credentials for this site, or its user gave up.",
            folded.request,
            folded.list,
            at.since(asked.at).as_secs()
        );
        out.raise(at, Draft::new(Basis::Suspected, summary, folded.evidence));
    }
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.waiting.len() + self.readers.len()
    }

    fn forgotten(&self) -> u64 {
        self.waiting.forgotten() + self.readers.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if turn.brings_credentials() {
            self.answered(turn, view, out);
            return;
        }
        if !turn.is_asked() || !is_folded(turn) || turn.is_preflight() || turn.opens_websocket() {
            return;
        }
        self.waiting.asked(turn.party, turn, view, || {
            let list = turn.offered().join(", ");
            Folded {
                schemes: turn.exchange.challenges.iter().map(|c| c.scheme.clone()).collect(),
                agent: key(turn.user_agent()),
                request: turn.request_line(),
                evidence: Place::response(turn).says(format!("401 with `{list}` in one field")),
                list,
            }
        });
    }

    fn on_close(&mut self, closed: &Closed, at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.waiting.left(closed.close.connection, at);
    }

    fn on_time(&mut self, now: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        while let Some((client, asked)) = self.waiting.fallen_due(now, view.settings.answer_window, view) {
            self.judge(client, asked, now, out);
        }
    }

    fn on_stop(&mut self, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        for (client, asked) in self.waiting.at_end(at, view) {
            self.judge(client, asked, at, out);
        }
    }
}
