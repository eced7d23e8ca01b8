//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::scope::{AnyCase, key};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::auth::NtlmResponse;
use crate::model::finding::Basis;
use crate::track::connection::Connection;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A client answers the challenge with NTLMv1 or LM. Such responses can be broken by anybody who records one, and
    /// domains that are set up as Microsoft advises refuse them.
    ///
    /// ## What authtap saw
    /// An AUTHENTICATE whose NT response has 24 bytes (NTLMv1; with extended session security when the LM field holds a
    /// client challenge), or that has an LM response only. NTLMv2 responses are longer. It is told once for each client
    /// machine, also when the server accepts it; whether the domain takes such a response shows in its answer.
    ///
    /// ## Why it breaks
    /// With `LmCompatibilityLevel` 5 on the domain controller (*Send NTLMv2 response only. Refuse LM & NTLM*) the response is
    /// refused like a wrong password. It has no place for a channel binding either, so a site that requires Extended
    /// Protection refuses it too.
    ///
    /// ## Fix
    /// - A Windows client: *Local Security Policy > Local Policies > Security Options > Network security: LAN Manager authentication level* at *Send NTLMv2 response only* or higher (registry `HKLM\SYSTEM\CurrentControlSet\Control\Lsa`, `LmCompatibilityLevel` 3 to 5). Remove what lowers it by Group Policy.
    /// - Other clients: a library or device firmware that has NTLMv2 (a newer requests-ntlm or node-http-ntlm, the scanner's or printer's update), or Kerberos.
    /// - Find the others: the Security log's event 4624 on the server names *NTLM V1* under *Package Name (NTLM only)*.
    ///
    /// Afterwards authtap shows the client's response as NTLMv2.
    ///
    /// ## Not this when
    /// The handshake was torn apart: nothing is said of such a message. An anonymous AUTHENTICATE has no response at all.
    /// Whether the domain refuses NTLMv1 cannot be seen; a refusal may still be a wrong password.
    ///
    /// ## References
    /// - MS-NLMP sections 2.2.2.6, 2.2.2.8 and 3.2.5.1.2
    /// - Windows security policy: *Network security: LAN Manager authentication level*
    slug: "ntlmv1-client",
    title: "A client answers with NTLMv1 or LM",
    severity: Medium,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm"],
    cause: Client,
    consequence_of: [],
    since: "0.1.0",
}

/// Remembers the clients that were told.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    told: Memory<u64, ()>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.told.len()
    }

    fn forgotten(&self) -> u64 {
        self.told.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if turn.request != Event::Authenticate || !turn.in_sequence() {
            return;
        }
        let Some(message) = turn.authenticate() else { return };
        let what = match message.response {
            NtlmResponse::V1 => "an NTLMv1 response (24 bytes)",
            NtlmResponse::V1Ess => "an NTLMv1 response with extended session security (24 bytes)",
            NtlmResponse::Lm => "an LM response only",
            NtlmResponse::V2 | NtlmResponse::Anonymous | NtlmResponse::Unreadable => return,
        };
        let subject = key((turn.party, AnyCase(&message.workstation), message.response));
        if !self.told.is_first(subject, turn.at(), view) {
            return;
        }
        let e = &turn.exchange;
        let answer = match turn.answer {
            Event::Refused => {
                "and the server refused it, as a domain does that takes NTLMv2 only (a wrong password would \
                               look the same)"
            }
            Event::Accepted | Event::AcceptedOnce => "and the server accepted it: the domain still takes it",
            _ => "and the server's answer does not tell whether it takes that",
        };
        let tls = view.site.connection(e.connection).and_then(Connection::upstream_tls).is_some();
        let binding = if tls {
            "; it cannot carry the channel binding that Extended Protection may ask for over TLS"
        } else {
            ""
        };
        let machine = if message.workstation.is_empty() {
            String::new()
        } else {
            format!(" (workstation {})", message.workstation)
        };
        out.raise(
            turn.at(),
            Draft::new(
                Basis::Observed,
                format!(
                    "The client {}{machine} answered with {what} for {} on connection {}, {answer}{binding}.",
                    turn.party,
                    turn.user.as_deref().unwrap_or("a user without a name"),
                    e.connection
                ),
                Place::request(turn).says(format!(
                    "AUTHENTICATE with {what}: NT {} bytes, LM {} bytes",
                    message.nt_response_bytes, message.lm_response_bytes
                )),
            )
            .scheme(turn.scheme)
            .and_if(turn.response().map(|r| Place::response(turn).says(format!("answered by {}", r.status)))),
        );
    }
}
