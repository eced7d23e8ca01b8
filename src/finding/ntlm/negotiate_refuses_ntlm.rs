//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::scope::application;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::auth::{Scheme, Token};
use crate::model::finding::Basis;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A client that has no Kerberos ticket offered NTLM inside `Negotiate`, and the server did not even challenge it: this
    /// site takes Kerberos only, and the client cannot do it.
    ///
    /// ## What authtap saw
    /// A NEGOTIATE of NTLM under the scheme `Negotiate`, raw or in SPNEGO, answered by 401 with bare schemes or with a SPNEGO
    /// *reject*, where a CHALLENGE would have been the next step. The same application had offered `Negotiate` before, it
    /// offers no `NTLM` beside it, and it has challenged nobody inside `Negotiate` in this watch.
    ///
    /// ## Why it breaks
    /// `Negotiate` carries Kerberos or NTLM, and the server may be set to take only one of them. The client chose NTLM
    /// because it got no ticket: no service principal name for this host, an address instead of a name, no domain
    /// controller in reach, a machine outside the domain, or a program that only knows NTLM.
    ///
    /// ## Fix
    /// - Give the client what Kerberos needs: ask by the name that has an SPN (`setspn -Q HTTP/HOST`; register with `setspn -S HTTP/HOST ACCOUNT`), from a machine of the domain that reaches a domain controller (`klist get HTTP/HOST` shows whether it gets a ticket), with the site in the *Local intranet* zone.
    /// - Or let the site take NTLM as well: *IIS Manager > site > Authentication > Windows Authentication > Providers*: `Negotiate` in the place of `Negotiate:Kerberos`, or `NTLM` below it.
    /// - A policy that refuses incoming NTLM: *Network security: Restrict NTLM: Incoming NTLM traffic* and *… Add server exceptions*; the log *Applications and Services > Microsoft > Windows > NTLM > Operational* names the client.
    /// - Apache with mod_auth_gssapi, and other servers of that kind: `GssapiAllowedMech ntlmssp` beside `krb5`.
    ///
    /// Afterwards the client sends a ticket, or gets a CHALLENGE.
    ///
    /// ## Not this when
    /// The token was the first thing that the application ever saw (a cold start refuses it once, and an anonymous request
    /// heals that), unless the server sends a *reject*; or the server challenges others inside `Negotiate`; or it offers
    /// `NTLM` beside it, to which clients can turn.
    ///
    /// ## References
    /// - RFC 4178 section 4.2.2; RFC 4559 section 4; MS-SPNG
    slug: "negotiate-refuses-ntlm",
    title: "The server refuses NTLM inside Negotiate: it takes Kerberos only",
    severity: High,
    basis: Observed,
    schemes: ["negotiate-ntlm", "negotiate"],
    cause: Server,
    consequence_of: [],
    since: "0.1.0",
}

/// What one application does with `Negotiate`.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    offered: bool,
    challenged: bool,
    refused: u64,
}

/// Looks at each NEGOTIATE inside `Negotiate`.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    applications: Memory<u64, Known>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.applications.len()
    }

    fn forgotten(&self) -> u64 {
        self.applications.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let under_negotiate =
            || turn.exchange.authorization.as_ref().is_some_and(|field| field.scheme == Scheme::Negotiate);
        match (turn.request, turn.answer) {
            (Event::Bare, Event::Refused) if turn.offers(&Scheme::Negotiate) => {
                self.applications.entry(application(turn), turn.at(), view, Known::default).offered = true;
            }
            (Event::Negotiate, Event::Challenge) if under_negotiate() => {
                self.applications.entry(application(turn), turn.at(), view, Known::default).challenged = true;
            }
            (Event::Negotiate, Event::Refused) if under_negotiate() => self.refused(turn, view, out),
            _ => {}
        }
    }
}

impl Detector {
    fn refused(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let rejects = |token: &Token| matches!(token, Token::Spnego(s) if s.neg_state.as_deref() == Some("reject"));
        let reject = turn.exchange.challenges.iter().any(|c| rejects(&c.token));
        let known = self.applications.entry(application(turn), turn.at(), view, Known::default);
        let sure = reject || (known.offered && turn.offers(&Scheme::Negotiate));
        if known.challenged || !sure || turn.offers(&Scheme::Ntlm) {
            return;
        }
        known.refused += 1;
        let count = known.refused;
        if !count.is_power_of_two() {
            return;
        }
        let e = &turn.exchange;
        let how = if reject { "with a SPNEGO reject" } else { "without a CHALLENGE" };
        let raw = match e.authorization.as_ref().map(|a| &a.token) {
            Some(Token::Spnego(_)) => "inside SPNEGO",
            _ => "raw",
        };
        let again = if count > 1 { format!(" ({count} such refusals so far)") } else { String::new() };
        out.raise(
            turn.at(),
            Draft::new(
                Basis::Observed,
                format!(
                    "The client {} offered NTLM inside Negotiate for {} on connection {}, and the server refused it \
                     {how}, offering {}: it takes Kerberos only here{again}.",
                    turn.party,
                    turn.request_line(),
                    e.connection,
                    turn.offered().join(", ")
                ),
                Place::response(turn).says(format!("401 {how} to a NEGOTIATE of NTLM")),
            )
            .scheme(turn.scheme)
            .and(Place::request(turn).says(format!("Authorization: Negotiate with NTLM's NEGOTIATE ({raw})"))),
        );
    }
}
