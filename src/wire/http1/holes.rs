//! Bytes that were not seen, as where a capture lost packets: a hole within a body is nothing but its bytes'.

use super::*;
use crate::wire::follow::Follow;

/// What was told: exchanges with their bodies' lengths, and copies with whether they are whole.
#[derive(Default, Debug, PartialEq)]
struct Told(Vec<String>);

impl Out for Told {
    fn exchange(&mut self, e: RawExchange) {
        self.0.push(format!("{} answered", e.exchange));
    }

    fn ended(&mut self, e: Ended) {
        let copy = e.body.as_ref().map_or("".into(), |body| String::from_utf8_lossy(body.expose()));
        let (end, number) = (e.end.0, e.exchange);
        let whole = if e.body_whole { "whole" } else { "cut" };
        self.0.push(format!("{number} ended {}/{} at {end} {whole} {copy}", e.request_body, e.response_body));
    }

    fn unparsable(&mut self, from: &'static str, offset: u64, why: String) {
        self.0.push(format!("blind {from} {offset} {why}"));
    }
}

/// A step at its own time: bytes of a side (`true`: the client), or so many that were not seen.
#[derive(Clone, Copy)]
enum Step<'a> {
    Seen(bool, &'a [u8]),
    Hole(bool, u64),
}
use Step::{Hole, Seen};

/// Plays the steps and closes; whether every hole was taken, and what was told.
fn play(steps: &[Step<'_>]) -> (bool, Vec<String>) {
    let (mut follow, mut pool, mut told) = (Follow::new(true), Pool::default(), Told::default());
    let mut taken = true;
    for (at, step) in (1..).map(Stamp).zip(steps) {
        match *step {
            Seen(true, bytes) => follow.client(at, bytes, &mut pool, &mut told),
            Seen(false, bytes) => follow.upstream(at, bytes, &mut pool, &mut told),
            Hole(from_client, n) => taken &= follow.skip(from_client, at, n, &mut pool, &mut told),
        }
    }
    follow.closed(Stamp(99), &mut pool, &mut told);
    (taken, told.0)
}

const GET: Step<'_> = Seen(true, b"GET / HTTP/1.1\r\n\r\n");
const POST: Step<'_> = Seen(true, b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
const OK: Step<'_> = Seen(false, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
const NO: Step<'_> = Seen(false, b"HTTP/1.1 401 No\r\nContent-Length: 10\r\n\r\nabc");
const CHUNKED: Step<'_> = Seen(false, b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabc");
const CLOSING: Step<'_> = Seen(false, b"HTTP/1.1 401 No\r\n\r\nabc");

/// A large download that a capture could not keep up with would take the whole connection's story with it.
#[test]
fn a_hole_in_a_body_harms_its_bytes_only() {
    let after = |response: Step<'static>, hole: u64, rest: &'static [u8]| {
        let (taken, told) =
            play(&[GET, response, Hole(false, hole), Seen(false, rest), GET, OK, Seen(false, b"defghij")]);
        assert!(taken, "{told:?}");
        assert_eq!(told.last().map(String::as_str), Some("2 ended 0/10 at 7 cut "), "{told:?}");
        told[1].clone()
    };
    for (response, hole, rest, expected) in [
        (OK, 4, &b"hij"[..], "1 ended 0/10 at 4 cut "),
        (OK, 7, b"", "1 ended 0/10 at 3 cut "),
        // A copy of a refusal's page ends at the hole, and nothing that follows is put in its place.
        (NO, 4, b"hij", "1 ended 0/10 at 4 cut abc"),
        (NO, 7, b"", "1 ended 0/10 at 3 cut abc"),
        (CHUNKED, 4, b"hij\r\n2\r\nkl\r\n0\r\n\r\n", "1 ended 0/12 at 4 cut abc"),
        (CHUNKED, 7, b"\r\n0\r\n\r\n", "1 ended 0/10 at 4 cut abc"),
    ] {
        assert_eq!(after(response, hole, rest), expected);
    }
    let (taken, told) = play(&[GET, CLOSING, Hole(false, 1_000_000), Seen(false, b"hij")]);
    assert!(taken);
    assert_eq!(told.last().map(String::as_str), Some("1 ended 0/1000006 at 99 cut abc"));
}

/// The same of an upload.
#[test]
fn a_hole_in_a_request() {
    for (hole, rest) in [(4, &b"hij"[..]), (7, b"")] {
        let (taken, told) = play(&[POST, Hole(true, hole), Seen(true, rest), OK, Seen(false, b"defghij"), GET]);
        assert!(taken);
        assert_eq!(told, ["1 answered", "1 ended 10/10 at 5 cut "]);
    }
}

/// Behind a hole that may hold the next message's head, answers would be given to the wrong requests.
#[test]
fn a_hole_anywhere_else_ends_it() {
    for (steps, why) in [
        (&[Hole(true, 1)][..], "before the first request"),
        (&[Seen(true, b"GET / HT"), Hole(true, 1)], "in a head"),
        (&[POST, Hole(true, 8)], "over a request's end"),
        (&[GET, Hole(false, 1)], "before a response"),
        (&[GET, OK, Hole(false, 8)], "over a response's end"),
        (&[GET, CHUNKED, Hole(false, 8)], "over a chunk's end"),
        (&[GET, CHUNKED, Seen(false, b"defghij"), Hole(false, 2)], "between chunks"),
        (&[GET, OK, Seen(false, b"defghij"), Hole(false, 1)], "after a response"),
    ] {
        assert!(!play(steps).0, "{why}");
    }
    // HTTP/2 compresses heads by all that came before.
    let (mut follow, mut pool, mut told) = (Follow::http2(true), Pool::default(), Told::default());
    assert!(!follow.skip(false, Stamp(1), 1, &mut pool, &mut told));
    assert!(follow.skip(false, Stamp(1), 0, &mut pool, &mut told));
}

/// What is not followed is not harmed: behind a refusal amid a head, and in another protocol after 101.
#[test]
fn a_hole_where_nothing_is_followed() {
    let refused = [Seen(true, b"GET / HTTP/1.1\r\nA: b"), Seen(false, b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")];
    let (taken, told) = play(&[refused[0], refused[1], Hole(true, 5000)]);
    assert!(taken);
    assert_eq!(told.first().map(String::as_str), Some("1 answered"));
    let upgrade = Seen(true, b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    let switched = Seen(false, b"HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert!(play(&[upgrade, switched, Hole(false, 5), Hole(true, 5)]).0);
}
