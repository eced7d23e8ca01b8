//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::scope::{key, name_of};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::auth::NtlmResponse;
use crate::model::finding::Basis;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A client's NTLM flags lack what a server with the default minimum of session security asks for: 128-bit keys, or
    /// NTLMv2 session security. The server refused the logon.
    ///
    /// ## What authtap saw
    /// A whole NTLMv2 logon, answered by 401, whose AUTHENTICATE has no `NTLMSSP_NEGOTIATE_128` or no
    /// `NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY`. That the flags are missing is certain. Whether the server's
    /// `NtlmMinServerSec` asks for them cannot be seen, so it is told under the refused logon and does not replace its other
    /// reasons.
    ///
    /// ## Why it breaks
    /// Flags are agreed on from NEGOTIATE to AUTHENTICATE: what the client did not offer is not there in the end. Windows
    /// refuses a logon below its minimum (`NtlmMinServerSec`: 0x20000000 for 128 bits, 0x00080000 for NTLMv2 session
    /// security), and the client sees a 401 as for a wrong password.
    ///
    /// ## Fix
    /// - The client's library: a version that offers both flags in its NEGOTIATE (seen missing in small implementations, such as an old go-ntlmssp), or Kerberos.
    /// - A Windows client: *Local Security Policy > Security Options > Network security: Minimum session security for NTLM SSP based (including secure RPC) clients*, both boxes.
    /// - To see whether it is this: *… for NTLM SSP based (including secure RPC) servers* on the server (registry `HKLM\SYSTEM\CurrentControlSet\Control\Lsa\MSV1_0`, `NtlmMinServerSec`). Lowering it lets weak clients in; mend the client instead.
    ///
    /// Afterwards the AUTHENTICATE has both flags (`authtap decode`).
    ///
    /// ## Not this when
    /// Logons with the same flags were accepted on the same host: then the server does not ask for more. NTLMv1 responses
    /// are `ntlmv1-client`.
    ///
    /// ## References
    /// - MS-NLMP section 2.2.2.5 (NEGOTIATE)
    /// - Windows security policy: *Minimum session security for NTLM SSP based servers*
    slug: "ntlm-session-security",
    title: "A refused NTLM logon lacks 128-bit keys or NTLMv2 session security",
    severity: Low,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm"],
    cause: Client,
    consequence_of: [],
    since: "0.1.0",
}

/// NTLMSSP_NEGOTIATE_128 (MS-NLMP section 2.2.2.5).
const KEY_128: u32 = 0x2000_0000;
/// NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY.
const EXTENDED: u32 = 0x0008_0000;

/// What is known of one lack on one host.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    accepted: bool,
}

/// Looks at the flags of each whole logon.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    hosts: Memory<u64, Known>,
    told: Memory<u64, ()>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.hosts.len() + self.told.len()
    }

    fn forgotten(&self) -> u64 {
        self.hosts.forgotten() + self.told.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if turn.request != Event::Authenticate {
            return;
        }
        let Some(message) = turn.authenticate().filter(|m| m.response == NtlmResponse::V2) else { return };
        let lack = (KEY_128 | EXTENDED) & !message.flags;
        if lack == 0 || !turn.came_whole() {
            return;
        }
        let host = name_of(turn).unwrap_or_default();
        let on_host = key((host, lack));
        match turn.answer {
            Event::Accepted | Event::AcceptedOnce => {
                self.hosts.entry(on_host, turn.at(), view, Known::default).accepted = true;
                return;
            }
            Event::Refused if !self.hosts.get(&on_host).is_some_and(|k| k.accepted) => {}
            _ => return,
        }
        let subject = key((host, lack, turn.party, turn.header("user-agent")));
        if !self.told.is_first(subject, turn.at(), view) {
            return;
        }
        let what = match lack {
            KEY_128 => "128-bit keys (NTLMSSP_NEGOTIATE_128)",
            EXTENDED => "NTLMv2 session security (NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY)",
            _ => "128-bit keys and NTLMv2 session security",
        };
        let e = &turn.exchange;
        let program = turn.header("user-agent").map(|a| format!(" ({a})")).unwrap_or_default();
        out.raise(
            turn.at(),
            Draft::new(
                Basis::Observed,
                format!(
                    "The server refused {} from {}{program} on connection {}; the client did not agree to {what}: if \
                     the server's NtlmMinServerSec asks for that, it is the reason, otherwise the account \
                     or its password.",
                    turn.whose_logon(),
                    turn.party,
                    e.connection
                ),
                // It does not explain the refusal for certain, and claims no exchange of it.
                Place::new(e.connection, None, "AUTHENTICATE", e.times.request_head)
                    .says(format!("AUTHENTICATE with flags 0x{:08x}, without {what}", message.flags)),
            )
            .scheme(turn.scheme)
            .because("credentials-rejected"),
        );
    }

    fn on_time(&mut self, now: Stamp, view: &View<'_>, _out: &mut Raise<'_>) {
        self.told.expire(now, view.settings.limits.challenge_memory);
    }
}
