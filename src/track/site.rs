//! The site: all connections, all handshakes, and the links across them.

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::challenges::{Challenge, Challenges, Names, OwnLeg, Verdict};
use super::client;
use super::conclude::{abandoned, is_paired};
use super::connection::{Connection, Logon};
use super::gaps::Gaps;
use super::handshake::{self, Event, Meaning, State};
use super::ids::IdMap;
use super::peers::{Peer, Peers};
use super::turn::Turn;
use super::{leg, persistence};
use crate::model::auth::{AuthField, Ntlm};
use crate::model::event::{ConnectionClose, ConnectionOpen, Exchange, Gap, GapWhat, Handshake, Outcome, Start, Totals};
use crate::model::http::Response;
use crate::model::network::Network;
use crate::model::transport::{By, End, How};
use crate::model::user::UserKey;
use crate::model::{ConnectionId, HandshakeId, Stamp};

/// How long after its connection's end a challenge may still be answered elsewhere.
const AFTERLIFE: Duration = Duration::from_secs(30);
/// A server that closes this long after its challenge gave up waiting. The client answers a challenge by itself, within
/// a round trip; what takes longer is a client that has left.
const SERVER_PATIENCE: Duration = Duration::from_secs(10);

/// Bounds of what is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a CHALLENGE is remembered for links.
    pub challenge_memory: Duration,
    /// How many CHALLENGEs are remembered.
    pub challenges: usize,
    /// How many entries each finding remembers: clients, users, connections.
    pub remembered: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { challenge_memory: Duration::from_mins(10), challenges: 65_536, remembered: 20_000 }
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
    /// When the first side ended.
    pub ended_at: Stamp,
}

/// All that is known of the traffic.
#[derive(Debug)]
pub struct Site {
    start: Option<Start>,
    connections: IdMap<ConnectionId, Connection>,
    challenges: Challenges,
    /// Challenges whose connection ended, and when they are given up.
    given_up: VecDeque<(Stamp, HandshakeId)>,
    most_given_up: usize,
    handshakes: u64,
    totals: Totals,
    trusted: Vec<Network>,
    gaps: Gaps,
    peers: Peers,
    /// Users that were accepted in this watch.
    accepted: HashSet<UserKey>,
    most_users: usize,
    /// One more user than that came.
    users_full: bool,
}

/// So many legs of a handshake are kept when another one is added.
const MOST_LEGS: usize = 30;

impl Site {
    /// Nothing seen yet. `trusted` are the peers whose word about the client counts.
    pub fn new(limits: Limits, trusted: Vec<Network>) -> Self {
        Self {
            start: None,
            connections: IdMap::default(),
            challenges: Challenges::new(limits.challenge_memory, limits.challenges),
            given_up: VecDeque::new(),
            most_given_up: limits.challenges.saturating_mul(2).max(64),
            handshakes: 0,
            totals: Totals::default(),
            trusted,
            gaps: Gaps::default(),
            peers: Peers::new(limits.remembered),
            accepted: HashSet::new(),
            most_users: limits.remembered.max(1),
            users_full: false,
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

    /// Connections that are remembered.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether no connection is remembered.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Challenges that are remembered.
    pub fn challenges(&self) -> usize {
        self.challenges.len()
    }

    /// Deadlines that are remembered.
    pub fn deadlines(&self) -> usize {
        self.given_up.len()
    }

    /// What was not seen.
    pub const fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    /// What is known of an address that connections come from.
    pub fn peer(&self, address: IpAddr) -> Option<&Peer> {
        self.peers.get(address)
    }

    /// Addresses that are remembered.
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    /// The memories that are full, by name, and how much each keeps. What needs what they lost will not be found.
    pub fn full(&self) -> impl Iterator<Item = (&'static str, usize)> {
        [
            ("challenges", self.challenges.forgotten(), self.challenges.most()),
            ("users", self.users_full, self.most_users),
            ("gaps", self.gaps.forgotten(), Gaps::MOST),
            ("peers", self.peers.forgotten(), self.peers.most()),
        ]
        .into_iter()
        .filter(|(_, full, _)| *full)
        .map(|(name, _, most)| (name, most))
    }

    /// Since when something on a connection, living or ended, was not seen.
    pub fn gap_of(&self, id: ConnectionId) -> Option<Stamp> {
        self.connections.get(&id).map_or_else(|| self.gaps.of_ended(id), |c| c.gap)
    }

    /// Whether this user has been accepted in this watch.
    pub fn was_accepted(&self, user: &str) -> bool {
        self.accepted.contains(&UserKey::of(user))
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
    pub fn opened(&mut self, open: &ConnectionOpen, at: Stamp) {
        self.totals.connections += 1;
        if open.begun_before {
            self.gaps.before(at);
        }
        self.connections.insert(open.connection, Connection::new(open, at));
    }

    /// Something was not seen.
    pub fn gap(&mut self, gap: &Gap, at: Stamp) {
        match &gap.what {
            GapWhat::QueueFull { dropped } => {
                self.totals.dropped = self.totals.dropped.saturating_add(*dropped);
            }
            GapWhat::Unparsable { .. } | GapWhat::PacketsMissing { .. } => self.totals.blind += 1,
            GapWhat::ObserverLost { .. } | GapWhat::LimitReached { .. } | GapWhat::SinkFailed { .. } => {}
        }
        if let GapWhat::LimitReached { .. } | GapWhat::SinkFailed { .. } = gap.what {
            return;
        }
        let Some(id) = gap.connection else {
            self.gaps.of_all(at);
            for c in self.connections.values_mut() {
                c.gap.get_or_insert(at);
            }
            return;
        };
        if let Some(c) = self.connections.get_mut(&id) {
            c.gap.get_or_insert(at);
            self.gaps.of_client(c.client_ip(), at);
        } else {
            self.gaps.of_all(at);
        }
    }

    /// An exchange: moves the connection's machine, links, and tells what it all was. Gives the exchange back when its
    /// connection is not known.
    pub fn exchange(&mut self, mut exchange: Exchange) -> Result<Turn, Box<Exchange>> {
        let at = exchange.times.response_head.or(exchange.times.end).unwrap_or(exchange.times.request_head);
        let authorization = exchange.authorization.as_ref();
        // On HTTP/2 each exchange is taken alone, as if it were the only one: streams interleave by design, and whose
        // logon a connection has, if any, cannot be told.
        let alone = exchange.request.version == "HTTP/2";
        let mut request = leg::request(authorization);
        if alone {
            request = leg::alone(request);
        }
        let Some(connection) = self.connections.get_mut(&exchange.connection) else { return Err(Box::new(exchange)) };
        if std::mem::take(&mut connection.begun_before) && matches!(request, Event::Authenticate | Event::Token) {
            // What it answers may have gone out before anything was seen of the connection.
            return Err(Box::new(exchange));
        }
        let pending = connection.pending.as_ref().filter(|_| request == Event::Token);
        let ntlm = pending.is_some() || authorization.is_some_and(|a| a.ntlm().is_some());
        let lasting = |r| persistence::persistent(request, ntlm, r) && (!alone || request == Event::Bare);
        let persistent = exchange.response.as_ref().is_some_and(lasting);
        let mut answer = leg::response(&exchange, persistent);
        if alone {
            answer = leg::alone(answer);
        }
        let user = pending.and_then(|h| h.user.clone()).or_else(|| authorization.and_then(leg::user));
        let user: Option<Arc<str>> = user.map(Into::into);
        let scheme = if pending.is_some() { Some("negotiate-ntlm") } else { authorization.map(leg::scheme) };
        let peer = connection.client_ip();
        let client = client::named(&exchange.request, peer, &self.trusted);
        let party = client.as_ref().filter(|c| c.trusted).map_or(peer, |c| c.address);

        let logon_before = connection.logon.clone();
        let user_before = connection.last_user.clone();
        let sent = handshake::step(if alone { State::default() } else { connection.state }, request);
        let answered = handshake::step(sent.to, answer);
        if !alone {
            connection.state = answered.to;
        }
        connection.told += 1;
        connection.note_hops(&exchange.request, client.as_ref());
        exchange.leg = Some(answered.meaning.name().to_owned());

        let waiting = connection.challenge;
        let mut interrupts = None;
        let mut verdict = None;
        if request == Event::Authenticate {
            if let Some(Ntlm::Authenticate(message)) = authorization.and_then(AuthField::ntlm) {
                let found = self.challenges.link(exchange.connection, waiting, message);
                if let Verdict::Here(c, _) = &found
                    && let Some(c) = self.challenges.get_mut(c.handshake)
                {
                    c.answered_here = true;
                }
                // Whoever answers another challenge here came between this one and its own answer.
                if !matches!(found, Verdict::Here(..))
                    && let Some(c) = waiting.and_then(|id| self.challenges.get_mut(id))
                {
                    c.interrupted_by.get_or_insert(exchange.exchange);
                }
                verdict = Some(found);
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
            peer,
            party,
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
        self.peers.note(&turn);
        if let Some(h) = &turn.handshake {
            self.count(h);
        }
        Ok(turn)
    }

    /// One side of a connection ended; the other may go on for long. Whether that came in the middle of a handshake.
    pub fn half_closed(&mut self, id: ConnectionId, by: By, at: Stamp) -> bool {
        let Some(connection) = self.connections.get_mut(&id).filter(|c| c.half_closed.is_none()) else { return false };
        connection.half_closed = Some((by, at));
        if connection.state != State::Challenged {
            return false;
        }
        if by == By::Upstream
            && let Some(c) = connection.challenge.and_then(|id| self.challenges.get_mut(id))
        {
            c.cut_by_server |= at.since(c.at) < SERVER_PATIENCE;
        }
        true
    }

    /// A connection ended.
    pub fn closed(&mut self, mut close: ConnectionClose, at: Stamp) -> Option<Closed> {
        self.totals.exchanges += u64::from(close.exchanges);
        let connection = self.connections.remove(&close.connection)?;
        if let Some(gap) = connection.gap {
            self.gaps.ended(close.connection, gap);
        }
        let ended_at = connection.half_closed.map_or(at, |(_, at)| at);
        let by_server = close.end.by == By::Upstream;
        let mut challenge = None;
        if let Some(c) = connection.unanswered.and_then(|id| self.challenges.get_mut(id)) {
            close.mid_handshake = true;
            c.cut_by_server |= by_server;
            challenge = Some(c.clone());
        }
        let answered = challenge.is_some();
        if let Some(c) = connection.challenge.and_then(|id| self.challenges.get_mut(id))
            && (!c.concluded || c.cut_by_server)
        {
            close.mid_handshake = connection.state == State::Challenged;
            c.cut_by_server |= close.mid_handshake && by_server && ended_at.since(c.at) < SERVER_PATIENCE;
            challenge = Some(c.clone());
        }
        if let Some(c) = &challenge {
            self.give_up_later(c.handshake, at);
        }
        Some(Closed { close, connection, challenge, answered, ended_at })
    }

    /// Forgets connections whose end may have been lost to a gap, as if they had ended now.
    pub fn forget_lost(&mut self, at: Stamp) -> Vec<Closed> {
        let mut lost: Vec<ConnectionId> = self.connections.values().filter(|c| c.gap.is_some()).map(|c| c.id).collect();
        lost.sort_unstable();
        lost.into_iter()
            .filter_map(|id| {
                let connection = self.connections.remove(&id)?;
                let challenge = connection.challenge.and_then(|id| self.challenges.get(id)).cloned();
                if let Some(c) = &challenge {
                    self.give_up_later(c.handshake, at);
                }
                let close = ConnectionClose {
                    connection: id,
                    end: End { by: By::Tap, how: How::Error, errno: None, detail: None },
                    mid_handshake: false,
                    client_bytes: 0,
                    upstream_bytes: 0,
                    exchanges: 0,
                    duration: at.since(connection.opened_at),
                };
                let challenge = challenge.filter(|c| !c.concluded);
                Some(Closed { close, connection, challenge, answered: false, ended_at: at })
            })
            .collect()
    }

    fn give_up_later(&mut self, id: HandshakeId, at: Stamp) {
        if self.given_up.len() >= self.most_given_up {
            // What fell out by number is told already.
            let challenges = &self.challenges;
            self.given_up.retain(|(_, id)| challenges.get(*id).is_some_and(|c| !c.concluded));
        }
        self.given_up.push_back((at.after(AFTERLIFE), id));
    }

    /// Time passed: the next challenge that nobody will answer any more, concluded. `None` when there is no more.
    pub fn next_given_up(&mut self, now: Stamp) -> Option<(Stamp, Handshake)> {
        while let Some(&(due, id)) = self.given_up.front() {
            if due > now {
                break;
            }
            self.given_up.pop_front();
            if let Some(h) = self.give_up(id) {
                return Some((due, h));
            }
        }
        let challenge = self.challenges.pop_old(now)?;
        let handshake = abandoned(&challenge, self.gap_of(challenge.connection).is_none());
        self.count(&handshake);
        Some((now, handshake))
    }

    /// The end: every open handshake is concluded.
    pub fn finish(&mut self, at: Stamp) -> Vec<(Stamp, Handshake)> {
        self.given_up.clear();
        self.challenges.open().into_iter().filter_map(|id| self.give_up(id)).map(|h| (at, h)).collect()
    }

    fn give_up(&mut self, id: HandshakeId) -> Option<Handshake> {
        let seen_all = self.challenges.get(id).is_some_and(|c| self.gap_of(c.connection).is_none());
        let handshake = abandoned(self.challenges.conclude(id)?, seen_all);
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

    pub(super) fn next_handshake(&mut self) -> HandshakeId {
        self.handshakes += 1;
        HandshakeId(self.handshakes)
    }

    pub(super) const fn challenges_mut(&mut self) -> &mut Challenges {
        &mut self.challenges
    }

    pub(super) fn take_pending(&mut self, id: ConnectionId) -> Option<Box<Handshake>> {
        self.connections.get_mut(&id)?.pending.take()
    }

    pub(super) fn keep_pending(&mut self, id: ConnectionId, handshake: Handshake) {
        if let Some(c) = self.connections.get_mut(&id) {
            c.pending = Some(Box::new(handshake));
        }
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
        let before = match &turn.verdict {
            Some(Verdict::Here(c, _)) => {
                self.challenges.conclude(c.handshake);
                // One that goes on and on keeps its last legs only.
                c.legs.get(c.legs.len().saturating_sub(MOST_LEGS)..).unwrap_or_default()
            }
            _ => &[],
        };
        let own = |message, at| OwnLeg { connection: exchange.connection, exchange: exchange.exchange, message, at };
        let two = [own(leg::request_name(turn.request), exchange.times.request_head), own("CHALLENGE", at)];
        let legs = if before.is_empty() { Arc::from(two) } else { [before, &two].concat().into() };
        let asked_close = exchange.request.ends_connection();
        let announced_close = exchange.response.as_ref().is_some_and(Response::ends_connection);
        let challenge = Challenge {
            handshake: self.next_handshake(),
            scheme: leg::scheme(field),
            connection: exchange.connection,
            exchange: exchange.exchange,
            at,
            timestamp: message.target_info.as_ref().and_then(|i| i.timestamp),
            names: Arc::new(Names::of(message.target_info.as_ref())),
            legs,
            concluded: false,
            answered_here: false,
            announced_close,
            asked_close,
            cut_by_server: announced_close || asked_close,
            interrupted_by: None,
        };
        if let Some(c) = self.connections.get_mut(&exchange.connection)
            && let Some(old) = c.challenge.replace(challenge.handshake)
        {
            self.give_up_later(old, at);
        }
        turn.challenge = Some(challenge.clone());
        self.challenges.insert(challenge);
    }

    fn log_on_or_off(&mut self, turn: &Turn, at: Stamp) {
        let Some(c) = self.connections.get_mut(&turn.exchange.connection) else { return };
        let accepted = matches!(turn.answer, Event::Accepted | Event::AcceptedOnce);
        if accepted
            && !matches!(turn.request, Event::Bare | Event::Negotiate)
            && let Some(user) = &turn.user
        {
            c.last_user = Some(Arc::clone(user));
            let key = UserKey::of(user);
            if self.accepted.len() < self.most_users {
                self.accepted.insert(key);
            } else if !self.accepted.contains(&key) {
                self.users_full = true;
            }
        }
        if turn.meaning() == Meaning::Logon
            || (turn.answered.to == State::Authenticated && turn.request != Event::Bare && accepted)
        {
            c.logon = Some(Arc::new(Logon {
                exchange: turn.exchange.exchange,
                at,
                user: turn.user.clone(),
                scheme: turn.scheme.unwrap_or("negotiate"),
                client: turn.client.clone(),
            }));
        }
        if !matches!(c.state, State::Authenticated) {
            c.logon = None;
        }
    }
}
