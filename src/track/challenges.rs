//! Every CHALLENGE that went out lately, so that an AUTHENTICATE can be linked to the one it answers.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::ids::IdMap;

use crate::model::auth::{NtlmAuthenticate, TargetInfo};
use crate::model::event::{Leg, LinkProof};
use crate::model::{ConnectionId, ExchangeNo, FileTime, HandshakeId, Stamp};

/// One CHALLENGE, and the handshake it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The handshake.
    pub handshake: HandshakeId,
    /// `ntlm` or `negotiate-ntlm`.
    pub scheme: &'static str,
    /// Where it was sent.
    pub connection: ConnectionId,
    /// In answer to which request.
    pub exchange: ExchangeNo,
    /// When its head passed.
    pub at: Stamp,
    /// MsvAvTimestamp.
    pub timestamp: Option<FileTime>,
    /// Names of the server that made it.
    pub names: Arc<Names>,
    /// NEGOTIATE and CHALLENGE.
    pub legs: Arc<[OwnLeg]>,
    /// The handshake was told.
    pub concluded: bool,
    /// It was answered where it was sent; another AUTHENTICATE for it is a repetition.
    pub answered_here: bool,
    /// The response that carried it ends its connection.
    pub announced_close: bool,
    /// The request that it answers ends its connection: whoever closes first then only does what was asked.
    pub asked_close: bool,
    /// The server announced or made the end of the connection before the AUTHENTICATE came, or had been asked to.
    pub cut_by_server: bool,
    /// The request that came between it and its AUTHENTICATE on the same connection.
    pub interrupted_by: Option<ExchangeNo>,
}

/// A leg whose message is one of ours to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnLeg {
    /// Where.
    pub connection: ConnectionId,
    /// In which exchange.
    pub exchange: ExchangeNo,
    /// `NEGOTIATE`, `CHALLENGE` …
    pub message: &'static str,
    /// When.
    pub at: Stamp,
}

impl OwnLeg {
    /// As events have it.
    pub fn told(&self) -> Leg {
        Leg { connection: self.connection, exchange: self.exchange, message: self.message.to_owned(), at: self.at }
    }
}

/// Which server made a challenge: AvIds 1 and 3, and whether any of 1 to 5 is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    nb: Option<Box<str>>,
    dns: Option<Box<str>>,
    any: bool,
}

/// [`Names`] where they lie.
#[derive(Debug, Clone, Copy, Default)]
struct Named<'a> {
    nb: Option<&'a str>,
    dns: Option<&'a str>,
    any: bool,
}

impl<'a> Named<'a> {
    fn of(info: Option<&'a TargetInfo>) -> Self {
        let Some(i) = info else { return Self::default() };
        let all = [&i.nb_computer_name, &i.nb_domain_name, &i.dns_computer_name, &i.dns_domain_name, &i.dns_tree_name];
        Self {
            nb: i.nb_computer_name.as_deref().filter(|n| !n.is_empty()),
            dns: i.dns_computer_name.as_deref().filter(|n| !n.is_empty()),
            any: all.into_iter().flatten().any(|n| !n.is_empty()),
        }
    }

    /// The server's own name: DNS before NetBIOS.
    fn server(self) -> Option<&'a str> {
        self.dns.or(self.nb)
    }
}

impl Names {
    /// The names in `info`.
    pub fn of(info: Option<&TargetInfo>) -> Self {
        let Named { nb, dns, any } = Named::of(info);
        Self { nb: nb.map(Into::into), dns: dns.map(Into::into), any }
    }

    fn named(&self) -> Named<'_> {
        Named { nb: self.nb.as_deref(), dns: self.dns.as_deref(), any: self.any }
    }

    /// The server's own name: DNS before NetBIOS.
    pub fn server(&self) -> Option<&str> {
        self.named().server()
    }

    /// Whether both name a computer, and not the same one.
    fn contradict(&self, other: Named<'_>) -> bool {
        let differ =
            |a: Option<&str>, b: Option<&str>| matches!((a, b), (Some(a), Some(b)) if !a.eq_ignore_ascii_case(b));
        differ(self.nb.as_deref(), other.nb) || differ(self.dns.as_deref(), other.dns)
    }
}

/// What an AUTHENTICATE says about the CHALLENGE it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It answers the challenge that is outstanding on its own connection.
    Here(Challenge, LinkProof),
    /// It answers a challenge that went out on this connection before the outstanding one.
    Earlier(Challenge, LinkProof),
    /// It answers a challenge that went out on another connection.
    Elsewhere(Challenge, LinkProof),
    /// It answers a challenge of another path: its timestamp or its server's names are not those of the outstanding
    /// challenge (or there is none), and no other that was seen has them.
    Unseen {
        /// The outstanding challenge on this connection, that it does not answer.
        outstanding: Option<Challenge>,
        /// The server that it names.
        server: Option<String>,
        /// Names (and not only the timestamp) contradict the outstanding challenge.
        names_differ: bool,
    },
    /// Nothing in it can be linked, and no challenge is outstanding here. The candidates are challenges on other
    /// connections that nobody has answered.
    Unlinkable {
        /// Unanswered challenges elsewhere, latest first.
        candidates: Vec<Challenge>,
    },
}

/// The challenges of the last minutes, bounded.
#[derive(Debug)]
pub struct Challenges {
    by_handshake: IdMap<HandshakeId, Challenge>,
    by_time: HashMap<FileTime, SameTime>,
    order: VecDeque<(Stamp, HandshakeId)>,
    /// Those that nobody has answered; ids grow with time.
    open: BTreeSet<HandshakeId>,
    keep: Duration,
    most: usize,
    /// One was forgotten before its time, and before its handshake was told.
    forgotten: bool,
}

/// Challenges of one timestamp, oldest first. There is seldom more than one, and then nothing more is allocated.
#[derive(Debug)]
struct SameTime {
    first: HandshakeId,
    others: VecDeque<HandshakeId>,
}

/// Unanswered challenges that are looked at for one AUTHENTICATE that answers none.
const CANDIDATES_LOOKED_AT: usize = 256;

impl Challenges {
    /// Keeps challenges for `keep`, and `most` of them.
    pub fn new(keep: Duration, most: usize) -> Self {
        Self {
            by_handshake: IdMap::default(),
            by_time: HashMap::new(),
            order: VecDeque::new(),
            open: BTreeSet::new(),
            keep,
            most,
            forgotten: false,
        }
    }

    /// How many are kept.
    pub const fn most(&self) -> usize {
        self.most
    }

    /// Whether one was forgotten before its time and its answer, because there were too many.
    pub const fn forgotten(&self) -> bool {
        self.forgotten
    }

    /// Remembers a challenge. What is then too much falls out with the next [`pop_old`](Self::pop_old).
    pub fn insert(&mut self, challenge: Challenge) {
        let id = challenge.handshake;
        if let Some(t) = challenge.timestamp {
            self.by_time
                .entry(t)
                .and_modify(|same| same.others.push_back(id))
                .or_insert(SameTime { first: id, others: VecDeque::new() });
        }
        self.order.push_back((challenge.at, id));
        self.open.insert(id);
        self.by_handshake.insert(id, challenge);
    }

    /// Forgets what is too old or too many, up to and with one that was not concluded, which is returned.
    pub fn pop_old(&mut self, now: Stamp) -> Option<Challenge> {
        while let Some(&(at, id)) = self.order.front() {
            if now.since(at) <= self.keep && self.order.len() <= self.most {
                return None;
            }
            let early = now.since(at) <= self.keep;
            self.order.pop_front();
            self.open.remove(&id);
            let Some(challenge) = self.by_handshake.remove(&id) else { continue };
            if let Some(t) = challenge.timestamp
                && let Some(same) = self.by_time.get_mut(&t)
            {
                if same.first != id {
                    same.others.retain(|i| *i != id);
                } else if let Some(next) = same.others.pop_front() {
                    same.first = next;
                } else {
                    self.by_time.remove(&t);
                }
            }
            if !challenge.concluded {
                self.forgotten |= early;
                return Some(challenge);
            }
        }
        None
    }

    /// One challenge.
    pub fn get(&self, id: HandshakeId) -> Option<&Challenge> {
        self.by_handshake.get(&id)
    }

    /// One challenge, to change; [`conclude`](Self::conclude) concludes it.
    pub fn get_mut(&mut self, id: HandshakeId) -> Option<&mut Challenge> {
        self.by_handshake.get_mut(&id)
    }

    /// Its handshake is told. Returns it, unless it was concluded before.
    pub fn conclude(&mut self, id: HandshakeId) -> Option<&Challenge> {
        self.open.remove(&id);
        let challenge = self.by_handshake.get_mut(&id).filter(|c| !c.concluded)?;
        challenge.concluded = true;
        Some(challenge)
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.by_handshake.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.by_handshake.is_empty()
    }

    /// All that were not concluded, in order.
    pub fn open(&self) -> Vec<HandshakeId> {
        self.open.iter().copied().collect()
    }

    /// Which challenge does this AUTHENTICATE answer?
    ///
    /// `outstanding` is the last challenge on its connection that no request has followed but this one's (or that was
    /// interrupted). The order of the tests is that of the link's strength: MsvAvTimestamp first, then the response's
    /// own TimeStamp, then the server's names, then order alone.
    pub fn link(&self, here: ConnectionId, outstanding: Option<HandshakeId>, message: &NtlmAuthenticate) -> Verdict {
        let outstanding = outstanding.and_then(|id| self.get(id));
        let names = Named::of(message.target_info.as_ref());
        let timestamp = message.target_info.as_ref().and_then(|i| i.timestamp);

        if let Some(found) = timestamp.and_then(|t| self.unique(t, names, outstanding)) {
            return Self::place(here, outstanding, found, LinkProof::Timestamp);
        }
        // A client copies MsvAvTimestamp when the challenge has one. Another value, or other names, is another
        // challenge, and one that did not pass here.
        let names_differ = outstanding.is_some_and(|c| c.names.contradict(names));
        let time_differs = timestamp.is_some() && outstanding.is_some_and(|c| c.timestamp.is_some());
        if names_differ || time_differs {
            return Verdict::Unseen {
                outstanding: outstanding.cloned(),
                server: names.server().map(str::to_owned),
                names_differ,
            };
        }
        if let Some(found) = message.response_time.and_then(|t| self.unique(t, names, outstanding)) {
            return Self::place(here, outstanding, found, LinkProof::ResponseTime);
        }
        match outstanding {
            Some(c) if names.any && c.names.any => Verdict::Here(c.clone(), LinkProof::Names),
            Some(c) => Verdict::Here(c.clone(), LinkProof::Order),
            None => {
                let candidates = self.candidates(here, names);
                // A client may make up a timestamp where the challenge has none; otherwise it is a challenge's, and of
                // one that was not seen.
                if timestamp.is_some() && candidates.iter().all(|c| c.timestamp.is_some()) {
                    let server = names.server().map(str::to_owned);
                    return Verdict::Unseen { outstanding: None, server, names_differ: false };
                }
                Verdict::Unlinkable { candidates }
            }
        }
    }

    /// The one challenge with this timestamp whose names do not contradict; of several, the outstanding one.
    fn unique<'a>(
        &'a self,
        time: FileTime,
        names: Named<'_>,
        outstanding: Option<&'a Challenge>,
    ) -> Option<&'a Challenge> {
        let same = self.by_time.get(&time)?;
        let ids = std::iter::once(&same.first).chain(&same.others);
        let mut fitting = ids.filter_map(|id| self.get(*id)).filter(|c| !c.names.contradict(names));
        let first = fitting.next()?;
        if fitting.next().is_none() {
            return Some(first);
        }
        outstanding.filter(|c| c.timestamp == Some(time))
    }

    fn place(here: ConnectionId, outstanding: Option<&Challenge>, found: &Challenge, proof: LinkProof) -> Verdict {
        if outstanding.is_some_and(|c| c.handshake == found.handshake) {
            Verdict::Here(found.clone(), proof)
        } else if found.connection == here {
            Verdict::Earlier(found.clone(), proof)
        } else {
            Verdict::Elsewhere(found.clone(), proof)
        }
    }

    /// Unanswered challenges on other connections that this message could answer, latest first, at most four.
    fn candidates(&self, here: ConnectionId, names: Named<'_>) -> Vec<Challenge> {
        self.open
            .iter()
            .rev()
            .take(CANDIDATES_LOOKED_AT)
            .filter_map(|id| self.get(*id))
            .filter(|c| c.connection != here && !c.names.contradict(names))
            .take(4)
            .cloned()
            .collect()
    }
}
