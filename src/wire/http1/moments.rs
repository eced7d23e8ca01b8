//! When the bodies of an exchange began and ended: each step of a trace has its number as its time.

use super::*;
use crate::model::event::Interim;

/// The moments of one exchange, as numbers of steps.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Moments {
    /// First byte, head, first byte of the body and last byte of the request.
    request: [Option<i64>; 4],
    /// Status and time of each interim answer.
    interim: Vec<(u16, i64)>,
    /// Head, first byte of the body and last byte of the response.
    response: [Option<i64>; 3],
    bodies: [u64; 2],
}

/// Gathers the moments by exchange.
#[derive(Default)]
struct Told(Vec<Moments>);

impl Out for Told {
    fn exchange(&mut self, e: RawExchange) {
        let t = e.times;
        self.0.push(Moments {
            request: [
                Some(t.request.0),
                Some(t.request_head.0),
                t.request_body.map(|s| s.0),
                t.request_end.map(|s| s.0),
            ],
            interim: e.interim.iter().map(|Interim { status, at }| (*status, at.expect("a time").0)).collect(),
            response: [t.response_head.map(|s| s.0), None, None],
            bodies: [0, 0],
        });
    }

    fn ended(&mut self, e: Ended) {
        let last = self.0.last_mut().expect("it was told");
        last.request[2..].copy_from_slice(&[e.request_body_at.map(|s| s.0), e.request_end.map(|s| s.0)]);
        last.response[1..].copy_from_slice(&[e.response_body_at.map(|s| s.0), Some(e.end.0)]);
        last.bodies = [e.request_body, e.response_body];
    }

    fn unparsable(&mut self, from: &'static str, offset: u64, why: String) {
        panic!("blind: {from} {offset} {why}");
    }
}

/// `>` and `<` before the bytes of each step; an empty one is the connection's end. However the bytes of a step are cut,
/// its moments are the same.
fn moments(steps: &[&str]) -> Vec<Moments> {
    let run = |size: usize| {
        let (mut http, mut pool, mut out) = (Http1::default(), Pool::default(), Told::default());
        for (at, step) in (0..).map(Stamp).zip(steps) {
            match step.split_at_checked(1) {
                Some((">", bytes)) => {
                    bytes.as_bytes().chunks(size).for_each(|b| http.client(at, b, &mut pool, &mut out));
                }
                Some((_, bytes)) => {
                    bytes.as_bytes().chunks(size).for_each(|b| http.upstream(at, b, &mut pool, &mut out));
                }
                None => http.closed(at, &mut pool, &mut out),
            }
        }
        out.0
    };
    let whole = run(usize::MAX);
    for size in 1..8 {
        assert_eq!(run(size), whole, "in pieces of {size}");
    }
    whole
}

const POST: &str = ">POST / HTTP/1.1\r\nHost: iis\r\nContent-Length: 6\r\n\r\n";
const NO: &str = "<HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 4\r\n\r\n";

/// Who waited for whom is told by these times alone: a wrong one blames the wrong side of a stall.
#[test]
fn first_and_last_bytes_have_their_times() {
    let got = moments(&[
        ">POST / HTTP/1.1\r\nHo",
        ">st: iis\r\nContent-Length: 6\r\n\r\n",
        ">ab",
        ">cd",
        ">ef",
        NO,
        "<no",
        "<!!",
    ]);
    let wanted = Moments {
        request: [Some(0), Some(1), Some(2), Some(4)],
        response: [Some(5), Some(6), Some(7)],
        bodies: [6, 4],
        ..Moments::default()
    };
    assert_eq!(got, [wanted]);
    // A request without a body ends with its head, and an answer without one with its own.
    let got = moments(&[">GET / HTTP/1.1\r\n\r\n", "<HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"]);
    assert_eq!((got[0].request, got[0].response), ([Some(0), Some(0), None, Some(0)], [Some(1), None, Some(1)]));
}

/// A 401 that came before the body had ended is how an upload is lost; told later than its head it would be too late.
#[test]
fn an_early_401_is_before_the_bodys_end() {
    let got = moments(&[POST, ">ab", NO, "<no!!", ">cdef"]);
    assert_eq!(got[0].request, [Some(0), Some(0), Some(1), Some(4)]);
    assert_eq!(got[0].response, [Some(2), Some(3), Some(3)], "the response ended before the request");
}

/// A client that ends the connection rather than send its body leaves no last byte.
#[test]
fn a_body_that_is_cut_has_no_last_byte() {
    let got = moments(&[POST, NO, "<no!!", ""]);
    assert_eq!((got[0].request, got[0].bodies), ([Some(0), Some(0), None, None], [0, 4]));
    let got = moments(&[POST, ">abc", NO, "<no", ""]);
    assert_eq!((got[0].request, got[0].bodies), ([Some(0), Some(0), Some(1), None], [3, 2]));
    assert_eq!(got[0].response, [Some(2), Some(3), Some(4)], "what is cut ends with its connection");
    let got = moments(&[">GET / HTTP/1.1\r\nAuthorization: NTLM TlRM\r\n\r\n", ""]);
    assert_eq!(got[0].response, [None, None, Some(1)], "no answer at all");
}

/// The bytes of chunks are counted as content, and the last chunk is the end.
#[test]
fn chunks_begin_with_their_size_and_end_with_the_trailer() {
    let head = ">POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let got = moments(&[head, ">3\r", ">\nabc\r\n0\r\n", ">\r\n", NO, "<no!!"]);
    assert_eq!((got[0].request, got[0].bodies), ([Some(0), Some(0), Some(1), Some(3)], [3, 4]));
}

/// Of pipelined requests each has its own times; an upload whose body got another's would look lost.
#[test]
fn pipelined_requests_keep_their_own_times() {
    let got = moments(&[POST, ">abcdef", POST, ">ab", NO, "<no!!", ">cdef", NO, "<no!!"]);
    let requests: Vec<_> = got.iter().map(|m| m.request).collect();
    assert_eq!(requests, [[Some(0), Some(0), Some(1), Some(1)], [Some(2), Some(2), Some(3), Some(6)]]);
    assert_eq!(got[1].response, [Some(7), Some(8), Some(8)]);
}

/// Whether `100 Continue` came before the body decides who was to blame.
#[test]
fn interim_answers_have_their_times() {
    let go_on = "<HTTP/1.1 100 Continue\r\n\r\n";
    let got = moments(&[POST, "<HTTP/1.1 103 Early Hints\r\n\r\n", go_on, ">abcdef", NO, "<no!!"]);
    assert_eq!(got[0].interim, [(103, 1), (100, 2)]);
    assert_eq!(got[0].request, [Some(0), Some(0), Some(3), Some(3)]);
}
