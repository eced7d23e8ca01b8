//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::refusal::may_be_credentials;
use crate::finding::shared::subject::key;
use crate::finding::shared::ticket::{ETYPE_NOSUPP, WRONG_KEY, ap_req, described, error_name, is_old, krb_error, spn};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::{Basis, Evidence};
use crate::token::kerberos::etype_name;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The ticket is sealed with an encryption type that the server does not take: RC4 or DES where only AES is allowed.
    ///
    /// ## What authtap saw
    /// A refused ticket of type RC4-HMAC (23) or DES (1, 3), at least twice, while none of that type was accepted for the same
    /// service name; or a KRB-ERROR that says KDC_ERR_ETYPE_NOSUPP (14). The type is certain, that it is the reason is the
    /// likeliest of several: a wrong key is refused alike.
    ///
    /// ## Why it breaks
    /// The domain controller chooses the type by what the service's account says it can do. An account without AES keys (its
    /// password is older than the domain's functional level 2008), or without AES in *msDS-SupportedEncryptionTypes*, gets
    /// RC4. A server whose policy allows AES alone then refuses the ticket.
    ///
    /// ## Fix
    /// - The service account: *Active Directory Users and Computers > Account > This account supports Kerberos AES 256 bit encryption*, or `Set-ADUser account -KerberosEncryptionType AES128,AES256`; then **change its password**, which makes the AES keys, and restart the application pool.
    /// - What is allowed on the server: *Local Security Policy > Security Options > Network security: Configure encryption types allowed for Kerberos*.
    /// - Clients: `klist` shows the type of each ticket; `klist purge` after the change.
    ///
    /// Afterwards `authtap` shows tickets of type AES256.
    ///
    /// ## Not this when
    /// RC4 tickets for the same name are accepted: then the type is not the reason.
    ///
    /// ## References
    /// - RFC 3961, RFC 4757, RFC 8429; MS-KILE section 2.2.7 (Supported Encryption Types Bit Flags)
    slug: "kerberos-encryption-type",
    title: "The ticket's encryption type is refused",
    severity: Medium,
    basis: Inferred,
    schemes: ["kerberos"],
    cause: Directory,
    consequence_of: [],
    yields_to: ["access-denied-after-logon"],
    since: "0.1.0",
}

/// What became of the tickets of one type for one name.
#[derive(Debug, Default)]
struct Tickets {
    accepted: bool,
    refused: u32,
    first: Option<Evidence>,
    told: bool,
}

/// Follows the tickets of old types for each service name.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    names: Memory<(u64, i32), Tickets>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.names.len()
    }

    fn forgotten(&self) -> u64 {
        self.names.forgotten()
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let Some((ticket, etype)) = ap_req(turn).and_then(|k| Some((k, k.ticket_etype?))) else { return };
        let error = krb_error(turn).filter(|_| turn.answer == Event::Refused);
        let unsupported = error.is_some_and(|e| e.error_code == Some(ETYPE_NOSUPP));
        if !is_old(etype) && !unsupported {
            return;
        }
        let tickets = self.names.entry((key(spn(ticket)), etype), turn.at(), view, Tickets::default);
        if matches!(turn.answer, Event::Accepted | Event::AcceptedOnce | Event::Continue) {
            tickets.accepted = true;
            return;
        }
        if turn.answer != Event::Refused || tickets.accepted || tickets.told || !may_be_credentials(turn) {
            return;
        }
        let named = etype_name(etype).map_or_else(|| format!("type {etype}"), str::to_owned);
        let (says, why) = match error {
            Some(e) if unsupported => {
                (format!("KRB-ERROR {}", error_name(e)), format!("the server answered {}", error_name(e)))
            }
            // The key is the reason that the server gives; the type may still be behind it.
            Some(e) if e.error_code.is_some_and(|c| WRONG_KEY.contains(&c)) => return,
            Some(_) => return,
            None if !turn.offers_windows() => return,
            None => {
                tickets.refused += 1;
                let here = Place::response(turn).says(format!("401 to a ticket of type {named}"));
                if tickets.refused < 2 {
                    tickets.first = Some(here);
                    return;
                }
                (
                    format!("401 to a ticket of type {named}"),
                    format!("{} of them were refused without a reason, and none accepted", tickets.refused),
                )
            }
        };
        tickets.told = true;
        out.raise(
            turn.at(),
            Draft::new(
                Basis::Inferred,
                format!(
                    "The ticket for {} that {} sent on connection {} is sealed with {named}, and {why}: most likely the server \
                     takes only AES.",
                    described(ticket),
                    turn.party,
                    turn.exchange.connection
                ),
                Place::response(turn).says(says),
            )
            .scheme(Some("kerberos"))
            .and_if(tickets.first.clone()),
        );
    }
}
