//! Captures that hold several sides of a hop: `packet::sides`.

mod bounds;
mod doubled;
mod links;
mod stories;
mod told;

use std::net::SocketAddr;

use authtap::model::Stamp;
use authtap::model::event::{Event, Totals, What};
use authtap::model::finding::Finding;
use authtap::packet::sides::{Facts, Sides};
use authtap::wire::observation::{Observation, RawExchange, Seen};

use super::Case;
use super::player::settings;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|_| panic!("no address: {text}"))
}

/// What came out of it.
struct Told {
    events: Vec<Event>,
    facts: Facts,
}

impl Told {
    fn findings(&self) -> Vec<&Finding> {
        super::findings(&self.events)
    }

    fn totals(&self) -> &Totals {
        let Some(What::Stop(totals)) = self.events.last().map(|e| &e.what) else { panic!("no stop at the end") };
        totals
    }
}

/// Everything through the sides, and what must hold of any events.
fn diagnose(case: &Case, observations: Vec<Observation>, stop: Stamp, hold: Option<usize>) -> Told {
    let mut sides = match hold {
        Some(bytes) => Sides::holding(settings(case), bytes),
        None => Sides::new(settings(case)),
    };
    let mut events = Vec::new();
    for observation in observations {
        sides.observe(observation, &mut |event| events.push(event));
    }
    let facts = sides.finish(stop, &mut |event| events.push(event));
    sound(&events);
    Told { events, facts }
}

/// Numbers without holes, one stop, findings last, one primary piece of evidence each.
fn sound(events: &[Event]) {
    let mut numbers: Vec<u64> = events.iter().map(|e| e.seq).collect();
    numbers.extend(events.iter().filter_map(|e| match &e.what {
        What::Exchange(x) => x.end_seq,
        _ => None,
    }));
    numbers.sort_unstable();
    assert!(numbers.iter().zip(1..).all(|(a, b)| *a == b), "each event has its own number, without holes: {numbers:?}");
    let stops = events.iter().filter(|e| matches!(e.what, What::Stop(_))).count();
    assert_eq!(stops, 1);
    let first = events.iter().position(|e| matches!(e.what, What::Finding(_))).unwrap_or(events.len() - 1);
    let last = |e: &Event| matches!(e.what, What::Finding(_) | What::Stop(_));
    assert!(events[first..].iter().all(last), "findings come last");
    for finding in super::findings(events) {
        assert!(finding.evidence[0].primary, "{finding:?}");
        assert_eq!(finding.evidence.iter().filter(|e| e.primary).count(), 1, "{finding:?}");
        assert!(!finding.fix.is_empty(), "{finding:?}");
        assert_ne!(finding.root.as_ref(), Some(&finding.slug));
    }
}

/// The same observation once more.
fn again(observation: &Observation) -> Observation {
    let what = match &observation.what {
        Seen::Start(x) => Seen::Start(x.clone()),
        Seen::Opened(x) => Seen::Opened(x.clone()),
        Seen::Exchange(id, raw) => Seen::Exchange(
            *id,
            Box::new(RawExchange {
                exchange: raw.exchange,
                request: raw.request.clone(),
                response: raw.response.clone(),
                reset: raw.reset,
                interim: raw.interim.clone(),
                times: raw.times,
            }),
        ),
        Seen::Ended(id, ended) => Seen::Ended(*id, ended.clone()),
        Seen::Gap(x) => Seen::Gap(x.clone()),
        Seen::HalfClosed(x) => Seen::HalfClosed(*x),
        Seen::Closed(x) => Seen::Closed(x.clone()),
    };
    Observation { at: observation.at, what }
}
