//! The confusion table: every case against every slug.
//!
//! A diagnosis is worth what it does not say. On the diagonal stands what fired in a slug's own cases; beside it may
//! stand only a consequence that names its root, and what a case gives a reason for (`beside`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use super::player::{Cut, play};
use super::{cases, findings};
use authtap::finding::catalogue;

/// What became of one slug's cases.
#[derive(Default)]
struct Row {
    fires: usize,
    near: usize,
    own: usize,
    /// Other slugs that came: how often, and why they may.
    beside: BTreeMap<String, (usize, String)>,
}

/// Two findings for one defect send their reader to two places, one of them wrong.
#[test]
fn nothing_is_confused_with_anything_else() {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut total = 0;
    for (slug, name, case) in cases() {
        total += 1;
        let row = rows.entry(slug.clone()).or_default();
        if name.starts_with("fires-") {
            row.fires += 1;
        } else {
            row.near += 1;
        }
        let events = play(&case, Cut::Whole);
        for f in findings(&events) {
            if f.slug == slug {
                row.own += 1;
                continue;
            }
            let told = case.expect.iter().find(|e| e.slug == f.slug);
            let reason = match (&f.root, told.and_then(|e| e.beside.clone())) {
                (Some(root), _) => format!("consequence of {root}"),
                (None, Some(reason)) => reason,
                // A near miss is often another defect's case: then that one is what it is near to.
                (None, None) if name.starts_with("near-") && told.is_some() => "its neighbour".to_owned(),
                // What a consequence's own case is about comes with its root.
                (None, None) if case.expect.iter().any(|e| e.slug == slug && e.root.as_ref() == Some(&f.slug)) => {
                    "its root".to_owned()
                }
                (None, None) => {
                    wrong.push(format!("{slug}/{name}: {} comes beside it without a reason", f.slug));
                    continue;
                }
            };
            let entry = row.beside.entry(f.slug.clone()).or_insert((0, reason));
            entry.0 += 1;
        }
    }
    let mut text = format!("confusion table: {total} cases against {} findings\n", catalogue::ALL.len());
    for (slug, row) in &rows {
        write!(text, "  {slug}: {} that fire, {} that must not; told {} times", row.fires, row.near, row.own).unwrap();
        for (other, (count, reason)) in &row.beside {
            write!(text, "; {other} {count} ({reason})").unwrap();
        }
        text.push('\n');
    }
    // Past the test runner's capture: `make test` shows it.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
