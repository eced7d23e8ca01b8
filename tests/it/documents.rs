//! The examples of the documents are run, and must print what the documents say.

use std::fs;
use std::path::Path;

use crate::catalogue::same_as_file;
use crate::program::output;

/// The words of a command line as a shell splits them: spaces, single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("a word").push(c),
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

/// Fingerprints are made with a key of each run: 16 hex digits become zeros.
fn without_fingerprints(text: &str) -> String {
    let mut out = String::new();
    let mut hex = String::new();
    for c in text.chars().chain(std::iter::once('\n')) {
        if c.is_ascii_hexdigit() && !c.is_ascii_uppercase() {
            hex.push(c);
            continue;
        }
        let inside = c.is_alphanumeric() || out.ends_with(|c: char| c.is_alphanumeric() || c == '/' || c == '+');
        out.push_str(if hex.len() == 16 && !inside { "0000000000000000" } else { &hex });
        hex.clear();
        out.push(c);
    }
    out.pop();
    out
}

/// An example that prints something else than its page shows makes a reader doubt everything on it.
#[test]
fn the_examples_of_decode_and_explain_print_what_the_page_shows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/decode.md");
    let page = fs::read_to_string(&path).expect("docs/decode.md");
    let mut made = String::new();
    let mut examples = 0;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        made.push_str(line);
        made.push('\n');
        if line != "```console" {
            continue;
        }
        let command = lines.next().expect("a command");
        let args = words(command.strip_prefix("$ authtap ").expect("a command of authtap"));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let printed = output(&args);
        assert!(printed.status.success(), "{command}: {}", String::from_utf8_lossy(&printed.stderr));
        let text = String::from_utf8(printed.stdout).expect("text");
        assert!(
            args.contains(&"json") || text.lines().all(|l| l.chars().count() <= 80),
            "wider than 80 columns:\n{text}"
        );
        made.push_str(command);
        made.push('\n');
        made.push_str(&without_fingerprints(&text));
        made.push_str("```\n");
        for skipped in lines.by_ref() {
            if skipped == "```" {
                break;
            }
        }
        examples += 1;
    }
    assert!(examples >= 25, "{examples} examples");
    same_as_file(&path, &made);
}
