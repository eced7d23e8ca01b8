//! The findings of all sides become one diagnosis: what several sides saw of one defect is told once, and what a defect
//! behind a hop looks like before it is told as its consequence.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::across::{self, MIXED_BY_HOP};
use super::doubt;
use super::place;
use super::threads::Threads;
use super::topology::Plan;
use super::words;
use crate::finding::catalogue;
use crate::model::finding::{Evidence, Finding};
use crate::model::{ConnectionId, Stamp};

/// A finding of one side.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) side: usize,
    pub(super) at: Stamp,
    pub(super) finding: Finding,
}

/// A case: a finding, and what is the same on other sides.
pub(super) struct Case {
    pub(super) side: usize,
    at: Stamp,
    pub(super) finding: Finding,
    /// The threads of its evidence.
    threads: BTreeSet<u64>,
    /// That of its primary evidence.
    primary: Option<u64>,
    /// Sides that drew it as well.
    pub(super) also: Vec<usize>,
    /// It is told, and not as part of another one.
    pub(super) told: bool,
    /// Its root is a finding of another side.
    across: bool,
}

/// One diagnosis of all.
pub(super) fn one(found: Vec<Found>, threads: &Threads, plan: &Plan) -> Vec<(Stamp, Finding)> {
    let mut cases: Vec<Case> = found.into_iter().map(|found| case(found, threads)).collect();
    if plan.sides() > 1 {
        let skew = plan.hops.values().map(|hop| hop.shift.unsigned_abs()).max().unwrap_or(0);
        unify(&mut cases, &threads.connected(), NEAR.saturating_add(skew));
        doubt::refute(&mut cases, threads);
        relate(&mut cases);
        for case in cases.iter_mut().filter(|case| case.told) {
            words::name_both_sides(&mut case.finding, case.side, &case.also, threads, plan);
        }
    }
    cases.sort_by_key(|case| case.at);
    let told = cases.into_iter().filter(|case| case.told);
    told.map(|mut case| {
        case.finding.fix = catalogue::by_slug(&case.finding.slug).map(crate::finding::Meta::fix).unwrap_or_default();
        place::of_a_capture(&mut case.finding);
        (case.at, case.finding)
    })
    .collect()
}

fn case(found: Found, threads: &Threads) -> Case {
    let Found { side, at, finding } = found;
    let of = |e: &Evidence| threads.of(e.connection.zip(e.exchange)?).map(|(id, _)| id);
    let primary = finding.evidence.first().and_then(of);
    let of_all = finding.evidence.iter().filter_map(of).collect();
    Case { side, at, threads: of_all, primary, also: Vec::new(), told: true, across: false, finding }
}

/// The same finding of the same exchanges on several sides is one. The innermost is the one that is told, unless another
/// one knows it better; of requests that were mixed the outermost, because a hop passes on what one before it has mixed.
fn unify(cases: &mut [Case], connected: &HashSet<(ConnectionId, ConnectionId)>, near: u64) {
    let mut by_slug: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, case) in cases.iter().enumerate() {
        by_slug.entry(case.finding.slug.clone()).or_default().push(at);
    }
    for list in by_slug.values_mut() {
        let side = |at: &usize| cases.get(*at).map_or(0, |case| case.side);
        list.sort_by_key(|at| std::cmp::Reverse(side(at)));
        let mut left: Vec<usize> = Vec::new();
        // First those that rest on the same, then those that touch.
        let mut by_primary: HashMap<u64, Vec<usize>> = HashMap::new();
        for at in list.iter().copied() {
            let Some(case) = cases.get(at) else { continue };
            let alike = case.primary.and_then(|p| by_primary.get(&p)).into_iter().flatten();
            if let Some(stays) = alike.copied().find(|other| differ(cases, *other, at)) {
                merge(cases, stays, at);
                continue;
            }
            if let Some(primary) = case.primary {
                by_primary.entry(primary).or_default().push(at);
            }
            left.push(at);
        }
        let mut stay: Vec<usize> = Vec::new();
        for at in left {
            let same = |other: &usize| {
                let (Some(a), Some(b)) = (cases.get(*other), cases.get(at)) else { return false };
                differ(cases, *other, at) && same_story(a, b, connected, near)
            };
            match stay.iter().copied().find(same) {
                Some(stays) => merge(cases, stays, at),
                None => stay.push(at),
            }
        }
    }
}

/// The second case's side has no part in the first yet.
fn differ(cases: &[Case], a: usize, b: usize) -> bool {
    let (Some(a), Some(b)) = (cases.get(a), cases.get(b)) else { return false };
    a.side != b.side && !a.also.contains(&b.side)
}

/// Two findings of one slug on two sides are about the same.
fn same_story(a: &Case, b: &Case, connected: &HashSet<(ConnectionId, ConnectionId)>, near: u64) -> bool {
    if a.threads.intersection(&b.threads).next().is_some() {
        return true;
    }
    let (Some(first), Some(second)) = (a.finding.evidence.first(), b.finding.evidence.first()) else { return false };
    match (first.connection, second.connection) {
        // What was known at start, or is of no connection.
        (None, None) => a.finding.summary == b.finding.summary,
        // What is of a whole connection, or of an exchange that has no pair: the same on both, at the same time.
        (Some(x), Some(y)) => {
            let together = match (first.at, second.at) {
                (Some(x), Some(y)) => x.0.abs_diff(y.0) < near,
                _ => true,
            };
            connected.contains(&(x, y)) && first.message == second.message && together
        }
        _ => false,
    }
}

/// What happens to a connection behind a hop, and to its partner before it: within so many microseconds.
const NEAR: u64 = 1_000_000;

fn merge(cases: &mut [Case], stays: usize, goes: usize) {
    let Ok([stays, goes]) = cases.get_disjoint_mut([stays, goes]) else { return };
    let nearer = goes.finding.basis == stays.finding.basis
        && goes.side < stays.side
        && MIXED_BY_HOP.contains(&goes.finding.slug.as_str());
    if goes.finding.basis > stays.finding.basis || nearer {
        std::mem::swap(&mut stays.finding, &mut goes.finding);
        std::mem::swap(&mut stays.side, &mut goes.side);
        std::mem::swap(&mut stays.at, &mut goes.at);
        std::mem::swap(&mut stays.primary, &mut goes.primary);
    }
    goes.told = false;
    stays.also.push(goes.side);
    stays.threads.append(&mut goes.threads);
    if stays.finding.root.is_none() {
        stays.finding.root = goes.finding.root.take();
    }
    for connection in &goes.finding.connections {
        if !stays.finding.connections.contains(connection) {
            stays.finding.connections.push(*connection);
        }
    }
}

/// Says of each case which one on another side explains it.
fn relate(cases: &mut [Case]) {
    // Where each slug was found: thread, slug → sides.
    let mut places: HashMap<(u64, String), Vec<usize>> = HashMap::new();
    for case in cases.iter().filter(|case| case.told) {
        for thread in &case.threads {
            let sides = places.entry((*thread, case.finding.slug.clone())).or_default();
            sides.push(case.side);
            sides.extend(&case.also);
        }
    }
    for case in cases.iter_mut().filter(|case| case.told && case.finding.root.is_none()) {
        let own: Vec<usize> = case.also.iter().copied().chain([case.side]).collect();
        let on = |slug: &str, wanted: &dyn Fn(usize) -> bool| {
            case.threads.iter().any(|thread| {
                let sides = places.get(&(*thread, slug.to_owned()));
                // Where one side drew both, its engine knew them both.
                sides.is_some_and(|s| s.iter().all(|s| !own.contains(s)) && s.iter().any(|side| wanted(*side)))
            })
        };
        let slug = case.finding.slug.clone();
        let any = across::explaining(&slug).into_iter().find(|root| on(root, &|_| true));
        let outermost = own.iter().min().copied().unwrap_or(0);
        let behind = || across::explaining_from_behind(&slug).find(|root| on(root, &|side| side > outermost));
        case.finding.root = any.or_else(behind).map(str::to_owned);
        case.across = case.finding.root.is_some();
    }
    higher(cases);
}

/// What is explained by a finding that is itself explained by one of another side stands under that one.
fn higher(cases: &mut [Case]) {
    for _ in 0..4 {
        let mut above: HashMap<(u64, String), String> = HashMap::new();
        for case in cases.iter().filter(|case| case.told && case.across) {
            for (thread, root) in case.threads.iter().zip(std::iter::repeat(&case.finding.root)) {
                if let Some(root) = root {
                    above.insert((*thread, case.finding.slug.clone()), root.clone());
                }
            }
        }
        let mut changed = false;
        for case in cases.iter_mut().filter(|case| case.told) {
            let Some(root) = case.finding.root.clone() else { continue };
            let found = case.threads.iter().find_map(|thread| above.get(&(*thread, root.clone())));
            if let Some(found) = found.filter(|found| **found != case.finding.slug && **found != root) {
                case.finding.root = Some(found.clone());
                case.across = true;
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}
