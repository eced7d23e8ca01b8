//! See the page below.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::model::transport::By;
use crate::model::user::UserKey;
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::track::handshake::{Event, Meaning};
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A program tries the same logon for the same request again and again, and fails each time in the same way. No
    /// person does that: it is a loop.
    ///
    /// ## What authtap saw
    /// At least six failed logons of one client (one address and one `User-Agent`) for one method and path, each within
    /// five seconds of the one before; or at least twelve with less than a minute between them; and none accepted.
    /// A failed logon is a refusal, an error in answer to an AUTHENTICATE (Type 3) that was torn off its CHALLENGE, or a
    /// connection that the server's side ended between the two. Told then, and each time the number doubles.
    ///
    /// ## Why it breaks
    /// The client takes each failure for a reason to try once more. It burdens the site and the domain controllers,
    /// fills logs, and locks accounts where the failures reach a domain controller.
    ///
    /// ## Fix
    /// - Mend what makes each attempt fail: it is the finding that this one is told under. A loop around a torn handshake ends by itself when the handshake is whole.
    /// - Limit the client: a number of attempts and a growing pause; a library that logs on by itself has such a setting, or its caller must stop.
    /// - Until then stop the client by its address: the evidence names its connections. *Services* and *Task Scheduler* on that machine, or a sync client, are the usual ones.
    ///
    /// Afterwards the client logs on at its first attempt, or gives up.
    ///
    /// ## Not this when
    /// Somebody types a password wrong a few times, or a page with many parts is refused once for each of them (other
    /// paths). Requests that never carry credentials are `challenge-unanswered`, or a probe.
    ///
    /// ## References
    /// - RFC 9110 section 11.6.2; RFC 4559 section 6
    slug: "retry-loop",
    title: "A client repeats the same failing logon again and again",
    severity: Medium,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm", "kerberos", "negotiate", "basic", "digest", "bearer"],
    cause: Client,
    consequence_of: ["windows-auth-over-http2", "authorization-malformed", "authorization-dropped", "handshake-split-across-connections", "handshake-interleaved", "connection-closed-mid-handshake", "handshake-changed-node", "channel-binding-mismatch", "channel-binding-foreign", "kerberos-clock-skew", "kerberos-wrong-key", "kerberos-encryption-type", "kerberos-error", "kerberos-replay", "negotiate-refuses-ntlm", "digest-uri-mismatch", "digest-stale-loop", "bearer-rejected", "access-denied-after-logon", "no-common-scheme", "anonymous-logon", "credentials-rejected"],
    since: "0.1.0",
}

/// So many failures at a machine's pace.
const FAST: u32 = 6;
/// A machine's pace.
const PACE: Duration = Duration::from_secs(5);
/// So many at any pace.
const SLOW: u32 = 12;
/// What comes later begins anew.
const APART: Duration = Duration::from_mins(1);
/// So many of the first, and so many of the latest, are named.
const NAMED: usize = 4;

/// A client and what it asks for: its address, and a hash of its `User-Agent`, user, method and path.
type Key = (IpAddr, u64);

/// One client's failures in a row.
#[derive(Debug, Default)]
struct Run {
    count: u32,
    /// The longest streak at a machine's pace that lasts until now.
    fast: u32,
    first: Stamp,
    last: Stamp,
    /// The next number to be told.
    next: u32,
    earliest: Vec<Failure>,
    latest: VecDeque<Failure>,
}

/// Where one of them is, and how it failed.
type Failure = (ConnectionId, ExchangeNo, Stamp, &'static str);

/// What a connection's challenge was sent for.
#[derive(Debug)]
struct Asked {
    key: Key,
    line: String,
    scheme: &'static str,
}

/// Counts each client's failures in a row.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    runs: Memory<Key, Run>,
    asked: Memory<ConnectionId, Asked>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.runs.len() + self.asked.len()
    }

    fn forgotten(&self) -> u64 {
        self.runs.forgotten() + self.asked.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let e = &turn.exchange;
        if turn.request == Event::Authenticate {
            self.asked.remove(&e.connection);
        }
        if let Some(challenge) = &turn.challenge {
            if challenge.announced_close {
                self.failed(turn, "the connection ends with the CHALLENGE", view, out);
            } else {
                let asked = Asked { key: key(turn), line: turn.request_line(), scheme: challenge.scheme };
                self.asked.remove(&e.connection);
                self.asked.entry(e.connection, turn.at(), view, || asked);
            }
            return;
        }
        if turn.request == Event::Bare {
            return;
        }
        if turn.answer == Event::Refused && !turn.is_stale() {
            self.failed(turn, "a refusal", view, out);
        // An error in answer to a whole handshake may be the application's own, of a user who is logged on.
        } else if turn.authenticate_failed() && !turn.in_sequence() {
            self.failed(turn, "an error in answer to the AUTHENTICATE", view, out);
        } else if self.runs.len() > 0 && matches!(turn.meaning(), Meaning::Logon | Meaning::LogonOnce) {
            let key = key(turn);
            self.runs.remove(&key);
            self.runs.remove(&without_user(turn));
        }
    }

    fn on_close(&mut self, closed: &Closed, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(asked) = self.asked.remove(&closed.close.connection) else { return };
        let cut = closed.close.mid_handshake && closed.close.end.by == By::Upstream;
        let Some(challenge) = closed.challenge.as_ref().filter(|c| cut && c.cut_by_server) else { return };
        let place =
            (challenge.connection, challenge.exchange, challenge.at, "the connection ended after the CHALLENGE");
        if let Some(run) = self.count(asked.key, at, place, view) {
            let draft = draft(asked.key.0, &asked.line, None, Some(asked.scheme), run);
            out.raise(at, draft);
        }
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.runs.expire(now, APART);
    }
}

impl Detector {
    fn failed(&mut self, turn: &Turn, how: &'static str, view: &View<'_>, out: &mut Raise<'_>) {
        let e = &turn.exchange;
        let key = key(turn);
        if let Some(run) = self.count(key, turn.at(), (e.connection, e.exchange, turn.at(), how), view) {
            let draft = draft(key.0, &turn.request_line(), turn.user.as_deref(), turn.scheme, run);
            out.raise(turn.at(), draft);
        }
    }

    /// Counts a failure; the run, when it is to be told.
    fn count(&mut self, key: Key, at: Stamp, place: Failure, view: &View<'_>) -> Option<&Run> {
        let run = self.runs.entry(key, at, view, Run::default);
        if run.count == 0 || at.since(run.last) >= APART {
            *run = Run { first: at, ..Run::default() };
        }
        run.fast = if run.count > 0 && at.since(run.last) <= PACE { run.fast + 1 } else { 1 };
        run.count += 1;
        run.last = at;
        // What explains the loop may have been told of its first failures alone.
        if run.earliest.len() < NAMED {
            run.earliest.push(place);
            return run.due();
        }
        run.latest.push_back(place);
        if run.latest.len() > NAMED {
            run.latest.pop_front();
        }
        run.due()
    }
}

impl Run {
    /// This run, when it is to be told now.
    fn due(&mut self) -> Option<&Self> {
        let due = if self.next == 0 { self.fast >= FAST || self.count >= SLOW } else { self.count >= self.next };
        if !due {
            return None;
        }
        self.next = self.count.saturating_mul(2);
        Some(self)
    }
}

fn key(turn: &Turn) -> Key {
    with_user(turn, turn.user.as_deref())
}

fn without_user(turn: &Turn) -> Key {
    with_user(turn, None)
}

fn with_user(turn: &Turn, user: Option<&str>) -> Key {
    // Its keys are fixed: the same client is the same in a replay.
    let mut hasher = DefaultHasher::new();
    turn.header("user-agent").hash(&mut hasher);
    turn.exchange.request.method.hash(&mut hasher);
    turn.path().hash(&mut hasher);
    user.map(UserKey::of).hash(&mut hasher);
    (turn.party, hasher.finish())
}

fn draft(from: IpAddr, line: &str, user: Option<&str>, scheme: Option<&'static str>, run: &Run) -> Draft {
    let span = run.last.since(run.first);
    let span = if span.as_secs() > 0 { format!("{} s", span.as_secs()) } else { format!("{} ms", span.as_millis()) };
    let whose = user.map(|u| format!(" of {u}")).unwrap_or_default();
    let ways = run.latest.iter().map(|(.., how)| *how).collect::<Vec<_>>();
    let same = ways.iter().all(|w| Some(w) == ways.first());
    let how = ways.last().copied().unwrap_or("a refusal");
    let each = if same {
        format!("each of the last ones ended in the same way ({how})")
    } else {
        format!("the last one: {how}")
    };
    let mut places = run
        .latest
        .iter()
        .rev()
        .chain(&run.earliest)
        .map(|(id, exchange, at, how)| Place::new(*id, Some(*exchange), "response", *at).says((*how).to_owned()));
    let first = places.next().unwrap_or_else(|| Place::nowhere().says("failed logons"));
    let draft = Draft::new(
        Basis::Observed,
        format!(
            "{from} tried the logon{whose} for {line} {} times within {span} and failed each time; {each}.",
            run.count
        ),
        first,
    );
    places.fold(draft.scheme(scheme), Draft::and)
}
