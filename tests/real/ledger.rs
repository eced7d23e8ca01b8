//! What a breakage ought to be called, and whether it was: live, and from the packets of the same run.
//!
//! [`Ledger::judge`] compares three tellings of one run with what is expected: authtap's own, that of the capture of the link
//! which authtap saw, and that of the capture of all links. An [`Expected`] holds for all three; what differs says so, with
//! its reason ([`Expected::live_alone`], [`Expected::by_other_links`], [`Expected::anywhere`]). What one would wish to be told
//! and is not goes into [`Ledger::short_of`]. Each scenario is a row on file, and `tests/rig/accuracy.py` makes the table of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::authtap::{Authtap, Diagnosis};
use crate::rig::Rig;
use crate::soak::TRUE_OF_THE_RIG;

/// A finding as it ought to be told.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    slug: &'static str,
    basis: &'static str,
    /// The finding that explains it.
    root: Option<&'static str>,
    /// Absent where the run decides which they are.
    connections: Option<&'static [u64]>,
    told: Told,
    why: &'static str,
}

/// Which tellings have a finding.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Everywhere,
    Live,
    OtherLinks,
}

pub(crate) const fn told(slug: &'static str, basis: &'static str, connections: &'static [u64]) -> Expected {
    Expected { slug, basis, root: None, connections: Some(connections), told: Told::Everywhere, why: "" }
}

impl Expected {
    pub(crate) const fn under(self, root: &'static str) -> Self {
        Self { root: Some(root), ..self }
    }

    /// Which connections it is told of differs from run to run; the test looks at them itself.
    pub(crate) const fn anywhere(self) -> Self {
        Self { connections: None, ..self }
    }

    /// No capture tells it; `why` is for the table.
    pub(crate) const fn live_alone(self, why: &'static str) -> Self {
        Self { told: Told::Live, why, ..self }
    }

    /// Only the capture of all links tells it; `why` is for the table. Its connections are not compared.
    pub(crate) const fn by_other_links(self, why: &'static str) -> Self {
        Self { told: Told::OtherLinks, why, connections: None, ..self }
    }
}

/// A finding as it was told, its connections by their numbers in the link.
#[derive(Clone, PartialEq, Eq)]
struct Finding {
    slug: String,
    basis: String,
    severity: String,
    root: Option<String>,
    connections: Vec<u64>,
}

/// All findings above `info`, but for those that are true of the rig.
fn findings(report: &Value) -> Vec<Finding> {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{report:#}")).to_owned();
    let told = report["findings"].as_array().unwrap_or_else(|| panic!("no findings in {report:#}")).iter();
    let worries = told.filter(|f| f["severity"] != "info" && !TRUE_OF_THE_RIG.contains(&f["slug"].as_str().unwrap()));
    let read = worries.map(|f| Finding {
        slug: text(&f["slug"]),
        basis: text(&f["basis"]),
        severity: text(&f["severity"]),
        root: f["root"].as_str().map(ToOwned::to_owned),
        connections: f["connections"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect(),
    });
    read.collect()
}

/// What is compared: `observed slug under root on [1, 2]`.
fn line(basis: &str, slug: &str, root: Option<&str>, connections: Option<&[u64]>) -> String {
    let under = root.map(|root| format!(" under {root}")).unwrap_or_default();
    let on = connections.map(|numbers| format!(" on {numbers:?}")).unwrap_or_default();
    format!("{basis} {slug}{under}{on}")
}

/// Collects what does not hold, so that one run shows all of it.
#[derive(Default)]
pub(crate) struct Ledger {
    wrong: Vec<String>,
    /// For the next row.
    wish: Option<&'static str>,
}

impl Ledger {
    /// Says what one would wish to be told in the next scenario and is not, and why.
    pub(crate) fn short_of(&mut self, wish: &'static str) -> &mut Self {
        self.wish = Some(wish);
        self
    }

    /// Compares what was told with what is expected, and writes the scenario's row.
    pub(crate) fn judge(&mut self, breakage: &str, diagnosis: &Diagnosis, expected: &[Expected]) {
        let anywhere: BTreeSet<&str> = expected.iter().filter(|e| e.connections.is_none()).map(|e| e.slug).collect();
        let wanted = |told: &[Told]| -> BTreeSet<String> {
            let those = expected.iter().filter(|e| told.contains(&e.told));
            those.map(|e| line(e.basis, e.slug, e.root, e.connections)).collect()
        };
        let as_lines = |found: &[Finding]| -> BTreeSet<String> {
            let of = |f: &Finding| {
                let connections = (!anywhere.contains(f.slug.as_str())).then_some(f.connections.as_slice());
                line(&f.basis, &f.slug, f.root.as_deref(), connections)
            };
            found.iter().map(of).collect()
        };
        let live = findings(&diagnosis.report);
        let mut wrong = Vec::new();
        let (wanted_live, found_live) = (wanted(&[Told::Everywhere, Told::Live]), as_lines(&live));
        if wanted_live != found_live {
            wrong.push(format!("live: {:#}", diagnosis.report));
        }
        let mut row = json!({
            "scenario": breakage,
            "way": diagnosis.way,
            "expected": wanted_live,
            "live": found_live,
            "short_of": self.wish.take(),
            "differs": expected
                .iter()
                .filter(|e| !e.why.is_empty())
                .map(|e| format!("{}: {}", e.slug, e.why))
                .collect::<Vec<_>>(),
        });
        let packets = &diagnosis.from_packets;
        if packets.read() {
            let link = findings(&packets.link);
            let found_link = as_lines(&link);
            let wanted_link: BTreeSet<String> = if packets.readable {
                expected.iter().filter(|e| e.told == Told::Everywhere).map(|e| in_the_link(e, diagnosis)).collect()
            } else {
                BTreeSet::new()
            };
            let severities = |found: &[Finding]| -> BTreeMap<String, String> {
                found.iter().map(|f| (f.slug.clone(), f.severity.clone())).collect()
            };
            let of_live = severities(&live);
            let graver = severities(&link).into_iter().find(|(slug, s)| of_live.get(slug).is_some_and(|l| l != s));
            if wanted_link != found_link || graver.is_some() {
                wrong.push(format!(
                    "from the link: {} instead of {}, severities {graver:?}: {:#}",
                    list(&found_link),
                    list(&wanted_link),
                    packets.link
                ));
            }
            let all = findings(&packets.all);
            let roots = |found: &[Finding]| -> BTreeSet<String> {
                found.iter().filter(|f| f.root.is_none()).map(|f| line(&f.basis, &f.slug, None, None)).collect()
            };
            let wanted_roots: BTreeSet<String> = expected
                .iter()
                .filter(|e| e.root.is_none() && e.told != Told::Live && packets.readable)
                .map(|e| line(e.basis, e.slug, None, None))
                .collect();
            let allowed: BTreeSet<&str> = expected.iter().map(|e| e.slug).collect();
            let found_roots = roots(&all);
            let more: Vec<&str> = all.iter().map(|f| f.slug.as_str()).filter(|slug| !allowed.contains(slug)).collect();
            if wanted_roots != found_roots || !more.is_empty() {
                wrong.push(format!(
                    "from all links: {} instead of {}, and {more:?}: {:#}",
                    list(&found_roots),
                    list(&wanted_roots),
                    packets.all
                ));
            }
            row["link"] = json!(found_link);
            row["link_expected"] = json!(wanted_link);
            row["readable"] = json!(packets.readable);
            row["all"] = json!(found_roots);
            row["all_expected"] = json!(wanted_roots);
        }
        let captured = |key: &str| row[key].as_array().map_or("not read".to_owned(), |lines| of_values(lines));
        say(&format!(
            "{breakage} ({}): expected {}, found {}, from the link {}, from all links {}",
            diagnosis.way,
            list(&wanted_live),
            list(&found_live),
            captured("link"),
            captured("all")
        ));
        write_row(breakage, &row);
        self.wrong.extend(wrong.into_iter().map(|wrong| format!("{breakage}, {wrong}")));
    }

    pub(crate) fn close(self) {
        assert!(self.wrong.is_empty(), "not as it ought to be told:\n{}", self.wrong.join("\n"));
    }
}

/// What is expected of the link, whose connections are numbered by their first packets.
fn in_the_link(expected: &Expected, diagnosis: &Diagnosis) -> String {
    let numbers = expected.connections.map(|numbers| {
        let opened = numbers.iter().map(|number| diagnosis.opened(*number));
        opened.map(|opened| diagnosis.from_packets.number(opened)).collect::<Vec<_>>()
    });
    line(expected.basis, expected.slug, expected.root, numbers.as_deref())
}

fn list(set: &BTreeSet<String>) -> String {
    if set.is_empty() { "nothing".to_owned() } else { set.iter().cloned().collect::<Vec<_>>().join(", ") }
}

fn of_values(lines: &[Value]) -> String {
    list(&lines.iter().map(|line| line.as_str().unwrap().to_owned()).collect())
}

/// The scenarios of this run, each of which has a name of its own.
static ROWS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn write_row(breakage: &str, row: &Value) {
    let name = breakage.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let new = ROWS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(name.clone());
    assert!(new, "two scenarios are called {breakage:?}");
    let rows = Path::new(env!("CARGO_TARGET_TMPDIR")).join("accuracy");
    fs::create_dir_all(&rows).unwrap();
    fs::write(rows.join(format!("{name}.json")), format!("{row:#}\n")).unwrap();
}

/// libtest keeps back what `println!` says of a test that passes; this is for everybody.
fn say(text: &str) {
    writeln!(std::io::stderr().lock(), "breakage: {text}").unwrap();
}

/// client → authtap → server, and what authtap made of it.
pub(crate) fn between(name: &str, rig: &Rig, server: u16, client: impl FnOnce(u16)) -> Diagnosis {
    let authtap = Authtap::start_as(name, rig, server);
    client(authtap.port);
    authtap.stop()
}
