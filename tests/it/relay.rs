//! The relay on real sockets: bytes in are bytes out, ends travel as they came, and watching never costs the traffic.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot set itself up fails")]

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authtap::model::Stamp;
use authtap::model::event::{ConnectionClose, ConnectionOpen, Event, Gap, GapWhat, What};
use authtap::model::transport::{By, How};
use authtap::net::{Analyse, Clock, Listening, Observer, Server, SiteConfig, StartError, Upstream};
use authtap::sink::Sink;
use authtap::wire::observation::{Observation, Seen};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Long enough that only a hang reaches it.
pub(crate) const HANG: Duration = Duration::from_mins(1);

/// Keeps what the net tells: an event for each opening, gap and end.
pub(crate) struct Plain;

impl Analyse for Plain {
    fn observe(&mut self, observation: Observation, out: &mut Vec<Event>) {
        let what = match observation.what {
            Seen::Opened(open) => What::ConnectionOpen(open),
            Seen::Gap(gap) => What::Gap(gap),
            Seen::Closed(close) => What::ConnectionClose(close),
            Seen::Start(_) | Seen::Exchange(..) | Seen::Ended(..) | Seen::HalfClosed(_) => return,
        };
        out.push(Event { seq: 0, at: observation.at, what });
    }

    fn advance(&mut self, _: Stamp, _: &mut Vec<Event>) {}

    fn finish(&mut self, _: Stamp, _: &mut Vec<Event>) {}
}

#[derive(Clone, Default)]
pub(crate) struct Keep(Arc<Mutex<Vec<Event>>>);

impl Keep {
    fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }
}

impl Sink for Keep {
    fn name(&self) -> &'static str {
        "keep"
    }

    fn write(&mut self, event: &Event) -> Result<(), String> {
        self.0.lock().unwrap().push(event.clone());
        Ok(())
    }

    fn flush(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// A running authtap, as far as the net goes.
pub(crate) struct Rig {
    server: Server,
    observer: Observer,
    kept: Keep,
}

pub(crate) fn site(upstream: SocketAddr) -> SiteConfig {
    SiteConfig::new(
        "127.0.0.1:0".parse().unwrap(),
        Upstream { host: upstream.ip().to_string(), port: upstream.port(), tls: None },
    )
}

impl Rig {
    pub(crate) fn start(site: SiteConfig) -> Self {
        Self::with(site, || Plain, Vec::new(), authtap::net::QUEUE)
    }

    fn with<A: Analyse>(
        site: SiteConfig,
        engine: impl FnMut() -> A + Send + 'static,
        mut sinks: Vec<Box<dyn Sink>>,
        queue: usize,
    ) -> Self {
        let kept = Keep::default();
        sinks.push(Box::new(kept.clone()));
        let observer = Observer::start(engine, sinks, Clock::start(), queue).unwrap();
        let server = Listening::bind(vec![site]).unwrap().serve(&observer.feed());
        Self { server, observer, kept }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    pub(crate) async fn client(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// Lets everything finish, and returns what was told.
    pub(crate) async fn told(self) -> Vec<Event> {
        self.stop(HANG).await
    }

    async fn stop(self, grace: Duration) -> Vec<Event> {
        self.server.stop(grace).await;
        let observer = self.observer;
        tokio::task::spawn_blocking(move || observer.stop(HANG)).await.unwrap().unwrap();
        self.kept.events()
    }
}

pub(crate) fn closes(events: &[Event]) -> Vec<ConnectionClose> {
    events
        .iter()
        .filter_map(|e| match &e.what {
            What::ConnectionClose(c) => Some((**c).clone()),
            _ => None,
        })
        .collect()
}

pub(crate) fn opens(events: &[Event]) -> Vec<ConnectionOpen> {
    events
        .iter()
        .filter_map(|e| match &e.what {
            What::ConnectionOpen(c) => Some((**c).clone()),
            _ => None,
        })
        .collect()
}

fn gaps(events: &[Event]) -> Vec<GapWhat> {
    events
        .iter()
        .filter_map(|e| match &e.what {
            What::Gap(g) => Some(g.what.clone()),
            _ => None,
        })
        .collect()
}

/// An upstream, authtap before it, and one connection through both.
async fn connected(configure: impl FnOnce(&mut SiteConfig)) -> (Rig, TcpStream, TcpStream) {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut site = site(upstream.local_addr().unwrap());
    configure(&mut site);
    let rig = Rig::start(site);
    let client = rig.client().await;
    let server = upstream.accept().await.unwrap().0;
    (rig, client, server)
}

fn pattern(seed: u8, length: usize) -> Vec<u8> {
    let mut x = u32::from(seed) + 1;
    (0..length)
        .map(|_| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            x.to_be_bytes()[0]
        })
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Fin,
    Reset,
}

/// What one side does: sends in these pieces, then ends.
#[derive(Debug, Clone)]
struct Script {
    pieces: Vec<usize>,
    seed: u8,
    ending: Ending,
}

impl Script {
    fn bytes(&self) -> Vec<u8> {
        pattern(self.seed, self.pieces.iter().sum())
    }
}

/// What one side saw.
#[derive(Debug)]
struct Saw {
    bytes: Vec<u8>,
    reset: bool,
}

async fn play(mut stream: TcpStream, script: Script) -> Saw {
    let bytes = script.bytes();
    let (mut read, mut write) = stream.split();
    let mut got = Vec::new();
    let send = async {
        let mut rest = &bytes[..];
        for piece in &script.pieces {
            let (now, later) = rest.split_at(*piece);
            write.write_all(now).await?;
            tokio::task::yield_now().await;
            rest = later;
        }
        if script.ending == Ending::Fin {
            write.shutdown().await?;
        }
        io::Result::Ok(())
    };
    let (outgoing, incoming) = match script.ending {
        Ending::Fin => tokio::join!(send, read.read_to_end(&mut got)),
        // Who resets does not wait for the other's bytes.
        Ending::Reset => (send.await, Ok(0)),
    };
    if script.ending == Ending::Reset {
        stream.set_zero_linger().unwrap();
    }
    Saw { bytes: got, reset: outgoing.is_err() || incoming.is_err() }
}

fn script() -> impl Strategy<Value = Script> {
    let piece = prop_oneof![4 => 1..200usize, 2 => 1_000..20_000usize, 1 => 60_000..300_000usize];
    (prop::collection::vec(piece, 0..6), any::<u8>(), prop_oneof![3 => Just(Ending::Fin), 1 => Just(Ending::Reset)])
        .prop_map(|(pieces, seed, ending)| Script { pieces, seed, ending })
}

async fn run_case(client: Script, server: Script) -> (Saw, Saw, ConnectionClose) {
    let (rig, client_stream, server_stream) = connected(|_| {}).await;
    let played = tokio::time::timeout(HANG, async {
        tokio::join!(play(client_stream, client.clone()), play(server_stream, server.clone()))
    });
    let (at_client, at_server) = played.await.expect("an end that travelled");
    let close = closes(&rig.told().await).remove(0);
    (at_client, at_server, close)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// A proxy that changes a byte or an end changes the outcome that it was brought in to explain.
    #[test]
    fn what_comes_out_is_what_went_in_and_how_it_ended(client in script(), server in script()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (at_client, at_server, close) = runtime.block_on(run_case(client.clone(), server.clone()));
        let resets = [client.ending, server.ending].iter().filter(|e| **e == Ending::Reset).count();
        if resets == 0 {
            prop_assert!(at_client.bytes == server.bytes() && !at_client.reset);
            prop_assert!(at_server.bytes == client.bytes() && !at_server.reset);
            prop_assert_eq!(close.end.how, How::Fin);
            prop_assert_eq!(close.client_bytes, client.bytes().len() as u64);
            prop_assert_eq!(close.upstream_bytes, server.bytes().len() as u64);
        } else {
            prop_assert!(server.bytes().starts_with(&at_client.bytes));
            prop_assert!(client.bytes().starts_with(&at_server.bytes));
            // Who did not reset must have seen the other's reset.
            prop_assert!(client.ending == Ending::Reset || at_client.reset, "{:?} {:?} {:?}", at_client, at_server, close);
            prop_assert!(server.ending == Ending::Reset || at_server.reset);
            let said = close.end.detail.clone().unwrap_or_default();
            prop_assert!(close.end.how == How::Reset || said.contains("reset"), "{:?}", close.end);
        }
    }
}

/// A download that a slow reader breaks would be blamed on the network.
#[tokio::test]
async fn large_transfers_both_ways_at_once_survive_back_pressure() {
    let (rig, client, server) = connected(|_| {}).await;
    let script = |seed| Script { pieces: vec![8 << 20, 1, 8 << 20], seed, ending: Ending::Fin };
    let (at_client, at_server) = tokio::join!(play(client, script(1)), play(server, script(2)));
    assert!(at_server.bytes == script(1).bytes());
    assert!(at_client.bytes == script(2).bytes());
    let close = closes(&rig.told().await).remove(0);
    assert_eq!((close.client_bytes, close.upstream_bytes), (16_777_217, 16_777_217));
}

/// A client that ends its requests early and still waits for the answer must get it.
#[tokio::test]
async fn a_half_close_of_the_client_lets_the_answer_through() {
    let (rig, mut client, mut server) = connected(|_| {}).await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut got = Vec::new();
    server.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"question");
    server.write_all(b"answer").await.unwrap();
    drop(server);
    got.clear();
    client.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"answer");
    let close = closes(&rig.told().await).remove(0);
    assert_eq!((close.end.by, close.end.how), (By::Client, How::Fin));
}

/// The same the other way round: an upload goes on after the server said that it will say no more.
#[tokio::test]
async fn a_half_close_of_the_upstream_lets_the_rest_of_the_upload_through() {
    let (rig, mut client, mut server) = connected(|_| {}).await;
    server.shutdown().await.unwrap();
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    client.write_all(b"the rest").await.unwrap();
    drop(client);
    server.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"the rest");
    let close = closes(&rig.told().await).remove(0);
    assert_eq!((close.end.by, close.end.how), (By::Upstream, How::Fin));
}

/// A reset that arrives as a FIN hides that somebody crashed or a firewall cut in.
#[tokio::test]
async fn a_reset_travels_as_a_reset_from_either_side() {
    for (from, by) in [(0, By::Client), (1, By::Upstream)] {
        let (rig, client, server) = connected(|_| {}).await;
        let mut ends = [client, server];
        let (first, second) = ends.split_at_mut(1);
        let (sender, receiver) =
            if from == 0 { (&mut first[0], &mut second[0]) } else { (&mut second[0], &mut first[0]) };
        sender.write_all(b"last words").await.unwrap();
        let mut got = [0; 10];
        receiver.read_exact(&mut got).await.unwrap();
        sender.set_zero_linger().unwrap();
        let [client, server] = ends;
        let mut waiting = if from == 0 {
            drop(client);
            server
        } else {
            drop(server);
            client
        };
        let error = waiting.read(&mut got).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let close = closes(&rig.told().await).remove(0);
        assert_eq!((close.end.by, close.end.how), (by, How::Reset));
        assert_eq!(close.end.errno, Some(104));
    }
}

/// Nobody finds the cause of a 502 that does not say whose it is.
#[tokio::test]
async fn an_unreachable_upstream_is_a_502_that_names_authtap() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let rig = Rig::start(site(address));
    let mut client = rig.client().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut got = String::new();
    client.read_to_string(&mut got).await.unwrap();
    drop(client);
    assert!(got.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{got}");
    assert!(got.contains("Proxy-Status: authtap; error=connection_refused"), "{got}");
    assert!(got.contains(&address.to_string()), "{got}");
    let events = rig.told().await;
    assert_eq!(opens(&events)[0].addresses.upstream, Some(address));
    assert_eq!(opens(&events)[0].addresses.upstream_local, None);
    let end = closes(&events).remove(0).end;
    assert_eq!((end.by, end.how), (By::Upstream, How::Error));
    assert!(end.detail.unwrap().contains("connection_refused"));
}

/// A client above the limit that just hangs looks like a broken site.
#[tokio::test]
async fn a_client_above_the_limit_is_told_so() {
    let (rig, first, server) = connected(|site| site.max_connections = 1).await;
    let mut second = rig.client().await;
    second.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut got = String::new();
    second.read_to_string(&mut got).await.unwrap();
    assert!(got.starts_with("HTTP/1.1 503 "), "{got}");
    assert!(got.contains("error=connection_limit_reached"), "{got}");
    drop((first, second, server));
    let closes = closes(&rig.told().await);
    let refused = closes.iter().find(|c| c.end.by == By::Tap).unwrap();
    assert!(refused.end.detail.as_ref().unwrap().contains("limit of 1 "));
}

/// Connections that nobody uses must not live for ever.
#[tokio::test]
async fn an_idle_connection_is_ended_by_authtap_and_it_says_so() {
    let (rig, mut client, mut server) = connected(|site| site.idle_timeout = Duration::from_millis(20)).await;
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
    let end = closes(&rig.told().await).remove(0).end;
    assert_eq!((end.by, end.how), (By::Tap, How::Timeout));
}

/// Stopping authtap in front of a live site must not cut the requests that are under way.
#[tokio::test]
async fn a_graceful_stop_lets_an_open_request_finish() {
    let (rig, mut client, mut server) = connected(|_| {}).await;
    client.write_all(b"question").await.unwrap();
    let mut got = [0; 8];
    server.read_exact(&mut got).await.unwrap();
    let address = rig.address();
    let stopping = tokio::spawn(rig.stop(HANG));
    // Refused is how it shows that the stop has begun.
    while let Ok(late) = TcpStream::connect(address).await {
        drop(late);
    }
    server.write_all(b"answer").await.unwrap();
    drop(server);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
    drop(client);
    let events = stopping.await.unwrap();
    let ours = closes(&events).into_iter().find(|c| c.client_bytes == 8);
    assert_eq!(ours.unwrap().end.how, How::Fin);
}

/// Browsers keep connections for minutes: waiting for each of them would make every stop last its whole grace period.
#[tokio::test]
async fn a_stop_ends_connections_without_an_open_exchange_at_once() {
    let (rig, mut client, mut server) = connected(|_| {}).await;
    let mut buffer = [0; 64];
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    server.read_exact(&mut buffer[..18]).await.unwrap();
    let stopping = tokio::spawn(rig.stop(HANG));
    // Not in the middle of an exchange, however long the server takes.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!stopping.is_finished());
    server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert_eq!(client.read(&mut buffer).await.unwrap(), 27);
    assert_eq!(client.read(&mut buffer).await.unwrap(), 0);
    assert_eq!(server.read(&mut buffer).await.unwrap(), 0);
    let events = tokio::time::timeout(HANG / 2, stopping).await.unwrap().unwrap();
    let end = closes(&events).remove(0).end;
    assert_eq!((end.by, end.how), (By::Tap, How::Fin));
}

/// A connection that authtap cut must be told as authtap's doing.
#[tokio::test]
async fn what_is_open_after_the_grace_is_cut_and_told() {
    let (rig, mut client, mut server) = connected(|_| {}).await;
    client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    server.read_exact(&mut [0; 16]).await.unwrap();
    let events = rig.stop(Duration::from_millis(200)).await;
    assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0);
    let end = closes(&events).remove(0).end;
    assert_eq!((end.by, end.how), (By::Tap, How::Timeout));
}

/// One request and its answer, and the end of both.
async fn one_exchange(rig: &Rig, upstream: &TcpListener) {
    let mut client = rig.client().await;
    let mut server = upstream.accept().await.unwrap().0;
    client.write_all(b"ping").await.unwrap();
    let mut got = [0; 4];
    server.read_exact(&mut got).await.unwrap();
    server.write_all(b"pong").await.unwrap();
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"pong");
    drop(client);
    assert_eq!(server.read(&mut got).await.unwrap(), 0);
}

/// An engine that stands still until it is let go.
struct Stuck(Arc<Mutex<Receiver<()>>>);

impl Analyse for Stuck {
    fn observe(&mut self, observation: Observation, out: &mut Vec<Event>) {
        // An error is the sender gone: let go for good.
        self.0.lock().unwrap().recv().ok();
        Plain.observe(observation, out);
    }

    fn advance(&mut self, _: Stamp, _: &mut Vec<Event>) {}

    fn finish(&mut self, _: Stamp, _: &mut Vec<Event>) {}
}

/// A slow observer that slowed the site would be the outage that it was to explain.
#[tokio::test]
async fn a_full_queue_costs_observations_and_not_traffic() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (hold, gate): (Sender<()>, _) = channel();
    let gate = Arc::new(Mutex::new(gate));
    let site = site(upstream.local_addr().unwrap());
    let rig = Rig::with(site, move || Stuck(Arc::clone(&gate)), Vec::new(), 1);
    for _ in 0..8 {
        one_exchange(&rig, &upstream).await;
    }
    drop(hold);
    let events = rig.told().await;
    let dropped: u64 = gaps(&events)
        .iter()
        .map(|g| match g {
            GapWhat::QueueFull { dropped } => *dropped,
            _ => 0,
        })
        .sum();
    let made_up = |c: &&ConnectionClose| c.end.detail.as_deref() == Some("its end was lost: queue full");
    let closes = closes(&events);
    let arrived = (opens(&events).len() + closes.len() - closes.iter().filter(made_up).count()) as u64;
    // Each connection has an opening and an end; a gap that found no room counts as one more.
    assert!(dropped > 0 && arrived + dropped >= 16, "{arrived} + {dropped}");
    // The observer is told all the same that they are over, once each, and keeps none of them.
    assert!(closes.iter().any(|c| made_up(&c)));
    let mut over: Vec<_> = closes.iter().map(|c| c.connection.0).collect();
    over.sort_unstable();
    assert_eq!(over, (1..=8).collect::<Vec<_>>());
}

/// Fails at every opening, and numbers what it tells before that from 1, as an engine does.
struct Failing(u64);

impl Analyse for Failing {
    fn observe(&mut self, observation: Observation, out: &mut Vec<Event>) {
        assert!(!matches!(observation.what, Seen::Opened(_)), "injected into the engine");
        let from = out.len();
        Plain.observe(observation, out);
        for event in &mut out[from..] {
            self.0 += 1;
            event.seq = self.0;
        }
    }

    fn advance(&mut self, _: Stamp, _: &mut Vec<Event>) {}

    fn finish(&mut self, _: Stamp, _: &mut Vec<Event>) {
        panic!("injected into the end");
    }
}

/// authtap's own bug must neither stop the site nor go unsaid.
#[tokio::test]
async fn a_panicking_engine_is_replaced_and_told() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site = site(upstream.local_addr().unwrap());
    let rig = Rig::with(site, || Failing(0), Vec::new(), 64);
    for _ in 0..3 {
        one_exchange(&rig, &upstream).await;
    }
    let events = rig.told().await;
    let lost = |text| {
        gaps(&events).iter().filter(|g| matches!(g, GapWhat::ObserverLost { why } if why.contains(text))).count()
    };
    assert_eq!(lost("into the engine"), 3);
    assert_eq!(lost("into the end"), 2);
    assert_eq!(closes(&events).len(), 3);
    // What the shell tells by itself has no number; all others go on where the failed engine was.
    let numbers: Vec<_> = events.iter().map(|e| e.seq).filter(|seq| *seq != 0).collect();
    assert!(numbers.len() >= 3, "{numbers:?}");
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

/// Fails for a while: a disk that was full.
struct FullDisk {
    fails: usize,
    panics: bool,
    kept: Keep,
}

impl Sink for FullDisk {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn write(&mut self, event: &Event) -> Result<(), String> {
        if self.fails == 0 {
            return self.kept.write(event);
        }
        self.fails -= 1;
        assert!(!self.panics, "injected into the sink");
        Err("no space left on device".to_owned())
    }

    fn flush(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// A capture with a silent hole in it would be believed.
#[tokio::test]
async fn a_failing_sink_costs_its_events_and_everybody_hears_of_it() {
    for panics in [false, true] {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let disk = Keep::default();
        let sink = FullDisk { fails: 2, panics, kept: disk.clone() };
        let site = site(upstream.local_addr().unwrap());
        let rig = Rig::with(site, || Plain, vec![Box::new(sink)], 64);
        for _ in 0..3 {
            one_exchange(&rig, &upstream).await;
        }
        let events = rig.told().await;
        assert_eq!(closes(&events).len(), 3);
        let of_disk = |gaps: Vec<GapWhat>| {
            gaps.iter().any(|g| matches!(g, GapWhat::SinkFailed { sink, dropped: 1.., .. } if sink == "disk"))
        };
        assert!(of_disk(gaps(&events)), "{events:?}");
        assert!(of_disk(gaps(&disk.events())), "{:?}", disk.events());
        assert!(matches!(&disk.events()[0].what, What::Gap(Gap { .. })));
    }
}

/// "Address in use" without the address sends the operator hunting.
#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let mut site = site(address);
    site.listen = address;
    let error = Listening::bind(vec![site]).unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }));
    let text = error.to_string();
    assert!(text.contains(&address.to_string()) && text.contains("already in use"), "{text}");
}
