//! A frame at a time, with bytes made here; `tests/real/packet_files.rs` compares with tshark.

#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of a test are small")]

use std::net::{IpAddr, SocketAddr};

use super::*;
use crate::model::Stamp;

use crate::packet::made::{ACK, PSH, Tcp, ethernet as frame, ip};

fn client() -> SocketAddr {
    "192.0.2.1:40000".parse().unwrap()
}

fn server() -> SocketAddr {
    "192.0.2.80:80".parse().unwrap()
}

fn client6() -> SocketAddr {
    "[2001:db8::1]:40000".parse().unwrap()
}

fn server6() -> SocketAddr {
    "[2001:db8::80]:80".parse().unwrap()
}

fn tcp(from: SocketAddr, to: SocketAddr) -> Tcp<'static> {
    Tcp { from, to, sequence: 7, acknowledged: 9, flags: PSH | ACK, options: b"", payload: b"GET /" }
}

fn read(link: u16, bytes: &[u8], length: usize) -> Found<'_> {
    segment(&Captured { number: 1, at: Stamp(0), link, bytes, length: u32::try_from(length).unwrap() })
}

fn expect(from: SocketAddr, to: SocketAddr, payload: &[u8], cut: u32) -> Found<'_> {
    let (sequence, acknowledged) = (7, Some(9));
    Found::Tcp(Segment { from, to, sequence, acknowledged, syn: false, fin: false, rst: false, payload, cut })
}

/// The frame holds that segment; cut anywhere it never panics, and gives as much of the payload as is there.
fn holds(link: u16, bytes: &[u8], (from, to): (SocketAddr, SocketAddr)) {
    assert_eq!(read(link, bytes, bytes.len()), expect(from, to, b"GET /", 0), "link {link}: {bytes:02x?}");
    let payload = bytes.windows(5).position(|w| w == b"GET /").unwrap();
    for length in 0..bytes.len() {
        let found = read(link, &bytes[..length], bytes.len());
        match length.checked_sub(payload) {
            Some(some) if some < 5 => {
                let cut = u32::try_from(5 - some).unwrap();
                assert_eq!(found, expect(from, to, &b"GET /"[..some], cut), "link {link}, {length} bytes");
            }
            Some(_) => assert_eq!(found, expect(from, to, b"GET /", 0)),
            // The last six bytes of the header are not needed.
            None if payload - length <= 6 => assert_eq!(found, expect(from, to, b"", 5)),
            None => assert!(!matches!(found, Found::Tcp(_)), "link {link}, {length} bytes: {found:?}"),
        }
    }
}

/// Who captures on a Linux router, a Mac, a VPN or a tagged port has other frames than Ethernet's.
#[test]
fn every_link_layer_leads_to_the_segment() {
    for ends in [(client(), server()), (client6(), server6())] {
        let packet = tcp(ends.0, ends.1).in_ip();
        let kind: [u8; 2] = if ends.0.is_ipv4() { [8, 0] } else { [0x86, 0xdd] };
        let both = |head: &[u8]| [head, &packet].concat();
        let typed = |head: &[u8]| [head, &kind, &packet].concat();
        holds(1, &frame(u16::from_be_bytes(kind), &packet), ends);
        holds(1, &frame(0x8100, &typed(&[0, 7])), ends);
        holds(1, &frame(0x88a8, &typed(&[0, 7, 0x81, 0, 0, 8])), ends);
        holds(1, &frame(0x9100, &typed(&[0, 7, 0x81, 0, 0, 8])), ends);
        holds(1, &frame(60, &typed(&[0xaa, 0xaa, 3, 0, 0, 0])), ends);
        holds(1, &frame(0x8847, &both(&[0, 1, 0, 64, 0, 1, 1, 64])), ends);
        let ppp: u8 = if ends.0.is_ipv4() { 0x21 } else { 0x57 };
        holds(1, &frame(0x8864, &both(&[0x11, 0, 0, 1, 0, 47, 0, ppp])), ends);
        holds(51, &both(&[0x11, 0, 0, 1, 0, 47, 0, ppp]), ends);
        holds(9, &both(&[0xff, 3, 0, ppp]), ends);
        holds(9, &both(&[ppp]), ends);
        holds(50, &both(&[0xff, 3, 0, ppp]), ends);
        holds(104, &typed(&[15, 0]), ends);
        holds(113, &typed(&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]), ends);
        holds(113, &typed(&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x81, 0, 0, 7]), ends);
        let cooked = [0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
        holds(276, &both(&[&kind, &cooked[..]].concat()), ends);
        holds(276, &typed(&[&[0x81, 0], &cooked[..], &[0, 7]].concat()), ends);
        let families: &[u8] = if ends.0.is_ipv4() { &[2] } else { &[10, 24, 28, 30] };
        for family in families {
            holds(0, &both(&[*family, 0, 0, 0]), ends);
            holds(0, &both(&[0, 0, 0, *family]), ends);
            holds(108, &both(&[0, 0, 0, *family]), ends);
        }
        for link in [101, 12, 14, if ends.0.is_ipv4() { 228 } else { 229 }] {
            holds(link, &packet, ends);
        }
    }
}

/// Switches and clouds mirror packets in packets; the inner connection is the one that is asked about.
#[test]
fn tunnels_and_mirrors_are_looked_into() {
    let (a, b): (IpAddr, IpAddr) = ("198.51.100.1".parse().unwrap(), "198.51.100.2".parse().unwrap());
    let (c, d): (IpAddr, IpAddr) = ("2001:db8::a".parse().unwrap(), "2001:db8::b".parse().unwrap());
    for ends in [(client(), server()), (client6(), server6())] {
        let (packet, ethernet) = (tcp(ends.0, ends.1).in_ip(), tcp(ends.0, ends.1).in_ethernet());
        let kind: [u8; 2] = if ends.0.is_ipv4() { [8, 0] } else { [0x86, 0xdd] };
        let protocol = if ends.0.is_ipv4() { 4 } else { 41 };
        let vxlan = |port: u16| {
            [&[0xc0, 0, (port >> 8) as u8, port as u8, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 1, 0], &ethernet[..]].concat()
        };
        let gre = |head: &[u8], inside: &[u8]| [head, inside].concat();
        for (from, to) in [(a, b), (c, d)] {
            for (protocol, inside) in [
                (protocol, packet.clone()),
                (47, gre(&[0, 0, kind[0], kind[1]], &packet)),
                (47, gre(&[0xb0, 0, kind[0], kind[1], 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2], &packet)),
                (47, gre(&[0, 0, 0x65, 0x58], &ethernet)),
                (47, gre(&[0, 0, 0x88, 0xbe], &ethernet)),
                (47, gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 1, 0, 0, 0, 0], &ethernet)),
                (47, gre(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20][..], &[0; 11]].concat(), &ethernet)),
                (47, gre(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20][..], &[0; 10], &[1], &[0; 8]].concat(), &ethernet)),
                (17, vxlan(4789)),
                (17, vxlan(8472)),
            ] {
                holds(101, &ip(from, to, protocol, &inside), ends);
                let twice = ip(a, b, if from.is_ipv4() { 4 } else { 41 }, &ip(from, to, protocol, &inside));
                holds(101, &twice, ends);
                let thrice = ip(a, b, 4, &twice);
                assert_eq!(read(101, &thrice, thrice.len()), Found::Unreadable("a tunnel in a tunnel"));
            }
        }
    }
}

/// Options and extension headers before TCP are not payload.
#[test]
fn headers_of_other_lengths_are_passed() {
    let mut v4 = tcp(client(), server()).in_ip();
    v4.splice(20..20, [0x94, 4, 0, 0]);
    (v4[0], v4[3]) = (0x46, v4[3] + 4);
    holds(101, &v4, (client(), server()));

    let segment = tcp(client6(), server6()).bytes();
    let packet = |first, headers: &[u8]| ip(client6().ip(), server6().ip(), first, &[headers, &segment].concat());
    let ends = (client6(), server6());
    let mut hop = [0; 8];
    hop[0] = 6;
    holds(101, &packet(0, &hop), ends);
    let mut all = vec![43, 0, 0, 0, 0, 0, 0, 0];
    all.extend([60, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    all.extend([44, 0, 0, 0, 0, 0, 0, 0]);
    // An atomic fragment, then the authentication header.
    all.extend([51, 0, 0, 0, 0, 0, 0, 9]);
    all.extend([&[6, 4, 0, 0][..], &[0; 20]].concat());
    holds(101, &packet(0, &all), ends);
    let endless = packet(60, &[60, 0, 0, 0, 0, 0, 0, 0].repeat(64));
    assert_eq!(read(101, &endless, endless.len()), LIES);
    let authenticated = [&[6, 4, 0, 0][..], &[0; 20], &tcp(client(), server()).bytes()].concat();
    holds(101, &ip(client().ip(), server().ip(), 51, &authenticated), (client(), server()));
}

/// Padding after a short packet would become bytes of a request.
#[test]
fn ethernet_padding_is_no_payload() {
    for payload in [&b""[..], b"x", b"abcdef"] {
        let frame = Tcp { payload, ..tcp(client(), server()) }.in_ethernet();
        assert_eq!(frame.len(), 60);
        assert_eq!(read(1, &frame, 60), expect(client(), server(), payload, 0));
        // A checksum behind it, too.
        let frame = [frame, vec![1, 2, 3, 4]].concat();
        assert_eq!(read(1, &frame, 64), expect(client(), server(), payload, 0));
    }
}

/// A card that cuts packets itself gets them without a length: whole answers would be missing.
#[test]
fn a_length_of_zero_means_all_that_was_captured() {
    let payload = vec![b'x'; 2000];
    let mut v4 = Tcp { payload: &payload, ..tcp(client(), server()) }.in_ethernet();
    v4[16..18].fill(0);
    assert_eq!(read(1, &v4, v4.len()), expect(client(), server(), &payload, 0));
    assert_eq!(read(1, &v4[..1054], v4.len()), expect(client(), server(), &payload[..1000], 1000));
    let mut v6 = Tcp { payload: &payload, ..tcp(client6(), server6()) }.in_ip();
    v6[4..6].fill(0);
    assert_eq!(read(101, &v6, v6.len()), expect(client6(), server6(), &payload, 0));
}

/// With a short snap length (`tcpdump -s 68`) the order of things can still be told.
#[test]
fn cut_options_are_not_needed() {
    let frame = Tcp { options: &[1; 40], ..tcp(client(), server()) }.in_ethernet();
    for length in 14 + 20 + 14..frame.len() - 5 {
        assert_eq!(read(1, &frame[..length], frame.len()), expect(client(), server(), b"", 5));
    }
    assert_eq!(read(1, &frame[..47], frame.len()), CUT);
    // The same where the options are not cut: they were never there.
    let mut lies = tcp(client(), server()).in_ethernet();
    lies[14 + 20 + 12] = 15 << 4;
    assert_eq!(read(1, &lies, lies.len()), LIES);
    lies[14 + 20 + 12] = 4 << 4;
    for length in 14 + 20 + 14..lies.len() {
        assert_eq!(read(1, &lies[..length], lies.len()), LIES);
    }
}

/// What is counted as unreadable must not be mixed with what is simply something else.
#[test]
fn what_is_no_segment_is_told_apart() {
    let (from, to) = (client().ip(), server().ip());
    let mut fragment = tcp(client(), server()).in_ip();
    for flags in [[0x20, 0], [0, 1], [0x20, 1]] {
        fragment[6..8].copy_from_slice(&flags);
        assert_eq!(read(101, &fragment, fragment.len()), Found::Unreadable("an IP fragment"));
    }
    let six = |next: u8, offset: u8| {
        let head = [next, 0, 0, offset, 0, 0, 0, 9];
        ip(client6().ip(), server6().ip(), 44, &[&head[..], &[0; 40]].concat())
    };
    for bytes in [six(6, 1), six(6, 8), six(60, 1)] {
        assert_eq!(read(101, &bytes, bytes.len()), Found::Unreadable("an IP fragment"));
    }
    let other = [
        (1, frame(0x0806, &[0; 28])),
        (1, frame(0x88cc, &[0; 28])),
        (1, frame(0x0026, &[0x42, 0x42, 3, 0])),
        (101, ip(from, to, 17, &[0, 53, 0, 53, 0, 8, 0, 0])),
        (101, ip(from, to, 17, &[0; 3])),
        (101, ip(from, to, 1, &[8; 8])),
        (101, six(17, 1)),
        (101, ip(from, to, 47, &[0x30, 1, 0x88, 0x0b, 0, 0, 0, 0])),
        (0, vec![7, 0, 0, 0, 1, 2]),
        (113, vec![0, 0, 3, 0x38, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0]),
    ];
    for (link, bytes) in other {
        assert_eq!(read(link, &bytes, bytes.len()), Found::Other, "{bytes:02x?}");
    }
    for (link, bytes, why) in [
        (101, ip(from, to, 50, &[0; 20]), "IPsec"),
        (105, vec![0; 60], "Wi-Fi"),
        (147, vec![0; 60], "a link type that authtap does not know"),
        (101, vec![0x50; 40], "no version"),
        (101, vec![0x41; 40], "lies"),
        (1, vec![0; 13], "cut"),
        (101, vec![], "cut"),
        (1, frame(0x8100, &[0x81, 0].repeat(40)), "lies"),
        (1, frame(0x8847, &[0; 4].repeat(40)), "lies"),
    ] {
        let Found::Unreadable(said) = read(link, &bytes, bytes.len()) else { panic!("{why}: {bytes:02x?}") };
        assert!(said.contains(why), "{why}: {said}");
    }
}
