//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::cases::Cases;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::auth::{AuthField, Fault, Ntlm, Scheme, Token};
use crate::model::finding::{Basis, Evidence};
use crate::track::asker::Sender;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The client's `Authorization` cannot be read: it is there twice, empty, cut off, not base64, or holds something that
    /// its scheme does not.
    ///
    /// ## What authtap saw
    /// A request with such a field, answered by 401 or 400. For an empty one (a scheme without a token, or nothing at all)
    /// the third refusal of a client that has sent nothing better in between. Where the value begins with no scheme that
    /// is known, it is only `suspected`: an application may read its own. The first case of a client is told, then the
    /// tenth, the twentieth and so on.
    ///
    /// ## Why it breaks
    /// A server takes what it cannot read for no credentials at all, or for a bad request. Of two fields one server takes
    /// the first and another the last, and HTTP allows only one.
    ///
    /// ## Fix
    /// - Twice: find out who adds the second. A hop in front that sets credentials of its own (an API gateway, a reverse proxy with `proxy_set_header Authorization`, a service mesh) must replace the field or leave it; a program must not set the header by hand and hand credentials to its HTTP library as well.
    /// - Cut off: a limit in front shortened it (a buffer for headers, a column in a database, a shell variable). Compare with the length that the client sends.
    /// - Not base64, or without a colon (Basic): encode `user:password` as a whole, in standard base64, not the URL-safe one, without a line break (`base64 -w0`).
    /// - Empty: the program has no credentials, or an unset variable where its token should be.
    /// - No scheme: write it in front of the token (`Bearer eyJ…`, not `eyJ…`).
    ///
    /// Afterwards `authtap decode` reads the field without a fault.
    ///
    /// ## Not this when
    /// The server accepts the request all the same. An empty `Bearer`, as Outlook sends it to learn what is offered, is no
    /// defect. A token that can be read and is refused has other findings.
    ///
    /// ## References
    /// - RFC 9110 sections 5.3, 11.4 and 11.6.2; RFC 7617 section 2; RFC 4648 section 4
    slug: "authorization-malformed",
    title: "An Authorization field is doubled, empty or cannot be read",
    severity: Medium,
    basis: Observed,
    schemes: [],
    cause: Client,
    consequence_of: [],
    since: "0.1.0",
}

/// An empty field says that something is missing only when it goes on.
const EMPTY: u64 = 3;
/// A client that was quiet for so long is forgotten.
const MEMORY: std::time::Duration = std::time::Duration::from_hours(1);

/// What is wrong with the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Wrong {
    Doubled,
    Empty,
    NoScheme,
    NotBase64,
    NoColon,
    Cut,
    More,
    Unreadable,
}

/// Looks at each refused request with a field that has faults.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    clients: Memory<(Sender, Wrong), (Cases, Evidence)>,
}

/// What is wrong, and the fault that says so.
fn wrong(field: &AuthField) -> Option<(Wrong, Option<&Fault>)> {
    let fault = |name: &str| field.faults.iter().find(|f| f.field == name);
    if let Some(f) = fault("authorization") {
        return Some((Wrong::Doubled, Some(f)));
    }
    let empty = field.token == Token::None && field.token_bytes == 0 && field.params.is_empty();
    if empty {
        return (field.scheme != Scheme::Bearer).then_some((Wrong::Empty, None));
    }
    if field.faults.is_empty() {
        return None;
    }
    if field.scheme_as_sent.is_empty() {
        return Some((Wrong::NoScheme, fault("credentials")));
    }
    if let Some(f) = fault("base64") {
        return Some((Wrong::NotBase64, Some(f)));
    }
    if let Some(f) = fault("basic") {
        return Some((Wrong::NoColon, Some(f)));
    }
    if let Some(f) = fault("credentials").filter(|f| f.expected == "the end") {
        return Some((Wrong::More, Some(f)));
    }
    if let Some(f) = field.cut_off() {
        return Some((Wrong::Cut, Some(f)));
    }
    let windows = matches!(field.scheme, Scheme::Ntlm | Scheme::Negotiate | Scheme::Kerberos | Scheme::Nego2);
    let unreadable = field.token == Token::Unknown || matches!(field.ntlm(), Some(Ntlm::Unreadable));
    (windows && unreadable).then_some((Wrong::Unreadable, field.faults.first()))
}

fn says(wrong: Wrong, field: &AuthField) -> String {
    let scheme = &field.scheme_as_sent;
    match wrong {
        Wrong::Doubled => "came more than once".to_owned(),
        Wrong::Empty if scheme.is_empty() => "is empty".to_owned(),
        Wrong::Empty => format!("says `{scheme}` and nothing more"),
        Wrong::NoScheme => "does not begin with a known scheme".to_owned(),
        Wrong::NotBase64 => format!("says `{scheme}` and then what is not base64"),
        Wrong::NoColon => format!("says `{scheme}`, and its text has no colon between user and password"),
        Wrong::Cut => format!("says `{scheme}`, and its token ends too early"),
        Wrong::More => format!("says `{scheme}` and has more behind its token"),
        Wrong::Unreadable => format!("says `{scheme}`, and its bytes are no token of it"),
    }
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.clients.len()
    }

    fn forgotten(&self) -> u64 {
        self.clients.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(field) = &turn.exchange.authorization else { return };
        let refused = turn.answer == Event::Refused || turn.status() == 400;
        // A bad request may have any reason; a field of the application's own form is no sign of this one.
        let found =
            if refused { wrong(field).filter(|(w, _)| *w != Wrong::NoScheme || turn.status() == 401) } else { None };
        let Some((wrong, fault)) = found else {
            if self.clients.len() > 0 && turn.brings_credentials() {
                self.clients.remove(&(turn.sender(), Wrong::Empty));
            }
            return;
        };
        let (cases, first) = self.clients.entry((turn.sender(), wrong), turn.at(), view, || {
            (Cases::default(), Place::response(turn).says("the first refusal of this kind"))
        });
        let count = if wrong == Wrong::Empty { cases.after(EMPTY) } else { cases.more(1) };
        let Some(count) = count else { return };
        let e = &turn.exchange;
        let what = says(wrong, field);
        let fault = fault.map_or_else(String::new, |f| format!(" (expected {}, got {})", f.expected, f.got));
        let times = if count > 1 { format!(" ({count} times so far)") } else { String::new() };
        let (basis, but) = match wrong {
            Wrong::NoScheme => {
                (Basis::Suspected, "; the application may read a form of its own, and refuse what it holds")
            }
            _ => (Basis::Observed, ""),
        };
        let summary = format!(
            "The `Authorization` of {} on connection {} {what}{fault}, and the answer was {}{times}{but}.",
            turn.request_line(),
            e.connection,
            turn.status()
        );
        let primary = Place::request(turn).says(format!("the field {what}{fault}"));
        let refusal = Place::response(turn).says(format!("{}: the server did not take it", turn.status()));
        let first = (count > 1).then(|| first.clone());
        out.raise(turn.at(), Draft::new(basis, summary, primary).scheme(turn.scheme).and(refusal).and_if(first));
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.clients.expire(now, MEMORY);
    }
}
