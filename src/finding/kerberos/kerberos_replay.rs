//! See the page below.

use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::ticket::{ap_req, spn};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::{Basis, Evidence, Severity};
use crate::model::{ConnectionId, Stamp};
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The same Kerberos message (AP-REQ), byte for byte, came on two connections. A client normally makes a new one for each;
    /// whoever sends it twice repeats a request: a hop in front, or the client itself.
    ///
    /// ## What authtap saw
    /// Two requests whose AP-REQ has the same keyed fingerprint, authenticator included, on different connections within
    /// ten minutes. Where the first had no answer before its connection ended, and the second was accepted, it did no harm and
    /// is told as `info`.
    ///
    /// ## Why it breaks
    /// A Kerberos server remembers the authenticators of the last minutes and refuses a second use (KRB_AP_ERR_REPEAT), so
    /// that a stolen message is worthless. A proxy that tries a failed request again on another connection runs into that;
    /// and where the server does not look, the request may have been done twice.
    ///
    /// ## Fix
    /// - HAProxy: no `retry-on` for these back ends, or `retry-on conn-failure` alone; `option redispatch` only tries again before anything was sent.
    /// - nginx: `proxy_next_upstream off;` (the default, `error timeout`, tries a GET again on another server).
    /// - F5, NetScaler, ARR: no retry of requests on another server.
    /// - A client library that keeps the header for later requests: let it make one for each connection.
    ///
    /// ## Not this when
    /// The message is repeated on the same connection, as some clients do with each request; or only the *ticket* is the same,
    /// which is how Kerberos works.
    ///
    /// ## References
    /// - RFC 4120 section 3.2.3 (replay cache)
    slug: "kerberos-replay",
    title: "The same Kerberos message came on two connections",
    severity: Medium,
    basis: Observed,
    schemes: ["kerberos"],
    cause: Connections,
    consequence_of: [],
    since: "0.1.0",
}

/// As long as a replay cache may remember (twice the clock skew that is allowed).
const REMEMBERED: Duration = Duration::from_mins(10);

/// Where a message was seen first.
#[derive(Debug)]
struct First {
    connection: ConnectionId,
    at: Stamp,
    evidence: Evidence,
    /// Its connection ended before an answer.
    unanswered: bool,
    told: bool,
}

/// Remembers each message's fingerprint.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    seen: Memory<String, First>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.seen.len()
    }

    fn forgotten(&self) -> u64 {
        self.seen.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let Some((ticket, print)) = ap_req(turn).and_then(|k| Some((k, k.request.as_ref()?))) else { return };
        let here = turn.exchange.connection;
        let at = turn.exchange.times.request_head;
        let Some(first) = self.seen.get_mut(print) else {
            let evidence = Place::request(turn).says("the AP-REQ as it came first");
            let unanswered = turn.response().is_none();
            let first = First { connection: here, at, evidence, unanswered, told: false };
            self.seen.entry(print.clone(), at, view, || first);
            return;
        };
        if first.connection == here || first.told || at.since(first.at) > REMEMBERED {
            return;
        }
        first.told = true;
        let answer = match turn.response() {
            Some(r) => format!("; it was answered with {}", r.status),
            None => String::new(),
        };
        // A request that met the end of an idle connection is sent again by many a client, and nothing is lost by it.
        let harmless = first.unanswered && turn.is_accepted();
        let means = if harmless {
            "the first had no answer before its connection ended, so somebody tried again, and it did no harm"
        } else {
            "something repeats requests"
        };
        let draft = Draft::new(
            Basis::Observed,
            format!(
                "The AP-REQ for {} of connection {} came again, byte for byte, on connection {here} from {} {:.1} s \
                 later{answer}: {means}.",
                spn(ticket),
                first.connection,
                turn.party,
                at.since(first.at).as_secs_f64()
            ),
            Place::request(turn).says("the same AP-REQ, authenticator included"),
        )
        .scheme(Some("kerberos"))
        .and(first.evidence.clone());
        out.raise(turn.at(), if harmless { draft.severity(Severity::Info) } else { draft });
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.seen.expire(now, REMEMBERED);
    }
}
