//! What is held back and remembered stays bounded, and whatever comes is survived.

use authtap::finding::Settings;
use authtap::model::{ConnectionId, Stamp};
use authtap::packet::sides::Sides;
use authtap::track::site::Limits;
use authtap::wire::observation::{Observation, Seen};

use super::super::mixed::{Random, mixture};
use super::super::player::record;
use super::super::{Case, cases};
use super::links::{behind, merged, onward};
use super::stories::{crossed, torn_is_told, torn_script};
use super::{address, again, diagnose};

/// One client's logon through a hop, again and again; the n-th time.
fn nth(logon: &[Observation], n: u64) -> Vec<Observation> {
    let later = |stamp: &mut Stamp| stamp.0 += i64::try_from(n).expect("small") * 100_000;
    let one = |observation: &Observation| {
        let mut made = again(observation);
        later(&mut made.at);
        match &mut made.what {
            Seen::Opened(open) => open.connection.0 += 10 * n,
            Seen::Exchange(id, raw) => {
                id.0 += 10 * n;
                later(&mut raw.times.request);
                later(&mut raw.times.request_head);
                raw.times.response_head.iter_mut().for_each(later);
            }
            Seen::Ended(id, ended) => {
                *id = ConnectionId(id.0 + 10 * n);
                later(&mut ended.end);
            }
            Seen::HalfClosed(half) => half.connection.0 += 10 * n,
            Seen::Closed(close) => close.connection.0 += 10 * n,
            Seen::Start(_) | Seen::Gap(_) => {}
        }
        made
    };
    logon.iter().map(one).collect()
}

fn basic() -> (Case, Vec<Observation>) {
    let script = Case {
        about: String::new(),
        origin: String::new(),
        trusted_proxies: Vec::new(),
        steps: "0.00 1 open 192.0.2.7:50123 upstream=192.0.2.10:80\n\
                0.01 1 > GET /app HTTP/1.1 | Host: app.example.test | Authorization: Basic {basic bob}\n\
                0.03 1 < HTTP/1.1 200 OK | Server: Microsoft-IIS/10.0 | Content-Length: 2 || ok\n\
                0.05 1 close client fin\n\
                1.0 stop\n"
            .to_owned(),
        expect: Vec::new(),
    };
    let (outer, _) = record(&script);
    let inner = behind(&outer, 0, |c, _| Some(onward(c + 1, "192.0.2.10", "203.0.113.20:80")));
    (script, merged(vec![outer, inner]))
}

/// A capture of a day must not need a day's memory.
#[test]
fn what_is_remembered_is_bounded() {
    const HELD: usize = 200_000;
    const LOGONS: u64 = 40_000;
    let (_, logon) = basic();
    let limits = Limits { challenges: 1_000, remembered: 500, ..Limits::default() };
    let mut sides = Sides::holding(Settings { limits, ..Settings::default() }, HELD);
    let (mut told, mut held) = (0_u64, 0);
    for n in 0..LOGONS {
        for observation in nth(&logon, n) {
            sides.observe(observation, &mut |_| told += 1);
        }
        if n % 500 != 0 && n > 1_000 {
            continue;
        }
        let now = sides.footprint();
        held = held.max(now.held);
        assert!(now.held <= HELD + 10_000, "{now:?}");
        assert!(now.connections <= 2 || now.held > 0, "{now:?}");
        assert!(now.exchanges <= 32_768 * 2 + 65_537 && now.numbers == 0 && now.findings <= 2_000, "{now:?}");
        for engine in &now.engines {
            assert!(engine.connections <= 1 && engine.exchanges == 0, "{now:?}");
        }
    }
    assert!(held > HELD / 2, "it did hold back: {held}");
    let end = sides.finish(Stamp(1_800_000_000_000_000), &mut |_| told += 1);
    assert!(end.settled_early && told > 4 * LOGONS, "{told} {end:?}");
    assert_eq!((end.sides.len(), end.contradicted), (2, 0), "{end:?}");
    assert_eq!(end.sides[0].paired, LOGONS);
}

/// When the bound is reached before the second side of a hop shows, the sides are settled without it: what then does not
/// fit is told.
#[test]
fn what_contradicts_the_settled_sides_is_told() {
    let script = torn_script();
    let (outer, stop) = record(&script);
    let inner = behind(&outer, 0, |c, e| Some(crossed(c, e)));
    // All of it is known in time.
    let all: Vec<Observation> = merged(vec![outer.iter().map(again).collect(), inner.iter().map(again).collect()]);
    let told = diagnose(&script, all.iter().map(again).collect(), stop, Some(1_000_000));
    assert!(!told.facts.settled_early);
    torn_is_told(&told, "held");
    // Nothing is: the hop's own side came last, or first.
    for late_first in [false, true] {
        let all = merged(vec![outer.iter().map(again).collect(), inner.iter().map(again).collect()]);
        let all = if late_first { all.into_iter().rev().collect::<Vec<_>>() } else { all };
        let all = if late_first { merged(vec![all]) } else { all };
        let told = diagnose(&script, all, stop, Some(0));
        assert!(told.facts.settled_early);
        assert_eq!(told.facts.sides.len(), 1);
        assert!(told.facts.contradicted > 0, "{:?}", told.facts);
        assert_eq!(told.facts.contradictions, [(address("192.0.2.10:80"), address("203.0.113.20:80"))]);
    }
    // The first logon is enough to know the sides; what comes later streams.
    let (_, logon) = basic();
    let many: Vec<Observation> = (0..50).flat_map(|n| nth(&logon, n)).collect();
    let told = diagnose(&script, many, stop, Some(20_000));
    assert!(told.facts.settled_early && told.facts.contradicted == 0);
    assert_eq!((told.facts.sides.len(), told.facts.sides[0].paired), (2, 50));
    // A server that shows later behind the same hop is on the side of the others.
    let node = |mut observation: Observation| {
        if let Seen::Opened(open) = &mut observation.what
            && open.addresses.upstream == Some(address("203.0.113.20:80"))
        {
            open.addresses.upstream = Some(address("203.0.113.21:80"));
        }
        observation
    };
    let many = (0..60).flat_map(|n| nth(&logon, n).into_iter().map(move |o| if n < 50 { o } else { node(o) }));
    let told = diagnose(&script, many.collect(), stop, Some(20_000));
    assert_eq!(told.facts.sides[1].endpoints, [address("203.0.113.20:80"), address("203.0.113.21:80")]);
    assert_eq!(told.facts.contradicted, 0);
}

/// A detector or a table that panics in traffic that nobody wrote a case for loses the report of an incident.
#[test]
fn mixtures_of_all_cases_through_hops_are_survived() {
    let all: Vec<Case> = cases().into_iter().map(|(.., case)| case).collect();
    for seed in 1..=40_u64 {
        let mut random = Random(seed.wrapping_mul(0xa076_1d64_78bd_642f));
        let case = mixture(&all, &mut random, seed % 3 == 0);
        let (mut outer, stop) = record(&case);
        for observation in &mut outer {
            if let Seen::Opened(open) = &mut observation.what {
                let hop = ["192.0.2.10:80", "192.0.2.11:80", "192.0.2.10:81"][random.below(3)];
                open.addresses.upstream = Some(address(hop));
            }
        }
        let mut wild = Random(seed + 1);
        let clock = [0, 3_000, -40_000_000][random.below(3)];
        // A pool of ten connections, to two nodes; some requests get no further.
        let inner = behind(&outer, clock, |_, _| {
            let n = wild.below(10);
            let node = if n < 5 { "203.0.113.20:80" } else { "203.0.113.21:80" };
            (wild.below(8) > 0).then(|| onward(5_000 + n as u64, "192.0.2.10", node))
        });
        let parts = |list: &[Observation]| list.iter().map(again).collect::<Vec<_>>();
        let both = if random.one_in(2) {
            merged(vec![outer, inner])
        } else {
            // Not even in order.
            let mut both = parts(&inner);
            both.extend(outer);
            both
        };
        let hold = [None, Some(0), Some(30_000)][random.below(3)];
        let told = diagnose(&case, parts(&both), stop, hold);
        let again = diagnose(&case, both, stop, hold);
        assert!(
            told.events == again.events && told.facts == again.facts,
            "mixture {seed} is told otherwise a second time"
        );
    }
}
