//! What is known of each address that connections come from: how many people and machines are behind it.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use super::handshake::Event;
use super::turn::Turn;
use crate::model::user::UserKey;

/// So many different values of one kind are told apart.
const MOST_TOLD_APART: usize = 16;

/// How many different values came; only hashes are kept.
#[derive(Debug, Clone, Default)]
pub struct Distinct {
    hashes: Vec<u64>,
}

impl Distinct {
    fn note(&mut self, value: impl Hash) {
        // Its keys are fixed: the same values count the same in a replay.
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        let hash = hasher.finish();
        if self.hashes.len() < MOST_TOLD_APART && !self.hashes.contains(&hash) {
            self.hashes.push(hash);
        }
    }

    /// How many, and no more than sixteen.
    pub const fn count(&self) -> usize {
        self.hashes.len()
    }

    /// `3`, or `at least 16`.
    pub fn told(&self) -> String {
        if self.hashes.len() < MOST_TOLD_APART {
            self.hashes.len().to_string()
        } else {
            format!("at least {MOST_TOLD_APART}")
        }
    }
}

/// One address that connections come from.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    /// Users that logged on, or tried to.
    pub users: Distinct,
    /// Machine ids of NTLM's AUTHENTICATE messages (MsvAvSingleHost).
    pub machines: Distinct,
    /// Workstations that they name.
    pub workstations: Distinct,
    /// Clients that requests name (`X-Forwarded-For` and its like).
    pub clients: Distinct,
}

/// All of them, bounded: the first that came goes first.
#[derive(Debug)]
pub struct Peers {
    by_address: HashMap<IpAddr, Peer>,
    order: VecDeque<IpAddr>,
    most: usize,
    forgotten: bool,
}

impl Peers {
    /// Remembers `most` addresses.
    pub fn new(most: usize) -> Self {
        Self { by_address: HashMap::new(), order: VecDeque::new(), most: most.max(1), forgotten: false }
    }

    /// How many are kept.
    pub const fn most(&self) -> usize {
        self.most
    }

    /// Whether one was forgotten.
    pub const fn forgotten(&self) -> bool {
        self.forgotten
    }

    /// What is known of an address.
    pub fn get(&self, address: IpAddr) -> Option<&Peer> {
        self.by_address.get(&address)
    }

    /// Addresses that are remembered.
    pub fn len(&self) -> usize {
        self.by_address.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }

    /// Learns from an exchange.
    pub(super) fn note(&mut self, turn: &Turn) {
        let logon = matches!(turn.request, Event::Authenticate | Event::Credentials);
        if turn.client.is_none() && !(logon && turn.user.is_some()) {
            return;
        }
        let peer = self.peer(turn.peer);
        if let Some(client) = &turn.client {
            peer.clients.note(client.address);
        }
        if let Some(user) = turn.user.as_ref().filter(|_| logon) {
            peer.users.note(UserKey::of(user));
        }
        if let Some(message) = turn.authenticate() {
            if let Some(machine) = message.target_info.as_ref().and_then(|i| i.machine.as_ref()) {
                peer.machines.note(machine);
            }
            if !message.workstation.is_empty() {
                peer.workstations.note(message.workstation.to_ascii_lowercase());
            }
        }
    }

    fn peer(&mut self, address: IpAddr) -> &mut Peer {
        if !self.by_address.contains_key(&address) {
            while self.by_address.len() >= self.most
                && let Some(oldest) = self.order.pop_front()
            {
                self.by_address.remove(&oldest);
                self.forgotten = true;
            }
            self.order.push_back(address);
        }
        self.by_address.entry(address).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scanner with many addresses must not fill the memory of who came from where.
    #[test]
    fn addresses_are_bounded_and_values_told_apart() {
        let mut peers = Peers::new(2);
        for n in 0..5_u8 {
            peers.peer(IpAddr::from([192, 0, 2, n])).users.note("alice");
        }
        assert_eq!((peers.len(), peers.order.len()), (2, 2));
        assert!(peers.get(IpAddr::from([192, 0, 2, 4])).is_some());
        let mut many = Distinct::default();
        for n in 0..100_u32 {
            many.note(n % 3);
        }
        assert_eq!(many.told(), "3");
        for n in 0..100_u32 {
            many.note(n);
        }
        assert_eq!((many.count(), many.told().as_str()), (MOST_TOLD_APART, "at least 16"));
    }
}
