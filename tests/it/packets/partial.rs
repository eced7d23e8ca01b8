//! What a capture holds in part, twice or from one side only, and what the report says of it then.

use authtap::finding::Settings;
use authtap::model::TapId;
use authtap::packet::diagnose::{Options, diagnose};
use authtap::packet::tls::KeyLog;
use authtap::report::terminal;
use authtap::report::view::{Builder, View};

use super::made::{Connection, Packet, pcap};

const ASKED: &[u8] = b"GET /a HTTP/1.1\r\nHost: www.example.test\r\n\r\n";
const BARE: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";
const FOUND: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
/// `anna`, `Password1-test`.
const BASIC: &[u8] =
    b"GET /a HTTP/1.1\r\nHost: www.example.test\r\nAuthorization: Basic YW5uYTpQYXNzd29yZDEtdGVzdA==\r\n\r\n";

/// What `authtap report` says of these packets, in the order of their times.
fn report(mut packets: Vec<Packet>) -> (View, String) {
    packets.sort_by_key(|p| p.at);
    let file = pcap(&packets);
    let (mut builder, tap) = (Builder::default(), TapId("packets".to_owned()));
    let options = Options { settings: Settings::default(), keys: KeyLog::default(), certificate: |_| None };
    let facts = diagnose(vec![("site.pcap".to_owned(), &file[..])], options, |event| builder.take(&tap, &event));
    let view = View { packets: Some(facts), ..builder.view() };
    let text = terminal::report(&view, false);
    let words: Vec<&str> = text.split_whitespace().collect();
    (view, words.join(" "))
}

fn connection(client: &str, at: i64) -> Connection {
    Connection::new(client, "192.0.2.80:80", at)
}

/// When this fails, a capture of busy connections that stay open says that it holds no request.
#[test]
fn requests_of_connections_that_stay_open_are_counted() {
    let mut packets = Vec::new();
    for i in 0..3 {
        let mut c = connection(&format!("198.51.100.{}:50000", i + 1), i64::from(i) * 1_000_000);
        c.client_next = 1_000_000 * (i + 1);
        for _ in 0..4 {
            packets.extend([c.client(ASKED), c.server(FOUND)]);
        }
    }
    let (view, text) = report(packets);
    assert_eq!((view.connections, view.exchanges), (3, 12), "{text}");
}

/// When this fails, a firewall's capture of both of its sides doubles each refusal, and somebody is told to be locked out
/// after half as many.
#[test]
fn a_connection_before_and_after_its_address_was_translated_is_told_once() {
    let mut packets = Vec::new();
    for i in 0..3_u32 {
        let at = i64::from(i) * 5_000_000;
        for (client, later) in [(format!("198.51.100.7:{}", 50_000 + i), 0), (format!("192.0.2.9:{}", 60_000 + i), 15)]
        {
            let mut c = connection(&client, at + later);
            (c.client_next, c.server_next) = (7_000 * (i + 1), 90_000 * (i + 1));
            packets.extend(c.open());
            packets.extend([c.client(BASIC), c.server(BARE)]);
            packets.extend(c.close());
        }
    }
    let (view, text) = report(packets);
    assert_eq!((view.connections, view.clients, view.handshakes.rejected), (3, 1, 3), "{text}");
    assert!(!view.findings.iter().any(|g| g.slug == "lockout-risk"), "{text}");
    assert!(!text.contains("lockout-risk"), "{text}");
    assert!(
        text.contains("3 connections are in the capture twice, before and after an address was translated"),
        "{text}"
    );
}

/// When this fails, clients whose systems begin with the same number hide each other.
#[test]
fn connections_that_begin_alike_are_several_when_the_server_answers_each() {
    let mut packets = Vec::new();
    for i in 0..3_u32 {
        let mut c = connection(&format!("198.51.100.{}:50000", i + 1), i64::from(i));
        c.server_next = 90_000 * (i + 1);
        packets.extend(c.open());
        packets.extend([c.client(ASKED), c.server(FOUND)]);
        packets.extend(c.close());
    }
    let (view, text) = report(packets);
    assert_eq!((view.connections, view.exchanges), (3, 3), "{text}");
    assert!(!text.contains("twice"), "{text}");
}

/// When this fails, who captured at a mirror port of one direction buys a larger buffer, and gets the same again.
#[test]
fn a_capture_of_one_direction_is_told_as_that() {
    for from_client in [true, false] {
        let mut c = connection("198.51.100.1:50000", 0);
        let mut packets = c.open();
        packets.extend([c.client(ASKED), c.server(BARE), c.client(BASIC), c.server(FOUND)]);
        packets.extend(c.close());
        packets.retain(|p| (p.bytes[26] == 198) == from_client);
        let (_, text) = report(packets);
        assert!(text.contains("1 connection is in the capture with the packets of one direction only"), "{text}");
    }
    let mut c = connection("198.51.100.1:50000", 0);
    let mut packets = c.open();
    packets.push(c.server(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"));
    packets.extend(c.close());
    let (_, text) = report(packets);
    assert!(!text.contains("one direction"), "{text}");
}

/// When this fails, a packet that the capture lacks is a client that gave up its request.
#[test]
fn a_lost_request_is_not_laid_at_the_clients_door() {
    let mut c = connection("198.51.100.1:50000", 0);
    let mut packets = c.open();
    c.client(ASKED);
    packets.push(c.server(BARE));
    packets.extend(c.close());
    let (_, text) = report(packets);
    assert!(text.contains("or packets before it are not in the capture"), "{text}");
}

/// When this fails, the report says that no client began a handshake where one was seen to end.
#[test]
fn credentials_without_their_handshake_are_told() {
    // NTLMSSP and the type of an AUTHENTICATE; the rest is not looked at before a handshake is known.
    let authenticate = "TlRMTVNTUAADAAAAAAAAAEgAAAAAAAAASAAAAAAAAABIAAAAAAAAAEgAAAAAAAAASAAAAAAAAABIAAAANYKI4g==";
    let request = format!("GET / HTTP/1.1\r\nHost: www.example.test\r\nAuthorization: NTLM {authenticate}\r\n\r\n");
    let mut c = connection("198.51.100.1:50000", 0);
    let packets = vec![c.client(request.as_bytes()), c.server(BARE)];
    let (view, text) = report(packets);
    assert_eq!(view.handshakes.total(), 0, "{text}");
    assert!(text.contains("1 request came with credentials, but no handshake was seen whole"), "{text}");
}

/// When this fails, handshakes that the capture's end cuts off, or a hole in it, are laid at a client's or a server's door.
#[test]
fn a_handshake_that_a_hole_cuts_off_is_not_broken() {
    let (negotiate, challenge) = (
        "TlRMTVNTUAABAAAAl4II4gAAAAAAAAAAAAAAAAAAAAAKAGNFAAAADw==",
        "TlRMTVNTUAACAAAAAAAAADgAAAA1gonigfCtxEFFWBcAAAAAAAAAAAAAAAA4AAAACgBjRQAAAA8=",
    );
    let mut c = connection("198.51.100.1:50000", 0);
    let mut packets = c.open();
    packets.push(c.client(
        format!("GET / HTTP/1.1\r\nHost: www.example.test\r\nAuthorization: NTLM {negotiate}\r\n\r\n").as_bytes(),
    ));
    packets.push(
        c.server(
            format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM {challenge}\r\nContent-Length: 0\r\n\r\n")
                .as_bytes(),
        ),
    );
    let (_, text) = report(packets.clone());
    assert!(text.contains("1 not finished"), "{text}");
    // The request is not in the capture, its answer and the server's end are.
    c.client(ASKED);
    packets.push(c.server(FOUND));
    packets.push(c.send(false, super::made::FIN | super::made::ACK, b""));
    packets.push(c.send(true, super::made::FIN | super::made::ACK, b""));
    let (view, text) = report(packets);
    assert_eq!((view.handshakes.broken, view.handshakes.abandoned), (0, 1), "{text}");
}
