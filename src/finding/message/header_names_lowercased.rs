//! See the page below.

use std::net::IpAddr;

use crate::finding::memory::Memory;
use crate::finding::shared::silence::{Asked, Silence};
use crate::finding::shared::subject::key;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::finding::{Basis, Evidence};
use crate::model::short::short;
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The challenge's field is written `www-authenticate`, in lower case, on HTTP/1.1, and a client of an old or unusual
    /// kind never answers it.
    ///
    /// ## What authtap saw
    /// A 401 with that spelling over HTTP/1.1, and no credentials from that client within the answer window, until it had
    /// left. Browsers, curl and other programs that are known to read names in any case are not reported, and neither is a
    /// client of which another one with the same `User-Agent` answered.
    ///
    /// ## Why it breaks
    /// Names of fields have no case, so the spelling is legal; some old clients compare it letter by letter all the same
    /// (reported of old Outlook versions). IIS writes `WWW-Authenticate`. A hop that speaks HTTP/2 inside, or keeps names
    /// in lower case as HAProxy (since 2.0) and Envoy do, writes them that way.
    ///
    /// ## Fix
    /// - HAProxy: `h1-case-adjust www-authenticate WWW-Authenticate` in `global`, and `option h1-case-adjust-bogus-client` in the frontend.
    /// - Envoy: `header_key_format` in the listener's HTTP/1 options, `proper_case_words` or the `preserve_case` formatter.
    /// - OpenShift: `spec.httpHeaders.headerNameCaseAdjustments` of the ingress controller.
    /// - Or a newer client.
    ///
    /// Afterwards the field reads `WWW-Authenticate`, and the client answers. If it still does not, this was not the cause.
    ///
    /// ## Not this when
    /// The client has no credentials, does not trust the site, or is a probe: from the wire these look the same, hence
    /// never more than `suspected`. On HTTP/2 lower case is the rule.
    ///
    /// ## References
    /// - RFC 9110 section 5.1
    /// - HAProxy documentation, `h1-case-adjust`; Envoy documentation, *HTTP/1.1 Header Casing*
    slug: "header-names-lowercased",
    title: "The challenge's field name is in lower case, and a client never answers",
    severity: Low,
    basis: Suspected,
    schemes: [],
    cause: Intermediary,
    consequence_of: ["health-probe-unauthorized", "fetch-without-credentials", "challenges-folded"],
    since: "0.1.0",
}

/// Parts of `User-Agent`s of programs that read names of fields in any case, or that log on nowhere.
const FORGIVING: &[&str] = &[
    "Chrome/",
    "Firefox/",
    "Safari/",
    "Edge/",
    "Edg/",
    "Trident/",
    "curl/",
    "Wget/",
    "python",
    "Python",
    "Go-http",
    "okhttp",
    "Apache-HttpClient",
    "Java/",
    "node",
    "axios",
    "Postman",
    "PowerShell",
    "probe",
    "Probe",
    "Health",
    "health",
    "monitor",
    "Monitor",
    "bot",
    "Bot",
];

/// A 401 in lower case.
#[derive(Debug)]
struct Lowered {
    agent: String,
    /// Hash over it.
    program: u64,
    request: String,
    server: Option<String>,
    evidence: Evidence,
}

/// Waits for the answer to each challenge in lower case.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    waiting: Silence<IpAddr, Lowered>,
    /// `User-Agent`s that answer such challenges.
    readers: Memory<u64, ()>,
}

impl Detector {
    fn judge(&self, client: IpAddr, asked: Asked<Lowered>, at: Stamp, out: &mut Raise<'_>) {
        let lowered = asked.of;
        if self.readers.get(&lowered.program).is_some() {
            return;
        }
        let agent = if lowered.agent.is_empty() { String::new() } else { format!(" (`{}`)", lowered.agent) };
        let server = lowered.server.map(|s| format!(" from `{s}`")).unwrap_or_default();
        let summary = format!(
            "The 401{server} to {} has its field in lower case, `www-authenticate`, and the client {client}{agent} sent no \
             credentials in the {} s after it: it may read that name in capitals only, or have no credentials, or have \
             given up.",
            lowered.request,
            at.since(asked.at).as_secs()
        );
        out.raise(at, Draft::new(Basis::Suspected, summary, lowered.evidence));
    }
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.waiting.len() + self.readers.len()
    }

    fn forgotten(&self) -> u64 {
        self.waiting.forgotten() + self.readers.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        if turn.brings_credentials() {
            if let Some(asked) = self.waiting.answered(&turn.party)
                && asked.of.program == key(turn.user_agent())
            {
                self.readers.entry(asked.of.program, turn.at(), view, || ());
            }
            return;
        }
        let Some(response) = turn.response().filter(|_| turn.is_asked()) else { return };
        if response.version != "HTTP/1.1" || !response.headers.iter().any(|h| h.name == "www-authenticate") {
            return;
        }
        let agent = turn.user_agent();
        if FORGIVING.iter().any(|f| agent.contains(f)) || turn.is_preflight() || turn.opens_websocket() {
            return;
        }
        self.waiting.asked(turn.party, turn, view, || Lowered {
            agent: short(agent).into_owned(),
            program: key(agent),
            request: turn.request_line(),
            server: response.header("server").map(|s| short(s).into_owned()),
            evidence: Place::response(turn).says("401 with `www-authenticate` in lower case"),
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
