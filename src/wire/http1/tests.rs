//! One connection at a time, as a wire trace: `>` bytes of the client, `<` bytes of the upstream.

use super::direction::{signed, wide};
use super::requests::MAX_PENDING;
use super::*;
use crate::wire::observation::COPIED;
use std::fmt::Write as _;

/// Writes down what is told, one line each, and the copies of bodies.
#[derive(Default)]
struct Told(String, Vec<Copy>);

/// What of a body was handed over, and whether it is whole.
type Copy = (Option<Vec<u8>>, bool);

impl Out for Told {
    fn exchange(&mut self, e: RawExchange) {
        let line = |head: &[u8]| {
            let line = head.split(|b| *b == b'\r' || *b == b'\n').next().unwrap();
            String::from_utf8_lossy(line).into_owned()
        };
        let response = e.response.map_or("-".to_owned(), |r| line(r.expose()));
        let request = line(e.request.expose());
        write!(self.0, "{} {request} | {response}", e.exchange).unwrap();
        if !e.interim.is_empty() {
            write!(self.0, " {:?}", e.interim.iter().map(|i| i.status).collect::<Vec<_>>()).unwrap();
        }
        self.0.push('\n');
    }

    fn ended(&mut self, e: Ended) {
        writeln!(self.0, "{} ended {}/{}", e.exchange, e.request_body, e.response_body).unwrap();
        self.1.push((e.body.map(|b| b.expose().clone()), e.body_whole));
    }

    fn unparsable(&mut self, from: &'static str, offset: u64, why: String) {
        writeln!(self.0, "blind {from} {offset} {why}").unwrap();
    }
}

enum Step<'a> {
    C(&'a [u8]),
    U(&'a [u8]),
    UpstreamEnd,
    Closed,
}
use Step::{C, Closed, U, UpstreamEnd};

/// Plays the steps whole and byte by byte: what is told must be the same.
fn play(steps: &[Step<'_>]) -> String {
    told(steps).0
}

/// The copies that are handed over, also the same at every cut.
fn copies(steps: &[Step<'_>]) -> Vec<Copy> {
    told(steps).1
}

fn told(steps: &[Step<'_>]) -> (String, Vec<Copy>) {
    let run = |size: usize| {
        let (mut http, mut pool, mut out) = (Http1::default(), Pool::default(), Told::default());
        for step in steps {
            match step {
                C(bytes) => bytes.chunks(size).for_each(|b| http.client(Stamp(0), b, &mut pool, &mut out)),
                U(bytes) => bytes.chunks(size).for_each(|b| http.upstream(Stamp(0), b, &mut pool, &mut out)),
                UpstreamEnd => http.upstream_end(Stamp(0), &mut pool, &mut out),
                Closed => http.closed(Stamp(0), &mut pool, &mut out),
            }
        }
        (out.0, out.1)
    };
    let whole = run(usize::MAX);
    for size in 1..8 {
        assert_eq!(run(size), whole, "in pieces of {size}");
    }
    whole
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: iis\r\n\r\n";
const AUTH: &[u8] = b"GET / HTTP/1.1\r\nHost: iis\r\nAuthorization: NTLM TlRM\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const NO: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n";

/// A connection costs memory for as long as it is open, and thousands are.
#[test]
fn a_connection_is_small() {
    println!("{} bytes", size_of::<Http1>());
    assert!(size_of::<Http1>() <= 256, "{}", size_of::<Http1>());
}

/// Told exchanges cost the observer; untold ones would hide a handshake's leg.
#[test]
fn what_is_told() {
    // 1 boring; 2 refused; 3 authenticates; 4 the follow-up; 5 boring again.
    let story = play(&[C(GET), U(OK), C(GET), U(NO), C(AUTH), U(OK), C(GET), U(OK), C(GET), U(OK), Closed]);
    insta::assert_snapshot!(story, @r"
    2 GET / HTTP/1.1 | HTTP/1.1 401 Unauthorized
    2 ended 0/0
    3 GET / HTTP/1.1 | HTTP/1.1 200 OK
    3 ended 0/2
    4 GET / HTTP/1.1 | HTTP/1.1 200 OK
    4 ended 0/2
    ");
}

/// Another user's request on an authenticated connection carries nothing of authentication: the change must show.
#[test]
fn a_changed_client_is_told() {
    let ann = b"GET /ann HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
    let bob = b"GET /bob HTTP/1.1\r\nX-Forwarded-For: 192.0.2.2\r\n\r\n";
    let story = play(&[C(ann), U(OK), C(ann), U(OK), C(bob), U(OK), C(bob), U(OK), C(ann), U(OK)]);
    insta::assert_snapshot!(story, @r"
    3 GET /bob HTTP/1.1 | HTTP/1.1 200 OK
    3 ended 0/2
    5 GET /ann HTTP/1.1 | HTTP/1.1 200 OK
    5 ended 0/2
    ");
}

/// Answers to HEAD, 204 and 304 have no body, whatever their fields say; a body expected would swallow the next 401.
#[test]
fn answers_without_bodies() {
    let story = play(&[
        C(b"HEAD / HTTP/1.1\r\n\r\n"),
        U(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        C(GET),
        U(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
        C(GET),
        U(b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
        C(GET),
        U(NO),
    ]);
    insta::assert_snapshot!(story, @r"
    4 GET / HTTP/1.1 | HTTP/1.1 401 Unauthorized
    4 ended 0/0
    ");
}

/// Browsers' interim answers must not be taken for the final one.
#[test]
fn interim_answers() {
    let post = b"POST / HTTP/1.1\r\nAuthorization: NTLM TlRM\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    let story = play(&[
        C(post),
        U(b"HTTP/1.1 100 Continue\r\n\r\n"),
        C(b"abc"),
        U(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
        U(OK),
        C(GET),
        U(NO),
    ]);
    insta::assert_snapshot!(story, @r"
    1 POST / HTTP/1.1 | HTTP/1.1 200 OK [100, 103]
    1 ended 3/2
    2 GET / HTTP/1.1 | HTTP/1.1 401 Unauthorized
    2 ended 0/0
    ");
}

/// IIS answers 401 before an upload has come; clients then send the body all the same, or leave.
#[test]
fn an_early_401_during_an_upload() {
    let post = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n";
    let sent = play(&[C(post), U(NO), C(b"abc"), C(b"def"), C(AUTH), U(OK), Closed]);
    insta::assert_snapshot!(sent, @r"
    1 POST / HTTP/1.1 | HTTP/1.1 401 Unauthorized
    1 ended 6/0
    2 GET / HTTP/1.1 | HTTP/1.1 200 OK
    2 ended 0/2
    ");
    let left = play(&[C(post), U(NO), C(b"abc"), Closed]);
    insta::assert_snapshot!(left, @r"
    1 POST / HTTP/1.1 | HTTP/1.1 401 Unauthorized
    1 ended 3/0
    ");
    // A client that gave the body up and goes on: by the framing its bytes are the body, so an answer more is a riddle.
    let gave_up = play(&[C(post), U(NO), C(AUTH), U(OK), U(NO), Closed]);
    assert!(gave_up.contains("blind client 66"), "{gave_up}");
    let long = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 600\r\n\r\n";
    let gave_up = play(&[C(long), U(NO), C(AUTH), U(OK), U(NO), Closed]);
    assert!(gave_up.contains("blind upstream 72 expected a response to a request"), "{gave_up}");
}

/// http.sys refuses a header with a fat Kerberos ticket before it has read the whole: the 400 is the finding.
#[test]
fn a_refusal_before_the_head_is_whole() {
    let story = play(&[
        C(b"GET /x HTTP/1.1\r\nHost: iis\r\nAuthorization: Negotiate YII"),
        U(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"),
        C(b"YII\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
        Closed,
    ]);
    insta::assert_snapshot!(story, @r"
    1 GET /x HTTP/1.1 | HTTP/1.1 400 Bad Request
    1 ended 0/2
    ");
}

/// Answers to pipelined requests come in order; one slip accuses the wrong request.
#[test]
fn pipelining() {
    let story = play(&[C(&[GET, AUTH, GET, GET].concat()), U(&[OK, NO, OK, OK].concat()), C(GET), U(NO)]);
    insta::assert_snapshot!(story, @r"
    2 GET / HTTP/1.1 | HTTP/1.1 401 Unauthorized
    2 ended 0/0
    3 GET / HTTP/1.1 | HTTP/1.1 200 OK
    3 ended 0/2
    5 GET / HTTP/1.1 | HTTP/1.1 401 Unauthorized
    5 ended 0/0
    ");
    let flood = GET.repeat(MAX_PENDING + 1);
    assert!(play(&[C(&flood)]).contains("expected at most 1024 requests"));
    let fat = [&b"GET / HTTP/1.1\r\nA: "[..], &vec![b'a'; 200_000], b"\r\n\r\n"].concat();
    assert!(play(&[C(&fat.repeat(3))]).contains("expected at most 512 KiB of heads"));
}

/// A body without a length ends with the connection; its exchange must end with it.
#[test]
fn until_close() {
    let ten = b"HTTP/1.0 401 No\r\n\r\nhello";
    let story = play(&[C(GET), U(ten), U(b" world"), UpstreamEnd, Closed]);
    insta::assert_snapshot!(story, @r"
    1 GET / HTTP/1.1 | HTTP/1.0 401 No
    1 ended 0/11
    ");
    assert_eq!(play(&[C(GET), U(ten), Closed]).lines().last(), Some("1 ended 0/5"));
}

fn copy(body: &[u8], whole: bool) -> Copy {
    (Some(body.to_vec()), whole)
}

/// The page tells which layer refused; a byte of another message in it, or of the coding, would make it unreadable.
#[test]
fn a_refusals_body_is_copied() {
    let length = b"HTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\nhello";
    let chunked = b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: u\r\n\r\n";
    let closing = b"HTTP/1.0 403 No\r\n\r\nhello";
    let all = copies(&[C(&GET.repeat(3)), U(length), U(chunked), U(closing), UpstreamEnd, Closed]);
    assert_eq!(all, [copy(b"hello", true), copy(b"hello", true), copy(b"hello", true)]);
    // The end of a body without a length is the server's FIN and nothing else.
    assert_eq!(copies(&[C(GET), U(closing), Closed]), [copy(b"hello", false)]);
    assert_eq!(copies(&[C(GET), U(&length[..length.len() - 1]), Closed]), [copy(b"hell", false)]);
    assert_eq!(copies(&[C(GET), U(&length[..length.len() - 5]), Closed]), [(None, false)]);
    let open = b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    assert_eq!(copies(&[C(GET), U(open), Closed]), [copy(b"hello", false)]);
    // An answer during an upload: its copy waits for the request's end.
    let post = b"POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\n";
    assert_eq!(copies(&[C(post), U(length), C(b"abc"), C(b"def"), C(GET)]), [copy(b"hello", true)]);
    assert_eq!(copies(&[C(post), U(length), C(b"abc"), Closed]), [copy(b"hello", true)]);
}

/// What nobody reads must not be held, and an answer to HEAD has no body whatever its length says.
#[test]
fn other_bodies_are_not_copied() {
    let head = b"HEAD / HTTP/1.1\r\n\r\n";
    let no = b"HTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\n";
    let accepted = copies(&[C(head), U(no), C(GET), U(NO), C(AUTH), U(OK)]);
    assert_eq!(accepted, [(None, true), (None, true), (None, false)]);
    let unanswered = copies(&[C(AUTH), Closed]);
    assert_eq!(unanswered, [(None, false)]);
}

/// A server may send gigabytes with a 404.
#[test]
fn a_copy_ends_at_its_limit() {
    let body: Vec<u8> = (0..=u8::MAX).cycle().take(COPIED + 1).collect();
    for length in [COPIED - 1, COPIED, COPIED + 1] {
        let content = &body[..length];
        let head = format!("HTTP/1.1 404 No\r\nContent-Length: {length}\r\n\r\n");
        let mut chunked = b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in content.chunks(1000) {
            chunked.extend(format!("{:x}\r\n", piece.len()).bytes());
            chunked.extend(piece);
            chunked.extend(b"\r\n");
        }
        chunked.extend(b"0\r\n\r\n");
        let kept = copy(&content[..length.min(COPIED)], length <= COPIED);
        let all = copies(&[C(GET), U(head.as_bytes()), U(content), C(GET), U(&chunked), C(GET), U(NO)]);
        assert_eq!(all, [kept.clone(), kept, (None, true)], "{length}");
    }
}

/// A connection that closes on an AUTHENTICATE without an answer is a symptom of its own.
#[test]
fn closed_before_the_answer() {
    let story = play(&[C(GET), C(AUTH), C(AUTH), Closed, C(GET)]);
    insta::assert_snapshot!(story, @r"
    2 GET / HTTP/1.1 | -
    2 ended 0/0
    3 GET / HTTP/1.1 | -
    3 ended 0/0
    ");
}

/// After a switch of protocols the bytes are no HTTP: neither a gap nor a reason for one.
#[test]
fn tunnels() {
    let up = b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    let switch = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    let story = play(&[C(up), U(switch), C(b"\x16\x03"), U(b"\0\0"), C(GET), U(NO), Closed]);
    insta::assert_snapshot!(story, @r"
    1 GET /ws HTTP/1.1 | HTTP/1.1 101 Switching Protocols
    1 ended 0/0
    ");
    // The upgrade declined: HTTP goes on.
    let story = play(&[C(up), U(OK), C(GET), U(NO)]);
    assert_eq!(story.lines().count(), 4, "{story}");

    let connect = b"CONNECT iis:443 HTTP/1.1\r\nProxy-Authorization: NTLM T\r\n\r\n";
    let yes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let story = play(&[C(connect), C(b"\x16\x03"), U(yes), U(b"\x16"), C(b"x"), Closed]);
    insta::assert_snapshot!(story, @r"
    1 CONNECT iis:443 HTTP/1.1 | HTTP/1.1 200 OK
    1 ended 0/0
    ");
    let story = play(&[C(connect), U(NO), C(connect), U(yes), C(b"\x16")]);
    assert_eq!(story.lines().count(), 4, "{story}");
    let story = play(&[C(connect), C(b"\x16\x03"), U(NO)]);
    assert!(story.contains("blind client 57 expected no bytes between a CONNECT"), "{story}");
}

/// Real clients send an empty line after a POST, fold lines, and end lines in LF: none of it may blind.
#[test]
fn oddities_that_servers_accept() {
    let story = play(&[
        C(b"\r\n\n\r\nGET /lf HTTP/1.1\nHost: iis\nAuthorization:\n NTLM\n\tTlRM\n\n"),
        U(b"\r\nHTTP/1.1 401\nContent-Length : 2\nContent-Length: 2, 2\n\nno"),
        C(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 900\r\n\r\n2;x=y\r\nab\r\n0\r\nT: u\r\n\r\n\r\n"),
        U(b"HTTP/1.1 403 No\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n003 \r\nabc\r\n0\r\n\r\n"),
        C(GET),
        U(OK),
        C(GET),
        U(NO),
    ]);
    insta::assert_snapshot!(story, @r"
    1 GET /lf HTTP/1.1 | HTTP/1.1 401
    1 ended 0/2
    2 POST / HTTP/1.1 | HTTP/1.1 403 No
    2 ended 2/3
    3 GET / HTTP/1.1 | HTTP/1.1 200 OK
    3 ended 0/2
    4 GET / HTTP/1.1 | HTTP/1.1 401 Unauthorized
    4 ended 0/0
    ");
}

/// What cannot be followed is told once, with its place and what it looks like, and nothing follows.
#[test]
fn unparsable_once_with_its_place() {
    let many = [&b"GET / HTTP/1.1\r\nA: "[..], &vec![b'a'; MAX_HEAD]].concat();
    let line = vec![b'a'; MAX_HEAD + 1];
    for (steps, told) in [
        (
            vec![C(b"\x16\x03\x01\x02"), U(b"\x15")],
            "blind client 0 expected an HTTP/1 request line, got bytes that look like a TLS ClientHello",
        ),
        (
            vec![C(b"\r\n\r\n\0\r\nQUIT\n")],
            "blind client 4 expected an HTTP/1 request line, got bytes that look like a PROXY protocol v2 header",
        ),
        (
            vec![C(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")],
            "blind client 0 expected an HTTP/1 request line, got HTTP/2's connection preface",
        ),
        (
            vec![C(GET), C(b"\r\nGET /\r\n")],
            "blind client 31 expected an HTTP/1 request line, got one without a version, as in HTTP/0.9",
        ),
        (
            vec![C(GET), C(b"\rGET /\r\n")],
            "blind client 30 expected an HTTP/1 request line, got a byte that begins none",
        ),
        (
            vec![C(b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")],
            "blind client 0 expected one Content-Length, got several that differ",
        ),
        (
            vec![C(GET), U(b"\x15\x03\x01")],
            "blind upstream 0 expected an HTTP/1 status line, got bytes that look like a TLS alert (the upstream speaks TLS)",
        ),
        (
            vec![C(GET), U(b"HELO there\r\n")],
            "blind upstream 0 expected an HTTP/1 status line, got a line that is none",
        ),
        (
            vec![C(GET), U(OK), C(GET), U(OK), U(OK)],
            "blind upstream 80 expected a response to a request, got one that no whole request waits for (a request that the client gave up and followed by another, or a server that speaks first)",
        ),
        (
            vec![C(GET), U(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc")],
            "blind upstream 52 expected CRLF after a chunk's data, got another byte",
        ),
        (vec![C(&many)], "blind client 0 expected a head's end within 256 KiB, got more bytes"),
        (vec![C(&line)], "blind client 0 expected a head's end within 256 KiB, got more bytes"),
    ] {
        let mut steps = steps;
        steps.extend([C(AUTH), U(NO), UpstreamEnd, Closed]);
        assert_eq!(play(&steps), format!("{told}\n"));
    }
}

/// A head of exactly the limit is followed; IIS admits such heads when its registry says so.
#[test]
fn the_largest_head() {
    let mut head = b"GET / HTTP/1.1\r\nAuthorization: ".to_vec();
    head.resize(MAX_HEAD - 4, b'a');
    head.extend(b"\r\n\r\n");
    assert_eq!(play(&[C(&head), U(OK)]).lines().count(), 2);
}

/// The promise of the relay's idle memory: boring traffic makes no buffers, and an idle connection holds none.
#[test]
fn boring_traffic_makes_no_buffers() {
    let (mut http, mut pool, mut out) = (Http1::default(), Pool::default(), Told::default());
    let post = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    for round in 0..5_000_usize {
        let (a, b) = GET.split_at(round % GET.len());
        http.client(Stamp(0), a, &mut pool, &mut out);
        http.client(Stamp(0), b, &mut pool, &mut out);
        let (a, b) = OK.split_at(round % OK.len());
        http.upstream(Stamp(0), a, &mut pool, &mut out);
        http.upstream(Stamp(0), b, &mut pool, &mut out);
        http.client(Stamp(0), post, &mut pool, &mut out);
        http.upstream(Stamp(0), b"HTTP/1.1 100 Continue\r\n\r\n", &mut pool, &mut out);
        http.client(Stamp(0), b"abc", &mut pool, &mut out);
        http.upstream(Stamp(0), OK, &mut pool, &mut out);
        assert_eq!(wide(pool.spare()), pool.created(), "an idle connection holds a buffer");
    }
    assert_eq!(out.0, "");
    assert_eq!(http.exchanges(), 10_000);
    assert_eq!(pool.created(), 2);
    // Told exchanges copy: the pool's buffers do not leave.
    for _ in 0..100 {
        http.client(Stamp(0), AUTH, &mut pool, &mut out);
        http.upstream(Stamp(0), NO, &mut pool, &mut out);
    }
    assert_eq!((pool.created(), pool.spare()), (2, 2));
    // Nor do copies of bodies come from it, or end in it.
    for _ in 0..100 {
        http.client(Stamp(0), GET, &mut pool, &mut out);
        http.upstream(Stamp(0), b"HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nhe", &mut pool, &mut out);
        http.upstream(Stamp(0), b"llo", &mut pool, &mut out);
    }
    assert_eq!((pool.created(), pool.spare()), (2, 2));
    // Blind, a connection holds nothing either.
    http.client(Stamp(0), AUTH, &mut pool, &mut out);
    http.client(Stamp(0), b"GET / HT", &mut pool, &mut out);
    http.upstream(Stamp(0), b"no", &mut pool, &mut out);
    assert_eq!(wide(pool.spare()), pool.created());
}

/// Report times come from here: each must be the time of its own byte.
#[test]
fn times_are_those_of_their_bytes() {
    #[derive(Default)]
    struct Times(Vec<RawExchange>, Vec<Ended>);
    impl Out for Times {
        fn exchange(&mut self, e: RawExchange) {
            self.0.push(e);
        }
        fn ended(&mut self, e: Ended) {
            self.1.push(e);
        }
        fn unparsable(&mut self, _: &'static str, _: u64, why: String) {
            panic!("{why}");
        }
    }
    let (mut http, mut pool, mut out) = (Http1::default(), Pool::default(), Times::default());
    http.client(Stamp(1), b"\r\n", &mut pool, &mut out);
    for (at, byte) in (10..).zip(AUTH) {
        http.client(Stamp(at), &[*byte], &mut pool, &mut out);
    }
    for (at, byte) in (100..).zip(OK) {
        http.upstream(Stamp(at), &[*byte], &mut pool, &mut out);
    }
    let times = out.0[0].times;
    assert_eq!(times.request, Stamp(10));
    assert_eq!(times.request_head, Stamp(9 + signed(AUTH.len())));
    assert_eq!(times.response_head, Some(Stamp(97 + signed(OK.len()))));
    assert_eq!(out.1[0].end, Stamp(99 + signed(OK.len())));
}
