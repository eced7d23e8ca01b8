//! What was not seen, and since when: no conclusion may be drawn from an absence that a gap explains.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use crate::model::{ConnectionId, Stamp};

/// The latest gap of everything, of each client, and the first of each connection that has ended.
#[derive(Debug, Default)]
pub struct Gaps {
    any: Option<Stamp>,
    everywhere: Option<Stamp>,
    clients: HashMap<IpAddr, Stamp>,
    ended: HashMap<ConnectionId, Stamp>,
    order: VecDeque<ConnectionId>,
    forgotten: bool,
}

impl Gaps {
    /// So many clients and ended connections with a gap are remembered; with more clients, all count as concerned.
    pub const MOST: usize = 4_096;

    /// Whether one of an ended connection was forgotten.
    pub const fn forgotten(&self) -> bool {
        self.forgotten
    }

    /// Something on one client's connection was not seen.
    pub fn of_client(&mut self, client: IpAddr, at: Stamp) {
        self.any = Some(at);
        if self.clients.len() >= Self::MOST && !self.clients.contains_key(&client) {
            self.everywhere = Some(at);
        } else {
            self.clients.insert(client, at);
        }
    }

    /// Something that may concern anybody was not seen.
    pub fn of_all(&mut self, at: Stamp) {
        self.any = Some(at);
        self.everywhere = Some(at);
    }

    /// A connection turns up that began before anything was seen of it.
    pub fn before(&mut self, at: Stamp) {
        self.any = Some(at);
    }

    /// A connection with a gap has ended.
    pub fn ended(&mut self, connection: ConnectionId, gap: Stamp) {
        if self.order.len() >= Self::MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.ended.remove(&oldest);
            self.forgotten = true;
        }
        self.order.push_back(connection);
        self.ended.insert(connection, gap);
    }

    /// The gap of a connection that has ended.
    pub fn of_ended(&self, connection: ConnectionId) -> Option<Stamp> {
        self.ended.get(&connection).copied()
    }

    /// Whether anything at all was not seen since then.
    pub fn since(&self, then: Stamp) -> bool {
        self.any.is_some_and(|at| at >= then)
    }

    /// Whether something of this client may not have been seen since then.
    pub fn client_since(&self, client: IpAddr, then: Stamp) -> bool {
        self.everywhere.is_some_and(|at| at >= then) || self.clients.get(&client).is_some_and(|at| *at >= then)
    }

    /// Entries, for those who bound them.
    pub fn len(&self) -> usize {
        self.clients.len() + self.ended.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
