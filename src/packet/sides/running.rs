//! The sides are settled: observations go to the engine of their side, and exchanges to their threads.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use super::diagnosis;
use super::facts::{Facts, HopFacts, SideFacts, SidesFootprint};
use super::feed::Feed;
use super::marks::{self, Sighting};
use super::threads::{Contradiction, Member, Threads};
use super::topology::{self, Plan, canonical};
use super::{Open, sighting};
use crate::finding::Settings;
use crate::model::Stamp;
use crate::model::event::{Event, What};
use crate::token::Key;
use crate::wire::observation::{Observation, Seen};

/// So many of a side's endpoints are named.
const MOST_NAMED: usize = 64;
/// So many contradictions are named.
const MOST_CONTRADICTIONS: usize = 16;

/// Engines at work.
#[derive(Debug)]
pub(super) struct Running {
    key: Key,
    plan: Plan,
    numbers: HashMap<SocketAddr, u32>,
    connections: Open<(usize, Option<u32>)>,
    feed: Feed,
    threads: Threads,
    early: bool,
    contradictions: Vec<(SocketAddr, SocketAddr)>,
    contradicted: u64,
}

impl Running {
    pub(super) fn new(settings: &Settings, plan: Plan, early: bool) -> Self {
        Self {
            key: Key(settings.key),
            numbers: plan.endpoints.iter().copied().zip(0..).collect(),
            connections: Open(BTreeMap::new()),
            feed: Feed::new(settings, plan.sides()),
            threads: Threads::default(),
            plan,
            early,
            contradictions: Vec::new(),
            contradicted: 0,
        }
    }

    /// Takes in an observation; `known` is what was read of it when it was held back.
    pub(super) fn observe(&mut self, observation: Observation, known: Option<Sighting>, out: &mut impl FnMut(Event)) {
        let connection = match &observation.what {
            Seen::Start(_) => return self.feed.observe_all(&observation, out),
            Seen::Gap(gap) => match gap.connection {
                None => return self.feed.observe_all(&observation, out),
                Some(connection) => connection,
            },
            Seen::Opened(open) => {
                let to = open.addresses.upstream.map(|to| self.endpoint(to, open.addresses.client));
                self.connections.opened(open, to.unwrap_or((0, None)));
                open.connection
            }
            Seen::Exchange(connection, _) | Seen::Ended(connection, _) => *connection,
            Seen::HalfClosed(half) => half.connection,
            Seen::Closed(close) => close.connection,
        };
        let ((side, endpoint), client) = match self.connections.0.get(&connection) {
            Some(known) => *known,
            None => ((0, None), SocketAddr::from(([0, 0, 0, 0], 0))),
        };
        match &observation.what {
            Seen::Exchange(_, raw) => {
                let read = |endpoint| {
                    let marks = marks::of(raw, &self.key);
                    sighting(endpoint, client, connection, raw, observation.at, marks)
                };
                if let Some(seen) = known.or_else(|| endpoint.map(read)) {
                    let told = self.threads.saw(Member { side, seen }, &self.plan, &self.feed.wanted);
                    self.contradicted(told);
                }
            }
            Seen::Closed(_) => {
                self.connections.0.remove(&connection);
            }
            _ => {}
        }
        self.feed.observe(side, observation, out);
    }

    /// The side and the number of an endpoint, also of one that comes late.
    fn endpoint(&mut self, address: SocketAddr, client: SocketAddr) -> (usize, Option<u32>) {
        let address = canonical(address);
        if let Some(number) = self.numbers.get(&address) {
            return (self.plan.layer(*number), Some(*number));
        }
        let number = u32::try_from(self.plan.endpoints.len()).ok();
        let side = self.plan.late(address, client);
        let number = number.filter(|n| self.plan.endpoints.get(topology::index(*n)) == Some(&address));
        if let Some(number) = number {
            self.numbers.insert(address, number);
        }
        (side, number)
    }

    fn contradicted(&mut self, told: Option<Contradiction>) {
        let Some(Contradiction(a, b)) = told else { return };
        self.contradicted += 1;
        let of = |number: u32| self.plan.endpoints.get(topology::index(number)).copied();
        if let (Some(a), Some(b)) = (of(a), of(b)) {
            let pair = (a.min(b), a.max(b));
            if self.contradictions.len() < MOST_CONTRADICTIONS && !self.contradictions.contains(&pair) {
                self.contradictions.push(pair);
            }
        }
    }

    /// The end.
    pub(super) fn finish(mut self, at: Stamp, out: &mut impl FnMut(Event)) -> Facts {
        let mut totals = self.feed.finish(at, out);
        let found = std::mem::take(&mut self.feed.findings);
        let raised = found.len();
        let told = diagnosis::one(found, &self.threads, &self.plan);
        let unified = u64::try_from(raised.saturating_sub(told.len())).unwrap_or(0);
        totals.findings = totals.findings.saturating_sub(unified);
        for (at, finding) in told {
            out(Event { seq: self.feed.next_seq(), at, what: What::Finding(Box::new(finding)) });
        }
        out(Event { seq: self.feed.next_seq(), at, what: What::Stop(totals) });
        self.facts()
    }

    pub(super) fn facts(&self) -> Facts {
        let mut facts = facts(&self.plan);
        for (at, side) in facts.sides.iter_mut().enumerate() {
            (side.connections, side.exchanges) = self.feed.counts(at);
            side.paired = self.threads.paired.get(at).copied().unwrap_or(0);
        }
        facts.settled_early = self.early;
        facts.contradictions.clone_from(&self.contradictions);
        facts.contradicted = self.contradicted;
        facts.forgotten = self.threads.forgotten;
        facts
    }

    pub(super) fn footprint(&self) -> SidesFootprint {
        let (engines, numbers) = self.feed.footprints();
        SidesFootprint {
            held: 0,
            connections: self.connections.0.len(),
            endpoints: self.plan.endpoints.len(),
            exchanges: self.threads.len(),
            numbers,
            findings: self.feed.findings.len(),
            engines,
        }
    }
}

/// What a plan alone says.
pub(super) fn facts(plan: &Plan) -> Facts {
    let mut sides = vec![SideFacts::default(); plan.sides()];
    for (endpoint, layer) in plan.endpoints.iter().zip(&plan.layers) {
        if let Some(side) = sides.get_mut(*layer) {
            side.endpoints.push(*endpoint);
        }
    }
    for side in &mut sides {
        side.endpoints.sort_unstable();
        side.endpoints_in_all = side.endpoints.len();
        side.endpoints.truncate(MOST_NAMED);
    }
    let of = |number: u32| plan.endpoints.get(topology::index(number)).copied();
    let mut hops: BTreeMap<SocketAddr, HopFacts> = BTreeMap::new();
    for ((outer, inner), hop) in &plan.hops {
        // What stands further in is told of the hop before it.
        let between = plan.hops.keys().any(|(a, b)| a == outer && plan.hops.contains_key(&(*b, *inner)));
        let (false, Some(at), Some(to)) = (between, of(*outer), of(*inner)) else { continue };
        let facts = hops.entry(at).or_insert_with(|| HopFacts { at, to: Vec::new(), clocks_differ: false });
        facts.to.push(to);
        facts.clocks_differ |= hop.apart;
    }
    let mut hops: Vec<HopFacts> = hops.into_values().collect();
    for hop in &mut hops {
        hop.to.sort_unstable();
    }
    Facts { sides, hops, ..Facts::default() }
}
