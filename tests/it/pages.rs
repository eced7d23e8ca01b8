//! From the bytes of a refusal to the page in its event.

use std::fs;
use std::io::Write as _;

use authtap::finding::{Engine, Settings};
use authtap::model::event::{ConnectionOpen, Event, What};
use authtap::model::finding::Basis;
use authtap::model::page::{Page, PageAuthor};
use authtap::model::transport::Addresses;
use authtap::model::{ConnectionId, Stamp};
use authtap::sim::client::{Client, Reply};
use authtap::sim::iis::Iis;
use authtap::wire::http1::{Http1, Out, Pool};
use authtap::wire::observation::{Ended, Observation, RawExchange, Seen};

const CONNECTION: ConnectionId = ConnectionId(1);

#[derive(Default)]
struct Told(Vec<Seen>);

impl Out for Told {
    fn exchange(&mut self, exchange: RawExchange) {
        self.0.push(Seen::Exchange(CONNECTION, Box::new(exchange)));
    }
    fn ended(&mut self, ended: Ended) {
        self.0.push(Seen::Ended(CONNECTION, ended));
    }
    fn unparsable(&mut self, from: &'static str, offset: u64, why: String) {
        panic!("{from} {offset} {why}");
    }
}

/// What follows from requests of a method and their answers, the last of which the connection's end may cut.
fn events(method: &str, answers: &[Vec<u8>]) -> Vec<Event> {
    let (mut http, mut pool, mut told) = (Http1::default(), Pool::default(), Told::default());
    for answer in answers {
        let request = format!("{method} /app/?ticket=planted HTTP/1.1\r\nHost: iis.example.test\r\n\r\n");
        http.client(Stamp(1), request.as_bytes(), &mut pool, &mut told);
        http.upstream(Stamp(2), answer, &mut pool, &mut told);
    }
    http.closed(Stamp(3), &mut pool, &mut told);
    let client = ([192, 0, 2, 1], 50_000).into();
    let addresses = Addresses { client, upstream: None, upstream_local: None };
    let open = ConnectionOpen { connection: CONNECTION, addresses, tls: None, upstream_tls: None, begun_before: false };
    let (mut engine, mut events) = (Engine::new(Settings::default()), Vec::new());
    engine.observe(Observation { at: Stamp(0), what: Seen::Opened(Box::new(open)) }, &mut events);
    for what in told.0 {
        engine.observe(Observation { at: Stamp(2), what }, &mut events);
    }
    engine.finish(Stamp(4), &mut events);
    events
}

/// The page of each exchange.
fn pages(events: &[Event]) -> Vec<Option<Page>> {
    let page = |event: &Event| match &event.what {
        What::Exchange(exchange) => Some(exchange.response.as_ref().and_then(|r| r.page.clone())),
        _ => None,
    };
    events.iter().filter_map(page).collect()
}

/// The author of the one page.
fn author(method: &str, answer: &[u8]) -> PageAuthor {
    match pages(&events(method, &[answer.to_vec()])).as_slice() {
        [Some(page)] => page.author,
        other => panic!("{other:?}"),
    }
}

/// A reply as it stood on the wire.
fn raw(reply: &Reply) -> Vec<u8> {
    let fields: Vec<String> = reply.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    answer(reply.status, &fields.concat(), &reply.body)
}

fn answer(status: u16, fields: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {status} Reason\r\n{fields}\r\n").as_bytes(), body].concat()
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/data/iis/pages/{name}", env!("CARGO_MANIFEST_DIR"))).expect("a page")
}

/// Two 401s of one logon look alike in a browser; which layer wrote each says how far the request came.
#[tokio::test]
async fn the_simulated_refusals_are_told_apart() -> std::io::Result<()> {
    let iis = Iis::start(authtap::sim::iis::settings::Settings::default()).await?;
    let mut client = Client::connect(iis.address()).await?;
    let (bare, challenged) = (client.get("/").await?, client.type1("/").await?);
    assert_eq!((bare.body.len(), challenged.body.len()), (1293, 341));
    let events = events("GET", &[raw(&bare), raw(&challenged), answer(200, "Content-Length: 2\r\n", b"hi")]);
    let found: Vec<_> = pages(&events).into_iter().map(|p| p.map(|p| (p.author, p.basis))).collect();
    let observed = |author| Some((author, Basis::Observed));
    assert_eq!(found, [observed(PageAuthor::IisCustom), observed(PageAuthor::HttpSys), None]);
    Ok(())
}

/// The substatus stands nowhere but on the page, which IIS compresses and sends in chunks; the page also shows a URL and
/// a path, and neither may get into a capture.
#[test]
fn a_detailed_page_tells_its_substatus_and_nothing_of_its_secrets() {
    let page = fixture("detailed-10-401.2.html.gz");
    let mut body = Vec::new();
    for piece in page.chunks(100) {
        write!(body, "{:x}\r\n", piece.len()).expect("a chunk");
        body.extend(piece);
        body.extend(b"\r\n");
    }
    body.extend(b"0\r\n\r\n");
    let fields = "Server: Microsoft-IIS/10.0\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\
                  Transfer-Encoding: chunked\r\n";
    let events = events("GET", &[answer(401, fields, &body)]);
    let [Some(page)] = &pages(&events)[..] else { panic!("{events:?}") };
    let detail = page.detail.as_ref().expect("a detailed page");
    assert_eq!((detail.status, detail.substatus), (Some(401), Some(2)));
    assert!(detail.shows_url && detail.shows_physical_path);
    assert!(!format!("{events:?}").contains("planted"), "{events:?}");
}

/// What was not seen must not be judged as if it had been.
#[test]
fn a_missing_or_cut_body_is_no_page() {
    let fields = "Server: Kestrel\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n";
    assert_eq!(author("HEAD", &answer(401, fields, b"")), PageAuthor::Nobody);
    assert_eq!(author("GET", &answer(401, fields, b"")), PageAuthor::Unread);
    assert_eq!(author("GET", &answer(401, fields, b"<html>")), PageAuthor::Unread);
    assert_eq!(author("GET", &answer(401, fields, &[b' '; 1000])), PageAuthor::Application);
    assert_eq!(author("GET", &answer(401, "Content-Length: 0\r\n", b"")), PageAuthor::Nobody);
    // Longer than what is copied.
    let long = [fixture("custom-401.html"), vec![b' '; 20_000]].concat();
    let fields = format!("Server: Microsoft-IIS/10.0\r\nContent-Length: {}\r\n", long.len());
    assert_eq!(author("GET", &answer(401, &fields, &long)), PageAuthor::IisCustom);
}

/// A capture has no bodies: what its pages told must outlast each new diagnosis.
#[test]
fn a_replay_keeps_the_pages() {
    let body = fixture("detailed-10-401.2.html");
    let fields = format!("Server: Microsoft-IIS/10.0\r\nContent-Length: {}\r\n", body.len());
    let live = events("GET", &[answer(401, &fields, &body)]);
    let (mut engine, mut again) = (Engine::new(Settings::default()), Vec::new());
    for event in live.clone() {
        engine.replay(event, &mut again);
    }
    assert!(pages(&live)[0].is_some());
    assert_eq!(pages(&again), pages(&live));
}
