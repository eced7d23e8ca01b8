//! Plays a case's script: bytes to the framing, observations to the engine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use authtap::finding::{Engine, Settings};
use authtap::model::event::{ConnectionClose, ConnectionOpen, Event, Gap, GapWhat, HalfClose, Start};
use authtap::model::network::Network;
use authtap::model::transport::{Addresses, By, Certificate, End, How, Tls};
use authtap::model::{ConnectionId, Stamp};
use authtap::wire::follow::Follow;
use authtap::wire::http1::{Out, Pool};
use authtap::wire::observation::{Ended, Observation, RawExchange, Seen};

use super::token::{Tokens, Words, binding_of};
use super::{Case, h2};

/// 2026-01-01T00:00:00Z.
const EPOCH: i64 = 1_767_225_600_000_000;

/// How a step's bytes are handed over.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cut {
    Whole,
    Bytes,
    Random(u64),
}

impl Cut {
    fn pieces(self, bytes: &[u8], state: &mut u64) -> Vec<Vec<u8>> {
        match self {
            Self::Whole => vec![bytes.to_vec()],
            Self::Bytes => bytes.iter().map(|b| vec![*b]).collect(),
            Self::Random(_) => {
                let mut rest = bytes;
                let mut out = Vec::new();
                while !rest.is_empty() {
                    // xorshift64: the same cuts for the same seed.
                    *state ^= *state << 13;
                    *state ^= *state >> 7;
                    *state ^= *state << 17;
                    let n = 1 + usize::try_from(*state % 97).unwrap().min(rest.len() - 1);
                    out.push(rest[..n].to_vec());
                    rest = &rest[n..];
                }
                out
            }
        }
    }
}

#[derive(Default)]
struct Told(Vec<Seen>, u64);

impl Out for Told {
    fn exchange(&mut self, exchange: RawExchange) {
        self.0.push(Seen::Exchange(ConnectionId(self.1), Box::new(exchange)));
    }
    fn ended(&mut self, ended: Ended) {
        self.0.push(Seen::Ended(ConnectionId(self.1), ended));
    }
    fn unparsable(&mut self, from: &'static str, offset: u64, why: String) {
        let what = GapWhat::Unparsable { from, offset, why };
        self.0.push(Seen::Gap(Gap { connection: Some(ConnectionId(self.1)), what }));
    }
}

struct Wire {
    http: Follow,
    /// HTTP/2's first frames have passed.
    begun: bool,
    opened: Stamp,
    client_bytes: u64,
    upstream_bytes: u64,
}

/// The settings of a case.
pub(super) fn settings(case: &Case) -> Settings {
    let trusted_proxies =
        case.trusted_proxies.iter().map(|t| Network::parse(t).unwrap_or_else(|| panic!("{t}"))).collect();
    Settings { trusted_proxies, ..Settings::default() }
}

/// All events of a case.
pub(super) fn play(case: &Case, cut: Cut) -> Vec<Event> {
    played(case, cut).events
}

/// What passes on the wire in a case.
pub(super) fn on_the_wire(case: &Case) -> Vec<(Stamp, OnWire)> {
    played(case, Cut::Whole).on_wire
}

fn played(case: &Case, cut: Cut) -> Player {
    let mut player = Player::new(case, cut);
    for line in case.steps.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        player.step(line);
    }
    player
}

/// What passes on the wire of a connection.
#[derive(Debug, Clone)]
pub(super) enum OnWire {
    Opened(Box<ConnectionOpen>),
    Bytes {
        n: u64,
        from_client: bool,
        bytes: Vec<u8>,
    },
    Fin(u64, By),
    Closed(u64, By, How),
    /// Time passes.
    Tick,
    /// What no wire shows: authtap's own start, what it lost.
    Unseen,
}

/// All observations of a case, as a capture beside the traffic has them, and when the watch stops.
pub(super) fn record(case: &Case) -> (Vec<Observation>, Stamp) {
    let mut player = Player::new(case, Cut::Whole);
    player.recorded = Some(Vec::new());
    for line in case.steps.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        player.step(line);
    }
    (player.recorded.unwrap_or_default(), player.stopped)
}

struct Player {
    engine: Engine,
    events: Vec<Event>,
    /// Instead of the engine, when there is one.
    recorded: Option<Vec<Observation>>,
    stopped: Stamp,
    wires: BTreeMap<u64, Wire>,
    pool: Pool,
    cut: Cut,
    random: u64,
    tokens: Tokens,
    on_wire: Vec<(Stamp, OnWire)>,
}

impl Player {
    fn new(case: &Case, cut: Cut) -> Self {
        Self {
            engine: Engine::new(settings(case)),
            events: Vec::new(),
            recorded: None,
            stopped: Stamp(EPOCH),
            wires: BTreeMap::new(),
            pool: Pool::default(),
            cut,
            random: if let Cut::Random(seed) = cut { seed } else { 1 },
            tokens: Tokens::default(),
            on_wire: Vec::new(),
        }
    }

    fn observe(&mut self, at: Stamp, what: Seen) {
        let observation = Observation { at, what };
        match &mut self.recorded {
            Some(recorded) => recorded.push(observation),
            None => self.engine.observe(observation, &mut self.events),
        }
    }

    fn step(&mut self, line: &str) {
        let (time, rest) = line.split_once(char::is_whitespace).unwrap_or_else(|| panic!("no step: {line}"));
        let seconds: f64 = time.parse().unwrap_or_else(|_| panic!("no time: {line}"));
        let at = Stamp(EPOCH).after(Duration::from_secs_f64(seconds));
        let words: Vec<&str> = rest.split_whitespace().collect();
        match words.as_slice() {
            ["tick" | "stop"] => self.on_wire.push((at, OnWire::Tick)),
            ["start", ..] | [_, "gap"] => self.on_wire.push((at, OnWire::Unseen)),
            [n, "fin", by] => {
                let by = if *by == "client" { By::Client } else { By::Upstream };
                self.on_wire.push((at, OnWire::Fin(n.parse().unwrap(), by)));
            }
            _ => {}
        }
        match words.as_slice() {
            ["tick"] => self.engine.advance(at, &mut self.events),
            ["stop"] => {
                self.stopped = at;
                self.engine.finish(at, &mut self.events);
            }
            ["start", ours, theirs, checks @ ..] => self.start(at, ours, theirs, checks),
            [n, "open", client, rest @ ..] => self.open(at, n.parse().unwrap(), client, rest),
            [n, "gap"] => {
                let connection = Some(ConnectionId(n.parse().unwrap()));
                self.observe(at, Seen::Gap(Gap { connection, what: GapWhat::QueueFull { dropped: 1 } }));
            }
            [n, "fin", by] => {
                let by = if *by == "client" { By::Client } else { By::Upstream };
                let half = HalfClose { connection: ConnectionId(n.parse().unwrap()), by };
                self.observe(at, Seen::HalfClosed(half));
            }
            [n, "close", by, how] => self.close(at, n.parse().unwrap(), by, how),
            [n, direction @ (">" | "<" | ">>" | "<<" | ">|"), ..] => {
                let text = rest.split_once(direction).expect("a direction").1.trim_start().to_owned();
                let bytes = match *direction {
                    ">|" => self.cut_head(&text, at),
                    ">>" | "<<" => body_of(&text),
                    _ => self.message(&text, at),
                };
                self.bytes(at, n.parse().unwrap(), direction.starts_with('>'), &bytes);
            }
            [n, direction @ ("h2>" | "h2<"), stream, ..] => {
                let text = rest.split_once(direction).expect("a direction").1.trim_start();
                let text = text.split_once(stream).expect("a stream").1.trim_start().to_owned();
                self.h2(at, n.parse().unwrap(), *direction == "h2>", stream.parse().unwrap(), &text);
            }
            _ => panic!("no step: {line}"),
        }
    }

    /// A message or a reset on a stream of HTTP/2. The first one brings what begins the connection.
    fn h2(&mut self, at: Stamp, n: u64, from_client: bool, stream: u32, text: &str) {
        let wire = self.wires.get_mut(&n).unwrap_or_else(|| panic!("connection {n} is not open"));
        if !std::mem::replace(&mut wire.begun, true) {
            self.bytes(at, n, true, &h2::client_begins());
            self.bytes(at, n, false, &h2::server_begins());
        }
        let (head, body) = text.split_once(" || ").unwrap_or((text, ""));
        let lines: Vec<String> = head.split(" | ").map(|line| self.fill(line.trim(), at)).collect();
        let bytes = h2::message(stream, from_client, &lines, &body_of(body));
        self.bytes(at, n, from_client, &bytes);
    }

    fn start(&mut self, at: Stamp, ours: &str, theirs: &str, checks: &[&str]) {
        let word = |c: &&str| {
            let (name, found) = c.split_once('=').unwrap_or_else(|| panic!("no self-check: {c}"));
            (name.to_owned(), found.to_owned())
        };
        let (places, self_checks): (Vec<_>, Vec<_>) =
            checks.iter().map(word).partition(|(name, _)| matches!(name.as_str(), "listen" | "upstream"));
        let of = |name: &str| places.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.clone()).collect::<Vec<_>>();
        let start = Start {
            certificate: certificate("authtap.example.test", ours),
            upstream_certificate: certificate("iis.example.test", theirs),
            listen: of("listen").iter().map(|a| a.parse().unwrap_or_else(|_| panic!("no address: {a}"))).collect(),
            upstream: of("upstream"),
            self_checks,
            ..Start::default()
        };
        self.observe(at, Seen::Start(Box::new(start)));
    }

    fn open(&mut self, at: Stamp, n: u64, client: &str, rest: &[&str]) {
        let address = |text: &str| -> SocketAddr { text.parse().unwrap_or_else(|_| panic!("no address: {text}")) };
        let agreed = rest.contains(&"h2");
        let rest = rest.iter().copied().filter(|w| *w != "h2");
        let (options, certificates): (Vec<&str>, Vec<&str>) = rest.partition(|w| w.contains('='));
        let options = options.join(" ");
        let options = Words::of(&options);
        let tls = |name, hash: &str| Tls {
            certificate: certificate(name, hash),
            sni: options.option("sni").map(str::to_owned),
            alpn_offered: options.option("alpn").map_or_else(Vec::new, |l| l.split(',').map(str::to_owned).collect()),
            alpn_chosen: agreed.then(|| "h2".to_owned()),
            ..Tls::default()
        };
        let open = ConnectionOpen {
            connection: ConnectionId(n),
            addresses: Addresses {
                client: address(client),
                upstream: options.option("upstream").map(address),
                upstream_local: options.option("local").map(address),
            },
            tls: certificates.first().map(|h| tls("authtap.example.test", h)),
            upstream_tls: certificates.get(1).map(|h| Tls {
                client_certificate_requested: options.option("asks") == Some("certificate"),
                ..tls("iis.example.test", h)
            }),
            begun_before: false,
        };
        let http = if agreed { Follow::http2(false) } else { Follow::new(false) };
        self.wires.insert(n, Wire { http, begun: false, opened: at, client_bytes: 0, upstream_bytes: 0 });
        self.on_wire.push((at, OnWire::Opened(Box::new(open.clone()))));
        self.observe(at, Seen::Opened(Box::new(open)));
    }

    /// A head's lines, and a body.
    fn message(&mut self, message: &str, at: Stamp) -> Vec<u8> {
        let (head, body) = message.split_once(" || ").unwrap_or((message, ""));
        let body = body_of(body);
        let mut text = String::new();
        for line in head.split(" | ") {
            let line = line.trim().replace("Content-Length: *", &format!("Content-Length: {}", body.len()));
            text.push_str(&self.fill(&line, at));
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend(body);
        bytes
    }

    /// A head that stops within its last line.
    fn cut_head(&mut self, head: &str, at: Stamp) -> Vec<u8> {
        let lines: Vec<String> = head.split(" | ").map(|line| self.fill(line.trim(), at)).collect();
        lines.join("\r\n").into_bytes()
    }

    fn bytes(&mut self, at: Stamp, n: u64, from_client: bool, bytes: &[u8]) {
        self.on_wire.push((at, OnWire::Bytes { n, from_client, bytes: bytes.to_vec() }));
        for piece in self.cut.pieces(bytes, &mut self.random) {
            let wire = self.wires.get_mut(&n).unwrap_or_else(|| panic!("connection {n} is not open"));
            let mut told = Told(Vec::new(), n);
            if from_client {
                wire.client_bytes += piece.len() as u64;
                wire.http.client(at, &piece, &mut self.pool, &mut told);
            } else {
                wire.upstream_bytes += piece.len() as u64;
                wire.http.upstream(at, &piece, &mut self.pool, &mut told);
            }
            for seen in told.0 {
                self.observe(at, seen);
            }
        }
    }

    fn close(&mut self, at: Stamp, n: u64, by: &str, how: &str) {
        let mut wire = self.wires.remove(&n).unwrap_or_else(|| panic!("connection {n} is not open"));
        let mut told = Told(Vec::new(), n);
        wire.http.closed(at, &mut self.pool, &mut told);
        for seen in told.0 {
            self.observe(at, seen);
        }
        let by = match by {
            "client" => By::Client,
            "upstream" => By::Upstream,
            "tap" => By::Tap,
            _ => panic!("who is {by}?"),
        };
        let how = match how {
            "fin" => How::Fin,
            "reset" => How::Reset,
            "timeout" => How::Timeout,
            _ => panic!("how is {how}?"),
        };
        self.on_wire.push((at, OnWire::Closed(n, by, how)));
        let close = ConnectionClose {
            connection: ConnectionId(n),
            end: End { by, how, errno: None, detail: None },
            mid_handshake: false,
            client_bytes: wire.client_bytes,
            upstream_bytes: wire.upstream_bytes,
            exchanges: wire.http.exchanges(),
            duration: at.since(wire.opened),
        };
        self.observe(at, Seen::Closed(Box::new(close)));
    }

    /// Replaces each `{…}` by a token.
    fn fill(&mut self, line: &str, at: Stamp) -> String {
        let mut out = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, tail) = after.split_once('}').unwrap_or_else(|| panic!("no closing brace: {line}"));
            out.push_str(before);
            out.push_str(&self.tokens.text(inside, at));
            rest = tail;
        }
        out + rest
    }
}

/// Bytes of a body: the text as it is, `@N` for so many of them, or `{page 401.3 0x80070005 user=EXAMPLE\alice}` for a
/// detailed error page of IIS, whose shape is that of the pages in `tests/data/iis/pages`.
fn body_of(text: &str) -> Vec<u8> {
    if let Some(n) = text.strip_prefix('@') {
        return vec![b'x'; n.trim().parse().unwrap_or_else(|_| panic!("no size: {text}"))];
    }
    let Some(inside) = text.strip_prefix("{page ").and_then(|t| t.trim_end().strip_suffix('}')) else {
        return text.replace("\\r\\n", "\r\n").into_bytes();
    };
    let mut words = inside.split_whitespace();
    let (number, code) = (words.next().expect("401.3"), words.next().expect("an error code"));
    let (status, substatus) = number.split_once('.').expect("a substatus");
    let user = words.next().and_then(|w| w.strip_prefix("user=")).unwrap_or("Not yet determined");
    let row = |name: &str, value: &str| format!("<tr><th>{name}</th><td>&nbsp;&nbsp;&nbsp;{value}</td></tr>");
    let method = if user == "Not yet determined" { user } else { "Negotiate" };
    [
        format!("<html><head><title>IIS 10.0 Detailed Error - {number} - Refused</title></head><body>"),
        format!("<h3>HTTP Error {number} - Refused</h3><div id=\"details-left\"><table>"),
        row("Module", "IIS Web Core"),
        row("Notification", "AuthenticateRequest"),
        row("Handler", "StaticFile"),
        row("Error Code", code),
        "</table></div><div id=\"details-right\"><table>".to_owned(),
        row("Requested URL", "http://app.example.test/"),
        row("Physical Path", "C:\\inetpub\\app"),
        row("Logon Method", method),
        row("Logon User", user),
        "</table></div>".to_owned(),
        format!("<a href=\"https://go.example.test/?LinkID=62293&amp;IIS70Error={status},{substatus},{code},20348\">"),
        "more</a></body></html>".to_owned(),
    ]
    .concat()
    .into_bytes()
}

fn certificate(name: &str, hash: &str) -> Option<Certificate> {
    let hex = |bytes: [u8; 16]| format!("{:032x}", u128::from_be_bytes(bytes));
    (hash != "-").then(|| Certificate {
        subject: format!("CN={name}"),
        sha256: hash.to_owned(),
        end_point: hash.to_owned(),
        end_point_hash: "sha-256".to_owned(),
        channel_bindings: vec![hex(binding_of(hash))],
        ..Certificate::default()
    })
}
