//! Logs of IIS and HTTP.sys, in every layout.

use std::fmt::Write as _;
use std::fs;

use authtap::iis::log::{
    BadLine, CustomValue, Directive, HttpErrLine, Kind, LogEvent, LogReader, Text, Verdict, W3cLine, Why,
};
use authtap::model::Stamp;
use proptest::prelude::*;

fn file(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/data/iis/logs/{name}", env!("CARGO_MANIFEST_DIR"))).expect("a log")
}

fn w3c<'a>(reader: &mut LogReader, log: &'a [u8]) -> (Vec<W3cLine<'a>>, Vec<BadLine>) {
    let (mut lines, mut bad) = (Vec::new(), Vec::new());
    for event in reader.lines(log) {
        match event {
            Ok(LogEvent::W3c(line)) => lines.push(line),
            Ok(LogEvent::HttpErr(line)) => panic!("{line:?}"),
            Ok(LogEvent::Directive(_)) => {}
            Err(line) => bad.push(line),
        }
    }
    (lines, bad)
}

fn httperr<'a>(reader: &mut LogReader, log: &'a [u8]) -> Vec<HttpErrLine<'a>> {
    reader
        .lines(log)
        .filter_map(|event| match event.unwrap() {
            LogEvent::HttpErr(line) => Some(line),
            LogEvent::Directive(_) => None,
            LogEvent::W3c(line) => panic!("{line:?}"),
        })
        .collect()
}

fn text(value: Option<Text<'_>>) -> String {
    value.map(|t| t.to_string()).unwrap_or_default()
}

/// The fields that a handshake is matched by must be read under whatever `#Fields` is in force at that line.
#[test]
fn a_site_log_is_read_through_a_change_of_fields() {
    let log = file("u_ex261122.log");
    let mut reader = LogReader::default();
    let (lines, bad) = w3c(&mut reader, &log);
    let codes: Vec<_> = lines.iter().map(|l| (l.status.unwrap(), l.substatus.unwrap(), l.win32.unwrap())).collect();
    assert_eq!(
        codes,
        [
            (401, 2, 5),
            (401, 1, 2_148_074_254),
            (200, 0, 0),
            (401, 1, 2_148_074_248),
            (401, 1, 2_148_074_252),
            (403, 16, 2_148_204_809)
        ]
    );
    let first = &lines[0];
    assert_eq!(first.time, Stamp::parse("2026-11-22T08:00:01Z"));
    assert_eq!(
        (text(first.method), text(first.stem), text(first.client_ip)),
        ("GET".into(), "/app/".into(), "198.51.100.7".into())
    );
    assert_eq!(
        (first.server_port, first.query_bytes, first.user, first.time_taken_ms),
        (Some(443), Some(21), None, Some(2))
    );
    assert_eq!(first.user_agent.unwrap().spaced(), "Mozilla/5.0 (Windows NT 10.0)");
    assert_eq!(lines[1].query_bytes, None);
    assert_eq!(text(lines[2].user), "EXAMPLE\\alice");
    assert_eq!(text(lines[3].stem), "/app/caf\u{fffd}");
    let other = &lines[4];
    assert_eq!(
        (text(other.site), text(other.version), text(other.host)),
        ("W3SVC2".into(), "HTTP/2.0".into(), "intranet.example.test".into())
    );
    assert_eq!((other.sent_bytes, other.received_bytes, other.cookie_bytes), (Some(1293), Some(840), Some(22)));
    assert_eq!(other.custom.get("x-forwarded-for"), Some(CustomValue::Shown(Text(b"203.0.113.9"))));
    assert_eq!(other.custom.get("crypt-protocol"), Some(CustomValue::Shown(Text(b"400"))));
    assert_eq!(other.custom.get("X-Auth-Token"), Some(CustomValue::Withheld(14)));
    assert_eq!(lines[5].custom.iter().count(), 0);
    assert_eq!(
        bad,
        [
            BadLine { line: 9, why: Why::Columns { expected: 15, got: 9 } },
            BadLine { line: 15, why: Why::NotANumber("sc-win32-status") }
        ]
    );
    assert_eq!(reader.verdict(), Verdict::Log { kind: Kind::W3c, lines: 6, bad: 2 });
    assert_eq!(bad[0].to_string(), "line 9: 9 columns where #Fields names 15");
}

/// Query strings and cookies hold tokens; a report that shows them cannot be shared.
#[test]
fn secrets_of_a_log_do_not_come_out() {
    for name in ["u_ex261122.log", "httperr2.log"] {
        let log = file(name);
        assert!(log.windows(14).any(|w| w == b"planted-secret"));
        for event in LogReader::default().lines(&log) {
            let shown = format!("{event:?}");
            assert!(!shown.contains("planted"), "{shown}");
        }
    }
}

/// The samples that Microsoft publishes, which have no `#Fields`.
#[test]
fn httperr_without_headings_is_read() {
    let log = file("httperr1.log");
    let mut reader = LogReader::default();
    let lines = httperr(&mut reader, &log);
    let reasons: Vec<_> = lines.iter().map(|l| (text(l.reason), l.status, l.client_port)).collect();
    assert_eq!(
        reasons,
        [
            ("ConnLimit".into(), Some(503), Some(2094)),
            ("Hostname".into(), Some(400), Some(2780)),
            ("Version_N/S".into(), Some(505), Some(2894)),
            ("Timer_MinBytesPerSecond".into(), None, Some(64388)),
        ]
    );
    assert_eq!(lines[0].time, Stamp::parse("2002-07-05T18:45:09Z"));
    assert_eq!((text(lines[0].path), lines[0].queue), ("/qos/1kbfile.txt".into(), None));
    assert_eq!(reader.verdict(), Verdict::Log { kind: Kind::HttpErr, lines: 4, bad: 0 });
}

/// The client's port ties an HTTPERR line to one connection of authtap, on every version of Windows.
#[test]
fn httperr_is_read_in_all_layouts() {
    let log = file("httperr2.log");
    let with = httperr(&mut LogReader::default(), &log);
    let told = |l: &HttpErrLine<'_>| {
        (text(l.client_ip), l.client_port, text(l.reason), text(l.queue), l.site_id, l.stream, text(l.transport))
    };
    assert_eq!(
        told(&with[0]),
        (
            "198.51.100.7".into(),
            Some(50001),
            "FieldLength".into(),
            "DefaultAppPool".into(),
            Some(2),
            None,
            String::new()
        )
    );
    assert_eq!((text(with[0].path), with[0].query_bytes), ("/app/".into(), Some(21)));
    assert_eq!(
        told(&with[1]),
        (
            "2001:db8::7%12".into(),
            Some(50002),
            "Connection_Abandoned_By_ReqQueue".into(),
            "Intranet".into(),
            Some(2),
            Some(5),
            String::new()
        )
    );
    assert_eq!(
        told(&with[2]),
        ("198.51.100.7".into(), Some(50003), "Timer_SslRenegotiation".into(), String::new(), None, None, "TCP".into())
    );
    // Each line alone, without its heading.
    for (n, line) in String::from_utf8(log.clone()).unwrap().lines().filter(|l| !l.starts_with('#')).enumerate() {
        let alone = httperr(&mut LogReader::default(), line.as_bytes()).iter().map(told).collect::<Vec<_>>();
        assert_eq!(alone, [told(&with[n])], "{line}");
    }
}

/// Somebody hands over the wrong file: that must be said once, and not as thousand bad lines.
#[test]
fn foreign_and_empty_files_are_said() {
    let verdict = |log: &[u8]| {
        let mut reader = LogReader::default();
        let bad: Vec<_> = reader.lines(log).filter_map(Result::err).collect();
        (reader.verdict(), bad)
    };
    let apache = b"192.0.2.1 - - [22/Nov/2026:08:00:00 +0000] \"GET / HTTP/1.1\" 401 381\n".repeat(3);
    let (what, bad) = verdict(&apache);
    assert_eq!(what, Verdict::Foreign { columns: 10 });
    assert_eq!(bad, [BadLine { line: 1, why: Why::NotAnIisLog { columns: 10 } }]);
    assert_eq!(bad[0].to_string(), "line 1: not an IIS log: no #Fields and the first line has 10 columns");
    assert_eq!(verdict(b"").0, Verdict::Empty);
    assert_eq!(verdict(b"\xEF\xBB\xBF\r\n\r\n").0, Verdict::Empty);
    assert_eq!(verdict(b"#Software: x\r\n#Fields: date time sc-status\r\n").0, Verdict::OnlyDirectives);
    assert_eq!(verdict(b"#Fields: x-event x-severity\n").1, [BadLine { line: 1, why: Why::UnknownFields }]);
    // Twelve columns that are no HTTPERR line.
    assert_eq!(verdict(b"a b c d e f g h i j k l\n").0, Verdict::Foreign { columns: 12 });
    for what in [Verdict::Empty, Verdict::OnlyDirectives, Verdict::Foreign { columns: 3 }] {
        assert!(what.to_string().len() > 10);
    }
}

/// A crash leaves zeros and half lines; what follows must still be read.
#[test]
fn damage_costs_a_line_and_no_more() {
    let mut log = b"#Fields: date time cs-method cs-uri-stem sc-status sc-substatus sc-win32-status\n".to_vec();
    log.extend([0; 4096]);
    log.extend(b"\n2026-11-22 08:00:0");
    log.extend(b"\n2026-13-22 08:00:00 GET / 401 1 5\n2026-11-22 08:00:00 GET / 401 1 5\n");
    let (lines, bad) = w3c(&mut LogReader::default(), &log);
    assert_eq!(lines.len(), 1);
    assert_eq!(
        bad,
        [
            BadLine { line: 2, why: Why::Zeros },
            BadLine { line: 3, why: Why::Columns { expected: 7, got: 2 } },
            BadLine { line: 4, why: Why::NotATime }
        ]
    );
}

/// A log that is followed comes in pieces that end anywhere.
#[test]
fn pieces_are_joined_to_the_same_lines() {
    for name in ["u_ex261122.log", "httperr1.log", "httperr2.log"] {
        let log = file(name);
        let whole: Vec<String> = LogReader::default().lines(&log).map(|e| format!("{e:?}")).collect();
        for size in [1, 2, 7, 64, 1000] {
            let (mut reader, mut told) = (LogReader::default(), Vec::new());
            for piece in log.chunks(size) {
                reader.read(piece, |e| told.push(format!("{e:?}")));
            }
            reader.finish(|e| told.push(format!("{e:?}")));
            assert_eq!(told, whole, "{name} in pieces of {size}");
        }
    }
    // A line without an end must not take memory without one.
    let (mut reader, mut bad) = (LogReader::with_fields("date time sc-status"), Vec::new());
    for _ in 0..1000 {
        reader.read(&[b'x'; 1024], |e| bad.extend(e.err()));
    }
    reader.read(b"\n2026-11-22 08:00:00 401\n", |e| bad.extend(e.err()));
    assert_eq!(bad, [BadLine { line: 1, why: Why::TooLong }]);
    assert_eq!(reader.verdict(), Verdict::Log { kind: Kind::W3c, lines: 1, bad: 1 });
}

/// Directives tell when a part of the log begins.
#[test]
fn directives_are_told() {
    let log = file("httperr2.log");
    let dates: Vec<_> = LogReader::default()
        .lines(&log)
        .filter_map(|e| match e.unwrap() {
            LogEvent::Directive(Directive::Date(at)) => Some(at),
            _ => None,
        })
        .collect();
    assert_eq!(dates.len(), 3);
    assert_eq!(Some(dates[1]), Stamp::parse("2026-11-22T08:10:00Z"));
}

/// A value as IIS writes one: no space in it.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![Just("-".to_owned()), "[!-~é]{1,12}".prop_map(|w| if w.starts_with('#') { "x".to_owned() } else { w })]
}

proptest! {
    /// A panic here ends a live follow of the log.
    #[test]
    fn any_bytes_are_read(log in proptest::collection::vec(any::<u8>(), 0..400)) {
        for event in LogReader::default().lines(&log) {
            let _ = format!("{event:?}");
        }
        let mut reader = LogReader::with_fields("date time cs(Cookie) cs-uri-stem sc-status x y z");
        reader.read(&log, |event| { let _ = format!("{event:?}"); });
        reader.finish(|event| { let _ = format!("{event:?}"); });
    }

    /// The same with what logs are made of.
    #[test]
    fn any_soup_of_log_is_read(log in r"(#Fields: |#Date: |date |time |sc-status |s-reason |x |2026-11-22 |08:00:00 |401 |- |\+|\n|\r\n|[a-z] ){0,60}") {
        for event in LogReader::default().lines(log.as_bytes()) {
            let _ = format!("{event:?}");
        }
    }

    /// What a server wrote is what is read, in any order of fields.
    #[test]
    fn a_written_line_is_read_back(
        order in Just((0..9_usize).collect::<Vec<_>>()).prop_shuffle(),
        words in proptest::collection::vec(word(), 5),
        status in any::<u16>(), win32 in any::<u32>(), taken in any::<u64>(),
        second in 0..4_102_444_800_i64,
    ) {
        let at = Stamp(second * 1_000_000);
        let shown = at.to_string();
        let names = ["date", "time", "cs-method", "cs-uri-stem", "cs-username", "cs-host", "sc-status", "sc-win32-status", "time-taken"];
        let values = [
            shown[..10].to_owned(), shown[11..19].to_owned(), words[0].clone(), words[1].clone(), words[2].clone(), words[3].clone(),
            status.to_string(), win32.to_string(), taken.to_string(),
        ];
        let mut log = "#Fields:".to_owned();
        for n in &order {
            write!(log, " {}", names[*n]).unwrap();
        }
        log.push('\n');
        let line: Vec<&str> = order.iter().map(|n| values[*n].as_str()).collect();
        // A line that begins with # is a directive.
        prop_assume!(!line[0].starts_with('#'));
        log.push_str(&line.join(" "));
        let mut reader = LogReader::default();
        let (lines, bad) = w3c(&mut reader, log.as_bytes());
        prop_assert_eq!(bad, []);
        let read = &lines[0];
        prop_assert_eq!(read.time, Some(at));
        let kept = |word: &str| if word == "-" { String::new() } else { word.to_owned() };
        prop_assert_eq!([text(read.method), text(read.stem), text(read.user), text(read.host)],
            [kept(&words[0]), kept(&words[1]), kept(&words[2]), kept(&words[3])]);
        prop_assert_eq!((read.status, read.win32, read.time_taken_ms), (Some(status), Some(win32), Some(taken)));
    }
}
