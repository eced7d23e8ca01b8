//! Listening, accepting, stopping.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::connection::{Connection, Site};
use super::dial::{Dialler, Upstream};
use super::feed::Feed;
use super::limit::exhausted;
use super::open::Open;
use super::tls::{Alpn, ServerTls};
use super::workers::Workers;
use crate::model::Stamp;

/// Connections that the operating system may queue before authtap accepts them.
const BACKLOG: u32 = 1024;
/// How long accepting rests when there is no file descriptor or memory left.
const REST: Duration = Duration::from_millis(100);
/// So long a name may take to be looked up at start.
const LOOK_UP: Duration = Duration::from_secs(5);
/// A failing accept is spoken of at most this often.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// One site: where authtap listens, and the server behind it.
#[derive(Debug, Clone)]
pub struct SiteConfig {
    /// Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The server behind.
    pub upstream: Upstream,
    /// TLS towards clients, when authtap ends it.
    pub tls: Option<ServerTls>,
    /// What client and upstream may agree on.
    pub alpn: Alpn,
    /// For a TCP connection to the upstream, and again for each TLS handshake.
    pub connect_timeout: Duration,
    /// A connection without a byte for so long is ended; far above IIS's 120 s, so that IIS is always the first.
    pub idle_timeout: Duration,
    /// Clients above it get a 503.
    pub max_connections: usize,
    /// Every exchange is told, and not only those that have to do with authentication or were refused.
    pub tell_all: bool,
}

impl SiteConfig {
    /// A site with the defaults.
    pub const fn new(listen: SocketAddr, upstream: Upstream) -> Self {
        Self {
            listen,
            upstream,
            tls: None,
            alpn: Alpn::Mirror,
            connect_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_hours(1),
            max_connections: 10_000,
            tell_all: false,
        }
    }
}

/// Why authtap cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {}", words(why))]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The operating system's error.
        why: io::Error,
    },
    /// It would forward to itself, each connection making another without end.
    #[error(
        "the upstream {upstream} is authtap itself: it is {address}, and authtap listens on {listen}; the upstream must be \
         the address of IIS"
    )]
    Itself {
        /// The upstream's URL.
        upstream: String,
        /// What it resolves to.
        address: SocketAddr,
        /// Where authtap listens.
        listen: SocketAddr,
    },
    /// The threads of the relay cannot be made.
    #[error("cannot start the relay's threads: {0}")]
    Workers(#[source] io::Error),
}

fn words(why: &io::Error) -> String {
    match why.kind() {
        io::ErrorKind::AddrInUse => "address already in use by another program".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have the address".to_owned(),
        io::ErrorKind::PermissionDenied => "not permitted (ports below 1024 need a privilege)".to_owned(),
        _ => why.to_string(),
    }
}

/// Listening on every site, and accepting nothing yet: the addresses are known before the first connection.
#[derive(Debug)]
pub struct Listening {
    sites: Vec<(TcpListener, SocketAddr, SiteConfig)>,
    workers: Workers,
}

impl Listening {
    /// Binds every site, or none. Needs a runtime around it.
    pub fn bind(sites: Vec<SiteConfig>) -> Result<Self, StartError> {
        let sites = sites
            .into_iter()
            .map(|site| {
                let (listener, address) =
                    listen(site.listen).map_err(|why| StartError::Listen { address: site.listen, why })?;
                Ok((listener, address, site))
            })
            .collect::<Result<_, StartError>>()?;
        Ok(Self { sites, workers: Workers::start().map_err(StartError::Workers)? })
    }

    /// The real addresses, in the order of the sites.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sites.iter().map(|(_, address, _)| *address).collect()
    }

    /// Looks whether an upstream is one of the addresses that are listened on. A name that cannot be resolved now is
    /// no mistake: it is looked up again for each connection.
    pub async fn forwards_to_itself(&self) -> Result<(), StartError> {
        for (_, _, site) in &self.sites {
            let target = (site.upstream.host.as_str(), site.upstream.port);
            let Ok(Ok(found)) = tokio::time::timeout(LOOK_UP, tokio::net::lookup_host(target)).await else { continue };
            for address in found {
                let listens = |(listener, own, _): &(TcpListener, SocketAddr, SiteConfig)| {
                    let only_v6 = SockRef::from(listener).only_v6().unwrap_or(true);
                    reaches(address, *own, only_v6).then_some(*own)
                };
                if let Some(listen) = self.sites.iter().find_map(listens) {
                    return Err(StartError::Itself { upstream: site.upstream.url(), address, listen });
                }
            }
        }
        Ok(())
    }

    /// Begins to accept.
    pub fn serve(self, feed: &Feed) -> Server {
        let addresses = self.addresses();
        let (stop, stopping) = watch::channel(None);
        let mut open = Vec::new();
        let workers = Arc::new(self.workers);
        let accepting = self
            .sites
            .into_iter()
            .map(|(listener, _, config)| {
                let count = Arc::<Open>::default();
                open.push(Arc::clone(&count));
                let site = Arc::new(Site {
                    dialler: Dialler::new(config.upstream, config.connect_timeout),
                    tls: config.tls,
                    alpn: config.alpn,
                    handshake_timeout: config.connect_timeout,
                    idle_timeout: config.idle_timeout,
                    max_connections: config.max_connections,
                    tell_all: config.tell_all,
                    feed: feed.clone(),
                    open: count,
                });
                tokio::spawn(accept(listener, site, Arc::clone(&workers), stopping.clone()))
            })
            .collect();
        Server { addresses, accepting, stop, open }
    }
}

/// Whether a connection to `to` would come to a listener at `listen`.
fn reaches(to: SocketAddr, listen: SocketAddr, only_v6: bool) -> bool {
    if to.port() != listen.port() {
        return false;
    }
    let (to, at) = (to.ip().to_canonical(), listen.ip().to_canonical());
    if to == at {
        return true;
    }
    // To the unspecified address goes to this machine itself.
    if to.is_unspecified() {
        return to.is_ipv4() == at.is_ipv4() && at.is_loopback();
    }
    let same_kind = to.is_ipv4() == at.is_ipv4() || (at.is_ipv6() && !only_v6);
    at.is_unspecified() && same_kind && is_local(to)
}

/// The first address of the upstream that is one of this machine. A name that cannot be resolved has none.
pub async fn own_address(upstream: &Upstream) -> Option<IpAddr> {
    let target = (upstream.host.as_str(), upstream.port);
    let found = tokio::time::timeout(LOOK_UP, tokio::net::lookup_host(target)).await.ok()?.ok()?;
    found.map(|address| address.ip()).find(|ip| is_local(*ip))
}

/// Whether this machine has the address: one that it has not cannot be bound.
fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // On Windows SO_REUSEADDR would let two programs take the same port.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let real = listener.local_addr()?;
    Ok((listener, real))
}

/// The running relays of all sites.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    accepting: Vec<JoinHandle<()>>,
    stop: watch::Sender<Option<Duration>>,
    open: Vec<Arc<Open>>,
}

impl Server {
    /// The real addresses, in the order of the sites.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Connections that are open now, refused ones included while they are being told.
    pub fn connections(&self) -> usize {
        self.open.iter().map(|open| open.count()).sum()
    }

    /// Stops accepting, ends connections without an open exchange at once, lets the others finish for at most `grace`,
    /// then cuts them. When it returns, every connection's end has been told.
    pub async fn stop(self, grace: Duration) {
        self.stop.send_replace(Some(grace));
        for site in self.accepting {
            if let Err(error) = site.await {
                tracing::warn!(%error, "an accepting task failed");
            }
        }
    }
}

async fn accept(
    listener: TcpListener,
    site: Arc<Site>,
    workers: Arc<Workers>,
    mut stopping: watch::Receiver<Option<Duration>>,
) {
    let mut tasks = JoinSet::new();
    let mut warned = None;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted.and_then(|(tcp, client)| Ok((workers.seat(tcp)?, client))) {
                Ok(((tcp, seat, worker), client)) => {
                    if let Some(connection) = Connection::new(&site, tcp, client, seat) {
                        tasks.spawn_on(connection, worker);
                    }
                }
                Err(error) => {
                    warn(&error, site.feed.now(), &mut warned);
                    // The client's own haste (ECONNABORTED) costs nothing; want of descriptors does not pass at once.
                    if error.kind() != io::ErrorKind::ConnectionAborted {
                        tokio::time::sleep(REST).await;
                    }
                }
            },
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => report(ended),
            _ = stopping.changed() => break,
        }
    }
    drop(listener);
    site.open.stop();
    let grace = stopping.borrow().unwrap_or_default();
    let finish = async {
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(grace, finish).await.is_err() {
        tracing::debug!(open = tasks.len(), "the grace period is over; open connections are cut");
        tasks.shutdown().await;
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::warn!(%error, "the task of a connection failed; the connection is lost");
    }
}

fn warn(error: &io::Error, now: Stamp, warned: &mut Option<Stamp>) {
    if warned.is_none_or(|last| now.since(last) >= WARN_EVERY) {
        *warned = Some(now);
        let why = exhausted(error).map_or_else(|| error.to_string(), |why| format!("{why} ({error})"));
        tracing::warn!(error = %why, "cannot accept a connection; accepting goes on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// authtap in front of itself opens connections until nothing is left.
    #[test]
    fn an_upstream_that_comes_back_to_a_listener_is_known() {
        let reaches = |to: &str, listen: &str, only_v6| reaches(to.parse().unwrap(), listen.parse().unwrap(), only_v6);
        assert!(reaches("127.0.0.1:80", "127.0.0.1:80", false));
        assert!(reaches("127.0.0.1:80", "0.0.0.0:80", false));
        assert!(reaches("[::ffff:127.0.0.1]:80", "0.0.0.0:80", false));
        assert!(reaches("127.0.0.1:80", "[::]:80", false));
        assert!(reaches("0.0.0.0:80", "127.0.0.1:80", false));
        assert!(!reaches("127.0.0.1:80", "[::]:80", true));
        assert!(!reaches("127.0.0.1:81", "127.0.0.1:80", false));
        assert!(!reaches("127.0.0.2:80", "127.0.0.1:80", false));
        assert!(!reaches("[::1]:80", "0.0.0.0:80", false));
        // TEST-NET-1 (RFC 5737): nobody has it.
        assert!(!reaches("192.0.2.1:80", "0.0.0.0:80", false));
    }
}
