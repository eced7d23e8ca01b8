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

/// The answers that each request gets, one after the other.
fn answers(challenge: &str) -> Vec<String> {
    let long = API_KEY.repeat(4);
    let whole = |head: &str, body: &str| format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let html = "Server: Microsoft-IIS/10.0\r\nContent-Type: text/html";
    vec![
        answer(challenge),
        whole(
            &format!(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"app\", error=\"invalid_token\", \
                 error_description=\"the token '{PATH_TOKEN}' of {long} has expired\", \
                 error_uri=\"https://user:{PASSWORD}@iis.example.test/e?token={QUERY}\""
            ),
            "",
        ),
        whole("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"app\"", ""),
        whole(
            &format!(
                "HTTP/1.1 302 Found\r\n{html}\r\nLocation: /{PATH_TOKEN}/Account/Login?ReturnUrl=%2fx%3fcode%3d{QUERY}\
                 &ticket={API_KEY}#{QUERY}"
            ),
            BODY,
        ),
        whole(
            &format!("HTTP/1.1 500 Internal Server Error\r\n{html}"),
            &format!("<h1>The remote server returned an error: (401) Unauthorized.</h1>{BODY} password={PASSWORD}"),
        ),
        whole(&format!("HTTP/1.1 400 Bad Request\r\n{html}"), &format!("Header: Cookie: a={COOKIE} {BODY}")),
    ]
}

/// A refusal full of secrets, in its head and in its page.
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
        format!(
            "Authorization: Digest username=\"alice\", realm=\"app\", nonce=\"n\", qop=auth, nc=00000001, cnonce=\"c\", \
             uri=\"/other/{PATH_TOKEN}?access_token={QUERY}\", response=\"{DIGEST}\""
        ),
        format!("Authorization: Basic {}", STANDARD.encode(PASSWORD)),
        format!("Authorization: Basic {PASSWORD}"),
        format!("Authorization: NTLM {PASSWORD}"),
        format!("Authorization: Negotiate {}", STANDARD.encode(PASSWORD)),
        format!("Authorization: Kerberos {PASSWORD}=="),
        format!("Authorization: Bearer {BEARER} {PASSWORD}"),
        format!("Authorization: Bearer {BEARER}\r\nAuthorization: Basic {PASSWORD}"),
        format!("Origin: https://alice:{PASSWORD}@page.example.test/{PATH_TOKEN}\r\nSec-Fetch-Mode: cors"),
        format!("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-User: {PASSWORD}\r\nVia: 1.1 lb"),
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
    let replies = answers(&STANDARD.encode(&type2));
    let canned = replies.clone();
    let requests = requests(&type1, &type3);
    let each = requests.len() * 2;
    let count = each * replies.len();
    let server = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().expect("a connection");
        let mut seen = Vec::new();
        let mut bytes = [0; 4096];
        for number in 0..count {
            while !seen.windows(BODY.len()).any(|w| w == BODY.as_bytes()) {
                let n = tcp.read(&mut bytes).expect("a request");
                seen.extend_from_slice(&bytes[..n]);
            }
            seen.clear();
            tcp.write_all(canned[number / each].as_bytes()).expect("the answer");
        }
    });

    let dir = tempfile::tempdir().expect("a folder");
    let capture = dir.path().join("c.jsonl");
    let keys = tempfile::tempdir().expect("a folder");
    let key = keys.path().join("key");
    fs::write(&key, API_KEY).expect("a key");
    let key = key.to_str().expect("text");
    let packets = dir.path().join("c.pcapng");
    let packets = packets.to_str().expect("text");
    let more = ["--log-format", "json", "--record", "all", "--fingerprint-key", key, "--pcapng", packets];
    let tap = Running::start(&upstream, &capture, &more);
    let mut client = TcpStream::connect(tap.address).expect("authtap");
    let targets = [format!("/login/{PATH_TOKEN}?access_token={QUERY}&x"), format!("/(S({SESSION}))/page?{QUERY}")];
    for reply in &replies {
        for (field, target) in requests.iter().flat_map(|field| targets.iter().map(move |target| (field, target))) {
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
        // Of packets, the bytes that are no text are headers.
        let bytes = fs::read(&path).expect("it");
        outputs.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    let written: usize =
        outputs.iter().filter(|(name, _)| name.contains(".jsonl")).map(|(_, t)| t.lines().count()).sum();
    assert!(written > count, "the exchanges were not captured: {written} lines");
    assert!(outputs.iter().any(|(_, t)| t.contains("alice")), "the names must stay, or nothing was decoded");
    let in_packets = |what: &str| outputs.iter().any(|(name, t)| name.ends_with(".pcapng") && t.contains(what));
    let basic = STANDARD.encode("alice:(kept out)");
    assert!(in_packets("NTLM TlRMTVNTUAAD") && in_packets(&basic), "tokens must be made anew, or they hide nothing");
    assert!(outputs.iter().any(|(_, t)| t.contains("iis-detailed")), "the pages must be read, or they hide nothing");
    let captured =
        outputs.iter().filter(|(name, _)| name.contains(".jsonl")).map(|(_, t)| t.as_str()).collect::<String>();
    for slug in
        ["authorization-malformed", "bearer-rejected", "credentials-rejected", "digest-uri-mismatch", "double-hop"]
    {
        assert!(captured.contains(&format!("\"slug\":\"{slug}\"")), "{slug} was not told, and hides nothing");
    }
    clean(&secrets, &outputs);
}

/// No form of any secret is in any output.
fn clean(secrets: &[(&str, Vec<u8>)], outputs: &[(String, String)]) {
    let mut found = Vec::new();
    for (name, secret) in secrets {
        for form in forms(secret) {
            for (place, text) in outputs {
                if let Some(at) = text.find(&form) {
                    let around: String =
                        text[text.floor_char_boundary(at.saturating_sub(120))..].chars().take(200).collect();
                    found.push(format!("{name} as {form} in {place}: …{around}"));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// A server that says back what it was told, in its head and in its body, and offers every scheme.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let upstream = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.expect("a connection");
            std::thread::spawn(move || {
                let (mut seen, mut bytes) = (Vec::new(), [0; 4096]);
                while let Ok(n @ 1..) = tcp.read(&mut bytes) {
                    seen.extend_from_slice(&bytes[..n]);
                    if !seen.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    let head = String::from_utf8_lossy(&seen).into_owned();
                    let sent = head
                        .lines()
                        .find_map(|l| l.strip_prefix("authorization: ").or(l.strip_prefix("Authorization: ")));
                    let sent = sent.unwrap_or_default().to_owned();
                    seen.clear();
                    let reply = format!(
                        "HTTP/1.1 401 Unauthorized\r\nServer: {sent}\r\nWWW-Authenticate: Basic realm=\"{sent}\"\r\n\
                         WWW-Authenticate: NTLM\r\nWWW-Authenticate: Negotiate\r\nLocation: /?{sent}\r\n\
                         Content-Type: text/html\r\nContent-Length: {}\r\n\r\n{head}",
                        head.len()
                    );
                    if tcp.write_all(reply.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    upstream
}

/// What is typed for `check`, or stands in a key file, ends in a ticket as well: with the output, or with an error.
#[test]
fn neither_a_password_nor_a_key_is_said_again() {
    const KEY: &str = "planted-key-of-fingerprints-4242";
    let dir = tempfile::tempdir().expect("a folder");
    let (key, short) = (dir.path().join("key"), dir.path().join("short"));
    fs::write(&key, KEY).expect("a key");
    fs::write(&short, &KEY[..12]).expect("a key");
    let text = |path: &std::path::Path| path.to_str().expect("text").to_owned();
    let (key, short) = (text(&key), text(&short));
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let echo = echo();
    let with_password = format!("http://alice:{PASSWORD}@iis.example.test/");
    let user = ["--user", r"EXAMPLE\alice", "--timeout", "2s"];
    let run = ["run", "--listen", "127.0.0.1:0", "--upstream"];
    let mut tried: Vec<Vec<String>> = Vec::new();
    for upstream in [format!("http://{closed}"), format!("https://{closed}"), format!("http://{echo}"), with_password] {
        for format in ["text", "json"] {
            let check = ["check", "--format", format, "--upstream", &upstream];
            tried.push(check.into_iter().chain(user).map(str::to_owned).collect());
        }
    }
    for (upstream, key) in [(format!("http://alice:{PASSWORD}@{closed}"), &key), (format!("http://{closed}"), &short)] {
        tried.push(run.into_iter().chain([&*upstream, "--fingerprint-key", key]).map(str::to_owned).collect());
    }
    let secrets = [("password", PASSWORD), ("key", &KEY[..12])].map(|(n, v)| (n, v.as_bytes().to_vec()));
    for args in tried {
        let mut command = crate::program::authtap();
        command.args(&args).env("AUTHTAP_PASSWORD", PASSWORD).env("RUST_BACKTRACE", "full").env("AUTHTAP_LOG", "trace");
        let output = command.output().expect("authtap runs");
        let said = [output.stdout, output.stderr].map(|o| String::from_utf8_lossy(&o).into_owned());
        assert!(!said.concat().is_empty(), "{args:?}");
        clean(&secrets, &said.map(|text| (format!("{:?}", &args[..5]), text)));
    }
}
