//! The catalogue's own rules, and the documents that are generated from it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use authtap::finding::{Meta, catalogue};
use authtap::track::handshake::table;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares a generated document with its file, or writes it with `AUTHTAP_BLESS=1`.
pub(crate) fn same_as_file(path: &Path, text: &str) {
    if std::env::var_os("AUTHTAP_BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        fs::write(path, text).expect("the file");
    }
    let file = fs::read_to_string(path).unwrap_or_default();
    assert!(file == text, "{} is not what the code says: run `make bless`", path.display());
}

fn sources() -> Vec<PathBuf> {
    let mut out = Vec::new();
    for area in fs::read_dir(root().join("src/finding")).expect("src/finding") {
        let area = area.expect("an area").path();
        // What findings share is no area of findings.
        if area.is_dir() && !area.ends_with("shared") {
            out.extend(fs::read_dir(area).expect("an area").map(|e| e.expect("a file").path()));
        }
    }
    out
}

/// A page without its fix, or a slug that is not the file's name, leaves a user searching.
#[test]
fn every_page_is_whole_and_every_file_registered() {
    let slugs: BTreeSet<String> = catalogue::ALL.iter().map(|m| m.slug.replace('-', "_")).collect();
    assert_eq!(slugs.len(), catalogue::ALL.len(), "a slug stands twice");
    let files: BTreeSet<String> =
        sources().iter().map(|p| p.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
    assert_eq!(slugs, files, "files below src/finding/<area>/ and the catalogue differ");
    for meta in catalogue::ALL {
        let headings: Vec<&str> =
            meta.page.lines().filter_map(|l| l.trim_start().strip_prefix("## ")).map(str::trim).collect();
        assert_eq!(headings, Meta::HEADINGS, "{}", meta.slug);
        for heading in Meta::HEADINGS {
            assert!(meta.section(heading).is_some(), "{}: {heading} is empty", meta.slug);
        }
        assert!(!meta.title.ends_with('.') && meta.title.len() < 100, "{}", meta.slug);
    }
}

/// A finding that names a root which does not exist, or that explains its own explanation, hides what is wrong.
#[test]
fn the_order_of_suppression_names_findings_and_has_no_circle() {
    fn reaches(from: &str, to: &str, depth: usize) -> bool {
        let meta = catalogue::by_slug(from).unwrap_or_else(|| panic!("no finding {from}"));
        assert!(depth < catalogue::ALL.len(), "a circle through {from}");
        meta.consequence_of.iter().chain(meta.yields_to).any(|root| *root == to || reaches(root, to, depth + 1))
    }
    for meta in catalogue::ALL {
        assert!(!reaches(meta.slug, meta.slug, 0), "{} explains itself", meta.slug);
    }
}

/// Documents that are not what the program does are worse than none.
#[test]
fn generated_documents_are_what_the_code_says() {
    let mut index = String::from(
        "# Findings\n\nGenerated from the catalogue; `make bless` writes it anew.\n\n\
         | slug | severity | at best | in one line |\n|---|---|---|---|\n",
    );
    for meta in catalogue::ALL {
        same_as_file(&root().join(format!("docs/findings/{}.md", meta.slug)), &meta.document());
        writeln!(
            index,
            "| [`{0}`]({0}.md) | {1} | {2} | {3} |",
            meta.slug,
            meta.severity.name(),
            meta.basis.name(),
            meta.title
        )
        .expect("text");
    }
    index.push_str(
        "\n## Which finding explains which\n\nOne cause, one finding: where a finding rests on an exchange that one of \
         these rests on too, it is told as that one's consequence (`root` in captures and reports), the first of the \
         list first.\n\n| slug | is a consequence of |\n|---|---|\n",
    );
    let links = |slugs: &[&str]| slugs.iter().map(|r| format!("[`{r}`]({r}.md)")).collect::<Vec<_>>().join(", ");
    for meta in catalogue::ALL.iter().filter(|m| !m.consequence_of.is_empty()) {
        writeln!(index, "| [`{0}`]({0}.md) | {1} |", meta.slug, links(meta.consequence_of)).expect("text");
    }
    index.push_str(
        "\nSome say the same better than others. Where both rest on one exchange, only the better one is told.\n\n\
         | slug | is not told beside |\n|---|---|\n",
    );
    for meta in catalogue::ALL.iter().filter(|m| !m.yields_to.is_empty()) {
        writeln!(index, "| [`{0}`]({0}.md) | {1} |", meta.slug, links(meta.yields_to)).expect("text");
    }
    same_as_file(&root().join("docs/findings/README.md"), &index);
    same_as_file(&root().join("docs/handshakes.md"), &table::page());
    let known: BTreeSet<String> = catalogue::ALL.iter().map(|m| format!("{}.md", m.slug)).collect();
    for entry in fs::read_dir(root().join("docs/findings")).expect("docs/findings") {
        let name = entry.expect("a page").file_name().to_string_lossy().into_owned();
        assert!(known.contains(&name) || name == "README.md", "docs/findings/{name} belongs to no finding");
    }
}
