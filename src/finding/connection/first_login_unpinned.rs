//! See the page below.

use std::sync::Arc;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::hops::{Blame, blame};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::event::LinkProof;
use crate::model::finding::Basis;
use crate::model::user::UserKey;
use crate::model::{ConnectionId, Stamp};
use crate::track::challenges::{Challenge, Verdict};
use crate::track::handshake::Event;
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The first logon of a client is torn apart, and its second one works. An intermediary that keeps one server
    /// connection for each client does so too late: only after the server's answer, when the first message has already
    /// gone out on a shared connection.
    ///
    /// ## What authtap saw
    /// A CHALLENGE (Type 2) on one connection, and the AUTHENTICATE (Type 3) that answers it as the first request of a
    /// fresh connection, where it was refused. On that same connection the same user then logged on, with all three
    /// messages together.
    ///
    /// ## Why it breaks
    /// The handshake belongs to the connection of its first message. Users see one prompt or one error, try again and
    /// are in. Programs that try once fail for good, and each first attempt counts as a refused logon.
    ///
    /// ## Fix
    /// The intermediary must bind a client to a server connection as soon as a request carries `Authorization: NTLM` or
    /// `Negotiate`, and not wait for a 401.
    /// - Traefik: a version that pins on the request's `Authorization`; older ones pin after a 401 response alone.
    /// - HAProxy: `http-reuse never` in the backend; it protects by itself only after a 401.
    /// - nginx: no `keepalive` in that upstream, or `ntlm;` (nginx Plus), or the `stream` module.
    /// - Envoy: `connection_pool_per_downstream_connection: true` on the cluster.
    /// - F5 BIG-IP: a OneConnect profile only together with an NTLM profile, or none. Others: pass TCP through.
    ///
    /// Afterwards the first AUTHENTICATE of a client comes on the connection of its CHALLENGE.
    ///
    /// ## Not this when
    /// The second attempt is torn apart as well: that is a pool without any pinning
    /// (`handshake-split-across-connections` alone). A client library that sends its first message on one connection and
    /// goes on with a fresh one looks the same where no hop shows itself; then this is `inferred`.
    ///
    /// ## References
    /// - RFC 4559 section 6; MS-NTHT section 3
    /// - Traefik issue 11037; HAProxy issue 2985
    slug: "first-login-unpinned",
    title: "A client's first logon is torn apart, and its second one stays whole",
    severity: High,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm"],
    cause: Connections,
    consequence_of: [],
    denies_pairing: true,
    since: "0.1.0",
}

/// A second attempt that comes later is another story.
const KEPT: Duration = Duration::from_mins(10);

/// A first logon that was torn apart, on the connection where it ended.
#[derive(Debug)]
struct Torn {
    user: Arc<str>,
    challenge: Challenge,
    exchange: u32,
    at: Stamp,
    proved: bool,
    hop: bool,
    signs: String,
}

/// Waits for the second logon on a connection that began with the end of a torn one.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    torn: Memory<ConnectionId, Torn>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.torn.len()
    }

    fn forgotten(&self) -> u64 {
        self.torn.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if turn.request != Event::Authenticate {
            return;
        }
        let id = turn.exchange.connection;
        if turn.authenticate_failed() {
            if turn.exchange.exchange == 1
                && let Some((challenge, proved)) = answered_elsewhere(turn)
                && let Some(user) = &turn.user
            {
                let blame = blame(&[id, challenge.connection], proved, view);
                let first = torn_apart(turn, user, challenge, proved, &blame);
                self.torn.entry(id, turn.at(), view, || first);
            }
            return;
        }
        if self.torn.len() == 0 || !turn.in_sequence() || !matches!(turn.answer, Event::Accepted | Event::AcceptedOnce)
        {
            return;
        }
        let Some(first) = self.torn.remove(&id) else { return };
        if turn.user.as_ref().is_some_and(|user| UserKey::of(user) == UserKey::of(&first.user)) {
            out.raise(turn.at(), draft(turn, &first));
        }
    }

    fn on_close(&mut self, closed: &Closed, _at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.torn.remove(&closed.close.connection);
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.torn.expire(now, KEPT);
    }
}

/// The challenge of another connection that a refused AUTHENTICATE answers, and whether that is proved.
fn answered_elsewhere(turn: &Turn) -> Option<(&Challenge, bool)> {
    let (challenge, proved) = match turn.verdict.as_ref()? {
        Verdict::Elsewhere(c, proof) => (c, *proof == LinkProof::Timestamp),
        Verdict::Unlinkable { candidates } => match candidates.as_slice() {
            [one] => (one, false),
            _ => return None,
        },
        _ => return None,
    };
    (!challenge.cut_by_server && !challenge.answered_here).then_some((challenge, proved))
}

fn torn_apart(turn: &Turn, user: &Arc<str>, challenge: &Challenge, proved: bool, blame: &Blame) -> Torn {
    Torn {
        user: Arc::clone(user),
        challenge: challenge.clone(),
        exchange: turn.exchange.exchange,
        at: turn.at(),
        proved,
        hop: blame.is_hop(),
        signs: if blame.is_hop() {
            format!("an intermediary{} pins too late ({})", blame.at(), blame.signs())
        } else {
            format!(
                "an intermediary{} that shows no other sign pins too late, or the client itself goes on with a fresh \
                 connection",
                blame.at()
            )
        },
    }
}

fn draft(turn: &Turn, first: &Torn) -> Draft {
    let id = turn.exchange.connection;
    let basis = if first.proved && first.hop { Basis::Observed } else { Basis::Inferred };
    let after = turn.at().since(first.at).as_millis();
    Draft::new(
        basis,
        format!(
            "The first logon of {} was torn apart (CHALLENGE on connection {}, AUTHENTICATE as the first request of \
             connection {id}, refused), and its second one, {after} ms later and whole on connection {id}, succeeded: {}.",
            first.user, first.challenge.connection, first.signs
        ),
        Place::new(id, Some(first.exchange), "AUTHENTICATE", first.at)
            .says("the first AUTHENTICATE, the first request of a fresh connection, refused"),
    )
    .scheme(Some(first.challenge.scheme))
    .and(
        Place::new(first.challenge.connection, Some(first.challenge.exchange), "CHALLENGE", first.challenge.at)
            .says("the CHALLENGE that it answers, on another connection"),
    )
    .and(Place::response(turn).says(format!("{}: the second AUTHENTICATE, on one connection, accepted", turn.status())))
}
