//! What a report says, and that it says it whatever the order of the files.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use authtap::model::event::{
    ConnectionClose, ConnectionOpen, Event, Exchange, Gap, GapWhat, Handshake, Leg, Link, LinkProof, Outcome, Start,
    Times, Totals, What,
};
use authtap::model::finding::{Basis, Evidence, Finding, Severity};
use authtap::model::http::{Request, Response};
use authtap::model::transport::{Addresses, By, End, How};
use authtap::model::{ConnectionId, HandshakeId, Stamp, TapId};
use authtap::report::terminal;
use authtap::report::text::columns;
use authtap::report::v1::Report;
use authtap::report::view::{Builder, View};
use proptest::prelude::*;

use crate::capture::same_as_file;
use crate::events::{Entropy, samples};

const NOON: i64 = 1_795_348_800_000_000;

fn tap(name: &str) -> TapId {
    TapId(name.to_owned())
}

/// Numbers events as an observer does.
#[derive(Default)]
struct Story(Vec<Event>);

impl Story {
    fn add(&mut self, millis: i64, what: What) -> &mut Self {
        self.0.push(Event { seq: self.0.len() as u64 + 1, at: at(millis), what });
        self
    }

    fn start(&mut self) -> &mut Self {
        self.add(
            0,
            What::Start(Box::new(Start {
                version: "0.1.0".to_owned(),
                listen: vec!["127.0.0.1:8080".parse().unwrap()],
                upstream: vec!["http://iis.corp.example".to_owned()],
                ..Start::default()
            })),
        )
    }

    fn open(&mut self, millis: i64, connection: u64) -> &mut Self {
        self.add(
            millis,
            What::ConnectionOpen(Box::new(ConnectionOpen {
                connection: ConnectionId(connection),
                addresses: Addresses {
                    client: "192.0.2.7:50000".parse().unwrap(),
                    upstream: None,
                    upstream_local: None,
                },
                tls: None,
                upstream_tls: None,
                begun_before: false,
            })),
        )
    }

    fn exchange(&mut self, millis: i64, connection: u64, exchange: u32, status: u16) -> &mut Self {
        self.add(
            millis,
            What::Exchange(Box::new(Exchange {
                connection: ConnectionId(connection),
                exchange,
                request: Request::default(),
                request_body: 0,
                response: Some(Response { status, ..Response::default() }),
                response_body: 0,
                reset: None,
                interim: Vec::new(),
                authorization: None,
                challenges: Vec::new(),
                times: Times::default(),
                leg: None,
                end_seq: None,
            })),
        )
    }

    fn close(&mut self, millis: i64, connection: u64, exchanges: u32) -> &mut Self {
        self.add(
            millis,
            What::ConnectionClose(Box::new(ConnectionClose {
                connection: ConnectionId(connection),
                end: End { by: By::Client, how: How::Fin, errno: None, detail: None },
                mid_handshake: false,
                client_bytes: 0,
                upstream_bytes: 0,
                exchanges,
                duration: std::time::Duration::from_secs(1),
            })),
        )
    }

    fn ntlm(&mut self, millis: i64, legs: (u64, u64), outcome: Outcome, proof: LinkProof) -> &mut Self {
        let leg = |connection, exchange, message: &str| Leg {
            connection: ConnectionId(connection),
            exchange,
            message: message.to_owned(),
            at: at(millis),
        };
        self.add(
            millis,
            What::Handshake(Box::new(Handshake {
                handshake: HandshakeId(1),
                scheme: "ntlm".to_owned(),
                outcome,
                user: Some("CORP\\alice".to_owned()),
                server: None,
                legs: vec![leg(legs.0, 2, "NEGOTIATE"), leg(legs.0, 2, "CHALLENGE"), leg(legs.1, 3, "AUTHENTICATE")],
                links: vec![Link {
                    challenge: (ConnectionId(legs.0), 2),
                    authenticate: (ConnectionId(legs.1), 3),
                    proof,
                }],
            })),
        )
    }

    fn split(&mut self, millis: i64, basis: Basis, connections: (u64, u64)) -> &mut Self {
        self.add(millis, What::Finding(Box::new(split(millis, basis, connections))))
    }

    fn view(&self) -> View {
        let tap = tap("t1");
        View::of(self.0.iter().map(|e| (&tap, e)))
    }
}

fn at(millis: i64) -> Stamp {
    Stamp(NOON + millis * 1_000)
}

fn split(millis: i64, basis: Basis, (one, other): (u64, u64)) -> Finding {
    let evidence = |primary, connection, exchange, message: &str, says: &str| Evidence {
        primary,
        connection: Some(ConnectionId(connection)),
        exchange: Some(exchange),
        message: Some(message.to_owned()),
        at: Some(at(millis)),
        frame: None,
        says: says.to_owned(),
    };
    Finding {
        slug: "handshake-split-across-connections".to_owned(),
        severity: Severity::High,
        basis,
        title: "NTLM handshake split across connections".to_owned(),
        summary: format!(
            "The answer of CORP\\alice went to connection {other}, but the challenge that it answers was sent on \
             connection {one}."
        ),
        scheme: Some("ntlm".to_owned()),
        root: None,
        connections: vec![ConnectionId(other), ConnectionId(one)],
        evidence: vec![
            evidence(true, other, 3, "AUTHENTICATE", "carries the server timestamp 2026-11-22T12:00:00.1234567Z"),
            evidence(false, one, 2, "CHALLENGE", "gave that timestamp, and no other challenge has it"),
        ],
        fix: "Bind each client connection to one server connection in the load balancer:\n\
              - nginx: remove `keepalive` from the upstream block, or use the `ntlm` directive of NGINX Plus\n\
              - F5: turn OneConnect off, or add an NTLM profile\n\
              Afterwards the report says \"Pairing verified\"."
            .to_owned(),
    }
}

fn broken() -> Story {
    let mut story = Story::default();
    story.start().open(10, 1).open(11, 2).exchange(20, 1, 1, 401).exchange(21, 2, 1, 401);
    story.exchange(30, 1, 2, 401).split(40, Basis::Inferred, (3, 4)).split(41, Basis::Observed, (1, 2)).ntlm(
        41,
        (1, 2),
        Outcome::Broken,
        LinkProof::Timestamp,
    );
    story.add(
        50,
        What::Finding(Box::new(Finding {
            slug: "connection-closed-mid-handshake".to_owned(),
            severity: Severity::Medium,
            basis: Basis::Observed,
            title: "Connection closed in the middle of a handshake".to_owned(),
            summary: "The upstream closed connection 1 after its challenge.".to_owned(),
            scheme: None,
            root: None,
            connections: vec![ConnectionId(1)],
            evidence: Vec::new(),
            fix: "Raise the idle timeout.".to_owned(),
        })),
    );
    story.add(
        60,
        What::Gap(Gap {
            connection: Some(ConnectionId(9)),
            what: GapWhat::Unparsable {
                from: "upstream",
                offset: 1_234,
                why: "expected a status line, got 0x16 0x03".to_owned(),
            },
        }),
    );
    story.close(70, 1, 5).close(71, 2, 7);
    story
}

fn healthy() -> Story {
    let mut story = Story::default();
    story.start();
    for (millis, c) in (1..=12).zip(1u64..) {
        story.open(millis, c).exchange(millis, c, 1, 401).ntlm(
            millis,
            (c, c),
            Outcome::Authenticated,
            LinkProof::Timestamp,
        );
    }
    story
}

/// What a tired administrator reads at two in the morning.
#[test]
fn a_broken_site_in_words() {
    insta::assert_snapshot!(terminal::report(&broken().view(), false), @r#"
    authtap 0.1.0, in front of http://iis.corp.example
    2026-11-22 12:00:00 to 12:00:00 UTC

    VERDICT
      Broken      The answer of CORP\alice went to connection 2, but the challenge
                  that it answers was sent on connection 1.
      Where       the way between clients and IIS (a load balancer, a proxy, or
                  IIS's own connection settings), not the users' passwords
      How sure    observed: the bytes and the connections' events prove it
      Change      Bind each client connection to one server connection in the load
                  balancer (details below)
      Same cause  Connection closed in the middle of a handshake

    FINDINGS
    1. HIGH  NTLM handshake split across connections
      handshake-split-across-connections, twice, 12:00:00.040000 to 12:00:00.041000,
      connections 2, 1, 3, 4

      The answer of CORP\alice went to connection 2, but the challenge that it
      answers was sent on connection 1.

      How authtap knows (observed):
      * connection 2, exchange 3, AUTHENTICATE, 12:00:00.041000: carries the server
        timestamp 2026-11-22T12:00:00.1234567Z
      - connection 1, exchange 2, CHALLENGE, 12:00:00.041000: gave that timestamp,
        and no other challenge has it
      - connection 4, exchange 3, AUTHENTICATE, 12:00:00.040000: carries the server
        timestamp 2026-11-22T12:00:00.1234567Z

      Fix:
        Bind each client connection to one server connection in the load balancer:
        - nginx: remove `keepalive` from the upstream block, or use the `ntlm`
          directive of NGINX Plus
        - F5: turn OneConnect off, or add an NTLM profile
        Afterwards the report says "Pairing verified".

    2. MEDIUM  Connection closed in the middle of a handshake
      connection-closed-mid-handshake, once, at 12:00:00.050000, connection 1

      The upstream closed connection 1 after its challenge.

      Fix:
        Raise the idle timeout.

    PAIRING
      Pairing not verified: no NTLM or Kerberos logon was seen to succeed whole;
      handshakes were broken; a finding above speaks against it; authtap did not see
      everything.

    SEEN
      2 connections from 1 client address, 12 requests, 3 answers with status 401.
      Handshakes: 1 broken.

    NOT SEEN
      1 connection could not be followed to the end, 1 gap. The traffic itself was
      not held up. What is above holds only for what was seen.
      - connection 9, 12:00:00.060000: could not be followed after byte 1234 from
        the upstream: expected a status line, got 0x16 0x03
    "#);
}

/// The positive statement is what users pay for after the fix.
#[test]
fn a_healthy_site_in_words() {
    insta::assert_snapshot!(terminal::report(&healthy().view(), false), @r#"
    authtap 0.1.0, in front of http://iis.corp.example
    2026-11-22 12:00:00 to 12:00:00 UTC

    VERDICT
      Nothing is broken: all 12 handshakes that were seen succeeded. (A 401 before
      each NTLM logon is how NTLM works.)

    PAIRING
      Pairing verified: 12 NTLM handshakes, each answered on the connection that was
      challenged.

    SEEN
      12 connections from 1 client address, 12 requests, 12 answers with status 401.
      Handshakes: 12 authenticated.
    "#);
}

/// The last lines of `authtap run` decide whether anybody reads on.
#[test]
fn the_summary_in_words() {
    insta::assert_snapshot!(terminal::summary(&broken().view()), @r#"
    Broken      The answer of CORP\alice went to connection 2, but the challenge
                that it answers was sent on connection 1.
    Where       the way between clients and IIS (a load balancer, a proxy, or
                IIS's own connection settings), not the users' passwords
    How sure    observed: the bytes and the connections' events prove it
    Change      Bind each client connection to one server connection in the load
                balancer:
                - nginx: remove `keepalive` from the upstream block, or use the
                  `ntlm` directive of NGINX Plus
                - F5: turn OneConnect off, or add an NTLM profile
                Afterwards the report says "Pairing verified".
    Also: Connection closed in the middle of a handshake (medium, observed), once.
    Pairing not verified: no NTLM or Kerberos logon was seen to succeed whole;
    handshakes were broken; a finding above speaks against it; authtap did not see
    everything.
    2 connections from 1 client address, 12 requests, 3 answers with status 401.
    Handshakes: 1 broken.
    1 connection could not be followed to the end, 1 gap. The traffic itself was
    not held up. What is above holds only for what was seen.
    - connection 9, 12:00:00.060000: could not be followed after byte 1234 from
      the upstream: expected a status line, got 0x16 0x03
    "#);
}

/// "No findings" after nothing was seen would be a lie.
#[test]
fn nothing_seen_is_said_plainly() {
    let text = terminal::report(&View::of([]), false);
    assert!(text.contains("No traffic seen"), "{text}");
    let mut story = Story::default();
    story.start().open(1, 1).exchange(2, 1, 1, 200);
    let text = terminal::report(&story.view(), false);
    assert!(text.contains("No authentication seen"), "{text}");
    assert!(text.contains("Pairing not verified"), "{text}");
}

/// A positive statement that is not true sends people away from the fault.
#[test]
fn pairing_is_verified_only_when_it_is() {
    let because = |change: &dyn Fn(&mut Story)| {
        let mut story = healthy();
        change(&mut story);
        let pairing = story.view().pairing;
        assert_eq!(pairing.verified, pairing.because.is_empty());
        pairing.because
    };
    assert!(because(&|_| {}).is_empty());
    let split = |s: &mut Story| {
        s.split(99, Basis::Suspected, (1, 2));
    };
    assert_eq!(because(&split), ["findings"]);
    let broken = |s: &mut Story| {
        s.ntlm(99, (1, 1), Outcome::Broken, LinkProof::Order);
    };
    assert_eq!(because(&broken), ["broken-handshakes"]);
    let gap = |s: &mut Story| {
        let what = GapWhat::QueueFull { dropped: 1 };
        s.add(99, What::Gap(Gap { connection: None, what }));
    };
    assert_eq!(because(&gap), ["gaps"]);
    let mut story = Story::default();
    story.start().ntlm(1, (1, 1), Outcome::Authenticated, LinkProof::Names);
    let pairing = story.view().pairing;
    assert!(!pairing.verified);
    assert_eq!((pairing.paired, pairing.unproved, pairing.checked), (0, 1, 1));
    // A wrong password is nobody's pairing fault.
    let mut story = healthy();
    story.ntlm(99, (1, 1), Outcome::Rejected, LinkProof::Timestamp);
    assert!(story.view().pairing.verified);
}

/// A consequence of a consequence that stands alone is read as a defect of its own, and its reader mends the wrong thing first.
#[test]
fn a_chain_of_causes_stands_under_the_first() {
    let mut story = Story::default();
    story.start().open(1, 1);
    let chain =
        [("lockout-risk", Some("credentials-rejected")), ("credentials-rejected", Some("channel-binding-mismatch"))];
    let chain = chain.into_iter().chain([
        ("channel-binding-mismatch", Some("proxy-certificate-breaks-epa")),
        ("proxy-certificate-breaks-epa", None),
    ]);
    for (millis, (slug, root)) in (10..).zip(chain) {
        let finding = split(millis, Basis::Observed, (1, 1));
        let finding = Finding { slug: slug.to_owned(), root: root.map(str::to_owned), ..finding };
        story.add(millis, What::Finding(Box::new(finding)));
    }
    let view = story.view();
    assert_eq!(view.findings.len(), 1, "{:?}", view.findings);
    let first = &view.findings[0];
    assert_eq!(first.slug, "proxy-certificate-breaks-epa");
    assert_eq!(first.consequences.len(), 3);
}

/// Captures of several farm nodes come in any order, and by a careless `*` twice.
#[test]
fn order_and_repetition_of_files_change_nothing() {
    let (one, two) = (tap("node-1"), tap("node-2"));
    let (a, b) = (broken(), healthy());
    let mut events: Vec<(&TapId, &Event)> = a.0.iter().map(|e| (&one, e)).collect();
    events.extend(b.0.iter().map(|e| (&two, e)));
    let forth = View::of(events.iter().copied());
    let back = View::of(events.iter().rev().copied().chain(events.iter().copied()));
    assert_eq!(forth, back);
    assert_eq!(forth.taps.len(), 2);
    assert_eq!(forth.connections, 14);
    assert_eq!(forth.handshakes.authenticated, 12);
    let text = terminal::report(&forth, false);
    assert!(text.contains("tap node-1, connection 2, exchange 3"), "{text}");
}

/// Scripts read these names.
#[test]
fn json_says_what_was_promised() {
    let report = serde_json::to_value(Report::from(&broken().view())).unwrap();
    assert_eq!(report["v"], 1);
    assert_eq!(report["taps"][0]["tap"], "t1");
    assert_eq!(report["connections"], 2);
    assert_eq!(report["exchanges"], 12);
    assert_eq!(
        report["handshakes"],
        serde_json::json!({"authenticated": 0, "rejected": 0, "broken": 1, "abandoned": 0})
    );
    let finding = &report["findings"][0];
    assert_eq!(finding["slug"], "handshake-split-across-connections");
    assert_eq!(finding["severity"], "high");
    assert_eq!(finding["basis"], "observed");
    assert_eq!(finding["count"], 2);
    assert_eq!(finding["connections"], serde_json::json!([2, 1, 3, 4]));
    assert_eq!(finding["first_at"], at(40).to_string());
    assert_eq!(finding["last_at"], at(41).to_string());
    assert_eq!(finding["evidence"][0]["primary"], true);
    assert_eq!(finding["evidence"][0]["connection"], 2);
    let primary = finding["evidence"].as_array().unwrap().iter().filter(|e| e["primary"] == true);
    assert_eq!(primary.count(), 1);
    assert_eq!(report["pairing"]["verified"], false);
    assert_eq!(report["pairing"]["crossed"], 1);
}

/// Without the totals at its end, a capture that lost lines would under-report.
#[test]
fn totals_fill_what_the_capture_lacks() {
    let mut story = broken();
    story.add(80, What::Stop(Totals { connections: 50, exchanges: 500, broken: 3, ..Totals::default() }));
    let view = story.view();
    assert_eq!((view.connections, view.exchanges, view.handshakes.broken), (50, 500, 3));
}

/// One that differs from the output is worse than none.
#[test]
fn the_schema_is_generated_and_true() {
    let schema = authtap::report::v1::schema().unwrap();
    same_as_file("docs/report-v1.schema.json", &schema);
    let schema = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let sampled = samples();
    let odd = tap("odd");
    for view in [View::default(), broken().view(), healthy().view(), View::of(sampled.iter().map(|e| (&odd, e)))] {
        let json = serde_json::to_value(Report::from(&view)).unwrap();
        if let Err(e) = validator.validate(&json) {
            panic!("{e}");
        }
    }
}

proptest! {
    /// Nothing that traffic can put into a capture may break the page or the terminal.
    #[test]
    fn any_events_make_a_page(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let mut entropy = Entropy(&bytes);
        let mut builder = Builder::default();
        for _ in 0..12 {
            builder.take(&tap("odd"), &entropy.event());
        }
        let text = terminal::report(&builder.view(), false);
        for line in text.lines() {
            prop_assert!(columns(line) <= 80, "{:?}", line);
            prop_assert!(!line.contains(|c: char| c.is_control()), "{:?}", line);
        }
        let coloured = terminal::report(&builder.view(), true);
        let plain = ["\x1b[1m", "\x1b[1;31m", "\x1b[1;33m", "\x1b[1;36m", "\x1b[0m"]
            .iter()
            .fold(coloured, |text, code| text.replace(code, ""));
        prop_assert_eq!(plain, text);
    }
}
