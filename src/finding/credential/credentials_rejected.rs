//! See the page below.

use crate::finding::shared::hops::not_iis;
use crate::finding::shared::refusal::{Refusal, may_be_credentials};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::track::challenges::Verdict;
use crate::track::connection::Connection;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The server received what it needs to check a logon, whole and in order, and refused it: most often a wrong
    /// password, an unknown user, or an account that may not log on.
    ///
    /// ## What authtap saw
    /// For NTLM: NEGOTIATE, CHALLENGE and AUTHENTICATE on one connection, nothing in between, and 401 with bare schemes.
    /// For Basic and Digest: credentials of an offered scheme, and 401. The wire does not tell a wrong password from a
    /// locked, expired or restricted account, hence `inferred`; `observed` when IIS's detailed page or its log
    /// (`authtap report --iis-log`) gives the reason. When the same user was accepted before in this watch, the credentials
    /// may be right and the resource forbidden: then it is only `suspected`. So it is for NTLM when the answer's `Server` is not IIS: a hop
    /// behind authtap that mixes connections, or ends TLS where Extended Protection is on, looks the same.
    ///
    /// ## Why it breaks
    /// The server, or the domain controller it asked, did not accept what came. Why, only they know: IIS logs `401 1` (or
    /// `401 3` for a permission) with the reason in *sc-win32-status*, the server's Security log has event 4625, and the
    /// domain controller's event 4776 for NTLM.
    ///
    /// ## Fix
    /// - Look up the reason: the IIS log's line of that time (`authtap explain` knows the codes; 2148074252 is SEC_E_LOGON_DENIED, 1326 a bad name or password, 1909 a locked account), or event 4625 on the server: *Event Viewer > Windows Logs > Security*.
    /// - Wrong or old password: also in the client's credential store (*Control Panel > Credential Manager*; `cmdkey /list`).
    /// - Account locked, disabled, expired or restricted: *Active Directory Users and Computers > Account*.
    /// - Right to log on: *Local Security Policy > User Rights Assignment > Access this computer from the network*; for Basic it depends on `logonMethod` of *basicAuthentication* (`Interactive` needs *Allow log on locally*).
    /// - Over TLS, with Extended Protection on and a certificate in front that is not the server's: that ends the same way.
    ///
    /// ## Not this when
    /// The legs were torn apart (`handshake-split-across-connections`, `handshake-interleaved`). A hop *behind* authtap
    /// can still tear them apart where authtap cannot see it: then the IIS log may say 2148074248 (Extended
    /// Protection may end in that code as well), and authtap belongs behind that hop. An anonymous AUTHENTICATE is no refused password either. Where the log says `401 3`, the user was
    /// known and may not read this resource.
    ///
    /// ## References
    /// - MS-NLMP section 3.2.5.1.2; RFC 7617; RFC 7616
    slug: "credentials-rejected",
    title: "The server refused a complete logon",
    severity: High,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm", "basic", "digest"],
    cause: Credentials,
    consequence_of: ["handshake-changed-node", "digest-uri-mismatch", "channel-binding-mismatch", "channel-binding-foreign", "channel-binding-missing", "loopback-check", "authorization-malformed"],
    yields_to: ["access-denied-after-logon"],
    since: "0.1.0",
}

/// Looks at each refusal of whole credentials.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector;

impl Detect for Detector {
    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if turn.answer != Event::Refused || !turn.came_whole() || !may_be_credentials(turn) {
            return;
        }
        let e = &turn.exchange;
        // All its evidence is of this connection, and the response is the last of it.
        out.raise_with(e.times.response_head.unwrap_or_default(), e.connection, || draft(turn, view));
    }
}

/// SEC_E_INVALID_TOKEN.
const INVALID_TOKEN: u32 = 0x8009_0308;
/// SEC_E_BAD_BINDINGS.
const BAD_BINDINGS: u32 = 0x8009_0346;
/// SEC_E_LOGON_DENIED.
const LOGON_DENIED: u32 = 0x8009_030c;

/// IIS's page says why the account was refused: SEC_E_LOGON_DENIED, or a logon error of Windows (1311 to 1331, 1385, 1789
/// to 1793, 1907, 1909 and the like, as an HRESULT of facility 7).
fn is_a_reason(page: &Refusal<'_>) -> bool {
    let Some(row) = page.code().filter(|_| page.pair() == (401, 1)) else { return false };
    let number = row.code & 0xffff;
    let windows = row.code >> 16 == 0x8007 || row.code < 0x1_0000;
    row.code == LOGON_DENIED || (windows && matches!(number, 1311..=1331 | 1385 | 1786..=1793 | 1907 | 1909))
}

fn draft(turn: &Turn, view: &View<'_>) -> Draft {
    let name = turn.user.as_deref().unwrap_or("a user without a name");
    let connection = view.site.connection(turn.exchange.connection);
    let page = Refusal::of(turn);
    let foreign = if turn.request == Event::Authenticate { not_iis(turn) } else { String::new() };
    let (basis, cause) = if page.as_ref().is_some_and(is_a_reason) {
        (Basis::Observed, "it is the account or its password, as the page of IIS says")
    } else if page.is_some_and(|p| p.is_code(INVALID_TOKEN)) {
        (
            Basis::Suspected,
            "IIS's code says that the message did not fit, not that the password is wrong: something behind authtap may \
             tear handshakes apart, or Extended Protection refused it",
        )
    } else if page.is_some_and(|p| p.is_code(BAD_BINDINGS)) {
        (Basis::Suspected, "IIS's code says that the channel binding did not fit (Extended Protection)")
    } else if connection.and_then(Connection::certificates_differ) == Some(true) {
        // authtap blames itself first.
        (
            Basis::Suspected,
            "it may be authtap itself: it shows clients another certificate than the server's, and with Extended \
             Protection that alone makes every Windows logon fail; otherwise a wrong password, an unknown user or a \
             restricted account",
        )
    } else if view.site.was_accepted(name) {
        (
            Basis::Suspected,
            "the same user was accepted before, so it may be a permission on this resource, or a password that \
             changed",
        )
    } else if !foreign.is_empty() {
        (
            Basis::Suspected,
            "it may be a wrong password, an unknown user or a restricted account, but a hop behind authtap that does not \
             keep a connection to the server for each client makes a right password fail as well, and so does one that ends \
             TLS where Extended Protection is on",
        )
    } else {
        (
            Basis::Inferred,
            "it is most likely a wrong password, an unknown user or a restricted account, or else a permission on this \
             resource",
        )
    };
    let e = &turn.exchange;
    let scheme = turn.scheme.unwrap_or("ntlm");
    let whole = if turn.request == Event::Authenticate {
        "the whole handshake came in order on one connection"
    } else {
        "the credentials came whole"
    };
    let from = turn.party;
    let says = page.map(|p| format!(" ({})", p.says())).unwrap_or_default();
    Draft::new(
        basis,
        format!(
            "The server refused {name} from {from} for {} {} on connection {}: {whole}; {cause}{foreign}{says}.",
            e.request.method, e.request.target, e.connection
        ),
        Place::response(turn).says("401 with bare schemes after complete credentials"),
    )
    .scheme(Some(scheme))
    .and(Place::request(turn).says(format!("the credentials of {name} ({scheme})")))
    .and_if(match &turn.verdict {
        Some(Verdict::Here(c, _)) => Some(
            Place::new(c.connection, Some(c.exchange), "CHALLENGE", c.at)
                .says("the CHALLENGE they answer, on the same connection"),
        ),
        _ => None,
    })
}
