//! Bytes come in order, once.

use super::{Trace, plain};
use crate::packet::Segment;

/// Without this nothing of a capture is read at all.
#[test]
fn in_order() {
    let mut trace = Trace::open();
    trace.up(1001, "GET");
    trace.down(5001, "200");
    trace.up(1004, " /");
    trace.told(&["0 > GET", "0 < 200", "0 >  /"]);
    trace.finish();
    trace.told(&[]);
}

/// A path that reorders packets would turn a request into noise; the late bytes' time is that of who let them through.
#[test]
fn out_of_order() {
    let mut trace = Trace::open();
    trace.up(1007, "three");
    trace.up(1004, "two");
    trace.told(&[]);
    assert!(trace.tcp.buffered() >= 8);
    trace.up(1001, "one");
    trace.told(&["0 > one", "0 > two", "0 > three"]);
    let frames: Vec<u64> = trace.heard.whens.iter().map(|when| when.frame.number).collect();
    assert_eq!(frames, [1, 5, 5, 5]);
    assert_eq!(trace.tcp.buffered(), 0);
}

/// What follows a waiting piece directly is told with it.
#[test]
fn a_run_that_waits_is_one_piece() {
    let mut trace = Trace::open();
    trace.up(1004, "two");
    trace.up(1007, "three");
    trace.up(1001, "one");
    trace.told(&["0 > one", "0 > twothree"]);
}

/// A retransmission would be read as a second request.
#[test]
fn retransmitted() {
    let mut trace = Trace::open();
    trace.up(1001, "GET");
    trace.up(1001, "GET");
    trace.up(1001, "GET /");
    trace.up(1002, "ET / HTTP");
    trace.told(&["0 > GET", "0 >  /", "0 >  HTTP"]);
}

/// Which copy the receiver took is not known; the first is what Wireshark shows, and a reader compares with that.
#[test]
fn the_first_copy_counts() {
    let mut trace = Trace::open();
    trace.up(1001, "abc");
    trace.up(1001, "xyzd");
    trace.up(1007, "gh");
    trace.up(1005, "EFGHI");
    trace.told(&["0 > abc", "0 > d", "0 > EF", "0 > gh", "0 > I"]);
}

/// Pieces that wait overlap each other in every way.
#[test]
fn overlaps_while_waiting() {
    let mut trace = Trace::open();
    trace.up(1003, "cd");
    trace.up(1007, "gh");
    trace.up(1002, "BCDEFGHI");
    trace.up(1002, "b");
    trace.told(&[]);
    trace.up(1001, "A");
    assert_eq!(trace.heard.lines.iter().map(|line| &line[4..]).collect::<String>(), "ABcdEFghI");
}

/// `tcpdump -i any` and two files of the same connection show each packet twice.
#[test]
fn every_packet_twice() {
    let mut trace = Trace::default();
    let segments = [
        Segment { syn: true, ..plain(true, 1000, b"") },
        Segment { syn: true, acknowledged: Some(1001), ..plain(false, 5000, b"") },
        plain(true, 1001, b"GET"),
        plain(false, 5001, b"200"),
        Segment { fin: true, ..plain(false, 5004, b"!") },
        Segment { fin: true, ..plain(true, 1004, b"") },
        Segment { rst: true, ..plain(true, 1005, b"") },
    ];
    for segment in segments {
        trace.packet(segment);
        trace.packet(segment);
    }
    // And the other file, read after it.
    for segment in segments {
        trace.packet(segment);
    }
    trace.finish();
    trace.told(&["0 opened whole 50000", "0 > GET", "0 < 200", "0 < !", "0 < fin", "0 > fin", "0 closed"]);
}

/// A connection that is kept alive sends a byte that it sent before, or none; Windows sends a zero.
#[test]
fn keep_alives() {
    let mut trace = Trace::open();
    trace.up(1001, "GET");
    trace.up(1003, "\0");
    trace.up(1003, "");
    trace.up(1004, " /");
    trace.told(&["0 > GET", "0 >  /"]);
    // The capture lost "abc", which the server acknowledged: the zero is no byte of it.
    trace.up_acknowledged(1009);
    trace.up(1008, "\0");
    trace.up(1009, "d");
    trace.finish();
    trace.told(&["0 > missing 3", "0 > d"]);
}

/// A full receiver is asked with one byte, which comes again with what follows.
#[test]
fn zero_window_probes() {
    let mut trace = Trace::open();
    trace.up(1001, "G");
    trace.up(1001, "G");
    trace.up(1001, "GET");
    trace.told(&["0 > G", "0 > ET"]);
}

/// A download of 4 GB, or a number that begins close to the end of 32 bits, must not stop there.
#[test]
fn numbers_wrap() {
    let mut trace = Trace::default();
    trace.packet(Segment { syn: true, ..plain(true, u32::MAX - 2, b"") });
    trace.up(2, "ef");
    trace.up(u32::MAX - 1, "abcd");
    trace.up(4, "g");
    trace.told(&["0 opened whole 50000", "0 > abcd", "0 > ef", "0 > g"]);
}

/// TCP Fast Open puts the request into the SYN (RFC 7413).
#[test]
fn syn_with_data() {
    let mut trace = Trace::default();
    let syn = Segment { syn: true, ..plain(true, 1000, b"GET") };
    trace.packet(syn);
    trace.packet(syn);
    trace.packet(Segment { syn: true, acknowledged: Some(1004), ..plain(false, 5000, b"2") });
    trace.up(1004, " /");
    trace.down(5002, "00");
    trace.told(&["0 opened whole 50000", "0 > GET", "0 < 2", "0 >  /", "0 < 00"]);
}

/// A capture that begins amid a connection, or misses the SYN alone.
#[test]
fn beginnings() {
    // Amid: the first with payload opens, whoever sent it.
    let mut trace = Trace::default();
    trace.packet(Segment { acknowledged: Some(1001), ..plain(false, 5001, b"") });
    trace.packet(Segment { rst: true, ..plain(false, 5001, b"") });
    trace.up(1000, "\0");
    trace.packet(Segment { acknowledged: Some(1001), ..plain(false, 5001, b"200") });
    trace.up(1001, "GET");
    trace.up(900, "old");
    trace.told(&["0 opened part 80", "0 > 200", "0 < GET"]);
    // The answer to the SYN says the same as the SYN, which comes late here.
    let mut trace = Trace::default();
    trace.packet(Segment { syn: true, acknowledged: Some(1001), ..plain(false, 5000, b"") });
    trace.packet(Segment { syn: true, ..plain(true, 1000, b"") });
    trace.up(1001, "GET");
    trace.told(&["0 opened whole 50000", "0 > GET"]);
    // Both ends at once.
    let mut trace = Trace::default();
    trace.packet(Segment { syn: true, ..plain(true, 1000, b"") });
    trace.packet(Segment { syn: true, ..plain(false, 5000, b"") });
    trace.packet(Segment { syn: true, acknowledged: Some(5001), ..plain(true, 1000, b"") });
    trace.packet(Segment { syn: true, acknowledged: Some(1001), ..plain(false, 5000, b"") });
    trace.down(5001, "hi");
    trace.told(&["0 opened whole 50000", "0 < hi"]);
    // A server with SYN cookies answers each SYN with another number.
    let mut trace = Trace::open();
    trace.packet(Segment { syn: true, acknowledged: Some(1001), ..plain(false, 7000, b"") });
    trace.down(7001, "hi");
    trace.told(&["0 < hi"]);
}
