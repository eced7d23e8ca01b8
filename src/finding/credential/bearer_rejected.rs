//! See the page below.

use std::net::IpAddr;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::clock::{server_date, span};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::auth::{Jwt, Scheme, Token};
use crate::model::finding::Basis;
use crate::token::bearer::{self, Validity, judge};
use crate::track::asker::Sender;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The server refused a bearer token.
    ///
    /// ## What authtap saw
    /// A request with a token, and 401 (or 403 with `insufficient_scope`). The reason is the one that the server's challenge gives (`error`,
    /// `error_description`); and where the token is a JWT, what it says of itself, against the server's own clock (`Date`). Signatures cannot be judged, and tokens are
    /// never kept.
    ///
    /// ## Why it breaks
    /// The token has expired or is not yet valid; it is for another service (`aud`) or from another issuer (`iss`); its key is
    /// not known to the service; or it does not allow what was asked.
    ///
    /// ## Fix
    /// - Expired: the client must get a new one before the old one ends; compare the clocks of client, service and identity provider.
    /// - Audience or issuer: compare `aud` and `iss` with what the service is configured for (ASP.NET Core: `JwtBearerOptions.Audience` and `Authority`).
    /// - Key: the service must reach the provider's keys (`/.well-known/openid-configuration`), also after a rollover.
    /// - `insufficient_scope`: ask for the scope that the challenge names.
    /// - The application's log has the reason when the challenge has none (ASP.NET Core: category `Microsoft.AspNetCore.Authentication` at *Information*).
    ///
    /// ## Not this when
    /// The request had no token, or an empty `Bearer`, as mail clients send to see what is offered; or the client is let in
    /// with a token within ten seconds of its first refusal, as programs do that renew an expired one on 401.
    ///
    /// ## References
    /// - RFC 6750 section 3; RFC 7519 section 4.1
    slug: "bearer-rejected",
    title: "A bearer token was refused",
    severity: Medium,
    basis: Observed,
    schemes: ["bearer"],
    cause: Client,
    consequence_of: ["authorization-malformed", "authorization-dropped"],
    since: "0.1.0",
}

/// A client that renews its token is let in with the new one within this time.
const RENEWED: Duration = Duration::from_secs(10);
/// A client that was told of its refusal tries so often again before it is told here. Less than what `retry-loop` takes, so
/// that its cause is known then.
const AGAIN: u32 = 3;

/// Refusals of a token that its client may renew.
#[derive(Debug)]
struct Held {
    /// When the first refusal was sent.
    at: Stamp,
    /// Tries after it.
    again: u32,
    /// The key of its count.
    reason: (IpAddr, String),
    draft: Draft,
}

/// Counts each client's refusals by their reason.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    seen: Memory<(IpAddr, String), u32>,
    held: Memory<Sender, Held>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.seen.len() + self.held.len()
    }

    fn forgotten(&self) -> u64 {
        self.seen.forgotten() + self.held.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if turn.request != Event::Credentials {
            return;
        }
        let Some(Token::Bearer(token)) = turn.exchange.authorization.as_ref().map(|a| &a.token) else { return };
        if turn.is_accepted() && self.held.len() > 0 {
            self.held.remove(&turn.sender());
            return;
        }
        let mut challenges = turn.exchange.challenges.iter().filter(|c| c.scheme == Scheme::Bearer);
        let challenge = challenges.clone().find(|c| c.param("error").is_some()).or_else(|| challenges.next());
        let error = challenge.and_then(|c| c.param("error"));
        let refused = turn.answer == Event::Refused && challenge.is_some();
        let forbidden = turn.status() == 403 && error.is_some();
        if !refused && !forbidden {
            return;
        }
        if let Some(held) = self.held.get_mut(&turn.sender()) {
            // What was under way by then does not know of the refusal.
            held.again += u32::from(turn.exchange.times.request_head > held.at);
            if held.again >= AGAIN
                && let Some(held) = self.held.remove(&turn.sender())
            {
                self.tell(held, turn.at(), view, out);
            }
            return;
        }
        let reason = (turn.party, error.unwrap_or_default().to_owned());
        let count = self.seen.get(&reason).map_or(1, |before| before + 1);
        if count > 1 {
            self.seen.entry(reason.clone(), turn.at(), view, || 0);
            if let Some(seen) = self.seen.get_mut(&reason) {
                *seen = count;
            }
        }
        if !count.is_power_of_two() {
            return;
        }
        let times = if count > 1 { format!(" ({count} times so far)") } else { String::new() };
        let description = challenge.and_then(|c| c.param("error_description"));
        let given = match (error, description) {
            (Some(e), Some(d)) => format!("the server says {e}: \"{d}\""),
            (Some(e), None) => {
                let means = bearer::error_meaning(e).map(|m| format!(" ({m})")).unwrap_or_default();
                format!("the server says {e}{means}")
            }
            (None, _) => "the server gives no reason".to_owned(),
        };
        let own = token.jwt.as_deref().map_or_else(String::new, |jwt| of_itself(jwt, turn));
        let draft = Draft::new(
            Basis::Observed,
            format!(
                "The bearer token of {} for {} on connection {} was refused with {}{times}: {given}{own}.",
                turn.party,
                turn.request_line(),
                turn.exchange.connection,
                turn.status()
            ),
            Place::response(turn).says(format!("{}: {given}", turn.status())),
        )
        .scheme(Some("bearer"))
        .and(Place::request(turn).says("the token"));
        let held = Held { at: turn.at(), again: 0, reason, draft };
        if count > 1 {
            out.raise(turn.at(), held.draft);
        } else if refused {
            self.held.entry(turn.sender(), turn.at(), view, || held);
        } else {
            self.tell(held, turn.at(), view, out);
        }
    }

    fn on_time(&mut self, now: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        while let Some((_, held)) = self.held.pop_unused(now, RENEWED) {
            self.tell(held, now, view, out);
        }
    }

    fn on_stop(&mut self, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        for (_, held) in self.held.drain() {
            self.tell(held, at, view, out);
        }
    }
}

impl Detector {
    /// Tells of a first refusal.
    fn tell(&mut self, held: Held, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        *self.seen.entry(held.reason, at, view, || 0) += 1;
        out.raise(at, held.draft);
    }
}

/// What a JWT says of itself that may be the reason.
fn of_itself(jwt: &Jwt, turn: &Turn) -> String {
    let (now, whose) = server_date(turn).map_or((turn.at(), "authtap's"), |at| (at, "the server's"));
    let validity = match judge(jwt, now) {
        Validity::Expired(since) => format!("the token expired {} before, by {whose} clock", span(since.as_secs())),
        Validity::NotYetValid(until) => {
            format!("the token is not valid for another {}, by {whose} clock", span(until.as_secs()))
        }
        Validity::Fine => "the token was within its time".to_owned(),
        Validity::Unknown => return String::new(),
    };
    let audience = if jwt.audience.is_empty() { String::new() } else { format!(", for {}", jwt.audience.join(", ")) };
    let issuer = jwt.issuer.as_deref().map(|i| format!(", from {i}")).unwrap_or_default();
    format!("; {validity}{audience}{issuer}")
}
