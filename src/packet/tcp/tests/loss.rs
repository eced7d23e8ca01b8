//! What the capture does not hold is told, once that is certain, and never as more than it is.

use super::{Trace, plain};
use crate::packet::Segment;

/// Until the receiver has acknowledged it, what is not here may come again.
#[test]
fn waits_for_a_retransmission() {
    let mut trace = Trace::open();
    trace.up(1004, "DEF");
    for _ in 0..100 {
        trace.up_acknowledged(1001);
    }
    trace.told(&[]);
    trace.up(1001, "ABC");
    trace.told(&["0 > ABC", "0 > DEF"]);
}

/// A capture that lost a packet would otherwise say nothing more of the connection.
#[test]
fn lost_when_acknowledged_and_not_come_in_time() {
    let mut trace = Trace::open();
    trace.up_acknowledged(1007);
    trace.up(1004, "DEF");
    // An acknowledgement may have been captured before what it acknowledges.
    for _ in 0..14 {
        trace.up_acknowledged(1007);
        trace.told(&[]);
    }
    trace.up_acknowledged(1007);
    trace.told(&["0 > missing 3", "0 > DEF"]);
    trace.up(1001, "ABC");
    trace.up(1007, "G");
    trace.told(&["0 > G"]);
}

/// The slack is for packets that are nearly in order.
#[test]
fn an_acknowledgement_before_its_bytes() {
    let mut trace = Trace::open();
    trace.up_acknowledged(1007);
    trace.up(1004, "DEF");
    trace.up_acknowledged(1007);
    trace.up(1001, "ABC");
    trace.told(&["0 > ABC", "0 > DEF"]);
    for _ in 0..100 {
        trace.up_acknowledged(1007);
    }
    trace.finish();
    trace.told(&[]);
}

/// On a quiet connection the time counts: the next packet after a second, or anybody else's.
#[test]
fn lost_after_a_second() {
    let mut trace = Trace::open();
    trace.up_acknowledged(1007);
    trace.at += 1_000_000;
    trace.up(1004, "DEF");
    trace.told(&["0 > missing 3", "0 > DEF"]);

    let mut trace = Trace::open();
    trace.up_acknowledged(1007);
    trace.up(1004, "DEF");
    let last = trace.number;
    trace.at += 1_000_000;
    trace.packet(Segment { syn: true, from: ([192, 0, 2, 2], 50_000).into(), ..plain(true, 1, b"") });
    trace.told(&["0 > missing 3", "0 > DEF", "1 opened whole 50000"]);
    let when = trace.heard.whens[1];
    assert_eq!((when.at.0, when.frame.number), (trace.at, last), "now, and the connection's own packet");
}

/// Two holes, and the second is not yet acknowledged.
#[test]
fn only_what_is_certain_is_lost() {
    let mut trace = Trace::open();
    trace.up_acknowledged(1005);
    trace.up(1004, "D");
    trace.up(1009, "I");
    for _ in 0..40 {
        trace.up_acknowledged(1005);
    }
    trace.told(&["0 > missing 3", "0 > D"]);
    trace.up(1005, "EFGH");
    trace.told(&["0 > EFGH", "0 > I"]);
}

/// A capture of one direction has no acknowledgements: after three seconds it goes on.
#[test]
fn lost_without_acknowledgements() {
    let mut trace = Trace::default();
    trace.packet(Segment { syn: true, ..plain(true, 1000, b"") });
    trace.up(1004, "DEF");
    for n in 0..50 {
        trace.up(1007 + n, "x");
    }
    trace.told(&["0 opened whole 50000"]);
    trace.at += 3_000_000;
    trace.up(1057, "y");
    trace.told(&["0 > missing 3", &format!("0 > DEF{}", "x".repeat(50)), "0 > y"]);
}

/// A short snap length: HTTP cannot go on behind it unless it is told how much is not there.
#[test]
fn cut_segments() {
    let mut trace = Trace::open();
    trace.packet(Segment { cut: 7, ..plain(true, 1001, b"GET") });
    trace.up(1011, "next");
    trace.told(&["0 > GET", "0 > missing 7", "0 > next"]);
    // Out of order, and what was whole before is not lost.
    trace.packet(Segment { cut: 4, ..plain(true, 1018, b"ab") });
    trace.up(1022, "EFG");
    trace.packet(Segment { cut: 2, fin: true, ..plain(true, 1025, b"") });
    trace.up(1015, "abc");
    trace.told(&["0 > abc", "0 > ab", "0 > missing 4", "0 > G", "0 > missing 2", "0 > fin"]);
}

/// What was acknowledged and never came is told at the end: the last bytes of a response may be why a client gave up.
#[test]
fn lost_at_the_end() {
    let mut trace = Trace::open();
    trace.up_acknowledged(1010);
    trace.up(1004, "DEF");
    trace.finish();
    trace.told(&["0 > missing 3", "0 > DEF", "0 > missing 3"]);
    // One number more is that of a FIN that was not captured.
    let mut trace = Trace::open();
    trace.up(1001, "ABC");
    trace.up_acknowledged(1005);
    trace.finish();
    trace.told(&["0 > ABC"]);
    // A reset, and bytes that nobody acknowledged.
    let mut trace = Trace::open();
    trace.up(1004, "DEF");
    trace.packet(Segment { rst: true, ..plain(true, 1007, b"") });
    trace.told(&["0 > missing 3", "0 > DEF", "0 > reset"]);
}

/// One odd number must not make a gigabyte of nothing, nor stop the connection.
#[test]
fn strays() {
    let mut trace = Trace::open();
    for sequence in [0x4000_0000, 0x8000_0000, 0xf000_0000] {
        trace.up(sequence, "stray");
        trace.up_fin(sequence, "");
        trace.up_acknowledged(sequence);
        trace.packet(Segment { rst: true, ..plain(true, sequence, b"") });
    }
    trace.up(1001, "GET");
    // Copies of one stray do not agree with each other.
    for _ in 0..10 {
        trace.up(0x4000_0000, "stray");
    }
    trace.up(1004, " /");
    trace.finish();
    trace.told(&["0 > GET", "0 >  /"]);
}

/// The capture paused, and the connection went on: told as what it is.
#[test]
fn a_jump_that_several_agree_on() {
    let mut trace = Trace::open();
    let far = 1001 + 100_000_000;
    for n in 0..4 {
        trace.up(far + 4 * n, "abcd");
    }
    for n in 0..4 {
        trace.up_acknowledged(far + 4 * n);
    }
    trace.up_acknowledged(far + 16);
    trace.at += 1_000_000;
    trace.up(far + 16, "e");
    trace.told(&["0 > missing 100000012", "0 > abcd", "0 > e"]);
}

/// Another connection, whose SYN was not captured.
#[test]
fn elsewhere() {
    let mut trace = Trace::open();
    trace.up(1001, "GET");
    for n in 0..5 {
        trace.up(0x9000_0000 + 4 * n, "abcd");
    }
    trace.told(&["0 > GET", "0 forgotten", "1 opened part 50000", "1 > abcd", "1 > abcd"]);
}
