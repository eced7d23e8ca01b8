//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::track::handshake::{Event, Meaning};
use crate::track::leg;
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A connection was already logged on, the client began to log on once more, and the server answered the first
    /// token of that second handshake with 400.
    ///
    /// ## What authtap saw
    /// A successful logon, and later on the same connection a NEGOTIATE (Type 1) or, after a 401, a ticket, answered by
    /// 400 Bad Request. The usual occasion is a 401 that the application itself wrote for a user who was logged on.
    ///
    /// ## Why it breaks
    /// Such a 401 looks to the client like a wish for new credentials. Most servers take a new first token on a
    /// logged-on connection; this one, or a module of the application, does not. The client shows an error, or keeps
    /// failing until it opens another connection.
    ///
    /// ## Fix
    /// - The application: answer 403 for a user who is known and may not, and not 401 (ASP.NET: check `User.Identity.IsAuthenticated` before returning 401; ASP.NET Core: `Forbid()` instead of `Challenge()`).
    /// - The client: after a 401 on a connection that was logged on, close it and log on on another one.
    ///
    /// Afterwards no NEGOTIATE on a logged-on connection is answered by 400.
    ///
    /// ## Not this when
    /// The server challenges the new token as it should, which is legal. A 400 whose `Server` is Microsoft-HTTPAPI and
    /// whose request has a very large token is `request-headers-too-long`.
    ///
    /// ## References
    /// - RFC 9110 sections 15.5.1, 15.5.2, 15.5.4; dotnet/corefx issue 28648
    slug: "token-after-success",
    title: "A second logon on a logged-on connection was answered by 400",
    severity: Medium,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm", "kerberos", "negotiate"],
    cause: Server,
    consequence_of: [],
    since: "0.1.0",
}

/// A larger token may itself be the reason for a 400.
const LARGE: usize = 8 * 1024;

/// A connection that was logged on.
#[derive(Debug)]
struct Success {
    exchange: ExchangeNo,
    at: Stamp,
    /// The 401 after it.
    asked: Option<(ExchangeNo, Stamp)>,
    told: bool,
}

/// Remembers each connection's last logon.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    logons: Memory<ConnectionId, Success>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.logons.len()
    }

    fn forgotten(&self) -> u64 {
        self.logons.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let id = turn.exchange.connection;
        let (exchange, at) = (turn.exchange.exchange, turn.at());
        match (turn.request, turn.meaning()) {
            (Event::Authenticate | Event::Token, Meaning::Logon) => {
                let new = || Success { exchange, at, asked: None, told: false };
                let logon = self.logons.entry(id, at, view, new);
                (logon.exchange, logon.at, logon.asked) = (exchange, at, None);
            }
            (Event::Bare, Meaning::Dropped) => {
                if let Some(logon) = self.logons.get_mut(&id) {
                    logon.asked = Some((exchange, at));
                }
            }
            (Event::Negotiate | Event::Token, _) if turn.status() == 400 => {
                let Some(logon) = self.logons.get_mut(&id).filter(|l| !l.told) else { return };
                let directly = logon.asked.is_some_and(|(n, _)| n.checked_add(1) == Some(exchange));
                let size = turn.exchange.authorization.as_ref().map_or(0, |a| a.token_bytes);
                // A ticket comes with the request's own body, and the application may be what does not like that.
                // Nor an empty body, where the request was taken for the real one (`empty-post-accepted`).
                let empty = turn.exchange.request.method != "GET" && turn.header("content-length") == Some("0");
                if size > LARGE || empty || (turn.request == Event::Token && !directly) {
                    return;
                }
                logon.told = true;
                out.raise(at, draft(turn, logon));
            }
            _ => {}
        }
    }

    fn on_close(&mut self, closed: &Closed, _at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.logons.remove(&closed.close.connection);
    }
}

fn draft(turn: &Turn, logon: &Success) -> Draft {
    let id = turn.exchange.connection;
    let name = leg::request_name(turn.request);
    let user = turn.user_before.as_deref().map(|u| format!(" as {u}")).unwrap_or_default();
    let after = match logon.asked {
        Some((n, _)) => format!(", after the server had answered exchange {n} with 401"),
        None => String::new(),
    };
    Draft::new(
        Basis::Observed,
        format!(
            "Connection {id} had been logged on{user} (exchange {}), and the {name} that began a second logon there{after} \
             was answered by 400.",
            logon.exchange
        ),
        Place::response(turn).says(format!("400 in answer to a {name} on a connection that had been logged on")),
    )
    .scheme(turn.scheme)
    .and(Place::new(id, Some(logon.exchange), "logon", logon.at).says("the logon, which succeeded"))
    .and_if(logon.asked.map(|(n, at)| {
        Place::new(id, Some(n), "response", at).says("401 for a request on that logon: the client's reason to begin anew")
    }))
}
