//! What a side behind a hop cannot know, because all its clients have the hop's address, and the side before it does.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use super::across::BROKEN_BY_HOP;
use super::diagnosis::Case;
use super::marks::{Marks, Place};
use super::threads::{Member, Threads};
use crate::model::ConnectionId;
use crate::model::finding::Basis;

/// Findings that put several requests together because one client sent them.
pub(super) const OF_ONE_CLIENT: &[&str] = &[
    "access-denied-after-logon",
    "authorization-dropped",
    "body-lost-on-replay",
    "challenges-folded",
    "handshake-per-connection-wasted",
    "header-names-lowercased",
    "no-common-scheme",
    "retry-loop",
    "token-family-mismatch",
    "unauthorized-hidden",
    "windows-auth-over-http2",
];

/// Findings that several clients use one connection.
pub(super) const OF_SEVERAL_CLIENTS: &[&str] = &["authenticated-connection-shared", "identity-changed-on-connection"];

/// Leaves out what the side before the hop knows better. Only findings that an inner side alone drew are looked at.
pub(super) fn refute(cases: &mut [Case], threads: &Threads) {
    let told: HashSet<(String, usize)> = cases
        .iter()
        .filter(|case| case.told)
        .flat_map(|case| case.also.iter().chain([&case.side]).map(|side| (case.finding.slug.clone(), *side)))
        .collect();
    for case in cases.iter_mut().filter(|case| case.told && case.side > 0) {
        if case.also.iter().any(|other| *other < case.side) {
            continue;
        }
        let slug = case.finding.slug.as_str();
        let places = case.finding.evidence.iter().filter_map(|e| e.connection.zip(e.exchange));
        let places: BTreeSet<Place> = places.collect();
        let before: Vec<Member> = places.iter().filter_map(|p| before_of(*p, case.side, threads)).collect();
        let people: BTreeSet<IpAddr> = before.iter().map(|m| m.seen.client.ip()).collect();
        let connections: BTreeSet<ConnectionId> = before.iter().map(|m| m.seen.place.0).collect();
        // One client's story that is several clients'.
        let mixed = OF_ONE_CLIENT.contains(&slug) && people.len() > 1;
        // Several clients' connection that is one client's.
        let one = OF_SEVERAL_CLIENTS.contains(&slug)
            && case.finding.basis < Basis::Observed
            && before.len() == places.len()
            && connections.len() == 1;
        // Told once of each client there, of each hop here: the same once more.
        let first = case.finding.evidence.first().and_then(|e| e.connection.zip(e.exchange));
        let primary = first.and_then(|place| Some((marks_of(place, threads)?, before_of(place, case.side, threads)?)));
        let repeated = !BROKEN_BY_HOP.contains(&slug)
            && primary.is_some_and(|(own, m)| own.is_like(&m.seen.marks) && told.contains(&(slug.to_owned(), m.side)));
        case.told = !(mixed || one || repeated);
    }
    // What is not told explains nothing.
    let left: HashSet<String> = cases.iter().filter(|case| case.told).map(|case| case.finding.slug.clone()).collect();
    for case in cases.iter_mut().filter(|case| case.finding.root.as_ref().is_some_and(|root| !left.contains(root))) {
        case.finding.root = None;
    }
}

/// The exchange as the next side before saw it.
fn before_of(place: Place, side: usize, threads: &Threads) -> Option<Member> {
    let (_, thread) = threads.of(place)?;
    thread.members.iter().rev().find(|m| m.side < side).copied()
}

fn marks_of(place: Place, threads: &Threads) -> Option<Marks> {
    let (_, thread) = threads.of(place)?;
    thread.members.iter().find(|m| m.seen.place == place).map(|m| m.seen.marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::catalogue;

    /// A slug that was renamed would be refuted no more.
    #[test]
    fn all_slugs_are_findings() {
        for slug in OF_ONE_CLIENT.iter().chain(OF_SEVERAL_CLIENTS) {
            assert!(catalogue::by_slug(slug).is_some(), "{slug}");
        }
    }
}
