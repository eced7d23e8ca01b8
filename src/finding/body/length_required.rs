//! See the page below.

use std::net::IpAddr;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::subject;
use crate::finding::shared::subject::{Often, times};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::finding::Basis;
use crate::model::http::Announced;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A request with a token of its handshake was refused with *411 Length Required*: it has no body and does not say
    /// so. The handshake cannot go on.
    ///
    /// ## What authtap saw
    /// A request with credentials and with neither `Content-Length` nor `Transfer-Encoding`, and a 411.
    ///
    /// ## Why it breaks
    /// A client that logs on with NTLM or Negotiate often holds its body back until the last message. Some clients then
    /// leave out `Content-Length` as well, instead of sending `Content-Length: 0`. HTTP.sys, and many proxies, refuse a
    /// POST or PUT without a length before they look at its credentials.
    ///
    /// ## Fix
    /// The client must send `Content-Length: 0` with each message of the handshake that has no body.
    /// - curl and programs with libcurl: update it (fixed in 2019), or send a body of known length and no chunks.
    /// - .NET: set `ContentLength = 0` on an empty POST (`HttpWebRequest`), or send an empty content (`HttpClient`).
    /// - A proxy in between that drops `Content-Length: 0`: compare with the same request sent straight to IIS.
    ///
    /// Afterwards the same request is answered by a 401 with a challenge, or by the page.
    ///
    /// ## Not this when
    /// The request carries no credentials, or it is sent in chunks and refused: then the server wants another way of
    /// sending the body, which is not about logging on.
    ///
    /// ## References
    /// - RFC 9110 sections 8.6 and 15.5.12; RFC 4559 section 5
    slug: "length-required",
    title: "A message of the handshake was refused for want of a Content-Length",
    severity: Medium,
    basis: Observed,
    schemes: [],
    cause: Client,
    consequence_of: [],
    since: "0.1.0",
}

/// A client that was quiet for so long begins anew.
const KEEP: Duration = Duration::from_hours(1);

/// Looks at each 411.
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
        if turn.status() != 411 || turn.request == Event::Bare {
            return;
        }
        let request = &turn.exchange.request;
        if request.announced() != Announced::Nothing {
            return;
        }
        let at = turn.at();
        let seen = self.seen.entry((turn.party, subject::client(turn)), at, view, Often::default);
        let Some(count) = seen.again() else { return };
        let who = turn.response_header("server").map_or_else(String::new, |s| format!(" (`Server: {s}`)"));
        let client = request.header("user-agent").map_or_else(String::new, |a| format!(" ({a})"));
        out.raise(
            at,
            Draft::new(
                Basis::Observed,
                format!(
                    "{} from {}{client} on connection {} carries {} credentials and neither `Content-Length` nor a body, \
                     and the server{who} refused it with 411{}.",
                    turn.request_line(),
                    turn.party,
                    turn.exchange.connection,
                    turn.exchange.authorization.as_ref().map_or("", |a| a.scheme_as_sent.as_str()),
                    times(count),
                ),
                Place::response(turn).says(format!("411{who}")),
            )
            .scheme(turn.scheme)
            .and(Place::request(turn).says("a message of a handshake without `Content-Length`")),
        );
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.seen.expire(now, KEEP);
    }
}
