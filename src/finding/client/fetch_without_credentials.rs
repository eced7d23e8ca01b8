//! See the page below.

use std::net::IpAddr;

use crate::finding::shared::silence::{Asked, Silence};
use crate::finding::shared::subject::key;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::auth::Scheme;
use crate::model::finding::{Basis, Evidence};
use crate::model::short::short;
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A script of another origin calls this site without credentials. The browser then leaves cookies and logons away,
    /// and does not answer the 401.
    ///
    /// ## What authtap saw
    /// A request whose `Sec-Fetch-Mode` is `cors` and whose `Origin` is not this site, without a cookie; a 401 that offers
    /// Windows, Basic or Digest authentication; and no request with credentials from the same client, browser and origin
    /// within the answer window (`answer-window`), or until it had left.
    ///
    /// ## Why it breaks
    /// `fetch` sends credentials only to its own origin unless it is told otherwise, and XMLHttpRequest does the same. The
    /// browser gives the 401 to the script, shows no prompt, and uses no logon that it has for this site.
    ///
    /// ## Fix
    /// - The page: `fetch(url, { credentials: "include" })`; `xhr.withCredentials = true`; axios `withCredentials: true`; jQuery `xhrFields: { withCredentials: true }`; Angular `withCredentials: true`.
    /// - The site: answer with `Access-Control-Allow-Credentials: true` and the page's own origin (not `*`) in `Access-Control-Allow-Origin`, on the 401 as well. With the IIS CORS module: `<add origin="https://PAGE" allowCredentials="true" />`.
    /// - The browser must be willing: the site in the *Local intranet* zone or in `AuthServerAllowlist`, for it shows no prompt for calls to other origins in many cases.
    /// - Or serve the call from the page's own origin.
    ///
    /// Afterwards the request is followed by one with `Authorization`, or passes on a connection that is logged on.
    ///
    /// ## Not this when
    /// The browser does not trust the site enough to log on by itself, or its user closed a prompt: the wire looks the
    /// same, hence `inferred`. A request with a cookie was sent with credentials and is not reported, nor is one that the
    /// client answers later.
    ///
    /// ## References
    /// - Fetch Standard, sections "HTTP-network-or-cache fetch" (credentials) and "CORS protocol and credentials"
    /// - Fetch Metadata Request Headers, section 2
    slug: "fetch-without-credentials",
    title: "A cross-origin script calls without credentials, and is refused",
    severity: Medium,
    basis: Inferred,
    schemes: [],
    cause: Client,
    consequence_of: [],
    since: "0.1.0",
}

/// The client, and a hash over its browser, the page's origin and the site.
type Caller = (IpAddr, u64);

/// A refused call.
#[derive(Debug)]
struct Call {
    origin: String,
    request: String,
    offered: String,
    allows: bool,
    evidence: Evidence,
}

/// Waits for the first credentials of each caller.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    waiting: Silence<Caller, Call>,
}

fn caller(turn: &Turn, origin: &str) -> Caller {
    (turn.party, key((turn.user_agent(), origin, turn.header("host"))))
}

/// A call by script from another origin, which carries nothing that would prove credentials.
fn is_bare_call(turn: &Turn, origin: &str) -> bool {
    let field = |name| turn.header(name);
    let other_origin = field("sec-fetch-site").map_or_else(
        || origin.split_once("://").is_none_or(|(_, host)| Some(host) != field("host")),
        |site| site == "cross-site" || site == "same-site",
    );
    field("sec-fetch-mode") == Some("cors") && other_origin && field("cookie").is_none() && !turn.is_preflight()
}

fn judge(caller: &Caller, asked: Asked<Call>, at: Stamp, out: &mut Raise<'_>) {
    let call = asked.of;
    let times = if asked.times > 1 { format!(" ({} calls in all)", asked.times) } else { String::new() };
    let allows = if call.allows {
        "though the site allows them"
    } else {
        "and the 401 has no `Access-Control-Allow-Credentials` either"
    };
    let summary = format!(
        "A page at {} called {} from {}, without a cookie, was refused with 401 (offering {}), and no credentials followed \
         in {} s{times}: most likely its script does not ask for them, {allows}.",
        call.origin,
        call.request,
        caller.0,
        call.offered,
        at.since(asked.at).as_secs()
    );
    out.raise(at, Draft::new(Basis::Inferred, summary, call.evidence));
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.waiting.len()
    }

    fn forgotten(&self) -> u64 {
        self.waiting.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        let answers = turn.brings_credentials() && self.waiting.len() > 0;
        if !answers && !turn.is_asked() {
            return;
        }
        let Some(origin) = turn.header("origin") else { return };
        if answers {
            self.waiting.answered(&caller(turn, origin));
            return;
        }
        let answerable = turn.offers_windows() || turn.offers(&Scheme::Basic) || turn.offers(&Scheme::Digest);
        if !answerable || !is_bare_call(turn, origin) {
            return;
        }
        self.waiting.asked(caller(turn, origin), turn, view, || Call {
            origin: short(origin).into_owned(),
            request: turn.request_line(),
            offered: turn.offered().join(", "),
            allows: turn.response_header("access-control-allow-credentials") == Some("true"),
            evidence: Place::response(turn).says(format!("401 to a script's call from {origin}")),
        });
    }

    fn on_close(&mut self, closed: &Closed, at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.waiting.left(closed.close.connection, at);
    }

    fn on_time(&mut self, now: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        while let Some((caller, asked)) = self.waiting.fallen_due(now, view.settings.answer_window, view) {
            judge(&caller, asked, now, out);
        }
    }

    fn on_stop(&mut self, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        for (caller, asked) in self.waiting.at_end(at, view) {
            judge(&caller, asked, at, out);
        }
    }
}
