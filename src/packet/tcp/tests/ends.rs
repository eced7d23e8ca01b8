//! How connections end.

use super::{Trace, plain};
use crate::packet::Segment;

/// Who ended a connection, and when, is half of a diagnosis.
#[test]
fn fin_in_its_place() {
    let mut trace = Trace::open();
    trace.up_fin(1004, "DEF");
    trace.told(&[]);
    trace.up(1001, "ABC");
    trace.told(&["0 > ABC", "0 > DEF", "0 > fin"]);
    // Half closed: the other direction goes on, and nothing comes after a FIN.
    trace.down(5001, "200");
    trace.up(1007, "more");
    trace.up_fin(1007, "");
    trace.down_fin(5004, "!");
    trace.told(&["0 < 200", "0 < !", "0 < fin", "0 closed"]);
    // The last acknowledgement, a FIN again, a reset: all of the connection that has ended.
    trace.up_acknowledged(1008);
    trace.down_fin(5004, "!");
    trace.packet(Segment { rst: true, ..plain(true, 1008, b"") });
    trace.down(5001, "200!");
    trace.finish();
    trace.told(&[]);
}

/// Bytes that came before the FIN and are behind it were never part of the stream.
#[test]
fn nothing_is_behind_a_fin() {
    let mut trace = Trace::open();
    trace.up(1003, "cde");
    trace.up(1008, "later");
    trace.up_fin(1003, "c");
    trace.up(1001, "ab");
    trace.told(&["0 > ab", "0 > c", "0 > fin"]);
}

/// Both ends close at once.
#[test]
fn simultaneous_close() {
    let mut trace = Trace::open();
    trace.up_fin(1001, "");
    trace.down_fin(5001, "");
    trace.packet(Segment { acknowledged: Some(5002), ..plain(true, 1002, b"") });
    trace.packet(Segment { acknowledged: Some(1002), ..plain(false, 5002, b"") });
    trace.finish();
    trace.told(&["0 > fin", "0 < fin", "0 closed"]);
}

/// A FIN behind a hole comes after the slack, even when its connection says nothing more.
#[test]
fn a_fin_behind_a_hole() {
    let mut trace = Trace::open();
    trace.up_fin(1004, "");
    trace.up_acknowledged(1005);
    trace.told(&[]);
    trace.at += 1_000_000;
    trace.packet(Segment { from: ([192, 0, 2, 2], 50_000).into(), ..plain(true, 1, b"") });
    trace.told(&["0 > missing 3", "0 > fin"]);
}

/// A connection that was refused, aborted, or that somebody far away wants to end.
#[test]
fn resets() {
    let mut trace = Trace::default();
    trace.packet(Segment { syn: true, ..plain(true, 1000, b"") });
    trace.packet(Segment { rst: true, acknowledged: Some(77), ..plain(false, 0, b"") });
    trace.packet(Segment { rst: true, acknowledged: Some(1001), ..plain(false, 0, b"") });
    trace.told(&["0 opened whole 50000", "0 < reset"]);
    // Windows tries again with the same number; now the server listens.
    trace.packet(Segment { syn: true, ..plain(true, 1000, b"") });
    trace.told(&[]);
    trace.packet(Segment { syn: true, acknowledged: Some(1001), ..plain(false, 5000, b"") });
    trace.up(1001, "GET");
    trace.told(&["1 opened whole 50000", "1 > GET"]);
    // Blind: far outside the window.
    trace.packet(Segment { rst: true, ..plain(false, 0x7000_0000, b"") });
    trace.down(5001, "200");
    trace.packet(Segment { rst: true, ..plain(false, 5004, b"") });
    trace.down(5004, "more");
    trace.told(&["1 < 200", "1 < reset"]);
}

/// A driver that gave up on a connection still learns how it ends, and pays nothing for its bytes.
#[test]
fn only_ends_are_wanted() {
    let mut trace = Trace::open();
    trace.down(5004, "waits");
    trace.heard.enough = Some(0);
    assert!(trace.tcp.buffered() > 0);
    trace.up(1001, "GET");
    trace.told(&["0 > GET"]);
    assert_eq!(trace.tcp.buffered(), 0);
    trace.up(1004, " /");
    trace.up(1100, "hole");
    trace.up_acknowledged(1200);
    trace.packet(Segment { cut: 7, ..plain(false, 5001, b"200") });
    assert_eq!(trace.tcp.buffered(), 0);
    trace.up_fin(1104, "");
    trace.up_fin(1104, "");
    trace.down_fin(5011, "");
    trace.finish();
    trace.told(&["0 > fin", "0 < fin", "0 closed"]);

    // Said amid what waited, with the ends behind it.
    let mut trace = Trace::open();
    trace.up_fin(1004, "DEF");
    trace.down_fin(5001, "");
    trace.heard.enough = Some(1);
    trace.up(1001, "ABC");
    trace.told(&["0 < fin", "0 > ABC", "0 > fin", "0 closed"]);
}
