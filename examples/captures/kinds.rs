//! What the conversations of each kind hold.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use authtap::model::FileTime;
use authtap::sim::ntlm::av::{AvPairs, id};
use authtap::sim::ntlm::flags;
use authtap::sim::ntlm::message::{Challenge, Negotiate};
use authtap::sim::ntlm::respond::Login;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::made::{ACK, Connection, Packet};
use crate::pair::{Ends, Pair, Wish};

/// Most bytes of a segment.
const SEGMENT: usize = 1460;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Not HTTP: requests of 200 bytes, answers of 29 KB in full segments.
    Bulk,
    /// Not HTTP: packets of some 100 bytes.
    Small,
    /// GETs, answered with 4 KB.
    Http,
    /// Every second request is refused with challenges, the others have Basic credentials.
    Auth,
    /// A whole NTLM handshake on each connection, then 4 requests; nobody's tokens come twice.
    Ntlm,
    /// The same before and behind a hop.
    Hop,
    /// Connections with a challenge that never end.
    Connections,
    /// TLS without its keys.
    Tls,
    /// Answers of 29 KB out of order, with a packet missing in each.
    Disorder,
    /// Connections that never end and have a hole that never fills.
    Holes,
    /// Connections that never end, each in the middle of a request's head.
    Heads,
    /// Connections that never end, with requests that nobody answers.
    Unanswered,
    /// Connections that never end, each in the middle of a TLS ClientHello.
    Hellos,
    /// Failed logons, each with names of its own that are long.
    Names,
}

const KINDS: [(&str, Kind); 14] = [
    ("bulk", Kind::Bulk),
    ("small", Kind::Small),
    ("http", Kind::Http),
    ("auth", Kind::Auth),
    ("ntlm", Kind::Ntlm),
    ("hop", Kind::Hop),
    ("connections", Kind::Connections),
    ("tls", Kind::Tls),
    ("disorder", Kind::Disorder),
    ("holes", Kind::Holes),
    ("heads", Kind::Heads),
    ("unanswered", Kind::Unanswered),
    ("hellos", Kind::Hellos),
    ("names", Kind::Names),
];

pub(crate) fn named(name: &str) -> Option<Kind> {
    KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

pub(crate) fn names() -> Vec<&'static str> {
    KINDS.iter().map(|(name, _)| *name).collect()
}

/// Conversations of one kind.
pub(crate) struct Source {
    kind: Kind,
    noise: Vec<u8>,
    tls: Vec<(bool, Vec<u8>)>,
}

impl Source {
    pub(crate) fn new(kind: Kind) -> Self {
        let mut random = Random(1);
        let mut tls = Vec::new();
        if kind == Kind::Tls {
            let ends = Ends::new(&Wish::default());
            let mut pair = Pair::new(&ends);
            pair.carry();
            (1..=10).for_each(|number| pair.talk(number));
            pair.end();
            tls = pair.wire;
        }
        Self { kind, noise: (0..20 * SEGMENT).map(|_| random.next().to_le_bytes()[2] | 0x80).collect(), tls }
    }

    /// The packets of a conversation, in their order.
    pub(crate) fn conversation(&self, number: u32) -> Vec<Packet> {
        let port = match self.kind {
            Kind::Bulk | Kind::Small => 1433,
            Kind::Tls | Kind::Hellos => 443,
            _ => 80,
        };
        let mut talk = Talk::open(client(number), server(80, port));
        match self.kind {
            Kind::Bulk => (0..20).for_each(|_| {
                talk.client(&self.noise[..200]);
                talk.server(&self.noise);
                talk.acknowledge();
            }),
            Kind::Small => (0..100).for_each(|_| {
                talk.client(&self.noise[..40]);
                talk.server(&self.noise[..60]);
            }),
            Kind::Http => (0..30).for_each(|_| {
                talk.client(&request("/app/page.aspx?id=12345", ""));
                talk.server(&ok());
                talk.acknowledge();
            }),
            Kind::Auth => (0..15).for_each(|_| {
                talk.client(&request("/app/page.aspx?id=12345", ""));
                talk.server(&refusal(&["Negotiate", "NTLM"]));
                let authorization = format!("Basic {}", STANDARD.encode("alice:Password1-test"));
                talk.client(&request("/app/page.aspx?id=12345", &authorization));
                talk.server(&ok());
            }),
            Kind::Tls => {
                for (from_client, bytes) in &self.tls {
                    if *from_client { talk.client(bytes) } else { talk.server(bytes) }
                }
            }
            Kind::Ntlm => talk.logon(number),
            Kind::Hop => {
                let hop = SocketAddr::new(server(80, 0).ip(), client(number).port());
                talk.through(hop, server(81, 8080));
                talk.logon(number);
            }
            Kind::Connections => {
                let tokens = Tokens::new(number, "alice");
                talk.client(&request("/", &tokens.first));
                talk.server(&refusal(&[&tokens.second]));
                return talk.packets;
            }
            Kind::Disorder => {
                let mut random = Random(u64::from(number));
                for _ in 0..10 {
                    talk.client(&request("/app/page.aspx?id=12345", ""));
                    let before = talk.packets.len();
                    talk.server(&answer("200 OK", &[], &self.noise));
                    disorder(&mut talk.packets, before, &mut random);
                    talk.acknowledge();
                }
            }
            Kind::Holes => {
                talk.client(&self.noise[..100]);
                talk.packets.pop();
                (0..3).for_each(|_| talk.client(&self.noise[..1200]));
                return talk.packets;
            }
            Kind::Heads => {
                let long = format!("GET / HTTP/1.1\r\nHost: www.example.test\r\nCookie: {}", "x".repeat(14_000));
                talk.client(long.as_bytes());
                return talk.packets;
            }
            Kind::Unanswered => {
                (0..40).for_each(|_| talk.client(&request("/app/page.aspx?id=12345", "")));
                return talk.packets;
            }
            Kind::Hellos => {
                // A handshake message of 60,000 bytes in records of 1,200.
                let body = [&[1, 0, 0xea, 0x60, 3, 3][..], &self.noise[..14_000]].concat();
                for part in body.chunks(1200) {
                    let length = u16::try_from(part.len()).unwrap_or(0).to_be_bytes();
                    talk.client(&[&[22, 3, 1][..], &length, part].concat());
                }
                return talk.packets;
            }
            Kind::Names => {
                let name = format!("user{number}{}", "x".repeat(200));
                let tokens = Tokens::new(number, &name);
                let target = format!("/{number}/{}", "y".repeat(300));
                talk.client(&request(&target, &tokens.first));
                talk.server(&refusal(&[&tokens.second]));
                talk.client(&request(&target, &tokens.third));
                talk.server(&refusal(&["NTLM"]));
            }
        }
        talk.end()
    }
}

/// A conversation: one connection, or one before a hop and one behind it.
struct Talk {
    ways: Vec<Connection>,
    packets: Vec<Packet>,
}

impl Talk {
    fn open(client: SocketAddr, server: SocketAddr) -> Self {
        let mut talk = Self { ways: Vec::new(), packets: Vec::new() };
        talk.through(client, server);
        talk
    }

    /// One more connection on the way.
    fn through(&mut self, client: SocketAddr, server: SocketAddr) {
        // Two connections with the same first numbers would be taken for one that passes an address translation.
        let ip = if let IpAddr::V4(ip) = client.ip() { u32::from(ip) } else { 0 };
        let client_next = (ip ^ u32::from(client.port()).rotate_left(16)).wrapping_mul(0x9e37_79b1);
        let server_next = client_next.rotate_left(13);
        let mut way = Connection { client, server, client_next, server_next, at: 0, step: 0 };
        self.packets.extend(way.open());
        self.ways.push(way);
    }

    fn client(&mut self, bytes: &[u8]) {
        for way in &mut self.ways {
            self.packets.extend(bytes.chunks(SEGMENT).map(|part| way.client(part)));
        }
    }

    fn server(&mut self, bytes: &[u8]) {
        for way in self.ways.iter_mut().rev() {
            self.packets.extend(bytes.chunks(SEGMENT).map(|part| way.server(part)));
        }
    }

    fn acknowledge(&mut self) {
        for way in &mut self.ways {
            self.packets.push(way.send(true, ACK, b""));
        }
    }

    /// A handshake that succeeds, and requests on its connection.
    fn logon(&mut self, number: u32) {
        let tokens = Tokens::new(number, &format!("user{}", number % 1000));
        self.client(&request("/app/page.aspx?id=12345", &tokens.first));
        self.server(&refusal(&[&tokens.second]));
        self.client(&request("/app/page.aspx?id=12345", &tokens.third));
        self.server(&answer("200 OK", &["Persistent-Auth: true"], &[b'x'; 4000]));
        for _ in 0..4 {
            self.client(&request("/app/page.aspx?id=12346", ""));
            self.server(&ok());
            self.acknowledge();
        }
    }

    fn end(mut self) -> Vec<Packet> {
        for way in &mut self.ways {
            self.packets.extend(way.close());
        }
        self.packets
    }
}

/// The values of the three `Authorization` and `WWW-Authenticate` fields of a handshake.
struct Tokens {
    first: String,
    second: String,
    third: String,
}

impl Tokens {
    fn new(number: u32, user: &str) -> Self {
        let first = Negotiate::default().encode();
        let info = AvPairs::default()
            .text(id::NB_DOMAIN_NAME, "EXAMPLE")
            .text(id::NB_COMPUTER_NAME, "WEB01")
            .text(id::DNS_DOMAIN_NAME, "example.test")
            .text(id::DNS_COMPUTER_NAME, "web01.example.test")
            .text(id::DNS_TREE_NAME, "example.test")
            .timestamp(FileTime(133_444_736_000_000_000 + u64::from(number)));
        let second = Challenge {
            flags: flags::CLIENT | flags::TARGET_INFO | flags::TARGET_TYPE_DOMAIN,
            server_challenge: Random(u64::from(number)).next().to_le_bytes(),
            target_name: "EXAMPLE".to_owned(),
            target_info: Some(info),
            version: None,
        }
        .encode();
        let login = Login::new("EXAMPLE", user, "Password1-test");
        let mine = Random(u64::from(number) << 32).next().to_le_bytes();
        let third = login.answer_with(&first, &second, mine, [9; 16]).map(|a| a.message).unwrap_or_default();
        let field = |token: &[u8]| format!("NTLM {}", STANDARD.encode(token));
        Self { first: field(&first), second: field(&second), third: field(&third) }
    }
}

/// A browser's request; `authorization` may be empty.
fn request(target: &str, authorization: &str) -> Vec<u8> {
    let field = if authorization.is_empty() { String::new() } else { format!("Authorization: {authorization}\r\n") };
    format!(
        "GET {target} HTTP/1.1\r\nHost: www.example.test\r\nConnection: keep-alive\r\n\
         User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36\r\n\
         Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\nAccept-Encoding: gzip, deflate\r\n\
         Accept-Language: en-US,en;q=0.9\r\n{field}Cookie: session=abcdefabcdefabcdefabcdef\r\n\r\n"
    )
    .into_bytes()
}

fn answer(status: &str, fields: &[&str], body: &[u8]) -> Vec<u8> {
    let fields: String = fields.iter().flat_map(|field| [field, "\r\n"]).collect();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nServer: Microsoft-IIS/10.0\r\n{fields}\
         Date: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn ok() -> Vec<u8> {
    answer("200 OK", &[], &[b'x'; 4000])
}

/// A 401 with these challenges.
fn refusal(challenges: &[&str]) -> Vec<u8> {
    let fields: Vec<String> = challenges.iter().map(|c| format!("WWW-Authenticate: {c}")).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    answer("401 Unauthorized", &fields, &[b'y'; 1293])
}

/// The packets from the second after `first` on: out of order within eight, and one without which the others are there.
fn disorder(packets: &mut Vec<Packet>, first: usize, random: &mut Random) {
    let (from, end) = (first + 1, packets.len());
    for at in from..end {
        let other = at + usize::from(random.next().to_le_bytes()[3] % 8);
        if other < end {
            packets.swap(at, other);
        }
    }
    packets.remove(from + usize::from(random.next().to_le_bytes()[3] % 16));
}

/// The client of a conversation: no two have the same address and port for a long time.
fn client(number: u32) -> SocketAddr {
    let [_, a, b, c] = (number / 60_000).to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(198, 18 + (a & 1), b, c), 1025 + u16::try_from(number % 60_000).unwrap_or(0)))
}

fn server(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(192, 0, 2, host), port))
}

/// Numbers without a pattern, the same in each run (splitmix64).
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
