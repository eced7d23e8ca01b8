//! A simulated IIS behind a real authtap, and the log that it wrote.

use std::net::{Ipv4Addr, SocketAddr};

use authtap::app::Tap;
use authtap::config::{Origin, file, resolve};
use authtap::net::Clock;
use authtap::sim::client::{Client, Login};
use authtap::sim::iis::Iis;
use authtap::sim::iis::log::w3c;
use authtap::sim::iis::settings::{Clock as SimClock, PASSWORD, Settings};
use serde_json::Value;

use crate::program::output;

/// The whole way: what is refused on the wire, and why, by the server's own log and a clock that is 37 s behind.
#[tokio::test]
async fn the_log_of_the_server_says_why_each_was_refused() {
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("authtap.jsonl");
    let clock = Clock::start();
    let settings = Settings {
        clock: SimClock::new(move || clock.now()),
        unreadable: Some("/payroll".to_owned()),
        ..Settings::default()
    };
    let iis = Iis::start(settings).await.unwrap();
    let wanted = file::File {
        site: vec![file::Site {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            upstream: format!("http://{}", iis.address()),
            tls_cert: None,
            tls_key: None,
            upstream_ca: None,
            upstream_verify: None,
            alpn: None,
        }],
        capture: file::Capture { file: Some(capture.clone()), ..file::Capture::default() },
        ..file::File::default()
    };
    let config = resolve::resolve(&wanted, &Origin::default()).unwrap();
    let tap = Tap::start(&config, Vec::new()).await.unwrap();
    let mut statuses = Vec::new();
    for (user, password, path) in [
        ("alice", PASSWORD, "/"),
        ("bob", "Password2-wrong", "/"),
        ("carol", PASSWORD, "/payroll/"),
        ("carol", "Password2-wrong", "/reports"),
    ] {
        let mut client = Client::connect(tap.addresses()[0]).await.unwrap();
        client.agent = Some(format!("Browser of {user}"));
        let replies = client.logon(path, &Login::new("EXAMPLE", user, password)).await.unwrap();
        statuses.extend(replies.iter().map(|reply| reply.status));
    }
    assert_eq!(statuses, [401, 401, 200, 401, 401, 401, 401, 401, 401, 401, 401, 401]);
    tap.stop().await;
    let log = dir.path().join("u_ex261122.log");
    std::fs::write(&log, w3c(&iis.log(), iis.address(), -37_000_000)).unwrap();
    iis.stop().await;

    let args = ["report", capture.to_str().unwrap(), "--format", "json", "--iis-log", log.to_str().unwrap()];
    let report: Value = serde_json::from_slice(&output(&args).stdout).unwrap();
    let told = &report["iis_log"];
    assert_eq!(told["refusals"]["unmatched"], 0, "{told}");
    assert_eq!(
        told["refusals"]["unique"].as_u64().unwrap() + told["refusals"]["agreed"].as_u64().unwrap(),
        11,
        "{told}"
    );
    let ahead = told["files"][0]["clock"]["ahead_ms"].as_i64().unwrap();
    assert!((-38_500..=-35_500).contains(&ahead), "{told}");
    let finding = |slug: &str| report["findings"].as_array().unwrap().iter().find(|f| f["slug"] == slug).unwrap();
    let refused = finding("credentials-rejected");
    assert_eq!((&refused["basis"], &refused["count"]), (&Value::from("observed"), &Value::from(2)), "{refused}");
    let denied = finding("access-denied-after-logon");
    assert_eq!((&denied["basis"], &denied["count"]), (&Value::from("observed"), &Value::from(1)), "{denied}");
    let summary = denied["summary"].as_str().unwrap();
    assert!(summary.starts_with("The server refused EXAMPLE\\carol for GET /payroll/ on connection 3."), "{summary}");
    assert!(summary.contains("401 3 5") && summary.contains("the password is not the cause"), "{summary}");
    assert_eq!((&told["proved"], &told["corrected"]), (&Value::from(2), &Value::from(1)), "{told}");
    let readme = include_str!("../../../README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(readme.contains(refused["summary"].as_str().unwrap()), "the README's example: {}", refused["summary"]);
    let says: Vec<&str> = refused["evidence"].as_array().unwrap().iter().map(|e| e["says"].as_str().unwrap()).collect();
    assert!(says.contains(&"u_ex261122.log line 9: 401 1 2148074252 (the only line that fits)"), "{says:?}");
}
