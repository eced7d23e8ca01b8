//! See the page below.

use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::subject;
use crate::finding::shared::subject::{Often, times};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::{Basis, Evidence};
use crate::model::page::{Page, PageAuthor};
use crate::model::{ConnectionId, Stamp};
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A site that lets everybody in without a logon refuses a request with 401. Nobody could have logged on: the site
    /// offers no scheme. The account that IIS uses for anonymous users is broken, or may not read this resource.
    ///
    /// ## What authtap saw
    /// A request without credentials, and IIS's own 401 page without any `WWW-Authenticate`, on a host that has offered
    /// no scheme in this watch. Other requests without credentials passed there, or the detailed page itself says 401.1 (the account's
    /// logon failed) or 401.3 (the resource's permissions refuse it). Why exactly, only the IIS log tells, hence `inferred`.
    ///
    /// ## Why it breaks
    /// For an anonymous request IIS still acts as some Windows account: IUSR, another one with a stored password, or the application
    /// pool's identity. A changed password gives 401.1. A folder whose permissions leave that account out gives 401.3.
    ///
    /// ## Fix
    /// Look up the line of that time in the IIS log: *sc-substatus* 1 or 3.
    /// - 401.3: give the account the right to read: `icacls C:\path /grant "IUSR:(OI)(CI)RX"`, or `"IIS AppPool\NAME:(OI)(CI)RX"` when the pool's identity is used; `IIS_IUSRS` for the worker process. On a network share the pool's account needs it as well.
    /// - 401.1: *IIS Manager > site > Authentication > Anonymous Authentication > Edit*: set *IUSR* or *Application pool identity*, or type the account's password anew. `appcmd set config "SITE" /section:anonymousAuthentication /userName:"" /commit:apphost` takes the pool's identity.
    /// - Or anonymous access was meant to be off here: then enable a scheme at *Authentication*.
    ///
    /// Afterwards the same request gets its page.
    ///
    /// ## Not this when
    /// The site offers a scheme: then a 401 to a request without credentials is how a logon begins. An application that
    /// answers 401 by itself, with its own page, is not IIS's account either.
    ///
    /// ## References
    /// - KB 943891 (status codes of IIS: 401.1, 401.3); IIS documentation *anonymousAuthentication*
    slug: "anonymous-identity-broken",
    title: "An anonymous site refuses requests: its anonymous account is broken",
    severity: Medium,
    basis: Inferred,
    schemes: [],
    cause: Server,
    consequence_of: [],
    since: "0.1.0",
}

/// A host or path that was quiet for so long begins anew.
const KEEP: Duration = Duration::from_hours(4);

/// What is known of a host.
#[derive(Debug, Default)]
struct Host {
    /// It offered a scheme, or took credentials.
    authenticates: bool,
    /// A request without credentials that passed.
    passed: Option<Passed>,
}

#[derive(Debug)]
struct Passed {
    connection: ConnectionId,
    says: String,
    evidence: Evidence,
}

/// Knows which hosts are anonymous.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    hosts: Memory<u64, Host>,
    seen: Memory<(u64, u64), Often>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.hosts.len() + self.seen.len()
    }

    fn forgotten(&self) -> u64 {
        self.hosts.forgotten() + self.seen.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        let key = subject::host(turn);
        if self.hosts.get(&key).is_some_and(|h| h.authenticates) {
            return;
        }
        if turn.request != Event::Bare || turn.response_header("www-authenticate").is_some() {
            self.hosts.entry(key, turn.at(), view, Host::default).authenticates = true;
            return;
        }
        let known = self.hosts.get(&key).is_some_and(|h| h.passed.is_some());
        if !known && let Some(passed) = passed(turn, view) {
            self.hosts.entry(key, turn.at(), view, Host::default).passed = Some(passed);
        }
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if turn.status() != 401 || turn.request != Event::Bare || !turn.exchange.challenges.is_empty() {
            return;
        }
        let Some(response) = turn.response().filter(|r| r.header("www-authenticate").is_none()) else { return };
        let Some(page) = &response.page else { return };
        if !matches!(page.author, PageAuthor::IisCustom | PageAuthor::IisDetailed) {
            return;
        }
        let key = subject::host(turn);
        let host = self.hosts.get(&key);
        if host.is_some_and(|h| h.authenticates) {
            return;
        }
        let passed = host.and_then(|h| h.passed.as_ref());
        let Some(cause) = cause(page, passed.is_some()) else { return };
        let at = turn.exchange.times.end.unwrap_or(turn.at());
        let seen = self.seen.entry((key, subject::key(turn.path())), at, view, Often::default);
        let Some(count) = seen.again() else { return };
        let before = passed.map_or_else(String::new, |p| format!(" {} on connection {};", p.says, p.connection));
        out.raise(
            at,
            Draft::new(
                Basis::Inferred,
                format!(
                    "IIS refused {} on connection {}, which carries no credentials, and offers no scheme to log on with{};{before} \
                     {cause}.",
                    turn.request_line(),
                    turn.exchange.connection,
                    times(count),
                ),
                Place::response(turn).says("IIS's own 401 page without `WWW-Authenticate`"),
            )
            .and_if(passed.map(|p| p.evidence.clone())),
        );
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.hosts.expire(now, KEEP);
        self.seen.expire(now, KEEP);
    }
}

/// What the page says of the cause; `None` when neither it nor the requests that passed tell that it is the account.
fn cause(page: &Page, passed: bool) -> Option<&'static str> {
    match page.detail.as_ref().and_then(|d| d.substatus) {
        Some(1) => Some("its page says 401.1: the logon of the anonymous account failed"),
        Some(3) => Some("its page says 401.3: the permissions of the resource leave the anonymous account out"),
        Some(_) => None,
        None => passed.then_some(
            "most likely the permissions of the resource leave the anonymous account out (401.3), or its logon failed \
             (401.1); the IIS log tells which",
        ),
    }
}

/// A request without credentials that passed: this one, or those on its connection that were not told because nothing
/// was wrong with them.
fn passed(turn: &Turn, view: &View<'_>) -> Option<Passed> {
    if turn.logon_before.is_some() || turn.user_before.is_some() {
        return None;
    }
    let e = &turn.exchange;
    // What was not seen is not told either.
    let connection = view.site.connection(e.connection).filter(|c| c.gap.is_none())?;
    if matches!(turn.status(), 200..=299) {
        let says = format!("{} passed without credentials", turn.request_line());
        let evidence = Place::response(turn).says("a request without credentials that passed");
        return Some(Passed { connection: e.connection, says, evidence });
    }
    let untold = e.exchange.saturating_sub(connection.told);
    (untold > 0).then(|| Passed {
        connection: e.connection,
        says: format!("{untold} earlier requests passed without credentials"),
        evidence: Place::new(e.connection, None, "request", connection.opened_at)
            .says(format!("{untold} requests without credentials that passed")),
    })
}
