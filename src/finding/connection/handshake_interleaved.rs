//! See the page below.

use crate::finding::shared::hops::blame;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::event::LinkProof;
use crate::model::finding::Basis;
use crate::track::challenges::Verdict;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// Between the CHALLENGE (Type 2) and the AUTHENTICATE (Type 3) of one NTLM handshake, another request came on the
    /// same connection: an anonymous one, or somebody else's NEGOTIATE. The AUTHENTICATE was then refused.
    ///
    /// ## What authtap saw
    /// The order of the messages on one connection: CHALLENGE, another request, AUTHENTICATE, 401. When the
    /// AUTHENTICATE carries the timestamp of the earlier challenge the finding is `observed`; without it, order alone
    /// says so, and it is `inferred`.
    ///
    /// ## Why it breaks
    /// The server keeps one handshake for each connection. Another request ends it, or starts a new one, and the
    /// response no longer fits.
    ///
    /// ## Fix
    /// Nothing else may use a connection while it is between CHALLENGE and AUTHENTICATE.
    /// - A pooling intermediary: keep one server connection for each client connection (HAProxy `http-reuse never`; nginx without `keepalive` in that upstream, or `ntlm;` in nginx Plus; Envoy `connection_pool_per_downstream_connection: true`).
    /// - A client: no pipelining and no health or preflight request on a connection that is logging on; one connection per handshake.
    ///
    /// Afterwards each CHALLENGE is followed by its own AUTHENTICATE, and authtap reports *pairing verified*.
    ///
    /// ## Not this when
    /// A client starts over with a new NEGOTIATE and answers the new challenge: that is legal and not reported. An
    /// AUTHENTICATE that answers another connection's challenge is `handshake-split-across-connections`.
    ///
    /// ## References
    /// - MS-NLMP section 3.2.5.1; MS-NTHT section 3.1.5
    slug: "handshake-interleaved",
    title: "Another request came between an NTLM challenge and its answer",
    severity: High,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm"],
    cause: Connections,
    consequence_of: ["handshake-split-across-connections"],
    denies_pairing: true,
    since: "0.1.0",
}

/// Looks at each refused AUTHENTICATE whose challenge was interrupted on its own connection.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector;

impl Detect for Detector {
    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if !turn.authenticate_failed() {
            return;
        }
        let (challenge, proof) = match &turn.verdict {
            Some(Verdict::Here(c, proof)) if c.interrupted_by.is_some() => (c, *proof),
            Some(Verdict::Earlier(c, proof)) if !c.answered_here => (c, *proof),
            _ => return,
        };
        let basis = if proof == LinkProof::Timestamp { Basis::Observed } else { Basis::Inferred };
        let by = challenge.interrupted_by;
        let between = by.map_or_else(|| "another request".to_owned(), |e| format!("request {e}"));
        let user = turn.user.as_deref().unwrap_or("a user without a name");
        let e = &turn.exchange;
        let whom = blame(&[e.connection], true, view).whom();
        out.raise(
            e.times.response_head.unwrap_or_default(),
            Draft::new(
                basis,
                format!(
                    "The logon of {user} on connection {} failed with {}: {between} came between its CHALLENGE (exchange {}) \
                     and its AUTHENTICATE (exchange {}), put there {whom}.",
                    e.connection,
                    turn.status(),
                    challenge.exchange,
                    e.exchange
                ),
                Place::request(turn).says(format!(
                    "AUTHENTICATE that answers the CHALLENGE of exchange {}, which was no longer the last thing on \
                     this connection",
                    challenge.exchange
                )),
            )
            .scheme(Some(challenge.scheme))
            .and(
                Place::new(challenge.connection, Some(challenge.exchange), "CHALLENGE", challenge.at)
                    .says("the CHALLENGE it answers"),
            )
            .and_if(by.map(|n| {
                Place::new(e.connection, Some(n), "request", challenge.at).says("the request that came in between")
            }))
            .and(Place::response(turn).says(format!("{}: the server did not accept it", turn.status()))),
        );
    }
}
