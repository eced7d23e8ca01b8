//! See the page below.

use crate::finding::shared::hops::not_iis;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::finding::Basis;
use crate::model::transport::{By, How};
use crate::track::challenges::Challenge;
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The connection ended after the server's CHALLENGE (Type 2) and before the client could answer it. An NTLM
    /// handshake cannot go on anywhere else, so nobody can log on this way.
    ///
    /// ## What authtap saw
    /// A CHALLENGE in a response that itself ends the connection (`Connection: close`, or HTTP/1.0 without
    /// `keep-alive`) or answers a request that asks for that, or the server's side closing or resetting the connection while the challenge waited for its answer
    /// or the answer for its verdict.
    ///
    /// ## Why it breaks
    /// The challenge lives in the server's memory of that connection. Once the connection is gone the client can only
    /// start over, and meets the same end again: it looks like an endless password prompt.
    ///
    /// ## Fix
    /// Remove what closes the connection after a 401.
    /// - nginx in front of IIS: its `http` proxy does not keep one server connection for each client, and `proxy_http_version 1.1;` with `proxy_set_header Connection "";` alone does not change that. Use the `stream` module, or `ntlm;` with `keepalive` in the upstream (nginx Plus) together with these two; no `keepalive_timeout 0`.
    /// - HAProxy: no `option httpclose`, `option http-server-close` or (in old versions) `option forceclose` in that frontend and backend.
    /// - IIS: *HTTP Response Headers > Set Common Headers > Enable HTTP keep-alive* must be on (`appcmd set config /section:httpProtocol /allowKeepAlive:true`); an ISAPI filter or module that adds `Connection: close` must go.
    ///
    /// Afterwards the 401 that carries the challenge keeps its connection, and the AUTHENTICATE follows on it.
    ///
    /// ## Not this when
    /// The client itself closes, which is how a user or a program gives up; or the server closes a connection that had
    /// been idle for ten seconds or more after the challenge, which means that the client had left. A `Connection: close` on the last, refusing 401 is harmless.
    ///
    /// ## References
    /// - RFC 9112 section 9.6; RFC 4559 section 6; MS-NTHT section 3
    slug: "connection-closed-mid-handshake",
    title: "The connection was closed in the middle of an NTLM handshake",
    severity: High,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm"],
    cause: Connections,
    consequence_of: ["expect-continue-stall"],
    denies_pairing: true,
    since: "0.1.0",
}

/// Looks at each challenge and at each end.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector;

impl Detect for Detector {
    fn on_turn(&mut self, turn: &Turn, _view: &View<'_>, out: &mut Raise<'_>) {
        let Some(challenge) = turn.challenge.as_ref().filter(|c| c.announced_close) else { return };
        let how = turn.response().map_or("", |r| {
            if r.version == "HTTP/1.0" { "is HTTP/1.0 without keep-alive" } else { "says `Connection: close`" }
        });
        let server = challenge.names.server().map(|n| format!(" of {n}")).unwrap_or_default();
        // Whoever sent `Connection: close` first ends it: the server only obeys.
        let request = &turn.exchange.request;
        let asked_for = request.header("connection").is_some_and(|v| v.to_ascii_lowercase().contains("close"))
            || request.version == "HTTP/1.0";
        let asked = if asked_for { ", as the request had asked for".to_owned() } else { not_iis(turn) };
        out.raise(
            challenge.at,
            Draft::new(
                Basis::Observed,
                format!(
                    "The CHALLENGE{server} on connection {} can never be answered: the response that carries it {how}{asked}.",
                    challenge.connection
                ),
                Place::response(turn).says(format!("401 with a CHALLENGE, and the response {how}")),
            )
            .scheme(Some(challenge.scheme))
            .and_if(asked_for.then(|| {
                Place::request(turn).says("the request itself asks to end the connection: look at the client, or a hop before")
            })),
        );
    }

    fn on_close(&mut self, closed: &Closed, at: Stamp, _view: &View<'_>, out: &mut Raise<'_>) {
        let Some(challenge) =
            closed.challenge.as_ref().filter(|c| (closed.answered || c.cut_by_server) && !c.announced_close)
        else {
            return;
        };
        if !closed.close.mid_handshake {
            return;
        }
        if challenge.asked_close && !closed.answered {
            out.raise(at, as_asked(challenge, closed));
            return;
        }
        if closed.close.end.by != By::Upstream {
            return;
        }
        let how = if closed.close.end.how == How::Reset { "reset" } else { "closed" };
        let after = closed.ended_at.since(challenge.at).as_millis();
        out.raise(
            at,
            Draft::new(
                Basis::Observed,
                format!(
                    "The server's side {how} connection {} {after} ms after its CHALLENGE, {}.",
                    challenge.connection,
                    if closed.answered {
                        "when the client's AUTHENTICATE had come and before it was answered"
                    } else {
                        "before the client had answered it"
                    }
                ),
                Place::new(challenge.connection, None, "close", closed.ended_at)
                    .says(format!("the upstream {how} the connection first")),
            )
            .scheme(Some(challenge.scheme))
            .and(
                Place::new(challenge.connection, Some(challenge.exchange), "CHALLENGE", challenge.at)
                    .says("the CHALLENGE that waited for its answer"),
            ),
        );
    }
}

/// The request itself asked for the end: whose side closed first is chance.
fn as_asked(challenge: &Challenge, closed: &Closed) -> Draft {
    let after = closed.ended_at.since(challenge.at).as_millis();
    Draft::new(
        Basis::Observed,
        format!(
            "The request of connection {} that got a CHALLENGE had itself asked to end the connection (`Connection: close`, or \
             HTTP/1.0 without `keep-alive`), which ended {after} ms later, before the CHALLENGE could be answered: look at the \
             client, or a hop in front of authtap.",
            challenge.connection
        ),
        Place::new(challenge.connection, None, "close", closed.ended_at).says("the connection ended as the request had asked"),
    )
    .scheme(Some(challenge.scheme))
    .and(
        Place::new(challenge.connection, Some(challenge.exchange), "CHALLENGE", challenge.at)
            .says("the CHALLENGE, in answer to a request that asks to end the connection"),
    )
}
