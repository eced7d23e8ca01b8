//! The fuzz oracles on plain `cargo test`: every kept input, and the fixtures as seeds.

#[path = "../../fuzz/src/oracles.rs"]
#[allow(unreachable_pub, reason = "the fuzz package exports what is private here")]
mod oracles;

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use crate::packets::made;

type Oracle = fn(&[u8]);

/// Every oracle, by the name of its target.
const ORACLES: [(&str, Oracle); 15] = [
    ("challenges", oracles::challenges),
    ("credentials", oracles::credentials),
    ("token", oracles::token),
    ("redact", oracles::redact),
    ("framing", oracles::framing),
    ("http2", oracles::http2),
    ("engine", oracles::engine),
    ("page", oracles::page),
    ("log", oracles::log),
    ("join", oracles::join),
    ("lookup", oracles::lookup),
    ("packet_tcp", oracles::packet_tcp),
    ("packet_file", oracles::packet_file),
    ("packet_tls", oracles::packet_tls),
    ("packet_report", oracles::packet_report),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            out.extend(files(&path));
        } else {
            out.push(path);
        }
    }
    out.sort();
    out
}

/// What the fuzzer once found must stay found: `tests/data/fuzz/<oracle>/*`, one file an input.
#[test]
fn kept_inputs_hold() {
    let mut replayed = 0;
    for (name, oracle) in ORACLES {
        for file in files(&root().join("tests/data/fuzz").join(name)) {
            oracle(&fs::read(&file).expect("an input"));
            replayed += 1;
        }
    }
    assert!(replayed >= ORACLES.len(), "each oracle has an input at least: {replayed}");
}

/// The fixtures reach deeper than what a fuzzer makes up at first; they must hold as well.
#[test]
fn fixtures_hold() {
    let tokens = files(&root().join("tests/data/tokens"));
    let tokens: Vec<String> = tokens
        .iter()
        .filter(|p| p.extension().is_some_and(|e| e == "b64"))
        .map(|p| fs::read_to_string(p).expect("a token").trim().to_owned())
        .collect();
    assert!(tokens.len() >= 20, "{}", tokens.len());
    for token in &tokens {
        oracles::token(&STANDARD.decode(token).expect("base64"));
        for scheme in ["NTLM", "Negotiate", "Bearer", "Basic", "Digest"] {
            oracles::credentials(format!("{scheme} {token}").as_bytes());
            oracles::challenges(format!("{scheme} {token}").as_bytes());
            oracles::redact(format!("Authorization: {scheme} {token}").as_bytes());
        }
    }
    for log in files(&root().join("tests/data/iis/logs")) {
        let log = fs::read(&log).expect("a log");
        oracles::log(&log);
        oracles::join(&log);
    }
    for page in files(&root().join("tests/data/iis/pages")) {
        let body = fs::read(&page).expect("a page");
        for kind in [0x05, 0x85, 0x15, 0x06] {
            oracles::page(&[&[kind], body.as_slice()].concat());
        }
    }
}

/// A capture of a refusal and of a logon, damaged at any one byte: seeds that reach the whole path.
#[test]
fn captures_damaged_anywhere_make_a_report() {
    let mut c = made::Connection::new("192.0.2.1:40000", "192.0.2.80:80", 1_700_000_000_000_000);
    let mut packets = c.open();
    for token in ["Negotiate TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAKAGFKAAAADw==", "Basic !", "Bearer \u{1b}[2J"] {
        packets.push(c.client(format!("GET /\u{1b} HTTP/1.1\r\nAuthorization: {token}\r\n\r\n").as_bytes()));
        let answer = b"HTTP/1.1 401 \x1b[2J\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n";
        packets.push(c.server(answer));
    }
    packets.extend(c.close());
    for file in [made::pcap(&packets), made::pcapng(&packets, None)] {
        oracles::packet_report(&file);
        for at in (0..file.len()).step_by(13) {
            let mut damaged = file.clone();
            damaged[at] ^= 0xa5;
            oracles::packet_report(&damaged);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Bytes of a capture are cut and damaged anyhow; what comes out of TLS must be what was sent, or nothing.
    #[test]
    fn tls_gives_what_was_sent(which: u8, damage: bool, steps in prop::collection::vec(any::<[u8; 3]>(), 0..60)) {
        // Most often nothing is damaged, so that the whole connection is read.
        let steps = steps.into_iter().map(|[what, a, b]| [if damage { what } else { what | 8 }, a, b]);
        oracles::packet_tls(&[vec![which], steps.flatten().collect()].concat());
    }
}
