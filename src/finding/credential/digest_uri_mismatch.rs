//! See the page below.

use std::net::IpAddr;

use crate::finding::memory::Memory;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::auth::Token;
use crate::model::finding::Basis;
use crate::model::short::short;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The Digest credentials are made for another address than the one that the request asks for.
    ///
    /// ## What authtap saw
    /// `uri` of the credentials and the request's target, side by side in one request that was refused. Values of query
    /// parameters are compared by their sizes only, for authtap does not keep them.
    ///
    /// ## Why it breaks
    /// The client's proof covers the address. A hop that rewrites the path (a prefix put on or taken off), or a client that
    /// makes the proof for another one, leaves a proof that does not fit, and the server must refuse it.
    ///
    /// ## Fix
    /// - The hop in front must pass the path on as it came: no `rewrite`, no `proxy_pass` with a path (nginx), no `http-request set-path` (HAProxy), no URL Rewrite rule in front of ARR; or let the hop itself authenticate.
    /// - Client: make the proof for the address that is sent, query included.
    ///
    /// ## Not this when
    /// One is the absolute form of the other (`http://host/path` and `/path`), which is allowed.
    ///
    /// ## References
    /// - RFC 7616 section 3.4.6 (`uri`)
    slug: "digest-uri-mismatch",
    title: "Digest credentials are made for another address",
    severity: High,
    basis: Observed,
    schemes: ["digest"],
    cause: Intermediary,
    consequence_of: [],
    since: "0.1.0",
}

/// Tells once of each client and path.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    told: Memory<(IpAddr, u64), ()>,
}

/// Without scheme and authority.
fn origin_form(uri: &str) -> &str {
    match uri.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => rest.find('/').map_or("/", |at| rest.split_at(at).1),
        _ => uri,
    }
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.told.len()
    }

    fn forgotten(&self) -> u64 {
        self.told.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let refused = matches!(turn.answer, Event::Refused | Event::Undecided);
        if !refused || turn.request != Event::Credentials || turn.is_stale() {
            return;
        }
        let Some(field) = turn.exchange.authorization.as_ref().filter(|a| a.token == Token::Digest) else { return };
        let Some(uri) = field.param("uri").filter(|_| field.faults.is_empty()) else { return };
        let target = turn.exchange.request.target.as_str();
        if origin_form(uri) == origin_form(target) {
            return;
        }
        let key = (turn.party, turn.path_hash());
        if !self.told.is_first(key, turn.at(), view) {
            return;
        }
        let (uri, target) = (short(uri), short(target));
        let via = turn.header("via").map(|v| format!(" (`Via: {v}`)")).unwrap_or_default();
        out.raise(
            turn.at(),
            Draft::new(
                Basis::Observed,
                format!(
                    "The Digest credentials of {} on connection {} are made for {uri}, and the request asks for {target}: a hop \
                     on the way rewrites the path{via}, or the client does.",
                    turn.user.as_deref().unwrap_or("a client"),
                    turn.exchange.connection
                ),
                Place::request(turn).says(format!("`uri` is {uri}, the target is {target}")),
            )
            .scheme(Some("digest"))
            .and(Place::response(turn).says(format!("{}", turn.status()))),
        );
    }
}
