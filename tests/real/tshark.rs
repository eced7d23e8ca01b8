//! tshark's reading of NTLM and Kerberos in HTTP: names, flags, types, against ours; and the requests that it sees in a capture.
//!
//! For tokens tshark is given packets of our making (IPv4, TCP, one HTTP head each) that hold real tokens, so that no privilege to
//! capture is needed. Tokens of one connection stay on one: it knows a NegTokenResp only where it saw the NegTokenInit.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use authtap::model::auth::Ntlm;
use serde_json::Value;

use crate::oracle::Seen;
use crate::process::{command, run};
use crate::rig::Rig;

/// The ports of each request in a capture, from and to, in the order of the packets; `keys` open TLS.
pub(crate) fn requests(capture: &Path, ports: &[u16], keys: Option<&Path>) -> Vec<(u16, u16)> {
    let lines = fields(capture, ports, keys, "http.request", ["tcp.srcport", "tcp.dstport"]);
    lines.into_iter().map(|[from, to]| (from.parse().unwrap(), to.parse().unwrap())).collect()
}

/// The frames of a capture that hold messages of NTLM, and which.
pub(crate) fn ntlm(capture: &Path, ports: &[u16], keys: Option<&Path>) -> HashMap<u64, &'static str> {
    let lines = fields(capture, ports, keys, "ntlmssp", ["frame.number", "ntlmssp.messagetype"]);
    let messages = lines.into_iter().map(|[frame, kind]| {
        let kind = match kind.as_str() {
            "0x00000001" => "NEGOTIATE",
            "0x00000002" => "CHALLENGE",
            "0x00000003" => "AUTHENTICATE",
            other => panic!("frame {frame} holds an NTLM message {other:?}"),
        };
        (frame.parse().unwrap(), kind)
    });
    messages.collect()
}

fn fields(capture: &Path, ports: &[u16], keys: Option<&Path>, filter: &str, names: [&str; 2]) -> Vec<[String; 2]> {
    let mut tshark = command("tshark");
    tshark.arg("-r").arg(capture).args(["-Y", filter, "-T", "fields", "-e", names[0], "-e", names[1]]);
    for port in ports {
        tshark.args(["-d", &format!("tcp.port=={port},{}", if keys.is_some() { "tls" } else { "http" })]);
    }
    if let Some(keys) = keys {
        tshark.args(["-o", &format!("tls.keylog_file:{}", keys.display())]);
    }
    tshark.env("HOME", capture.parent().unwrap());
    let said = run("tshark", tshark).stdout;
    said.lines().map(|line| line.split_once('\t').unwrap()).map(|(a, b)| [a.to_owned(), b.to_owned()]).collect()
}

/// Gives how many tokens held something that both read.
pub(crate) fn compare(rig: &Rig, seen: &[Seen]) -> usize {
    let file = rig.path("tokens.pcap");
    fs::write(&file, pcap(seen)).unwrap();
    let mut tshark = command("tshark");
    tshark.arg("-r").arg(&file).args(["-T", "json", "--no-duplicate-keys"]);
    tshark.env("HOME", rig.path(""));
    let said = run("tshark", tshark).stdout;
    let packets: Vec<Value> = serde_json::from_str(&said).unwrap();
    assert_eq!(packets.len(), seen.len());
    packets.iter().zip(seen).filter(|(packet, seen)| compare_one(&packet["_source"]["layers"], seen)).count()
}

fn compare_one(layers: &Value, seen: &Seen) -> bool {
    let field = seen.decode();
    let find = |name: &str| find(layers, name);
    if let Some(ntlm) = field.ntlm() {
        let kind = find("ntlmssp.messagetype").unwrap_or_else(|| panic!("tshark saw no NTLM in {layers:#}"));
        let flags = find("ntlmssp.negotiateflags").unwrap();
        let (number, ours) = match ntlm {
            Ntlm::Negotiate(m) => ("0x00000001", m.flags),
            Ntlm::Challenge(m) => {
                assert_eq!(find("ntlmssp.challenge.target_name"), m.target_name.clone());
                let info = m.target_info.as_ref().unwrap();
                assert_eq!(find("ntlmssp.challenge.target_info.nb_computer_name"), info.nb_computer_name);
                assert_eq!(find("ntlmssp.challenge.target_info.nb_domain_name"), info.nb_domain_name);
                assert_eq!(find("ntlmssp.challenge.target_info.dns_computer_name"), info.dns_computer_name);
                ("0x00000002", m.flags)
            }
            Ntlm::Authenticate(m) => {
                // tshark writes NULL for an empty name.
                let name = |name: &str| find(name).map(|text| if text == "NULL" { String::new() } else { text });
                assert_eq!(name("ntlmssp.auth.username"), Some(m.user.clone()));
                assert_eq!(name("ntlmssp.auth.domain"), Some(m.domain.clone()));
                assert_eq!(name("ntlmssp.auth.hostname"), Some(m.workstation.clone()));
                let info = m.target_info.as_ref().unwrap();
                let target = "ntlmssp.ntlmv2_response.target_name";
                assert_eq!(find(target), info.target_name, "{target}");
                ("0x00000003", m.flags)
            }
            Ntlm::Unreadable => panic!("a real token"),
        };
        assert_eq!((kind.as_str(), flags), (number, format!("0x{ours:08x}")));
        return true;
    }
    let Some(kerberos) = field.kerberos() else { return false };
    match kerberos.message.as_str() {
        "ap-req" => {
            assert_eq!(find("kerberos.realm"), kerberos.realm);
            let etype = find("kerberos.etype").map(|etype| etype.parse::<i32>().unwrap());
            assert_eq!(etype, kerberos.ticket_etype);
            assert_eq!(find("kerberos.kvno").map(|kvno| kvno.parse::<i64>().unwrap()), kerberos.kvno);
            let service = find("kerberos.SNameString").unwrap_or_default();
            assert!(kerberos.sname.as_deref().is_some_and(|name| name.split('/').any(|part| part == service)));
        }
        "ap-rep" => assert_eq!(find("kerberos.msg_type").as_deref(), Some("15"), "{layers:#}"),
        _ => return false,
    }
    true
}

/// The first field of this name, at any depth. (tshark's JSON nests as its tree does.)
fn find(value: &Value, name: &str) -> Option<String> {
    match value {
        Value::Object(map) => map
            .iter()
            .find_map(|(key, value)| match value {
                Value::String(text) if key == name => Some(text.clone()),
                Value::Array(list) if key == name => list.first()?.as_str().map(ToOwned::to_owned),
                _ => None,
            })
            .or_else(|| map.values().find_map(|value| find(value, name))),
        Value::Array(list) => list.iter().find_map(|value| find(value, name)),
        _ => None,
    }
}

/// A capture file (pcap, LINKTYPE_RAW) with a packet for each token.
fn pcap(seen: &[Seen]) -> Vec<u8> {
    let mut file = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 0x0004_0000, 101].map(u32::to_le_bytes).concat();
    let mut sent: HashMap<(u16, u16), u32> = HashMap::new();
    for (number, seen) in seen.iter().enumerate() {
        let head = if seen.is_challenge {
            let fields = format!("WWW-Authenticate: {} {}", seen.scheme, seen.token);
            format!("HTTP/1.1 401 Unauthorized\r\n{fields}\r\nContent-Length: 0\r\n\r\n")
        } else {
            format!("GET / HTTP/1.1\r\nHost: www.example.test\r\nAuthorization: {} {}\r\n\r\n", seen.scheme, seen.token)
        };
        let client = 40_000 + u16::try_from(seen.connection).unwrap();
        let (from, to) = if seen.is_challenge { (80, client) } else { (client, 80) };
        let acknowledged = 1 + sent.get(&(to, from)).unwrap_or(&0);
        let before = sent.entry((from, to)).or_default();
        let packet = packet(from, to, 1 + *before, acknowledged, head.as_bytes());
        *before += u32::try_from(head.len()).unwrap();
        let length = u32::try_from(packet.len()).unwrap();
        file.extend([u32::try_from(number).unwrap(), 0, length, length].map(u32::to_le_bytes).concat());
        file.extend(packet);
    }
    file
}

/// A capture file (pcap, LINKTYPE_RAW) of connections to port 443: what each end sent, in order, true from the client.
pub(crate) fn pcap_of_streams(streams: &[Vec<(bool, Vec<u8>)>]) -> Vec<u8> {
    let mut file = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 0x0004_0000, 101].map(u32::to_le_bytes).concat();
    for (number, stream) in streams.iter().enumerate() {
        let port = 40_000 + u16::try_from(number).unwrap();
        let mut sent = [1_u32, 1];
        for (client, bytes) in stream {
            let (from, to) = if *client { (port, 443) } else { (443, port) };
            let (mine, other) = if *client { (0, 1) } else { (1, 0) };
            for piece in bytes.chunks(1460) {
                let packet = packet(from, to, sent[mine], sent[other], piece);
                sent[mine] += u32::try_from(piece.len()).unwrap();
                let length = u32::try_from(packet.len()).unwrap();
                file.extend([u32::try_from(number).unwrap(), 0, length, length].map(u32::to_le_bytes).concat());
                file.extend(packet);
            }
        }
    }
    file
}

/// IPv4 (RFC 791 section 3.1) and TCP (RFC 9293 section 3.1) headers without options, checksums left zero.
fn packet(from: u16, to: u16, sequence: u32, acknowledged: u32, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(40 + payload.len()).unwrap();
    let mut bytes = vec![0x45, 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    bytes.extend([from.to_be_bytes(), to.to_be_bytes()].concat());
    bytes.extend([sequence.to_be_bytes(), acknowledged.to_be_bytes()].concat());
    // Header length, ACK and PSH, window, checksum, urgent pointer.
    bytes.extend([0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(payload);
    bytes
}
