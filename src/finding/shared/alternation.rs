//! Two clients that take turns on one logged-on connection, told apart by tickets, `User-Agent` and cookies.

use super::subject::key;
use crate::finding::{Draft, Place};
use crate::model::finding::Basis;
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::track::leg;
use crate::track::turn::Turn;

/// So many cookies of a request are looked at.
const MOST_COOKIES: usize = 16;

/// What a request cannot help showing of its client.
#[derive(Debug)]
pub(in crate::finding) struct Who {
    exchange: ExchangeNo,
    at: Stamp,
    message: &'static str,
    scheme: &'static str,
    user: Option<String>,
    ticket: Option<u64>,
    agent: Option<u64>,
    /// Names and fingerprints, as hashes: of each connection only so much is remembered.
    cookies: Vec<(u64, u64)>,
}

/// By what two clients differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::finding) enum How {
    /// Another Kerberos ticket (its ciphertext: the authenticator differs each time).
    Ticket,
    /// Another `User-Agent`, and another value of each cookie that both have.
    AgentAndCookies,
}

/// Whom one connection's fingerprints show.
#[derive(Debug)]
pub(in crate::finding) struct Seen {
    /// Who logged on first.
    pub(in crate::finding) first: Who,
    /// The first exchange of somebody else.
    pub(in crate::finding) other: Option<(ExchangeNo, Stamp, How)>,
    pub(in crate::finding) told: bool,
}

impl Who {
    /// Who sent a request that logged on.
    pub(in crate::finding) fn of(turn: &Turn) -> Self {
        let cookies = turn.exchange.request.cookies().take(MOST_COOKIES);
        Self {
            exchange: turn.exchange.exchange,
            at: turn.at(),
            message: leg::request_name(turn.request),
            scheme: turn.scheme.unwrap_or("negotiate"),
            user: turn.user.as_deref().map(str::to_owned),
            ticket: ticket(turn),
            agent: agent(turn),
            cookies: cookies.map(|(name, value)| (key(name), key(value))).collect(),
        }
    }

    /// By what a request's client is another one; `None` when nothing says so.
    pub(in crate::finding) fn differs(&self, turn: &Turn) -> Option<How> {
        if let (Some(a), Some(b)) = (self.ticket, ticket(turn)) {
            return (a != b).then_some(How::Ticket);
        }
        let (Some(a), Some(b)) = (self.agent, agent(turn)) else { return None };
        let (same, other) = self.cookies_shared(turn);
        (a != b && same == 0 && other > 0).then_some(How::AgentAndCookies)
    }

    /// A request's client is this one again.
    pub(in crate::finding) fn is_again(&self, turn: &Turn, how: How) -> bool {
        match how {
            How::Ticket => self.ticket.is_some() && self.ticket == ticket(turn),
            How::AgentAndCookies => self.agent == agent(turn) && self.cookies_shared(turn).0 > 0,
        }
    }

    /// How many cookies both have with the same value, and with another one.
    fn cookies_shared(&self, turn: &Turn) -> (usize, usize) {
        let mut counts = (0, 0);
        for (name, value) in turn.exchange.request.cookies().take(MOST_COOKIES) {
            let (name, value) = (key(name), key(value));
            match self.cookies.iter().find(|(n, _)| *n == name) {
                Some((_, v)) if *v == value => counts.0 += 1,
                Some(_) => counts.1 += 1,
                None => {}
            }
        }
        counts
    }
}

fn ticket(turn: &Turn) -> Option<u64> {
    turn.exchange.authorization.as_ref()?.kerberos()?.ticket.as_deref().map(key)
}

fn agent(turn: &Turn) -> Option<u64> {
    turn.header("user-agent").map(key)
}

/// The first client came, another one, and then the first one again.
pub(in crate::finding) fn alternation(
    turn: &Turn,
    first: &Who,
    (exchange, at, how): (ExchangeNo, Stamp, How),
) -> Draft {
    let id: ConnectionId = turn.exchange.connection;
    let (what, doubt) = match how {
        How::Ticket => (
            "two Kerberos tickets take turns, while the connection stays logged on between them",
            "one client that uses two accounts on one connection would look the same",
        ),
        How::AgentAndCookies => (
            "two clients take turns, by their User-Agent and cookies, and only one of them logged on",
            "one program that uses two names and two sets of cookies on one connection would look the same",
        ),
    };
    let user = first.user.as_deref().unwrap_or("a user whose name Kerberos hides");
    Draft::new(
        Basis::Suspected,
        format!(
            "On connection {id}, logged on as {user}, {what} (exchanges {}, {exchange}, {}): most likely something in front \
             shares it between clients; {doubt}.",
            first.exchange, turn.exchange.exchange
        ),
        Place::new(id, Some(exchange), "request", at).says("the other client"),
    )
    .scheme(Some(first.scheme))
    .and(Place::new(id, Some(first.exchange), first.message, first.at).says("the first client, which logged on"))
    .and(Place::request(turn).says("the first client again"))
}
