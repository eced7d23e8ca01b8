//! No secret in any output: plants them in the traffic, and searches everything that authtap wrote.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use authtap::model::FileTime;
use authtap::sim::ntlm::av::{AvPairs, id};
use authtap::sim::ntlm::flags;
use authtap::sim::ntlm::message::{Challenge, Negotiate, SERVER_VERSION};
use authtap::sim::ntlm::read;
use authtap::sim::ntlm::respond::Login;

use crate::program::{Running, output};

const PASSWORD: &str = "Hunter2-planted-password";
const COOKIE: &str = "planted-cookie-7f3a91c2";
const SESSION: &str = "planted-session-55aa01";
const BEARER: &str = "planted-bearer-signature-9c1d";
const QUERY: &str = "planted-query-token-e21b";
const API_KEY: &str = "planted-api-key-00beef";
const DIGEST: &str = "0badc0de0badc0de0badc0de0badc0de";
const BODY: &str = "planted-body-password-77";
const PATH_TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJwbGFudGVkIjoicGF0aC10b2tlbi0zMyJ9.cGxhbnRlZC1wYXRoLXNpZ25hdHVyZQ";

/// Every answer that the server has, whatever is asked: full of secrets too.
fn answer(challenge: &str) -> String {
    let page = page();
    format!(
        "HTTP/1.1 401 Unauthorized\r\nServer: Microsoft-IIS/10.0\r\nWWW-Authenticate: NTLM {challenge}\r\n\
         WWW-Authenticate: Digest realm=\"app\", nonce=\"n0nce\", qop=\"auth\"\r\n\
         Set-Cookie: ASP.NET_SessionId={SESSION}; path=/; HttpOnly\r\nX-Api-Key: {API_KEY}\r\n\
         Location: https://user:{PASSWORD}@iis.example.test/next?code={QUERY}#{QUERY}\r\n\
         Content-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
        page.len()
    )
}

/// A detailed error page, which is read: it shows the URL as it was asked for, and where it lies.
fn page() -> String {
    let file = format!("{}/tests/data/iis/pages/detailed-10-401.2.html", env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(file).expect("a page");
    let (url, path) = ("/app/?ticket=planted-secret", r"C:\inetpub\planted-path\app");
    assert!(page.contains(url) && page.contains(path));
    page.replace(url, &format!("/login/{PATH_TOKEN}?access_token={QUERY}"))
        .replace(path, &format!(r"C:\inetpub\{API_KEY}\{BODY}"))
        .replacen("Filler.", BODY, 1)
}

fn challenge() -> Vec<u8> {
    let pairs = AvPairs::default()
        .text(id::NB_COMPUTER_NAME, "WEB01")
        .text(id::NB_DOMAIN_NAME, "EXAMPLE")
        .timestamp(FileTime(133_000_000_000_000_001));
    Challenge {
        flags: flags::CLIENT | flags::TARGET_INFO,
        server_challenge: *b"\xa1\xb2\xc3\xd4\xe5\xf6\x07\x18",
        target_name: "EXAMPLE".to_owned(),
        target_info: Some(pairs),
        version: Some(SERVER_VERSION),
    }
    .encode()
}

/// Every way in which a planted value could appear: as it is, base64 at each alignment, hex.
fn forms(secret: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    if let Ok(text) = std::str::from_utf8(secret) {
        forms.push(text.to_owned());
    }
    let mut hex = String::new();
    for byte in secret {
        write!(hex, "{byte:02x}").expect("text");
    }
    forms.push(hex.to_uppercase());
    forms.push(hex);
    for skip in 0..3 {
        // Base64 of the bytes from the first whole group on: what stands in a longer token's base64 as well.
        let inner = &secret[skip.min(secret.len())..];
        let whole = &inner[..inner.len() / 3 * 3];
        if whole.len() >= 6 {
            forms.push(STANDARD.encode(whole));
        }
    }
    forms
}

/// Header fields with each kind of credentials, well-formed and broken.
fn requests(type1: &[u8], type3: &[u8]) -> Vec<String> {
    vec![
        format!("Authorization: NTLM {}", STANDARD.encode(type1)),
        format!("Authorization: NTLM {}", STANDARD.encode(type3)),
        format!("Authorization: Negotiate {}", STANDARD.encode(type3)),
        format!("Authorization: Basic {}", STANDARD.encode(format!("alice:{PASSWORD}"))),
        format!("Authorization: Basic {}!!", STANDARD.encode(format!("alice:{PASSWORD}"))),
        format!("Authorization: Bearer eyJhbGciOiJub25lIn0.e30.{BEARER}"),
        format!("Authorization: Bearer {BEARER}"),
        format!(
            "Authorization: Digest username=\"alice\", realm=\"app\", nonce=\"n\", uri=\"/\", response=\"{DIGEST}\""
        ),
        format!("Authorization: Digest username=\"alice\", response={DIGEST}, x=\"{PASSWORD}"),
        format!("Authorization: {BEARER}"),
        format!("Authorization: MyScheme token={BEARER}"),
        format!("Proxy-Authorization: Basic {}", STANDARD.encode(format!("bob:{PASSWORD}"))),
        format!("X-Auth-Token: {BEARER}\r\nX-Forwarded-Access-Token: {BEARER}"),
        format!("Cookie: .ASPXAUTH={COOKIE}; theme=dark; {COOKIE}"),
        format!("Referer: https://iis.example.test/x?token={QUERY}"),
    ]
}

/// A secret in a capture, a trace, a report or a summary ends in a support ticket, and from there anywhere.
#[test]
fn nothing_that_authtap_writes_holds_a_planted_secret() {
    let type1 = Negotiate::default().encode();
    let type2 = challenge();
    let login = Login::new("EXAMPLE", "alice", PASSWORD);
    let type3 = login.answer(&type1, &type2).expect("a challenge");
    let mut secrets: Vec<(&str, Vec<u8>)> = [
        ("password", PASSWORD),
        ("cookie", COOKIE),
        ("session", SESSION),
        ("bearer", BEARER),
        ("query", QUERY),
        ("api key", API_KEY),
        ("digest response", DIGEST),
        ("body", BODY),
        ("token in the path", PATH_TOKEN),
    ]
    .map(|(name, value)| (name, value.as_bytes().to_vec()))
    .into();
    let sent = read::Authenticate::read(&type3).expect("a Type 3");
    for (name, value) in [("NT response", sent.nt_proof.to_vec()), ("session key", sent.session_key)] {
        assert!(value.len() >= 16, "{name}");
        secrets.push((name, value[..16].to_vec()));
    }

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let upstream = format!("http://{}", listener.local_addr().expect("an address"));
    let reply = answer(&STANDARD.encode(&type2));
    let canned = reply.clone();
    let requests = requests(&type1, &type3);
    let count = requests.len() * 2;
    let server = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().expect("a connection");
        let mut seen = Vec::new();
        let mut bytes = [0; 4096];
        for _ in 0..count {
            while !seen.windows(BODY.len()).any(|w| w == BODY.as_bytes()) {
                let n = tcp.read(&mut bytes).expect("a request");
                seen.extend_from_slice(&bytes[..n]);
            }
            seen.clear();
            tcp.write_all(canned.as_bytes()).expect("the answer");
        }
    });

    let dir = tempfile::tempdir().expect("a folder");
    let capture = dir.path().join("c.jsonl");
    let tap = Running::start(&upstream, &capture, &["--log-format", "json", "--record", "all"]);
    let mut client = TcpStream::connect(tap.address).expect("authtap");
    for field in &requests {
        for target in [format!("/login/{PATH_TOKEN}?access_token={QUERY}&x"), format!("/(S({SESSION}))/page?{QUERY}")] {
            let head = format!("POST {target} HTTP/1.1\r\nHost: iis.example.test\r\n{field}\r\n");
            client.write_all(format!("{head}Content-Length: {}\r\n\r\n{BODY}", BODY.len()).as_bytes()).expect("it");
            let mut got = vec![0; reply.len()];
            client.read_exact(&mut got).expect("the answer");
        }
    }
    drop(client);
    server.join().expect("the server");
    let said = tap.stop();

    let path = capture.to_str().expect("text");
    let mut outputs = vec![("stderr".to_owned(), said)];
    for format in ["text", "json"] {
        let report = output(&["report", path, "--format", format]);
        assert!(report.status.success());
        outputs.push((format!("report {format}"), String::from_utf8_lossy(&report.stdout).into_owned()));
    }
    for entry in fs::read_dir(dir.path()).expect("the folder") {
        let path = entry.expect("a file").path();
        outputs.push((path.display().to_string(), fs::read_to_string(&path).expect("text")));
    }
    let written: usize =
        outputs.iter().filter(|(name, _)| name.contains(".jsonl")).map(|(_, t)| t.lines().count()).sum();
    assert!(written > count, "the exchanges were not captured: {written} lines");
    assert!(outputs.iter().any(|(_, t)| t.contains("alice")), "the names must stay, or nothing was decoded");
    assert!(outputs.iter().any(|(_, t)| t.contains("iis-detailed")), "the pages must be read, or they hide nothing");
    let mut found = Vec::new();
    for (name, secret) in &secrets {
        for form in forms(secret) {
            for (place, text) in &outputs {
                if let Some(at) = text.find(&form) {
                    let around: String = text[at.saturating_sub(120)..].chars().take(200).collect();
                    found.push(format!("{name} as {form} in {place}: …{around}"));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
