//! See the page below.

use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::subject;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::auth::AuthField;
use crate::model::finding::{Basis, Evidence};
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A freshly started application refuses requests that already carry a token, until somebody asks it for something without
    /// one. Users see a prompt or an error that goes away by itself.
    ///
    /// ## What authtap saw
    /// On one application (host and first part of the path): an NTLM NEGOTIATE or a Kerberos ticket that got a bare 401, then a
    /// request without credentials, and after it the same kind of message that was challenged, or the very same ticket that was
    /// accepted. A NEGOTIATE holds no password and a ticket does not get better by waiting, so what changed is the server. That it
    /// was the anonymous request that healed it is `inferred`.
    ///
    /// ## Why it breaks
    /// With kernel-mode authentication HTTP.sys checks tokens itself, and it does so for an application only after that
    /// application's first request without credentials. Until then a token gets 401.1 with win32 status 2148074254
    /// (0x8009030E). Microsoft documents this as by design. It comes back each time the application starts: after a recycle, an idle
    /// time-out or a deployment.
    ///
    /// ## Fix
    /// - Let a request without credentials come first: *Application Initialization* (`preloadEnabled="true"` on the application, `startMode="AlwaysRunning"` on the pool), or a health probe without credentials on each server.
    /// - Or turn kernel mode off: *site > Authentication > Windows Authentication > Advanced Settings > Enable Kernel-mode authentication*; `appcmd set config "SITE" /section:windowsAuthentication /useKernelMode:false /commit:apphost`. With Kerberos the SPN must then be on the pool's account.
    /// - Or let clients ask first: no `PreAuthenticate` in .NET; `DisableNTLMPreAuth` (DWORD 1) under `HKCU\Software\Microsoft\Windows\CurrentVersion\Internet Settings` for WinINET.
    /// - Fewer restarts: *Application Pools > Advanced Settings > Idle Time-out* 0 and a recycling time at night.
    ///
    /// Afterwards the first token after a restart is challenged or accepted.
    ///
    /// ## Not this when
    /// The token is refused again after the anonymous request: then it is the ticket, its SPN, or a server that does not take
    /// NTLM. In a farm it may also be two servers that are set up in different ways; then it comes without restarts.
    ///
    /// ## References
    /// - KB 2749007; IIS documentation *windowsAuthentication* (`useKernelMode`), *applicationInitialization*
    slug: "preauthentication-cold-start",
    title: "A fresh application refuses tokens until an anonymous request has come",
    severity: Medium,
    basis: Inferred,
    schemes: ["ntlm", "negotiate-ntlm", "kerberos"],
    cause: Server,
    consequence_of: [],
    since: "0.1.0",
}

/// So long the healing may take.
const KEEP: Duration = Duration::from_mins(5);

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Presented {
    /// NTLM's NEGOTIATE of a scheme: the same for everybody.
    Negotiate(&'static str),
    /// A Kerberos ticket, by its fingerprint.
    Ticket(String),
}

#[derive(Debug)]
struct Refused {
    presented: Presented,
    at: Stamp,
    line: String,
    times: u32,
    evidence: Evidence,
    /// The request without credentials that came after it.
    bare: Option<Evidence>,
}

/// Remembers what fresh applications refused.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    apps: Memory<u64, Refused>,
}

impl Detector {
    /// A message that may be refused, or be the one that is taken now.
    fn presented(&mut self, turn: &Turn, presented: Presented, view: &View<'_>, out: &mut Raise<'_>) {
        let refused = turn.answer == Event::Refused;
        let app = app(turn);
        let at = turn.at();
        if refused {
            // On a connection that is logged on, or after other messages of it, there are other reasons.
            match self.apps.get_mut(&app) {
                Some(known) if known.bare.is_some() => drop(self.apps.remove(&app)),
                Some(known) => known.times += 1,
                None if turn.logon_before.is_none() && turn.offers_windows() => {
                    let evidence = Place::response(turn).says(match presented {
                        Presented::Negotiate(_) => "a bare 401 to a NEGOTIATE",
                        Presented::Ticket(_) => "a bare 401 to a ticket",
                    });
                    let line = turn.request_line();
                    self.apps.entry(app, at, view, || Refused { presented, at, line, times: 1, evidence, bare: None });
                }
                None => {}
            }
            return;
        }
        if !matches!(turn.answer, Event::Challenge | Event::Continue | Event::Accepted | Event::AcceptedOnce) {
            return;
        }
        // Whatever it is, the application takes tokens now.
        let Some(known) = self.apps.remove(&app) else { return };
        let Some(bare) = known.bare.filter(|_| known.presented == presented) else { return };
        let (what, now) = match presented {
            Presented::Negotiate(_) => ("a NEGOTIATE, which holds no password,", "the next one was challenged"),
            Presented::Ticket(_) => ("a Kerberos ticket", "the same ticket was accepted"),
        };
        let again = if known.times > 1 { format!(" {} times", known.times) } else { String::new() };
        out.raise(
            at,
            Draft::new(
                Basis::Inferred,
                format!(
                    "The application of {} refused {what}{again} with a bare 401; then a request without credentials came, and {now} \
                     on connection {}, {} ms after the first refusal.",
                    known.line,
                    turn.exchange.connection,
                    at.since(known.at).as_millis(),
                ),
                known.evidence,
            )
            .scheme(turn.scheme)
            .and(bare)
            .and(Place::response(turn).says("the same is taken now")),
        );
    }
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.apps.len()
    }

    fn forgotten(&self) -> u64 {
        self.apps.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        match turn.request {
            Event::Bare => {
                if self.apps.len() > 0
                    && let Some(known) = self.apps.get_mut(&app(turn)).filter(|k| k.bare.is_none())
                    && turn.at() > known.at
                {
                    known.bare = Some(Place::request(turn).says("a request without credentials"));
                }
            }
            // Nearly always: nothing was refused.
            _ if self.apps.len() == 0 && turn.answer != Event::Refused => {}
            Event::Negotiate => {
                let scheme = turn.scheme.unwrap_or("ntlm");
                self.presented(turn, Presented::Negotiate(scheme), view, out);
            }
            Event::Token => {
                let ticket = turn.exchange.authorization.as_ref().and_then(AuthField::kerberos);
                if let Some(ticket) = ticket.and_then(|k| k.ticket.as_ref()) {
                    self.presented(turn, Presented::Ticket(ticket.clone()), view, out);
                }
            }
            _ => {}
        }
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.apps.expire(now, KEEP);
    }
}

/// Host and first part of the path: as near to an application as the wire shows.
fn app(turn: &Turn) -> u64 {
    let first = turn.path().split('/').find(|part| !part.is_empty()).unwrap_or_default();
    subject::key((subject::host(turn), first))
}
