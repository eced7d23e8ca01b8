//! authtap's own packets of a run (`run --pcapng`), read by tshark: the same requests, answers and NTLM messages as authtap told, and
//! nothing malformed.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::authtap::{Authtap, Reading, report};
use crate::clients::{UPLOADS, curl, curl_negotiate_ntlm, curl_post, requests_gssapi, requests_ntlm, statuses_of};
use crate::process::{command, run};
use crate::rig::{ALICE, Apache, BOB, Kdc, NginxFiles, NtlmServer, Rig, SITE, Transport};
use crate::tshark;

/// A field of each packet that passes a filter.
fn field(file: &Path, port: u16, filter: &str, name: &str) -> Vec<String> {
    let mut tshark = command("tshark");
    tshark.arg("-r").arg(file).args([
        "-d",
        &format!("tcp.port=={port},http"),
        "-Y",
        filter,
        "-T",
        "fields",
        "-e",
        name,
    ]);
    tshark.env("HOME", file.parent().unwrap());
    run("tshark", tshark).stdout.lines().map(str::to_owned).collect()
}

fn counted(values: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    values.into_iter().fold(BTreeMap::new(), |mut counts, value| {
        *counts.entry(value).or_default() += 1;
        counts
    })
}

/// Holds the packets against the events of the same run; `jumps`: one of its bodies is longer than a packet.
fn check(file: &Path, port: u16, events: &[Value], jumps: bool) {
    let exchanges: Vec<&Value> = events.iter().filter(|event| event["type"] == "exchange").collect();
    assert!(exchanges.len() > 2, "{exchanges:#?}");
    let requests = counted(tshark::requests(file, &[port], None).into_iter().map(|(from, _)| from.to_string()));
    assert_eq!(requests.values().sum::<usize>(), exchanges.len(), "requests");
    let statuses = counted(field(file, port, "http.response", "http.response.code"));
    assert_eq!(statuses, counted(exchanges.iter().map(|e| e["response"]["status"].to_string())), "statuses");
    // The clients' addresses are those that authtap told.
    let mut clients = BTreeMap::new();
    for exchange in &exchanges {
        let open = |e: &&Value| e["type"] == "connection_open" && e["connection"] == exchange["connection"];
        let client = events.iter().find(open).unwrap()["client"].as_str().unwrap();
        *clients.entry(client.rsplit_once(':').unwrap().1.to_owned()).or_default() += 1;
    }
    assert_eq!(requests, clients, "the clients' ports");

    let malformed = field(file, port, "_ws.malformed || _ws.unreassembled", "frame.number");
    assert!(malformed.is_empty(), "malformed: {malformed:?}");
    // What tshark calls an error or a warning. Bodies of more than a packet are a jump.
    let mut tshark = command("tshark");
    tshark.arg("-q").arg("-r").arg(file).args(["-d", &format!("tcp.port=={port},http"), "-z", "expert,warn"]);
    tshark.env("HOME", file.parent().unwrap());
    let said = run("tshark", tshark).stdout;
    let complaint = |line: &&str| line.split_whitespace().next().is_some_and(|count| count.parse::<u64>().is_ok());
    let jump = |line: &str| line.contains("wasn't captured") || line.contains("Previous segment(s) not captured");
    assert!(said.lines().filter(complaint).all(jump), "{said}");
    assert_eq!(said.lines().any(jump), jumps, "{said}");

    let findings = events.iter().filter(|event| event["type"] == "finding").count();
    assert_eq!(field(file, port, "frame.comment contains \"finding \"", "frame.number").len(), findings, "findings");

    // Without secrets tokens of different clients may be equal, so nothing is concluded from them.
    let report = report(file, &Reading::default());
    assert_eq!(report["findings"], Value::Array(Vec::new()), "{report:#}");
    assert_eq!(report["exchanges"], 0, "{report:#}");
    assert!(report.to_string().contains("run --pcapng"), "{report:#}");
}

fn ntlm(transport: Transport) {
    let rig = Rig::new(transport);
    let server = NtlmServer::start(&rig);
    let file = rig.path("seen.pcapng");
    let authtap =
        Authtap::start_with("capture", &rig, server.port, &["--record", "all", "--pcapng", file.to_str().unwrap()]);
    let port = authtap.port;
    assert_eq!(curl(&rig, port, "--ntlm", ALICE, &["/a", "/b"]), [200, 200]);
    assert_eq!(statuses_of(&requests_ntlm(&rig, port, "/", BOB, &["--requests", "3"])), [200; 3]);
    assert_eq!(curl_negotiate_ntlm(&rig, port, &["/c"]), [200]);
    assert_eq!(curl_post(&rig, port, UPLOADS[0], ALICE, &vec![b'x'; 150_000]).0, 200);
    assert_eq!(curl_post(&rig, port, UPLOADS[1], ALICE, &[b'x'; 1_000]).0, 200);
    let diagnosis = authtap.stop();
    check(&file, server.port, &diagnosis.events, true);

    let seen = counted(tshark::ntlm(&file, &[server.port], None).into_values().map(str::to_owned));
    let expected =
        [("AUTHENTICATE", 5), ("CHALLENGE", 5), ("NEGOTIATE", 5)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(seen, BTreeMap::from(expected));
    let users = counted(field(&file, server.port, "ntlmssp.messagetype == 3", "ntlmssp.auth.username"));
    assert_eq!(users.keys().collect::<Vec<_>>(), ["alice", "bob"]);
    assert_eq!(
        field(&file, server.port, "ntlmssp.messagetype == 2", "ntlmssp.challenge.target_info.nb_computer_name"),
        ["IIS1"; 5]
    );
    let zeros = counted(field(&file, server.port, "ntlmssp.messagetype == 2", "ntlmssp.ntlmserverchallenge"));
    assert_eq!(zeros.into_keys().collect::<Vec<_>>(), ["0000000000000000"]);
}

/// When this fails, somebody who opens `--pcapng` in Wireshark sees other requests than there were, or no NTLM.
#[test]
fn own_packets_show_wireshark_what_authtap_saw() {
    ntlm(Transport::Plain);
}

/// The same inside TLS, which nobody else could show without keys.
#[test]
fn own_packets_show_wireshark_what_authtap_saw_inside_tls() {
    ntlm(Transport::Tls);
}

/// Kerberos tickets are not in it, and must not be shown as malformed ones.
#[test]
fn own_packets_of_kerberos_are_not_malformed() {
    let rig = Rig::new(Transport::Plain);
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    let file = rig.path("seen.pcapng");
    let authtap =
        Authtap::start_with("capture", &rig, apache.port, &["--record", "all", "--pcapng", file.to_str().unwrap()]);
    assert_eq!(statuses_of(&requests_gssapi(&rig, authtap.port, "/page", &kdc, &["--requests", "3"])), [200; 3]);
    let diagnosis = authtap.stop();
    check(&file, apache.port, &diagnosis.events, false);
    let fields = field(&file, apache.port, "http.authorization", "http.authorization");
    assert!(fields.iter().all(|f| f.contains("Kerberos ap-req for HTTP/www.example.test@EXAMPLE.TEST")), "{fields:?}");
    assert!(!fields.is_empty());
}

/// Streams of HTTP/2 stand there as HTTP/1 would have them, or Wireshark shows nothing of them.
#[test]
fn own_packets_of_http2_show_its_heads() {
    let rig = Rig::new(Transport::Tls);
    let server = NginxFiles::start(&rig, "file", &vec![b'x'; 1_000_000]);
    let file = rig.path("seen.pcapng");
    let authtap =
        Authtap::start_with("capture", &rig, server.port, &["--record", "all", "--pcapng", file.to_str().unwrap()]);
    let mut client = command("curl");
    client.args(["--disable", "--silent", "--show-error", "--max-time", "60", "--anyauth", "--http2"]);
    client.args(["--user", &format!("{}:{}", ALICE.user, ALICE.password)]);
    client.args(["--resolve", &format!("{SITE}:{}:127.0.0.1", authtap.port)]);
    rig.tell_keys(&mut client);
    crate::parts::asks(authtap.port, "curl");
    client.arg("--cacert").arg(rig.authority()).args(["--write-out", "%{http_version} %{http_code}"]);
    for path in ["/file?a=b", "/file"] {
        client.arg("--output").arg(rig.path("got")).arg(rig.url(authtap.port, path));
    }
    assert_eq!(run("curl", client).stdout.trim(), "2 2002 200");
    let diagnosis = authtap.stop();
    check(&file, server.port, &diagnosis.events, true);
    let versions = counted(field(&file, server.port, "http.request", "http.request.version"));
    assert_eq!(versions.into_keys().collect::<Vec<_>>(), ["HTTP/2"]);
    let credentials = counted(field(&file, server.port, "http.authbasic", "http.authbasic"));
    assert_eq!(credentials.into_keys().collect::<Vec<_>>(), ["alice:(kept out)"]);
}
