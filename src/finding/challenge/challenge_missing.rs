//! See the page below.

use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::cases::Cases;
use crate::finding::shared::refusal::author;
use crate::finding::shared::scope::key;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::auth::Scheme;
use crate::model::finding::{Basis, Severity};
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A 401 that does not say how to log on: it has no `WWW-Authenticate` field.
    ///
    /// ## What authtap saw
    /// The response itself, as it came from the server's side. It is told at the first one of a path, at the tenth, and
    /// each time their number has doubled; as `low` where it answers a POST without credentials or a bearer token, which an
    /// application may mean so.
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

/// So long the cases of one path are counted together.
const MEMORY: Duration = Duration::from_hours(1);

/// Looks at each 401, and counts them by host and path.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    paths: Memory<u64, Cases>,
}

/// What may be as an application means it: its own form, or its own way with tokens.
fn own_way(turn: &Turn) -> Option<&'static str> {
    match turn.exchange.authorization.as_ref().map(|a| &a.scheme) {
        Some(Scheme::Bearer) => Some("an application whose program renews its token on any 401 may mean it so"),
        None if turn.exchange.request.method == "POST" => {
            Some("an application may answer so to a wrong password in a form of its own")
        }
        _ => None,
    }
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.paths.len()
    }

    fn forgotten(&self) -> u64 {
        self.paths.forgotten()
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(response) = turn.response().filter(|r| r.status == 401) else { return };
        if response.header("www-authenticate").is_some() {
            return;
        }
        let own_way = own_way(turn);
        let of = key((turn.header("host"), turn.path(), own_way));
        let Some(count) = self.paths.entry(of, turn.at(), view, Cases::default).more(1) else { return };
        let e = &turn.exchange;
        let server = response.header("server").map_or_else(
            || "the response has no `Server` field".to_owned(),
            |s| format!("the response says `Server: {s}`"),
        );
        let by = author(turn).map(|by| format!(", and {by}")).unwrap_or_default();
        let times = if count > 1 { format!(" ({count} times so far)") } else { String::new() };
        let but = own_way.map(|why| format!("; {why}")).unwrap_or_default();
        let draft = Draft::new(
            Basis::Observed,
            format!(
                "The 401 to {} {} on connection {} has no `WWW-Authenticate`, so no browser can answer it by \
                 itself{times}; {server}{by}{but}.",
                e.request.method, e.request.target, e.connection
            ),
            Place::response(turn).says("401 without `WWW-Authenticate`"),
        )
        .scheme(turn.scheme);
        let at = e.times.response_head.unwrap_or_default();
        out.raise(at, if own_way.is_some() { draft.severity(Severity::Low) } else { draft });
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.paths.expire(now, MEMORY);
    }
}
