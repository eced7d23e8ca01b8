//! What a finding says of authtap's place: a capture has one, but authtap stood nowhere.

use crate::model::finding::Finding;

/// How a live tap is spoken of, and what is said of a capture instead.
const WORDS: &[(&str, &str)] = &[
    ("which did not pass this authtap", "which is not in this capture"),
    ("between the clients, authtap and the site", "between the clients and the site"),
    ("behind authtap", "behind the place of this capture"),
    ("in front of authtap", "before the place of this capture"),
    ("before authtap", "before the place of this capture"),
    ("authtap's clock", "the capture's clock"),
    ("or authtap's;", "or the capture's;"),
    ("of authtap's;", "of the capture's;"),
    ("behind authtap's;", "behind the capture's;"),
];

/// Says of a capture what the finding says of authtap.
pub fn of_a_capture(finding: &mut Finding) {
    let says = finding.evidence.iter_mut().map(|e| &mut e.says);
    for text in says.chain([&mut finding.title, &mut finding.summary]).filter(|text| text.contains("authtap")) {
        for (live, captured) in WORDS {
            if text.contains(live) {
                *text = text.replace(live, captured);
            }
        }
    }
}
