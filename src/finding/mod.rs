//! The catalogue of findings, and the engine that runs it.
//!
//! A finding is one file: identity and page in one [`finding!`](crate::finding) macro, and a `Detector` that looks at each step of the
//! traffic. One line in [`catalogue!`](catalogue::ALL) registers it. `docs/findings/` is generated from the pages.

#[macro_use]
mod define;
pub mod catalogue;
mod cause;
mod detect;
mod engine;
mod memory;
mod roots;
mod shared;

pub use cause::Cause;
pub use detect::{Detect, Draft, Place, Raise, View};
pub use engine::{Engine, Footprint, Settings};

use crate::model::finding::{Basis, Severity};

/// A finding's identity and page.
#[derive(Debug, PartialEq, Eq)]
pub struct Meta {
    /// Its one name: file, page, JSON field, metric label, test directory.
    pub slug: &'static str,
    /// The defect, not the remedy.
    pub title: &'static str,
    /// How bad.
    pub severity: Severity,
    /// The strongest basis that its evidence can have.
    pub basis: Basis,
    /// Schemes it is about, as handshakes name them; empty for any.
    pub schemes: &'static [&'static str],
    /// Whose fault it is.
    pub cause: Cause,
    /// Findings that explain it, strongest first: where one of them rests on an exchange that this one rests on too,
    /// this one is told as its consequence.
    pub consequence_of: &'static [&'static str],
    /// Findings that say the same better: where one of them rests on an exchange that this one rests on too, this one is
    /// not told at all.
    pub yields_to: &'static [&'static str],
    /// It denies that handshakes stay on their connections.
    pub denies_pairing: bool,
    /// The version it came with.
    pub since: &'static str,
    /// The page, Markdown, with the headings of [`Meta::HEADINGS`].
    pub page: &'static str,
}

impl Meta {
    /// The headings of a page, in order.
    pub const HEADINGS: [&'static str; 6] =
        ["What it is", "What authtap saw", "Why it breaks", "Fix", "Not this when", "References"];

    /// The text under one heading, without it.
    pub fn section(&self, heading: &str) -> Option<String> {
        let mut text = String::new();
        let mut inside = false;
        for line in self.page.lines() {
            let line = line.strip_prefix(' ').unwrap_or(line);
            if let Some(title) = line.strip_prefix("## ") {
                if inside {
                    break;
                }
                inside = title.trim() == heading;
            } else if inside {
                text.push_str(line.trim_end());
                text.push('\n');
            }
        }
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The paragraphs and list items (`- …`) under one heading, each on one line, for whoever wraps them. Empty lines
    /// stay, as empty strings.
    pub fn blocks(&self, heading: &str) -> Vec<String> {
        let mut blocks: Vec<String> = Vec::new();
        for line in self.section(heading).unwrap_or_default().lines() {
            let line = line.trim();
            match blocks.last_mut().filter(|last| !last.is_empty()) {
                Some(last) if !line.is_empty() && !line.starts_with("- ") => {
                    last.push(' ');
                    last.push_str(line);
                }
                _ => blocks.push(line.to_owned()),
            }
        }
        blocks
    }

    /// The fix as a finding carries it: its blocks, a line each.
    pub fn fix(&self) -> String {
        self.blocks("Fix").join("\n")
    }

    /// The whole page, as `docs/findings/<slug>.md` has it.
    pub fn document(&self) -> String {
        let schemes = if self.schemes.is_empty() { "any".to_owned() } else { self.schemes.join(", ") };
        let mut text = format!(
            "# {}\n\n`{}` · severity {} · at best {} · schemes: {} · since {}\n",
            self.title,
            self.slug,
            self.severity.name(),
            self.basis.name(),
            schemes,
            self.since
        );
        for heading in Self::HEADINGS {
            if let Some(section) = self.section(heading) {
                text.push_str("\n## ");
                text.push_str(heading);
                text.push_str("\n\n");
                text.push_str(&section);
                text.push('\n');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::catalogue;

    /// A fix that is broken in the middle of its sentences cannot be wrapped to anybody's terminal.
    #[test]
    fn a_fix_has_a_line_for_each_paragraph_and_item() {
        let meta = catalogue::by_slug("handshake-split-across-connections").expect("the slug");
        let fix = meta.fix();
        let first = fix.lines().next().expect("a line");
        assert!(first.starts_with("Whatever stands in front") && first.ends_with("TCP through."), "{first}");
        assert!(fix.lines().filter(|l| l.starts_with("- ")).count() >= 5, "{fix}");
    }
}
