//! The import rule of `docs/architecture.md`, kept by tests and not by hope.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The table between the markers of `docs/architecture.md`: module → modules it may use.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("docs/architecture.md")).expect("docs/architecture.md");
    let rows = text.split("<!-- imports -->").nth(1).expect("the import table between its markers");
    rows.lines()
        .filter_map(|l| l.strip_prefix("| `"))
        .map(|l| {
            let (module, rest) = l.split_once('`').expect("a module in backticks");
            let may = rest.split('|').nth(1).expect("a second column");
            (module.to_owned(), may.split('`').skip(1).step_by(2).map(str::to_owned).collect())
        })
        .collect()
}

/// The first module of a source file's path below `src`.
fn module_of(path: &Path) -> String {
    let relative = path.strip_prefix(root().join("src")).expect("below src");
    let first = relative.components().next().expect("a part").as_os_str().to_string_lossy().into_owned();
    first.strip_suffix(".rs").unwrap_or(&first).to_owned()
}

/// Modules that a source uses: each `crate::x`, also inside `use crate::{x, y::z}`. Comments do not count.
fn uses(text: &str) -> BTreeSet<String> {
    let code: String = text.lines().map(|l| l.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` of a macro is used inside this crate as well.
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut start = true;
            let mut name = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if depth == 0 && start && (c.is_alphanumeric() || c == '_') => name.push(c),
                    _ if depth == 0 && start && !name.is_empty() => {
                        found.insert(std::mem::take(&mut name));
                        start = false;
                    }
                    _ => {}
                }
            }
            if !name.is_empty() {
                found.insert(name);
            }
        } else {
            found.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    found
}

/// A module that reaches to the left makes the core impure, or the relay know what a token is.
#[test]
fn modules_import_only_what_the_table_allows() {
    let table = table();
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut wrong = Vec::new();
    for file in &files {
        let module = module_of(file);
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let may =
            table.get(&module).unwrap_or_else(|| panic!("`{module}` is not in the table of docs/architecture.md"));
        let text = fs::read_to_string(file).expect("a source");
        for used in uses(&text) {
            if used != module && !may.contains(&used) && table.contains_key(&used) {
                wrong.push(format!("{} uses {used}", file.strip_prefix(root()).expect("below").display()));
            }
        }
    }
    assert!(wrong.is_empty(), "against the import table:\n{}", wrong.join("\n"));
    assert!(files.len() > 50, "the sources were not found");
}

/// A module that the map does not name cannot be found by a newcomer.
#[test]
fn the_table_names_every_module_and_no_other() {
    let mut modules: BTreeSet<String> = BTreeSet::new();
    for entry in fs::read_dir(root().join("src")).expect("src") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let name = name.strip_suffix(".rs").unwrap_or(&name).to_owned();
        if !matches!(name.as_str(), "lib" | "main") {
            modules.insert(name);
        }
    }
    assert_eq!(table().into_keys().collect::<BTreeSet<_>>(), modules);
}

/// The pure part must build alone and hold no runtime: that is what makes it replayable and testable without sockets.
#[test]
fn the_pure_part_holds_no_runtime() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--no-default-features", "-e", "normal", "--prefix", "none"])
        .current_dir(root())
        .output()
        .expect("cargo tree runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for banned in ["tokio", "mio", "hyper", "rustls", "tracing", "socket2", "clap", "rand"] {
        assert!(
            !text.lines().any(|l| l.starts_with(&format!("{banned} v"))),
            "the pure part depends on {banned}:\n{text}"
        );
    }
    assert!(text.contains("authtap v"), "{text}");
}

/// The pure part reads no clock, opens no file and prints nothing; clippy guards the clock, this guards the rest.
#[test]
fn the_pure_part_does_no_io() {
    let mut files = Vec::new();
    for module in ["model", "wire", "token", "iis", "track", "finding", "report"] {
        sources(&root().join("src").join(module), &mut files);
    }
    for file in files.into_iter().filter(|f| !f.ends_with("tests.rs")) {
        let text = fs::read_to_string(&file).expect("a source");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for banned in [
            "std::fs",
            "std::net::Tcp",
            "std::thread",
            "SystemTime",
            "Instant::now",
            "std::process",
            "std::env",
            "println!",
        ] {
            assert!(!code.contains(banned), "{} uses {banned}", file.display());
        }
    }
}
