//! See the page below.

use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::cases::Cases;
use crate::finding::shared::subject::key;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::finding::{Basis, Evidence};
use crate::model::short::short;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A page of another origin calls this site by script. The browser first asks with an OPTIONS request whether it may
    /// (a CORS preflight), and the site answers that with 401. The call itself is never made.
    ///
    /// ## What authtap saw
    /// An OPTIONS request with `Origin` and `Access-Control-Request-Method`, a 401, and no request of that kind from the
    /// same client and origin in the seconds after it. The first such preflight of an origin is told, then the tenth, the
    /// twentieth and so on.
    ///
    /// ## Why it breaks
    /// A browser sends no credentials with a preflight, whatever the page asks for, and takes no challenge: any status
    /// but 200 to 299 ends the call, and the script sees only a network error. With Windows or Basic authentication for
    /// the whole site, and anonymous access off, IIS refuses the OPTIONS request before any application sees it.
    ///
    /// ## Fix
    /// - The IIS CORS module (a separate download) answers preflights before authentication: in `web.config`, below `system.webServer`, `<cors enabled="true"><add origin="https://PAGE" allowCredentials="true"><allowHeaders allowAllRequestedHeaders="true" /></add></cors>`.
    /// - Or let OPTIONS through without a logon: enable *Anonymous Authentication* beside *Windows Authentication* for that application, and let ASP.NET refuse anonymous users for every other verb, in `web.config`: `<system.web><authorization><allow verbs="OPTIONS" users="?" /><deny users="?" /></authorization></system.web>`.
    /// - ASP.NET Core: `app.UseCors(…)` before `app.UseAuthentication()`, and anonymous access on in IIS (`forwardWindowsAuthToken` stays on; require a logon by policy).
    /// - The page: `fetch(…, { credentials: "include" })` (`withCredentials` of XMLHttpRequest), and the site must name the origin itself in `Access-Control-Allow-Origin`, not `*`.
    ///
    /// Afterwards the OPTIONS request gets 200 or 204 with `Access-Control-Allow-Origin`, and the real request follows.
    ///
    /// ## Not this when
    /// The real request follows all the same: then the sender is not held up by the answer, and nothing is reported. An
    /// OPTIONS request without these two fields is no preflight (WebDAV and Office send such).
    ///
    /// ## References
    /// - Fetch Standard, sections "CORS-preflight fetch" and "CORS protocol and credentials"
    /// - IIS documentation, *IIS CORS module Configuration Reference*
    slug: "cors-preflight-unauthorized",
    title: "A CORS preflight is refused with 401, so the real request is never sent",
    severity: High,
    basis: Observed,
    schemes: [],
    cause: Server,
    consequence_of: [],
    since: "0.1.0",
}

/// A browser sends the real request as soon as it has the preflight's answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// So long an origin's preflights are counted together.
const MEMORY: Duration = Duration::from_hours(1);

/// Who asked, and for what: the client, and a hash over origin and path.
type Asker = (std::net::IpAddr, u64);

/// A refused preflight whose real request may follow.
#[derive(Debug)]
struct Refused {
    peer: std::net::IpAddr,
    at: Stamp,
    times: u64,
    origin: String,
    /// Host and origin.
    subject: u64,
    method: String,
    request: String,
    offered: String,
    evidence: Evidence,
}

/// Waits for the request that a refused preflight was for.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    waiting: Memory<Asker, Refused>,
    /// By host and origin.
    subjects: Memory<u64, Cases>,
}

fn asker(turn: &Turn, origin: &str) -> Asker {
    (turn.party, key((origin, turn.path())))
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.waiting.len() + self.subjects.len()
    }

    fn forgotten(&self) -> u64 {
        self.waiting.forgotten() + self.subjects.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        if turn.exchange.request.method != "OPTIONS" {
            if self.waiting.len() > 0
                && let Some(origin) = turn.header("origin")
            {
                self.waiting.remove(&asker(turn, origin));
            }
            return;
        }
        if turn.status() != 401 || turn.brings_credentials() || !turn.is_preflight() {
            return;
        }
        let Some(origin) = turn.header("origin") else { return };
        let asker = asker(turn, origin);
        if let Some(refused) = self.waiting.get_mut(&asker) {
            refused.times += 1;
            return;
        }
        let names = turn.offered().join(", ");
        self.waiting.entry(asker, turn.at(), view, || Refused {
            peer: turn.peer,
            at: turn.at(),
            times: 1,
            origin: short(origin).into_owned(),
            subject: key((turn.header("host"), origin)),
            method: short(turn.header("access-control-request-method").unwrap_or_default()).into_owned(),
            request: turn.request_line(),
            offered: if names.is_empty() { "no scheme".to_owned() } else { names },
            evidence: Place::response(turn).says(format!("401 to the preflight of {origin}")),
        });
    }

    fn on_time(&mut self, now: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        self.subjects.expire(now, MEMORY);
        while let Some(((client, _), refused)) = self.waiting.pop_unused(now, PATIENCE) {
            // What was not seen may be the very request that is missed.
            if view.site.gaps().client_since(refused.peer, refused.at) {
                continue;
            }
            let subject = self.subjects.entry(refused.subject, now, view, Cases::default);
            let Some(count) = subject.more(refused.times) else { continue };
            let again =
                if count > 1 { format!("; it is preflight number {count} of that origin") } else { String::new() };
            let summary = format!(
                "The preflight {} of a page at {}, from {client}, was refused with 401 (offering {}); a browser \
                 cannot answer that, and the {} that it asked for was not seen in the {} s after it{again}.",
                refused.request,
                refused.origin,
                refused.offered,
                refused.method,
                PATIENCE.as_secs(),
            );
            out.raise(now, Draft::new(Basis::Observed, summary, refused.evidence));
        }
    }
}
