//! A port pair that is used again is another connection; what is late is not.

use super::{Trace, plain};
use crate::packet::Segment;

fn syn(sequence: u32) -> Segment<'static> {
    Segment { syn: true, ..plain(true, sequence, b"") }
}

/// Clients behind a proxy use a port again within minutes; its requests are not of the connection before.
#[test]
fn after_the_end_and_amid() {
    let mut trace = Trace::open();
    trace.up_fin(1001, "");
    trace.down_fin(5001, "");
    trace.packet(syn(1000));
    trace.told(&["0 > fin", "0 < fin", "0 closed"]);
    trace.packet(syn(90_000));
    trace.up(90_001, "GET");
    trace.told(&["1 opened whole 50000", "1 > GET"]);
    // The end of this one was not captured; what waits of it is not lost.
    trace.up(90_008, "later");
    trace.packet(syn(50));
    trace.told(&["1 > missing 4", "1 > later", "1 forgotten", "2 opened whole 50000"]);
    trace.packet(syn(50));
    trace.told(&[]);
    // The answer to a SYN that was not captured.
    trace.packet(Segment { syn: true, acknowledged: Some(777), ..plain(false, 9, b"") });
    trace.told(&["2 forgotten", "3 opened whole 50000"]);
}

/// After a reset the same.
#[test]
fn after_a_reset() {
    let mut trace = Trace::open();
    trace.packet(Segment { rst: true, ..plain(true, 1001, b"") });
    trace.up(1001, "GET");
    trace.packet(syn(2000));
    trace.told(&["0 > reset", "1 opened whole 50000"]);
}

/// A capture that began amid a connection: a SYN on its ports begins another, from whichever end.
#[test]
fn after_a_part() {
    let mut trace = Trace::default();
    trace.down(5001, "200");
    trace.packet(syn(1000));
    trace.up(1001, "GET");
    trace.told(&["0 opened part 80", "0 > 200", "0 forgotten", "1 opened whole 50000", "1 > GET"]);
}

/// Two minutes after its end a connection is no longer expected to say anything: the SYN of another was not captured.
#[test]
fn long_after_the_end() {
    let mut trace = Trace::open();
    trace.packet(Segment { rst: true, ..plain(true, 1001, b"") });
    trace.at += 119_000_000;
    trace.up(1001, "GET");
    trace.at += 2_000_000;
    trace.up(1001, "GET");
    trace.told(&["0 > reset", "1 opened part 50000", "1 > GET"]);
    // Sooner, when several agree that it is elsewhere.
    let mut trace = Trace::open();
    trace.packet(Segment { rst: true, ..plain(true, 1001, b"") });
    for n in 0..5 {
        trace.up(0x9000_0000 + n, "x");
        trace.up(0x9000_0000 + 4 * n, "abcd");
    }
    trace.told(&["0 > reset", "1 opened part 50000", "1 > abcd", "1 > abcd"]);
}
