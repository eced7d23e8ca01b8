//! An engine for each side: their events become one row of events, and their findings wait for the end.

use std::collections::{HashMap, HashSet};

use super::diagnosis::Found;
use super::marks::Place;
use crate::finding::{Engine, Footprint, Settings};
use crate::model::event::{Event, Exchange, Gap, GapWhat, Totals, What};
use crate::model::{HandshakeId, Stamp};
use crate::wire::observation::{Observation, Seen};

/// All engines.
#[derive(Debug)]
pub(super) struct Feed {
    sides: Vec<Side>,
    scratch: Vec<Event>,
    /// The last number that was given out.
    seq: u64,
    /// Findings of all sides, in the order in which they were told.
    pub(super) findings: Vec<Found>,
    /// What they rest on.
    pub(super) wanted: HashSet<Place>,
    /// Memories that were told to be full.
    full: HashSet<String>,
    /// Drops that more than one engine counted.
    counted_twice: u64,
}

/// One side.
#[derive(Debug)]
struct Side {
    engine: Engine,
    /// The last of the engine's numbers that has one of all.
    numbered: u64,
    /// The numbers of what is not told yet.
    numbers: HashMap<u64, u64>,
    stop: Option<Totals>,
    connections: u64,
    exchanges: u64,
}

impl Feed {
    /// So many sides.
    pub(super) fn new(settings: &Settings, sides: usize) -> Self {
        let side = |_| Side {
            engine: Engine::new(settings.clone()),
            numbered: 0,
            numbers: HashMap::new(),
            stop: None,
            connections: 0,
            exchanges: 0,
        };
        Self {
            sides: (0..sides.max(1)).map(side).collect(),
            scratch: Vec::new(),
            seq: 0,
            findings: Vec::new(),
            wanted: HashSet::new(),
            full: HashSet::new(),
            counted_twice: 0,
        }
    }

    /// What each side took in: connections and told exchanges.
    pub(super) fn counts(&self, side: usize) -> (u64, u64) {
        self.sides.get(side).map_or((0, 0), |side| (side.connections, side.exchanges))
    }

    /// What the engines remember, and what waits for a number.
    pub(super) fn footprints(&self) -> (Vec<Footprint>, usize) {
        let waiting = self.sides.iter().map(|side| side.numbers.len()).sum();
        (self.sides.iter().map(|side| side.engine.footprint()).collect(), waiting)
    }

    /// One side saw something.
    pub(super) fn observe(&mut self, at: usize, observation: Observation, out: &mut impl FnMut(Event)) {
        let Some(side) = self.sides.get_mut(at) else { return };
        match &observation.what {
            Seen::Opened(_) => side.connections += 1,
            Seen::Exchange(..) => side.exchanges += 1,
            _ => {}
        }
        side.engine.observe(observation, &mut self.scratch);
        self.tell(at, false, out);
    }

    /// Something that concerns all sides: told once.
    pub(super) fn observe_all(&mut self, observation: &Observation, out: &mut impl FnMut(Event)) {
        for at in 0..self.sides.len() {
            let what = match &observation.what {
                Seen::Start(start) => Seen::Start(start.clone()),
                Seen::Gap(gap) => Seen::Gap(gap.clone()),
                _ => return,
            };
            if let (Seen::Gap(Gap { what: GapWhat::QueueFull { dropped }, .. }), true) = (&what, at > 0) {
                self.counted_twice = self.counted_twice.saturating_add(*dropped);
            }
            if let Some(side) = self.sides.get_mut(at) {
                side.engine.observe(Observation { at: observation.at, what }, &mut self.scratch);
            }
            self.tell(at, at > 0, out);
        }
    }

    /// The end of all sides: their totals in one.
    pub(super) fn finish(&mut self, at: Stamp, out: &mut impl FnMut(Event)) -> Totals {
        for side in 0..self.sides.len() {
            if let Some(side) = self.sides.get_mut(side) {
                side.engine.finish(at, &mut self.scratch);
            }
            self.tell(side, false, out);
        }
        let mut sum = Totals::default();
        for totals in self.sides.iter_mut().filter_map(|side| side.stop.take()) {
            add(&mut sum, &totals);
        }
        sum.dropped = sum.dropped.saturating_sub(self.counted_twice);
        sum
    }

    /// The next number of all.
    pub(super) const fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// Tells what an engine told, under the numbers of all. Findings wait; what is `repeated` was told of another side.
    fn tell(&mut self, at: usize, repeated: bool, out: &mut impl FnMut(Event)) {
        let count = self.sides.len();
        let Some(side) = self.sides.get_mut(at) else { return };
        let (findings, wanted, full) = (&mut self.findings, &mut self.wanted, &mut self.full);
        let mut without = Vec::new();
        self.scratch.retain_mut(|event| {
            let told = match &mut event.what {
                What::Finding(finding) => {
                    let mut finding = finding.as_ref().clone();
                    // The page has it: a thousand copies are not held.
                    finding.fix = String::new();
                    wanted.extend(finding.evidence.iter().filter_map(|e| e.connection.zip(e.exchange)));
                    findings.push(Found { side: at, at: event.at, finding });
                    false
                }
                What::Stop(totals) => {
                    side.stop = Some(totals.clone());
                    false
                }
                What::Gap(Gap { what: GapWhat::LimitReached { memory, .. }, .. }) => full.insert(memory.clone()),
                What::Start(_) | What::Gap(Gap { connection: None, .. }) => !repeated,
                _ => true,
            };
            if !told {
                without.push(event.seq);
            }
            told
        });
        without.sort_unstable();
        for number in side.numbered + 1..=side.engine.last_seq() {
            if without.binary_search(&number).is_err() {
                self.seq += 1;
                side.numbers.insert(number, self.seq);
            }
        }
        side.numbered = side.engine.last_seq();
        for mut event in self.scratch.drain(..) {
            event.seq = side.numbers.remove(&event.seq).unwrap_or(0);
            match &mut event.what {
                What::Exchange(exchange) => {
                    let Exchange { end_seq, .. } = exchange.as_mut();
                    *end_seq = end_seq.map(|own| side.numbers.remove(&own).unwrap_or(0));
                }
                What::Handshake(handshake) => {
                    handshake.handshake = of_all(handshake.handshake, at, count);
                }
                _ => {}
            }
            out(event);
        }
    }
}

/// Handshakes of several engines, numbered so that no two are alike.
fn of_all(handshake: HandshakeId, side: usize, sides: usize) -> HandshakeId {
    let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    HandshakeId(handshake.0.saturating_sub(1).saturating_mul(wide(sides)).saturating_add(wide(side)).saturating_add(1))
}

fn add(sum: &mut Totals, more: &Totals) {
    let Totals { connections, exchanges, authenticated, rejected, broken, abandoned, findings, dropped, blind, paired } =
        more;
    let add = |sum: &mut u64, more: &u64| *sum = sum.saturating_add(*more);
    add(&mut sum.connections, connections);
    add(&mut sum.exchanges, exchanges);
    add(&mut sum.authenticated, authenticated);
    add(&mut sum.rejected, rejected);
    add(&mut sum.broken, broken);
    add(&mut sum.abandoned, abandoned);
    add(&mut sum.findings, findings);
    add(&mut sum.dropped, dropped);
    add(&mut sum.blind, blind);
    add(&mut sum.paired, paired);
}
