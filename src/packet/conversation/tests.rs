//! What is told of a connection, by what was captured of it.

use super::*;
use crate::model::Stamp;
use crate::model::event::GapWhat;
use crate::model::frame::Frame;
use crate::model::transport::{By, How};
use crate::wire::observation::Seen;

const CHALLENGED: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";

/// One connection, and the number of the packet that came last.
struct Told {
    all: Conversations,
    frame: u64,
}

impl Told {
    fn of(whole: bool) -> Self {
        let mut told = Self { all: Conversations::new(KeyLog::default(), |_| None), frame: 0 };
        told.open(whole);
        told
    }

    fn open(&mut self, whole: bool) {
        let first = "192.0.2.7:50000".parse().expect("an address");
        let second = "192.0.2.80:80".parse().expect("an address");
        self.hear(Happening::Opened(Ends { first, second, whole }));
    }

    fn hear(&mut self, what: Happening<'_>) -> Wanted {
        self.frame += 1;
        let at = Stamp(i64::try_from(self.frame).expect("a number"));
        self.all.heard(FlowId(0), When { at, frame: Frame { file: 0, number: self.frame } }, what)
    }

    /// In words: kinds of observation.
    fn seen(&mut self) -> Vec<String> {
        self.all
            .observations()
            .map(|o| match o.what {
                Seen::Opened(open) => {
                    let server = open.addresses.upstream.map(|a| a.port()).unwrap_or_default();
                    format!("opened {} to {server}{}", open.connection, if open.begun_before { ", before" } else { "" })
                }
                Seen::Exchange(id, raw) => format!("exchange {id}/{}", raw.exchange),
                Seen::Ended(id, ended) => format!("ended {id}/{}", ended.exchange),
                Seen::HalfClosed(half) => format!("half-closed by {:?}", half.by),
                Seen::Closed(close) => format!("closed by {:?}, {:?}", close.end.by, close.end.how),
                Seen::Gap(gap) => match gap.what {
                    GapWhat::PacketsMissing { from, offset, bytes } => format!("{bytes} of {from} after {offset}"),
                    other => format!("{other:?}"),
                },
                Seen::Start(_) => "start".to_owned(),
            })
            .collect()
    }
}

const REQUEST: &[u8] = b"GET /a HTTP/1.1\r\nHost: www.example.test\r\n\r\n";

/// When this fails, a capture tells less of a connection than a live tap would have.
#[test]
fn a_connection_is_told_as_a_tap_tells_it() {
    let mut told = Told::of(true);
    for byte in REQUEST {
        told.hear(Happening::Bytes(End::First, &[*byte]));
    }
    told.hear(Happening::Bytes(End::Second, CHALLENGED));
    told.hear(Happening::Fin(End::Second));
    told.hear(Happening::Fin(End::First));
    told.hear(Happening::Closed);
    let seen = told.seen();
    let end = format!("closed by {:?}, {:?}", By::Upstream, How::Fin);
    assert_eq!(seen, ["opened 1 to 80", "exchange 1/1", "ended 1/1", "half-closed by Upstream", &end]);
    assert_eq!(told.all.counts(), Counts { http: 1, ..Counts::default() });
}

/// When this fails, the frames that a report names are those of other packets.
#[test]
fn messages_are_found_in_their_packets() {
    use crate::model::finding::Evidence;
    let mut told = Told::of(true);
    told.hear(Happening::Bytes(End::First, &REQUEST[..10]));
    told.hear(Happening::Bytes(End::First, &REQUEST[10..]));
    told.hear(Happening::Bytes(End::Second, &CHALLENGED[..10]));
    told.hear(Happening::Bytes(End::Second, &CHALLENGED[10..]));
    told.hear(Happening::Bytes(End::First, REQUEST));
    told.hear(Happening::Bytes(End::Second, CHALLENGED));
    told.hear(Happening::Fin(End::Second));
    told.hear(Happening::Fin(End::First));
    told.hear(Happening::Closed);
    let frame = |exchange, message: &str| {
        let evidence = Evidence {
            primary: true,
            connection: Some(ConnectionId(1)),
            exchange,
            message: Some(message.to_owned()),
            at: None,
            frame: None,
            says: String::new(),
        };
        told.all.frames().of(&evidence).map(|f| f.number)
    };
    assert_eq!(frame(Some(1), "request"), Some(3));
    assert_eq!(frame(Some(1), "AUTHENTICATE"), Some(3));
    assert_eq!(frame(Some(1), "CHALLENGE"), Some(5));
    assert_eq!(frame(Some(2), "request"), Some(6));
    assert_eq!(frame(Some(2), "response"), Some(7));
    assert_eq!(frame(Some(3), "response"), None);
    assert_eq!(frame(None, "close"), Some(8));
    assert_eq!(frame(None, "tls"), Some(1));
}

/// When this fails, a capture that began a second too late is of no use, or answers are paired with the wrong requests.
#[test]
fn in_the_middle_the_next_request_is_waited_for() {
    let mut told = Told::of(false);
    told.hear(Happening::Bytes(End::First, b"the rest of a page</html>"));
    told.hear(Happening::Bytes(End::Second, REQUEST));
    told.hear(Happening::Bytes(End::First, b"the last of it"));
    told.hear(Happening::Bytes(End::First, CHALLENGED));
    assert_eq!(told.seen(), ["opened 1 to 50000, before", "exchange 1/1", "ended 1/1"]);
    let mut told = Told::of(false);
    told.hear(Happening::Bytes(End::Second, b"HTTP/1.1 200 OK\r\n\r\n"));
    assert_eq!(told.hear(Happening::Bytes(End::First, b"\x17\x03\x03\x01\x00abc")), Wanted::Ends);
    assert_eq!(told.all.counts().closed.len(), 1);
    assert!(told.seen().is_empty());
}

/// When this fails, something is concluded from a connection of which packets are missing.
#[test]
fn a_hole_ends_a_connection_and_the_next_request_begins_another() {
    let mut told = Told::of(true);
    told.hear(Happening::Bytes(End::First, REQUEST));
    told.hear(Happening::Missing(End::Second, 1_460));
    told.hear(Happening::Bytes(End::Second, b"of a page"));
    told.hear(Happening::Bytes(End::First, REQUEST));
    told.hear(Happening::Bytes(End::Second, CHALLENGED));
    told.hear(Happening::Forgotten);
    let lost = format!("closed by {:?}, {:?}", By::Tap, How::Error);
    let seen = told.seen();
    assert_eq!(
        seen,
        [
            "opened 1 to 80",
            "1460 of upstream after 0",
            &lost,
            "opened 2 to 80, before",
            "exchange 2/1",
            "ended 2/1",
            &lost
        ]
    );
    assert_eq!(told.all.counts().missing, 1_460);
}

/// When this fails, one packet of a download that the capture lacks hides all logons that come after it.
#[test]
fn a_hole_in_a_body_of_known_length_does_no_harm() {
    let mut told = Told::of(true);
    told.hear(Happening::Bytes(End::First, REQUEST));
    told.hear(Happening::Bytes(End::Second, b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"));
    assert_eq!(told.hear(Happening::Missing(End::Second, 4_000)), Wanted::Bytes);
    told.hear(Happening::Bytes(End::Second, &[b'x'; 1_000]));
    told.hear(Happening::Bytes(End::First, REQUEST));
    told.hear(Happening::Bytes(End::Second, CHALLENGED));
    assert_eq!(told.seen(), ["opened 1 to 80", "exchange 1/2", "ended 1/2"]);
    assert_eq!(told.all.counts().missing, 4_000);
}

/// When this fails, a mail or a database connection fills the report with gaps.
#[test]
fn what_is_not_http_is_only_counted() {
    for (end, bytes) in [
        (End::Second, &b"220 mail.example.test ESMTP\r\n"[..]),
        (End::First, b"SSH-2.0-x\r\n"),
        (End::Second, b"GET / "),
    ] {
        let mut told = Told::of(true);
        assert_eq!(told.hear(Happening::Bytes(end, bytes)), Wanted::Ends);
        assert_eq!(told.hear(Happening::Bytes(End::First, REQUEST)), Wanted::Ends);
        assert!(told.seen().is_empty());
        assert_eq!(told.all.counts(), Counts { other: 1, ..Counts::default() });
    }
    let mut told = Told::of(true);
    told.hear(Happening::Bytes(End::First, b"GE"));
    told.hear(Happening::Reset(End::Second));
    assert_eq!(told.all.counts(), Counts { unknown: 1, ..Counts::default() });
}

/// When this fails, a capture of many connections that never end takes more memory than the machine has.
#[test]
fn the_memory_of_all_connections_is_bounded() {
    let mut all = Conversations::new(KeyLog::default(), |_| None);
    all.most_held = 256 * 1024;
    let when = |number| When { at: Stamp(i64::try_from(number).unwrap_or(0)), frame: Frame { file: 0, number } };
    let (first, second) =
        ("192.0.2.7:50000".parse().expect("an address"), "192.0.2.80:80".parse().expect("an address"));
    let cookie = [b"GET / HTTP/1.1\r\nCookie: ", "x".repeat(9_000).as_bytes()].concat();
    let hello = [&[22, 3, 1, 0x23, 0x2c, 1, 0, 0x60, 0, 3, 3][..], &[7; 8_993]].concat();
    let pages = REQUEST.repeat(50);
    for (number, bytes) in (0..300).zip([&cookie, &hello, &pages].into_iter().cycle()) {
        let flow = FlowId(number);
        all.heard(flow, when(number), Happening::Opened(Ends { first, second, whole: true }));
        all.heard(flow, when(number), Happening::Bytes(End::First, bytes));
        assert!(all.held <= all.most_held, "{} after {number}", all.held);
    }
    // The books are right.
    assert_eq!(all.held, all.flows.values().map(|c| c.held).sum::<usize>());
    let gaps =
        all.observations().filter(|o| matches!(&o.what, Seen::Gap(g) if matches!(g.what, GapWhat::Unparsable { .. })));
    assert!(gaps.count() > 100);
    assert!(all.counts().closed.values().sum::<u64>() > 50);
    let flows: Vec<FlowId> = all.flows.keys().copied().collect();
    for flow in flows {
        all.heard(flow, when(300), Happening::Forgotten);
    }
    assert_eq!((all.held, all.flows.len()), (0, 0));
}

/// When this fails, an opened TLS connection that lacks packets looks as if authtap had ended it, with nothing missing.
#[test]
fn a_hole_in_opened_tls_is_told_within_a_body_as_well() {
    let mut told = Told::of(true);
    told.hear(Happening::Bytes(End::First, REQUEST));
    told.hear(Happening::Bytes(End::Second, b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"));
    // As if the key log had opened it.
    let mut c = told.all.flows.remove(&FlowId(0)).expect("a connection");
    if let Kind::Http(http) = std::mem::replace(&mut c.kind, Kind::Middle) {
        let session = Session::new(|_| None);
        c.kind = Kind::Tls(Box::new(Encrypted { session, client: End::First, http: Some(*http) }));
    }
    told.all.flows.insert(FlowId(0), c);
    assert_eq!(told.hear(Happening::Missing(End::Second, 1_460)), Wanted::Ends);
    let lost = format!("closed by {:?}, {:?}", By::Tap, How::Error);
    assert_eq!(told.seen(), ["opened 1 to 80", "1460 of upstream after 41", &lost]);
}
