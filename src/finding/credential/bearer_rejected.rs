//! See the page below.

use std::net::IpAddr;

use crate::finding::clock::{server_date, span};
use crate::finding::memory::Memory;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::auth::{Jwt, Scheme, Token};
use crate::model::finding::Basis;
use crate::token::bearer::{self, Validity, judge};
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
    /// The request had no token, or an empty `Bearer`, as mail clients send to see what is offered.
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

/// Counts each client's refusals by their reason.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    seen: Memory<(IpAddr, String), u32>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.seen.len()
    }

    fn forgotten(&self) -> u64 {
        self.seen.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if turn.request != Event::Credentials {
            return;
        }
        let Some(Token::Bearer(token)) = turn.exchange.authorization.as_ref().map(|a| &a.token) else { return };
        let mut challenges = turn.exchange.challenges.iter().filter(|c| c.scheme == Scheme::Bearer);
        let challenge = challenges.clone().find(|c| c.param("error").is_some()).or_else(|| challenges.next());
        let error = challenge.and_then(|c| c.param("error"));
        let refused = turn.answer == Event::Refused && challenge.is_some();
        let forbidden = turn.status() == 403 && error.is_some();
        if !refused && !forbidden {
            return;
        }
        let count = self.seen.entry((turn.party, error.unwrap_or_default().to_owned()), turn.at(), view, || 0);
        *count += 1;
        if !count.is_power_of_two() {
            return;
        }
        let times = if *count > 1 { format!(" ({count} times so far)") } else { String::new() };
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
        out.raise(
            turn.at(),
            Draft::new(
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
            .and(Place::request(turn).says("the token")),
        );
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
