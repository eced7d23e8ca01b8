//! What a breakage ought to be called, and whether it was: live, and from the packets of the same run.
//!
//! [`Ledger::judge`] compares three tellings of one run with what is expected: authtap's own, that of the capture of the link
//! which authtap saw, and that of the capture of all links. An [`Expected`] holds for all three; what differs says so, with
//! its reason ([`Expected::live_alone`], [`Expected::captured_alone`], [`Expected::by_other_links`], [`Expected::anywhere`]). What one would wish to be told
//! and is not goes into [`Ledger::short_of`]. Each scenario is a row on file, and `tests/rig/accuracy.py` makes the table of them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::authtap::{Authtap, Diagnosis};
use crate::rig::Rig;
use crate::soak::worries;

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
    /// Whether it is told at all differs from run to run.
    perhaps: bool,
    /// Where all links are seen, another finding explains it.
    explained: bool,
    why: &'static str,
}

/// Which tellings have a finding.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Everywhere,
    Live,
    Captured,
    OtherLinks,
}

pub(crate) const fn told(slug: &'static str, basis: &'static str, connections: &'static [u64]) -> Expected {
    Expected {
        slug,
        basis,
        root: None,
        connections: Some(connections),
        told: Told::Everywhere,
        perhaps: false,
        explained: false,
        why: "",
    }
}

impl Expected {
    pub(crate) const fn under(self, root: &'static str) -> Self {
        Self { root: Some(root), ..self }
    }

    /// Which connections it is told of differs from run to run; the test looks at them itself.
    pub(crate) const fn anywhere(self) -> Self {
        Self { connections: None, ..self }
    }

    /// Chance decides whether it happens; `why` is for the table. The captures must agree with what was told live.
    pub(crate) const fn perhaps(self, why: &'static str) -> Self {
        Self { perhaps: true, connections: None, why, ..self }
    }

    /// No capture tells it; `why` is for the table.
    pub(crate) const fn live_alone(self, why: &'static str) -> Self {
        Self { told: Told::Live, why, ..self }
    }

    /// Captures tell it, authtap itself does not; `why` is for the table.
    pub(crate) const fn captured_alone(self, why: &'static str) -> Self {
        Self { told: Told::Captured, why, ..self }
    }

    /// The capture of all links has another finding that explains it.
    pub(crate) const fn explained_by_other_links(self) -> Self {
        Self { explained: true, ..self }
    }

    /// Only the capture of all links tells it; `why` is for the table. Its connections are not compared.
    pub(crate) const fn by_other_links(self, why: &'static str) -> Self {
        Self { told: Told::OtherLinks, why, connections: None, ..self }
    }
}

impl Expected {
    /// Whether this is the one, wherever it is told of.
    fn is(&self, found: &Finding) -> bool {
        (self.slug, self.basis, self.root) == (found.slug.as_str(), found.basis.as_str(), found.root.as_deref())
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

fn findings(report: &Value) -> Vec<Finding> {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{report:#}")).to_owned();
    let read = worries(report).map(|f| Finding {
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
    pub(crate) fn short_of(&mut self, wish: &'static str) {
        self.wish = Some(wish);
    }

    /// Compares what was told with what is expected, and writes the scenario's row.
    pub(crate) fn judge(&mut self, breakage: &str, diagnosis: &Diagnosis, expected: &[Expected]) {
        let live = findings(&diagnosis.report);
        let wanted = wanted(expected, &live, |e| matches!(e.told, Told::Everywhere | Told::Live));
        let found = lines(expected, &live);
        let mut must = |holds: bool, else_wrong: String| {
            if !holds {
                self.wrong.push(format!("{breakage}, {else_wrong}"));
            }
        };
        must(wanted == found, format!("live: {:#}", diagnosis.report));
        let mut row = json!({
            "scenario": breakage,
            "way": diagnosis.way,
            "expected": without_chance(expected, &wanted),
            "live": without_chance(expected, &found),
            "short_of": self.wish.take(),
            "differs": reasons(expected),
        });
        let packets = &diagnosis.from_packets;
        let in_link = findings(&packets.link);
        let (wanted_link, found_link) = (from_the_link(expected, &live, diagnosis), lines(expected, &in_link));
        must(
            wanted_link == found_link
                && same_severities(&live, &in_link)
                && same_places(expected, &live, &in_link, diagnosis),
            format!("from the link, instead of {}: {:#}", list(&wanted_link), packets.link),
        );
        row["link"] = json!(without_chance(expected, &found_link));
        row["link_expected"] = json!(without_chance(expected, &wanted_link));
        row["readable"] = json!(packets.readable);
        // How a cause shows further on differs from link to link; the cause does not.
        let in_all = findings(&packets.all);
        let (wanted_roots, found_roots) = (roots_of_all(expected, &live, packets.readable), roots(expected, &in_all));
        let known = |slug: &str| expected.iter().any(|e| e.slug == slug);
        must(
            wanted_roots == found_roots && in_all.iter().all(|f| known(&f.slug)),
            format!("from all links, instead of {}: {:#}", list(&wanted_roots), packets.all),
        );
        row["all"] = json!(without_chance(expected, &found_roots));
        row["all_expected"] = json!(without_chance(expected, &wanted_roots));
        let [wanted, found, link, all] = [&wanted, &found, &found_link, &found_roots].map(list);
        let way = &diagnosis.way;
        say(&format!(
            "{breakage} ({way}): expected {wanted}, found {found}, from the link {link}, from all links {all}"
        ));
        write_row(breakage, &row);
    }

    /// One scenario alone.
    pub(crate) fn judge_alone(breakage: &str, diagnosis: &Diagnosis, expected: &[Expected]) {
        let mut ledger = Self::default();
        ledger.judge(breakage, diagnosis, expected);
        ledger.close();
    }

    pub(crate) fn close(self) {
        assert!(self.wrong.is_empty(), "not as it ought to be told:\n{}", self.wrong.join("\n"));
    }
}

/// What `live` ought to hold. What chance decides is wanted where it is.
fn wanted(expected: &[Expected], live: &[Finding], which: impl Fn(&Expected) -> bool) -> BTreeSet<String> {
    let told_live = |e: &Expected| live.iter().any(|f| e.is(f));
    let those = expected.iter().filter(|e| which(e) && (!e.perhaps || told_live(e)));
    those.map(|e| line(e.basis, e.slug, e.root, e.connections)).collect()
}

/// The link tells what was told live, of the same connections. Clients that come one after the other have the same numbers there.
fn from_the_link(expected: &[Expected], live: &[Finding], diagnosis: &Diagnosis) -> BTreeSet<String> {
    let packets = &diagnosis.from_packets;
    if !packets.readable {
        return BTreeSet::new();
    }
    let of_live_alone = |f: &Finding| expected.iter().any(|e| e.told == Told::Live && e.is(f));
    let told: Vec<_> = live.iter().filter(|f| !of_live_alone(f)).cloned().collect();
    let mut all = lines(expected, &told);
    all.extend(wanted(expected, live, |e| e.told == Told::Captured));
    all
}

fn roots_of_all(expected: &[Expected], live: &[Finding], readable: bool) -> BTreeSet<String> {
    let which = |e: &Expected| {
        e.root.is_none() && !e.explained && e.told != Told::Live && (readable || e.told == Told::OtherLinks)
    };
    let nowhere: Vec<_> = expected.iter().map(|e| Expected { connections: None, ..*e }).collect();
    wanted(&nowhere, live, which)
}

fn roots(expected: &[Expected], found: &[Finding]) -> BTreeSet<String> {
    let nowhere: Vec<_> = expected.iter().map(|e| Expected { connections: None, ..*e }).collect();
    let roots: Vec<_> = found.iter().filter(|f| f.root.is_none()).cloned().collect();
    lines(&nowhere, &roots).into_iter().map(|line| line.split(" on ").next().unwrap().to_owned()).collect()
}

/// Findings as lines, without their connections where those are not expected to be the same from run to run.
fn lines(expected: &[Expected], found: &[Finding]) -> BTreeSet<String> {
    let of = |f: &Finding| {
        let anywhere = expected.iter().any(|e| e.connections.is_none() && e.is(f));
        line(&f.basis, &f.slug, f.root.as_deref(), (!anywhere).then_some(f.connections.as_slice()))
    };
    found.iter().map(of).collect()
}

/// Where the run decides which connections a finding is told of, they are those that were told live.
fn same_places(expected: &[Expected], live: &[Finding], link: &[Finding], diagnosis: &Diagnosis) -> bool {
    let anywhere =
        |f: &&Finding| expected.iter().any(|e| e.connections.is_none() && e.told == Told::Everywhere && e.is(f));
    let told: Vec<_> = live.iter().filter(anywhere).collect();
    if told.is_empty() {
        return true;
    }
    let numbers = diagnosis.from_packets.numbers(&diagnosis.events);
    told.into_iter().all(|told| {
        let places: BTreeSet<_> = told.connections.iter().map(|number| numbers.get(number).copied()).collect();
        let same = |f: &&Finding| (&f.slug, &f.basis, &f.root) == (&told.slug, &told.basis, &told.root);
        let found = link.iter().find(same).map(|f| f.connections.iter().copied().map(Some).collect());
        found == Some(places)
    })
}

fn same_severities(live: &[Finding], link: &[Finding]) -> bool {
    let of = |found: &[Finding]| -> BTreeSet<(String, String)> {
        found.iter().map(|f| (f.slug.clone(), f.severity.clone())).collect()
    };
    let live = of(live);
    of(link).iter().all(|(slug, severity)| live.iter().all(|(s, of_live)| s != slug || of_live == severity))
}

/// What the table keeps: the same in each run.
fn without_chance(expected: &[Expected], lines: &BTreeSet<String>) -> BTreeSet<String> {
    let by_chance = |l: &String| expected.iter().any(|e| e.perhaps && *l == line(e.basis, e.slug, e.root, None));
    lines.iter().filter(|line| !by_chance(line)).cloned().collect()
}

fn reasons(expected: &[Expected]) -> BTreeSet<String> {
    let given = expected.iter().filter(|e| !e.why.is_empty());
    let told = |e: &Expected| match (e.told, e.perhaps) {
        (_, true) => "is told by chance",
        (Told::Live, _) => "is told live alone",
        (Told::Captured, _) => "is so told from captures alone",
        (Told::OtherLinks, _) => "is told by the other links alone",
        (Told::Everywhere, _) => "",
    };
    given.map(|e| format!("`{}` {}: {}", e.slug, told(e), e.why)).collect()
}

fn list(set: &BTreeSet<String>) -> String {
    if set.is_empty() { "nothing".to_owned() } else { set.iter().cloned().collect::<Vec<_>>().join(", ") }
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
