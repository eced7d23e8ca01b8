//! However a capture is made, memory is bounded.

use std::net::SocketAddr;

use super::super::{MAX_ENDED, MAX_OPEN, MAX_WAITING, MAX_WAITING_ALL};
use super::{Trace, plain, server};
use crate::packet::Segment;

fn port(number: u32) -> SocketAddr {
    let [_, a, b, c] = number.to_be_bytes();
    ([10, a, b, c], 40_000).into()
}

fn from(number: u32, sequence: u32, payload: &[u8]) -> Segment<'_> {
    Segment { from: port(number), to: server(), ..plain(true, sequence, payload) }
}

/// Half-open connections of a scan would fill the memory.
#[test]
fn connections() {
    let mut trace = Trace::default();
    let most = u32::try_from(MAX_OPEN).unwrap();
    for n in 0..most {
        trace.packet(Segment { syn: true, ..from(n, 1, b"") });
    }
    assert_eq!((trace.tcp.flows(), trace.heard.lines.len()), (MAX_OPEN, MAX_OPEN));
    // The oldest is used again, so the second goes.
    trace.packet(from(0, 2, b"GET"));
    trace.heard.lines.clear();
    trace.packet(Segment { syn: true, ..from(most, 1, b"") });
    trace.told(&["1 forgotten", "65536 opened whole 40000"]);
    assert_eq!(trace.tcp.flows(), MAX_OPEN);
    // Ended ones do not crowd out open ones, and are not remembered for ever.
    for n in 0..most {
        trace.packet(Segment { rst: true, ..from(n, 2, b"") });
    }
    assert_eq!(trace.tcp.flows(), MAX_ENDED + 1);
    trace.heard.lines.clear();
    trace.finish();
    trace.told(&[]);
}

/// A hole that nobody fills, and a sender that goes on.
#[test]
fn one_connection_waits() {
    let mut trace = Trace::open();
    let payload = [b'x'; 1000];
    for n in 0..3000_u32 {
        // Every second one, so that each is a piece.
        trace.packet(plain(true, 2000 * n + 1002, &payload));
        assert!(trace.tcp.buffered() <= MAX_WAITING, "{}", trace.tcp.buffered());
    }
    assert_eq!(trace.heard.lines.first().map(String::as_str), Some("0 > missing 1"));
    let missing = trace.heard.lines.iter().filter(|line| line.starts_with("0 > missing")).count();
    assert!(missing > 1000 && missing < 3000, "{missing}");
    trace.finish();
    assert_eq!(trace.heard.lines.len(), 6000);
}

/// Many that wait: who holds the most gives way.
#[test]
fn all_wait() {
    let mut trace = Trace::default();
    let payload = vec![b'x'; 60_000];
    let flows = 100;
    for n in 0..flows {
        trace.packet(Segment { syn: true, ..from(n, 0, b"") });
    }
    trace.heard.lines.clear();
    for round in 0..17_u32 {
        for n in 0..flows {
            // The first holds little.
            let payload = if n == 0 { &payload[..100] } else { &payload };
            trace.packet(from(n, 100 + 70_000 * round, payload));
            assert!(trace.tcp.buffered() <= MAX_WAITING_ALL, "{}", trace.tcp.buffered());
        }
    }
    assert!(trace.tcp.buffered() > MAX_WAITING_ALL / 2);
    assert!(trace.heard.lines.iter().any(|line| line.ends_with("missing 99")));
    assert!(!trace.heard.lines.iter().any(|line| line.starts_with("0 ")), "the one with little was asked to give way");
}
