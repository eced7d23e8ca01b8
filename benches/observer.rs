//! What the observer costs an exchange, stage by stage: nanoseconds of its thread, the best of several rounds.
//!
//! `cargo bench --bench observer`. Each connection carries NTLM handshakes one after the other, all of them refused
//! (`refused`: the storm of wrong passwords of `side_by_side.py`'s `401`) or let in (`logon`).

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a benchmark reads the clock, prints, and has nobody to tell its errors to"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use authtap::finding::{Engine, Settings};
use authtap::model::event::{ConnectionOpen, Event, Times};
use authtap::model::transport::Addresses;
use authtap::model::{ConnectionId, FileTime, Secret, Stamp, TapId};
use authtap::report::view::Builder;
use authtap::sim::ntlm::av::{AvPairs, id};
use authtap::sim::ntlm::flags;
use authtap::sim::ntlm::message::{Challenge, Negotiate};
use authtap::sim::ntlm::respond::Login;
use authtap::sink::Sink;
use authtap::sink::jsonl::v1;
use authtap::sink::jsonl::writer::{CaptureFile, Limits};
use authtap::sink::trace::{LogFormat, Trace, subscriber};
use authtap::token::Key;
use authtap::track::intake;
use authtap::wire::observation::{Ended, Observation, RawExchange, Seen};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const CONNECTIONS: u32 = 64;
const CYCLES: u32 = 20;
const ROUNDS: u32 = 40;
/// From one exchange to the next, as at 40,000 a second.
const STEP: i64 = 25;

/// The two requests and answers of one connection's handshake.
struct Legs([(Vec<u8>, Vec<u8>); 2]);

fn legs(number: u32, let_in: bool) -> Legs {
    let time = FileTime(134_400_000_000_000_000 + u64::from(number) * 10_000_000);
    let type1 = Negotiate { flags: flags::CLIENT, domain: None, workstation: None, version: None }.encode();
    let info = AvPairs::default()
        .text(id::NB_DOMAIN_NAME, "EXAMPLE")
        .text(id::NB_COMPUTER_NAME, "WEB01")
        .text(id::DNS_DOMAIN_NAME, "example.test")
        .text(id::DNS_COMPUTER_NAME, "web01.example.test")
        .text(id::DNS_TREE_NAME, "example.test")
        .timestamp(time);
    let type2 = Challenge {
        flags: flags::CLIENT | flags::TARGET_INFO | flags::TARGET_TYPE_DOMAIN,
        server_challenge: u64::from(number).to_le_bytes(),
        target_name: "EXAMPLE".to_owned(),
        target_info: Some(info),
        version: None,
    }
    .encode();
    let login = Login::new("EXAMPLE", &format!("user{number:03}"), "not a secret");
    let type3 = login.answer_with(&type1, &type2, [7; 8], [9; 16]).map(|a| a.message).unwrap_or_default();
    let request = |token: &[u8]| {
        format!(
            "GET /401/{number} HTTP/1.1\r\nHost: intranet.example.test\r\nConnection: keep-alive\r\n\
             User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36\r\n\
             Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\nAccept-Encoding: gzip, deflate\r\n\
             Accept-Language: en-US,en;q=0.9\r\nAuthorization: NTLM {}\r\n\r\n",
            STANDARD.encode(token)
        )
        .into_bytes()
    };
    let answer = |status: &str, more: &str| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=us-ascii\r\nServer: Microsoft-IIS/10.0\r\n{more}\
             Date: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Length: 341\r\n\r\n"
        )
        .into_bytes()
    };
    let challenge = answer("401 Unauthorized", &format!("WWW-Authenticate: NTLM {}\r\n", STANDARD.encode(&type2)));
    let last = if let_in {
        answer("200 OK", "Persistent-Auth: true\r\n")
    } else {
        answer("401 Unauthorized", "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n")
    };
    Legs([(request(&type1), challenge), (request(&type3), last)])
}

/// HTTP.sys's.
const PAGE: &[u8] = include_bytes!("../tests/data/iis/pages/http-sys-401.html");

/// Observations of one round, as taps make them. `from` goes on from round to round, so that challenges grow old.
fn round(legs: &[Legs], from: &mut i64, first: u32) -> Vec<Observation> {
    let mut all = Vec::new();
    for cycle in 0..CYCLES {
        for leg in 0..2_u32 {
            for (number, of) in (1_u64..).zip(legs) {
                *from += STEP;
                let at = Stamp(*from);
                let (request, response) = &of.0[usize::try_from(leg).unwrap_or(0)];
                let exchange = first + cycle * 2 + leg + 1;
                let raw = RawExchange {
                    exchange,
                    request: Secret::new(request.clone()),
                    response: Some(Secret::new(response.clone())),
                    reset: None,
                    interim: Vec::new(),
                    times: Times { request: at, request_head: at, response_head: Some(at), ..Times::default() },
                };
                all.push(Observation { at, what: Seen::Exchange(ConnectionId(number), Box::new(raw)) });
                let refused = response.starts_with(b"HTTP/1.1 401");
                let body = refused.then(|| Secret::new(PAGE.to_vec()));
                let ended =
                    Ended { exchange, response_body: 341, body, body_whole: refused, end: at, ..Ended::default() };
                all.push(Observation { at, what: Seen::Ended(ConnectionId(number), ended) });
            }
        }
    }
    all
}

fn open(engine: &mut Engine, out: &mut Vec<Event>) {
    for number in 1..=CONNECTIONS {
        let connection = ConnectionId(u64::from(number));
        let client = ([192, 0, 2, 1], 40_000).into();
        let addresses = Addresses { client, upstream: Some(client), upstream_local: Some(client) };
        let open = ConnectionOpen { connection, addresses, tls: None, upstream_tls: None, begun_before: false };
        engine.observe(Observation { at: Stamp(0), what: Seen::Opened(Box::new(open)) }, out);
    }
}

/// The best time of each stage.
#[derive(Default)]
struct Best(Vec<(&'static str, Duration)>);

impl Best {
    fn took(&mut self, stage: &'static str, time: Duration) {
        match self.0.iter_mut().find(|(name, _)| *name == stage) {
            Some((_, best)) => *best = time.min(*best),
            None => self.0.push((stage, time)),
        }
    }

    fn time<R>(&mut self, stage: &'static str, run: impl FnOnce() -> R) -> R {
        let begun = Instant::now();
        let result = run();
        self.took(stage, begun.elapsed());
        result
    }
}

fn measure(let_in: bool) -> Best {
    let mut best = Best::default();
    let legs: Vec<Legs> = (0..CONNECTIONS).map(|n| legs(n, let_in)).collect();
    let tap = TapId("0123456789abcdef".to_owned());
    let folder = tempfile::tempdir().expect("a folder");
    let limits = Limits::default();
    let mut file = CaptureFile::create(&folder.path().join("c.jsonl"), tap.clone(), limits).expect("a capture");
    let mut whole_file = CaptureFile::create(&folder.path().join("w.jsonl"), tap.clone(), limits).expect("a capture");
    let sink = || std::fs::OpenOptions::new().write(true).open("/dev/null").expect("/dev/null");
    let console = subscriber(LogFormat::Json, false, None, std::sync::Mutex::new(sink())).expect("a subscriber");
    tracing::subscriber::with_default(console, || {
        let (mut engine, mut whole) = (Engine::new(Settings::default()), Engine::new(Settings::default()));
        let (mut trace, mut whole_trace) = (Trace::new(tap.clone()), Trace::new(tap.clone()));
        let (mut builder, mut whole_builder) = (Builder::default(), Builder::default());
        let (mut events, mut line) = (Vec::new(), Vec::new());
        open(&mut engine, &mut events);
        open(&mut whole, &mut events);
        let mut now = 1_800_000_000_000_000;
        for n in 0..ROUNDS {
            let first = n * CYCLES * 2;
            let began = now;
            let observations = round(&legs, &mut now, first);
            best.time("decode and redact (part of engine)", || {
                for o in &observations {
                    if let Seen::Exchange(connection, raw) = &o.what {
                        black_box(intake::exchange(*connection, raw, &Key([0; 16])));
                    }
                }
            });
            events.clear();
            best.time("engine", || {
                for o in observations {
                    engine.observe(o, &mut events);
                }
            });
            best.time("line (part of capture)", || {
                for e in &events {
                    line.clear();
                    v1::write(&tap, e, &mut line).expect("it is written");
                }
            });
            best.time("capture", || {
                for e in &events {
                    file.write(e).expect("it is written");
                }
                file.flush().expect("it is written");
            });
            best.time("traces", || {
                for e in &events {
                    trace.write(e).expect("it is written");
                }
            });
            best.time("summary", || {
                for e in &events {
                    builder.take(&tap, e);
                }
            });
            best.time("freeing the events", || events.clear());
            now = began;
            let observations = round(&legs, &mut now, first);
            best.time("all of it, one after the other", || {
                for o in observations {
                    whole.observe(o, &mut events);
                    for e in events.drain(..) {
                        whole_file.write(&e).expect("it is written");
                        whole_trace.write(&e).expect("it is written");
                        whole_builder.take(&tap, &e);
                    }
                }
                whole_file.flush().expect("it is written");
            });
        }
    });
    best
}

fn main() {
    println!(
        "ns an exchange, best of {ROUNDS} rounds of {} exchanges on {CONNECTIONS} connections",
        CONNECTIONS * CYCLES * 2
    );
    for (name, let_in) in [("refused", false), ("logon", true)] {
        for (stage, time) in measure(let_in).0 {
            println!("{name:8} {stage:36} {:7.0}", time.as_secs_f64() * 1e9 / f64::from(CONNECTIONS * CYCLES * 2));
        }
    }
}
