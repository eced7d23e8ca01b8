//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::refusal::Refusal;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// An ISAPI filter (401.4) or an ISAPI or CGI application (401.5) refused the request. IIS's own authentication is not
    /// the reason.
    ///
    /// ## What authtap saw
    /// IIS's detailed error page with that substatus. Without a detailed page the substatus is in IIS's log only; then
    /// nothing is told here, and `authtap report --iis-log` finds it.
    ///
    /// ## Why it breaks
    /// The filter or application sets 401 by a rule of its own: a missing header, a licence, a session that it does not
    /// know. The client answers with the credentials that it has, and is refused again.
    ///
    /// ## Fix
    /// - 401.4: *server or site > ISAPI Filters* in IIS Manager lists the filters (single sign-on agents, URL scanners). Read that product's log; take the filter out for a test.
    /// - 401.5: *site > Handler Mappings* tells which ISAPI or CGI program answers this path. Its own log says why.
    /// - *Failed Request Tracing* for status 401 names the module that set it (`MODULE_SET_RESPONSE_ERROR_STATUS`).
    ///
    /// ## Not this when
    /// The substatus is 401.3 (`access-denied-after-logon`), or the page is an application's own and says no substatus.
    ///
    /// ## References
    /// - KB 943891 (401.4, 401.5)
    slug: "denied-by-filter-or-application",
    title: "A filter or an application refused the request",
    severity: High,
    basis: Observed,
    schemes: [],
    cause: Server,
    consequence_of: [],
    since: "0.1.0",
}

/// Tells once of each path.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    told: Memory<(u16, u64), ()>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.told.len()
    }

    fn forgotten(&self) -> u64 {
        self.told.forgotten()
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(refusal) = Refusal::of(turn) else { return };
        let by = match refusal.pair() {
            (401, 4) => "an ISAPI filter",
            (401, 5) => "an ISAPI or CGI application",
            _ => return,
        };
        let key = (refusal.pair().1, turn.path_hash());
        if !self.told.is_first(key, turn.at(), view) {
            return;
        }
        let user = turn.user.as_ref().or(turn.user_before.as_ref());
        let user = user.map(|u| format!(" for {u}")).unwrap_or_default();
        out.raise(
            turn.at(),
            Draft::new(
                Basis::Observed,
                format!(
                    "{by} refused {}{user} on connection {}: {}. IIS's authentication is not the reason.",
                    turn.request_line(),
                    turn.exchange.connection,
                    refusal.says(),
                )
                .replacen("an ISAPI", "An ISAPI", 1),
                Place::response(turn).says(refusal.says()),
            )
            .scheme(turn.scheme),
        );
    }
}
