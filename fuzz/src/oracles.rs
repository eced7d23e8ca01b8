//! One function per fuzz target: takes any bytes, and panics when something that must hold does not.

use authtap::finding::{Engine, Settings};
use authtap::model::auth::{AuthField, Token};
use authtap::model::event::{ConnectionClose, ConnectionOpen, Event, Exchange, Gap, GapWhat, Times, What};
use authtap::model::frame::Frame;
use authtap::model::http::{Request, Response};
use authtap::model::transport::{Addresses, By, End, How};
use authtap::model::{ConnectionId, Stamp, TapId};
use authtap::packet::tcp::{self, FlowId, Happening, Listen, Tcp, Wanted};
use authtap::packet::{Segment, When};
use authtap::report::join::{Captures, paragraphs};
use authtap::token::{self, Key, redact};
use authtap::wire::follow::Follow;
use authtap::wire::http1::head::RequestHead;
use authtap::wire::http1::{Http1, Out, Pool};
use authtap::wire::observation::{COPIED, Ended, Observation, RawExchange, Seen};

#[path = "packet_file.rs"]
mod packet_file;
pub use packet_file::packet_file;

#[path = "packet_tls.rs"]
mod packet_tls;
pub use packet_tls::packet_tls;

#[path = "packet_report.rs"]
mod packet_report;
pub use packet_report::packet_report;

const KEY: Key = Key([7; 16]);

/// More faults than this would let a small input make a large event.
const MOST_FAULTS: usize = 65;

fn sound(field: &AuthField, input: usize) {
    assert!(field.faults.len() <= MOST_FAULTS, "{} faults", field.faults.len());
    for fault in &field.faults {
        assert!(!fault.field.is_empty() && !fault.expected.is_empty(), "{fault:?}");
    }
    // What is kept stays in proportion to what came.
    let size = format!("{field:?}").len();
    assert!(size <= 64 * input + 64 * 1024, "{size} bytes of facts from {input}");
}

/// `WWW-Authenticate` fields: any bytes, a field a line.
pub fn challenges(data: &[u8]) {
    let values: Vec<&[u8]> = data.split(|b| *b == b'\n').take(16).collect();
    let fields = token::challenges(&values, &KEY);
    assert_eq!(fields, token::challenges(&values, &KEY), "not deterministic");
    for field in &fields {
        sound(field, data.len());
        assert!(field.param("response").is_none() || field.scheme.name() != "digest");
    }
}

/// An `Authorization` value.
pub fn credentials(data: &[u8]) {
    let field = token::credentials(data, &KEY);
    sound(&field, data.len());
    assert_eq!(field, token::credentials(data, &KEY), "not deterministic");
}

/// Token bytes, as they are inside base64: reaches the binary decoders at once.
pub fn token(data: &[u8]) {
    use std::fmt::Write as _;
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut value = String::from("Negotiate ");
    for chunk in data.chunks(3) {
        let mut n = 0_usize;
        for i in 0..3 {
            n = n << 8 | usize::from(chunk.get(i).copied().unwrap_or(0));
        }
        for i in 0..=chunk.len() {
            write!(value, "{}", char::from(ALPHABET[n >> (18 - 6 * i) & 63])).expect("text");
        }
    }
    while !(value.len() - "Negotiate ".len()).is_multiple_of(4) {
        value.push('=');
    }
    let field = token::credentials(value.as_bytes(), &KEY);
    sound(&field, data.len());
    if !data.is_empty() {
        assert_eq!(field.token_bytes, data.len(), "not all of the token was looked at");
    }
    if data.starts_with(b"NTLMSSP\0") {
        assert!(matches!(field.token, Token::Ntlm(_)), "{:?}", field.token);
    }
    // A Type 2 in a 401 goes the other way.
    for field in token::challenges(&[value.as_bytes()], &KEY) {
        sound(&field, data.len());
    }
}

/// Header fields and targets: a name and a value a line; what is redacted must not grow out of proportion, nor let
/// control characters through.
pub fn redact(data: &[u8]) {
    for line in data.split(|b| *b == b'\n') {
        let mut parts = line.splitn(2, |b| *b == b':');
        let name = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        let value = parts.next().unwrap_or_default();
        let shown = redact::header(&name, value, &KEY);
        assert!(shown.len() <= 16 * value.len() + 256, "{} from {}", shown.len(), value.len());
        assert!(!shown.contains(['\r', '\n', '\0', '\x1b']), "{shown:?}");
        let target = redact::target(value);
        assert!(target.len() <= 16 * value.len() + 256);
        assert!(!target.contains(['\r', '\n', '\0', '\x1b']), "{target:?}");
    }
}

/// What a framing said, in order.
#[derive(Default, Debug, PartialEq)]
struct Told(Vec<String>, usize);

impl Out for Told {
    fn exchange(&mut self, exchange: RawExchange) {
        let head = exchange.request.expose();
        assert!(!head.ends_with(b"\r\n\r\n") || RequestHead::parse(head).is_some(), "a told head cannot be read");
        assert!(exchange.reset.is_none() || exchange.response.is_none(), "a reset after the response");
        let response = exchange.response.as_ref().map(|r| r.expose().len());
        self.0.push(format!("{} {} {response:?}", exchange.exchange, exchange.request.expose().len()));
    }
    fn ended(&mut self, ended: Ended) {
        let body = ended.body.as_ref().map(|b| b.expose().as_slice());
        let length = body.map_or(0, <[u8]>::len);
        assert!(length <= COPIED && length as u64 <= ended.response_body, "a copy of {length} bytes");
        assert!(!ended.body_whole || length as u64 == ended.response_body, "a cut copy that is whole");
        let (exchange, request, response) = (ended.exchange, ended.request_body, ended.response_body);
        self.0.push(format!("{exchange} ended {request} {response} {body:?}"));
    }
    fn unparsable(&mut self, from: &'static str, offset: u64, why: String) {
        self.1 += 1;
        self.0.push(format!("{from} {offset} {why}"));
    }
}

/// Splits the input into turns of the two sides: a byte with the side and a length, then the bytes.
fn turns(mut data: &[u8]) -> Vec<(bool, &[u8])> {
    let mut turns = Vec::new();
    while let Some((&first, rest)) = data.split_first() {
        let length = usize::from(first >> 1).min(rest.len());
        let (bytes, rest) = rest.split_at(length);
        turns.push((first & 1 == 0, bytes));
        data = rest;
    }
    turns
}

fn follow(turns: &[(bool, &[u8])], bytewise: bool) -> Told {
    let (mut http, mut pool, mut told) = (Http1::default(), Pool::default(), Told::default());
    for (client, bytes) in turns {
        let mut give = |bytes: &[u8]| {
            if *client {
                http.client(Stamp(1), bytes, &mut pool, &mut told);
            } else {
                http.upstream(Stamp(1), bytes, &mut pool, &mut told);
            }
        };
        if bytewise {
            bytes.chunks(1).for_each(&mut give);
        } else {
            give(bytes);
        }
    }
    http.client_end(Stamp(2), &mut pool, &mut told);
    http.upstream_end(Stamp(2), &mut pool, &mut told);
    http.closed(Stamp(2), &mut pool, &mut told);
    told
}

/// HTTP/2: the first byte says whether TLS agreed on it, and whether the preface and SETTINGS came before.
pub fn http2(data: &[u8]) {
    let (mode, rest) = data.split_first().map_or((0, data), |(m, rest)| (*m, rest));
    let turns = turns(rest);
    let run = |bytewise: bool| {
        let mut follow = if mode & 1 == 0 { Follow::new(true) } else { Follow::http2(true) };
        let (mut pool, mut told) = (Pool::default(), Told::default());
        if mode & 2 == 0 {
            follow.client(Stamp(1), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", &mut pool, &mut told);
            follow.upstream(Stamp(1), b"\0\0\0\x04\0\0\0\0\0", &mut pool, &mut told);
        }
        for (client, bytes) in &turns {
            for piece in bytes.chunks(if bytewise { 1 } else { usize::MAX }) {
                if *client {
                    follow.client(Stamp(1), piece, &mut pool, &mut told);
                } else {
                    follow.upstream(Stamp(1), piece, &mut pool, &mut told);
                }
            }
        }
        follow.closed(Stamp(2), &mut pool, &mut told);
        assert!(pool.spare() <= 64, "{} spare buffers", pool.spare());
        told
    };
    let whole = run(false);
    assert!(whole.1 <= 1, "gave up {} times", whole.1);
    assert_eq!(whole, run(true), "depends on the cuts");
}

/// The framing: what it says depends on the bytes and not on their cuts, and it gives up at most once.
pub fn framing(data: &[u8]) {
    let turns = turns(data);
    let whole = follow(&turns, false);
    assert!(whole.1 <= 1, "gave up {} times", whole.1);
    assert_eq!(whole, follow(&turns, true), "depends on the cuts");
}

#[derive(Default)]
struct Seens(Vec<Seen>, ConnectionId);

impl Out for Seens {
    fn exchange(&mut self, exchange: RawExchange) {
        self.0.push(Seen::Exchange(self.1, Box::new(exchange)));
    }
    fn ended(&mut self, ended: Ended) {
        self.0.push(Seen::Ended(self.1, ended));
    }
    fn unparsable(&mut self, from: &'static str, offset: u64, why: String) {
        let what = GapWhat::Unparsable { from, offset, why };
        self.0.push(Seen::Gap(Gap { connection: Some(self.1), what }));
    }
}

/// The whole way from bytes to findings, over four connections that come and go.
pub fn engine(data: &[u8]) {
    let mut engine = Engine::new(Settings::default());
    let mut events: Vec<Event> = Vec::new();
    let mut pool = Pool::default();
    let mut open: Vec<Option<(Http1, ConnectionId)>> = (0..4).map(|_| None).collect();
    let mut next = 0;
    for (turn, (client, bytes)) in turns(data).into_iter().enumerate() {
        let at = Stamp(i64::try_from(turn).expect("few") * 1_000);
        let slot = usize::from(bytes.first().copied().unwrap_or(0) & 3);
        let mut seens = Vec::new();
        if open[slot].is_none() {
            next += 1;
            let addresses = Addresses {
                client: ([192, 0, 2, 1 + u8::try_from(slot).expect("few")], 50_000).into(),
                upstream: None,
                upstream_local: None,
            };
            let id = ConnectionId(next);
            seens.push(Seen::Opened(Box::new(ConnectionOpen {
                connection: id,
                addresses,
                tls: None,
                upstream_tls: None,
                begun_before: false,
            })));
            open[slot] = Some((Http1::default(), id));
        }
        let (http, id) = open[slot].as_mut().expect("open");
        let mut told = Seens(Vec::new(), *id);
        let bytes = bytes.get(1..).unwrap_or_default();
        let over = bytes.is_empty();
        if over {
            http.closed(at, &mut pool, &mut told);
        } else if client {
            http.client(at, bytes, &mut pool, &mut told);
        } else {
            http.upstream(at, bytes, &mut pool, &mut told);
        }
        seens.append(&mut told.0);
        if over {
            let by = if client { By::Client } else { By::Upstream };
            seens.push(Seen::Closed(Box::new(ConnectionClose {
                connection: *id,
                end: End { by, how: How::Fin, errno: None, detail: None },
                mid_handshake: false,
                client_bytes: 0,
                upstream_bytes: 0,
                exchanges: http.exchanges(),
                duration: std::time::Duration::ZERO,
            })));
            open[slot] = None;
        }
        for what in seens {
            engine.observe(Observation { at, what }, &mut events);
        }
    }
    engine.finish(Stamp(i64::MAX / 2), &mut events);
    let mut numbers: Vec<u64> = events.iter().map(|e| e.seq).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), events.len(), "two events have one number");
}

/// An error page: its head's facts in the first bytes, then its body.
pub fn page(data: &[u8]) {
    let (kind, body) = data.split_first().map_or((0, data), |(k, b)| (*k, b));
    let encodings = [None, Some("gzip"), Some("deflate"), Some("br")];
    let servers = [None, Some("Microsoft-IIS/10.0"), Some("Microsoft-HTTPAPI/2.0"), Some("Kestrel")];
    let types = [None, Some("text/html"), Some("text/html; charset=utf-16"), Some("application/json")];
    let pick = |list: &[Option<&'static str>], shift: u8| list[usize::from(kind >> shift & 3)];
    let answer = authtap::iis::page::Answer {
        status: if kind & 0x40 == 0 { 401 } else { 400 },
        server: pick(&servers, 0).map(str::as_bytes),
        content_type: pick(&types, 2).map(str::as_bytes),
        content_encoding: pick(&encodings, 4).map(str::as_bytes),
        content_length: None,
        to_head: false,
        body,
        whole: kind & 0x80 == 0,
    };
    let page = authtap::iis::page::classify(&answer);
    assert_eq!(page, authtap::iis::page::classify(&answer), "not deterministic");
    assert!(format!("{page:?}").len() < 16 * 1024, "a page of facts from a page");
}

/// IIS's logs: any bytes, in any chunks, give the same lines.
pub fn log(data: &[u8]) {
    let lines = |chunk: usize| {
        let mut reader = authtap::iis::log::LogReader::default();
        let mut out = Vec::new();
        for piece in data.chunks(chunk.max(1)) {
            reader.read(piece, |line| out.push(format!("{line:?}")));
        }
        reader.finish(|line| out.push(format!("{line:?}")));
        (out, format!("{:?}", reader.verdict()))
    };
    let whole = lines(data.len());
    assert_eq!(whole, lines(7), "depends on the chunks");
    assert_eq!(whole, lines(1), "depends on the chunks");
}

/// Any bytes as a log beside a capture with one refused request: the same join in any chunks, and no more matches than
/// there are requests.
pub fn join(data: &[u8]) {
    let tap = TapId("tap-one-1".to_owned());
    let at = Stamp::parse("2026-11-22T08:00:01Z").expect("a time");
    let local = ([198, 51, 100, 7], 50_001).into();
    let open = ConnectionOpen {
        connection: ConnectionId(1),
        addresses: Addresses { client: local, upstream: None, upstream_local: Some(local) },
        tls: None,
        upstream_tls: None,
        begun_before: false,
    };
    let request = Request { method: "GET".to_owned(), target: "/app/".to_owned(), ..Request::default() };
    let exchange = Exchange {
        reset: None,
        connection: ConnectionId(1),
        exchange: 1,
        request,
        request_body: 0,
        response: Some(Response { status: 401, ..Response::default() }),
        response_body: 0,
        interim: Vec::new(),
        authorization: None,
        challenges: Vec::new(),
        times: Times { end: Some(at), ..Times::default() },
        leg: None,
        end_seq: None,
    };
    let events = [What::ConnectionOpen(Box::new(open)), What::Exchange(Box::new(exchange))];
    let joined = |chunk: usize| {
        let mut captures = Captures::default();
        for (seq, what) in (1..).zip(events.clone()) {
            captures.take(&tap, &Event { seq, at, what });
        }
        let mut logs = captures.logs();
        logs.file("a.log", |source| data.chunks(chunk.max(1)).for_each(|piece| source.read(piece)));
        logs.file("b.log", |source| source.read(data));
        logs.join().facts()
    };
    let facts = joined(data.len());
    assert_eq!(facts, joined(7), "depends on the chunks");
    assert!(facts.refusals.total() == 1 && facts.codes.len() <= 1, "{facts:?}");
    assert!(paragraphs(&facts).len() < 64, "{facts:?}");
}

/// What people paste into `explain`.
pub fn lookup(data: &[u8]) {
    let query = String::from_utf8_lossy(data);
    assert!(authtap::iis::code::lookup(&query).len() < 512);
    assert!(authtap::iis::code::suggest(&query).len() <= 5);
}

/// What TCP reassembly told: for each connection whether it is over, and for each direction whether it has ended and which
/// byte comes next, as a byte is its own sequence number.
#[derive(Default)]
struct Streams {
    flows: Vec<(bool, [bool; 2], [Option<u8>; 2])>,
    /// Only ends are wanted of every such connection; zero for none.
    ends_of: u64,
}

impl Listen for Streams {
    fn heard(&mut self, flow: FlowId, _when: When, what: Happening<'_>) -> Wanted {
        let ends_only = self.ends_of > 0 && flow.0.is_multiple_of(self.ends_of);
        let place = usize::try_from(flow.0).expect("few");
        if let Happening::Opened(_) = what {
            assert_eq!(place, self.flows.len(), "connections are not in order");
            self.flows.push(Default::default());
        }
        let (over, ended, next) = &mut self.flows[place];
        assert!(!*over, "after the end of {flow:?}: {what:?}");
        let side = |end| usize::from(end == tcp::End::Second);
        match what {
            Happening::Opened(_) | Happening::Twin => {}
            Happening::Bytes(end, bytes) => {
                assert!(!bytes.is_empty() && !ended[side(end)] && !ends_only, "{flow:?}: {what:?}");
                for byte in bytes {
                    let expected = next[side(end)].replace(byte.wrapping_add(1)).unwrap_or(*byte);
                    assert_eq!(*byte, expected, "{flow:?}: not the next byte");
                }
            }
            Happening::Missing(end, n) => {
                assert!(n > 0 && n < 1 << 33 && !ended[side(end)] && !ends_only, "{flow:?}: {what:?}");
                let next = &mut next[side(end)];
                *next = next.map(|next| next.wrapping_add(n.to_le_bytes()[0]));
            }
            Happening::Fin(end) => assert!(!std::mem::replace(&mut ended[side(end)], true), "{flow:?}: {what:?} twice"),
            Happening::Closed => {
                assert_eq!(*ended, [true, true], "{flow:?}: closed and not ended");
                *over = true;
            }
            Happening::Reset(_) | Happening::Forgotten => *over = true,
        }
        if ends_only { Wanted::Ends } else { Wanted::Bytes }
    }
}

/// TCP segments of a capture, ten bytes each: what is told is in order, once, and as long as what is missing says.
pub fn packet_tcp(data: &[u8]) {
    let (first, rest) = data.split_first().map_or((0, data), |(first, rest)| (*first, rest));
    let (mut tcp, mut streams) = (Tcp::default(), Streams { ends_of: u64::from(first & 3), ..Streams::default() });
    let mut at = Stamp(0);
    for (number, record) in (1..).zip(rest.as_chunks::<10>().0) {
        let [flags, which, s1, s2, a1, a2, length, times, cut, time] = *record;
        // Near numbers mostly, and all of the 32 bits now and then.
        let far = |number: u16, far: bool| if far { u32::from(number) << 16 } else { u32::from(number) };
        let sequence = far(u16::from_be_bytes([s1, s2]), which & 0x40 != 0);
        let acknowledged = far(u16::from_be_bytes([a1, a2]), which & 0x80 != 0);
        let ends = [([192, 0, 2, 1], 50_000 + u16::from(which & 3)).into(), ([198, 51, 100, 7], 80).into()];
        let [from, to] = if flags & 1 == 0 { ends } else { [ends[1], ends[0]] };
        let syn = flags & 0x0e == 2;
        let [low, ..] = sequence.wrapping_add(u32::from(syn)).to_le_bytes();
        let length = usize::from(length) << (times & 3);
        let payload: Vec<u8> = (0..length).map(|n| low.wrapping_add(n.to_le_bytes()[0])).collect();
        let segment = Segment {
            from,
            to,
            sequence,
            acknowledged: (flags & 0x10 != 0).then_some(acknowledged),
            syn,
            fin: flags & 0xe0 == 0x20,
            rst: flags & 0xe0 == 0x40,
            payload: &payload,
            cut: if flags & 0xe0 == 0x60 { u32::from(cut) << (times >> 2 & 31) } else { 0 },
        };
        at = Stamp(at.0 + (i64::from(time) - 16) * 10_000);
        tcp.segment(When { at, frame: Frame { file: 0, number } }, &segment, &mut streams);
        assert!(tcp.flows() <= 4, "{} connections of four pairs", tcp.flows());
        assert!(tcp.buffered() <= 4 * tcp::MAX_WAITING, "{} bytes wait", tcp.buffered());
    }
    tcp.finish(When { at, frame: Frame { file: 0, number: 0 } }, &mut streams);
    assert_eq!((tcp.flows(), tcp.buffered()), (0, 0), "something stayed");
}
