//! The upstream: where it is, how it is dialled, and why it could not be reached.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::close::tls_error;
use super::limit::exhausted;
use super::tls::{Protocol, UpstreamTls, failure};
use crate::model::Stamp;
use crate::model::transport::{Certificate, Tls};

/// The error of an upstream that accepted the connection and reset it at once.
pub(super) const RESET_AT_ONCE: &str = "connection_terminated";

/// The error of a dial that failed for want of something that authtap itself needs.
const OWN_FAULT: &str = "proxy_internal_error";

/// How long a looked-up name is good for: a look-up per connection would go through a pool of threads each time.
const NAME_HOLDS: Duration = Duration::from_secs(10);

/// The server behind authtap.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS towards it, when its URL is `https`.
    pub tls: Option<UpstreamTls>,
}

impl Upstream {
    /// Its URL.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        if self.host.contains(':') {
            format!("{scheme}://[{}]:{}", self.host, self.port)
        } else {
            format!("{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// Why the upstream cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct DialError {
    /// The error's name in `Proxy-Status` (RFC 9209 section 2.3, "Proxy Error Types").
    pub proxy_status: &'static str,
    /// In words, with the address.
    pub why: String,
    /// The operating system's error number.
    pub errno: Option<i32>,
}

impl DialError {
    /// Whether it was authtap that could not, and nothing is known of the upstream.
    pub(super) fn is_own(&self) -> bool {
        self.proxy_status == OWN_FAULT
    }
}

/// A stream to the upstream.
pub(super) enum UpstreamStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What came of opening a connection to the upstream.
pub(super) struct Opening {
    pub(super) dialled: Option<SocketAddr>,
    pub(super) local: Option<SocketAddr>,
    pub(super) tls: Option<Tls>,
    pub(super) stream: Result<UpstreamStream, DialError>,
}

/// Dials one upstream.
#[derive(Debug)]
pub(super) struct Dialler {
    upstream: Upstream,
    limit: Duration,
    known: Mutex<Option<(Stamp, Vec<SocketAddr>)>>,
}

impl Dialler {
    pub(super) fn new(upstream: Upstream, limit: Duration) -> Self {
        Self { upstream, limit, known: Mutex::new(None) }
    }

    pub(super) const fn speaks_tls(&self) -> bool {
        self.upstream.tls.is_some()
    }

    /// Opens one connection, with TLS where there is TLS. `sni` is the client's, `offer` what the upstream may choose of.
    pub(super) async fn open(&self, sni: Option<&str>, offer: &[Protocol], now: Stamp) -> Opening {
        let mut opening = Opening {
            dialled: None,
            local: None,
            tls: None,
            stream: Err(self.timed_out("connection_timeout", "the connection")),
        };
        let tcp = timeout(self.limit, self.connect(now, &mut opening.dialled)).await;
        let tcp = match tcp {
            Ok(Ok(tcp)) => tcp,
            Ok(Err(error)) => {
                opening.stream = Err(error);
                return opening;
            }
            Err(_) => return opening,
        };
        opening.local = tcp.local_addr().ok();
        opening.stream = match &self.upstream.tls {
            None => Ok(UpstreamStream::Plain(tcp)),
            Some(tls) => {
                let name = sni.unwrap_or(&self.upstream.host);
                match timeout(self.limit, tls.connect(tcp, name, offer)).await {
                    Ok(session) => {
                        opening.tls = Some(session.tls);
                        session.stream.map(|s| UpstreamStream::Tls(Box::new(s))).map_err(|e| self.tls_failed(&e))
                    }
                    Err(_) => Err(self.timed_out("connection_timeout", "the TLS handshake")),
                }
            }
        };
        opening
    }

    async fn connect(&self, now: Stamp, dialled: &mut Option<SocketAddr>) -> Result<TcpStream, DialError> {
        let mut last: Option<DialError> = None;
        for address in self.addresses(now).await? {
            *dialled = Some(address);
            match TcpStream::connect(address).await {
                Ok(tcp) => {
                    if let Err(error) = tcp.set_nodelay(true) {
                        tracing::debug!(%error, %address, "cannot set TCP_NODELAY");
                    }
                    return Ok(tcp);
                }
                Err(error) => {
                    let error = self.unreachable(address, &error);
                    // A refusal says more than a second address of a kind that this machine does not have.
                    if last.as_ref().is_none_or(|last| last.is_own() || !error.is_own()) {
                        last = Some(error);
                    }
                }
            }
        }
        Err(last.unwrap_or_else(|| self.unknown_host("the name has no address")))
    }

    async fn addresses(&self, now: Stamp) -> Result<Vec<SocketAddr>, DialError> {
        if let Ok(ip) = self.upstream.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.upstream.port)]);
        }
        if let Some((at, known)) = &*self.known.lock().unwrap_or_else(PoisonError::into_inner)
            && now.since(*at) < NAME_HOLDS
        {
            return Ok(known.clone());
        }
        let found: Vec<_> = tokio::net::lookup_host((self.upstream.host.as_str(), self.upstream.port))
            .await
            .map_err(|e| match exhausted(&e) {
                Some(why) => self.exhausted(why, &e),
                None => self.unknown_host(&e.to_string()),
            })?
            .collect();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, found.clone()));
        Ok(found)
    }

    fn unknown_host(&self, why: &str) -> DialError {
        DialError {
            proxy_status: "dns_error",
            why: format!("the upstream's name {} cannot be resolved: {why}", self.upstream.host),
            errno: None,
        }
    }

    fn timed_out(&self, proxy_status: &'static str, what: &str) -> DialError {
        DialError {
            proxy_status,
            why: format!(
                "{what} to the upstream {} was not there within {} s",
                self.upstream.url(),
                self.limit.as_secs_f64()
            ),
            errno: None,
        }
    }

    fn exhausted(&self, why: &str, error: &io::Error) -> DialError {
        DialError {
            proxy_status: OWN_FAULT,
            why: format!("{why} (no connection to the upstream {}: {error})", self.upstream.url()),
            errno: error.raw_os_error(),
        }
    }

    fn unreachable(&self, address: SocketAddr, error: &io::Error) -> DialError {
        if let Some(why) = exhausted(error) {
            return self.exhausted(why, error);
        }
        let proxy_status = match error.kind() {
            io::ErrorKind::ConnectionRefused => "connection_refused",
            io::ErrorKind::TimedOut => "connection_timeout",
            // Not in answer to the SYN, which would be a refusal: it accepted, and reset before we noticed.
            io::ErrorKind::ConnectionReset => RESET_AT_ONCE,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "destination_ip_unroutable",
            io::ErrorKind::PermissionDenied => "destination_ip_prohibited",
            _ => "destination_unavailable",
        };
        DialError {
            proxy_status,
            why: format!("cannot connect to the upstream {} ({address}): {error}", self.upstream.url()),
            errno: error.raw_os_error(),
        }
    }

    fn tls_failed(&self, error: &io::Error) -> DialError {
        let (proxy_status, what) = match tls_error(error) {
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                ("tls_certificate_error", "the upstream's certificate is refused")
            }
            Some(rustls::Error::AlertReceived(_)) => ("tls_alert_received", "the upstream ended the TLS handshake"),
            Some(rustls::Error::InvalidMessage(_)) => ("tls_protocol_error", "the upstream does not speak TLS"),
            Some(_) => ("tls_protocol_error", "TLS with the upstream failed"),
            None if error.kind() == io::ErrorKind::InvalidInput => {
                ("proxy_configuration_error", "the upstream's name cannot be used for TLS")
            }
            None => ("tls_protocol_error", "the upstream ended the TLS handshake"),
        };
        DialError {
            proxy_status,
            why: format!("{what} ({}): {}", self.upstream.url(), failure(error)),
            errno: error.raw_os_error(),
        }
    }
}

/// What the upstream shows of itself in one TLS handshake.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probe {
    /// Its certificate, also when it did not verify.
    pub certificate: Option<Certificate>,
    /// It asked for a certificate of the client's.
    pub asks_for_certificate: bool,
    /// What it chose of `h2` and `http/1.1`.
    pub alpn: Option<String>,
}

/// What a browser offers.
const BOTH: [Protocol; 2] = [Protocol::Http2, Protocol::Http1];

/// Begins one TLS handshake with the upstream, which offers HTTP/2 as well, and leaves.
pub async fn probe(upstream: &Upstream, limit: Duration, now: Stamp) -> Result<Probe, DialError> {
    let opening = Dialler::new(upstream.clone(), limit).open(None, &BOTH, now).await;
    let probe = opening.tls.map_or_else(Probe::default, |tls| Probe {
        certificate: tls.certificate,
        asks_for_certificate: tls.client_certificate_requested,
        alpn: tls.alpn_chosen,
    });
    match opening.stream {
        // A refused certificate is one that was shown.
        Err(error) if probe.certificate.is_none() => Err(error),
        _ => Ok(probe),
    }
}

/// Asks the upstream for its certificate once, and leaves. The facts tell also whether it verified.
pub async fn probe_certificate(
    upstream: &Upstream,
    limit: Duration,
    now: Stamp,
) -> Result<Option<Certificate>, DialError> {
    probe(upstream, limit, now).await.map(|found| found.certificate)
}

/// What bytes are read from and written to, plain or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection of authtap's own to the upstream: nobody's traffic, but a question.
pub struct Opened {
    /// The address that was dialled; `None` when there was none to dial.
    pub dialled: Option<SocketAddr>,
    /// Its own end.
    pub local: Option<SocketAddr>,
    /// Facts of TLS, also when its handshake failed.
    pub tls: Option<Tls>,
    /// The stream, or why there is none.
    pub stream: Result<Box<dyn Stream>, DialError>,
}

/// Opens a connection of authtap's own. `sni` is the name that clients would ask for; without it, the upstream's.
/// `http2` offers that too, as browsers do.
pub async fn open(upstream: &Upstream, sni: Option<&str>, http2: bool, limit: Duration, now: Stamp) -> Opened {
    let offer = if http2 { &BOTH[..] } else { &[Protocol::Http1] };
    let opening = Dialler::new(upstream.clone(), limit).open(sni, offer, now).await;
    let stream = opening.stream.map(|stream| match stream {
        UpstreamStream::Plain(tcp) => Box::new(tcp) as Box<dyn Stream>,
        UpstreamStream::Tls(tls) => tls,
    });
    Opened { dialled: opening.dialled, local: opening.local, tls: opening.tls, stream }
}

#[cfg(all(test, unix))]
mod tests {
    use rustix::io::Errno;

    use super::*;

    /// Whoever reads "upstream unavailable" looks at IIS, while it is authtap's own limit that is reached.
    #[test]
    fn want_of_descriptors_memory_or_ports_is_authtaps_own_fault() {
        let upstream = Upstream { host: "192.0.2.1".to_owned(), port: 80, tls: None };
        let dialler = Dialler::new(upstream, Duration::from_secs(1));
        let told = |errno: Errno| {
            dialler.unreachable(
                SocketAddr::from(([192, 0, 2, 1], 80)),
                &io::Error::from_raw_os_error(errno.raw_os_error()),
            )
        };
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::ADDRNOTAVAIL] {
            let error = told(errno);
            assert_eq!(error.proxy_status, "proxy_internal_error", "{error}");
            assert!(error.is_own() && error.errno == Some(errno.raw_os_error()));
        }
        assert!(told(Errno::MFILE).why.starts_with("authtap has no file descriptor left: raise `ulimit -n`"));
        assert!(!told(Errno::CONNREFUSED).is_own());
    }
}
