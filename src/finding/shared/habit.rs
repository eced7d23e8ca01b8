//! Clients that bring credentials with every request unasked, and the one request that lacks them.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use super::product;
use crate::finding::memory::Memory;
use crate::finding::{Place, View};
use crate::model::auth::{AuthField, Scheme, Token};
use crate::model::finding::Evidence;
use crate::model::{ConnectionId, Stamp};
use crate::track::asker::Sender;
use crate::track::turn::Turn;

/// So many requests with credentials make a habit.
const HABIT: u32 = 3;
/// A client that answers the challenge does so within this time.
const ANSWER: Duration = Duration::from_secs(30);
/// So many paths of a client are remembered.
const PATHS: usize = 32;
/// So many cookies of it.
const COOKIES: usize = 8;
/// A client that was quiet for so long is forgotten.
const MEMORY: Duration = Duration::from_mins(30);

/// A request that came without the credentials which its client brings each time.
#[derive(Debug)]
pub(in crate::finding) struct Lost {
    path: u64,
    /// A browser, which may ask its user for the credentials again.
    may_ask: bool,
    /// It brought credentials for something else at once: it had them, and asked nobody.
    had_them: bool,
    /// When it was refused.
    pub(in crate::finding) at: Stamp,
    /// Its first line.
    pub(in crate::finding) request: String,
    /// The refusal.
    pub(in crate::finding) evidence: Evidence,
}

/// A habit, the request that broke it, and how often it was kept before.
#[derive(Debug)]
pub(in crate::finding) struct Broken {
    /// The request without credentials.
    pub(in crate::finding) lost: Lost,
    /// Requests that had brought them.
    pub(in crate::finding) before: u32,
}

/// One client's way.
#[derive(Debug)]
struct Habit {
    /// What its credentials are.
    mark: u64,
    times: u32,
    /// It waits to be asked, at least at times: then a bare request is its way.
    asks_first: bool,
    connection: ConnectionId,
    /// The client that its fields name, trusted or not.
    named: Option<IpAddr>,
    cookies: Vec<u64>,
    paths: VecDeque<u64>,
    lost: Option<Lost>,
}

/// Clients, by address and `User-Agent`, that bring Basic or bearer credentials unasked.
///
/// NTLM and Kerberos belong to connections, and Digest waits for a nonce: these stop sending by right.
#[derive(Debug, Default)]
pub(in crate::finding) struct Habits(Memory<Sender, Habit>);

impl Habits {
    /// How many.
    pub(in crate::finding) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many were pushed out.
    pub(in crate::finding) const fn forgotten(&self) -> u64 {
        self.0.forgotten()
    }

    /// Forgets clients that are quiet.
    pub(in crate::finding) fn expire(&mut self, now: Stamp) {
        self.0.expire(now, MEMORY);
    }

    /// Follows one exchange. What comes back is a request that lost its credentials while its client still had them: it
    /// brought the same ones again, later, and did not merely answer.
    pub(in crate::finding) fn look(&mut self, turn: &Turn, view: &View<'_>) -> Option<Broken> {
        match &turn.exchange.authorization {
            Some(field) if matches!(field.scheme, Scheme::Basic | Scheme::Bearer) && turn.is_accepted() => {
                self.brought(turn, field, view)
            }
            None if turn.status() == 401 && self.0.len() > 0 => {
                self.bare(turn, view);
                None
            }
            _ => None,
        }
    }

    fn brought(&mut self, turn: &Turn, field: &AuthField, view: &View<'_>) -> Option<Broken> {
        if !turn.brings_credentials() {
            return None;
        }
        let (mark, path, at) = (mark(turn, field), turn.path_hash(), turn.at());
        let connection = turn.exchange.connection;
        let habit = self.0.entry(turn.sender(), at, view, || Habit {
            mark,
            times: 0,
            asks_first: false,
            connection,
            named: None,
            cookies: Vec::new(),
            paths: VecDeque::new(),
            lost: None,
        });
        let before = habit.times;
        let same = habit.mark == mark;
        let mut broken = None;
        if let Some(lost) = habit.lost.take() {
            let late = at.since(lost.at) >= ANSWER;
            if !late && lost.path == path {
                habit.asks_first = true;
            } else if !late {
                habit.lost = Some(Lost { had_them: lost.had_them || same, ..lost });
            } else if same && (lost.had_them || !lost.may_ask) && !view.site.gaps().client_since(turn.peer, lost.at) {
                broken = Some(Broken { lost, before });
            }
        }
        if !same {
            // Other credentials: whoever has them may be somebody else.
            (habit.mark, habit.times, habit.lost) = (mark, 0, None);
            habit.paths.clear();
        }
        habit.times = habit.times.saturating_add(1);
        habit.connection = connection;
        habit.named = named(turn);
        habit.cookies = cookies(turn);
        if !habit.paths.contains(&path) {
            if habit.paths.len() >= PATHS {
                habit.paths.pop_front();
            }
            habit.paths.push_back(path);
        }
        broken
    }

    fn bare(&mut self, turn: &Turn, view: &View<'_>) {
        let Some(habit) = self.0.get_mut(&turn.sender()) else { return };
        let cookies = cookies(turn);
        let own = view.site.connection(turn.exchange.connection);
        // A hop that says so in `Via` may carry several clients on one connection.
        let one = habit.connection == turn.exchange.connection && own.is_some_and(|c| c.via().is_none());
        let same = one || cookies.iter().any(|c| habit.cookies.contains(c));
        if !same || habit.named != named(turn) || habit.asks_first || habit.lost.is_some() {
            return;
        }
        if habit.times < HABIT {
            habit.asks_first = true;
            return;
        }
        let path = turn.path_hash();
        if habit.paths.contains(&path) {
            habit.lost = Some(Lost {
                path,
                may_ask: turn.user_agent().starts_with("Mozilla/"),
                had_them: false,
                at: turn.at(),
                request: turn.request_line(),
                evidence: Place::response(turn).says("401 to the request without credentials"),
            });
        }
    }
}

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// What tells one client's credentials from another's, as far as it is known: never the secret itself.
fn mark(turn: &Turn, field: &AuthField) -> u64 {
    let expires = match &field.token {
        Token::Bearer(bearer) => bearer.jwt.as_ref().and_then(|jwt| jwt.expires),
        _ => None,
    };
    hash((field.scheme.name(), turn.user.as_deref(), field.token_bytes, expires))
}

fn named(turn: &Turn) -> Option<IpAddr> {
    turn.client.as_ref().map(|c| c.address)
}

fn cookies(turn: &Turn) -> Vec<u64> {
    // A balancer's own cookie is the same for all whom it sends to one node.
    let own = turn.exchange.request.cookies().filter(|(name, _)| !product::is_affinity_cookie(name));
    own.take(COOKIES).map(hash).collect()
}
