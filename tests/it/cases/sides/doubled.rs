//! Every case as a capture that holds both sides of a hop which does nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use authtap::finding::{Engine, Settings};
use authtap::model::event::What;
use authtap::model::transport::{Addresses, By};
use authtap::model::{ConnectionId, Stamp};
use authtap::packet::sides::of_a_capture;
use authtap::wire::observation::{Observation, Seen};

use super::super::player::{record, settings};
use super::super::{Case, cases, findings};
use super::{Told, address, again, diagnose};

/// What a connection has as its addresses in a capture.
fn addressed(observation: &mut Observation, client: Option<SocketAddr>, server: SocketAddr) {
    if let Seen::Opened(open) = &mut observation.what {
        let client = client.unwrap_or(open.addresses.client);
        open.addresses = Addresses { client, upstream: Some(server), upstream_local: Some(client) };
    }
}

const HOP: &str = "203.0.113.10:80";
const SERVER: &str = "203.0.113.20:80";

/// A case as a capture before the only server.
fn alone(case: &Case) -> (Vec<Observation>, Stamp) {
    let (mut all, stop) = record(case);
    for observation in &mut all {
        addressed(observation, None, address(SERVER));
    }
    (all, stop)
}

/// How far behind the hop's connections are numbered.
const BEHIND: u64 = 1_000;

/// The same observation behind the hop: requests come a moment later, answers were there a moment earlier.
fn behind(observation: &Observation, from: Option<&dyn Fn(u64) -> SocketAddr>) -> Option<Observation> {
    let mut made = again(observation);
    match &mut made.what {
        Seen::Start(_) => return None,
        Seen::Gap(gap) => gap.connection = Some(ConnectionId(gap.connection?.0 + BEHIND)),
        Seen::Opened(open) => {
            let id = open.connection.0;
            open.connection = ConnectionId(id + BEHIND);
            addressed(&mut made, from.map(|f| f(id)), address(SERVER));
        }
        Seen::Exchange(id, raw) => {
            id.0 += BEHIND;
            let times = &mut raw.times;
            if let Some(head) = &mut times.response_head
                && head.0 >= times.request.0 + 2
            {
                times.request.0 += 1;
                times.request_head.0 = times.request_head.0.max(times.request.0);
                head.0 -= 1;
            }
        }
        Seen::Ended(id, _) => id.0 += BEHIND,
        Seen::HalfClosed(half) => half.connection.0 += BEHIND,
        Seen::Closed(close) => close.connection.0 += BEHIND,
    }
    Some(made)
}

/// Both sides of a hop that hands everything on; `from`: the addresses of its own connections, else its clients'.
fn doubled(case: &Case, from: Option<&dyn Fn(u64) -> SocketAddr>) -> (Vec<Observation>, Stamp) {
    let (all, stop) = record(case);
    let mut both = Vec::new();
    for mut before in all {
        let inner = behind(&before, from);
        addressed(&mut before, None, address(HOP));
        // What the client does comes to the hop first, what the server does behind it.
        let client_first = match &before.what {
            Seen::HalfClosed(half) => half.by == By::Client,
            Seen::Closed(close) => close.end.by == By::Client,
            Seen::Exchange(..) | Seen::Ended(..) => false,
            _ => true,
        };
        let (first, second) = if client_first { (Some(before), inner) } else { (inner, Some(before)) };
        both.extend(first.into_iter().chain(second));
    }
    (both, stop)
}

/// Slug, basis, severity and root of each finding.
fn names(told: &Told) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for f in told.findings() {
        let root = f.root.as_ref().map(|r| format!(" because of {r}")).unwrap_or_default();
        *names.entry(format!("{} {} {}{root}", f.slug, f.basis.name(), f.severity.name())).or_default() += 1;
    }
    names
}

/// Without a hop the sides must add nothing and lose nothing.
#[test]
fn one_side_is_what_an_engine_tells() {
    for (slug, name, case) in cases() {
        let (all, stop) = alone(&case);
        let settings = Settings { of_packets: true, ..settings(&case) };
        let (mut engine, mut events) = (Engine::new(settings), Vec::new());
        for observation in &all {
            engine.observe(again(observation), &mut events);
        }
        engine.finish(stop, &mut events);
        // Neither speaks of a place that authtap has.
        for event in &mut events {
            if let What::Finding(finding) = &mut event.what {
                of_a_capture(finding);
            }
        }
        let told = diagnose(&case, all, stop, None);
        let sorted = |list: Vec<&authtap::model::finding::Finding>| {
            let mut texts: Vec<String> = list.iter().map(|f| format!("{f:?}")).collect();
            texts.sort();
            texts
        };
        assert_eq!(sorted(findings(&events)), sorted(told.findings()), "{slug}/{name}");
        assert_eq!(events.len(), told.events.len(), "{slug}/{name}");
        assert_eq!(told.facts.sides.len(), 1, "{slug}/{name}");
    }
}

fn compare(exceptions: &[&str], from: Option<&dyn Fn(u64) -> SocketAddr>) {
    let mut wrong = Vec::new();
    let mut single = Vec::new();
    let mut excused: Vec<&str> = Vec::new();
    for (slug, name, case) in cases() {
        let (all, stop) = alone(&case);
        let one = diagnose(&case, all, stop, None);
        let (all, stop) = doubled(&case, from);
        let both = diagnose(&case, all, stop, None);
        let sides = both.facts.sides.len();
        let place = format!("{slug}/{name}");
        if sides == 1 {
            single.push(place.clone());
        }
        let (before, after) = (names(&one), names(&both));
        if before == after {
            continue;
        }
        match exceptions.iter().find(|case| **case == place) {
            Some(case) => excused.push(*case),
            None => wrong.push(format!("{place} ({sides} sides):\n  without {before:?}\n  with    {after:?}")),
        }
    }
    let stale: Vec<&str> = exceptions.iter().copied().filter(|c| !excused.contains(c)).collect();
    assert!(wrong.is_empty(), "{} wrong\n{}\none side: {single:?}", wrong.len(), wrong.join("\n"));
    assert!(stale.is_empty(), "no exceptions any more: {stale:?}");
    // Cases without any exchange, or with none but a stream that is reset.
    assert!(single.len() <= 12, "the hop is not found in: {single:?}");
}

/// A capture on the hop itself holds all twice. It must tell what a capture of one side tells: nothing of healthy
/// traffic, and each defect once.
#[test]
fn a_hop_that_keeps_its_clients_addresses_changes_no_finding() {
    compare(&[], None);
}

/// The same where the hop connects under its own address, as most do.
#[test]
fn a_hop_with_its_own_address_changes_no_finding() {
    let from = |id: u64| SocketAddr::from(([203, 0, 113, 10], 40_000 + u16::try_from(id % 20_000).expect("small")));
    // Its client runs on the server's machine, where NTLM is by design; behind a hop on another machine it does not.
    compare(&["ntlm-fallback/near-on-the-server"], Some(&from));
}
