//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The user is logged on to this server, and this server is refused by one behind it (a database, a file share, another
    /// site), to which it cannot be that user: the *double hop*.
    ///
    /// ## What authtap saw
    /// On a connection that is logged on, an error whose page speaks of `ANONYMOUS LOGON` or of a failed login at a back
    /// end. That is a pattern, and no proof: an application may fail there for its own reasons.
    ///
    /// ## Why it breaks
    /// NTLM proves the user to one server and cannot be passed on. Kerberos can, when delegation is allowed for this server's
    /// account; without it the back end sees `NT AUTHORITY\ANONYMOUS LOGON`.
    ///
    /// ## Fix
    /// - Let the application use its own account towards the back end, where the user's identity is not needed there.
    /// - Otherwise Kerberos all the way, with constrained delegation: *Active Directory Users and Computers > account of the application pool > Delegation > Trust this user for delegation to specified services only*, with the back end's SPN (`MSSQLSvc/host:1433`); resource-based: `Set-ADComputer BACKEND -PrincipalsAllowedToDelegateToAccount ACCOUNT`.
    /// - The client must log on with Kerberos (see `ntlm-fallback`), and the user must not be marked *Account is sensitive and cannot be delegated* or be in *Protected Users*.
    /// - ASP.NET Core does not impersonate by itself: wrap the call in `WindowsIdentity.RunImpersonated`.
    ///
    /// ## Not this when
    /// Nobody is logged on, or the server itself refused the user (`credentials-rejected`, `access-denied-after-logon`).
    ///
    /// ## References
    /// - MS-SFU section 1.3 (S4U2proxy); *Kerberos Constrained Delegation Overview* (Windows Server documentation)
    slug: "double-hop",
    title: "Logged on here, and refused by a server behind this one",
    severity: Medium,
    basis: Suspected,
    schemes: [],
    cause: Directory,
    consequence_of: [],
    since: "0.1.0",
}

/// Tells once of each path.
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

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(page) = turn.response().and_then(|r| r.page.as_ref()) else { return };
        let Some(sign) = page.back_end.as_deref() else { return };
        let logged_on = turn.logon_before.is_some()
            || (matches!(turn.request, Event::Authenticate | Event::Token | Event::Credentials)
                && turn.status() != 401);
        if !logged_on || turn.answer == Event::Challenge {
            return;
        }
        if !self.told.is_first(turn.path_hash(), turn.at(), view) {
            return;
        }
        let before = turn.logon_before.as_ref();
        let user = turn.user.as_deref().or_else(|| before.and_then(|l| l.user.as_deref())).unwrap_or("a user");
        let scheme = before.map_or(turn.scheme, |l| Some(l.scheme));
        let ntlm = scheme.is_some_and(|s| s.contains("ntlm"));
        let passed = if ntlm { ", and NTLM cannot be passed on" } else { "" };
        out.raise(
            turn.at(),
            Draft::new(
                Basis::Suspected,
                format!(
                    "{user} is logged on, yet {} on connection {} ended with {}, and its page says \"{sign}\": most likely a server \
                     behind this one refused it{passed}. The application may also fail there for a reason of its own.",
                    turn.request_line(),
                    turn.exchange.connection,
                    turn.status()
                ),
                Place::response(turn).says(format!("{} with a page that says \"{sign}\"", turn.status())),
            )
            .scheme(scheme),
        );
    }
}
