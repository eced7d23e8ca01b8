//! What is remembered stays bounded, whatever comes and however often.

use std::net::SocketAddr;

use authtap::finding::{Engine, Settings};
use authtap::model::event::{ConnectionClose, ConnectionOpen, Event, Gap, GapWhat, Outcome, Times, What};
use authtap::model::transport::{Addresses, By, End, How};
use authtap::model::{ConnectionId, FileTime, Secret, Stamp};
use authtap::sim::ntlm::av::{AvPairs, id};
use authtap::sim::ntlm::flags;
use authtap::sim::ntlm::message::{Challenge, Negotiate};
use authtap::track::site::Limits;
use authtap::wire::observation::{Ended, Observation, RawExchange, Seen};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const CHALLENGES: usize = 1_000;

struct Story {
    engine: Engine,
    now: i64,
    told: Vec<Event>,
}

impl Story {
    fn new() -> Self {
        let limits = Limits { challenges: CHALLENGES, remembered: 500, ..Limits::default() };
        let engine = Engine::new(Settings { limits, ..Settings::default() });
        Self { engine, now: 1_800_000_000_000_000, told: Vec::new() }
    }

    fn see(&mut self, what: Seen) {
        self.now += 100;
        self.engine.observe(Observation { at: Stamp(self.now), what }, &mut self.told);
    }

    fn open(&mut self, n: u64) {
        let [.., high, low] = n.to_be_bytes();
        let client = SocketAddr::from(([10, 0, high, low], 50_000));
        let addresses = Addresses { client, upstream: Some(client), upstream_local: Some(client) };
        let open = ConnectionOpen { connection: ConnectionId(n), addresses, tls: None, upstream_tls: None };
        self.see(Seen::Opened(Box::new(open)));
    }

    fn challenge(&mut self, n: u64, exchange: u32) {
        let message = Negotiate { flags: flags::CLIENT, domain: None, workstation: None, version: None }.encode();
        let request = format!("GET / HTTP/1.1\r\nAuthorization: NTLM {}\r\n\r\n", STANDARD.encode(message));
        let info = AvPairs::default()
            .text(id::DNS_COMPUTER_NAME, "web01.example.test")
            .timestamp(FileTime::of(Stamp(self.now)));
        let message = Challenge {
            flags: flags::CLIENT | flags::TARGET_INFO,
            server_challenge: [7; 8],
            target_name: "EXAMPLE".to_owned(),
            target_info: Some(info),
            version: None,
        }
        .encode();
        let response = format!(
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM {}\r\nContent-Length: 0\r\n\r\n",
            STANDARD.encode(message)
        );
        let at = Stamp(self.now);
        let raw = RawExchange {
            exchange,
            request: Secret::new(request.into_bytes()),
            response: Some(Secret::new(response.into_bytes())),
            interim: Vec::new(),
            times: Times { request: at, request_head: at, response_head: Some(at), ..Times::default() },
        };
        self.see(Seen::Exchange(ConnectionId(n), Box::new(raw)));
    }

    fn ended(&mut self, n: u64, exchange: u32) {
        let ended = Ended { exchange, end: Stamp(self.now), ..Ended::default() };
        self.see(Seen::Ended(ConnectionId(n), ended));
    }

    fn close(&mut self, n: u64) {
        self.see(Seen::Closed(Box::new(ConnectionClose {
            connection: ConnectionId(n),
            end: End { by: By::Client, how: How::Reset, errno: None, detail: None },
            mid_handshake: false,
            client_bytes: 1,
            upstream_bytes: 1,
            exchanges: 1,
            duration: std::time::Duration::from_micros(1),
        })));
    }

    fn gap(&mut self, connection: Option<u64>) {
        let what = GapWhat::QueueFull { dropped: 1 };
        self.see(Seen::Gap(Gap { connection: connection.map(ConnectionId), what }));
    }

    fn abandoned(&self) -> usize {
        self.told.iter().filter(|e| matches!(&e.what, What::Handshake(h) if h.outcome == Outcome::Abandoned)).count()
    }
}

/// A scanner that opens, asks for a challenge and leaves, for days: it must cost nothing that stays, and every
/// handshake that it began is told, also those that fell out by number.
#[test]
fn connections_that_vanish_leave_nothing() {
    const CONNECTIONS: usize = 20_000;
    let mut story = Story::new();
    for n in 1..=CONNECTIONS as u64 {
        story.open(n);
        story.challenge(n, 1);
        story.ended(n, 1);
        story.close(n);
        let now = story.engine.footprint();
        assert!(now.connections == 0 && now.exchanges == 0, "{now:?}");
        assert!(now.challenges <= CHALLENGES + 1 && now.deadlines <= 2 * CHALLENGES + 1, "{now:?}");
    }
    // Of detectors, only what is about clients and users may stay, each with a bound of its own.
    let now = story.engine.footprint();
    assert!(now.detectors <= 12_000, "{now:?}");
    story.now += 3_600_000_000;
    story.engine.advance(Stamp(story.now), &mut story.told);
    let then = story.engine.footprint();
    assert_eq!((then.challenges, then.deadlines), (0, 0), "an hour later all is forgotten");
    story.engine.finish(Stamp(story.now), &mut story.told);
    assert_eq!(story.abandoned(), CONNECTIONS);
    assert!(matches!(&story.told.last().unwrap().what, What::Stop(t) if t.abandoned == CONNECTIONS as u64));
    // An exchange's end has a number of its own.
    let ends = story.told.iter().filter_map(|e| match &e.what {
        What::Exchange(x) => x.end_seq,
        _ => None,
    });
    let mut seqs: Vec<u64> = story.told.iter().map(|e| e.seq).chain(ends).collect();
    seqs.sort_unstable();
    assert!(seqs.iter().zip(1..).all(|(a, b)| *a == b), "each event has its own number, without holes");
}

/// When the queue was full, ends are lost: neither connections nor exchanges may pile up for them.
#[test]
fn what_lost_its_end_is_forgotten_in_time() {
    let mut story = Story::new();
    for n in 1..=70_000 {
        story.open(n);
        if n % 1_000 == 0 {
            story.gap(None);
        }
    }
    let now = story.engine.footprint();
    assert!(now.connections <= 65_536, "{now:?}");

    let mut story = Story::new();
    story.open(1);
    for exchange in 1..=500 {
        story.gap(Some(1));
        story.challenge(1, exchange);
        assert!(story.engine.footprint().exchanges <= 1);
    }
    let told = story.told.iter().filter(|e| matches!(e.what, What::Exchange(_))).count();
    assert_eq!(told, 499, "they are told without their end");
}
