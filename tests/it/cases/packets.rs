//! Every case that a wire can show, as a packet capture: the same findings come of it.

use std::collections::{BTreeMap, BTreeSet};

use authtap::model::event::{Event, What};
use authtap::model::finding::Finding;
use authtap::model::transport::{By, How};
use authtap::packet::diagnose::{Options, diagnose};
use authtap::packet::tls::KeyLog;

use super::player::{Cut, OnWire, on_the_wire, play, settings};
use super::{Case, cases, findings};
use crate::packets::made::{ACK, Connection, FIN, Packet, RST, pcap};

/// Where connections go whose case does not say.
const SERVER: &str = "192.0.2.80:80";

const SERVER_V6: &str = "[2001:db8::80]:80";

/// Most bytes of a packet.
const SEGMENT: usize = 1_460;

/// Cases as captures that the findings differ of, and why.
const OTHERWISE: [(&str, &str); 3] = [
    ("challenge-unanswered/near-blind-connection", BLIND),
    ("handshake-split-across-connections/fires-challenge-on-a-blind-connection", BLIND),
    ("handshake-split-across-connections/fires-unseen-on-a-blind-connection", BLIND),
];

const BLIND: &str =
    "a connection that does not begin like HTTP is another protocol in a capture, and a fault before a site";

/// The packets of a case; `None` when a capture cannot show what it is about.
fn packets(case: &Case) -> Option<Vec<Packet>> {
    let mut wires: BTreeMap<u64, (Connection, bool)> = BTreeMap::new();
    let mut out = Vec::new();
    // What else passes on a wire: it only tells the time.
    let mut other = Connection::new("198.51.100.1:50000", "198.51.100.2:22", 0);
    out.extend(other.open().into_iter().take(1));
    for (at, what) in on_the_wire(case) {
        let before = out.len();
        match what {
            OnWire::Unseen => return None,
            OnWire::Tick => out.push(other.client(b"x")),
            OnWire::Opened(open) => {
                // What authtap itself adds (another certificate, a port of its own) is not on the client's wire.
                if open.tls.is_some() || open.upstream_tls.is_some() || open.addresses.upstream_local.is_some() {
                    return None;
                }
                let usual = if open.addresses.client.is_ipv4() { SERVER } else { SERVER_V6 };
                let server = open.addresses.upstream.map_or_else(|| usual.to_owned(), |a| a.to_string());
                let mut wire = Connection::new(&open.addresses.client.to_string(), &server, at.0);
                // A port pair that is used again has other numbers.
                wire.client_next = u32::try_from(open.connection.0).unwrap() * 1_000_000;
                out.extend(wire.open());
                wires.insert(open.connection.0, (wire, false));
            }
            OnWire::Bytes { n, from_client, bytes } => {
                let (wire, _) = wires.get_mut(&n)?;
                for piece in bytes.chunks(SEGMENT) {
                    out.push(if from_client { wire.client(piece) } else { wire.server(piece) });
                }
            }
            OnWire::Fin(n, by) => {
                let (wire, ended) = wires.get_mut(&n)?;
                if !std::mem::replace(ended, true) {
                    out.push(wire.send(by == By::Client, FIN | ACK, b""));
                }
            }
            OnWire::Closed(n, by, how) => {
                let (mut wire, ended) = wires.remove(&n)?;
                let client = by == By::Client;
                match (by, how) {
                    (By::Tap, _) | (_, How::Timeout) => return None,
                    (_, How::Reset) => out.push(wire.send(client, RST | ACK, b"")),
                    _ if ended => out.push(wire.send(!client, FIN | ACK, b"")),
                    _ => out.extend([wire.send(client, FIN | ACK, b""), wire.send(!client, FIN | ACK, b"")]),
                }
            }
        }
        out[before..].iter_mut().for_each(|packet| packet.at = at.0);
    }
    let first = out.get(1)?.at;
    out[0].at = first;
    Some(out)
}

/// Findings as they are compared: by the clients' addresses, since connections are numbered as they are recognised.
fn told(events: &[Event]) -> BTreeSet<String> {
    let clients: BTreeMap<u64, String> = events
        .iter()
        .filter_map(|e| match &e.what {
            What::ConnectionOpen(open) => Some((open.connection.0, open.addresses.client.to_string())),
            _ => None,
        })
        .collect();
    let one = |f: &&Finding| {
        let places: Vec<&str> = f.connections.iter().filter_map(|c| Some(clients.get(&c.0)?.as_str())).collect();
        let (severity, basis) = (f.severity.name(), f.basis.name());
        format!("{} {basis} {severity} under {:?} on {}", f.slug, f.root, places.join(", "))
    };
    let findings = findings(events);
    let list: Vec<String> = findings.iter().map(one).collect();
    list.iter().map(|text| format!("{text} ({} times)", list.iter().filter(|t| *t == text).count())).collect()
}

/// When this fails, who hands over a packet capture hears something else than who put authtap in front of the site.
#[test]
fn a_case_tells_the_same_from_a_capture() {
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for (slug, name, case) in cases() {
        let Some(packets) = packets(&case) else { continue };
        compared += 1;
        let mut events = Vec::new();
        let options = Options { settings: settings(&case), keys: KeyLog::default(), certificate: |_| None };
        let file = pcap(&packets);
        let facts = diagnose(vec![("case.pcap".to_owned(), &file[..])], options, |event| events.push(event));
        assert_eq!(facts.files[0].damage, None, "{slug}/{name}");
        assert_eq!(facts.files[0].packets, packets.len() as u64, "{slug}/{name}");
        let (live, captured) = (told(&play(&case, Cut::Whole)), told(&events));
        let case = format!("{slug}/{name}");
        if OTHERWISE.iter().any(|(known, _)| *known == case) {
            assert_ne!(live, captured, "{case} is told alike by now");
            continue;
        }
        if live != captured {
            wrong.push(format!("{case}:\n  live     {live:#?}\n  captured {captured:#?}"));
        }
        for finding in findings(&events) {
            // What only makes sense where authtap stands would send somebody to look for it.
            let says = finding.evidence.iter().map(|e| &e.says).chain([&finding.title, &finding.summary]);
            wrong.extend(says.filter(|s| s.contains("authtap")).map(|s| format!("{case}: {}: {s}", finding.slug)));
            for evidence in finding.evidence.iter().filter(|e| e.exchange.is_some()) {
                if evidence.frame.is_none() {
                    wrong.push(format!("{case}: {} names no frame: {evidence:?}", finding.slug));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared} cases differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 350, "only {compared} cases can be captured");
}
