//! The moments of bodies and interim answers, as real programs make them.

use serde_json::Value;

use crate::authtap::Authtap;
use crate::clients::curl_post;
use crate::rig::{ALICE, NtlmServer, Rig, Transport};

/// Who waited for whom in an upload is told by these times; when they are not those of the wire, the wrong side is blamed.
#[test]
fn an_upload_that_waits_for_100_has_its_moments_in_order() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start(&rig);
    let authtap = Authtap::start(&rig, server.port);
    let body = vec![b'x'; 3_000_000];
    let (status, received) =
        curl_post(&rig, authtap.port, &["--ntlm", "--header", "Expect: 100-continue"], ALICE, &body);
    assert_eq!((status, received.length), (200, body.len()));
    let diagnosis = authtap.stop();
    diagnosis.assert_healthy();
    let exchanges: Vec<&Value> = diagnosis.events.iter().filter(|e| e["type"] == "exchange").collect();
    let bodies: Vec<u64> = exchanges.iter().map(|e| e["request"]["body_bytes"].as_u64().unwrap()).collect();
    assert_eq!(bodies, [0, 3_000_000], "curl holds the body back until AUTHENTICATE");
    for exchange in &exchanges {
        let times = &exchange["times"];
        // The server says 100 also to a request whose body is empty, and so ends with its head.
        let parts: &[&str] = match exchange["request"]["body_bytes"].as_u64() {
            Some(0) => &["request", "request_head", "request_end", "interim", "response_head", "end"],
            _ => &["request", "request_head", "interim", "request_body", "request_end", "response_head", "end"],
        };
        let mut passed: Vec<&str> = Vec::new();
        for part in parts {
            let time = if *part == "interim" { &times[part][0] } else { &times[part] };
            passed.push(time.as_str().unwrap_or_else(|| panic!("no {part}: {exchange:#}")));
        }
        assert!(passed.is_sorted(), "{exchange:#}");
        assert!(exchange["end_seq"].as_u64() > exchange["seq"].as_u64(), "{exchange:#}");
    }
    assert_eq!(exchanges[1]["interim"], serde_json::json!([100]));
}
