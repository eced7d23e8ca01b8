//! The capture format: nothing is lost in it, and its schema tells the truth.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::path::Path;

use authtap::model::TapId;
use authtap::model::event::Event;
use authtap::sink::Sink;
use authtap::sink::jsonl::reader::{ReadError, read};
use authtap::sink::jsonl::v1::{self, Body, Line, schema};
use authtap::sink::jsonl::writer::{CaptureFile, Limits, OpenError};
use proptest::prelude::*;

use crate::events::{Entropy, samples};

fn tap() -> TapId {
    TapId("tap-test".to_owned())
}

fn text_of(events: &[Event]) -> String {
    events.iter().map(|e| Line::of(&tap(), e).to_json().unwrap() + "\n").collect()
}

fn read_all(bytes: &[u8]) -> Result<(Vec<Event>, authtap::sink::jsonl::reader::ReadSummary), ReadError> {
    let mut events = Vec::new();
    let summary = read(bytes, |_, event| events.push(event))?;
    Ok((events, summary))
}

/// Compares a generated document with the file in the repository; `AUTHTAP_BLESS=1` rewrites the file.
pub(crate) fn same_as_file(file: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("AUTHTAP_BLESS").is_some() {
        std::fs::write(&path, generated).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == generated,
        "{file} is not what the code generates; run AUTHTAP_BLESS=1 cargo test and look at the difference"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// A fact that is lost in the capture cannot be diagnosed by tomorrow's catalogue.
    #[test]
    fn events_survive_the_capture(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let event = Entropy(&bytes).event();
        let line = Line::of(&tap(), &event).to_json().unwrap();
        let mut written = Vec::new();
        v1::write(&tap(), &event, &mut written).unwrap();
        prop_assert_eq!(std::str::from_utf8(&written).unwrap(), &line);
        prop_assert!(!line.contains('\n'));
        let back: Line = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(&back.to_json().unwrap(), &line);
        let (from, back) = back.into_event().unwrap();
        prop_assert_eq!(from, tap());
        prop_assert_eq!(back, event);
    }

    /// A report must survive whatever file a tired admin hands it.
    #[test]
    fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..4_000) {
        let _ = read_all(&bytes);
        let mut capture = text_of(&[Entropy(&bytes).event(), Entropy(&bytes).event()]).into_bytes();
        let whole = capture.len();
        capture.truncate(cut);
        match read_all(&capture) {
            Ok((events, summary)) => {
                prop_assert_eq!(summary.bad, 0);
                prop_assert!(events.len() == 2 || cut < whole);
            }
            Err(ReadError::Empty) => prop_assert_eq!(cut, 0),
            Err(e) => prop_assert!(false, "{}", e),
        }
    }
}

/// People script against the schema; one that differs from the output is worse than none.
#[test]
fn the_schema_is_generated_and_true() {
    let schema = schema().unwrap();
    same_as_file("docs/capture-v1.schema.json", &schema);
    let schema = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut types = std::collections::BTreeSet::new();
    for event in samples() {
        let line = serde_json::to_value(Line::of(&tap(), &event)).unwrap();
        types.insert(line["type"].as_str().unwrap().to_owned());
        if let Err(e) = validator.validate(&line) {
            panic!("{e}\n{line:#}");
        }
    }
    assert_eq!(types, Body::TYPES.map(str::to_owned).into());
    let strict = serde_json::json!({"v":1,"type":"finding","at":"2026-01-01T00:00:00.000000Z","tap":"t","seq":1});
    assert!(!validator.is_valid(&strict), "a schema that takes anything says nothing");
}

/// The examples in the documentation are what users copy from.
#[test]
fn the_documented_lines_are_lines() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/capture.md");
    let text = std::fs::read_to_string(path).unwrap();
    let schema = serde_json::from_str(&schema().unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut types = std::collections::BTreeSet::new();
    for line in text.lines().filter(|l| l.starts_with("{\"v\":1")) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Err(e) = validator.validate(&value) {
            panic!("{e}\n{line}");
        }
        let (_, summary) = read_all(line.as_bytes()).unwrap();
        assert_eq!(summary.events, 1, "{line}");
        types.insert(value["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(types, Body::TYPES.map(str::to_owned).into());
}

/// Without these names, every script that was written against the format breaks.
#[test]
fn an_ntlm_answer_has_the_promised_names() {
    use authtap::model::auth::*;
    let field = AuthField {
        scheme: Scheme::Ntlm,
        scheme_as_sent: "NTLM".to_owned(),
        token: Token::Ntlm(Box::new(Ntlm::Authenticate(NtlmAuthenticate {
            flags: 0xe289_8215,
            user: "alice".to_owned(),
            domain: "CORP".to_owned(),
            response: NtlmResponse::V2,
            ..NtlmAuthenticate::default()
        }))),
        token_bytes: 500,
        params: Vec::new(),
        faults: Vec::new(),
    };
    let json = serde_json::to_value(authtap::sink::jsonl::v1::AuthField::from(&field)).unwrap();
    assert_eq!(json["scheme"], "ntlm");
    assert_eq!(json["family"], "ntlm");
    assert_eq!(json["message"], "authenticate");
    assert_eq!(json["flags"], "0xe2898215");
    assert_eq!(json["user"], "alice");
    assert_eq!(json["response"], "NTLMv2");
    assert_eq!(json["mic_present"], false);
    assert_eq!(
        json["flag_names"],
        serde_json::json!([
            "56",
            "KEY_EXCH",
            "128",
            "VERSION",
            "TARGET_INFO",
            "EXTENDED_SESSIONSECURITY",
            "TARGET_TYPE_DOMAIN",
            "ALWAYS_SIGN",
            "NTLM",
            "SIGN",
            "REQUEST_TARGET",
            "UNICODE"
        ])
    );
}

/// A newer authtap's capture must still be readable as far as it can be.
#[test]
fn unknown_fields_types_and_bad_lines_are_passed_over() {
    let good = text_of(&samples()[..3]);
    let mut extended: Vec<String> =
        good.lines().map(|l| l.replacen("{\"v\":1,", "{\"v\":1,\"new\":{\"a\":[1]},", 1)).collect();
    extended.insert(1, r#"{"v":1,"type":"weather","at":"x","tap":"t"}"#.to_owned());
    extended.insert(2, "\u{0}garbage".to_owned());
    extended.insert(3, String::new());
    extended.insert(4, r#"{"v":1,"type":"gap","at":"yesterday","tap":"t","what":"queue-full","dropped":1}"#.to_owned());
    extended.insert(5, r#"{"v":2,"type":"gap","at":"yesterday","tap":"t"}"#.to_owned());
    let text = format!("\u{feff}{}\r\n{{\"v\":1,\"ty", extended.join("\r\n"));
    let (events, summary) = read_all(text.as_bytes()).unwrap();
    assert_eq!(events, samples()[..3]);
    assert_eq!(summary.unknown, 1);
    assert!(summary.truncated);
    assert_eq!(
        summary.remarks(),
        [
            "line 3 skipped: expected value",
            "line 5 skipped: field `at` holds \"yesterday\", expected an RFC 3339 time",
            "line 6 skipped: format version 2",
            "the last line (9) is cut off",
            "1 lines are of types that this authtap does not know: a newer one wrote them",
        ]
    );
}

/// "Parse error" helps nobody who passed the wrong file.
#[test]
fn foreign_files_are_named_for_what_they_are() {
    let told = |bytes: &[u8]| read_all(bytes).unwrap_err().to_string();
    assert_eq!(told(b""), "the capture is empty: authtap wrote nothing to it");
    assert_eq!(told(b"\n\n"), "the capture is empty: authtap wrote nothing to it");
    assert_eq!(told(b"GET / HTTP/1.1\n"), "not an authtap capture: line 1 is not JSON");
    assert_eq!(told(b"{\"a\":1}\n"), "not an authtap capture: line 1 is JSON, but has no \"v\", \"type\" and \"tap\"");
    assert!(told(b"\xff\xfe{\0\"\0\n\0").contains("UTF-16"));
    assert!(told(b"\x1f\x8b\x08\0").contains("gzip"));
    assert!(told(b"\x0a\x0d\x0d\x0a....").contains("packet capture"));
    assert!(told(br#"{"v":7,"type":"start","tap":"x"}"#).contains("format version 7"));
    assert!(told(&vec![b'x'; 9 * 1024 * 1024]).contains("longer than any line"));
}

/// Captures name users and servers: nobody else on the machine may read them, and nothing of anybody's is lost.
#[test]
fn the_file_is_private_and_nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.jsonl");
    let events = &samples()[..8];
    for _ in 0..2 {
        let mut capture = CaptureFile::create(&path, tap(), Limits::default()).unwrap();
        for event in events {
            capture.write(event).unwrap();
        }
        capture.flush().unwrap();
    }
    for name in ["c.jsonl", "c.jsonl.1"] {
        let path = dir.path().join(name);
        let (back, summary) = read_all(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(back, events, "{name}");
        assert!(summary.remarks().is_empty());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    let precious = dir.path().join("thesis.txt");
    std::fs::write(&precious, "years of work").unwrap();
    let refused = |path: &Path| CaptureFile::create(path, tap(), Limits::default()).unwrap_err();
    assert!(matches!(refused(&precious), OpenError::Foreign { .. }));
    assert_eq!(std::fs::read(&precious).unwrap(), b"years of work");
    assert!(matches!(refused(dir.path()), OpenError::NotAFile { .. }));
    #[cfg(unix)]
    {
        let link = dir.path().join("link.jsonl");
        std::os::unix::fs::symlink(&precious, &link).unwrap();
        assert!(matches!(refused(&link), OpenError::NotAFile { .. }));
        assert!(matches!(refused(Path::new("/dev/full")), OpenError::NotAFile { .. }));
    }
    let nowhere = refused(&dir.path().join("no/such/folder/c.jsonl")).to_string();
    assert!(nowhere.contains("no/such/folder/c.jsonl") && nowhere.contains("No such file"), "{nowhere}");
    let empty = dir.path().join("empty.jsonl");
    std::fs::write(&empty, "").unwrap();
    CaptureFile::create(&empty, tap(), Limits::default()).unwrap();
}
