//! One cause, one finding: which finding explains which.
//!
//! A torn handshake also ends in a refused logon, in a retry and in the end in a locked account. Each finding names the
//! findings that explain it (`consequence_of` in its macro, strongest first); that data is the order of suppression. A
//! finding that rests on an exchange which one of them rests on too is told as its consequence.

use std::collections::{HashMap, VecDeque};

use super::catalogue;
use crate::model::finding::Finding;
use crate::model::{ConnectionId, ExchangeNo, Stamp};

/// So many places of roots are remembered.
const MOST: usize = 65_536;

/// A place in the traffic.
type Place = (ConnectionId, ExchangeNo);

/// Remembers where the findings that explain others were found.
#[derive(Debug, Default)]
pub(super) struct Roots {
    by_place: HashMap<Place, Vec<&'static str>>,
    order: VecDeque<Place>,
}

impl Roots {
    /// Says of each finding of one step which other explains it, and puts the explanations first.
    pub(super) fn relate(&mut self, found: &mut [(Stamp, Finding)]) {
        for (_, finding) in found.iter() {
            self.remember(finding);
        }
        for (_, finding) in found.iter_mut() {
            if finding.root.is_none() {
                finding.root = self.root_of(finding).map(str::to_owned);
            }
        }
        found.sort_by_key(|(_, f)| f.root.is_some());
    }

    /// Places that are remembered.
    pub(super) fn len(&self) -> usize {
        self.by_place.len()
    }

    fn remember(&mut self, finding: &Finding) {
        let Some(slug) = catalogue::roots().find(|slug| *slug == finding.slug) else { return };
        for place in places(finding) {
            let slugs = self.by_place.entry(place).or_insert_with(|| {
                self.order.push_back(place);
                Vec::new()
            });
            if !slugs.contains(&slug) {
                slugs.push(slug);
            }
        }
        while self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.by_place.remove(&oldest);
            }
        }
    }

    fn root_of(&self, finding: &Finding) -> Option<&'static str> {
        let meta = catalogue::by_slug(&finding.slug)?;
        let at = |slug: &str| places(finding).any(|p| self.by_place.get(&p).is_some_and(|s| s.contains(&slug)));
        meta.consequence_of.iter().copied().find(|slug| at(slug))
    }
}

fn places(finding: &Finding) -> impl Iterator<Item = Place> + '_ {
    finding.evidence.iter().filter_map(|e| e.connection.zip(e.exchange))
}
