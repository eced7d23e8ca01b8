//! The command line on packet captures, as a user meets it: what is readable is reported, and what is not is named.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use authtap::sim::ntlm::av::{AvPairs, id};
use authtap::sim::ntlm::flags;
use authtap::sim::ntlm::message::{Challenge, Negotiate, SERVER_VERSION};
use authtap::sim::ntlm::respond::Login;

use super::made::{Connection, Packet, pcap, pcapng};
use crate::program::{authtap, stderr};

const AT: i64 = 1_700_000_000_000_000;
const REFUSED: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nServer: Microsoft-IIS/10.0\r\nWWW-Authenticate: Negotiate\r\n\
                         Content-Length: 0\r\n\r\n";

const PASSWORD: &str = "Password1-planted-in-a-capture";
const TAP: &str = r#"{"v":1,"at":"2023-11-14T22:13:20.000000Z","tap":"b9cdd44b7ed9bd7a","seq":1,"type":"start","version":"0.1.0","listen":["127.0.0.1:8080"],"upstream":["http://iis.example.test:80"],"self_checks":[]}
"#;

/// One request that is refused.
fn refused() -> Vec<Packet> {
    let mut c = Connection::new("192.0.2.1:40000", "192.0.2.80:80", AT);
    let mut packets = c.open();
    packets.push(c.client(b"GET /app HTTP/1.1\r\nHost: app.example.test\r\n\r\n"));
    packets.push(c.server(REFUSED));
    packets.extend(c.close());
    packets
}

fn gzip(file: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(file).expect("memory");
    packer.finish().expect("memory")
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).expect("a file");
        path
    }
}

fn report(files: &[&Path], more: &[&str]) -> Output {
    authtap().arg("report").args(files).args(more).output().expect("authtap runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Refused with exit code 2, nothing on stdout, and all of these words.
fn mistake(output: &Output, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty() && !said.contains("panicked"), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is missing: {said}");
    }
}

/// Whatever program wrote the capture, and whether it was packed: the same is in it.
#[test]
fn every_kind_of_file_gives_the_same_report() {
    let folder = Folder::new();
    let packets = refused();
    let files =
        [("a.pcap", pcap(&packets)), ("b.pcapng", pcapng(&packets, None)), ("c.pcap.gz", gzip(&pcap(&packets)))];
    for (name, bytes) in files {
        let output = report(&[&folder.write(name, &bytes)], &[]);
        let said = text(&output);
        assert!(output.status.success() && stderr(&output).is_empty(), "{name}: {}", stderr(&output));
        for words in [&format!("packet capture {name}: {} packets", packets.len()), "1 answer with status 401"] {
            assert!(said.contains(words), "{name}: {said}");
        }
    }
}

/// Somebody who has an hour of captures in pieces names them all, with what authtap wrote beside them.
#[test]
fn several_files_are_one_report() {
    let folder = Folder::new();
    let packets = refused();
    let (first, second) = packets.split_at(4);
    let (first, second) = (folder.write("1.pcap", &pcap(first)), folder.write("2.pcap", &pcap(second)));
    let output = report(&[&second, &first], &[]);
    assert!(text(&output).contains("1 connection from 1 client address, 1 request"), "{}", text(&output));
    let tap = folder.write("tap.jsonl", TAP.as_bytes());
    let output = report(&[&first, &tap, &second], &[]);
    let said = text(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    for words in ["packet capture 1.pcap: 4 packets", "http://iis.example.test", "1 answer with status 401"] {
        assert!(said.contains(words), "`{words}` is missing: {said}");
    }
}

/// A capture ends with its disk's space, or is still being written: what came before is reported, and the place is named on
/// stdout and on stderr.
#[test]
fn what_is_readable_of_a_damaged_file_is_reported() {
    let folder = Folder::new();
    let whole = pcap(&refused());
    let lies = [&whole[..], &[0xff; 40]].concat();
    let packed = gzip(&whole);
    let mut cut_block = pcapng(&refused(), None);
    cut_block.truncate(cut_block.len() - 7);
    for (name, bytes, why) in [
        ("cut.pcap", &whole[..whole.len() - 10], "the file ends after"),
        ("lies.pcap", &lies, "make no sense"),
        ("cut.pcap.gz", &packed[..packed.len() - 6], "gzip data cannot be unpacked"),
        ("cut.pcapng", &cut_block, "the file ends after"),
    ] {
        let output = report(&[&folder.write(name, bytes)], &[]);
        let (said, told) = (text(&output).replace("\n  ", " "), stderr(&output));
        assert!(output.status.success(), "{name}: {told}");
        assert!(said.contains("1 answer with status 401") && said.contains("NOT SEEN"), "{name}: {said}");
        for words in ["damaged at byte", why] {
            assert!(said.contains(words) && told.contains(words), "{name}, `{words}`: {said}\n{told}");
        }
    }
}

/// A ring of files has one that has just been begun: it must not cost the others.
#[test]
fn a_file_without_a_packet_costs_no_other() {
    let folder = Folder::new();
    let whole = pcap(&refused());
    let good = folder.write("good.pcap", &whole);
    let short = folder.write("short.pcap", &whole[..20]);
    let output = report(&[&good, &short], &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("short.pcap: damaged at byte 0"), "{}", stderr(&output));
    assert!(text(&output).contains("short.pcap is damaged at byte 0"), "{}", text(&output));
    mistake(&report(&[&short], &[]), &["short.pcap", "24 bytes", "ends after 20"]);

    let header = folder.write("header.pcap", &whole[..24]);
    let output = report(&[&header], &[]);
    let said = text(&output);
    assert!(output.status.success() && said.contains("packet capture header.pcap: 0 packets"), "{said}");
    assert!(said.contains("No HTTP") && !said.contains('@') && !said.contains("1970"), "{said}");
}

/// Files of other programs come by mistake: what they are, and what to do, is told before anything is read.
#[test]
fn what_is_no_capture_is_named_with_advice() {
    let folder = Folder::new();
    let good = folder.write("good.pcap", &pcap(&refused()));
    let zeros = [0; 600];
    let etl = [&[0, 0, 1, 0][..], &[0; 70], &[1, 0xc0], &[0; 28], &[0, 0, 1, 0], &zeros].concat();
    for (name, bytes, words) in [
        ("empty.pcap", Vec::new(), "the file is empty"),
        ("trace.etl", etl, "etl2pcapng"),
        ("netmon.cap", [b"GMBU", &zeros[..]].concat(), "editcap"),
        ("packed.zst", [&[0x28, 0xb5, 0x2f, 0xfd][..], &zeros].concat(), "zstd: unpack it first"),
        ("packed.zip", [b"PK\x03\x04", &zeros[..]].concat(), "ZIP archive: unpack it first"),
        ("magic.pcap", [&[1, 2, 3, 4][..], &zeros].concat(), "packet capture (pcap, pcapng)"),
        ("text.gz", gzip(b"some text\n"), "gzip"),
    ] {
        let file = folder.write(name, &bytes);
        mistake(&report(&[&file], &[]), &[name, words]);
        mistake(&report(&[&good, &file], &[]), &[name, words]);
    }
    mistake(&report(&[folder.0.path()], &[]), &["directory"]);
    mistake(&report(&[&folder.0.path().join("none.pcap")], &[]), &["none.pcap", "cannot open it"]);
}

/// `tcpdump -w - | authtap report /dev/stdin`: a pipe cannot be rewound.
#[cfg(unix)]
#[test]
fn a_pipe_is_read() {
    let mut child = authtap()
        .args(["report", "/dev/stdin"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("authtap starts");
    child.stdin.take().expect("stdin").write_all(&pcap(&refused())).expect("a reader");
    let output = child.wait_with_output().expect("an end");
    assert!(text(&output).contains("1 answer with status 401"), "{}", text(&output));
}

/// A file's name can clear the administrator's screen, or forge a line of the report.
#[cfg(unix)]
#[test]
fn names_with_control_characters_are_shown_without_them() {
    let folder = Folder::new();
    let whole = pcap(&refused());
    let odd = "a\u{1b}[2J\nVERDICT \u{7}ü.pcap";
    let cut = folder.write(odd, &whole[..whole.len() - 3]);
    let none = folder.write(&format!("none{odd}"), b"\x1b[2J");
    let good = folder.write("good.pcap", &whole);
    let value = "\u{1b}[2J";
    for output in [
        report(&[&cut], &[]),
        report(&[&none], &[]),
        report(&[&folder.0.path().join(value)], &[]),
        report(&[&good], &["--keylog", value]),
        report(&[&good], &["--trusted-proxy", value]),
        report(&[&good], &["--iis-log", value]),
        report(&[&good], &["--out", &format!("{value}/x")]),
    ] {
        for said in [text(&output), stderr(&output)] {
            assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
        }
        assert!(!text(&output).contains("\nVERDICT \u{fffd}"), "{}", text(&output));
    }
}

/// A key log that is missing, empty or none is told before hours are spent; its lines are secrets and not shown.
#[test]
fn key_logs_are_checked_first_and_never_shown() {
    let folder = Folder::new();
    let good = folder.write("good.pcap", &pcap(&refused()));
    let name = |path: &Path| path.to_str().expect("text").to_owned();
    mistake(&report(&[&good], &["--keylog", "none.log"]), &["--keylog", "none.log"]);
    mistake(&report(&[&good], &["--keylog", &name(folder.0.path())]), &["--keylog", "directory"]);
    let secret = "planted-secret-0123";
    for bytes in [String::new(), format!("CLIENT_RANDOM {secret} {secret}\n"), secret.repeat(100_000)] {
        let file = folder.write("keys.log", bytes.as_bytes());
        let output = report(&[&good], &["--keylog", &name(&file)]);
        mistake(&output, &["--keylog", "no secrets in it", "CLIENT_RANDOM"]);
        assert!(!stderr(&output).contains("planted"), "{}", stderr(&output));
    }
    let line = format!("CLIENT_RANDOM {} {}\n", "ab".repeat(32), "cd".repeat(48));
    let file = folder.write("keys.log", format!("{line}{secret}\n").as_bytes());
    let output = report(&[&good], &["--keylog", &name(&file)]);
    assert!(output.status.success() && stderr(&output).contains("1 line is no secret"), "{}", stderr(&output));
    let all = text(&output) + &stderr(&output);
    assert!(!all.contains("planted") && !all.contains("cdcdcdcd"), "{all}");
    mistake(&report(&[&good], &["--trusted-proxy", "proxy"]), &["--trusted-proxy", "proxy", "10.0.0.0/8"]);
}

/// Scripts read the JSON by its schema, and stop a pipeline by the exit code.
#[test]
fn json_fits_its_schema_and_exit_codes_hold() {
    let folder = Folder::new();
    let whole = pcap(&refused());
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/report-v1.schema.json");
    let schema: Value = serde_json::from_slice(&fs::read(schema).expect("the schema")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let cut = folder.write("cut.pcap", &whole[..whole.len() - 10]);
    let header = folder.write("header.pcap", &whole[..24]);
    let out = folder.0.path().join("report.json");
    for file in [cut.as_path(), &header] {
        let output = report(&[file], &["--format", "json", "--out", out.to_str().expect("text"), "--fail-on", "info"]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0), "{}", stderr(&output));
        let json: Value = serde_json::from_slice(&fs::read(&out).expect("a report")).expect("JSON");
        let faults: Vec<String> = validator.iter_errors(&json).map(|e| e.to_string()).collect();
        assert!(faults.is_empty(), "{faults:?}");
    }
    let split = folder.write("split.pcap", &pcap(&split()));
    for (least, code) in [("info", 1), ("high", 1)] {
        let output = report(&[&split], &["--fail-on", least]);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert!(text(&output).contains("frame "), "{}", text(&output));
    }
    let output = report(&[&split], &["--format", "json"]);
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let faults: Vec<String> = validator.iter_errors(&json).map(|e| e.to_string()).collect();
    assert!(faults.is_empty() && json["findings"].as_array().is_some_and(|f| !f.is_empty()), "{faults:?} {json}");
}

/// A handshake whose last message comes on another connection than its challenge: what a pooling balancer makes of it.
fn split() -> Vec<Packet> {
    let type1 = Negotiate::default().encode();
    let pairs = AvPairs::default().text(id::NB_DOMAIN_NAME, "EXAMPLE").text(id::NB_COMPUTER_NAME, "WEB01");
    let type2 = Challenge {
        flags: flags::CLIENT | flags::TARGET_INFO,
        server_challenge: *b"\xa1\xb2\xc3\xd4\xe5\xf6\x07\x18",
        target_name: "EXAMPLE".to_owned(),
        target_info: Some(pairs),
        version: Some(SERVER_VERSION),
    }
    .encode();
    let type3 = Login::new("EXAMPLE", "alice", PASSWORD).answer(&type1, &type2).expect("a challenge");
    let request = |token: &[u8]| {
        format!(
            "GET /app?code={PASSWORD} HTTP/1.1\r\nHost: app.example.test\r\nCookie: s={PASSWORD}\r\n\
             Authorization: NTLM {}\r\n\r\n",
            STANDARD.encode(token)
        )
    };
    let challenge = format!(
        "HTTP/1.1 401 Unauthorized\r\nServer: Microsoft-IIS/10.0\r\nWWW-Authenticate: NTLM {}\r\n\
         Set-Cookie: s={PASSWORD}\r\nContent-Length: 0\r\n\r\n",
        STANDARD.encode(&type2)
    );
    let mut one = Connection::new("192.0.2.1:40000", "192.0.2.80:80", AT);
    let mut other = Connection::new("192.0.2.1:40001", "192.0.2.80:80", AT + 100);
    let mut packets = one.open();
    packets.extend(other.open());
    packets.push(one.client(request(&type1).as_bytes()));
    packets.push(one.server(challenge.as_bytes()));
    other.at = one.at;
    packets.push(other.client(request(&type3).as_bytes()));
    packets.push(other.server(REFUSED));
    one.at = other.at;
    packets.extend(one.close());
    other.at = one.at;
    packets.extend(other.close());
    packets
}

/// A report is sent to vendors and pasted into tickets: of passwords, cookies and queries nothing may be in it, nor of the
/// proofs that passed, whole or cut within them, nor of other protocols.
#[test]
fn nothing_secret_leaves_a_capture() {
    let folder = Folder::new();
    let mut packets = split();
    let mut ftp = Connection::new("192.0.2.3:40000", "192.0.2.80:21", AT);
    packets.extend(ftp.open());
    packets.push(ftp.client(format!("PASS {PASSWORD}\r\n").as_bytes()));
    let mut bad = Connection::new("192.0.2.4:40000", "192.0.2.80:80", AT);
    packets.extend(bad.open());
    packets.push(bad.client(format!("GET /{PASSWORD} {PASSWORD} HTTP/1.1\r\n{PASSWORD}\r\n\r\n").as_bytes()));
    packets.push(bad.server(format!("HTTP/1.1 4O1 {PASSWORD}\r\n{PASSWORD}\r\n\r\n").as_bytes()));
    let mut basic = Connection::new("192.0.2.5:40000", "192.0.2.80:80", AT);
    packets.extend(basic.open());
    let encoded = STANDARD.encode(format!("alice:{PASSWORD}"));
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {encoded}\r\n\r\n");
    packets.push(basic.client(head.as_bytes()));
    packets.push(basic.server(REFUSED));
    // Packets that the snap length cut within a secret, and others that are missing.
    let cut: Vec<Packet> = packets.iter().map(|p| p.clone().cut(180)).collect();
    let missing: Vec<Packet> = packets.iter().step_by(2).cloned().collect();
    let key = "5e".repeat(48);
    let keys = format!("CLIENT_RANDOM {} {key}\n", "ab".repeat(32));
    let damaged = [&pcap(&packets)[..], PASSWORD.as_bytes(), &[0xff; 40]].concat();
    let files = [
        ("whole.pcapng", pcapng(&packets, Some(keys.as_bytes()))),
        ("cut.pcap", pcap(&cut)),
        ("missing.pcap", pcap(&missing)),
        ("damaged.pcap", damaged),
    ];
    for (name, bytes) in files {
        let file = folder.write(name, &bytes);
        for format in ["text", "json"] {
            let output = report(&[&file], &["--format", format]);
            assert!(output.status.success(), "{name}: {}", stderr(&output));
            let said = text(&output).replace("\n  ", "") + &stderr(&output);
            for secret in [PASSWORD, &encoded, encoded.get(8..24).expect("base64"), "5e5e5e5e"] {
                assert!(!said.contains(secret), "{name} as {format}: `{secret}` in {said}");
            }
        }
    }
}

/// IIS's log stands beside a capture of the same time: its lines are joined by the client's address and port.
#[test]
fn iis_logs_are_joined_with_packets() {
    let folder = Folder::new();
    let good = folder.write("good.pcap", &pcap(&refused()));
    let log = "#Software: Microsoft Internet Information Services 10.0\r\n#Version: 1.0\r\n#Date: 2023-11-14 22:13:00\r\n\
               #Fields: date time s-ip cs-method cs-uri-stem s-port c-ip sc-status sc-substatus sc-win32-status time-taken\r\n\
               2023-11-14 22:13:20 192.0.2.80 GET /app 80 192.0.2.1 401 2 5 0\r\n";
    let log = folder.write("u_ex231114.log", log.as_bytes());
    let output = report(&[&good], &["--iis-log", log.to_str().expect("text")]);
    let said = text(&output);
    assert!(
        output.status.success() && said.contains("IIS LOG") && said.contains("401 2 5"),
        "{said}\n{}",
        stderr(&output)
    );
}
