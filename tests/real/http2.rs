//! HTTP/2 between a real client and a real server: curl and nginx agree on it through authtap as they would without it.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::authtap::{Authtap, Diagnosis};
use crate::process::{command, run};
use crate::rig::{ALICE, NginxFiles, Rig, SITE, Transport};

/// What curl and authtap say of a file that is asked for twice: without credentials, and with them.
struct Seen {
    /// The HTTP version that curl spoke.
    version: String,
    diagnosis: Diagnosis,
}

/// curl → authtap → nginx, with TLS on both sides. Insists that the file came whole.
fn download(http: &str, options: &[&str]) -> Seen {
    let rig = Rig::new(Transport::Tls);
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_be_bytes).collect();
    let server = NginxFiles::start(&rig, "file", &content);
    let authtap = Authtap::start_with("capture", &rig, server.port, options);
    let mut client = command("curl");
    client.args(["--disable", "--silent", "--show-error", "--max-time", "60", "--anyauth", http]);
    client.args(["--user", &format!("{}:{}", ALICE.user, ALICE.password)]);
    client.args(["--resolve", &format!("{SITE}:{}:127.0.0.1", authtap.port)]);
    rig.tell_keys(&mut client);
    crate::parts::asks(authtap.port, "curl");
    client.arg("--cacert").arg(rig.authority());
    client.arg("--output").arg(rig.path("got")).args(["--write-out", "%{http_version} %{http_code}"]);
    client.arg(rig.url(authtap.port, "/file?a=b"));
    let said = run("curl", client).stdout;
    assert!(fs::read(rig.path("got")).unwrap() == content, "the file did not come as nginx has it");
    let (version, status) = said.trim().split_once(' ').unwrap();
    assert_eq!(status, "200");
    Seen { version: version.to_owned(), diagnosis: authtap.stop() }
}

/// Version, status and body's length of each exchange that was told.
fn exchanges(diagnosis: &Diagnosis) -> Vec<(&str, u64, u64)> {
    let told = diagnosis.events.iter().filter(|e| e["type"] == "exchange");
    let number = |value: &Value| value.as_u64().unwrap();
    let line = |e: &'_ Value| (number(&e["response"]["status"]), number(&e["response"]["body_bytes"]));
    told.map(|e| (e["request"]["version"].as_str().unwrap(), line(e).0, line(e).1)).collect()
}

/// The ALPN of both sides of the one connection.
fn agreed(diagnosis: &Diagnosis) -> [&Value; 2] {
    let open = diagnosis.events.iter().find(|e| e["type"] == "connection_open").unwrap();
    [&open["tls"]["alpn_chosen"], &open["upstream_tls"]["alpn_chosen"]]
}

/// A client that uses HTTP/2 without authtap must use it with authtap, or what fails there cannot be seen.
#[test]
fn curl_and_nginx_speak_http2_through_authtap() {
    let seen = download("--http2", &[]);
    assert_eq!(seen.version, "2");
    assert_eq!(agreed(&seen.diagnosis), [&json!("h2"), &json!("h2")]);
    let told = exchanges(&seen.diagnosis);
    assert!(matches!(told.as_slice(), [("HTTP/2", 401, 1..), ("HTTP/2", 200, 1_200_000)]), "{told:?}");
    assert_eq!(seen.diagnosis.found(), BTreeSet::new());
    let start = seen.diagnosis.events.iter().find(|e| e["type"] == "start").unwrap();
    let checks = start["self_checks"].as_array().unwrap();
    assert!(checks.contains(&json!({"name": "upstream-alpn", "found": "h2"})), "{checks:?}");
}

/// The operator who wants HTTP/1.1 gets it, and is told what that hides.
#[test]
fn http2_can_be_kept_away_and_is_missed() {
    let seen = download("--http2", &["--alpn", "http1"]);
    assert_eq!(seen.version, "1.1");
    let told = exchanges(&seen.diagnosis);
    assert!(matches!(told.as_slice(), [("HTTP/1.1", 401, 1..), ("HTTP/1.1", 200, 1_200_000)]), "{told:?}");
    assert_eq!(seen.diagnosis.found(), BTreeSet::from(["proxy-hides-http2"]));
}

/// Clients that never asked for HTTP/2 notice nothing of it.
#[test]
fn a_client_of_http_1_1_is_served_as_before() {
    let seen = download("--http1.1", &[]);
    assert_eq!(seen.version, "1.1");
    assert_eq!(agreed(&seen.diagnosis), [&json!("http/1.1"), &json!("http/1.1")]);
    let told = exchanges(&seen.diagnosis);
    assert!(matches!(told.as_slice(), [("HTTP/1.1", 401, 1..), ("HTTP/1.1", 200, 1_200_000)]), "{told:?}");
    assert_eq!(seen.diagnosis.found(), BTreeSet::new());
}
