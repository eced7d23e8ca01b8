//! See the page below.

use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::habit::Habits;
use crate::finding::shared::login;
use crate::finding::shared::scope::AnyCase;
use crate::finding::shared::silence::{Asked, Silence};
use crate::finding::shared::subject::key;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::finding::{Basis, Evidence};
use crate::model::short::short;
use crate::track::asker::Sender;
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A client that sends credentials comes without them: after a redirect, or on one request among others. The server
    /// refuses it, and the client does not answer.
    ///
    /// ## What authtap saw
    /// One of these, and both are `inferred`, for authtap sees the request only as it came to its own door:
    /// - a request with Basic, Digest, bearer or Kerberos credentials, answered by a redirect; then the same client on the redirect's target without `Authorization`, a 401, and no credentials for that target until it had left;
    /// - a client that brought the same Basic or bearer credentials with each request, unasked; then a request for one of the same paths without them, on the same connection or with the same cookie, and a 401; and later the same credentials again.
    ///
    /// ## Why it breaks
    /// Clients take `Authorization` off when a redirect leads to another origin (browsers, curl and .NET do, and some do so
    /// for every redirect), for a foreign site must not get the password. A header that a program set by hand is then not
    /// set again. Within one client's steady stream, a single request without the header points to a hop that takes it off,
    /// for some paths or on one of several nodes.
    ///
    /// ## Fix
    /// - A redirect: call the final address from the start (scheme, host, port, trailing slash). See where the redirect comes from: *HTTP Redirect* and *URL Rewrite* in IIS Manager, `UseHttpsRedirection`, the canonical host name of the application.
    /// - The client: give the credentials to its HTTP library and not as a header (`CredentialCache` and `PreAuthenticate` in .NET); curl `--location-trusted` if both hosts are yours.
    /// - A hop in front: Apache `CGIPassAuth On`, and `mod_rewrite` with `RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]`; nginx, no `proxy_set_header Authorization "";`; an access gateway (oauth2-proxy, Azure App Service, an API gateway) often consumes the field: tell it to pass it on. Compare its nodes' configurations.
    ///
    /// Afterwards the request that is named here carries `Authorization`.
    ///
    /// ## Not this when
    /// The client logs on with NTLM, or with Kerberos on a connection that stays logged on: it then sends nothing more by
    /// right. A client that waits to be asked, and answers each 401, is not reported, nor is one that signs out or gets a
    /// new token, nor a browser that may have asked its user again.
    ///
    /// ## References
    /// - RFC 9110 sections 11.6.2 and 15.4; Fetch Standard, section "HTTP-redirect fetch"
    slug: "authorization-dropped",
    title: "A client's Authorization is missing where it should be",
    severity: High,
    basis: Inferred,
    schemes: ["basic", "digest", "bearer", "kerberos"],
    cause: Client,
    consequence_of: [],
    since: "0.1.0",
}

/// A redirect is followed at once.
const FOLLOWED: Duration = Duration::from_secs(10);
/// A program answers a challenge at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// A redirect that a request with credentials got.
#[derive(Debug)]
struct Redirect {
    at: Stamp,
    scheme: &'static str,
    request: String,
    /// Host and path.
    target: u64,
    /// The same, to be shown.
    to: String,
    elsewhere: bool,
    evidence: Evidence,
}

/// The redirect was followed without credentials.
#[derive(Debug)]
struct Followed {
    redirect: Redirect,
    evidence: Evidence,
}

/// Who, and a hash over host and path.
type Step = (Sender, u64);

/// Follows redirects, and the habits of clients.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    redirects: Memory<Sender, Redirect>,
    followed: Silence<Step, Followed>,
    habits: Habits,
}

/// Host and path of a `Location`, with the request's own host where it has none.
fn target<'a>(location: &'a str, host: &'a str) -> (&'a str, &'a str) {
    let (host, rest) = match location.split_once("://") {
        Some((_, rest)) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
        None => (host, location),
    };
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    (host, if path.is_empty() { "/" } else { path })
}

impl Detector {
    fn redirected(&mut self, turn: &Turn, view: &View<'_>) {
        let Some(scheme @ ("basic" | "digest" | "bearer" | "kerberos")) = turn.scheme else { return };
        let Some(location) = turn.response_header("location").filter(|l| !login::is_page(l)) else { return };
        let own = turn.header("host").unwrap_or_default();
        let (host, path) = target(location, own);
        let redirect = Redirect {
            at: turn.at(),
            scheme,
            request: turn.request_line(),
            target: key((AnyCase(host), path)),
            to: short(&format!("{host}{path}")).into_owned(),
            elsewhere: !host.eq_ignore_ascii_case(own),
            evidence: Place::response(turn).says(format!("{} to {location}", turn.status())),
        };
        let client = turn.sender();
        self.redirects.remove(&client);
        self.redirects.entry(client, turn.at(), view, || redirect);
    }

    /// A bare request that was refused: it may be where a redirect led to.
    fn follows(&mut self, turn: &Turn, view: &View<'_>) {
        let client = turn.sender();
        let host = turn.header("host").unwrap_or_default();
        let fits = self.redirects.get(&client).is_some_and(|r| {
            turn.exchange.times.request_head.since(r.at) <= FOLLOWED && r.target == key((AnyCase(host), turn.path()))
        });
        let Some(redirect) = fits.then(|| self.redirects.remove(&client)).flatten() else { return };
        self.followed.asked(step(turn), turn, view, || Followed {
            redirect,
            evidence: Place::request(turn).says("the redirect's target, without `Authorization`"),
        });
    }

    fn judge(asked: Asked<Followed>, at: Stamp, out: &mut Raise<'_>) {
        let followed = asked.of;
        let r = followed.redirect;
        let rule = if r.elsewhere { ", as clients do for another host" } else { ", though the host is the same" };
        let summary = format!(
            "{} brought {} credentials and was redirected to {}; the client followed without them{rule}, was refused with \
             401, and sent none in the {} s after it.",
            r.request,
            r.scheme,
            r.to,
            at.since(asked.at).as_secs()
        );
        let draft = Draft::new(Basis::Inferred, summary, followed.evidence).scheme(Some(r.scheme)).and(r.evidence);
        out.raise(at, draft);
    }
}

fn step(turn: &Turn) -> Step {
    (turn.sender(), key((turn.header("host"), turn.path())))
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.redirects.len() + self.followed.len() + self.habits.len()
    }

    fn forgotten(&self) -> u64 {
        self.redirects.forgotten() + self.followed.forgotten() + self.habits.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let brings = turn.brings_credentials();
        if brings && matches!(turn.status(), 301 | 302 | 303 | 307 | 308) {
            self.redirected(turn, view);
        }
        if brings && self.followed.len() > 0 {
            self.followed.answered(&step(turn));
        }
        if !brings && turn.status() == 401 && self.redirects.len() > 0 {
            self.follows(turn, view);
        }
        let Some(broken) = self.habits.look(turn, view) else { return };
        let lost = broken.lost;
        let summary = format!(
            "{} from {} came without credentials and was refused, while the same client brought {} credentials with the {} \
             requests before and again {} s later: most likely a hop in front took them off, or its program left them out.",
            lost.request,
            turn.party,
            turn.scheme.unwrap_or("its"),
            broken.before,
            turn.at().since(lost.at).as_secs()
        );
        let again = Place::request(turn).says("the same credentials again");
        out.raise(turn.at(), Draft::new(Basis::Inferred, summary, lost.evidence).scheme(turn.scheme).and(again));
    }

    fn on_close(&mut self, closed: &Closed, at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.followed.left(closed.close.connection, at);
    }

    fn on_time(&mut self, now: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        self.redirects.expire(now, FOLLOWED);
        self.habits.expire(now);
        while let Some((_, asked)) = self.followed.fallen_due(now, PATIENCE, view) {
            Self::judge(asked, now, out);
        }
    }

    fn on_stop(&mut self, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        for (_, asked) in self.followed.at_end(at, view) {
            Self::judge(asked, at, out);
        }
    }
}
