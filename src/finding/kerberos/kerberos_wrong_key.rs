//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::hops::not_iis;
use crate::finding::shared::refusal::may_be_credentials;
use crate::finding::shared::subject::key;
use crate::finding::shared::ticket::{WRONG_KEY, ap_req, described, error_name, krb_error, spn};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::{Basis, Evidence};
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The service cannot open the Kerberos ticket: it was sealed with another account's key than the one that IIS uses.
    /// The user and the password are fine; the domain controller has vouched for them.
    ///
    /// ## What authtap saw
    /// `observed`: a KRB-ERROR in the 401 that says so (KRB_AP_ERR_MODIFIED, 41; other servers say 31, 35, 44 or 45). `suspected`: tickets for
    /// one service name refused twice or more, and none accepted, without a reason; clocks that differ, Extended Protection over a hop that
    /// ends TLS (Kerberos hides its binding), a permission and a hop behind authtap that takes `Authorization` away look the same.
    ///
    /// ## Why it breaks
    /// The domain controller seals a ticket for the account that owns the service principal name (SPN). IIS opens it with
    /// the key of the account that it uses: with kernel-mode authentication the **computer's**, otherwise the application
    /// pool's. When the SPN stands on the other one, on two accounts, or the account's password was changed and the client
    /// still holds an old ticket, the keys differ.
    ///
    /// ## Fix
    /// - Who owns the name: `setspn -Q HTTP/host` (and `setspn -X` for duplicates). Exactly one account may.
    /// - Application pool under a domain account: put the SPN on it (`setspn -S HTTP/host DOMAIN\account`) **and** set `useAppPoolCredentials` (`appcmd set config "SITE" /section:windowsAuthentication /useAppPoolCredentials:true /commit:apphost`), or turn *Windows Authentication > Advanced Settings > Enable Kernel-mode authentication* off.
    /// - Application pool under its built-in identity: the SPN belongs to the computer account (`HOST/` covers it); take it off other accounts (`setspn -D`).
    /// - A farm behind one name: one domain account on all nodes, with the SPN and `useAppPoolCredentials`.
    /// - After a change of password or SPN: `klist purge` on the client, or log on again.
    ///
    /// Afterwards the AP-REQ is answered with 200.
    ///
    /// ## Not this when
    /// The error is KRB_AP_ERR_SKEW (`kerberos-clock-skew`), or another ticket for the same name is accepted: then it is one
    /// client's old ticket, or a permission.
    ///
    /// ## References
    /// - RFC 4120 sections 3.2.3 and 7.5.9; MS-KILE section 3.4.5; *Service Logons Fail Due to Incorrectly Set SPNs* (Windows Server documentation)
    slug: "kerberos-wrong-key",
    title: "IIS cannot open the Kerberos ticket: the SPN is on another account, or the key is old",
    severity: High,
    basis: Observed,
    schemes: ["kerberos"],
    cause: Directory,
    consequence_of: [],
    yields_to: ["access-denied-after-logon", "kerberos-clock-skew", "kerberos-encryption-type"],
    since: "0.1.0",
}

/// So many refusals without a reason make a suspicion.
const ENOUGH: u32 = 2;

/// What became of the tickets for one name.
#[derive(Debug, Default)]
struct Name {
    accepted: bool,
    refused: u32,
    errors: u32,
    first: Option<Evidence>,
}

/// Follows the tickets for each service name.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    names: Memory<u64, Name>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.names.len()
    }

    fn forgotten(&self) -> u64 {
        self.names.forgotten()
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(ticket) = ap_req(turn) else { return };
        let at = turn.at();
        let name = self.names.entry(key(spn(ticket)), at, view, Name::default);
        if matches!(turn.answer, Event::Accepted | Event::AcceptedOnce | Event::Continue) {
            name.accepted = true;
            return;
        }
        if turn.answer != Event::Refused {
            return;
        }
        let from = turn.party;
        if let Some(error) = krb_error(turn) {
            if !error.error_code.is_some_and(|c| WRONG_KEY.contains(&c)) {
                return;
            }
            name.errors += 1;
            // A storm of the same error is told at its doublings.
            if !name.errors.is_power_of_two() {
                return;
            }
            let tried = error.sname.as_deref().map(|account| {
                format!(" The error names {account}, which seems to be the account whose key IIS tried.")
            });
            let times = if name.errors > 1 { format!(" ({} times so far)", name.errors) } else { String::new() };
            out.raise(
                at,
                Draft::new(
                    Basis::Observed,
                    format!(
                        "The server answered {} to the ticket for {} that {from} sent on connection {}{times}: it cannot open \
                         the ticket with its key.{}",
                        error_name(error),
                        described(ticket),
                        turn.exchange.connection,
                        tried.unwrap_or_default()
                    ),
                    Place::response(turn).says(format!("KRB-ERROR {}", error_name(error))),
                )
                .scheme(Some("kerberos"))
                .and(Place::request(turn).says(format!("AP-REQ with a ticket for {}", described(ticket)))),
            );
            return;
        }
        // A ticket that did not come whole says nothing of the key.
        let cut = turn.exchange.authorization.as_ref().is_some_and(|field| field.cut_off().is_some());
        if cut || name.accepted || !turn.offers_windows() || !may_be_credentials(turn) {
            return;
        }
        name.refused += 1;
        let here = Place::response(turn).says(format!("401 to a ticket for {}, without a reason", spn(ticket)));
        if name.refused < ENOUGH || !name.refused.is_power_of_two() {
            name.first.get_or_insert(here);
            return;
        }
        let tls = view.site.connection(turn.exchange.connection).is_some_and(|c| c.tls().is_some());
        let binding = if tls { "Extended Protection over TLS (Kerberos hides its binding), " } else { "" };
        out.raise(
            at,
            Draft::new(
                Basis::Suspected,
                format!(
                    "{} tickets for {} were refused and none was accepted, the last from {from} on connection {}. Most \
                     likely the SPN stands on another account than the one whose key IIS uses; clocks that differ, {binding}a \
                     permission, or a hop behind authtap that takes `Authorization` away would look the same{}.",
                    name.refused,
                    described(ticket),
                    turn.exchange.connection,
                    not_iis(turn),
                ),
                here,
            )
            .scheme(Some("kerberos"))
            .and_if(name.first.clone()),
        );
    }
}
