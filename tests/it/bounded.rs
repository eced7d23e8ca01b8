//! What is remembered stays bounded, whatever comes and however often.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use authtap::finding::{Engine, Settings, catalogue};
use authtap::model::event::{ConnectionClose, ConnectionOpen, Event, Gap, GapWhat, Outcome, Times, What};
use authtap::model::transport::{Addresses, By, End, How};
use authtap::model::{ConnectionId, FileTime, Secret, Stamp};
use authtap::sim::ntlm::av::{AvPairs, id};
use authtap::sim::ntlm::flags;
use authtap::sim::ntlm::message::{Authenticate, Challenge, Negotiate};
use authtap::track::site::Limits;
use authtap::wire::observation::{Ended, Observation, RawExchange, Seen};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const CHALLENGES: usize = 1_000;
const REMEMBERED: usize = 500;

struct Story {
    engine: Engine,
    now: i64,
    told: Vec<Event>,
    /// Sequence numbers, abandoned handshakes and memories that were told to be full, of what is no longer in `told`.
    seqs: Vec<u64>,
    abandoned: usize,
    full: BTreeMap<String, usize>,
}

impl Story {
    fn new(remembered: usize) -> Self {
        let limits = Limits { challenges: CHALLENGES, remembered, ..Limits::default() };
        let engine = Engine::new(Settings { limits, ..Settings::default() });
        Self {
            engine,
            now: 1_800_000_000_000_000,
            told: Vec::new(),
            seqs: Vec::new(),
            abandoned: 0,
            full: BTreeMap::new(),
        }
    }

    fn see(&mut self, what: Seen) {
        self.now += 100;
        self.engine.observe(Observation { at: Stamp(self.now), what }, &mut self.told);
    }

    fn open(&mut self, n: u64) {
        let [.., high, middle, low] = n.to_be_bytes();
        let client = SocketAddr::from(([10, high, middle, low], 50_000));
        let addresses = Addresses { client, upstream: Some(client), upstream_local: Some(client) };
        let open = ConnectionOpen {
            connection: ConnectionId(n),
            addresses,
            tls: None,
            upstream_tls: None,
            begun_before: false,
        };
        self.see(Seen::Opened(Box::new(open)));
    }

    fn exchange(&mut self, n: u64, exchange: u32, request: String, response: String) {
        let at = Stamp(self.now);
        let raw = RawExchange {
            exchange,
            request: Secret::new(request.into_bytes()),
            response: Some(Secret::new(response.into_bytes())),
            reset: None,
            interim: Vec::new(),
            times: Times { request: at, request_head: at, response_head: Some(at), ..Times::default() },
        };
        self.see(Seen::Exchange(ConnectionId(n), Box::new(raw)));
    }

    fn challenge(&mut self, n: u64, exchange: u32) {
        let (request, response) = (negotiate("GET"), challenge(self.now));
        self.exchange(n, exchange, request, response);
    }

    fn ended(&mut self, n: u64, exchange: u32, body: u64) {
        let end = Stamp(self.now);
        let request_end = Some(end);
        let ended = Ended { exchange, end, request_body: body, request_end, body_whole: true, ..Ended::default() };
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

    /// Counts what was told, and keeps none of it: the test itself must not be what grows.
    fn tally(&mut self) {
        for event in self.told.drain(..) {
            self.seqs.push(event.seq);
            match event.what {
                // An exchange's end has a number of its own.
                What::Exchange(x) => self.seqs.extend(x.end_seq),
                What::Handshake(h) if h.outcome == Outcome::Abandoned => self.abandoned += 1,
                What::Gap(Gap { what: GapWhat::LimitReached { memory, .. }, .. }) => {
                    *self.full.entry(memory).or_default() += 1;
                }
                _ => {}
            }
        }
    }

    /// One of the ways in which a client may come and vanish.
    fn vanish(&mut self, n: u64) {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned();
        let get = |fields: &str| format!("GET /app/{n} HTTP/1.1\r\nHost: h{n}.example.test\r\n{fields}\r\n");
        let refused = "HTTP/1.1 401 Unauthorized\r\nServer: Microsoft-IIS/10.0\r\nWWW-Authenticate: Negotiate\r\n\
                       WWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n";
        self.open(n);
        match n % 8 {
            0 | 1 => self.challenge(n, 1),
            2 => self.exchange(n, 1, get(&format!("User-Agent: agent/{n}\r\n")), refused.to_owned()),
            3 => {
                let basic = STANDARD.encode(format!("user{n}:Password1-test"));
                let basic = format!("Authorization: Basic {basic}\r\n");
                let offer = refused.replace("Negotiate", "Basic realm=\"a\"");
                self.exchange(n, 1, get(&basic), if n % 16 == 3 { ok } else { offer });
            }
            4 => {
                let there = format!("HTTP/1.1 302 Found\r\nLocation: /login?{n}\r\nContent-Length: 0\r\n\r\n");
                self.exchange(n, 1, get(&format!("X-Forwarded-For: 192.0.2.{}\r\n", n % 256)), there);
            }
            5 => {
                let post = negotiate(&format!("POST /upload/{n}"))
                    .replace("Authorization", "Content-Length: 70000\r\nAuthorization");
                let now = self.now;
                self.exchange(n, 1, post, challenge(now));
                self.ended(n, 1, 70_000);
                let answer = authenticate(n);
                let post =
                    format!("POST /upload/{n} HTTP/1.1\r\nContent-Length: 0\r\nAuthorization: NTLM {answer}\r\n\r\n");
                self.exchange(n, 2, post, if n % 16 == 5 { ok } else { refused.to_owned() });
                self.ended(n, 2, 0);
                return self.close(n);
            }
            6 => {
                let long = format!("Cookie: a={}\r\n", "x".repeat(5_000));
                let no = "HTTP/1.1 431 Too Large\r\nServer: gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
                self.exchange(n, 1, get(&long), no.to_owned());
            }
            _ => {
                let no = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
                self.exchange(n, 1, get("Expect: 100-continue\r\nOrigin: https://o.example.test\r\n"), no.to_owned());
            }
        }
        self.ended(n, 1, 0);
        self.close(n);
    }
}

fn negotiate(method: &str) -> String {
    let message = Negotiate { flags: flags::CLIENT, domain: None, workstation: None, version: None }.encode();
    let target = if method.contains(' ') { "" } else { " /" };
    format!("{method}{target} HTTP/1.1\r\nAuthorization: NTLM {}\r\n\r\n", STANDARD.encode(message))
}

fn challenge(now: i64) -> String {
    let info = AvPairs::default().text(id::DNS_COMPUTER_NAME, "web01.example.test").timestamp(FileTime::of(Stamp(now)));
    let message = Challenge {
        flags: flags::CLIENT | flags::TARGET_INFO,
        server_challenge: [7; 8],
        target_name: "EXAMPLE".to_owned(),
        target_info: Some(info),
        version: None,
    }
    .encode();
    format!(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM {}\r\nContent-Length: 0\r\n\r\n",
        STANDARD.encode(message)
    )
}

/// An NTLMv1 response: cheap to make, and as good for the memories.
fn authenticate(n: u64) -> String {
    let message = Authenticate {
        flags: flags::CLIENT,
        domain: "EXAMPLE".to_owned(),
        user: format!("user{n}"),
        workstation: format!("PC{n}"),
        lm_response: vec![1; 24],
        nt_response: vec![2; 24],
        session_key: Vec::new(),
        version: None,
        mic: None,
    };
    STANDARD.encode(message.encode())
}

/// A scanner that opens, asks for a challenge and leaves, for days: it must cost nothing that stays, and every
/// handshake that it began is told, also those that fell out by number.
#[test]
fn connections_that_vanish_leave_nothing() {
    const CONNECTIONS: usize = 20_000;
    let mut story = Story::new(REMEMBERED);
    for n in 1..=CONNECTIONS as u64 {
        story.open(n);
        story.challenge(n, 1);
        story.ended(n, 1, 0);
        story.close(n);
        story.tally();
        let now = story.engine.footprint();
        assert!(now.connections == 0 && now.exchanges == 0, "{now:?}");
        assert!(now.challenges <= CHALLENGES + 1 && now.deadlines <= 2 * CHALLENGES + 1, "{now:?}");
    }
    story.now += 3_600_000_000;
    story.engine.advance(Stamp(story.now), &mut story.told);
    let then = story.engine.footprint();
    assert_eq!((then.challenges, then.deadlines), (0, 0), "an hour later all is forgotten");
    story.engine.finish(Stamp(story.now), &mut story.told);
    assert!(matches!(&story.told.last().unwrap().what, What::Stop(t) if t.abandoned == CONNECTIONS as u64));
    story.tally();
    assert_eq!(story.abandoned, CONNECTIONS);
    assert_eq!(story.full.get("challenges"), Some(&1), "that challenges fell out is told once: {:?}", story.full);
    story.seqs.sort_unstable();
    assert!(story.seqs.iter().zip(1..).all(|(a, b)| *a == b), "each event has its own number, without holes");
}

/// The whole catalogue against clients that each come once, in all the ways that make a detector remember something: a
/// tap that grows with its traffic is killed in the middle of the incident that it was to explain. How many there are
/// is `AUTHTAP_BOUNDED` (`docs/testing.md`).
#[test]
fn clients_that_come_once_leave_no_growth() {
    let connections: u64 = std::env::var("AUTHTAP_BOUNDED").map_or(60_000, |n| n.parse().expect("a number"));
    let mut story = Story::new(REMEMBERED);
    let mut at_half = None;
    let mut most: usize = 0;
    for n in 1..=connections {
        story.vanish(n);
        // A million of them in an hour.
        story.now += 3_600;
        story.tally();
        story.seqs.clear();
        let now = story.engine.footprint();
        assert!(now.connections == 0 && now.exchanges == 0, "{n}: {now:?}");
        assert!(now.challenges <= CHALLENGES + 1 && now.deadlines <= 2 * CHALLENGES + 1, "{n}: {now:?}");
        assert!(now.peers <= REMEMBERED, "{n}: {now:?}");
        most = most.max(now.detectors);
        if n == connections / 2 {
            at_half = Some(most);
        }
    }
    // No detector has more than a few memories, and each finding is told a thousand times at most.
    let bound = catalogue::ALL.len() * (4 * REMEMBERED + 1_000);
    assert!(most <= bound, "{most} entries, at most {bound}");
    let half: usize = at_half.expect("a half");
    assert!(most <= half + half / 20, "{half} entries after half of them, {most} after all");
    assert!(story.full.values().all(|times| *times == 1), "each is told once: {:?}", story.full);
    for memory in ["challenges", "users", "peers", "body-sent-every-leg", "intermediate-header-limit", "lockout-risk"] {
        assert!(story.full.contains_key(memory), "{memory} is not told: {:?}", story.full);
    }
}

/// When the queue was full, ends are lost: neither connections nor exchanges may pile up for them.
#[test]
fn what_lost_its_end_is_forgotten_in_time() {
    let mut story = Story::new(REMEMBERED);
    for n in 1..=70_000 {
        story.open(n);
        if n % 1_000 == 0 {
            story.gap(None);
        }
        story.tally();
    }
    let now = story.engine.footprint();
    assert!(now.connections <= 65_536, "{now:?}");
    story.engine.advance(Stamp(story.now + 1_000_000), &mut story.told);
    story.tally();
    assert_eq!(story.full.get("connections"), Some(&1), "{:?}", story.full);

    let mut story = Story::new(REMEMBERED);
    story.open(1);
    for exchange in 1..=500 {
        story.gap(Some(1));
        story.challenge(1, exchange);
        assert!(story.engine.footprint().exchanges <= 1);
    }
    let told = story.told.iter().filter(|e| matches!(e.what, What::Exchange(_))).count();
    assert_eq!(told, 499, "they are told without their end");
}
