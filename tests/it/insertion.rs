//! What authtap's own place breaks, told by a running authtap: at start, and in its report.

use std::path::Path;

use authtap::sim::iis::Iis;
use serde_json::Value;
use tempfile::tempdir;

use crate::check::{asks_for_certificates, in_tls, stock};
use crate::program::{Running, output};
use crate::tls::Identity;

/// The slugs that the report of a capture holds.
fn reported(capture: &Path) -> Vec<String> {
    let report = output(&["report", "--format", "json", capture.to_str().expect("text")]);
    let report: Value = serde_json::from_slice(&report.stdout).expect("JSON");
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().map(|f| f["slug"].as_str().expect("a slug").to_owned()).collect()
}

/// People who log on by certificate are locked out while authtap stands there: that must be read before the first of
/// them calls.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_that_is_asked_for_is_told_at_start() {
    let identity = Identity::new();
    let iis = Iis::start(stock()).await.expect("a server");
    let upstream = format!("https://{}", in_tls(asks_for_certificates(&identity, false), iis.address()).await);
    let folder = tempdir().expect("a folder");
    let capture = folder.path().join("capture.jsonl");
    let path = capture.clone();
    let run = move || Running::start(&upstream, &path, &["--upstream-verify", "record"]).stop();
    let said = tokio::task::spawn_blocking(run).await.expect("it ran");
    assert!(said.contains("authtap: client-certificate-asked: https://127.0.0.1:"), "{said}");
    assert_eq!(reported(&capture), ["client-certificate-not-relayed"]);
}

/// That IIS takes everybody for a local user, and that clients name another port, is a property of the place: it is said
/// at start, and is no finding while it does no harm.
#[tokio::test(flavor = "multi_thread")]
async fn the_own_host_and_an_own_port_are_said_at_start_and_are_no_finding() {
    let iis = Iis::start(stock()).await.expect("a server");
    let upstream = format!("http://{}", iis.address());
    let folder = tempdir().expect("a folder");
    let capture = folder.path().join("capture.jsonl");
    let path = capture.clone();
    let (said, port) = tokio::task::spawn_blocking(move || {
        let authtap = Running::start(&upstream, &path, &[]);
        let port = authtap.address.port();
        (authtap.stop(), port)
    })
    .await
    .expect("it ran");
    assert!(said.contains("authtap: own-host: http://127.0.0.1:"), "{said}");
    assert!(said.contains(&format!("authtap's port {port} name {port} in `Host`")), "{said}");
    assert!(reported(&capture).is_empty());
}
