//! The connections that are remembered: by their pairs, and in the order of their last use.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::flow::Flow;
use super::key::Pair;

/// Which order a connection is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    Open,
    Ended,
}

/// No place.
const NONE: u32 = u32::MAX;

/// Neighbours in an order, apart from what they order, so that moving one touches little memory.
#[derive(Debug, Clone, Copy)]
struct Link {
    older: u32,
    newer: u32,
    row: Row,
}

#[derive(Debug, Clone, Copy)]
struct Order {
    oldest: u32,
    newest: u32,
    length: usize,
}

impl Default for Order {
    fn default() -> Self {
        Self { oldest: NONE, newest: NONE, length: 0 }
    }
}

/// Connections in places of their own, which stay theirs until they are removed.
#[derive(Debug, Default)]
pub(super) struct Table {
    places: HashMap<Pair, u32>,
    /// The first of those that began with the same number to the same server.
    begun: HashMap<(SocketAddr, u32), u32>,
    flows: Vec<Option<(Pair, Flow)>>,
    links: Vec<Link>,
    free: Vec<u32>,
    open: Order,
    ended: Order,
}

impl Table {
    pub(super) fn find(&self, pair: &Pair) -> Option<u32> {
        self.places.get(pair).copied()
    }

    pub(super) fn get(&mut self, place: u32) -> Option<&mut Flow> {
        self.flows.get_mut(index(place))?.as_mut().map(|(_, flow)| flow)
    }

    pub(super) const fn length(&self, row: Row) -> usize {
        match row {
            Row::Open => self.open.length,
            Row::Ended => self.ended.length,
        }
    }

    /// The one that was used least recently.
    pub(super) fn oldest(&self, row: Row) -> Option<u32> {
        let order = match row {
            Row::Open => &self.open,
            Row::Ended => &self.ended,
        };
        (order.oldest != NONE).then_some(order.oldest)
    }

    /// Places of all open ones, the least recently used first.
    pub(super) fn open(&self) -> Vec<u32> {
        let mut places = Vec::with_capacity(self.open.length);
        let mut place = self.open.oldest;
        while let Some(link) = self.links.get(index(place)) {
            places.push(place);
            place = link.newer;
        }
        places
    }

    /// Adds an open one, as used just now.
    pub(super) fn insert(&mut self, pair: Pair, flow: Flow) -> u32 {
        let begun = flow.begun();
        let place = self.free.pop().unwrap_or_else(|| {
            self.flows.push(None);
            self.links.push(Link { older: NONE, newer: NONE, row: Row::Open });
            u32::try_from(self.flows.len().saturating_sub(1)).unwrap_or(NONE)
        });
        if let Some(slot) = self.flows.get_mut(index(place)) {
            *slot = Some((pair, flow));
        }
        self.places.insert(pair, place);
        if let Some(begun) = begun {
            self.begun.entry(begun).or_insert(place);
        }
        self.append(place, Row::Open);
        place
    }

    pub(super) fn remove(&mut self, place: u32) -> Option<Flow> {
        let (pair, flow) = self.flows.get_mut(index(place))?.take()?;
        self.places.remove(&pair);
        if let Some(begun) = flow.begun()
            && self.begun.get(&begun) == Some(&place)
        {
            self.begun.remove(&begun);
        }
        self.unlink(place);
        self.free.push(place);
        Some(flow)
    }

    /// Whether a connection is one that is told already under another address of the client: an address translator
    /// changes that, and leaves the numbers of both ends as they are.
    pub(super) fn is_twin(&self, place: u32) -> bool {
        let at = |place: u32| self.flows.get(index(place))?.as_ref().map(|(_, flow)| flow);
        let Some(flow) = at(place).filter(|flow| flow.untold()) else { return false };
        let first = flow.begun().and_then(|begun| self.begun.get(&begun)).filter(|first| **first != place);
        first.and_then(|first| at(*first)).is_some_and(|first| first.has_numbers_of(flow))
    }

    /// An open one was used just now.
    pub(super) fn touch(&mut self, place: u32) {
        if self.open.newest != place {
            self.unlink(place);
            self.append(place, Row::Open);
        }
    }

    /// An open one has ended.
    pub(super) fn end(&mut self, place: u32) {
        self.unlink(place);
        self.append(place, Row::Ended);
    }

    fn order(&mut self, row: Row) -> &mut Order {
        match row {
            Row::Open => &mut self.open,
            Row::Ended => &mut self.ended,
        }
    }

    fn append(&mut self, place: u32, row: Row) {
        let order = self.order(row);
        let before = std::mem::replace(&mut order.newest, place);
        order.length = order.length.saturating_add(1);
        if before == NONE {
            order.oldest = place;
        }
        if let Some(link) = self.links.get_mut(index(place)) {
            *link = Link { older: before, newer: NONE, row };
        }
        if let Some(link) = self.links.get_mut(index(before)) {
            link.newer = place;
        }
    }

    fn unlink(&mut self, place: u32) {
        let Some(&Link { older, newer, row }) = self.links.get(index(place)) else {
            return;
        };
        if let Some(link) = self.links.get_mut(index(older)) {
            link.newer = newer;
        }
        if let Some(link) = self.links.get_mut(index(newer)) {
            link.older = older;
        }
        let order = self.order(row);
        order.length = order.length.saturating_sub(1);
        if order.oldest == place {
            order.oldest = newer;
        }
        if order.newest == place {
            order.newest = older;
        }
    }
}

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}
