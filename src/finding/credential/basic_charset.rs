//! See the page below.

use std::net::IpAddr;

use crate::finding::memory::Memory;
use crate::finding::shared::refusal::may_be_credentials;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::auth::{Scheme, Token};
use crate::model::finding::Basis;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A user name or password holds characters that are not ASCII, and client and server do not agree on how they are
    /// written.
    ///
    /// ## What authtap saw
    /// Refused Basic credentials with bytes above 127, that are not UTF-8; or that are UTF-8, while the challenge does not ask
    /// for it (`charset="UTF-8"`). The bytes themselves are never kept.
    ///
    /// ## Why it breaks
    /// Basic credentials have no character set of their own. Some clients send ISO-8859-1, newer browsers UTF-8, and a server
    /// that reads the one as the other compares another password.
    ///
    /// ## Fix
    /// - Test it: the same user with a password of ASCII characters alone gets in.
    /// - Server: let the challenge say `Basic realm="…", charset="UTF-8"` where the application makes it (IIS's own Basic authentication has no setting for that, as far as is known).
    /// - Client: set the encoding (curl takes the terminal's; in .NET build the header with `Encoding.UTF8`).
    /// - Or Windows authentication, which is Unicode throughout.
    ///
    /// ## Not this when
    /// The logon is accepted, or the credentials are ASCII (`credentials-rejected` alone).
    ///
    /// ## References
    /// - RFC 7617 sections 2 and 2.1
    slug: "basic-charset",
    title: "Basic credentials that are not ASCII were refused",
    severity: Low,
    basis: Observed,
    schemes: ["basic"],
    cause: Client,
    consequence_of: [],
    yields_to: ["access-denied-after-logon"],
    since: "0.1.0",
}

/// Tells once of each client and kind.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    told: Memory<(IpAddr, bool), ()>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.told.len()
    }

    fn forgotten(&self) -> u64 {
        self.told.forgotten()
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if turn.answer != Event::Refused || turn.request != Event::Credentials || !turn.came_whole() {
            return;
        }
        let Some(Token::Basic(basic)) = turn.exchange.authorization.as_ref().map(|a| &a.token) else { return };
        let utf8 = match basic.charset.as_deref() {
            Some("neither") => false,
            Some("utf-8") => true,
            _ => return,
        };
        let mut challenges = turn.exchange.challenges.iter().filter(|c| c.scheme == Scheme::Basic);
        let asked = challenges.any(|c| c.param("charset").is_some_and(|v| v.eq_ignore_ascii_case("utf-8")));
        // UTF-8 as the server asked for is as it should be.
        if (utf8 && asked) || !may_be_credentials(turn) {
            return;
        }
        if !self.told.is_first((turn.party, utf8), turn.at(), view) {
            return;
        }
        let (what, may) = match (utf8, asked) {
            (true, _) => ("in UTF-8, which the challenge does not ask for", "may read them otherwise"),
            (false, true) => ("not in UTF-8, which the challenge asks for", "reads them otherwise"),
            (false, false) => ("not in UTF-8", "may read them otherwise"),
        };
        out.raise(
            turn.at(),
            Draft::new(
                Basis::Observed,
                format!(
                    "The Basic credentials that {} sent on connection {} hold characters that are not ASCII, {what}, and were \
                     refused: the server {may}, or the password is wrong.",
                    turn.party, turn.exchange.connection
                ),
                Place::request(turn).says(format!("credentials with bytes above 127, {what}")),
            )
            .scheme(Some("basic"))
            .and(Place::response(turn).says("401")),
        );
    }
}
