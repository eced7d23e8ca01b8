//! See the page below.

use crate::finding::refusal::author;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A 401 that does not say how to log on: it has no `WWW-Authenticate` field.
    ///
    /// ## What authtap saw
    /// The response itself, head by head as it came from the server's side.
    ///
    /// ## Why it breaks
    /// Without a challenge a client does not know which scheme to use, shows no prompt, and gives up.
    ///
    /// ## Fix
    /// Find out who made this 401; `Server` and the body's shape tell.
    /// - IIS itself, and no authentication is enabled: *site > Authentication* must have one scheme enabled besides Anonymous (`appcmd set config "SITE" /section:windowsAuthentication /enabled:true /commit:apphost`).
    /// - The application: it set the status itself. `httpErrors existingResponse="Replace"` can also take away what it sent.
    /// - An intermediary that strips or replaces the response: compare with the same request sent straight to the server.
    ///
    /// Afterwards each 401 carries at least one `WWW-Authenticate`.
    ///
    /// ## Not this when
    /// The response is not a 401, or the application speaks a protocol of its own in which 401 is not meant for the
    /// browser.
    ///
    /// ## References
    /// - RFC 9110 section 15.5.2
    slug: "challenge-missing",
    title: "A 401 does not say how to log on",
    severity: High,
    basis: Observed,
    schemes: [],
    cause: Server,
    consequence_of: ["access-denied-after-logon", "anonymous-identity-broken"],
    since: "0.1.0",
}

/// Looks at each 401.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector;

impl Detect for Detector {
    fn on_end(&mut self, turn: &Turn, _view: &View<'_>, out: &mut Raise<'_>) {
        let Some(response) = turn.response().filter(|r| r.status == 401) else { return };
        if response.header("www-authenticate").is_some() {
            return;
        }
        let e = &turn.exchange;
        let server = response.header("server").map_or_else(
            || "the response has no `Server` field".to_owned(),
            |s| format!("the response says `Server: {s}`"),
        );
        let by = author(turn).map(|by| format!(", and {by}")).unwrap_or_default();
        out.raise(
            e.times.response_head.unwrap_or_default(),
            Draft::new(
                Basis::Observed,
                format!(
                    "The 401 to {} {} on connection {} has no `WWW-Authenticate`, so no client can answer it; {server}{by}.",
                    e.request.method, e.request.target, e.connection
                ),
                Place::response(turn).says("401 without `WWW-Authenticate`"),
            )
            .scheme(turn.scheme),
        );
    }
}
