//! One connection at a time, as frames of either side.

use std::fmt::Write as _;

use super::frame::PREFACE;
use super::*;
use crate::wire::follow::Follow;
use crate::wire::observation::{Ended, RawExchange};

#[derive(Default)]
struct Told(String);

impl Out for Told {
    fn exchange(&mut self, e: RawExchange) {
        let line = |head: &[u8]| {
            let text = String::from_utf8_lossy(head).into_owned();
            assert!(text.ends_with("\r\n\r\n"), "{text:?}");
            text.trim_end().replace("\r\n", "; ")
        };
        let response = e.response.map_or("-".to_owned(), |r| line(r.expose()));
        write!(self.0, "{} {} | {response}", e.exchange, line(e.request.expose())).unwrap();
        if !e.interim.is_empty() {
            write!(self.0, " {:?}", e.interim.iter().map(|i| i.status).collect::<Vec<_>>()).unwrap();
        }
        if let Some(code) = e.reset {
            write!(self.0, " reset {code}").unwrap();
        }
        self.0.push('\n');
    }

    fn ended(&mut self, e: Ended) {
        write!(self.0, "{} ended {}/{}", e.exchange, e.request_body, e.response_body).unwrap();
        if let Some(body) = e.body {
            write!(self.0, " {:?} {}", String::from_utf8_lossy(body.expose()), e.body_whole).unwrap();
        }
        self.0.push('\n');
    }

    fn unparsable(&mut self, from: &'static str, offset: u64, why: String) {
        writeln!(self.0, "blind {from} {offset} {why}").unwrap();
    }
}

enum Step {
    C(Vec<u8>),
    U(Vec<u8>),
    Closed,
}
use Step::{C, Closed, U};

/// Plays the steps whole, in threes and byte by byte: what is told must be the same.
fn play(steps: &[Step]) -> String {
    let run = |size: usize| {
        let (mut http, mut pool, mut told) = (Follow::new(false), Pool::default(), Told::default());
        for step in steps {
            match step {
                C(bytes) => bytes.chunks(size).for_each(|b| http.client(Stamp(1), b, &mut pool, &mut told)),
                U(bytes) => bytes.chunks(size).for_each(|b| http.upstream(Stamp(1), b, &mut pool, &mut told)),
                Closed => http.closed(Stamp(1), &mut pool, &mut told),
            }
        }
        told.0
    };
    let whole = run(usize::MAX);
    assert_eq!(whole, run(1), "byte by byte");
    assert_eq!(whole, run(3), "in threes");
    whole
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn settings() -> Vec<u8> {
    frame(kind::SETTINGS, 0, 0, &[])
}

/// A header block whose fields are kept in the dynamic table.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0x40);
        for text in [name, value] {
            assert!(text.len() < 127);
            out.push(u8::try_from(text.len()).unwrap());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "app.example.test"), (":path", "/a")];

fn get(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    frame(kind::HEADERS, 5, stream, &block(&[&GET, more].concat()))
}

fn answer(stream: u32, end: bool, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(kind::HEADERS, 4 | u8::from(end), stream, &block(fields))
}

fn data(stream: u32, end: bool, content: &[u8]) -> Vec<u8> {
    frame(kind::DATA, u8::from(end), stream, content)
}

fn begun() -> Vec<Step> {
    vec![C([PREFACE, &settings()].concat()), U([settings(), frame(kind::SETTINGS, flag::ACK, 0, &[])].concat())]
}

fn after_begin(steps: Vec<Step>) -> String {
    let mut all = begun();
    all.extend(steps);
    play(&all)
}

/// The core of it: what a person sees of an HTTP/2 logon is what they would see of HTTP/1.
#[test]
fn a_refusal_and_a_logon_are_told_as_heads() {
    let told = after_begin(vec![
        C(get(1, &[])),
        U([answer(1, false, &[(":status", "401"), ("www-authenticate", "Basic realm=\"a\"")]), data(1, true, b"no")]
            .concat()),
        C(get(3, &[("authorization", "Basic dTpwdw==")])),
        U([answer(3, false, &[(":status", "200"), ("server", "iis")]), data(3, false, b"so"), data(3, true, b"me")]
            .concat()),
        Closed,
    ]);
    assert_eq!(
        told,
        "1 GET /a HTTP/2; host: app.example.test | HTTP/2 401 ; www-authenticate: Basic realm=\"a\"\n\
         1 ended 0/2 \"no\" true\n\
         2 GET /a HTTP/2; host: app.example.test; authorization: Basic dTpwdw== | HTTP/2 200 ; server: iis\n\
         2 ended 0/4\n"
    );
}

/// Streams interleave: an answer paired with another stream's request would accuse the innocent.
#[test]
fn streams_are_paired_by_their_number() {
    let told = after_begin(vec![
        C([get(1, &[("x", "one")]), get(3, &[("authorization", "NTLM TlRM")]), get(5, &[("x", "three")])].concat()),
        U([answer(5, true, &[(":status", "200")]), answer(3, false, &[(":status", "401")])].concat()),
        U([data(3, false, b"abc"), answer(1, true, &[(":status", "404")]), data(3, true, b"")].concat()),
    ]);
    assert_eq!(
        told,
        "2 GET /a HTTP/2; host: app.example.test; authorization: NTLM TlRM | HTTP/2 401\n\
         1 GET /a HTTP/2; host: app.example.test; x: one | HTTP/2 404\n\
         1 ended 0/0\n\
         2 ended 0/3 \"abc\" true\n"
    );
}

/// What IIS does to Windows authentication on HTTP/2 is a reset with 0xd: without it nobody knows why the logon failed.
#[test]
fn a_reset_request_with_credentials_is_told_with_its_code() {
    let reset = |stream, code: u32| frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes());
    let told = after_begin(vec![
        C([get(1, &[("authorization", "NTLM TlRM")]), get(3, &[]), get(5, &[])].concat()),
        U([reset(1, HTTP_1_1_REQUIRED), reset(3, 8), reset(5, HTTP_1_1_REQUIRED)].concat()),
        C(get(7, &[("authorization", "NTLM TlRM")])),
        C(reset(7, 8)),
        // The answer to what was given up is in flight; the table must follow it.
        U(answer(7, true, &[(":status", "401")])),
        Closed,
    ]);
    let shown: Vec<&str> =
        told.lines().filter(|l| l.contains(" | ")).map(|l| l.rsplit(" | ").next().unwrap()).collect();
    assert_eq!(shown, ["- reset 13", "- reset 13", "- reset 8"], "{told}");
    assert!(told.starts_with("1 GET") && told.contains("\n3 GET") && told.contains("\n4 GET"), "{told}");
}

/// A connection that ends without an answer must show who waited for one, and why the server left.
#[test]
fn an_end_tells_requests_with_credentials() {
    let goaway = frame(kind::GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 13, b'd']);
    let steps =
        |goaway: Vec<u8>| vec![C([get(1, &[]), get(3, &[("authorization", "NTLM TlRM")])].concat()), U(goaway), Closed];
    assert!(after_begin(steps(goaway)).contains("| - reset 13\n2 ended 0/0\n"));
    let told = after_begin(steps(Vec::new()));
    assert!(told.contains("| -\n2 ended 0/0\n") && !told.contains("1 GET"), "{told}");
}

/// Interim answers, trailers, padding, priority, pushes and continued blocks are ordinary traffic.
#[test]
fn the_rest_of_the_protocol_is_followed() {
    let request = block(&[&GET[..], &[("authorization", "NTLM TlRM")]].concat());
    let (a, b) = request.split_at(7);
    let (b, c) = b.split_at(1);
    let padded = [&[2, 0, 0, 0, 0, 7][..], a, &[0, 0]].concat();
    let interim = answer(1, false, &[(":status", "100")]);
    let promise = [&[0, 0, 0, 2][..], &block(&GET)].concat();
    let told = after_begin(vec![
        C([
            frame(kind::PING, 0, 0, &[0; 8]),
            frame(kind::HEADERS, flag::PADDED | flag::PRIORITY, 1, &padded),
            frame(kind::CONTINUATION, 0, 1, b),
            frame(kind::CONTINUATION, flag::END_HEADERS, 1, c),
        ]
        .concat()),
        U(interim),
        C([
            frame(kind::DATA, flag::PADDED, 1, b"\x03body\0\0\0"),
            frame(kind::DATA, flag::PADDED, 1, b"\x00"),
            frame(kind::HEADERS, 5, 1, &block(&[("x-sum", "1")])),
        ]
        .concat()),
        U([
            frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &promise),
            answer(2, true, &[(":status", "200")]),
            answer(1, false, &[(":status", "500"), ("x", "y")]),
            frame(0xbe, 0xff, 1, b"unknown"),
            data(1, false, b"oops"),
            answer(1, true, &[("x-sum", "2")]),
        ]
        .concat()),
    ]);
    assert_eq!(
        told,
        "1 GET /a HTTP/2; host: app.example.test; authorization: NTLM TlRM | HTTP/2 500 ; x: y [100]\n\
         1 ended 4/4 \"oops\" true\n"
    );
}

/// A connection that was never HTTP/2, and one that ceases to be readable, must say so and nothing more.
#[test]
fn what_cannot_be_followed_is_told_once() {
    let first = [PREFACE, &settings()].concat();
    let cases: Vec<(Vec<Step>, &str)> = vec![
        (vec![C(b"PRI * HTTP/2.0\r\n\r\nXX".to_vec())], "blind client 0 expected HTTP/2's connection preface"),
        (vec![C(first.clone()), U(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())], "blind upstream 0 expected SETTINGS"),
        (vec![C([PREFACE, &get(1, &[])].concat())], "blind client 24 expected SETTINGS"),
        (vec![C([&first[..], &get(2, &[])].concat())], "blind client 33 expected a client's stream"),
        (vec![C([&first[..], &data(0, true, b"x")].concat())], "blind client 33 expected a frame of a stream"),
        (vec![C([&first[..], &frame(kind::SETTINGS, 0, 1, &[])].concat())], "expected a frame of the connection"),
        (vec![C([&first[..], &frame(kind::SETTINGS, 0, 0, &[0; 5])].concat())], "expected a frame as long"),
        (vec![C([&first[..], &frame(kind::CONTINUATION, 4, 1, &[])].concat())], "expected a header block before"),
        (
            vec![C([&first[..], &frame(kind::HEADERS, 0, 1, &[]), &settings()].concat())],
            "blind client 42 expected CONTINUATION",
        ),
        (vec![C([&first[..], &frame(kind::DATA, flag::PADDED, 1, b"\x05abc")].concat())], "expected padding within"),
        (
            vec![C([&first[..], &frame(kind::HEADERS, 5, 1, &[0xff, 0xff])].concat())],
            "blind client 33 expected a whole",
        ),
        (
            vec![C([&first[..], &frame(kind::HEADERS, 5, 1, &block(&[(":method", "GET")]))].concat())],
            ":path of a request",
        ),
        (vec![C([&first[..], &get(1, &[("x", "a\r\nauthorization: b")])].concat())], "on one line"),
        (vec![C([&first[..], &get(1, &[("a b", "c")])].concat())], "a field name"),
        (vec![C([&first[..], &get(1, &[("x", "y"), (":scheme", "b")])].concat())], "pseudo-fields before"),
        (
            vec![
                C([&first[..], &get(1, &[])].concat()),
                U([settings(), answer(3, true, &[(":status", "200")])].concat()),
            ],
            "blind upstream 9 expected a response to a request",
        ),
        (
            vec![
                C([&first[..], &get(1, &[])].concat()),
                U([settings(), answer(1, true, &[(":status", "20")])].concat()),
            ],
            "expected :status",
        ),
    ];
    for (mut steps, why) in cases {
        // What comes behind is not looked at.
        steps.extend([C(get(99, &[("authorization", "NTLM TlRM")])), U(b"x".to_vec()), Closed]);
        let told = play(&steps);
        assert!(told.starts_with("blind ") && told.contains(why) && told.lines().count() == 1, "{why}: {told}");
    }
}

/// Whoever opens streams without end, or sends heads that grow without end, must not take the memory.
#[test]
fn what_is_remembered_is_bounded() {
    let mut opened = begun();
    opened.push(C((0..1_100_u32).flat_map(|n| get(2 * n + 1, &[])).collect()));
    let told = play(&opened);
    assert!(told.contains("expected at most 1024 open streams"), "{told}");

    // Each indexed field is one byte in the block and a hundred in the head.
    let long = "v".repeat(100);
    let mut bomb = block(&[&GET[..], &[("x", long.as_str())]].concat());
    bomb.extend(std::iter::repeat_n(0xbe, 10_000));
    let told = after_begin(vec![C(frame(kind::HEADERS, 5, 1, &bomb))]);
    assert!(told.contains("expected fields of at most 256 KiB"), "{told}");

    let mut endless = frame(kind::HEADERS, 0, 1, &[]);
    for _ in 0..20 {
        endless.extend(frame(kind::CONTINUATION, 0, 1, &[0; 16_384]));
    }
    let told = after_begin(vec![C(endless)]);
    assert!(told.contains("expected a header block of at most 256 KiB"), "{told}");
}

/// By ALPN the protocol is known: the server may send its settings before the client's preface.
#[test]
fn an_agreed_connection_lets_the_server_speak_first() {
    let (mut http, mut pool, mut told) = (Follow::http2(false), Pool::default(), Told::default());
    http.upstream(Stamp(1), &settings(), &mut pool, &mut told);
    http.client(
        Stamp(1),
        &[PREFACE, &settings(), &get(1, &[("authorization", "NTLM TlRM")])].concat(),
        &mut pool,
        &mut told,
    );
    assert!(!http.between_messages());
    http.upstream(Stamp(1), &answer(1, true, &[(":status", "401")]), &mut pool, &mut told);
    assert!(http.between_messages() && http.exchanges() == 1, "{}", told.0);
    assert!(told.0.ends_with("1 ended 0/0\n"), "{}", told.0);
}

/// A server that speaks nothing but HTTP/2 sends its settings without waiting for the client; HTTP/1's never speaks first.
#[test]
fn a_plain_server_may_speak_first() {
    let mut steps = vec![U(settings())];
    steps.extend([C([PREFACE, &settings(), &get(1, &[])].concat()), U(answer(1, true, &[(":status", "401")]))]);
    assert!(play(&steps).starts_with("1 GET /a HTTP/2"), "{}", play(&steps));
    let (first, rest) = PREFACE.split_at(9);
    let steps =
        [C(first.to_vec()), U(settings()), C([rest, &settings(), &get(1, &[("authorization", "x")])].concat()), Closed];
    assert!(play(&steps).starts_with("1 GET /a HTTP/2"), "{}", play(&steps));
    let told = play(&[U(b"HTTP/1.1 408 Timeout\r\n\r\n".to_vec()), C([PREFACE, &settings()].concat())]);
    assert!(
        told.starts_with("blind upstream 0 expected a response to a request") && told.lines().count() == 1,
        "{told}"
    );
}

/// HTTP/1 requests that begin like the preface are HTTP/1.
#[test]
fn a_request_that_begins_like_the_preface_is_http_1() {
    let told = play(&[
        C(b"PRI /a HTTP/1.1\r\nAuthorization: x\r\n\r\n".to_vec()),
        U(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".to_vec()),
    ]);
    assert!(told.starts_with("1 PRI /a HTTP/1.1; Authorization: x | HTTP/1.1 401 No"), "{told}");
}
