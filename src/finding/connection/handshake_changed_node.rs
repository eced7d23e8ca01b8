//! See the page below.

use std::sync::Arc;

use crate::finding::memory::Memory;
use crate::finding::shared::node::{Node, changed, nodes};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::{Basis, Evidence};
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::track::challenges::{Challenge, Names};
use crate::track::handshake::Event;
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The messages of one NTLM handshake reached different nodes of a farm: one node made the CHALLENGE (Type 2), and
    /// another one was asked to check the answer. It does not know the challenge, and refuses.
    ///
    /// ## What authtap saw
    /// All messages on one connection, in order, and a refused AUTHENTICATE (Type 3). Yet the answer's `X-FEServer`,
    /// `X-BEServer`, `X-Served-By` or affinity cookie names another node than the CHALLENGE's answer did, or the next
    /// challenge on that connection bears another server's name. That the node changed is certain; that the logon failed
    /// because of it is the likeliest cause.
    ///
    /// ## Why it breaks
    /// A balancer behind authtap chooses a node for each request and not for each connection. The challenge lives in the
    /// memory of the node that made it.
    ///
    /// ## Fix
    /// The balancer between authtap and the farm must keep a client's connection on one node.
    /// - HAProxy: `balance source` or `leastconn` with `option prefer-last-server` and `http-reuse never`; never `balance uri`, `hdr` or `random` for a site with Windows authentication.
    /// - nginx: `ip_hash` or `hash $remote_addr`, and `ntlm;` (nginx Plus); or the `stream` module.
    /// - F5 BIG-IP: source address persistence, and no OneConnect profile without an NTLM profile.
    /// - Citrix NetScaler: persistence SOURCEIP on the virtual server. IIS ARR: *Server Farms > (farm) > Server Affinity*, and better a layer-4 balancer.
    /// - Or Kerberos with one service account for the farm, whose single message any node can check.
    ///
    /// Afterwards a CHALLENGE and the answer to its AUTHENTICATE name one node.
    ///
    /// ## Not this when
    /// Another connection meets another node: that is what a balancer is for. An AUTHENTICATE that itself answers another
    /// server's challenge than the one on its connection is `handshake-split-across-connections`.
    ///
    /// ## References
    /// - MS-NLMP section 2.2.2.1 (AV_PAIR); MS-NTHT section 3
    /// - HAProxy configuration manual, `balance`
    slug: "handshake-changed-node",
    title: "The messages of one NTLM handshake reached different nodes",
    severity: High,
    basis: Inferred,
    schemes: ["ntlm", "negotiate-ntlm"],
    cause: Connections,
    consequence_of: [],
    denies_pairing: true,
    since: "0.1.0",
}

/// The last challenge of a connection, and what became of it.
#[derive(Debug)]
struct Last {
    exchange: ExchangeNo,
    at: Stamp,
    names: Arc<Names>,
    nodes: Vec<Node>,
    /// Its AUTHENTICATE came in order, and was refused.
    refused: Option<(ExchangeNo, Stamp)>,
    told: bool,
}

/// Compares the nodes of a handshake's legs.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    last: Memory<ConnectionId, Last>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.last.len()
    }

    fn forgotten(&self) -> u64 {
        self.last.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let id = turn.exchange.connection;
        if let Some(challenge) = &turn.challenge {
            let mut told = false;
            if let Some(last) = self.last.get_mut(&id) {
                if turn.request == Event::Authenticate && turn.in_sequence() {
                    last.refused = Some((turn.exchange.exchange, turn.at()));
                }
                if let Some(draft) = next_challenge(turn, challenge, last).filter(|_| !last.told) {
                    last.told = true;
                    out.raise(turn.at(), draft);
                }
                told = last.told;
            }
            let new = Last {
                exchange: challenge.exchange,
                at: challenge.at,
                names: Arc::clone(&challenge.names),
                nodes: turn.response().map(nodes).unwrap_or_default(),
                refused: None,
                told,
            };
            self.last.remove(&id);
            self.last.entry(id, turn.at(), view, || new);
        } else if turn.request == Event::Authenticate {
            // An error may be the application's own, of a user who is logged on.
            if turn.answer != Event::Refused || !turn.in_sequence() {
                self.last.remove(&id);
                return;
            }
            let Some(last) = self.last.get_mut(&id) else { return };
            last.refused = Some((turn.exchange.exchange, turn.at()));
            if let Some(draft) = same_answer(turn, last).filter(|_| !last.told) {
                last.told = true;
                out.raise(turn.at(), draft);
            }
        }
    }

    fn on_close(&mut self, closed: &Closed, _at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.last.remove(&closed.close.connection);
    }
}

/// The refusal itself names another node.
fn same_answer(turn: &Turn, last: &Last) -> Option<Draft> {
    let what = changed(&last.nodes, &nodes(turn.response()?))?;
    let id = turn.exchange.connection;
    let draft = Draft::new(
        Basis::Inferred,
        format!(
            "On connection {id}, {} failed with {} although its messages came in order: {what}, so most likely a balancer \
             behind authtap sent the AUTHENTICATE to a node that does not know the challenge.",
            turn.whose_logon(),
            turn.status()
        ),
        Place::response(turn).says(format!("{}: the answer to the AUTHENTICATE; {what}", turn.status())),
    );
    Some(draft.scheme(turn.scheme).and(the_challenge(id, last)))
}

/// The refusal was followed by another server's challenge on the same connection.
fn next_challenge(turn: &Turn, challenge: &Challenge, last: &Last) -> Option<Draft> {
    let (exchange, at) = last.refused?;
    let (before, now) = (last.names.server()?, challenge.names.server()?);
    if before.eq_ignore_ascii_case(now) {
        return None;
    }
    let id = turn.exchange.connection;
    let draft = Draft::new(
        Basis::Inferred,
        format!(
            "On connection {id} the CHALLENGE came from {before}, its AUTHENTICATE was refused, and the next CHALLENGE came \
             from {now}: a balancer behind authtap changes the node under one connection, and most likely {now} was asked \
             to check an answer to {before}; or else the credentials were wrong, and the node changed afterwards."
        ),
        Place::response(turn).says(format!("the next CHALLENGE on this connection, of {now}")),
    );
    let refusal: Evidence =
        Place::new(id, Some(exchange), "response", at).says(format!("the AUTHENTICATE for {before} was refused"));
    Some(draft.scheme(Some(challenge.scheme)).and(refusal).and(the_challenge(id, last)))
}

fn the_challenge(id: ConnectionId, last: &Last) -> Evidence {
    let of = last.names.server().map(|n| format!(" of {n}")).unwrap_or_default();
    Place::new(id, Some(last.exchange), "CHALLENGE", last.at).says(format!("the CHALLENGE{of}"))
}
