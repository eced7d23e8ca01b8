//! Every CHALLENGE that went out lately, so that an AUTHENTICATE can be linked to the one it answers.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

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
    /// Names of the server that made it (AvIds 1 to 5).
    pub names: Names,
    /// NEGOTIATE and CHALLENGE.
    pub legs: Vec<Leg>,
    /// The handshake was told.
    pub concluded: bool,
    /// The response that carried it ends its connection.
    pub announced_close: bool,
    /// The server announced or made the end of the connection before the AUTHENTICATE came.
    pub cut_by_server: bool,
    /// The request that came between it and its AUTHENTICATE on the same connection.
    pub interrupted_by: Option<ExchangeNo>,
}

/// AvIds 1 to 5: which server made a challenge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names([Option<String>; 5]);

impl Names {
    /// The names in `info`.
    pub fn of(info: Option<&TargetInfo>) -> Self {
        info.map_or_else(Self::default, |i| {
            Self([
                i.nb_computer_name.clone(),
                i.nb_domain_name.clone(),
                i.dns_computer_name.clone(),
                i.dns_domain_name.clone(),
                i.dns_tree_name.clone(),
            ])
        })
    }

    /// The server's own name: DNS before NetBIOS.
    pub fn server(&self) -> Option<&str> {
        let [nb, _, dns, _, _] = &self.0;
        dns.as_deref().or(nb.as_deref()).filter(|n| !n.is_empty())
    }

    /// Whether any name is there.
    pub fn any(&self) -> bool {
        self.0.iter().flatten().any(|n| !n.is_empty())
    }

    /// Whether both name a computer, and not the same one.
    pub fn contradict(&self, other: &Self) -> bool {
        let [nb, _, dns, ..] = &self.0;
        let [other_nb, _, other_dns, ..] = &other.0;
        let differ = |a: &Option<String>, b: &Option<String>| matches!((a, b), (Some(a), Some(b)) if !a.is_empty() && !b.is_empty() && !a.eq_ignore_ascii_case(b));
        differ(nb, other_nb) || differ(dns, other_dns)
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
    /// challenge, and no other that was seen has them.
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
    by_handshake: HashMap<HandshakeId, Challenge>,
    by_time: HashMap<FileTime, Vec<HandshakeId>>,
    order: VecDeque<(Stamp, HandshakeId)>,
    keep: Duration,
    most: usize,
}

impl Challenges {
    /// Keeps challenges for `keep`, and `most` of them.
    pub fn new(keep: Duration, most: usize) -> Self {
        Self { by_handshake: HashMap::new(), by_time: HashMap::new(), order: VecDeque::new(), keep, most }
    }

    /// Remembers a challenge. Returns those that fall out without having been concluded.
    pub fn insert(&mut self, challenge: Challenge) -> Vec<Challenge> {
        let fallen = self.expire(challenge.at);
        if let Some(t) = challenge.timestamp {
            self.by_time.entry(t).or_default().push(challenge.handshake);
        }
        self.order.push_back((challenge.at, challenge.handshake));
        self.by_handshake.insert(challenge.handshake, challenge);
        fallen
    }

    /// Forgets what is too old or too many. Returns those that were not concluded.
    pub fn expire(&mut self, now: Stamp) -> Vec<Challenge> {
        let mut fallen = Vec::new();
        while let Some(&(at, id)) = self.order.front() {
            if now.since(at) <= self.keep && self.order.len() <= self.most {
                break;
            }
            self.order.pop_front();
            if let Some(challenge) = self.by_handshake.remove(&id) {
                if let Some(t) = challenge.timestamp
                    && let Some(ids) = self.by_time.get_mut(&t)
                {
                    ids.retain(|i| *i != id);
                    if ids.is_empty() {
                        self.by_time.remove(&t);
                    }
                }
                if !challenge.concluded {
                    fallen.push(challenge);
                }
            }
        }
        fallen
    }

    /// One challenge.
    pub fn get(&self, id: HandshakeId) -> Option<&Challenge> {
        self.by_handshake.get(&id)
    }

    /// One challenge, to change.
    pub fn get_mut(&mut self, id: HandshakeId) -> Option<&mut Challenge> {
        self.by_handshake.get_mut(&id)
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
        self.order.iter().map(|(_, id)| *id).filter(|id| self.get(*id).is_some_and(|c| !c.concluded)).collect()
    }

    /// Which challenge does this AUTHENTICATE answer?
    ///
    /// `outstanding` is the last challenge on its connection that no request has followed but this one's (or that was
    /// interrupted). The order of the tests is that of the link's strength: MsvAvTimestamp first, then the response's
    /// own TimeStamp, then the server's names, then order alone.
    pub fn link(&self, here: ConnectionId, outstanding: Option<HandshakeId>, message: &NtlmAuthenticate) -> Verdict {
        let outstanding = outstanding.and_then(|id| self.get(id));
        let names = Names::of(message.target_info.as_ref());
        let timestamp = message.target_info.as_ref().and_then(|i| i.timestamp);

        if let Some(found) = timestamp.and_then(|t| self.unique(t, &names, outstanding)) {
            return Self::place(here, outstanding, found, LinkProof::Timestamp);
        }
        // A client copies MsvAvTimestamp when the challenge has one. Another value, or other names, is another
        // challenge, and one that did not pass here.
        let names_differ = outstanding.is_some_and(|c| c.names.contradict(&names));
        let time_differs = timestamp.is_some() && outstanding.is_some_and(|c| c.timestamp.is_some());
        if names_differ || time_differs {
            return Verdict::Unseen {
                outstanding: outstanding.cloned(),
                server: names.server().map(str::to_owned),
                names_differ,
            };
        }
        if let Some(found) = message.response_time.and_then(|t| self.unique(t, &names, outstanding)) {
            return Self::place(here, outstanding, found, LinkProof::ResponseTime);
        }
        match outstanding {
            Some(c) if names.any() && c.names.any() => Verdict::Here(c.clone(), LinkProof::Names),
            Some(c) => Verdict::Here(c.clone(), LinkProof::Order),
            None => Verdict::Unlinkable { candidates: self.candidates(here, &names) },
        }
    }

    /// The one challenge with this timestamp whose names do not contradict; of several, the outstanding one.
    fn unique<'a>(
        &'a self,
        time: FileTime,
        names: &Names,
        outstanding: Option<&'a Challenge>,
    ) -> Option<&'a Challenge> {
        let ids = self.by_time.get(&time)?;
        let mut fitting = ids.iter().filter_map(|id| self.get(*id)).filter(|c| !c.names.contradict(names));
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
    fn candidates(&self, here: ConnectionId, names: &Names) -> Vec<Challenge> {
        self.order
            .iter()
            .rev()
            .filter_map(|(_, id)| self.get(*id))
            .filter(|c| c.connection != here && !c.concluded && !c.names.contradict(names))
            .take(4)
            .cloned()
            .collect()
    }
}
