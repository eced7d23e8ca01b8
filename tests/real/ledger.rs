//! What a breakage ought to be called, and whether it was.

use std::collections::BTreeSet;
use std::io::Write as _;

use crate::authtap::{Authtap, Diagnosis};
use crate::rig::Rig;
use crate::soak::TRUE_OF_THE_RIG;

/// A finding as it ought to be told.
pub(crate) struct Expected {
    slug: &'static str,
    basis: &'static str,
    /// The finding that explains it.
    root: Option<&'static str>,
    connections: &'static [u64],
}

pub(crate) const fn told(slug: &'static str, basis: &'static str, connections: &'static [u64]) -> Expected {
    Expected { slug, basis, root: None, connections }
}

impl Expected {
    pub(crate) const fn under(self, root: &'static str) -> Self {
        Self { root: Some(root), ..self }
    }
}

/// Collects what does not hold, so that one run shows all of it.
#[derive(Default)]
pub(crate) struct Ledger {
    wrong: Vec<String>,
}

impl Ledger {
    /// Compares all findings above `info`, but for those that are true of the rig.
    pub(crate) fn judge(&mut self, breakage: &str, diagnosis: &Diagnosis, expected: &[Expected]) {
        let wanted: BTreeSet<String> = expected
            .iter()
            .map(|e| format!("{} {}{} on {:?}", e.basis, e.slug, under(e.root), e.connections))
            .collect();
        let found = diagnosis
            .findings()
            .iter()
            .filter(|f| f["severity"] != "info" && !TRUE_OF_THE_RIG.contains(&f["slug"].as_str().unwrap()));
        let found: BTreeSet<String> = found
            .map(|f| {
                let numbers: Vec<u64> =
                    f["connections"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
                let (basis, slug) = (f["basis"].as_str().unwrap(), f["slug"].as_str().unwrap());
                format!("{basis} {slug}{} on {numbers:?}", under(f["root"].as_str()))
            })
            .collect();
        let list = |set: &BTreeSet<String>| {
            if set.is_empty() { "nothing".to_owned() } else { set.iter().cloned().collect::<Vec<_>>().join(", ") }
        };
        say(&format!("{breakage}: expected {}, found {}", list(&wanted), list(&found)));
        if wanted != found {
            self.wrong.push(format!("{breakage}: {:#}", diagnosis.report));
        }
    }

    pub(crate) fn close(self) {
        assert!(self.wrong.is_empty(), "not as it ought to be told:\n{}", self.wrong.join("\n"));
    }
}

fn under(root: Option<&str>) -> String {
    root.map(|root| format!(" under {root}")).unwrap_or_default()
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
