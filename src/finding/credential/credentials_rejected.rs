//! See the page below.

use std::collections::HashSet;

use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::track::challenges::Verdict;
use crate::track::handshake::{Event, Meaning};
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The server received what it needs to check a logon, whole and in order, and refused it: most often a wrong
    /// password, an unknown user, or an account that may not log on.
    ///
    /// ## What authtap saw
    /// For NTLM: NEGOTIATE, CHALLENGE and AUTHENTICATE on one connection, nothing in between, and 401 with bare schemes.
    /// For Basic and Digest: credentials of an offered scheme, and 401. The wire does not tell a wrong password from a
    /// locked, expired or restricted account, hence `inferred`. When the same user was accepted before in this watch,
    /// the credentials may be right and the resource forbidden: then it is only `suspected`.
    ///
    /// ## Why it breaks
    /// The account, not the transport. IIS logs `401 1` with the reason in *sc-win32-status*, and the domain controller
    /// logs event 4625 (or 4776) with its own.
    ///
    /// ## Fix
    /// - Look up the reason: the IIS log's line of that time (`authtap explain` knows the codes; 2148074252 is SEC_E_LOGON_DENIED, 1326 a bad name or password, 1909 a locked account), or event 4625 on the server: *Event Viewer > Windows Logs > Security*.
    /// - Wrong or old password: also in the client's credential store (*Control Panel > Credential Manager*; `cmdkey /list`).
    /// - Account locked, disabled, expired or restricted: *Active Directory Users and Computers > Account*.
    /// - Right to log on: *Local Security Policy > User Rights Assignment > Access this computer from the network* (NTLM) or *Allow log on locally* (Basic).
    /// - Over TLS, with Extended Protection on and a certificate in front that is not the server's: that ends the same way.
    ///
    /// ## Not this when
    /// The legs were torn apart (`handshake-split-across-connections`, `handshake-interleaved`). A hop *behind* authtap
    /// can still tear them apart where authtap cannot see it: then the IIS log says 2148074248, and authtap belongs
    /// behind that hop.
    ///
    /// ## References
    /// - MS-NLMP section 3.2.5.1.2; RFC 7617; RFC 7616
    slug: "credentials-rejected",
    title: "The server refused a complete logon",
    severity: High,
    basis: Inferred,
    schemes: ["ntlm", "negotiate-ntlm", "basic", "digest"],
    since: "0.1.0",
}

/// So many users are remembered at most.
const MOST: usize = 100_000;

/// Looks at each refusal of whole credentials.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    /// Users that were accepted in this watch, in lower case.
    accepted: HashSet<String>,
}

impl Detect for Detector {
    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let user = turn.user.as_ref().map(|u| u.to_lowercase());
        if matches!(turn.meaning(), Meaning::Logon | Meaning::LogonOnce) {
            if let Some(user) = user
                && self.accepted.len() < MOST
            {
                self.accepted.insert(user);
            }
            return;
        }
        if turn.answer != Event::Refused || !whole(turn) {
            return;
        }
        let name = turn.user.as_deref().unwrap_or("a user without a name");
        let known = user.is_some_and(|u| self.accepted.contains(&u));
        let (basis, cause) = if known {
            (
                Basis::Suspected,
                "the same user was accepted before, so it may be a permission on this resource, or a password that \
                 changed",
            )
        } else {
            (Basis::Inferred, "most likely a wrong password, an unknown user or a restricted account")
        };
        let e = &turn.exchange;
        let scheme = turn.scheme.unwrap_or("ntlm");
        let whole = if turn.request == Event::Authenticate {
            "the whole handshake came in order on one connection"
        } else {
            "the credentials came whole"
        };
        let from = view.site.connection(e.connection).map_or_else(String::new, |c| format!(" from {}", c.client_ip()));
        out.raise(
            e.times.response_head.unwrap_or_default(),
            Draft::new(
                basis,
                format!(
                    "The server refused {name}{from} for {} {} on connection {}: {whole}, so it is {cause}.",
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
            }),
        );
    }
}

/// Whether everything that the server needs had come, in order.
fn whole(turn: &Turn) -> bool {
    match turn.request {
        Event::Authenticate => matches!(&turn.verdict, Some(Verdict::Here(c, _)) if c.interrupted_by.is_none()),
        Event::Credentials => {
            let Some(field) = &turn.exchange.authorization else { return false };
            let mut same = turn.exchange.challenges.iter().filter(|c| c.scheme == field.scheme).peekable();
            matches!(turn.scheme, Some("basic" | "digest"))
                && turn.user.is_some()
                && same.peek().is_some()
                && !same.any(|c| c.param("stale").is_some_and(|v| v.eq_ignore_ascii_case("true")))
        }
        _ => false,
    }
}
