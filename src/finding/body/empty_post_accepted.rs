//! See the page below.

use std::net::IpAddr;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::subject;
use crate::finding::shared::subject::{Often, times};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::finding::Basis;
use crate::model::http::{Announced, Request};
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A client held the body of a POST back because it expected to be challenged, and the server took the empty request
    /// for the real one: the form, the file or the message is lost, and nobody is told.
    ///
    /// ## What authtap saw
    /// A POST, PUT or PATCH of zero bytes with NTLM's NEGOTIATE, the message that asks for a challenge, and an answer
    /// that is no challenge and no refusal. Where the `Content-Type` is of a kind that is never empty (JSON, XML,
    /// multipart) the loss is `observed`. A form may be empty on purpose, and a 302 may be a redirect of the site; then
    /// it is `inferred`.
    ///
    /// ## Why it breaks
    /// A client that has logged on to a site before sends its next POST with NEGOTIATE and `Content-Length: 0`, to spare
    /// itself a body that the challenge would make worthless. It sends the body with AUTHENTICATE. When this address
    /// wants no logon, there is no challenge, and the body is never sent.
    ///
    /// ## Fix
    /// Make the site ask everywhere or nowhere below one address.
    /// - IIS: *site > the folder or application > Authentication*: disable *Anonymous Authentication* where users post and the rest of the site asks for Windows authentication. `appcmd set config "SITE/PATH" /section:anonymousAuthentication /enabled:false /commit:apphost`
    /// - Or move the open part to another host name: clients hold bodies back per host.
    /// - A balancer with several servers: all must ask at the same addresses.
    /// - Internet Explorer and WinINET: the registry value `DisableNTLMPreAuth` (DWORD 1) under `HKCU\Software\Microsoft\Windows\CurrentVersion\Internet Settings` makes them ask first.
    ///
    /// Afterwards each POST of zero bytes with NEGOTIATE is answered by a 401 with a challenge.
    ///
    /// ## Not this when
    /// The 401 with its CHALLENGE comes: then the empty POST is how it should be. A request without `Content-Type` is
    /// taken for one that had no body.
    ///
    /// ## References
    /// - Microsoft, IEInternals blog: *Challenge-Response Authentication and Zero-Length Posts*; KB 2749007
    /// - MS-NTHT section 3; RFC 4559 section 5
    slug: "empty-post-accepted",
    title: "An empty POST that waited for a challenge was taken for the real one",
    severity: High,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm"],
    cause: Server,
    consequence_of: [],
    since: "0.1.0",
}

/// An address that was quiet for so long begins anew.
const KEEP: Duration = Duration::from_hours(1);

/// Looks at each NEGOTIATE that came without a challenge in return.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    seen: Memory<(IpAddr, u64), Often>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.seen.len()
    }

    fn forgotten(&self) -> u64 {
        self.seen.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if turn.request != Event::Negotiate {
            return;
        }
        let request = &turn.exchange.request;
        let accepted = match turn.status() {
            200..=299 | 302 | 303 => true,
            // A token on a connection that is logged on already is answered that way too.
            400 => turn.logon_before.is_none(),
            _ => false,
        };
        if !accepted || !matches!(request.method.as_str(), "POST" | "PUT" | "PATCH") {
            return;
        }
        if !matches!(request.announced(), Announced::Length(0) | Announced::Nothing) {
            return;
        }
        let Some(content_type) = request.header("content-type") else { return };
        let at = turn.at();
        let seen = self.seen.entry((turn.party, subject::key(turn.path())), at, view, Often::default);
        let Some(count) = seen.again() else { return };
        let e = &turn.exchange;
        let certain = never_empty(request, content_type) && turn.status() != 302;
        let (basis, lost) = if certain {
            (Basis::Observed, format!("its {content_type} is lost"))
        } else if turn.status() == 302 {
            (
                Basis::Inferred,
                "what it had to send is lost, unless the redirect leads to where it is sent again".to_owned(),
            )
        } else {
            (Basis::Inferred, "what it had to send is lost, unless the client meant to send nothing".to_owned())
        };
        out.raise(
            at,
            Draft::new(
                basis,
                format!(
                    "{} from {} on connection {} came with NEGOTIATE and an empty body, to be challenged first, and the \
                     server answered {} as if that were all{}: {lost}.",
                    turn.request_line(),
                    turn.party,
                    e.connection,
                    turn.status(),
                    times(count),
                ),
                Place::request(turn).says(format!("NEGOTIATE with 0 bytes of {content_type}")),
            )
            .scheme(turn.scheme)
            .and(Place::response(turn).says(format!("{} and no challenge", turn.status()))),
        );
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.seen.expire(now, KEEP);
    }
}

/// Whether a body of this type has at least one byte.
fn never_empty(request: &Request, content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("multipart/")
        || ["/json", "+json", "/xml", "+xml"].iter().any(|end| kind.ends_with(end))
        || request.header("soapaction").is_some()
}
