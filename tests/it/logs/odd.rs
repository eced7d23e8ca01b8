//! Logs that are foreign, damaged, empty or of another day: said, and never silently nothing.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

use authtap::report::join::{IisLog, Kind, LogFile};
use authtap::report::{terminal, v1};

use super::made::{FIELDS, Site, log};
use crate::program::{output, stderr};

fn one(log: &[u8]) -> (IisLog, String) {
    let site = Site::busy();
    let view = site.report(&[("given.log", log)]);
    let text = terminal::report(&view, false);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    (view.iis_log.unwrap(), text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn file(facts: &IisLog) -> &LogFile {
    &facts.files[0]
}

/// An administrator who took the wrong file must read that, and what the right one looks like.
#[test]
fn a_foreign_file_is_named_with_what_was_expected() {
    let nginx = b"192.0.2.7 - - [22/Nov/2026:12:00:00 +0000] \"GET / HTTP/1.1\" 401 172 \"-\" \"curl/8.5.0\"\n";
    for foreign in [&nginx[..], b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0\xb8\n", b"{\"v\":1,\"type\":\"start\"}\n"] {
        let (facts, text) = one(foreign);
        assert_eq!(file(&facts).kind, Kind::Foreign);
        for words in ["given.log: nothing was read from it.", "not a log of IIS", "httperrN.log", "none was found"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}

/// An empty log and one with headings only are different things: the second may be filled a minute later.
#[test]
fn an_empty_log_is_told() {
    assert!(one(b"").1.contains("given.log: the log is empty."));
    let (facts, text) = one(log([]).as_bytes());
    assert_eq!(file(&facts).kind, Kind::OnlyHeadings);
    assert!(text.contains("HTTP.sys has not written it yet"), "{text}");
}

/// A log of another day joins with nothing; without the two times side by side nobody sees why.
#[test]
fn a_log_of_another_day_is_told_with_both_times() {
    let site = Site::busy();
    let yesterday = log(site.rows.iter().map(|row| row.line(-86_400)));
    let (facts, text) = one(yesterday.as_bytes());
    assert_eq!((file(&facts).in_period, file(&facts).matched), (0, 0));
    for words in ["covers 2026-11-21T12:00:00.000000Z to", "the captures 2026-11-22T", "nothing in common"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(facts.refusals.unmatched, 45);
}

/// `#Fields` decides what a log can tell. One without a time or a code reads well and says nothing.
#[test]
fn missing_fields_are_named() {
    let site = Site::busy();
    let whole = site.log(0);
    let without = |field: &str| {
        let place = FIELDS.split(' ').position(|f| f == field).unwrap();
        let cut = |line: &str| {
            let values = line.split(' ').enumerate().filter(|(at, _)| *at != place).map(|(_, value)| value);
            values.collect::<Vec<_>>().join(" ")
        };
        let fields = FIELDS.replace(&format!("{field} "), "");
        log(whole.lines().filter(|l| !l.starts_with('#')).map(cut)).replace(FIELDS, &fields)
    };
    for (field, words, matched) in [
        ("date", "65 lines without date and time, which #Fields must name", false),
        ("sc-status", "65 lines without sc-status", false),
        ("sc-win32-status", "65 lines without sc-substatus or sc-win32-status", true),
    ] {
        // Twenty logons of three requests; five of the twenty were refused at the end.
        let words = words.replace("65", &site.rows.len().to_string());
        let (facts, text) = one(without(field).as_bytes());
        assert!(text.contains(&words), "{field}: {text}");
        assert_eq!(facts.refusals.matched() > 0, matched, "{field}: {text}");
        assert_eq!(facts.proved, 0, "{field}");
    }
    let unknown = whole.replace(FIELDS, "shoe-size weather");
    assert!(one(unknown.as_bytes()).1.contains("#Fields names no field of a W3C or HTTPERR log"));
    // Fewer things to compare are enough, where they are distinct.
    let (facts, _) = one(without("cs(User-Agent)").as_bytes());
    assert_eq!((facts.refusals.unmatched, facts.proved), (0, 5));
}

/// IIS writes `#Fields` anew after a restart; a disk that was full leaves torn lines. Neither may cost the rest.
#[test]
fn a_change_of_fields_and_damaged_lines_cost_only_themselves() {
    let site = Site::busy();
    let (mut text, mut changed) = (String::new(), String::new());
    for (n, row) in site.rows.iter().enumerate() {
        if n < 30 {
            writeln!(text, "{}", row.line(-37)).unwrap();
        } else {
            writeln!(changed, "{} W3SVC1", row.line(-37)).unwrap();
        }
    }
    let damaged = "2026-11-22 12:00:07 192.0.2.80 GET\n\0\0\0\0\n";
    let text = format!("#Fields: {FIELDS}\n{text}{damaged}#Fields: {FIELDS} s-sitename\n{changed}");
    let (facts, said) = one(text.as_bytes());
    assert_eq!((facts.refusals.unique, facts.refusals.unmatched), (45, 0));
    assert_eq!((file(&facts).damaged, file(&facts).damage.len()), (2, 2));
    for words in ["line 32: 4 columns where #Fields names 15", "line 33: only zero bytes", "2 could not be read"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// A glob and a folder name the same log twice sooner or later; each line would then be one of two that fit.
#[test]
fn a_log_that_is_given_twice_counts_once() {
    let site = Site::busy();
    let log = site.log(-37);
    let view = site.report(&[("a.log", log.as_bytes()), ("copy.log", log.as_bytes())]);
    let facts = view.iis_log.as_ref().unwrap();
    assert_eq!((facts.refusals.unique, facts.files[1].kind), (45, Kind::Repeated));
    assert!(facts.files[1].remarks[0].contains("the same as a.log"));
    let json = serde_json::to_value(v1::Report::from(&view)).unwrap();
    assert_eq!(json["iis_log"]["files"][1]["kind"], "repeated");
    assert_eq!(json["iis_log"]["files"][0]["clock"]["sure"], true);
    assert_eq!(json["iis_log"]["refusals"]["unique"], 45);
}

/// A busy site's log of a day has millions of lines. What is kept of them is bounded, and the limit is told.
#[test]
fn a_huge_log_is_read_in_bounded_memory() {
    let mut site = Site::default();
    // Every line of the log could belong to this exchange, but for its moment.
    site.logon(0, 1, ("/", "curl/8"), super::made::DENIED);
    let row = site.rows[2].clone();
    let mut joined = authtap::report::join::Captures::default();
    for event in &site.events {
        joined.take(&Site::tap(), event);
    }
    let mut logs = joined.logs();
    // A second of a very busy site, again and again.
    let piece = log((0..1_000).map(|_| row.line(300)));
    let pieces = authtap::report::join::MAX_LINES / 1_000 + 50;
    logs.file("huge.log", |source| (0..pieces).for_each(|_| source.read(piece.as_bytes())));
    logs.file("next.log", |source| source.read(piece.as_bytes()));
    let facts = logs.join().facts();
    assert_eq!(facts.files[0].lines, pieces as u64 * 1_000);
    assert!(facts.limits[0].starts_with("50000 lines of huge.log"), "{:?}", facts.limits);
    assert!(facts.limits[1].starts_with("1000 lines of next.log"), "{:?}", facts.limits);
    assert_eq!(facts.proved, 0);
}

/// The command itself: a log that is not there ends it, folders and stars are read, and a capture given as a log is told.
#[test]
fn the_command_names_what_it_cannot_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let demo = path("demo.jsonl");
    assert!(output(&["demo", "--capture", &demo]).status.success());
    for (log, words) in [
        (path("no-such.log"), "no-such.log: cannot open it"),
        (path("u_ex*.log"), "no file is called u_ex*.log"),
        (dir.path().to_str().unwrap().to_owned(), "no file is called *.log"),
    ] {
        let refused = output(&["report", &demo, "--iis-log", &log]);
        assert_eq!(refused.status.code(), Some(2), "{log}");
        assert!(stderr(&refused).contains(words) && stderr(&refused).contains("--iis-log"), "{}", stderr(&refused));
    }
    fs::create_dir(path("logs")).unwrap();
    fs::File::create(path("logs/u_ex1.log")).unwrap().write_all(b"#Fields: date time sc-status\n").unwrap();
    fs::write(path("logs/notes.txt"), "notes").unwrap();
    fs::write(path("logs/httperr1.log"), "").unwrap();
    for (logs, files) in [("logs", 2), ("logs/u_ex*.log", 1), ("logs/*.LOG", 2)] {
        let report = output(&["report", &demo, "--format", "json", "--iis-log", &path(logs)]);
        let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
        assert_eq!(report["iis_log"]["files"].as_array().unwrap().len(), files, "{logs}");
    }
    let report = output(&["report", &demo, "--iis-log", &path("logs/u_ex1.log"), &path("logs/httperr1.log"), &demo]);
    let text = String::from_utf8(report.stdout).unwrap();
    assert!(
        text.contains("IIS LOG") && text.contains("the log is empty") && text.contains("not a log of IIS"),
        "{text}"
    );
}
