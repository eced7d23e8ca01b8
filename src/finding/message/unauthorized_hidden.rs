//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::cases::Cases;
use crate::finding::shared::login;
use crate::finding::shared::subject::key;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::auth::{Scheme, Token};
use crate::model::finding::Basis;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// Somebody is refused, and the answer does not say so: it is a redirect to a login page, or has another status than
    /// 401. A client that logs on by `Authorization` cannot do anything with that.
    ///
    /// ## What authtap saw
    /// One of these:
    /// - a redirect to a login page in answer to a request that brought credentials (`observed`): a Windows logon, Basic, Digest or a bearer token did not count there;
    /// - the third redirect to the same login page in answer to calls by script or by a program that wants JSON (`inferred`): such a caller gets a page of HTML with status 200 instead of a refusal;
    /// - a status of 200 or 5xx together with a bare challenge, as only a 401 has it, or IIS's own page of a 401 under another status (`suspected`): something changed the status.
    ///
    /// A login page is known by its path (`login`, `logon`, `signin`, …), by a return address beside `account` or `auth`, or
    /// by the parameters of WS-Federation, SAML and OpenID Connect.
    ///
    /// ## Why it breaks
    /// ASP.NET's forms authentication and ASP.NET Core's cookie scheme turn each 401 of the application into a 302. Clients
    /// of Windows authentication then never see a challenge, and programs take the login page for data. Where an
    /// authenticated user is sent to log on, the application does not use the logon that IIS made.
    ///
    /// ## Fix
    /// - ASP.NET with forms: `<authentication mode="Windows" />` where Windows users shall get in; for services, `HttpContext.Response.SuppressFormsAuthenticationRedirect = true`.
    /// - ASP.NET Core: the challenge scheme of an API must not be the cookie scheme: `[Authorize(AuthenticationSchemes = …)]` with `JwtBearer` or `Negotiate`, or `options.Events.OnRedirectToLogin` that sets 401. Version 10 does so by itself for API endpoints.
    /// - Two schemes on one site: a path of its own for programs, without forms or single sign-on in front.
    /// - An access gateway in front (oauth2-proxy, an F5 APM or NetScaler AAA policy, Azure AD Application Proxy): exempt the paths of programs, or let it answer 401 to them (oauth2-proxy `--api-route`).
    /// - A changed status: look for custom error pages (`httpErrors`, `customErrors redirectMode`), and for rewriting of statuses in the proxy (nginx `error_page 401 =200`, HAProxy `http-response set-status`).
    ///
    /// Afterwards the same request gets 401 with a challenge, or its data.
    ///
    /// ## Not this when
    /// A browser without credentials is sent to a login page: that is how forms authentication works. The request is part
    /// of a login flow itself, or the redirect brings a result back (`code`, `SAMLResponse`, `wresult`, `signin-oidc`). A
    /// script that knows how to handle the redirect is no defect either; hence `inferred`.
    ///
    /// ## References
    /// - RFC 9110 sections 15.4 and 15.5.2
    /// - ASP.NET Core documentation, *Configure cookie authentication*
    slug: "unauthorized-hidden",
    title: "A refusal is hidden behind another status, or a redirect to a login page",
    severity: Medium,
    basis: Observed,
    schemes: [],
    cause: Server,
    consequence_of: [],
    since: "0.1.0",
}

/// A script's session may run out once; what goes on is a defect.
const SCRIPTS: u64 = 3;
/// So long the cases of one login page are counted together.
const MEMORY: std::time::Duration = std::time::Duration::from_hours(1);

/// How the refusal is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum How {
    Redirect,
    RedirectOfScript,
    Status(u16),
    Page(u16),
}

/// Looks at redirects, at challenges under other statuses than 401, and at IIS's pages.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    /// By how it is hidden, and by the login page or the refused path.
    subjects: Memory<(How, u64), Cases>,
}

impl Detector {
    fn more(&mut self, how: How, of: &str, at: Stamp, view: &View<'_>) -> Option<u64> {
        let cases = self.subjects.entry((how, key(of)), at, view, Cases::default);
        if how != How::RedirectOfScript {
            return cases.more(1);
        }
        // The first two are not told: the third counts as the first.
        cases.after(SCRIPTS)
    }

    fn redirected(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(location) = turn.response_header("location") else { return };
        if !login::is_page(location) || login::is_page(&turn.exchange.request.target) || leaves(turn) {
            return;
        }
        let target = location.split('?').next().unwrap_or_default();
        let whole = turn.brings_credentials() && turn.request != Event::Negotiate;
        let how = if whole {
            How::Redirect
        } else if is_script(turn) && !turn.brings_credentials() {
            How::RedirectOfScript
        } else {
            return;
        };
        let Some(count) = self.more(how, target, turn.at(), view) else { return };
        let times = if count > 1 { format!(" ({count} times so far)") } else { String::new() };
        let (basis, summary) = if whole {
            let brought = turn.user.as_ref().map_or_else(
                || format!("{} credentials", turn.scheme.unwrap_or("some")),
                |user| format!("the {} credentials of {user}", turn.scheme.unwrap_or("own")),
            );
            let text = format!(
                "{} on connection {} brought {brought} and was sent to the login page {target} with {}{times}: they do \
                 not count there, unless that page lets its user in by itself.",
                turn.request_line(),
                turn.exchange.connection,
                turn.status()
            );
            (Basis::Observed, text)
        } else {
            let text = format!(
                "{} on connection {} is a call by script or program and was sent to the login page {target} with {} instead \
                 of a 401{times}; unless it expects that, it takes the page for its data.",
                turn.request_line(),
                turn.exchange.connection,
                turn.status()
            );
            (Basis::Inferred, text)
        };
        let primary = Place::response(turn).says(format!("{} to {target}", turn.status()));
        out.raise(turn.at(), Draft::new(basis, summary, primary).scheme(turn.scheme));
    }

    fn restated(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let status = turn.status();
        let bare = turn.exchange.challenges.iter().any(|c| {
            let windows = matches!(c.scheme, Scheme::Negotiate | Scheme::Ntlm) && c.token == Token::None;
            windows || (c.scheme == Scheme::Basic && c.param("realm").is_some())
        });
        if !bare || !turn.exchange.challenges.iter().all(|c| c.ntlm().is_none() && c.kerberos().is_none()) {
            return;
        }
        let Some(count) = self.more(How::Status(status), turn.path(), turn.at(), view) else { return };
        let times = if count > 1 { format!(" ({count} times so far)") } else { String::new() };
        let offered = turn.offered().join(", ");
        let summary = format!(
            "The answer to {} on connection {} has the status {status} and offers {offered}, as a 401 does{times}: something \
             may have changed the status on its way, or the application adds the field without meaning it.",
            turn.request_line(),
            turn.exchange.connection
        );
        let primary = Place::response(turn).says(format!("{status} with a bare challenge"));
        out.raise(turn.at(), Draft::new(Basis::Suspected, summary, primary));
    }
}

/// A request to log off ends at a login page by right.
fn leaves(turn: &Turn) -> bool {
    let path = turn.path().to_ascii_lowercase();
    ["logout", "logoff", "signout", "sign-out", "log-out"].iter().any(|word| path.contains(word))
}

/// A caller that cannot show a login page to anybody.
fn is_script(turn: &Turn) -> bool {
    let is = |name, value: &str| turn.header(name).is_some_and(|v| v.eq_ignore_ascii_case(value));
    let json = turn.header("accept").is_some_and(|v| v.contains("json") && !v.contains("html"));
    json || is("x-requested-with", "XMLHttpRequest")
        || (is("sec-fetch-dest", "empty") && (is("sec-fetch-mode", "cors") || is("sec-fetch-mode", "same-origin")))
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.subjects.len()
    }

    fn forgotten(&self) -> u64 {
        self.subjects.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        match turn.status() {
            302 | 303 | 307 => self.redirected(turn, view, out),
            200 | 500..=599 if !turn.exchange.challenges.is_empty() => self.restated(turn, view, out),
            _ => {}
        }
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let status = turn.status();
        let page = turn.response().and_then(|r| r.page.as_ref()).and_then(|p| p.detail.as_ref());
        let Some(detail) = page.filter(|d| status != 401 && d.status == Some(401)) else { return };
        let Some(count) = self.more(How::Page(status), turn.path(), turn.at(), view) else { return };
        let times = if count > 1 { format!(" ({count} times so far)") } else { String::new() };
        let substatus = detail.substatus.map(|s| format!(".{s}")).unwrap_or_default();
        let summary = format!(
            "The answer to {} on connection {} has the status {status}, and its body is IIS's page of a 401{substatus}{times}: \
             something may have changed the status on its way, or have copied the page.",
            turn.request_line(),
            turn.exchange.connection
        );
        let primary = Place::response(turn).says(format!("{status} with IIS's page of a 401{substatus}"));
        let at = turn.exchange.times.end.unwrap_or_else(|| turn.at());
        out.raise(at, Draft::new(Basis::Suspected, summary, primary));
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.subjects.expire(now, MEMORY);
    }
}
