//! Which server endpoint stands in front of which: an endpoint fronts another one when the same messages pass both.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use super::marks::Sighting;
use super::witness::{Hop, Likeness, Witness};

/// So many server endpoints are told apart; what more there are belong to the outermost side.
pub(super) const MOST_ENDPOINTS: usize = 4_096;
/// A chain of hops has at most so many sides: each costs an engine.
pub(super) const MOST_SIDES: usize = 8;
/// One message is looked for on so many endpoints, and so often on each.
const MOST_PLACES: usize = 8;
const MOST_TIMES: usize = 16;
/// The same for requests without a token of their own, which are many.
const MOST_LIKES: usize = 256;

/// All that is known before the sides are.
#[derive(Debug, Default)]
pub(super) struct Topology {
    numbers: HashMap<SocketAddr, u32>,
    endpoints: Vec<SocketAddr>,
    sightings: Vec<Sighting>,
}

/// Endpoints on their sides.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Server endpoints, by their numbers.
    pub(super) endpoints: Vec<SocketAddr>,
    /// The side of each; 0 is the outermost.
    pub(super) layers: Vec<usize>,
    /// Which fronts which: outer and inner, and how their times relate.
    pub(super) hops: BTreeMap<(u32, u32), Hop>,
}

/// One address has one number, however it is written.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl Topology {
    /// The number of an endpoint; `None` when there are too many.
    pub(super) fn endpoint(&mut self, address: SocketAddr) -> Option<u32> {
        let address = canonical(address);
        if let Some(number) = self.numbers.get(&address) {
            return Some(*number);
        }
        if self.endpoints.len() >= MOST_ENDPOINTS {
            return None;
        }
        let number = u32::try_from(self.endpoints.len()).ok()?;
        self.endpoints.push(address);
        self.numbers.insert(address, number);
        Some(number)
    }

    /// Takes in an exchange.
    pub(super) fn saw(&mut self, sighting: Sighting) {
        self.sightings.push(sighting);
    }

    /// How many exchanges it holds.
    pub(super) fn len(&self) -> usize {
        self.sightings.len()
    }

    /// How many endpoints it knows.
    pub(super) fn len_endpoints(&self) -> usize {
        self.endpoints.len()
    }

    /// The sides, as far as they can be told by now.
    pub(super) fn plan(&self) -> Plan {
        // The surest first: what then contradicts them is not believed.
        let mut found: Vec<(u32, u32, Hop)> = self.by_message();
        let known: Vec<(u32, u32)> = found.iter().map(|(a, b, _)| (*a, *b)).collect();
        let mut likes = self.by_likeness(&known);
        for list in [&mut found, &mut likes] {
            list.sort_by_key(|(a, b, hop)| (std::cmp::Reverse(hop.strength), *a, *b));
        }
        found.extend(likes);
        let mut hops: BTreeMap<(u32, u32), Hop> = BTreeMap::new();
        for (outer, inner, hop) in found {
            if !reaches(&hops, inner, outer) {
                hops.insert((outer, inner), hop);
            }
        }
        let mut layers = vec![0; self.endpoints.len()];
        for _ in 1..MOST_SIDES {
            for (outer, inner) in hops.keys() {
                let behind = layers.get(index(*outer)).map_or(0, |layer| layer + 1).min(MOST_SIDES - 1);
                if let Some(layer) = layers.get_mut(index(*inner)) {
                    *layer = behind.max(*layer);
                }
            }
        }
        Plan { endpoints: self.endpoints.clone(), layers, hops }
    }

    /// Hops by messages that are one exchange's own.
    fn by_message(&self) -> Vec<(u32, u32, Hop)> {
        let requests = self.sightings.iter().filter_map(|s| Some((s.marks.request?, false, s)));
        let responses = self.sightings.iter().filter_map(|s| Some((s.marks.response?, true, s)));
        let mut all: Vec<(u64, bool, &Sighting)> = requests.chain(responses).collect();
        all.sort_by_key(|(mark, answer, s)| (*mark, *answer, s.endpoint, s.start, s.place));
        let mut witnesses: BTreeMap<(u32, u32), Witness> = BTreeMap::new();
        for group in all.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let answer = group.first().is_some_and(|(_, answer, _)| *answer);
            let list: Vec<&Sighting> = group.iter().map(|(.., s)| *s).collect();
            each_two(&list, MOST_TIMES, &mut |a, b| {
                let key = (a.0, b.0);
                if let (Some(first), Some(second)) = (self.ip(a.0), self.ip(b.0)) {
                    witnesses.entry(key).or_default().message((first, a.1), (second, b.1), answer);
                }
            });
        }
        let hop = |((a, b), witness): ((u32, u32), Witness)| {
            let hop = witness.hop()?;
            Some(if hop.first_is_outer { (a, b, hop) } else { (b, a, hop) })
        };
        witnesses.into_iter().filter_map(hop).collect()
    }

    /// Hops where no message is anybody's own. Where both endpoints have such messages, and none in common, they are not
    /// related.
    fn by_likeness(&self, known: &[(u32, u32)]) -> Vec<(u32, u32, Hop)> {
        let mut own = vec![false; self.endpoints.len()];
        for s in self.sightings.iter().filter(|s| s.marks.request.is_some() || s.marks.response.is_some()) {
            if let Some(own) = own.get_mut(index(s.endpoint)) {
                *own = true;
            }
        }
        let owns = |endpoint: u32| own.get(index(endpoint)).copied().unwrap_or(false);
        let mut all: Vec<&Sighting> = self.sightings.iter().collect();
        all.sort_by_key(|s| (s.marks.line, s.endpoint, s.start, s.place));
        let mut likes: BTreeMap<(u32, u32), Likeness> = BTreeMap::new();
        for group in all.chunk_by(|a, b| a.marks.line == b.marks.line) {
            each_two(group, MOST_LIKES, &mut |a, b| {
                let is_known = known.contains(&(a.0, b.0)) || known.contains(&(b.0, a.0));
                if is_known || (owns(a.0) && owns(b.0)) {
                    return;
                }
                if let (Some(first), Some(second)) = (self.ip(a.0), self.ip(b.0)) {
                    likes.entry((a.0, b.0)).or_default().requests((first, a.1), (second, b.1));
                    likes.entry((b.0, a.0)).or_default().requests((second, b.1), (first, a.1));
                }
            });
        }
        let hop = |((outer, inner), like): ((u32, u32), Likeness)| {
            let strength = like.strength()?;
            Some((outer, inner, Hop { first_is_outer: true, shift: 0, apart: false, strength }))
        };
        likes.into_iter().filter_map(hop).collect()
    }

    fn ip(&self, endpoint: u32) -> Option<std::net::IpAddr> {
        self.endpoints.get(index(endpoint)).map(SocketAddr::ip)
    }

    /// The exchanges in the order in which they were seen. It holds none then.
    pub(super) fn take(&mut self) -> Vec<Sighting> {
        std::mem::take(&mut self.sightings)
    }
}

impl Plan {
    /// How many sides there are.
    pub(super) fn sides(&self) -> usize {
        self.layers.iter().max().map_or(1, |most| most + 1)
    }

    /// The side of an endpoint.
    pub(super) fn layer(&self, endpoint: u32) -> usize {
        self.layers.get(index(endpoint)).copied().unwrap_or(0)
    }

    /// Where an endpoint belongs that came when the sides were settled: behind the hop that its client is, else outermost.
    pub(super) fn late(&mut self, address: SocketAddr, client: SocketAddr) -> usize {
        let client = client.ip().to_canonical();
        let of = |number: u32| self.endpoints.get(index(number)).map(SocketAddr::ip);
        // On a machine of several hops, or of clients and hops, its address tells nothing.
        let hosts = self.endpoints.iter().filter(|e| e.ip() == client).count();
        let hop = self.hops.keys().find(|(outer, _)| of(*outer) == Some(client));
        let side = match hop {
            Some((outer, _)) if hosts == 1 && address.ip() != client => self.layer(*outer) + 1,
            _ => 0,
        };
        let side = side.min(self.sides() - 1);
        if self.endpoints.len() < MOST_ENDPOINTS {
            self.endpoints.push(address);
            self.layers.push(side);
        }
        side
    }
}

/// Numbers of endpoints are indices.
pub(super) fn index(endpoint: u32) -> usize {
    usize::try_from(endpoint).unwrap_or(usize::MAX)
}

fn reaches(hops: &BTreeMap<(u32, u32), Hop>, from: u32, to: u32) -> bool {
    let mut seen = vec![from];
    let mut at = 0;
    while let Some(&next) = seen.get(at) {
        if next == to {
            return true;
        }
        at += 1;
        for (_, inner) in hops.range((next, 0)..=(next, u32::MAX)).map(|(key, _)| *key) {
            if !seen.contains(&inner) {
                seen.push(inner);
            }
        }
    }
    false
}

/// Each two endpoints of a list in the order of endpoints, with their sightings.
fn each_two<'a>(
    list: &[&'a Sighting],
    most: usize,
    then: &mut impl FnMut((u32, &[&'a Sighting]), (u32, &[&'a Sighting])),
) {
    let of = |run: &[&'a Sighting]| run.first().map_or(0, |s| s.endpoint);
    let runs: Vec<&[&'a Sighting]> = list.chunk_by(|a, b| a.endpoint == b.endpoint).take(MOST_PLACES).collect();
    for (i, a) in runs.iter().enumerate() {
        for b in runs.iter().skip(i + 1) {
            let (first, second) = (a.get(..most).unwrap_or(a), b.get(..most).unwrap_or(b));
            then((of(a), first), (of(b), second));
        }
    }
}
