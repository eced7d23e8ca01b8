//! The site: all connections, all handshakes, and the links across them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::challenges::{Challenge, Challenges, Names, Verdict};
use super::connection::{Connection, Logon, NamedClient};
use super::handshake::{self, Event, Meaning, State};
use super::turn::Turn;
use super::{leg, persistence};
use crate::model::auth::{AuthField, Ntlm};
use crate::model::event::{
    ConnectionClose, ConnectionOpen, Exchange, Gap, GapWhat, Handshake, Leg, Link, LinkProof, Outcome, Start, Totals,
};
use crate::model::http::{Request, Response};
use crate::model::transport::By;
use crate::model::{ConnectionId, ExchangeNo, HandshakeId, Stamp};

/// How long after its connection's end a challenge may still be answered elsewhere.
const AFTERLIFE: Duration = Duration::from_secs(30);
/// A server that closes this long after its challenge gave up waiting: IIS's `connectionTimeout` is 120 s.
const SERVER_PATIENCE: Duration = Duration::from_secs(110);

/// Bounds of what is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a CHALLENGE is remembered for links.
    pub challenge_memory: Duration,
    /// How many CHALLENGEs are remembered.
    pub challenges: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { challenge_memory: Duration::from_mins(10), challenges: 65_536 }
    }
}

/// A connection's end, with what was known of it.
#[derive(Debug, Clone)]
pub struct Closed {
    /// The end, `mid_handshake` filled in.
    pub close: ConnectionClose,
    /// The connection as it was.
    pub connection: Connection,
    /// The challenge that waited for its AUTHENTICATE, or whose AUTHENTICATE got no answer.
    pub challenge: Option<Challenge>,
    /// The AUTHENTICATE had been sent.
    pub answered: bool,
}

/// All that is known of the traffic.
#[derive(Debug)]
pub struct Site {
    start: Option<Start>,
    connections: HashMap<ConnectionId, Connection>,
    challenges: Challenges,
    /// Challenges whose connection ended, and when they are given up.
    given_up: VecDeque<(Stamp, HandshakeId)>,
    handshakes: u64,
    totals: Totals,
}

impl Site {
    /// Nothing seen yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            start: None,
            connections: HashMap::new(),
            challenges: Challenges::new(limits.challenge_memory, limits.challenges),
            given_up: VecDeque::new(),
            handshakes: 0,
            totals: Totals::default(),
        }
    }

    /// The tap's start, once seen.
    pub const fn start(&self) -> Option<&Start> {
        self.start.as_ref()
    }

    /// A live connection.
    pub fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(&id)
    }

    /// A challenge that is still remembered.
    pub fn challenge(&self, id: HandshakeId) -> Option<&Challenge> {
        self.challenges.get(id)
    }

    /// Totals so far.
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Totals so far, to count findings.
    pub const fn totals_mut(&mut self) -> &mut Totals {
        &mut self.totals
    }

    /// The tap started.
    pub fn started(&mut self, start: Start) {
        self.start = Some(start);
    }

    /// A connection opened.
    pub fn opened(&mut self, open: ConnectionOpen, at: Stamp) {
        self.totals.connections += 1;
        self.connections.insert(open.connection, Connection::new(open, at));
    }

    /// Something was not seen.
    pub fn gap(&mut self, gap: &Gap, at: Stamp) {
        match &gap.what {
            GapWhat::QueueFull { dropped } => self.totals.dropped += dropped,
            GapWhat::Unparsable { .. } => self.totals.blind += 1,
            GapWhat::ObserverLost { .. } | GapWhat::SinkFailed { .. } => {}
        }
        if let GapWhat::SinkFailed { .. } = gap.what {
            return;
        }
        match gap.connection {
            Some(id) => {
                if let Some(c) = self.connections.get_mut(&id) {
                    c.gap.get_or_insert(at);
                }
            }
            None => self.connections.values_mut().for_each(|c| {
                c.gap.get_or_insert(at);
            }),
        }
    }

    /// An exchange: moves the connection's machine, links, and tells what it all was.
    pub fn exchange(&mut self, mut exchange: Exchange) -> Option<Turn> {
        let at = exchange.times.response_head.or(exchange.times.end).unwrap_or(exchange.times.request_head);
        let authorization = exchange.authorization.as_ref();
        let request = leg::request(authorization);
        let persistent = exchange.response.as_ref().is_some_and(|r| persistence::persistent(request, authorization, r));
        let answer = leg::response(&exchange, persistent);
        let user = authorization.and_then(leg::user);
        let scheme = authorization.map(leg::scheme);
        let client = named_client(&exchange.request);

        let connection = self.connections.get_mut(&exchange.connection)?;
        let logon_before = connection.logon.clone();
        let user_before = connection.last_user.as_ref().map(|(u, _, _)| u.clone());
        let sent = handshake::step(connection.state, request);
        let answered = handshake::step(sent.to, answer);
        connection.state = answered.to;
        connection.told += 1;
        connection.note_hops(&exchange.request, client.as_ref());
        exchange.leg = Some(answered.meaning.name().to_owned());

        let waiting = connection.challenge;
        let mut interrupts = None;
        let mut verdict = None;
        if request == Event::Authenticate {
            if let Some(Ntlm::Authenticate(message)) = authorization.and_then(AuthField::ntlm) {
                verdict = Some(self.challenges.link(exchange.connection, waiting, message));
            }
            connection.challenge = None;
            connection.unanswered = waiting.filter(|_| answer == Event::Unanswered);
        } else if let Some(c) = waiting.and_then(|id| self.challenges.get_mut(id))
            && sent.from == State::Challenged
        {
            c.interrupted_by.get_or_insert(exchange.exchange);
            interrupts = Some(c.clone());
        }

        let mut turn = Turn {
            exchange: Arc::new(exchange),
            request,
            answer,
            sent,
            answered,
            verdict,
            interrupts,
            challenge: None,
            handshake: None,
            logon_before,
            user_before,
            user,
            scheme,
            client,
            persistent_auth: None,
        };
        turn.persistent_auth = turn.response().and_then(persistence::header);
        if answer == Event::Challenge {
            self.challenged(&mut turn, at);
        } else {
            turn.handshake = self.concluded(&turn);
        }
        self.log_on_or_off(&turn, at);
        if let Some(h) = &turn.handshake {
            self.count(h);
        }
        Some(turn)
    }

    /// A connection ended.
    pub fn closed(&mut self, mut close: ConnectionClose, at: Stamp) -> Option<Closed> {
        self.totals.exchanges += u64::from(close.exchanges);
        let connection = self.connections.remove(&close.connection)?;
        let mut challenge = connection.unanswered.and_then(|id| self.challenges.get(id)).cloned();
        let answered = challenge.is_some();
        close.mid_handshake = answered;
        if let Some(c) = connection.challenge.and_then(|id| self.challenges.get_mut(id))
            && !c.concluded
        {
            close.mid_handshake = connection.state == State::Challenged;
            if close.mid_handshake && close.end.by == By::Upstream && at.since(c.at) < SERVER_PATIENCE {
                c.cut_by_server = true;
            }
            challenge = Some(c.clone());
            self.given_up.push_back((at.after(AFTERLIFE), c.handshake));
        }
        Some(Closed { close, connection, challenge, answered })
    }

    /// Time passed: challenges that nobody will answer any more are concluded.
    pub fn advance(&mut self, now: Stamp) -> Vec<(Stamp, Handshake)> {
        let mut told = Vec::new();
        while let Some(&(due, id)) = self.given_up.front() {
            if due > now {
                break;
            }
            self.given_up.pop_front();
            if let Some(h) = self.give_up(id) {
                told.push((due, h));
            }
        }
        for challenge in self.challenges.expire(now) {
            let h = abandoned(&challenge);
            self.count(&h);
            told.push((now, h));
        }
        told
    }

    /// The end: every open handshake is concluded.
    pub fn finish(&mut self, at: Stamp) -> Vec<(Stamp, Handshake)> {
        self.given_up.clear();
        self.challenges.open().into_iter().filter_map(|id| self.give_up(id)).map(|h| (at, h)).collect()
    }

    fn give_up(&mut self, id: HandshakeId) -> Option<Handshake> {
        let challenge = self.challenges.get_mut(id).filter(|c| !c.concluded)?;
        challenge.concluded = true;
        let handshake = abandoned(challenge);
        self.count(&handshake);
        Some(handshake)
    }

    fn count(&mut self, handshake: &Handshake) {
        let totals = &mut self.totals;
        match handshake.outcome {
            Outcome::Authenticated => totals.authenticated += 1,
            Outcome::Rejected => totals.rejected += 1,
            Outcome::Broken => totals.broken += 1,
            Outcome::Abandoned => totals.abandoned += 1,
        }
        if handshake.outcome == Outcome::Authenticated && is_paired(handshake) {
            totals.paired += 1;
        }
    }

    fn next_handshake(&mut self) -> HandshakeId {
        self.handshakes += 1;
        HandshakeId(self.handshakes)
    }

    /// The response carries a CHALLENGE: remembers it as the one that waits on this connection.
    fn challenged(&mut self, turn: &mut Turn, at: Stamp) {
        let exchange = Arc::clone(&turn.exchange);
        let Some((field, message)) = exchange.challenges.iter().find_map(|c| match c.ntlm() {
            Some(Ntlm::Challenge(m)) => Some((c, m)),
            _ => None,
        }) else {
            return;
        };
        // A further CHALLENGE within one handshake keeps its legs.
        let mut legs = match &turn.verdict {
            Some(Verdict::Here(c, _)) => {
                if let Some(c) = self.challenges.get_mut(c.handshake) {
                    c.concluded = true;
                }
                c.legs.clone()
            }
            _ => Vec::new(),
        };
        legs.push(request_leg(&exchange, leg::request_name(turn.request)));
        legs.push(answer_leg(&exchange, "CHALLENGE", at));
        let announced_close = exchange.response.as_ref().is_some_and(Response::ends_connection);
        let challenge = Challenge {
            handshake: self.next_handshake(),
            scheme: leg::scheme(field),
            connection: exchange.connection,
            exchange: exchange.exchange,
            at,
            timestamp: message.target_info.as_ref().and_then(|i| i.timestamp),
            names: Names::of(message.target_info.as_ref()),
            legs,
            concluded: false,
            announced_close,
            cut_by_server: announced_close,
            interrupted_by: None,
        };
        if let Some(c) = self.connections.get_mut(&exchange.connection)
            && let Some(old) = c.challenge.replace(challenge.handshake)
        {
            self.given_up.push_back((at.after(AFTERLIFE), old));
        }
        turn.challenge = Some(challenge.clone());
        for fallen in self.challenges.insert(challenge) {
            self.count(&abandoned(&fallen));
        }
    }

    /// Whether a handshake ended with this exchange, and how.
    fn concluded(&mut self, turn: &Turn) -> Option<Handshake> {
        let exchange = &turn.exchange;
        let accepted = matches!(turn.answer, Event::Accepted | Event::AcceptedOnce);
        let refused = turn.answer == Event::Refused;
        match turn.request {
            Event::Bare => None,
            Event::Negotiate if !refused => None,
            Event::Authenticate => Some(self.authenticate_concluded(turn, accepted, refused)).filter(|_| {
                // SPNEGO may want one more round (request-mic); it is not over yet.
                turn.answer != Event::Continue
            }),
            Event::Token if turn.answer == Event::Continue => None,
            _ => {
                if turn.request == Event::Credentials
                    && accepted
                    && turn.user.is_some()
                    && turn.user == turn.user_before
                {
                    // Basic and its like come with each request: once a user and connection is enough.
                    return None;
                }
                let outcome = match (accepted, refused) {
                    (true, _) => Outcome::Authenticated,
                    (_, true) if is_stale(exchange) => return None,
                    (_, true) => Outcome::Rejected,
                    _ => Outcome::Abandoned,
                };
                let field = exchange.authorization.as_ref()?;
                let name = match field.kerberos() {
                    Some(_) => "AP-REQ",
                    None => leg::request_name(turn.request),
                };
                Some(Handshake {
                    handshake: self.next_handshake(),
                    scheme: leg::scheme(field).to_owned(),
                    outcome,
                    user: turn.user.clone(),
                    server: field.kerberos().and_then(|k| k.sname.clone()),
                    legs: vec![request_leg(exchange, name)],
                    links: Vec::new(),
                })
            }
        }
    }

    fn authenticate_concluded(&mut self, turn: &Turn, accepted: bool, refused: bool) -> Handshake {
        let exchange = &turn.exchange;
        let here = (exchange.connection, exchange.exchange);
        let (linked, whole) = match &turn.verdict {
            Some(Verdict::Here(c, proof)) => (Some((c, *proof)), c.interrupted_by.is_none()),
            Some(Verdict::Earlier(c, proof) | Verdict::Elsewhere(c, proof)) => (Some((c, *proof)), false),
            _ => (None, false),
        };
        let outcome = match (accepted, refused, whole) {
            (true, _, _) => Outcome::Authenticated,
            (_, true, true) => Outcome::Rejected,
            (_, true, false) => Outcome::Broken,
            _ => Outcome::Abandoned,
        };
        let handshake = match linked {
            Some((c, _)) => c.handshake,
            None => self.next_handshake(),
        };
        if let Some(c) = self.challenges.get_mut(handshake) {
            c.concluded = true;
        }
        let mut legs = linked.map(|(c, _)| c.legs.clone()).unwrap_or_default();
        legs.push(request_leg(exchange, "AUTHENTICATE"));
        Handshake {
            handshake,
            scheme: linked.map(|(c, _)| c.scheme).or(turn.scheme).unwrap_or("ntlm").to_owned(),
            outcome,
            user: turn.user.clone(),
            server: match (&linked, &turn.verdict) {
                (Some((c, _)), _) => c.names.server().map(str::to_owned),
                (None, Some(Verdict::Unseen { server, .. })) => server.clone(),
                _ => None,
            },
            legs,
            links: linked
                .map(|(c, proof)| Link { challenge: (c.connection, c.exchange), authenticate: here, proof })
                .into_iter()
                .collect(),
        }
    }

    fn log_on_or_off(&mut self, turn: &Turn, at: Stamp) {
        let Some(c) = self.connections.get_mut(&turn.exchange.connection) else { return };
        let accepted = matches!(turn.answer, Event::Accepted | Event::AcceptedOnce);
        if accepted
            && !matches!(turn.request, Event::Bare | Event::Negotiate)
            && let Some(user) = &turn.user
        {
            c.last_user = Some((user.clone(), turn.exchange.exchange, at));
        }
        if turn.meaning() == Meaning::Logon
            || (turn.answered.to == State::Authenticated && turn.request != Event::Bare && accepted)
        {
            c.logon = Some(Logon {
                exchange: turn.exchange.exchange,
                at,
                user: turn.user.clone(),
                scheme: turn.scheme.unwrap_or("negotiate"),
                client: turn.client.clone(),
            });
        }
        if turn.answer == Event::Refused && turn.request == Event::Bare && turn.user_before.is_some() {
            c.dropped += 1;
        }
        if !matches!(c.state, State::Authenticated) {
            c.logon = None;
        }
    }
}

impl Connection {
    fn note_hops(&mut self, request: &Request, client: Option<&NamedClient>) {
        if self.hops.via.is_none() {
            self.hops.via = request.header("via").map(str::to_owned);
        }
        if self.hops.named_client.is_none() {
            self.hops.named_client = client.cloned();
        }
    }
}

/// Whether a link on one connection proves the pairing of a handshake.
pub fn is_paired(handshake: &Handshake) -> bool {
    handshake
        .links
        .iter()
        .any(|l| l.challenge.0 == l.authenticate.0 && matches!(l.proof, LinkProof::Timestamp | LinkProof::ResponseTime))
}

fn abandoned(challenge: &Challenge) -> Handshake {
    Handshake {
        handshake: challenge.handshake,
        scheme: challenge.scheme.to_owned(),
        outcome: if challenge.cut_by_server { Outcome::Broken } else { Outcome::Abandoned },
        user: None,
        server: challenge.names.server().map(str::to_owned),
        legs: challenge.legs.clone(),
        links: Vec::new(),
    }
}

fn is_stale(exchange: &Exchange) -> bool {
    exchange.challenges.iter().any(|c| c.param("stale").is_some_and(|v| v.eq_ignore_ascii_case("true")))
}

fn request_leg(exchange: &Exchange, message: &str) -> Leg {
    leg_at(exchange.connection, exchange.exchange, message, exchange.times.request_head)
}

fn answer_leg(exchange: &Exchange, message: &str, at: Stamp) -> Leg {
    leg_at(exchange.connection, exchange.exchange, message, at)
}

fn leg_at(connection: ConnectionId, exchange: ExchangeNo, message: &str, at: Stamp) -> Leg {
    Leg { connection, exchange, message: message.to_owned(), at }
}

/// The fields that name a client, most specific first, and the first address in them.
fn named_client(request: &Request) -> Option<NamedClient> {
    const FIELDS: [&str; 5] = ["x-forwarded-for", "forwarded", "true-client-ip", "x-real-ip", "x-client-ip"];
    FIELDS.iter().find_map(|name| {
        let field = request.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name))?;
        let address = if *name == "forwarded" { forwarded_for(&field.value)? } else { first(&field.value)? };
        Some(NamedClient { field: field.name.clone(), address })
    })
}

fn first(list: &str) -> Option<String> {
    let member = list.split(',').next()?.trim().trim_matches('"');
    let bare = match member.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        // One colon is an IPv4 address with a port; more are IPv6.
        None if member.matches(':').count() == 1 => member.split(':').next()?,
        None => member,
    };
    (!bare.is_empty()).then(|| bare.to_ascii_lowercase())
}

/// `for=` of the first element (RFC 7239 section 4).
fn forwarded_for(value: &str) -> Option<String> {
    let element = value.split(',').next()?;
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| first(value))?
    })
}
