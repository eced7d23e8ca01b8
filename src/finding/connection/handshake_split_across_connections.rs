//! See the page below.

use crate::finding::shared::hops::blame;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::event::LinkProof;
use crate::model::finding::Basis;
use crate::track::challenges::{Challenge, Verdict};
use crate::track::handshake::State;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// NTLM authenticates a TCP connection. Its three messages must travel on one and the same connection, in order.
    /// Here the last one (AUTHENTICATE, Type 3) came on another connection than the CHALLENGE (Type 2) it answers, and
    /// the server refused it.
    ///
    /// ## What authtap saw
    /// An AUTHENTICATE on a connection where no challenge of its own waited for it, answered by 401 (or, by other servers
    /// than IIS, by 400 or 500). An NTLMv2 response
    /// repeats the timestamp and the names of the challenge it answers; when they are those of a challenge that went
    /// out on another connection, the crossing is proved (`observed`). Without them (NTLMv1, a server that sends no
    /// timestamp) only the order is known, and the finding is `inferred`.
    ///
    /// ## Why it breaks
    /// IIS keeps the state of the handshake with the connection. On the other connection it has no challenge to check
    /// the response against, and answers 401.1; its log then has win32 status 2148074248 (0x80090308,
    /// SEC_E_INVALID_TOKEN), as Microsoft describes it for balancers. Where a
    /// challenge of somebody else's waits on that connection, the response does not fit it, and the log may say 2148074252
    /// as for a wrong password (seen on the simulator, not verified on IIS). Typing the password again does not help.
    ///
    /// ## Fix
    /// Whatever stands in front must keep one server connection for each client connection while Windows
    /// authentication is in use, or pass TCP through.
    /// - HAProxy: `http-reuse never` in the backend, with `option prefer-last-server` (`safe`, the default of current versions, protects only from a 401 on).
    /// - nginx: `ntlm;` in the `upstream` block (nginx Plus), or the `stream` module instead of `http`; without them no `keepalive` in that upstream.
    /// - Envoy: `connection_pool_per_downstream_connection: true` on the cluster.
    /// - Azure Application Gateway v2, Service Fabric's reverse proxy, YARP: Windows authentication does not pass through; use a layer-4 load balancer.
    /// - A client library that does it: one connection per handshake (for example `MaxConnsPerHost=1`), or a newer version.
    /// - Or Kerberos, whose single message does not depend on the connection.
    ///
    /// Afterwards authtap reports *pairing verified*.
    ///
    /// ## Not this when
    /// The connection that carried the challenge was ended by the server's side first
    /// (`connection-closed-mid-handshake`: then the client had no choice), or another request came in between on the
    /// same connection (`handshake-interleaved`). A server that accepts the message all the same is not reported.
    ///
    /// ## References
    /// - MS-NLMP sections 2.2.2.1 (AV_PAIR), 3.1.5.1.2, 3.2.5.1.2; MS-NTHT section 3
    /// - RFC 4559 section 6
    slug: "handshake-split-across-connections",
    title: "An NTLM handshake was torn apart across connections",
    severity: High,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm"],
    cause: Connections,
    consequence_of: ["first-login-unpinned"],
    denies_pairing: true,
    since: "0.1.0",
}

/// Looks at each refused AUTHENTICATE.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector;

impl Detect for Detector {
    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if !turn.authenticate_failed() {
            return;
        }
        let draft = match &turn.verdict {
            Some(Verdict::Elsewhere(challenge, proof)) if !challenge.cut_by_server && !challenge.answered_here => {
                crossed(turn, view, challenge, *proof)
            }
            Some(Verdict::Unseen { outstanding, server, names_differ }) => {
                unseen(turn, view, outstanding.as_ref(), server.as_deref(), *names_differ)
            }
            Some(Verdict::Unlinkable { candidates })
                if turn.sent.from != State::Challenged && !candidates.iter().any(|c| c.cut_by_server) =>
            {
                unlinked(turn, view, candidates)
            }
            _ => return,
        };
        out.raise(turn.exchange.times.response_head.unwrap_or_default(), draft);
    }
}

fn who(turn: &Turn) -> String {
    turn.user.as_ref().map_or_else(|| "a logon".to_owned(), |u| format!("the logon of {u}"))
}

/// `proved`: the AUTHENTICATE surely answers that challenge, so that one party had both.
fn whom_to_blame(turn: &Turn, view: &View<'_>, other: Option<&Challenge>, proved: bool) -> String {
    let ids: Vec<_> = std::iter::once(turn.exchange.connection).chain(other.map(|c| c.connection)).collect();
    blame(&ids, proved, view).whom()
}

fn refusal(turn: &Turn) -> crate::model::finding::Evidence {
    Place::response(turn).says(match turn.status() {
        401 => "401 with bare schemes: the server refused it".to_owned(),
        other => format!("{other}: the server could not place it"),
    })
}

/// `was refused` or `failed with 500`.
fn failed(turn: &Turn) -> String {
    match turn.status() {
        401 => "was refused".to_owned(),
        other => format!("failed with {other}"),
    }
}

/// Whether something went unseen in the time that a challenge is remembered: then what did not pass may only not have
/// been seen.
fn seen_all(turn: &Turn, view: &View<'_>) -> bool {
    let memory = view.settings.limits.challenge_memory;
    let at = turn.exchange.times.request_head;
    let since = crate::model::Stamp(at.0.saturating_sub(i64::try_from(memory.as_micros()).unwrap_or(i64::MAX)));
    !view.site.gaps().since(since)
}

fn crossed(turn: &Turn, view: &View<'_>, challenge: &Challenge, proof: LinkProof) -> Draft {
    let e = &turn.exchange;
    let server = challenge.names.server().map(|n| format!(" of {n}")).unwrap_or_default();
    let (basis, how) = match proof {
        LinkProof::Timestamp => (
            Basis::Observed,
            "its response repeats that challenge's timestamp, to 100 ns, and its server's names".to_owned(),
        ),
        _ => (Basis::Inferred, "its response's own time is that challenge's timestamp, to 100 ns".to_owned()),
    };
    let whom = whom_to_blame(turn, view, Some(challenge), true);
    Draft::new(
        basis,
        format!(
            "{} {} because its AUTHENTICATE came on connection {}, while the CHALLENGE{server} that it answers went out \
             on connection {}; the legs were mixed {whom}.",
            capital(&who(turn)),
            failed(turn),
            e.connection,
            challenge.connection,
        ),
        Place::request(turn).says(format!(
            "AUTHENTICATE on a connection whose own challenge it does not answer; {how} (connection {}, exchange {})",
            challenge.connection, challenge.exchange
        )),
    )
    .scheme(Some(challenge.scheme))
    .and(
        Place::new(challenge.connection, Some(challenge.exchange), "CHALLENGE", challenge.at)
            .says(format!("the CHALLENGE{server} that was answered elsewhere")),
    )
    .and(refusal(turn))
}

fn unseen(
    turn: &Turn,
    view: &View<'_>,
    outstanding: Option<&Challenge>,
    server: Option<&str>,
    names_differ: bool,
) -> Draft {
    let e = &turn.exchange;
    let named = server.map(|n| format!(" (it names {n})")).unwrap_or_default();
    let what = match (names_differ, outstanding) {
        (true, _) => "another server's challenge",
        (false, Some(_)) => "a challenge with another timestamp",
        (false, None) => "a challenge that was made elsewhere, by its timestamp",
    };
    let whom = whom_to_blame(turn, view, None, false);
    let (basis, unseen) = if seen_all(turn, view) {
        (Basis::Inferred, "which did not pass this authtap")
    } else {
        (Basis::Suspected, "which did not pass this authtap, or was among what it could not see (there is a gap)")
    };
    Draft::new(
        basis,
        format!(
            "{} {} on connection {}: its AUTHENTICATE answers {what}{named}, {unseen}; the legs were mixed {whom}.",
            capital(&who(turn)),
            failed(turn),
            e.connection,
        ),
        Place::request(turn).says(format!("AUTHENTICATE that answers {what}{named}")),
    )
    .scheme(turn.scheme)
    .and_if(outstanding.map(|c| {
        Place::new(c.connection, Some(c.exchange), "CHALLENGE", c.at)
            .says("the challenge that waited on this connection, and is not the one answered")
    }))
    .and(refusal(turn))
}

fn unlinked(turn: &Turn, view: &View<'_>, candidates: &[Challenge]) -> Draft {
    let e = &turn.exchange;
    let kind = turn.authenticate().map_or("", |a| a.response.name());
    let likely = match candidates {
        [] => "no unanswered challenge was seen on another connection either".to_owned(),
        [one] => format!("the one unanswered challenge elsewhere is on connection {}", one.connection),
        [first, ..] => {
            format!("several challenges elsewhere are unanswered, the latest on connection {}", first.connection)
        }
    };
    let whom = whom_to_blame(turn, view, candidates.first(), false);
    let basis = if seen_all(turn, view) { Basis::Inferred } else { Basis::Suspected };
    let likely = if basis == Basis::Suspected { format!("{likely}, but not everything was seen") } else { likely };
    Draft::new(
        basis,
        format!(
            "{} {} on connection {}, which had no challenge waiting: its AUTHENTICATE belongs to another connection \
             ({likely}); the message ({kind}) carries nothing that could prove which. The legs were mixed \
             {whom}.",
            capital(&who(turn)),
            failed(turn),
            e.connection,
        ),
        Place::request(turn).says("AUTHENTICATE on a connection where no CHALLENGE waited for it"),
    )
    .scheme(turn.scheme)
    .and_if(candidates.first().map(|c| {
        Place::new(c.connection, Some(c.exchange), "CHALLENGE", c.at)
            .says("a challenge that nobody has answered; it may be the one")
    }))
    .and(refusal(turn))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}
