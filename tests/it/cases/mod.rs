//! Scripted wire cases: `tests/cases/<slug>/<case>/case.toml`, from the bytes on the wire to the findings.
//!
//! Each case runs whole, byte by byte, and cut at seeded random places; the events must be identical each time. What a
//! step looks like is in `tests/cases/README.md`.

mod confusion;
pub(crate) mod h2;
mod kerberos;
mod mixed;
mod packets;
mod player;
mod sides;
mod token;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use authtap::finding::{Engine, catalogue};
use authtap::model::event::{Event, Times, What};
use authtap::model::finding::Finding;

use player::{Cut, play, settings};

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Case {
    /// What it shows.
    about: String,
    /// Where its shape comes from.
    origin: String,
    /// Peers that are believed.
    #[serde(default)]
    trusted_proxies: Vec<String>,
    /// The script.
    steps: String,
    /// The findings, and no others; none for a healthy case.
    #[serde(default)]
    expect: Vec<Expect>,
}

/// A finding that must come.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    slug: String,
    #[serde(default = "one")]
    count: usize,
    basis: String,
    /// Where it is less than the catalogue's.
    severity: Option<String>,
    /// Connections of the first one, the primary evidence's first.
    connections: Option<Vec<u64>>,
    /// Connection and exchange of the first one's primary evidence.
    primary: Option<(u64, u32)>,
    /// Words that the first one's summary holds.
    #[serde(default)]
    says: Vec<String>,
    /// The finding whose consequence it is told as.
    root: Option<String>,
    /// Why a finding of another slug than the case's comes beside it; wanted when it is no consequence either.
    beside: Option<String>,
}

const fn one() -> usize {
    1
}

fn findings(events: &[Event]) -> Vec<&Finding> {
    events
        .iter()
        .filter_map(|e| match &e.what {
            What::Finding(f) => Some(&**f),
            _ => None,
        })
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

/// All cases: slug, name, case.
fn cases() -> Vec<(String, String, Case)> {
    let mut out = Vec::new();
    let folders = |dir: &Path| {
        let mut list: Vec<PathBuf> =
            fs::read_dir(dir).expect("a folder").map(|e| e.expect("an entry").path()).filter(|p| p.is_dir()).collect();
        list.sort();
        list
    };
    let name = |p: &Path| p.file_name().expect("a name").to_string_lossy().into_owned();
    for slug in folders(&root()) {
        for folder in folders(&slug) {
            let file = folder.join("case.toml");
            let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            let case: Case = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            assert!(!case.about.is_empty() && !case.origin.is_empty(), "{}", file.display());
            out.push((name(&slug), name(&folder), case));
        }
    }
    out
}

/// A finding that does not fire leaves its user without the answer; one that fires beside it sends them elsewhere.
#[test]
fn cases_give_their_findings_and_no_others() {
    let mut wrong = Vec::new();
    for (slug, name, case) in cases() {
        let events = play(&case, Cut::Whole);
        let found = findings(&events);
        let mut rest = found.clone();
        for e in &case.expect {
            let mine: Vec<&&Finding> = found.iter().filter(|f| f.slug == e.slug).collect();
            rest.retain(|f| f.slug != e.slug);
            let mut complain = |text: String| wrong.push(format!("{slug}/{name}: {} {text}", e.slug));
            if mine.len() != e.count {
                complain(format!("came {} times instead of {}", mine.len(), e.count));
            }
            let Some(first) = mine.first() else { continue };
            if first.basis.name() != e.basis {
                complain(format!("is {} instead of {}", first.basis.name(), e.basis));
            }
            let severity = e.severity.as_deref().or_else(|| Some(catalogue::by_slug(&e.slug)?.severity.name()));
            if severity != Some(first.severity.name()) {
                complain(format!("has the severity {}", first.severity.name()));
            }
            let connections: Vec<u64> = first.connections.iter().map(|c| c.0).collect();
            if e.connections.as_ref().is_some_and(|c| *c != connections) {
                complain(format!("names connections {connections:?}"));
            }
            let primary = &first.evidence[0];
            let place = (primary.connection.map_or(0, |c| c.0), primary.exchange.unwrap_or(0));
            if e.primary.is_some_and(|p| p != place) {
                complain(format!("has its primary evidence at {place:?}"));
            }
            assert!(primary.primary && first.evidence.iter().filter(|e| e.primary).count() == 1, "{slug}/{name}");
            if first.root != e.root {
                complain(format!("has the root {:?}", first.root));
            }
            for words in &e.says {
                if !first.summary.contains(words.as_str()) {
                    complain(format!("does not say `{words}`: {}", first.summary));
                }
            }
        }
        for f in rest {
            let root = f.root.as_ref().map(|r| format!(" (because of {r})")).unwrap_or_default();
            wrong.push(format!("{slug}/{name}: {} must not come{root}: {}", f.slug, f.summary));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A finding that depends on where the network cut the bytes would come and go by chance.
#[test]
fn cases_give_the_same_events_however_the_bytes_are_cut() {
    for (slug, name, case) in cases() {
        let whole = play(&case, Cut::Whole);
        assert_eq!(whole, play(&case, Cut::Bytes), "{slug}/{name}, byte by byte");
        for seed in 1..=8 {
            assert_eq!(whole, play(&case, Cut::Random(seed)), "{slug}/{name}, cut by seed {seed}");
        }
    }
}

/// An old capture must be diagnosed like the traffic was: replayed events give the same events, byte for byte.
#[test]
fn replayed_captures_give_the_same_events() {
    for (slug, name, case) in cases() {
        let live = play(&case, Cut::Whole);
        let mut sorted = live.clone();
        sorted.sort_by_key(|e| e.seq);
        let mut engine = Engine::new(settings(&case));
        let mut again = Vec::new();
        for event in sorted.clone() {
            engine.replay(event, &mut again);
        }
        again.sort_by_key(|e| e.seq);
        assert_eq!(sorted, again, "{slug}/{name}");
    }
}

/// Captures of before bodies had times are read by every later version: nothing is lost in them, and what they do not
/// say accuses nobody.
#[test]
fn captures_without_the_bodies_times_are_read() {
    let facts = |events: &[Event]| {
        let of = |e: &Event| match &e.what {
            What::Exchange(x) => Some(format!("{} {} {:?}", x.connection, x.exchange, x.leg)),
            What::Handshake(h) => Some(format!("{h:?}")),
            _ => None,
        };
        let mut facts: Vec<String> = events.iter().filter_map(of).collect();
        facts.sort();
        facts
    };
    for (slug, name, case) in cases() {
        let live = play(&case, Cut::Whole);
        let mut old = live.clone();
        for event in &mut old {
            if let What::Exchange(x) = &mut event.what {
                x.end_seq = None;
                let Times { request_body, request_end, response_body, .. } = &mut x.times;
                (*request_body, *request_end, *response_body) = (None, None, None);
                x.interim.iter_mut().for_each(|i| i.at = None);
            }
        }
        old.sort_by_key(|e| e.seq);
        let mut engine = Engine::new(settings(&case));
        let mut again = Vec::new();
        for event in old {
            engine.replay(event, &mut again);
        }
        assert_eq!(facts(&live), facts(&again), "{slug}/{name}");
        for slug in findings(&again).iter().map(|f| &f.slug) {
            assert!(findings(&live).iter().any(|f| f.slug == *slug), "{slug} comes in {name} of old alone");
        }
    }
}

/// A finding without a case is a promise without a proof, and one without a near miss cries wolf.
#[test]
fn every_finding_has_a_case_that_fires_and_two_near_misses() {
    let cases = cases();
    let mut missing = Vec::new();
    for meta in catalogue::ALL {
        let near = cases.iter().filter(|(slug, name, _)| slug == meta.slug && name.starts_with("near-")).count();
        let fires = cases.iter().any(|(slug, name, c)| {
            slug == meta.slug && name.starts_with("fires-") && c.expect.iter().any(|e| e.slug == meta.slug)
        });
        if !fires {
            missing.push(format!("tests/cases/{}/fires-*", meta.slug));
        }
        if near < 2 {
            missing.push(format!("tests/cases/{}/near-* ({near} of 2)", meta.slug));
        }
    }
    for (slug, name, case) in &cases {
        assert!(catalogue::by_slug(slug).is_some() || slug == "healthy", "{slug} is no finding");
        let near = name.starts_with("near-");
        assert!(near || name.starts_with("fires-") || slug == "healthy", "{slug}/{name}");
        assert!(!near || case.expect.iter().all(|e| e.slug != *slug), "{slug}/{name} is a near miss that fires");
    }
    assert!(missing.is_empty(), "missing: {missing:?}");
}
