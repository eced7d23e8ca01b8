//! What the console says is tested behaviour: people filter and alert on it.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::model::event::{Leg, Times};
use crate::model::finding::Basis;
use crate::model::http::{Header, Request, Response};
use crate::model::transport::{Addresses, End, Tls};
use crate::model::{HandshakeId, Stamp};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn said(format: LogFormat, filter: &str, events: &[What]) -> String {
    let captured = Captured::default();
    let subscriber = subscriber(format, false, Some(filter), captured.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let mut sink = Trace::new(TapId("tap-test".to_owned()));
        for (i, what) in events.iter().enumerate() {
            let event = Event { seq: i as u64 + 1, at: Stamp(0), what: what.clone() };
            sink.write(&event).unwrap();
        }
        assert!(sink.connections.is_empty(), "spans are closed with their connections");
    });
    String::from_utf8(captured.0.lock().unwrap().clone()).unwrap()
}

fn story() -> Vec<What> {
    let connection = ConnectionId(7);
    vec![
        What::ConnectionOpen(Box::new(ConnectionOpen {
            connection,
            addresses: Addresses {
                client: "192.0.2.1:50001".parse().unwrap(),
                upstream: Some("198.51.100.2:443".parse().unwrap()),
                upstream_local: None,
            },
            tls: Some(Tls { version: Some("TLS1.3".to_owned()), ..Tls::default() }),
            upstream_tls: None,
            begun_before: false,
        })),
        What::Exchange(Box::new(Exchange {
            connection,
            exchange: 2,
            request: Request {
                method: "GET".to_owned(),
                target: "/app?id=…".to_owned(),
                version: "HTTP/1.1".to_owned(),
                headers: vec![Header { name: "User-Agent".to_owned(), value: "curl/8".to_owned() }],
                long_head: None,
            },
            request_body: 0,
            response: Some(Response { status: 401, ..Response::default() }),
            response_body: 0,
            reset: None,
            interim: Vec::new(),
            authorization: None,
            challenges: Vec::new(),
            times: Times::default(),
            leg: Some("refused".to_owned()),
            end_seq: None,
        })),
        What::Handshake(Box::new(Handshake {
            handshake: HandshakeId(3),
            scheme: "ntlm".to_owned(),
            outcome: Outcome::Broken,
            user: Some("CORP\\alice\u{1b}[2J".to_owned()),
            server: None,
            legs: vec![Leg { connection, exchange: 2, message: "CHALLENGE".to_owned(), at: Stamp(0) }],
            links: Vec::new(),
        })),
        What::Finding(Box::new(Finding {
            slug: "handshake-split-across-connections".to_owned(),
            severity: Severity::High,
            basis: Basis::Observed,
            title: "Handshake split".to_owned(),
            summary: "It was split.".to_owned(),
            scheme: None,
            root: None,
            connections: vec![connection],
            evidence: Vec::new(),
            fix: "Pin it.".to_owned(),
        })),
        What::Gap(Gap { connection: Some(connection), what: GapWhat::QueueFull { dropped: 4 } }),
        What::ConnectionClose(Box::new(ConnectionClose {
            connection,
            end: End { by: By::Upstream, how: How::Reset, errno: Some(104), detail: None },
            mid_handshake: true,
            client_bytes: 1,
            upstream_bytes: 2,
            exchanges: 2,
            duration: std::time::Duration::from_millis(1500),
        })),
    ]
}

/// Collectors parse these lines and dashboards select by these names.
#[test]
fn json_lines_have_the_conventional_names() {
    let text = said(LogFormat::Json, "debug", &story());
    let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let messages: Vec<_> =
        lines.iter().map(|l| (l["level"].as_str().unwrap(), l["message"].as_str().unwrap())).collect();
    assert_eq!(
        messages,
        [
            ("DEBUG", "connection opened"),
            ("INFO", "401 GET /app"),
            ("WARN", "ntlm handshake broken"),
            ("ERROR", "Handshake split: It was split."),
            ("WARN", "4 observations dropped: the observer could not keep up; the traffic was not held up"),
            ("WARN", "connection closed in the middle of a handshake"),
        ]
    );
    for line in &lines {
        assert_eq!(line["span"]["name"], "connection", "{line}");
        assert_eq!(line["span"]["client.address"], "192.0.2.1");
        assert_eq!(line["span"]["client.port"], 50001);
        assert_eq!(line["span"]["server.address"], "198.51.100.2");
        assert_eq!(line["span"]["server.port"], 443);
        assert_eq!(line["span"]["tls.protocol.version"], "TLS1.3");
        assert_eq!(line["span"]["authtap.connection"], 7);
    }
    let exchange = &lines[1];
    assert_eq!(exchange["http.request.method"], "GET");
    assert_eq!(exchange["http.response.status_code"], 401);
    assert_eq!(exchange["url.path"], "/app");
    assert_eq!(exchange["network.protocol.version"], "1.1");
    assert_eq!(exchange["user_agent.original"], "curl/8");
    assert_eq!(lines[2]["authtap.handshake.outcome"], "broken");
    assert_eq!(lines[3]["authtap.finding.slug"], "handshake-split-across-connections");
    assert_eq!(lines[5]["authtap.close.errno"], 104);
}

/// The console of an incident shows what matters and nothing that plays tricks on it.
#[test]
fn text_is_for_people() {
    let text = said(LogFormat::Text, "info", &story());
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(text.contains("401 GET /app"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

/// A typed filter that is silently ignored costs an hour.
#[test]
fn a_bad_filter_is_told() {
    let Err(e) = subscriber(LogFormat::Text, false, Some("authtap=loud"), io::sink) else {
        panic!("taken");
    };
    assert!(e.to_string().contains("authtap=loud"), "{e}");
}

/// Two 401s are how a healthy NTLM logon looks; told at INFO they would hide the one that matters.
#[test]
fn a_401_that_is_an_ordinary_leg_is_no_news() {
    let mut events = story();
    let What::Exchange(x) = &mut events[1] else { panic!("an exchange") };
    x.leg = Some("challenge".to_owned());
    let text = said(LogFormat::Text, "info", &events);
    assert!(!text.contains("401 GET /app"), "{text}");
    let text = said(LogFormat::Text, "debug", &events);
    assert!(text.contains("DEBUG") && text.contains("401 GET /app"), "{text}");
}

/// A storm of wrong passwords must not push the finding out of the terminal's memory, nor cost more than the traffic.
#[test]
fn a_storm_is_cut_and_its_size_told() {
    let story = story();
    let mut events = vec![story[0].clone()];
    events.extend(std::iter::repeat_n(story[1].clone(), 1_000));
    events.push(story[3].clone());
    events.push(story[5].clone());
    events.push(What::Stop(Totals::default()));
    let text = said(LogFormat::Text, "info", &events);
    let shown = usize::try_from(A_SECOND).unwrap();
    assert_eq!(text.matches("401 GET /app").count(), shown, "{text}");
    assert!(text.contains(&format!("{} more 401s", 1_000 - shown)), "{text}");
    assert!(text.contains("Handshake split"), "{text}");
}
