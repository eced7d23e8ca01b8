//! Which connections stand before a hop and which behind it: an engine for each side, and one diagnosis of all.
//!
//! A live tap sits at one place. A capture may hold both sides of a hop, and the same token then passes twice: to one
//! engine, healthy traffic would look torn. So the server endpoints are put on sides first (`topology`, by `witness`),
//! then each side has an engine of its own (`feed`); which exchange of one side is which of the next is remembered
//! (`threads`), and in the end the findings of all sides become one diagnosis (`diagnosis`).

mod across;
mod diagnosis;
mod doubt;
mod facts;
mod feed;
mod marks;
mod place;
mod running;
mod threads;
mod topology;
mod witness;
mod words;

use std::collections::BTreeMap;
use std::mem::{size_of, take};
use std::net::SocketAddr;

pub use facts::{Facts, HopFacts, SideFacts, SidesFootprint};
pub use place::of_a_capture;

use crate::finding::Settings;
use crate::model::event::{ConnectionOpen, Event};
use crate::model::{ConnectionId, Stamp};
use crate::token::Key;
use crate::wire::observation::{Observation, RawExchange, Seen};
use marks::Sighting;
use running::Running;
use topology::Topology;

/// So many bytes are held back until the sides are settled.
const HELD: usize = 64 * 1024 * 1024;

/// So many connections are remembered that are open; the ends of the others were not captured.
const MOST_CONNECTIONS: usize = 131_072;

/// All sides of a capture.
#[derive(Debug)]
pub struct Sides {
    settings: Settings,
    most_held: usize,
    held: Vec<Observation>,
    held_bytes: usize,
    connections: Open<Option<u32>>,
    topology: Topology,
    running: Option<Box<Running>>,
}

/// The connections that are open: where each leads, and who the client is.
#[derive(Debug)]
struct Open<T>(BTreeMap<ConnectionId, (T, SocketAddr)>);

impl<T> Open<T> {
    fn opened(&mut self, open: &ConnectionOpen, to: T) {
        self.0.insert(open.connection, (to, open.addresses.client));
        while self.0.len() > MOST_CONNECTIONS {
            self.0.pop_first();
        }
    }
}

impl Sides {
    /// Nothing seen yet.
    pub fn new(settings: Settings) -> Self {
        Self::holding(settings, HELD)
    }

    /// The same, with another number of bytes that may be held back until the sides are settled.
    pub fn holding(settings: Settings, most_held: usize) -> Self {
        Self {
            settings: Settings { of_packets: true, ..settings },
            most_held,
            held: Vec::new(),
            held_bytes: 0,
            connections: Open(BTreeMap::new()),
            topology: Topology::default(),
            running: None,
        }
    }

    /// Takes in an observation; events that are final already go to `out`.
    pub fn observe(&mut self, observation: Observation, out: &mut impl FnMut(Event)) {
        if let Some(running) = &mut self.running {
            running.observe(observation, None, out);
            return;
        }
        match &observation.what {
            Seen::Opened(open) => {
                let endpoint = open.addresses.upstream.and_then(|to| self.topology.endpoint(to));
                self.connections.opened(open, endpoint);
            }
            Seen::Closed(close) => {
                self.connections.0.remove(&close.connection);
            }
            Seen::Exchange(connection, raw) => {
                let known = self.connections.0.get(connection).copied();
                if let Some((Some(endpoint), client)) = known {
                    let marks = marks::of(raw, &Key(self.settings.key));
                    self.topology.saw(sighting(endpoint, client, *connection, raw, observation.at, marks));
                    self.held_bytes = self.held_bytes.saturating_add(size_of::<Sighting>());
                }
            }
            _ => {}
        }
        self.held_bytes = self.held_bytes.saturating_add(weight(&observation));
        self.held.push(observation);
        if self.held_bytes > self.most_held {
            self.settle(true, out);
        }
    }

    /// The end: everything that was held back goes to `out`; the findings come last, but for the one `stop`.
    pub fn finish(mut self, at: Stamp, out: &mut impl FnMut(Event)) -> Facts {
        self.settle(false, out);
        self.running.map_or_else(Facts::default, |running| running.finish(at, out))
    }

    /// What is known of the sides by now.
    pub fn facts(&self) -> Facts {
        match &self.running {
            Some(running) => running.facts(),
            None => running::facts(&self.topology.plan()),
        }
    }

    /// How much is remembered.
    pub fn footprint(&self) -> SidesFootprint {
        match &self.running {
            Some(running) => running.footprint(),
            None => SidesFootprint {
                held: self.held_bytes,
                connections: self.connections.0.len(),
                endpoints: self.topology.len_endpoints(),
                exchanges: self.topology.len(),
                ..SidesFootprint::default()
            },
        }
    }

    /// The sides are as they are known by now; what was held back goes through their engines.
    fn settle(&mut self, early: bool, out: &mut impl FnMut(Event)) {
        if self.running.is_some() {
            return;
        }
        let mut running = Box::new(Running::new(&self.settings, self.topology.plan(), early));
        self.connections.0.clear();
        let mut sightings = self.topology.take().into_iter().peekable();
        for observation in take(&mut self.held) {
            let known = match &observation.what {
                Seen::Exchange(connection, raw) => sightings.next_if(|s| s.place == (*connection, raw.exchange)),
                _ => None,
            };
            running.observe(observation, known, out);
        }
        self.held_bytes = 0;
        self.running = Some(running);
    }
}

fn sighting(
    endpoint: u32,
    client: SocketAddr,
    connection: ConnectionId,
    raw: &RawExchange,
    at: Stamp,
    marks: marks::Marks,
) -> Sighting {
    let start = raw.times.request;
    Sighting {
        endpoint,
        place: (connection, raw.exchange),
        client: topology::canonical(client),
        start,
        head: raw.times.request_head,
        end: raw.times.response_head.unwrap_or(at).max(start),
        marks,
    }
}

/// Bytes of memory that an observation takes, about.
fn weight(observation: &Observation) -> usize {
    let behind = match &observation.what {
        Seen::Exchange(_, raw) => {
            let response = raw.response.as_ref().map_or(0, |r| r.expose().capacity());
            size_of::<RawExchange>() + raw.request.expose().capacity() + response + size_of_val(raw.interim.as_slice())
        }
        Seen::Ended(_, ended) => ended.body.as_ref().map_or(0, |body| body.expose().capacity()),
        // Addresses, TLS facts and a certificate; words.
        Seen::Opened(open) => {
            let tls = open.tls.is_some() || open.upstream_tls.is_some();
            size_of::<ConnectionOpen>() + if tls { 2_048 } else { 0 }
        }
        Seen::Start(_) | Seen::Gap(_) => 512,
        Seen::Closed(_) => 256,
        Seen::HalfClosed(_) => 0,
    };
    // The list itself grows by doubling.
    behind.saturating_add(2 * size_of::<Observation>())
}
