//! Scripted wire cases: `tests/cases/<slug>/<case>/case.toml`, from the bytes on the wire to the findings.
//!
//! Each case runs whole, byte by byte, and cut at seeded random places; the events must be identical each time. What a
//! step looks like is in `tests/cases/README.md`.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use authtap::finding::catalogue;
use authtap::finding::{Engine, Settings};
use authtap::model::event::{ConnectionClose, ConnectionOpen, Event, Gap, GapWhat, HalfClose, Start, What};
use authtap::model::finding::Finding;
use authtap::model::network::Network;
use authtap::model::transport::{Addresses, By, Certificate, End, How, Tls};
use authtap::model::{ConnectionId, FileTime, Stamp};
use authtap::sim::ntlm::av::{AvPairs, id};
use authtap::sim::ntlm::message::{Challenge, Negotiate, SERVER_VERSION};
use authtap::sim::ntlm::respond::Login;
use authtap::sim::ntlm::{flags, message};
use authtap::wire::http1::{Http1, Out, Pool};
use authtap::wire::observation::{Ended, Observation, RawExchange, Seen};

/// 2026-01-01T00:00:00Z.
const EPOCH: i64 = 1_767_225_600_000_000;

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Case {
    /// What it shows.
    about: String,
    /// Where its shape comes from.
    origin: String,
    /// Peers that are believed.
    #[serde(default)]
    trusted_proxies: Vec<String>,
    /// The script.
    steps: String,
    /// The findings, and no others; none for a healthy case.
    #[serde(default)]
    expect: Vec<Expect>,
}

/// A finding that must come.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    slug: String,
    #[serde(default = "one")]
    count: usize,
    basis: String,
    /// Connections of the first one, the primary evidence's first.
    connections: Option<Vec<u64>>,
    /// Connection and exchange of the first one's primary evidence.
    primary: Option<(u64, u32)>,
    /// Words that the first one's summary holds.
    #[serde(default)]
    says: Vec<String>,
}

const fn one() -> usize {
    1
}

/// How a step's bytes are handed over.
#[derive(Debug, Clone, Copy)]
enum Cut {
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
    http: Http1,
    opened: Stamp,
    client_bytes: u64,
    upstream_bytes: u64,
}

/// Plays a case's script.
struct Player {
    engine: Engine,
    events: Vec<Event>,
    wires: BTreeMap<u64, Wire>,
    pool: Pool,
    cut: Cut,
    random: u64,
    challenges: BTreeMap<String, Vec<u8>>,
}

impl Player {
    fn new(case: &Case, cut: Cut) -> Self {
        let trusted_proxies =
            case.trusted_proxies.iter().map(|t| Network::parse(t).unwrap_or_else(|| panic!("{t}"))).collect();
        Self {
            engine: Engine::new(Settings { trusted_proxies, ..Settings::default() }),
            events: Vec::new(),
            wires: BTreeMap::new(),
            pool: Pool::default(),
            cut,
            random: if let Cut::Random(seed) = cut { seed } else { 1 },
            challenges: BTreeMap::new(),
        }
    }

    fn observe(&mut self, at: Stamp, what: Seen) {
        self.engine.observe(Observation { at, what }, &mut self.events);
    }

    fn step(&mut self, line: &str) {
        let (time, rest) = line.split_once(char::is_whitespace).unwrap_or_else(|| panic!("no step: {line}"));
        let seconds: f64 = time.parse().unwrap_or_else(|_| panic!("no time: {line}"));
        let at = Stamp(EPOCH).after(Duration::from_secs_f64(seconds));
        let words: Vec<&str> = rest.split_whitespace().collect();
        match words.as_slice() {
            ["stop"] => self.engine.finish(at, &mut self.events),
            ["start", ours, theirs] => {
                let start = Start {
                    certificate: certificate("authtap.example.test", ours),
                    upstream_certificate: certificate("iis.example.test", theirs),
                    ..Start::default()
                };
                self.observe(at, Seen::Start(Box::new(start)));
            }
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
            [n, direction @ (">" | "<"), ..] => {
                let message = rest.split_once(direction).expect("a direction").1.trim_start().to_owned();
                self.message(at, n.parse().unwrap(), direction, &message);
            }
            _ => panic!("no step: {line}"),
        }
    }

    fn open(&mut self, at: Stamp, n: u64, client: &str, certificates: &[&str]) {
        let client: SocketAddr = client.parse().unwrap_or_else(|_| panic!("no address: {client}"));
        let tls = |name, hash: &str| Tls { certificate: certificate(name, hash), ..Tls::default() };
        let open = ConnectionOpen {
            connection: ConnectionId(n),
            addresses: Addresses { client, upstream: None, upstream_local: None },
            tls: certificates.first().map(|h| tls("authtap.example.test", h)),
            upstream_tls: certificates.get(1).map(|h| tls("iis.example.test", h)),
        };
        self.wires.insert(n, Wire { http: Http1::default(), opened: at, client_bytes: 0, upstream_bytes: 0 });
        self.observe(at, Seen::Opened(Box::new(open)));
    }

    fn message(&mut self, at: Stamp, n: u64, direction: &str, message: &str) {
        let (head, body) = message.split_once(" || ").unwrap_or((message, ""));
        let mut text = String::new();
        for line in head.split(" | ") {
            text.push_str(&self.fill(line.trim(), at));
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text.push_str(body);
        for piece in self.cut.pieces(text.as_bytes(), &mut self.random) {
            let wire = self.wires.get_mut(&n).unwrap_or_else(|| panic!("connection {n} is not open"));
            let mut told = Told(Vec::new(), n);
            if direction == ">" {
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

    /// Replaces each `{…}` by a token, base64.
    fn fill(&mut self, line: &str, at: Stamp) -> String {
        let mut out = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, tail) = after.split_once('}').unwrap_or_else(|| panic!("no closing brace: {line}"));
            out.push_str(before);
            out.push_str(&self.token(inside, at));
            rest = tail;
        }
        out + rest
    }

    fn token(&mut self, inside: &str, at: Stamp) -> String {
        let words: Vec<&str> = inside.split_whitespace().collect();
        let option = |name: &str| words.iter().find_map(|w| w.strip_prefix(name)?.strip_prefix('='));
        let bytes = match words.as_slice() {
            ["negotiate", ..] => Negotiate::default().encode(),
            ["challenge", name, ..] => {
                let server = option("server").unwrap_or("WEB01");
                let mut pairs = AvPairs::default()
                    .text(id::NB_DOMAIN_NAME, "EXAMPLE")
                    .text(id::NB_COMPUTER_NAME, server)
                    .text(id::DNS_DOMAIN_NAME, "example.test")
                    .text(id::DNS_COMPUTER_NAME, &format!("{}.example.test", server.to_lowercase()));
                if !words.contains(&"no-time") {
                    // Unlike any other's, as a clock of 100 ns is.
                    let unlike = 1 + self.challenges.len() as u64;
                    pairs = pairs.timestamp(FileTime(FileTime::of(at).0 + unlike));
                }
                let challenge = Challenge {
                    flags: flags::CLIENT | flags::TARGET_INFO | flags::TARGET_TYPE_DOMAIN,
                    server_challenge: (self.challenges.len() as u64).to_le_bytes(),
                    target_name: "EXAMPLE".to_owned(),
                    target_info: Some(pairs),
                    version: Some(SERVER_VERSION),
                };
                self.challenges.insert((*name).to_owned(), challenge.encode());
                challenge.encode()
            }
            ["authenticate", name, ..] => {
                let challenge = self.challenges.get(*name).unwrap_or_else(|| panic!("no challenge {name}"));
                let mut login = Login::new("EXAMPLE", option("user").unwrap_or("alice"), "Password1-test");
                if let Some(w) = option("workstation") {
                    w.clone_into(&mut login.workstation);
                }
                login.fallback_time = FileTime::of(at);
                if words.contains(&"v1") {
                    message::Authenticate {
                        flags: flags::CLIENT & !flags::EXTENDED_SESSIONSECURITY,
                        domain: login.domain.clone(),
                        user: login.user.clone(),
                        workstation: login.workstation.clone(),
                        lm_response: vec![1; 24],
                        nt_response: vec![2; 24],
                        session_key: Vec::new(),
                        version: None,
                        mic: None,
                    }
                    .encode()
                } else {
                    login
                        .answer_with(&Negotiate::default().encode(), challenge, [7; 8], [9; 16])
                        .expect("a challenge")
                        .message
                }
            }
            ["basic", user] => format!("{user}:Password1-test").into_bytes(),
            _ => panic!("no token: {{{inside}}}"),
        };
        STANDARD.encode(bytes)
    }
}

fn certificate(name: &str, hash: &str) -> Option<Certificate> {
    (hash != "-").then(|| Certificate {
        subject: format!("CN={name}"),
        sha256: hash.to_owned(),
        end_point: hash.to_owned(),
        end_point_hash: "sha-256".to_owned(),
        ..Certificate::default()
    })
}

fn play(case: &Case, cut: Cut) -> Vec<Event> {
    let mut player = Player::new(case, cut);
    for line in case.steps.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        player.step(line);
    }
    player.events
}

fn findings(events: &[Event]) -> Vec<&Finding> {
    events
        .iter()
        .filter_map(|e| match &e.what {
            What::Finding(f) => Some(&**f),
            _ => None,
        })
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

/// All cases: slug, name, case.
fn cases() -> Vec<(String, String, Case)> {
    let mut out = Vec::new();
    let folders = |dir: &Path| {
        let mut list: Vec<PathBuf> =
            fs::read_dir(dir).expect("a folder").map(|e| e.expect("an entry").path()).filter(|p| p.is_dir()).collect();
        list.sort();
        list
    };
    let name = |p: &Path| p.file_name().expect("a name").to_string_lossy().into_owned();
    for slug in folders(&root()) {
        for folder in folders(&slug) {
            let file = folder.join("case.toml");
            let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            let case: Case = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            assert!(!case.about.is_empty() && !case.origin.is_empty(), "{}", file.display());
            out.push((name(&slug), name(&folder), case));
        }
    }
    out
}

/// A finding that does not fire leaves its user without the answer; one that fires beside it sends them elsewhere.
#[test]
fn cases_give_their_findings_and_no_others() {
    let mut wrong = Vec::new();
    for (slug, name, case) in cases() {
        let events = play(&case, Cut::Whole);
        let found = findings(&events);
        let mut rest = found.clone();
        for e in &case.expect {
            let mine: Vec<&&Finding> = found.iter().filter(|f| f.slug == e.slug).collect();
            rest.retain(|f| f.slug != e.slug);
            let mut complain = |text: String| wrong.push(format!("{slug}/{name}: {} {text}", e.slug));
            if mine.len() != e.count {
                complain(format!("came {} times instead of {}", mine.len(), e.count));
            }
            let Some(first) = mine.first() else { continue };
            if first.basis.name() != e.basis {
                complain(format!("is {} instead of {}", first.basis.name(), e.basis));
            }
            let connections: Vec<u64> = first.connections.iter().map(|c| c.0).collect();
            if e.connections.as_ref().is_some_and(|c| *c != connections) {
                complain(format!("names connections {connections:?}"));
            }
            let primary = &first.evidence[0];
            let place = (primary.connection.map_or(0, |c| c.0), primary.exchange.unwrap_or(0));
            if e.primary.is_some_and(|p| p != place) {
                complain(format!("has its primary evidence at {place:?}"));
            }
            assert!(primary.primary && first.evidence.iter().filter(|e| e.primary).count() == 1, "{slug}/{name}");
            for words in &e.says {
                if !first.summary.contains(words.as_str()) {
                    complain(format!("does not say `{words}`: {}", first.summary));
                }
            }
        }
        for f in rest {
            wrong.push(format!("{slug}/{name}: {} must not come: {}", f.slug, f.summary));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A finding that depends on where the network cut the bytes would come and go by chance.
#[test]
fn cases_give_the_same_events_however_the_bytes_are_cut() {
    for (slug, name, case) in cases() {
        let whole = play(&case, Cut::Whole);
        assert_eq!(whole, play(&case, Cut::Bytes), "{slug}/{name}, byte by byte");
        for seed in 1..=8 {
            assert_eq!(whole, play(&case, Cut::Random(seed)), "{slug}/{name}, cut by seed {seed}");
        }
    }
}

/// An old capture must be diagnosed like the traffic was: replayed events give the same events, byte for byte.
#[test]
fn replayed_captures_give_the_same_events() {
    for (slug, name, case) in cases() {
        let live = play(&case, Cut::Whole);
        let mut sorted = live.clone();
        sorted.sort_by_key(|e| e.seq);
        let trusted_proxies = case.trusted_proxies.iter().filter_map(|t| Network::parse(t)).collect();
        let mut engine = Engine::new(Settings { trusted_proxies, ..Settings::default() });
        let mut again = Vec::new();
        for event in sorted.clone() {
            engine.replay(event, &mut again);
        }
        again.sort_by_key(|e| e.seq);
        assert_eq!(sorted, again, "{slug}/{name}");
    }
}

/// A finding without a case is a promise without a proof, and one without a near miss cries wolf.
#[test]
fn every_finding_has_a_case_that_fires_and_a_near_miss() {
    let cases = cases();
    let mut missing = Vec::new();
    for meta in catalogue::ALL {
        let of = |prefix: &str| cases.iter().any(|(slug, name, _)| slug == meta.slug && name.starts_with(prefix));
        let fires = cases.iter().any(|(slug, name, c)| {
            slug == meta.slug && name.starts_with("fires-") && c.expect.iter().any(|e| e.slug == meta.slug)
        });
        if !fires {
            missing.push(format!("tests/cases/{}/fires-*", meta.slug));
        }
        if !of("near-") {
            missing.push(format!("tests/cases/{}/near-*", meta.slug));
        }
    }
    for (slug, name, case) in &cases {
        assert!(catalogue::by_slug(slug).is_some() || slug == "healthy", "{slug} is no finding");
        let near = name.starts_with("near-");
        assert!(near || name.starts_with("fires-") || slug == "healthy", "{slug}/{name}");
        assert!(!near || case.expect.iter().all(|e| e.slug != *slug), "{slug}/{name} is a near miss that fires");
    }
    assert!(missing.is_empty(), "missing: {missing:?}");
}
