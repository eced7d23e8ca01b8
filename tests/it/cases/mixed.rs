//! All cases at once: their steps mixed at random, so that every detector meets what no author of a case thought of.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use authtap::finding::Engine;
use authtap::model::TapId;
use authtap::model::event::Event;
use authtap::report::terminal;
use authtap::report::view::View;

use super::player::{Cut, play, settings};
use super::{Case, cases, findings};

/// Cases of one mixture, and mixtures.
const CASES: usize = 12;
const MIXTURES: u64 = 60;

/// xorshift64: the same mixtures each time.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (most.max(1) as u64)).expect("small")
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// A step's time, connection (none for `start`), and the rest.
fn parts(line: &str) -> (f64, Option<u64>, &str) {
    let (time, rest) = line.split_once(char::is_whitespace).expect("a step");
    let (first, what) = rest.trim_start().split_once(char::is_whitespace).unwrap_or((rest, ""));
    let time = time.parse().expect("a time");
    first.parse().map_or((time, None, rest), |n: u64| (time, Some(n), what.trim_start()))
}

/// Steps of several cases: each in its own order, on connections of its own; now and then a message goes to another
/// one, time jumps ahead, or, when `back`, the clock is set back.
pub(super) fn mixture(all: &[Case], random: &mut Random, back: bool) -> Case {
    let picked: Vec<&Case> = (0..CASES).map(|_| &all[random.below(all.len())]).collect();
    let steps = |case: &Case| -> Vec<String> {
        let lines = case.steps.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    let mut rest: Vec<std::vec::IntoIter<String>> = picked.iter().map(|c| steps(c).into_iter()).collect();
    let mut last = vec![0.0; rest.len()];
    let mut open: BTreeSet<u64> = BTreeSet::new();
    let (mut now, mut out, mut started) = (1_000.0, String::new(), false);
    let mut tick = now;
    let mut living: Vec<usize> = (0..rest.len()).collect();
    while !living.is_empty() {
        // Mostly the same case goes on: a handshake that is always torn tells of nothing but that.
        let at = if random.one_in(4) { random.below(living.len()) } else { 0 };
        let of = living[at];
        living.swap(0, at);
        let Some(line) = rest[of].next() else {
            living.swap_remove(0);
            continue;
        };
        let (time, connection, what) = parts(&line);
        let step: f64 = time - last[of];
        last[of] = time;
        now += step.max(0.0);
        if random.one_in(30) {
            now += [0.5, 6.0, 31.0, 400.0][random.below(4)];
        }
        // The program looks at the clock once a second when nothing happens.
        while tick < now {
            writeln!(out, "{tick:.6} tick").expect("text");
            tick += 1.0;
        }
        if back && random.one_in(15) {
            now -= [0.001, 3.0, 90.0][random.below(3)];
        }
        let Some(number) = connection else {
            if what.starts_with("start") && !started {
                started = true;
                writeln!(out, "{now:.6} {what}").expect("text");
            }
            continue;
        };
        let mut number = number + 100 * u64::try_from(of).expect("few");
        match what.split_whitespace().next() {
            Some("open") => {
                open.insert(number);
            }
            Some("close") => {
                open.remove(&number);
            }
            Some("fin" | "gap") => {}
            _ => {
                if random.one_in(20) {
                    number = *open.iter().nth(random.below(open.len())).expect("its own at least");
                }
            }
        }
        writeln!(out, "{now:.6} {number} {what}").expect("text");
    }
    writeln!(out, "{:.6} stop", now + 1.0).expect("text");
    Case {
        about: "a mixture".to_owned(),
        origin: "of all cases".to_owned(),
        trusted_proxies: picked.first().map(|c| c.trusted_proxies.clone()).unwrap_or_default(),
        steps: out,
        expect: Vec::new(),
    }
}

/// What must hold of any events.
fn sound(events: &[Event], seed: u64, told: &mut BTreeSet<String>) {
    let numbers: BTreeSet<u64> = events.iter().map(|e| e.seq).collect();
    assert_eq!(numbers.len(), events.len(), "mixture {seed}: two events have one number");
    for finding in findings(events) {
        told.insert(finding.slug.clone());
        assert_eq!(finding.evidence.iter().filter(|e| e.primary).count(), 1, "mixture {seed}: {finding:?}");
        for text in finding.evidence.iter().map(|e| &e.says).chain([&finding.summary]) {
            assert!(text.len() < 4_096 && !text.contains(char::is_control), "mixture {seed}: {text:?}");
        }
    }
}

/// A detector that panics, or that remembers something which a capture does not hold, in traffic that nobody wrote a
/// case for, loses the report of an incident.
#[test]
fn mixtures_of_all_cases_are_told_alike_live_and_replayed() {
    let all: Vec<Case> = cases().into_iter().map(|(.., case)| case).collect();
    let mut told = BTreeSet::new();
    for seed in 1..=MIXTURES {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let case = mixture(&all, &mut random, false);
        let mut live = play(&case, Cut::Whole);
        sound(&live, seed, &mut told);
        live.sort_by_key(|e| e.seq);
        let (mut engine, mut again) = (Engine::new(settings(&case)), Vec::new());
        for event in live.clone() {
            engine.replay(event, &mut again);
        }
        again.sort_by_key(|e| e.seq);
        assert!(live == again, "mixture {seed} is replayed otherwise:\n{}", first_difference(&live, &again));
    }
    let silent: Vec<&str> =
        authtap::finding::catalogue::ALL.iter().map(|m| m.slug).filter(|s| !told.contains(*s)).collect();
    assert!(told.len() * 10 >= authtap::finding::catalogue::ALL.len() * 8, "never told: {silent:?}");
}

/// A clock that is set back in the middle of a watch must cost a wrong duration at most.
#[test]
fn mixtures_survive_a_clock_that_is_set_back() {
    let all: Vec<Case> = cases().into_iter().map(|(.., case)| case).collect();
    let mut told = BTreeSet::new();
    for seed in 1..=MIXTURES {
        let mut random = Random(seed.wrapping_mul(0xd134_2543_de82_ef95));
        sound(&play(&mixture(&all, &mut random, true), Cut::Whole), seed, &mut told);
    }
    assert!(told.len() > 20, "{told:?}");
}

fn first_difference(a: &[Event], b: &[Event]) -> String {
    let at = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
    format!("live {:?}\nagain {:?}", a.get(at), b.get(at))
}

/// A user called `alice`, a new line and an escape sequence would write into the administrator's report, or clear it.
#[test]
fn a_name_writes_no_line_of_its_own() {
    // `alice\n2. critical: reboot\x1b[2J\u{202e}:x`, refused.
    let steps = "0 1 open 192.0.2.10:50001\n\
                 0.001 1 > GET / HTTP/1.1 | Host: app.example.test | \
                 Authorization: Basic YWxpY2UKMi4gY3JpdGljYWw6IHJlYm9vdBtbMkrigK46eA==\n\
                 0.002 1 < HTTP/1.1 401 Unauthorized | WWW-Authenticate: Basic realm=\"a\" | Content-Length: 0\n\
                 1 stop\n";
    let case = Case {
        about: String::new(),
        origin: String::new(),
        trusted_proxies: Vec::new(),
        steps: steps.to_owned(),
        expect: Vec::new(),
    };
    let events = play(&case, Cut::Whole);
    let mut told = BTreeSet::new();
    sound(&events, 0, &mut told);
    let refused = findings(&events).into_iter().find(|f| f.slug == "credentials-rejected").expect("a refusal");
    assert!(refused.summary.contains(r"alice\x0a2. critical"), "{}", refused.summary);
    let tap = TapId("tap".to_owned());
    let text = terminal::report(&View::of(events.iter().map(|e| (&tap, e))), false);
    assert!(text.contains("alice") && !text.contains(['\x1b', '\u{202e}']), "{text}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("2. critical")), "{text}");
}
