//! The table of what a line does to a finding.

use std::fs;
use std::path::Path;

use authtap::finding::catalogue;
use authtap::iis::code;
use authtap::report::join::{EFFECTS, Logged, OVERRULED, OVERRULED_UNLESS_OBSERVED, document};

use crate::catalogue::same_as_file;

/// Whoever wonders why a finding changed looks it up in the document: it must be the table itself.
#[test]
fn the_document_has_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/iis-log.md");
    let page = fs::read_to_string(&path).unwrap();
    let parts: Vec<&str> = page.split("<!-- effects -->\n").collect();
    let [before, _, after] = parts.as_slice() else { panic!("two marks in {}", path.display()) };
    same_as_file(&path, &format!("{before}<!-- effects -->\n{}<!-- effects -->\n{after}", document()));
}

/// A code that `explain` does not know, or a row that an earlier one hides, says nothing to anybody.
#[test]
fn each_row_is_known_and_reached() {
    let mut before: Vec<(u16, u16, u32)> = Vec::new();
    for row in EFFECTS {
        assert!(!row.says.ends_with('.'), "{}", row.says);
        match row.logged {
            Logged::Code(status, substatuses, codes) => {
                for substatus in substatuses {
                    assert!(code::substatus(status, *substatus).is_some(), "{status}.{substatus}");
                    for win32 in if codes.is_empty() { &[5][..] } else { codes } {
                        assert!(code::win32(*win32).is_some(), "{win32}");
                        let one = (status, *substatus, *win32);
                        assert!(!before.contains(&one), "{one:?} stands twice");
                        before.push(one);
                    }
                }
            }
            Logged::Reason(reasons) => {
                for reason in reasons {
                    assert!(code::httperr(reason).is_some(), "{reason}");
                }
            }
        }
    }
    let both = OVERRULED.iter().filter(|slug| OVERRULED_UNLESS_OBSERVED.contains(slug)).count();
    assert_eq!(both, 0);
}

/// A line that makes a finding of a name that nobody knows would do nothing, without a word.
#[test]
fn each_finding_of_the_table_is_in_the_catalogue() {
    let named = EFFECTS.iter().map(|row| row.slug).chain(OVERRULED.iter().chain(OVERRULED_UNLESS_OBSERVED).copied());
    for slug in named {
        assert!(catalogue::by_slug(slug).is_some(), "{slug}");
    }
}
