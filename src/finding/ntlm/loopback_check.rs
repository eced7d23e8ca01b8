//! See the page below.

use crate::finding::shared::refusal::may_be_credentials;
use crate::finding::shared::scope::{is_address, name_of, one_host};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::auth::NtlmAuthenticate;
use crate::model::finding::Basis;
use crate::track::challenges::Verdict;
use crate::track::connection::Connection;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// Somebody on the server itself asks for the site under a name that is not the machine's own. Windows refuses such NTLM
    /// logons: the loopback check. From other machines the same user gets in.
    ///
    /// ## What authtap saw
    /// An NTLM logon on one connection, in order, answered by 401. Its client seems to be the server: the AUTHENTICATE
    /// names the same computer as the CHALLENGE, or bears Windows' flag for a local call, or a Windows client came from the
    /// address that the server has. `Host` is not that computer's name. The reason is not on the wire, hence `suspected`:
    /// it may be a wrong password as well.
    ///
    /// ## Why it breaks
    /// Since Windows Server 2003 SP1 the security system compares the name that was asked for with the machine's own names
    /// when an NTLM logon comes from the machine itself, and refuses what does not match: a defence against reflected
    /// logons. IIS logs 401.1. Whether the check also applies when the request came through a proxy on the same machine was
    /// not verified.
    ///
    /// ## Fix
    /// - Add the name to the list of the server (KB 896861): registry key `HKLM\SYSTEM\CurrentControlSet\Control\Lsa\MSV1_0`, multi-string value `BackConnectionHostNames`, one name a line; then restart IIS (`iisreset`) or the machine.
    /// - Or ask for the site by the computer's own name, or test from another machine.
    /// - Or Kerberos for the alias: `setspn -S HTTP/ALIAS ACCOUNT`, and the alias in the client's *Local intranet* zone.
    /// - `DisableLoopbackCheck` (DWORD 1, in `HKLM\SYSTEM\CurrentControlSet\Control\Lsa`) turns the check off for all names; for test machines only.
    ///
    /// Afterwards the same request from the server itself is answered.
    ///
    /// ## Not this when
    /// `Host` is one of the names in the server's CHALLENGE, an address, or `localhost`; or the client's computer is another
    /// one. Then a refused logon is `credentials-rejected`. Where the same client's user got in at another path, it is
    /// `access-denied-after-logon`.
    ///
    /// ## References
    /// - KB 896861 (error 401.1 when browsing a site by its host name on the server itself)
    slug: "loopback-check",
    title: "The server refuses NTLM from itself to a name that is not its own",
    severity: Medium,
    basis: Suspected,
    schemes: ["ntlm", "negotiate-ntlm"],
    cause: Server,
    consequence_of: [],
    yields_to: ["access-denied-after-logon"],
    since: "0.1.0",
}

/// NTLMSSP_NEGOTIATE_LOCAL_CALL, which Windows sets when client and server are one machine.
const LOCAL_CALL: u32 = 0x0000_4000;

/// Looks at each refused NTLM logon of the server's own machine.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector;

impl Detect for Detector {
    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if turn.request != Event::Authenticate || turn.answer != Event::Refused || !turn.in_sequence() {
            return;
        }
        let (Some(message), Some(host)) = (turn.authenticate(), name_of(turn)) else { return };
        if is_address(host) || host.eq_ignore_ascii_case("localhost") || !may_be_credentials(turn) {
            return;
        }
        let names = server_names(turn, message);
        if names.is_empty() || names.iter().any(|name| one_host(name, host)) {
            return;
        }
        let e = &turn.exchange;
        let Some(sign) = sign(turn, message, &names, view.site.connection(e.connection)) else { return };
        let server = names.first().copied().unwrap_or_default();
        out.raise_with(turn.at(), e.connection, || {
            Draft::new(
                Basis::Suspected,
                format!(
                    "The server {server} refused {} from {} on connection {}: the client seems to be the server's own \
                     machine ({sign}), and asked for {host}, which is not its name; that is most likely Windows' \
                     loopback check, or else a wrong password.",
                    turn.whose_logon(),
                    turn.party,
                    e.connection
                ),
                Place::request(turn).says(format!("AUTHENTICATE for Host {host}: {sign}")),
            )
            .scheme(turn.scheme)
            .and(Place::response(turn).says("401 with bare schemes"))
        });
    }
}

/// The names of the server, as its challenge gives them.
fn server_names<'a>(turn: &'a Turn, message: &'a NtlmAuthenticate) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    if let Some(info) = &message.target_info {
        names.extend(info.dns_computer_name.as_deref());
        names.extend(info.nb_computer_name.as_deref());
    }
    if let Some(Verdict::Here(challenge, _)) = &turn.verdict {
        names.extend(challenge.names.server());
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Why the client seems to be the server's own machine.
fn sign(turn: &Turn, message: &NtlmAuthenticate, names: &[&str], connection: Option<&Connection>) -> Option<String> {
    if message.flags & LOCAL_CALL != 0 {
        return Some("its message bears Windows' flag for a local call".to_owned());
    }
    let workstation = message.workstation.as_str();
    if !workstation.is_empty() && names.iter().any(|name| one_host(name, workstation)) {
        return Some(format!("its message names the workstation {workstation}"));
    }
    // Only Windows' own messages carry the machine's id; other clients do not run with the server's security system.
    let windows = message.target_info.as_ref().is_some_and(|i| i.machine.is_some());
    let own = connection.is_some_and(Connection::from_the_server);
    (windows && own).then(|| format!("it is a Windows client at {}, where the server is", turn.peer))
}
