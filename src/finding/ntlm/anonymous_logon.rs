//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::scope::key;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::auth::NtlmResponse;
use crate::model::finding::Basis;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A client went through the whole NTLM handshake and named nobody: its AUTHENTICATE is anonymous. The server refused
    /// it, as IIS does.
    ///
    /// ## What authtap saw
    /// An AUTHENTICATE on the connection of its CHALLENGE with an empty user name, answered by 401. There is no password
    /// in it that could be wrong. It is told at the first one of a client, and each time their number has doubled.
    ///
    /// ## Why it breaks
    /// The program asked Windows for the credentials of whoever runs it, and that account has none to give over the
    /// network: a service under *Local Service*, an account without a session of its own, a process that lost its identity
    /// (impersonation without delegation), or a program that was told to use default credentials and has an empty name in
    /// its configuration.
    ///
    /// ## Fix
    /// - An application pool, service or scheduled task that calls the site: run it as *Network Service*, as *ApplicationPoolIdentity* (both use the machine's account on the network), or as a domain account (*IIS Manager > Application Pools > Advanced Settings > Identity*; *Services > Log On*).
    /// - A program that impersonates its own user (double hop): Kerberos with delegation, for NTLM cannot be passed on; or call with the process's own identity.
    /// - A library: give it user and password; look for an empty entry of the site in *Credential Manager* (`cmdkey /list`).
    ///
    /// Afterwards the AUTHENTICATE names a user.
    ///
    /// ## Not this when
    /// The server accepts the anonymous logon, or the handshake was torn apart, or the message was cut off on its way
    /// (`authorization-malformed`). Where Windows notices that client and server
    /// are one machine, its AUTHENTICATE is nearly empty too (`NTLMSSP_NEGOTIATE_LOCAL_CALL`): that is not anonymous, see
    /// `loopback-check`.
    ///
    /// ## References
    /// - MS-NLMP sections 3.1.5.1.2 and 3.2.5.1.2 (anonymous authentication)
    slug: "anonymous-logon",
    title: "A client logs on without naming a user",
    severity: Medium,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm"],
    cause: Client,
    consequence_of: [],
    since: "0.1.0",
}

/// NTLMSSP_NEGOTIATE_LOCAL_CALL, which Windows sets when client and server are one machine.
const LOCAL_CALL: u32 = 0x0000_4000;

/// Counts each client's anonymous logons.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    clients: Memory<u64, u64>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.clients.len()
    }

    fn forgotten(&self) -> u64 {
        self.clients.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if turn.request != Event::Authenticate || turn.answer != Event::Refused || !turn.in_sequence() {
            return;
        }
        let Some(message) = turn.authenticate() else { return };
        // A name that was cut off on its way is none that is missing.
        let cut = turn.exchange.authorization.as_ref().is_some_and(|field| field.cut_off().is_some());
        let nobody = message.user.is_empty() && message.response != NtlmResponse::Unreadable && !cut;
        if !(nobody || message.response == NtlmResponse::Anonymous) || message.flags & LOCAL_CALL != 0 {
            return;
        }
        let e = &turn.exchange;
        let count = self.clients.entry(key((turn.party, turn.header("user-agent"))), turn.at(), view, || 0);
        *count += 1;
        let count = *count;
        if !count.is_power_of_two() {
            return;
        }
        let again = if count > 1 { format!(", the {count}th time") } else { String::new() };
        let program = turn.header("user-agent").map(|a| format!(" ({a})")).unwrap_or_default();
        let machine = if message.workstation.is_empty() {
            String::new()
        } else {
            format!(" on the machine {}", message.workstation)
        };
        out.raise(
            turn.at(),
            Draft::new(
                Basis::Observed,
                format!(
                    "The client {}{program}{machine} answered the challenge on connection {} without naming a user, \
                     and was refused for {}{again}: it had no credentials to use there, unless it names a user at its \
                     next try.",
                    turn.party,
                    e.connection,
                    turn.request_line()
                ),
                Place::request(turn).says(format!("AUTHENTICATE without a user name ({})", message.response.name())),
            )
            .scheme(turn.scheme)
            .and(Place::response(turn).says("401 with bare schemes")),
        );
    }

    fn on_time(&mut self, now: Stamp, view: &View<'_>, _out: &mut Raise<'_>) {
        self.clients.expire(now, view.settings.limits.challenge_memory);
    }
}
