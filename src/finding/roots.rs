//! One cause, one finding: which finding explains which.
//!
//! A torn handshake also ends in a refused logon, in a retry and in the end in a locked account. Each finding names the
//! findings that explain it (`consequence_of` in its macro, strongest first) and those that say the same better
//! (`yields_to`); that data is the order of suppression. A finding that rests on an exchange which one of them rests on
//! too is told as its consequence, or is not told at all.

use std::collections::{HashMap, VecDeque};

use super::{Meta, catalogue};
use crate::model::finding::Finding;
use crate::model::{ConnectionId, ExchangeNo, Stamp};

/// So many places of roots are remembered.
pub(super) const MOST: usize = 65_536;

/// A place in the traffic.
type Place = (ConnectionId, ExchangeNo);

/// Remembers where the findings that explain others were found.
#[derive(Debug, Default)]
pub(super) struct Roots {
    by_place: HashMap<Place, Vec<&'static str>>,
    order: VecDeque<Place>,
    forgotten: bool,
}

impl Roots {
    /// Drops of the findings of one step those that another one says better, says of the others which one explains them,
    /// and puts the explanations first.
    pub(super) fn relate(&mut self, found: &mut Vec<(Stamp, Finding)>) {
        for (_, finding) in found.iter() {
            self.remember(finding);
        }
        // Untold findings, where they were, and what is told instead.
        let mut instead = Vec::new();
        found.retain(|(_, finding)| {
            let Some(better) = self.first_of(finding, |meta| meta.yields_to) else { return true };
            instead.push((finding.clone(), better));
            false
        });
        for (untold, _) in &instead {
            self.forget(untold);
        }
        for (_, finding) in found.iter_mut() {
            // A root that is not told explains nothing.
            let untold = |(other, _): &&(Finding, &str)| {
                finding.root.as_ref() == Some(&other.slug) && finding.connections.first() == other.connections.first()
            };
            if let Some((_, better)) = instead.iter().find(untold) {
                finding.root = Some((*better).to_owned());
            }
            if finding.root.is_none() {
                finding.root = self.first_of(finding, |meta| meta.consequence_of).map(str::to_owned);
            }
        }
        found.sort_by_key(|(_, f)| f.root.is_some());
    }

    /// Places that are remembered.
    pub(super) fn len(&self) -> usize {
        self.by_place.len()
    }

    /// Whether a place was forgotten.
    pub(super) const fn forgotten(&self) -> bool {
        self.forgotten
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
                self.forgotten = true;
            }
        }
    }

    /// What is not told explains nothing that comes later either.
    fn forget(&mut self, untold: &Finding) {
        for place in places(untold) {
            if let Some(slugs) = self.by_place.get_mut(&place) {
                slugs.retain(|slug| *slug != untold.slug);
            }
        }
    }

    /// The first of a list that was found at a place which this finding rests on.
    fn first_of(&self, finding: &Finding, list: impl Fn(&Meta) -> &'static [&'static str]) -> Option<&'static str> {
        let meta = catalogue::by_slug(&finding.slug)?;
        let at = |slug: &str| places(finding).any(|p| self.by_place.get(&p).is_some_and(|s| s.contains(&slug)));
        list(meta).iter().copied().find(|slug| at(slug))
    }
}

fn places(finding: &Finding) -> impl Iterator<Item = Place> + '_ {
    finding.evidence.iter().filter_map(|e| e.connection.zip(e.exchange))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::{Basis, Evidence, Severity};

    /// A finding that rests on the first exchange of connection 1.
    fn finding(slug: &str) -> (Stamp, Finding) {
        let evidence = Evidence {
            primary: true,
            connection: Some(ConnectionId(1)),
            exchange: Some(1),
            message: None,
            at: None,
            frame: None,
            says: String::new(),
        };
        let finding = Finding {
            slug: slug.to_owned(),
            severity: Severity::High,
            basis: Basis::Observed,
            title: String::new(),
            summary: String::new(),
            scheme: None,
            root: None,
            connections: vec![ConnectionId(1)],
            evidence: vec![evidence],
            fix: String::new(),
        };
        (Stamp(0), finding)
    }

    /// A root that no capture holds sends its reader after a finding that is nowhere.
    #[test]
    fn what_was_not_told_is_nobodys_root_later() {
        let mut roots = Roots::default();
        let mut found = vec![finding("credentials-rejected"), finding("access-denied-after-logon")];
        roots.relate(&mut found);
        let told: Vec<&str> = found.iter().map(|(_, f)| f.slug.as_str()).collect();
        assert_eq!(told, ["access-denied-after-logon"]);
        let mut later = vec![finding("lockout-risk"), finding("retry-loop")];
        roots.relate(&mut later);
        let root = |slug: &str| later.iter().find(|(_, f)| f.slug == slug).and_then(|(_, f)| f.root.clone());
        assert_eq!(root("lockout-risk"), None);
        assert_eq!(root("retry-loop").as_deref(), Some("access-denied-after-logon"));
    }
}
