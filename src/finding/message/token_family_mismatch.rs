//! See the page below.

use std::net::IpAddr;

use crate::finding::memory::Memory;
use crate::finding::shared::cases::Cases;
use crate::finding::shared::stops::Stops;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::auth::{AuthField, Scheme, Token};
use crate::model::event::Handshake;
use crate::model::finding::{Basis, Evidence, Severity};
use crate::track::asker::Sender;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A token is of another kind than its scheme says: SPNEGO under `NTLM`, a raw NTLM challenge in answer to SPNEGO, a
    /// Windows token under a scheme of another name.
    ///
    /// ## What authtap saw
    /// The token's first bytes, which say what it is, beside the scheme's name. In a request: told as a defect when the
    /// server refuses it, and as information when the server takes it. In a challenge: told when the client then stops.
    /// The first case of a client is told, then the tenth, the twentieth and so on.
    ///
    /// ## Why it breaks
    /// A server that reads `NTLM` expects a raw NTLM message, and a client that sent SPNEGO expects SPNEGO back. Some look
    /// at the bytes and take either, as Windows does in many cases; others refuse, or stop without a word. Usually a proxy
    /// or a library rewrote the scheme's name and left the token as it was.
    ///
    /// ## Fix
    /// - Find out who writes the scheme: a proxy that offers `NTLM` only and turns `Negotiate` into it (or back) must translate the token too, or leave both alone.
    /// - A client's library: let it use `Negotiate` with SPNEGO, or `NTLM` with raw messages; a newer version of it most often does (pyspnego, requests-ntlm, go-ntlmssp, gss-ntlmssp).
    /// - A server's module that answers SPNEGO with a raw challenge: a newer version, or the provider *NTLM* instead of *Negotiate*.
    ///
    /// Afterwards `authtap decode` names for each token the family that its scheme has.
    ///
    /// ## Not this when
    /// Raw NTLM or Kerberos stands under `Negotiate`: that is legal, Windows' own clients do it, and it is not reported
    /// here. The case of the scheme's name does not matter.
    ///
    /// ## References
    /// - RFC 4559 sections 4.1 and 4.2; RFC 4178 section 4.2; MS-SPNG section 3.1.4; MS-NTHT section 2.2
    slug: "token-family-mismatch",
    title: "A token is of another family than its scheme",
    severity: Medium,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm", "kerberos", "negotiate"],
    cause: Client,
    consequence_of: [],
    since: "0.1.0",
}

/// A client that was quiet for so long is forgotten.
const MEMORY: std::time::Duration = std::time::Duration::from_hours(1);

/// What a challenge is, and should be.
#[derive(Debug)]
struct Flaw {
    client: IpAddr,
    what: String,
    scheme: &'static str,
    evidence: Evidence,
}

/// Looks at each token's family.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    /// By client, and whether its server takes such tokens.
    clients: Memory<(Sender, bool), Cases>,
    stops: Stops<Flaw>,
}

/// The family of a token that does not belong under its scheme.
fn foreign(field: &AuthField) -> Option<&'static str> {
    match (&field.scheme, &field.token) {
        (Scheme::Ntlm, Token::Spnego(_) | Token::Kerberos(_))
        | (Scheme::Kerberos, Token::Ntlm(_))
        | (Scheme::Other(_), Token::Ntlm(_) | Token::Spnego(_) | Token::Kerberos(_)) => field.token.family(),
        _ => None,
    }
}

impl Detector {
    fn request(&mut self, turn: &Turn, family: &str, scheme: &str, view: &View<'_>, out: &mut Raise<'_>) {
        let refused = match turn.answer {
            Event::Refused => true,
            Event::Undecided if turn.status() == 400 => true,
            Event::Challenge | Event::Continue | Event::Accepted | Event::AcceptedOnce => false,
            _ => return,
        };
        let client = |taken| (turn.sender(), taken);
        // A server that took one such token reads them; what it refuses then, it refuses for another reason.
        if refused && self.clients.get(&client(true)).is_some() {
            return;
        }
        let Some(count) = self.clients.entry(client(!refused), turn.at(), view, Cases::default).more(1) else { return };
        let times = if count > 1 { format!(" ({count} times so far)") } else { String::new() };
        let fate = match (refused, turn.status()) {
            (true, status) => format!("was refused with {status}"),
            (false, _) => "was taken all the same".to_owned(),
        };
        let summary = format!(
            "{} from {} on connection {} says `{scheme}` and carries a token of the family {family}, which {fate}{times}.",
            turn.request_line(),
            turn.party,
            turn.exchange.connection
        );
        let primary = Place::request(turn).says(format!("a token of the family {family} under `{scheme}`"));
        let draft = Draft::new(Basis::Observed, summary, primary).scheme(turn.scheme);
        out.raise(turn.at(), if refused { draft } else { draft.severity(Severity::Info) });
    }

    /// The challenge's family is not what the client can expect.
    fn challenge(&mut self, turn: &Turn, view: &View<'_>) {
        let Some(challenge) = &turn.challenge else { return };
        let Some(field) = turn.exchange.challenges.iter().find(|c| c.ntlm().is_some()) else { return };
        let spnego_sent = matches!(turn.exchange.authorization.as_ref().map(|a| &a.token), Some(Token::Spnego(_)));
        let what = match (foreign(field), &field.token) {
            (Some(family), _) => format!("is of the family {family} under `{}`", field.scheme_as_sent),
            (None, Token::Ntlm(_)) if spnego_sent && field.scheme == Scheme::Negotiate => {
                "is raw NTLM in answer to SPNEGO".to_owned()
            }
            _ => return,
        };
        self.stops.flawed(turn, view, || Flaw {
            client: turn.party,
            scheme: challenge.scheme,
            evidence: Place::new(challenge.connection, Some(challenge.exchange), "CHALLENGE", challenge.at)
                .says(format!("a CHALLENGE that {what}")),
            what,
        });
    }
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.clients.len() + self.stops.len()
    }

    fn forgotten(&self) -> u64 {
        self.clients.forgotten() + self.stops.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        self.stops.look(turn, view);
        if let Some(field) = &turn.exchange.authorization
            && let Some(family) = foreign(field)
        {
            self.request(turn, family, &field.scheme_as_sent, view, out);
        }
        self.challenge(turn, view);
    }

    fn on_given_up(&mut self, handshake: &Handshake, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(stopped) = self.stops.given_up(handshake, at, view) else { return };
        let flaw = stopped.of;
        let summary =
            format!("The CHALLENGE to {} {}, and the client sent no AUTHENTICATE for it.", flaw.client, flaw.what);
        out.raise(at, Draft::new(Basis::Observed, summary, flaw.evidence).scheme(Some(flaw.scheme)));
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.clients.expire(now, MEMORY);
    }
}
