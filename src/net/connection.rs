//! One client connection from its accept to its end, as one task that shrinks to the relay once both sides are open.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer::{Answer, Status};
use super::close::{Side, broken, own};
use super::dial::{DialError, Dialler, Opening, RESET_AT_ONCE, UpstreamStream};
use super::feed::Feed;
use super::open::{Open, Place};
use super::relay::Relay;
use super::socket::Socket;
use super::tap::{Tap, with_spare};
use super::tls::{Alpn, Hello, Protocol, ServerTls, failure};
use super::workers::Seat;
use crate::model::transport::{Addresses, By, End, How, Tls};

/// What the connections of one site share.
pub(super) struct Site {
    pub(super) dialler: Dialler,
    pub(super) tls: Option<ServerTls>,
    pub(super) alpn: Alpn,
    pub(super) handshake_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) max_connections: usize,
    pub(super) tell_all: bool,
    pub(super) feed: Feed,
    pub(super) open: Arc<Open>,
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The task of a connection. What is larger than a plain relay is boxed, and freed when it is over.
pub(super) struct Connection {
    stage: Stage,
    place: Place,
    _seat: Seat,
}

#[expect(
    clippy::large_enum_variant,
    reason = "the large variant is the one that lives long; a box would be one more allocation for each connection"
)]
enum Stage {
    /// Dialling, handshakes.
    Opening(Boxed<Stage>),
    Plain(Relay<TcpStream, TcpStream>),
    /// A relay with TLS, or an answer of our own.
    Other(Boxed<()>),
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.place.reach_by(cx.waker());
        loop {
            match &mut self.stage {
                Stage::Plain(relay) => return Pin::new(relay).poll(cx),
                Stage::Other(other) => return other.as_mut().poll(cx),
                Stage::Opening(opening) => {
                    let next = ready!(opening.as_mut().poll(cx));
                    self.stage = next;
                }
            }
        }
    }
}

impl Connection {
    /// A connection that was just accepted; `None` when there are so many that it is not even refused politely.
    pub(super) fn new(site: &Arc<Site>, tcp: TcpStream, client: SocketAddr, seat: Seat) -> Option<Self> {
        let (place, open) = Place::take(&site.open);
        let mut tap = Tap::new(site.feed.clone(), site.feed.now(), site.tell_all);
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, connection = %tap.id(), "cannot set TCP_NODELAY");
        }
        let full = open >= site.max_connections;
        if full && open >= site.max_connections.saturating_add(REFUSED_AT_ONCE) {
            tap.opened(nowhere(client), None, None);
            close(&mut tap, own(How::Error, format!("{}; closed without an answer", site.limit_reached())));
            return None;
        }
        let site = Arc::clone(site);
        let stage = Stage::Opening(match (full, site.tls.is_some()) {
            (false, false) => Box::pin(plain(site, tcp, client, tap)),
            (true, false) => Box::pin(async move { refused(site, tcp, nowhere(client), None, tap) }),
            (full, true) => Box::pin(encrypted(site, tcp, client, tap, full)),
        });
        Some(Self { stage, place, _seat: seat })
    }
}

/// What is offered to the upstream when the client does not ask for HTTP/2.
const HTTP1: [Protocol; 1] = [Protocol::Http1];

/// Connections above the limit that are being told so at one time.
const REFUSED_AT_ONCE: usize = 256;

impl Site {
    fn limit_reached(&self) -> String {
        format!("authtap's limit of {} open connections is reached", self.max_connections)
    }
}

fn nowhere(client: SocketAddr) -> Addresses {
    Addresses { client, upstream: None, upstream_local: None }
}

fn close(tap: &mut Tap, end: End) {
    let at = tap.now();
    with_spare(|spare| tap.closed(at, end, &mut spare.pool));
}

async fn plain(site: Arc<Site>, tcp: TcpStream, client: SocketAddr, mut tap: Tap) -> Stage {
    let opening = site.dialler.open(None, &HTTP1, tap.now()).await;
    let outcome = told(&mut tap, client, None, opening);
    match outcome {
        Ok(UpstreamStream::Plain(up)) => Stage::Plain(Relay::new(tcp, up, tap, &site)),
        Ok(UpstreamStream::Tls(up)) => relay(tcp, *up, tap, &site),
        Err(error) => unreachable(tcp, tap, error),
    }
}

async fn encrypted(site: Arc<Site>, tcp: TcpStream, client: SocketAddr, mut tap: Tap, full: bool) -> Stage {
    let Some(tls) = &site.tls else {
        return Stage::Other(Box::pin(async {}));
    };
    let limit = site.handshake_timeout;
    let hello = match timeout(limit, tls.hello(tcp)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(error)) => {
            tap.opened(nowhere(client), Some(failed(Tls::default(), &error)), None);
            return no_tls(tap, &error);
        }
        Err(_) => {
            tap.opened(nowhere(client), Some(Tls::default()), None);
            close(&mut tap, own(How::Timeout, "no TLS ClientHello came".to_owned()));
            return Stage::Other(Box::pin(async {}));
        }
    };
    if full {
        return match accept(hello, tls, Some(Protocol::Http1), limit).await {
            Ok((stream, tls)) => refused(site, stream, nowhere(client), Some(tls), tap),
            Err((tls, error)) => {
                tap.opened(nowhere(client), Some(tls), None);
                no_tls(tap, &error)
            }
        };
    }
    let sni = hello.tls.sni.clone();
    let offers = hello.offers();
    let mirrored = site.alpn == Alpn::Mirror && site.dialler.speaks_tls() && offers.contains(&Protocol::Http2);
    let (accepted, opening) = if mirrored {
        // The client gets what the upstream chose, so the upstream comes first. When it cannot be reached, the answer
        // is authtap's own, and that is HTTP/1.
        let opening = site.dialler.open(sni.as_deref(), &offers, tap.now()).await;
        let chosen = match &opening.stream {
            Ok(_) => opening.tls.as_ref().and_then(|t| t.alpn_chosen.as_deref()).and_then(Protocol::named),
            Err(_) => Some(Protocol::Http1),
        };
        (accept(hello, tls, chosen, limit).await, opening)
    } else {
        // Both handshakes at once: the client waits no longer than for the slower one.
        let accepting = accept(hello, tls, Some(Protocol::Http1), limit);
        tokio::join!(accepting, site.dialler.open(sni.as_deref(), &HTTP1, tap.now()))
    };
    match accepted {
        Ok((stream, tls)) => match told(&mut tap, client, Some(tls), opening) {
            Ok(UpstreamStream::Plain(up)) => relay(stream, up, tap, &site),
            Ok(UpstreamStream::Tls(up)) => relay(stream, *up, tap, &site),
            Err(error) => unreachable(stream, tap, error),
        },
        Err((tls, error)) => {
            told(&mut tap, client, Some(tls), opening).ok();
            no_tls(tap, &error)
        }
    }
}

async fn accept(
    hello: Hello,
    server: &ServerTls,
    protocol: Option<Protocol>,
    limit: Duration,
) -> Result<(tokio_rustls::server::TlsStream<TcpStream>, Tls), (Tls, io::Error)> {
    let offered = hello.tls.clone();
    match timeout(limit, hello.accept(server, protocol)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err((failed(offered, &error), error)),
        Err(_) => {
            let error = io::Error::from(io::ErrorKind::TimedOut);
            Err((failed(offered, &error), error))
        }
    }
}

fn failed(mut tls: Tls, error: &io::Error) -> Tls {
    tls.alert = Some(failure(error));
    tls
}

/// Tells the opening, and hands over the stream.
fn told(tap: &mut Tap, client: SocketAddr, tls: Option<Tls>, opening: Opening) -> Result<UpstreamStream, DialError> {
    let addresses = Addresses { client, upstream: opening.dialled, upstream_local: opening.local };
    tap.opened(addresses, tls, opening.tls);
    opening.stream
}

fn relay<C, U>(client: C, upstream: U, tap: Tap, site: &Site) -> Stage
where
    C: Socket + Send + 'static,
    U: Socket + Send + 'static,
{
    Stage::Other(Box::pin(Relay::new(client, upstream, tap, site)))
}

/// The client did not come through the TLS handshake.
fn no_tls(mut tap: Tap, error: &io::Error) -> Stage {
    let mut end = if error.kind() == io::ErrorKind::UnexpectedEof {
        End { by: By::Client, how: How::Fin, errno: None, detail: None }
    } else {
        broken(Side::Client, error)
    };
    end.detail = Some(format!("TLS handshake with the client failed: {}", failure(error)));
    close(&mut tap, end);
    Stage::Other(Box::pin(async {}))
}

/// The upstream is not there: the client hears it from us. One that accepted and reset at once was there, and its
/// reset travels on.
fn unreachable<C: Socket + Send + 'static>(client: C, mut tap: Tap, error: DialError) -> Stage {
    if error.proxy_status == RESET_AT_ONCE {
        client.arm_reset();
        let end = End { by: By::Upstream, how: How::Reset, errno: error.errno, detail: Some(error.why) };
        close(&mut tap, end);
        return Stage::Other(Box::pin(async {}));
    }
    Stage::Other(Box::pin(async move {
        tracing::debug!(connection = %tap.id(), %error, "the upstream cannot be used");
        let (by, status) =
            if error.is_own() { (By::Tap, Status::Unavailable) } else { (By::Upstream, Status::BadGateway) };
        let errno = error.errno;
        let answer = Answer { status, error: error.proxy_status, why: error.why };
        let given = answer.give(client).await;
        close(&mut tap, End { by, how: How::Error, errno, detail: Some(answer.detail(given)) });
    }))
}

fn refused<C: Socket + Send + 'static>(
    site: Arc<Site>,
    client: C,
    addresses: Addresses,
    tls: Option<Tls>,
    mut tap: Tap,
) -> Stage {
    tap.opened(addresses, tls, None);
    Stage::Other(Box::pin(async move {
        let why = site.limit_reached();
        let answer = Answer { status: Status::Unavailable, error: "connection_limit_reached", why };
        let given = answer.give(client).await;
        close(&mut tap, own(How::Error, answer.detail(given)));
    }))
}
