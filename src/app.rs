//! Composition root: the one file that knows every module. It turns a [`Config`] into a running tap.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::config::resolve::{Alpn, Config, Record, Verify};
use crate::finding::Engine;
use crate::model::event::{Event, Start};
use crate::model::transport::Certificate;
use crate::model::{Stamp, TapId};
use crate::net::tls::{ServerTls, TlsFileError, UpstreamTls};
use crate::net::{self, Clock, Feed, Listening, Observer, Server, SiteConfig, StartError, Upstream};
use crate::report::view::{Builder, View};
use crate::sink::jsonl::writer::{CaptureFile, Limits, OpenError};
use crate::sink::pcapng::{self, PacketFile};
use crate::sink::{Sink, trace::Trace};
use crate::wire::observation::Seen;

/// So long the observer may take for what is still queued when everything else has stopped.
const OBSERVER_PATIENCE: Duration = Duration::from_secs(10);

/// Why a tap cannot start. Each message names the option or file and what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// An address cannot be listened on.
    #[error("{0}")]
    Listen(#[from] StartError),
    /// A certificate, key or root cannot be used.
    #[error("{0}")]
    Tls(#[from] TlsFileError),
    /// The capture cannot be begun.
    #[error("{0}")]
    Capture(#[from] OpenError),
    /// The packet capture cannot be begun.
    #[error("{0}")]
    Pcapng(#[from] pcapng::OpenError),
    /// A thread cannot be made.
    #[error("cannot start the observer: {0}")]
    Observer(#[source] std::io::Error),
}

/// A running tap.
#[derive(Debug)]
pub struct Tap {
    server: Server,
    observer: Observer,
    tally: Tally,
    grace: Duration,
    /// Its id.
    pub id: TapId,
    /// What it told of its start.
    pub start: Start,
}

/// What a tap saw, for the summary at its end.
#[derive(Debug, Clone, Default)]
struct Tally(Arc<Mutex<Builder>>);

/// The sink that counts for the summary.
struct Count {
    tap: TapId,
    tally: Tally,
}

impl Sink for Count {
    fn name(&self) -> &'static str {
        "summary"
    }

    fn write(&mut self, event: &Event) -> Result<(), String> {
        self.tally.0.lock().unwrap_or_else(PoisonError::into_inner).take(&self.tap, event);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), String> {
        Ok(())
    }
}

impl Tap {
    /// Binds, opens the capture, asks the upstream for its certificate, and begins to accept.
    ///
    /// Nothing is accepted before the `start` event is told. Needs a runtime around it.
    pub async fn start(config: &Config, more: Vec<Box<dyn Sink>>) -> Result<Self, AppError> {
        let sites = config.sites.iter().map(|s| site(config, s)).collect::<Result<Vec<_>, _>>()?;
        let listening = Listening::bind(sites.clone())?;
        listening.forwards_to_itself().await?;
        let id = TapId(format!("{:016x}", rand::random::<u64>()));
        let tally = Tally::default();
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if let Some(c) = &config.capture {
            let limits = Limits { file: c.rotate, total: c.total };
            sinks.push(Box::new(CaptureFile::create(&c.file, id.clone(), limits)?));
        }
        if let Some(p) = &config.pcapng {
            sinks.push(Box::new(PacketFile::create(&p.file, &id, p.limit)?));
        }
        sinks.push(Box::new(Trace::new(id.clone())));
        sinks.push(Box::new(Count { tap: id.clone(), tally: tally.clone() }));
        sinks.extend(more);

        let descriptors = net::raise_descriptors();
        let clock = Clock::start();
        let key = config.observe.fingerprint_key.as_ref().map_or_else(rand::random, |key| *key.expose());
        let settings = config.observe.settings(key);
        let observer = Observer::start(move || Engine::new(settings.clone()), sinks, clock, config.observe.queue)
            .map_err(AppError::Observer)?;
        let feed = observer.feed();
        let mut start = facts(&sites, &listening.addresses(), feed.now()).await;
        start.self_checks.extend(descriptors.and_then(|limit| too_few(limit, &sites)));
        feed.tell(feed.now(), Seen::Start(Box::new(start.clone())));
        let server = listening.serve(&feed);
        Ok(Self { server, observer, tally, grace: config.relay.grace, id, start })
    }

    /// The real addresses, in the order of the sites.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Where observations go, for tests that want to add some.
    pub fn feed(&self) -> Feed {
        self.observer.feed()
    }

    /// Stops accepting, lets open connections finish, flushes the sinks, and says what was seen.
    pub async fn stop(self) -> View {
        self.server.stop(self.grace).await;
        let observer = self.observer;
        match tokio::task::spawn_blocking(move || observer.stop(OBSERVER_PATIENCE)).await {
            Ok(Ok(())) => {}
            Ok(Err(stuck)) => tracing::error!("{stuck}"),
            Err(error) => tracing::error!(%error, "the observer failed"),
        }
        self.tally.0.lock().unwrap_or_else(PoisonError::into_inner).view()
    }
}

fn site(config: &Config, site: &crate::config::resolve::Site) -> Result<SiteConfig, AppError> {
    let tls = match &site.upstream.tls {
        false => None,
        true => {
            let verify = match site.upstream_verify {
                Verify::Require => net::tls::Verify::Require,
                Verify::Record => net::tls::Verify::Record,
            };
            Some(UpstreamTls::new(site.upstream_ca.as_deref(), verify)?)
        }
    };
    let upstream = Upstream { host: site.upstream.host.clone(), port: site.upstream.port, tls };
    let mut made = SiteConfig::new(site.listen, upstream);
    if let Some((certificate, key)) = &site.tls {
        made.tls = Some(ServerTls::load(certificate, key)?);
    }
    made.alpn = match site.alpn {
        Alpn::Mirror => net::tls::Alpn::Mirror,
        Alpn::Http1 => net::tls::Alpn::Http1,
    };
    made.connect_timeout = config.relay.connect_timeout;
    made.idle_timeout = config.relay.idle_timeout;
    made.max_connections = usize::try_from(config.relay.max_connections).unwrap_or(usize::MAX);
    made.tell_all = config.record == Record::All;
    Ok(made)
}

/// The self-check that tells that `max-connections` cannot be had.
fn too_few(descriptors: u64, sites: &[SiteConfig]) -> Option<(String, String)> {
    let wanted = sites.iter().fold(0_u64, |sum, s| sum.saturating_add(s.max_connections as u64));
    let possible = net::fewer_connections(descriptors, wanted)?;
    let says = format!(
        "only {possible} connections at once are possible: the limit is {descriptors} file descriptors (`ulimit -n`), \
         and max-connections allows {wanted}"
    );
    Some(("file-descriptors".to_owned(), says))
}

/// What authtap's place changes, whatever the traffic: the server on its own host, a port of its own.
async fn place(site: &SiteConfig, listens: SocketAddr) -> Vec<(String, String)> {
    let url = site.upstream.url();
    let mut checks = Vec::new();
    if let Some(own) = net::own_address(&site.upstream).await {
        let says = format!(
            "{url}: {own} is an address of this machine; IIS may take each request for a local one, and show clients its \
             detailed error pages unless the site's errorMode is Custom"
        );
        checks.push(("own-host".to_owned(), says));
    }
    let usual = if site.tls.is_some() { 443 } else { 80 };
    if listens.port() != site.upstream.port && listens.port() != usual {
        let says = format!(
            "{url}: clients that are sent to authtap's port {0} name {0} in `Host`, not {1}",
            listens.port(),
            site.upstream.port
        );
        checks.push(("port".to_owned(), says));
    }
    checks
}

/// What is known at start: certificates of both sides, and what authtap found out about itself.
async fn facts(sites: &[SiteConfig], addresses: &[SocketAddr], now: Stamp) -> Start {
    let mut checks = Vec::new();
    // What is said of the only site needs no name.
    let of = |url: &str, what: &str| if sites.len() == 1 { what.to_owned() } else { format!("{url}: {what}") };
    let mut upstream_certificate: Option<Certificate> = None;
    // A plain upstream has no certificate to show, and a connection more would stand in its logs.
    for s in sites.iter().filter(|s| s.upstream.tls.is_some()) {
        let url = s.upstream.url();
        if s.alpn == net::tls::Alpn::Http1 {
            checks.push(("alpn".to_owned(), of(&url, "http1")));
        }
        match net::probe(&s.upstream, s.connect_timeout, now).await {
            Ok(net::Probe { certificate, asks_for_certificate, alpn }) => {
                checks.extend(alpn.map(|alpn| ("upstream-alpn".to_owned(), of(&url, &alpn))));
                if asks_for_certificate {
                    let says = format!("{url}: it asks for a client certificate, which authtap cannot pass on");
                    checks.push((Start::ASKED.to_owned(), says));
                }
                if let Some(c) = &certificate {
                    checks.push(("upstream-certificate".to_owned(), format!("{url}: {} ({})", c.subject, c.sha256)));
                }
                upstream_certificate = upstream_certificate.or(certificate);
            }
            Err(error) => checks.push(("upstream-reachable".to_owned(), format!("{url}: {error}"))),
        }
    }
    for (s, address) in sites.iter().zip(addresses) {
        checks.extend(place(s, *address).await);
    }
    // With several sites their certificates must not be compared crosswise; each connection tells its own.
    let one = sites.len() == 1;
    Start {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        listen: addresses.to_vec(),
        upstream: sites.iter().map(|s| s.upstream.url()).collect(),
        certificate: sites.iter().find_map(|s| s.tls.as_ref().map(|t| t.certificate().clone())).filter(|_| one),
        upstream_certificate: upstream_certificate.filter(|_| one),
        self_checks: checks,
    }
}
