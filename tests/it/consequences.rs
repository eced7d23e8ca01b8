//! One cause, one finding: what a finding explains stands under it, in captures and in reports.

use authtap::finding::catalogue;
use authtap::model::event::{Event, What};
use authtap::model::finding::{Evidence, Finding};
use authtap::model::{ConnectionId, Stamp, TapId};
use authtap::report::terminal;
use authtap::report::v1::Report;
use authtap::report::view::View;

/// A finding as the catalogue has it, on some connections.
fn finding(slug: &str, root: Option<&str>, connections: &[u64]) -> Finding {
    let meta = catalogue::by_slug(slug).expect("a slug");
    let place = |c: &u64| Evidence {
        primary: connections.first() == Some(c),
        connection: Some(ConnectionId(*c)),
        exchange: Some(1),
        message: None,
        at: None,
        frame: None,
        says: "it".to_owned(),
    };
    Finding {
        slug: slug.to_owned(),
        severity: meta.severity,
        basis: meta.basis,
        title: meta.title.to_owned(),
        summary: format!("The case of {slug}."),
        scheme: None,
        root: root.map(str::to_owned),
        connections: connections.iter().copied().map(ConnectionId).collect(),
        evidence: connections.iter().map(place).collect(),
        fix: meta.fix(),
    }
}

fn view(findings: Vec<Finding>) -> View {
    let tap = TapId("t1".to_owned());
    let events: Vec<Event> = findings
        .into_iter()
        .zip(1_u8..)
        .map(|(f, n)| Event { seq: n.into(), at: Stamp(i64::from(n) * 1_000_000), what: What::Finding(Box::new(f)) })
        .collect();
    View::of(events.iter().map(|e| (&tap, e)))
}

const SPLIT: &str = "handshake-split-across-connections";
const LOCKOUT: &str = "lockout-risk";

/// Two findings of one defect, side by side, make a reader repair two things.
#[test]
fn what_was_told_as_a_consequence_stands_under_its_root() {
    let view = view(vec![finding(SPLIT, None, &[1, 2]), finding(LOCKOUT, Some(SPLIT), &[2])]);
    let top: Vec<&str> = view.findings.iter().map(|g| g.slug.as_str()).collect();
    assert_eq!(top, [SPLIT]);
    assert_eq!(view.findings[0].consequences[0].slug, LOCKOUT);
    let text = terminal::report(&view, false);
    let (before, after) = text.split_once("What follows from it, and goes with it:").expect("the consequences");
    assert!(!before.contains("lockout-risk") && after.contains("lockout-risk (high, once)"), "{text}");
    let json = serde_json::to_value(Report::from(&view)).expect("JSON");
    assert_eq!(json["findings"][1]["slug"], LOCKOUT);
    assert_eq!(json["findings"][1]["root"], SPLIT);
    assert!(json["findings"][0].get("root").is_none());
}

/// A finding may come before what explains it; the report knows the whole story.
#[test]
fn a_root_that_came_later_is_found_by_its_connections() {
    let late = view(vec![finding(LOCKOUT, None, &[2]), finding(SPLIT, None, &[1, 2])]);
    assert_eq!(late.findings.len(), 1, "{:?}", late.findings);
    assert_eq!(late.findings[0].consequences[0].slug, LOCKOUT);
    let elsewhere = view(vec![finding(LOCKOUT, None, &[2, 3]), finding(SPLIT, None, &[1, 2])]);
    assert_eq!(elsewhere.findings.len(), 2, "connection 3 has another cause");
}

/// A first logon that is torn apart is told before its second one shows the pattern.
#[test]
fn a_split_stands_under_the_late_pin_that_made_it() {
    const FIRST: &str = "first-login-unpinned";
    let late = view(vec![finding(SPLIT, None, &[2, 1]), finding(FIRST, None, &[2, 1])]);
    let top: Vec<&str> = late.findings.iter().map(|g| g.slug.as_str()).collect();
    assert_eq!(top, [FIRST]);
    assert_eq!(late.findings[0].consequences[0].slug, SPLIT);
    let both = view(vec![finding(SPLIT, None, &[2, 1]), finding(FIRST, None, &[2, 1]), finding(SPLIT, None, &[4, 3])]);
    assert_eq!(both.findings.len(), 2, "another split, without a second logon that stayed whole");
}

/// A consequence whose root was lost (a rotated capture, a dropped line) must still be told.
#[test]
fn a_consequence_without_its_root_stands_alone() {
    let view = view(vec![finding(LOCKOUT, Some(SPLIT), &[2])]);
    assert_eq!(view.findings.len(), 1);
    assert_eq!(view.findings[0].root, None);
}

/// `--fail-on high` in a pipeline must not pass because the high finding stands under a medium one.
#[test]
fn the_worst_severity_counts_consequences() {
    let mut root = finding(SPLIT, None, &[1, 2]);
    root.severity = authtap::model::finding::Severity::Low;
    let view = view(vec![root, finding(LOCKOUT, Some(SPLIT), &[2])]);
    assert_eq!(view.worst(), Some(authtap::model::finding::Severity::High));
}
