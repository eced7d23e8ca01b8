//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::place::application;
use crate::finding::shared::scope::AnyCase;
use crate::finding::shared::subject::key;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::model::short::short;
use crate::model::user::UserKey;
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::track::handshake::{Event, Meaning};
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// Two applications of one site each ask for a logon of their own on the same connection. That is how IIS works when
    /// they run in different application pools, and no failure.
    ///
    /// ## What authtap saw
    /// A connection that was logged on for a path below one first segment, a 401 for a path below another one, and a new
    /// logon of the same user there; at least twice for the same two, and never a request that passed from one to the
    /// other without a 401.
    ///
    /// ## Why it breaks
    /// It costs a handshake at each change between the two, and it fills the log with 401s that are nobody's fault. An
    /// upload that begins with such a change is sent twice.
    ///
    /// ## Fix
    /// Nothing has to be done. To save the handshakes:
    /// - Put the two applications into one application pool: *Sites > (site) > (application) > Basic Settings > Application pool*, where their isolation allows it.
    /// - Or let clients use Kerberos, which needs one message each time.
    /// - For uploads, let the client log on with a small request first.
    ///
    /// Afterwards the change from one path to the other gets no 401.
    ///
    /// ## Not this when
    /// The same path is asked for again (`authentication-lost`), each request is (`authentication-not-persistent`), or the
    /// new logon is refused, which is a permission.
    ///
    /// ## References
    /// - KB 951508; MS-N2HT section 3.2.5
    slug: "reauthenticated-per-application",
    title: "Two applications on one connection each ask for a logon",
    severity: Info,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm", "kerberos"],
    cause: Server,
    consequence_of: [],
    since: "0.1.0",
}

/// So often for the same two.
const THRESHOLD: u32 = 2;

/// A connection's logon, and the 401 of another application.
#[derive(Debug, Default)]
struct Held {
    application: Option<String>,
    asked: Option<(ExchangeNo, Stamp, String)>,
}

/// Follows which application each logon was for.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    connections: Memory<ConnectionId, Held>,
    /// How often the two asked for a logon each; `None` when a request passed between them without.
    ///
    /// By host and both names.
    pairs: Memory<u64, Option<u32>>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.connections.len() + self.pairs.len()
    }

    fn forgotten(&self) -> u64 {
        self.connections.forgotten() + self.pairs.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let id = turn.exchange.connection;
        match (turn.request, turn.meaning()) {
            (Event::Authenticate | Event::Token, Meaning::Logon) => {
                let Some(here) = application(turn.path()).map(short) else {
                    self.connections.remove(&id);
                    return;
                };
                let here = &*here;
                let held = self.connections.entry(id, turn.at(), view, Held::default);
                let before = held.application.replace(here.to_owned());
                if let (Some(before), Some((exchange, at, asked))) = (before, held.asked.take())
                    && asked == here
                    && same_user(turn)
                {
                    let times = self.pairs.entry(pair(turn, &before, here), turn.at(), view, || Some(0));
                    if let Some(times) = times {
                        *times += 1;
                        if *times == THRESHOLD {
                            out.raise(turn.at(), draft(turn, &before, here, (exchange, at)));
                        }
                    }
                }
            }
            (Event::Bare, Meaning::Ride | Meaning::Dropped) => {
                let Some(held) = self.connections.get_mut(&id) else { return };
                let (Some(before), Some(here)) = (&held.application, application(turn.path()).map(short)) else {
                    return;
                };
                let here = &*here;
                if before.eq_ignore_ascii_case(here) {
                    return;
                }
                if turn.meaning() == Meaning::Dropped {
                    held.asked = Some((turn.exchange.exchange, turn.at(), here.to_owned()));
                } else if turn.answer != Event::Undecided {
                    *self.pairs.entry(pair(turn, before, here), turn.at(), view, || None) = None;
                }
            }
            _ => {}
        }
    }

    fn on_close(&mut self, closed: &Closed, _at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.connections.remove(&closed.close.connection);
    }
}

fn same_user(turn: &Turn) -> bool {
    match (&turn.user, &turn.user_before) {
        (Some(a), Some(b)) => UserKey::of(a) == UserKey::of(b),
        (None, None) => true,
        _ => false,
    }
}

/// Two applications of a host, whichever comes first.
fn pair(turn: &Turn, a: &str, b: &str) -> u64 {
    let (a, b) = (key(AnyCase(a)), key(AnyCase(b)));
    key((AnyCase(turn.header("host").unwrap_or_default()), a.min(b), a.max(b)))
}

fn draft(turn: &Turn, before: &str, here: &str, (exchange, at): (ExchangeNo, Stamp)) -> Draft {
    let id = turn.exchange.connection;
    let who = turn.user.as_deref().unwrap_or("the same client");
    Draft::new(
        Basis::Observed,
        format!(
            "On connection {id} {who} was logged on for /{before}/ and had to log on again for /{here}/; it is the second \
             time for these two applications."
        ),
        Place::new(id, Some(exchange), "response", at)
            .says(format!("401 for /{here}/ on a connection that was logged on for /{before}/")),
    )
    .scheme(turn.scheme)
    .and(Place::response(turn).says("the logon for it, accepted"))
}
