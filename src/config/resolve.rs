//! The operator's words, typed and checked once.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{file, key};
use crate::finding::Settings;
use crate::model::Secret;
use crate::model::network::Network;
use crate::track::site::Limits;

/// IIS's default `connectionTimeout`: authtap must never be the one that ends a connection that IIS would have kept.
const IIS_IDLE: Duration = Duration::from_mins(2);

/// Everything `run` needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// At least one.
    pub sites: Vec<Site>,
    /// How connections are relayed.
    pub relay: Relay,
    /// How the traffic is judged.
    pub observe: Observe,
    /// The capture file, when one is wanted.
    pub capture: Option<Capture>,
    /// The packet capture, when one is wanted.
    pub pcapng: Option<Pcapng>,
    /// What is told.
    pub record: Record,
    /// The console's format.
    pub log_format: LogFormat,
}

/// One listener and what is behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Address and port to listen on; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// What is behind it.
    pub upstream: Upstream,
    /// Certificate and key to serve TLS with.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Roots to verify the upstream with.
    pub upstream_ca: Option<PathBuf>,
    /// Whether an upstream certificate that does not verify is refused.
    pub upstream_verify: Verify,
    /// What clients and the upstream may agree on.
    pub alpn: Alpn,
}

/// Where a site's connections go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// `https`.
    pub tls: bool,
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// How connections are relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relay {
    /// Time to reach the upstream.
    pub connect_timeout: Duration,
    /// A connection without a byte for so long is ended.
    pub idle_timeout: Duration,
    /// Connections at one time.
    pub max_connections: u32,
    /// How long open connections may go on after a stop.
    pub grace: Duration,
}

/// How the traffic is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observe {
    /// Observations that may wait.
    pub queue: usize,
    /// Believed peers.
    pub trusted_proxies: Vec<Network>,
    /// See [`Settings`].
    pub lockout_threshold: u32,
    /// See [`Settings`].
    pub lockout_window: Duration,
    /// See [`Settings`].
    pub answer_window: Duration,
    /// See [`Limits`].
    pub limits: Limits,
    /// Key of the fingerprints; a random one of the run when there is none.
    pub fingerprint_key: Option<Secret<[u8; 16]>>,
}

/// The capture file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// Where.
    pub file: PathBuf,
    /// Bytes at which a new file begins.
    pub rotate: u64,
    /// Bytes of all files together.
    pub total: u64,
}

/// The packet capture that authtap makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pcapng {
    /// Where.
    pub file: PathBuf,
    /// Bytes at which it ends.
    pub limit: u64,
}

/// What a capture keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// Exchanges that have to do with authentication or were refused; the others are counted.
    Handshakes,
    /// Every exchange.
    All,
}

/// How the upstream's certificate is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// Refused when it does not verify.
    Require,
    /// Forwarded all the same, and told.
    Record,
}

/// What clients and the upstream may agree on by ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// As without authtap: what the client offers and the upstream chooses.
    Mirror,
    /// HTTP/1.1 alone.
    Http1,
}

/// The console's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// The operator's mistake: where, what, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The option or key, with the file where it is one.
    pub origin: String,
    /// What was given.
    pub value: String,
    /// What is allowed.
    pub allowed: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value.is_empty() {
            write!(f, "{}: {}", self.origin, self.allowed)
        } else {
            write!(f, "{}: `{}` is not allowed: {}", self.origin, self.value, self.allowed)
        }
    }
}

impl std::error::Error for Mistake {}

/// Where a value came from, for messages.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The file; `None` for the command line.
    pub file: Option<PathBuf>,
}

impl Origin {
    fn mistake(&self, key: &str, value: impl Into<String>, allowed: impl Into<String>) -> Mistake {
        let origin = match &self.file {
            Some(f) => format!("{}: {key}", f.display()),
            // On the command line the key's last part is the option's name.
            None if key == "observe.trusted-proxies" => "--trusted-proxy".to_owned(),
            None => format!("--{}", key.rsplit('.').next().unwrap_or(key)),
        };
        Mistake { origin, value: value.into(), allowed: allowed.into() }
    }
}

/// Reads a configuration file.
pub fn read(path: &Path) -> Result<file::File, Mistake> {
    let origin = Origin { file: Some(path.to_path_buf()) };
    let text = std::fs::read_to_string(path).map_err(|e| Mistake {
        origin: "--config".to_owned(),
        value: path.display().to_string(),
        allowed: format!("a readable file is wanted ({e})"),
    })?;
    toml::from_str(&text).map_err(|e| {
        let line = e.span().map_or(1, |s| text.get(..s.start).map_or(1, |t| t.matches('\n').count() + 1));
        let mut m = origin.mistake(&format!("line {line}"), "", e.message().trim().replace('\n', " "));
        m.origin = format!("{}: line {line}", path.display());
        m
    })
}

/// Types and checks a file, whose values may already be those of the command line.
pub fn resolve(file: &file::File, origin: &Origin) -> Result<Config, Mistake> {
    if file.site.is_empty() {
        return Err(Mistake {
            origin: "--listen and --upstream".to_owned(),
            value: String::new(),
            allowed: "both are needed (or a [[site]] in the file given with --config)".to_owned(),
        });
    }
    let sites = file.site.iter().map(|s| site(s, origin)).collect::<Result<Vec<_>, _>>()?;
    let duration = |key: &str, value: Option<&String>, default: Duration| match value {
        None => Ok(default),
        Some(text) => text
            .parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|d| Duration::try_from(d).ok())
            .filter(|d| !d.is_zero() || key == "relay.grace")
            .ok_or_else(|| origin.mistake(key, text, "a time such as 15s, 10m or 1h is wanted")),
    };
    let relay = Relay {
        connect_timeout: duration(
            "relay.connect-timeout",
            file.relay.connect_timeout.as_ref(),
            Duration::from_secs(15),
        )?,
        idle_timeout: duration("relay.idle-timeout", file.relay.idle_timeout.as_ref(), Duration::from_hours(1))?,
        max_connections: file.relay.max_connections.unwrap_or(20_000),
        grace: duration("relay.grace", file.relay.grace.as_ref(), Duration::from_secs(10))?,
    };
    if relay.idle_timeout <= IIS_IDLE {
        return Err(origin.mistake(
            "relay.idle-timeout",
            file.relay.idle_timeout.clone().unwrap_or_default(),
            "more than 2m is wanted: IIS keeps idle connections for 120 s, and authtap must not end one before it",
        ));
    }
    if relay.max_connections == 0 {
        return Err(origin.mistake("relay.max-connections", "0", "at least 1 is wanted"));
    }
    let o = &file.observe;
    let limits = Limits::default();
    let settings = Settings::default();
    let observe = Observe {
        queue: o.queue.unwrap_or(65_536),
        trusted_proxies: o
            .trusted_proxies
            .iter()
            .flatten()
            .map(|t| {
                Network::parse(t).ok_or_else(|| {
                    origin.mistake(
                        "observe.trusted-proxies",
                        t,
                        "addresses or ranges such as 192.0.2.7 or 10.0.0.0/8 are wanted",
                    )
                })
            })
            .collect::<Result<_, _>>()?,
        lockout_threshold: o.lockout_threshold.unwrap_or(settings.lockout_threshold),
        lockout_window: duration("observe.lockout-window", o.lockout_window.as_ref(), settings.lockout_window)?,
        answer_window: duration("observe.answer-window", o.answer_window.as_ref(), settings.answer_window)?,
        limits: Limits {
            challenge_memory: duration(
                "observe.challenge-memory",
                o.challenge_memory.as_ref(),
                limits.challenge_memory,
            )?,
            challenges: o.challenges.unwrap_or(limits.challenges),
            remembered: o.remembered.unwrap_or(limits.remembered),
        },
        fingerprint_key: fingerprint_key(o.fingerprint_key.as_deref(), origin)?,
    };
    for (key, zero) in [
        ("observe.queue", observe.queue == 0),
        ("observe.lockout-threshold", observe.lockout_threshold == 0),
        ("observe.challenges", observe.limits.challenges == 0),
        ("observe.remembered", observe.limits.remembered == 0),
    ] {
        if zero {
            return Err(origin.mistake(key, "0", "at least 1 is wanted"));
        }
    }
    Ok(Config {
        sites,
        relay,
        observe,
        capture: capture(&file.capture, origin)?,
        pcapng: pcapng(&file.capture, origin)?,
        record: word(
            "capture.record",
            file.capture.record.as_deref(),
            origin,
            &[("handshakes", Record::Handshakes), ("all", Record::All)],
        )?,
        log_format: word(
            "log.format",
            file.log.format.as_deref(),
            origin,
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        )?,
    })
}

/// The key that a file's content makes.
fn fingerprint_key(file: Option<&Path>, origin: &Origin) -> Result<Option<Secret<[u8; 16]>>, Mistake> {
    file.map(|path| key::read(path, &origin.mistake("observe.fingerprint-key", "", "").origin)).transpose()
}

/// One of several words; the first is the default.
fn word<T: Copy>(key: &str, value: Option<&str>, origin: &Origin, words: &[(&str, T)]) -> Result<T, Mistake> {
    let wanted = value.or(words.first().map(|(w, _)| *w)).unwrap_or_default();
    words.iter().find(|(w, _)| *w == wanted).map(|(_, t)| *t).ok_or_else(|| {
        let names: Vec<&str> = words.iter().map(|(w, _)| *w).collect();
        origin.mistake(key, wanted, format!("one of {} is wanted", names.join(", ")))
    })
}

fn site(site: &file::Site, origin: &Origin) -> Result<Site, Mistake> {
    let tls = match (&site.tls_cert, &site.tls_key) {
        (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        (None, None) => None,
        (Some(_), None) => return Err(origin.mistake("site.tls-key", "", "it is needed with tls-cert")),
        (None, Some(_)) => return Err(origin.mistake("site.tls-cert", "", "it is needed with tls-key")),
    };
    let upstream = parse_upstream(&site.upstream).ok_or_else(|| {
        origin.mistake(
            "site.upstream",
            without_userinfo(&site.upstream),
            "http://host[:port] or https://host[:port] is wanted, without a path",
        )
    })?;
    if !upstream.tls && (site.upstream_ca.is_some() || site.upstream_verify.is_some()) {
        let key = if site.upstream_ca.is_some() { "site.upstream-ca" } else { "site.upstream-verify" };
        return Err(origin.mistake(key, "", "it has a meaning only with an https upstream"));
    }
    if site.alpn.is_some() && !(upstream.tls && tls.is_some()) {
        return Err(origin.mistake("site.alpn", "", "it has a meaning only with tls-cert and an https upstream"));
    }
    Ok(Site {
        listen: site.listen,
        upstream,
        tls,
        upstream_ca: site.upstream_ca.clone(),
        upstream_verify: word(
            "site.upstream-verify",
            site.upstream_verify.as_deref(),
            origin,
            &[("require", Verify::Require), ("record", Verify::Record)],
        )?,
        alpn: word("site.alpn", site.alpn.as_deref(), origin, &[("mirror", Alpn::Mirror), ("http1", Alpn::Http1)])?,
    })
}

fn capture(capture: &file::Capture, origin: &Origin) -> Result<Option<Capture>, Mistake> {
    let mib = |n: u64| n.saturating_mul(1 << 20);
    let rotate = capture.rotate_mib.unwrap_or(64);
    let total = capture.total_mib.unwrap_or(512);
    if rotate == 0 || total < rotate {
        return Err(origin.mistake(
            "capture.total-mib",
            total.to_string(),
            format!("at least rotate-mib ({rotate}) is wanted, and that at least 1"),
        ));
    }
    Ok(capture.file.clone().map(|file| Capture { file, rotate: mib(rotate), total: mib(total) }))
}

fn pcapng(capture: &file::Capture, origin: &Origin) -> Result<Option<Pcapng>, Mistake> {
    let limit = capture.pcapng_mib.unwrap_or(512);
    if limit == 0 {
        return Err(origin.mistake("capture.pcapng-mib", "0", "at least 1 is wanted"));
    }
    Ok(capture.pcapng.clone().map(|file| Pcapng { file, limit: limit.saturating_mul(1 << 20) }))
}

/// `http://host[:port]` or `https://host[:port]`, with at most a trailing slash.
pub fn parse_upstream(url: &str) -> Option<Upstream> {
    let (tls, rest) = match url.split_once("://")? {
        (s, rest) if s.eq_ignore_ascii_case("http") => (false, rest),
        (s, rest) if s.eq_ignore_ascii_case("https") => (true, rest),
        _ => return None,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '@', ' ']) {
        return None;
    }
    let default = if tls { 443 } else { 80 };
    let (host, port) = if let Some(v6) = rest.strip_prefix('[') {
        let (host, after) = v6.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        match after.strip_prefix(':') {
            Some(p) => (host, p.parse().ok()?),
            None if after.is_empty() => (host, default),
            None => return None,
        }
    } else {
        match rest.split_once(':') {
            Some((host, p)) => (host, p.parse().ok()?),
            None => (rest, default),
        }
    };
    (!host.is_empty() && !host.contains([':', ']']) || host.parse::<std::net::Ipv6Addr>().is_ok())
        .then(|| Upstream { tls, host: host.to_owned(), port })
        .filter(|u| u.port != 0)
}

/// What stands before an `@` may be a password, and a message ends in a log.
fn without_userinfo(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        (None, Some((_, host))) => format!("…@{host}"),
        _ => url.to_owned(),
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

impl Observe {
    /// What the engine is made with.
    pub fn settings(&self, key: [u8; 16]) -> Settings {
        Settings {
            key,
            limits: self.limits,
            trusted_proxies: self.trusted_proxies.clone(),
            lockout_threshold: self.lockout_threshold,
            lockout_window: self.lockout_window,
            answer_window: self.answer_window,
            of_packets: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimal() -> file::File {
        toml::from_str("[[site]]\nlisten = \"127.0.0.1:8080\"\nupstream = \"http://iis.example.test\"")
            .expect("minimal")
    }

    /// An example that is not the truth misleads everybody who starts from it.
    #[test]
    fn the_example_has_every_key_and_equals_the_defaults() {
        let text = include_str!("../../config/example.toml");
        let example: file::File = toml::from_str(text).expect("config/example.toml");
        let mut expected = resolve(&minimal(), &Origin::default()).expect("minimal");
        let mut got = resolve(&example, &Origin::default()).expect("example");
        assert_eq!(got.capture.take().map(|c| (c.rotate, c.total)), Some((64 << 20, 512 << 20)));
        expected.sites.clone_from(&got.sites);
        assert_eq!(got, expected);
        // Every key of the file's shape stands in the example, also those that have no default.
        let debug = format!("{example:?}");
        for key in ["tls-cert", "tls-key", "upstream-ca", "upstream-verify", "alpn", "fingerprint-key", "pcapng"] {
            assert!(text.contains(key), "{key}");
        }
        assert!(
            !debug
                .replace("tls_cert: None, tls_key: None, upstream_ca: None, upstream_verify: None, alpn: None", "")
                .replace("fingerprint_key: None", "")
                .replace("pcapng: None", "")
                .contains("None"),
            "{debug}"
        );
    }

    /// A tired admin who mistypes must be told the key, the value and what is allowed.
    #[test]
    fn mistakes_name_key_value_and_what_is_allowed() {
        let says = |change: &dyn Fn(&mut file::File)| {
            let mut f = minimal();
            change(&mut f);
            resolve(&f, &Origin { file: Some("authtap.toml".into()) }).expect_err("a mistake").to_string()
        };
        let m = says(&|f| f.relay.idle_timeout = Some("90s".into()));
        assert!(m.contains("authtap.toml: relay.idle-timeout") && m.contains("`90s`") && m.contains("120 s"), "{m}");
        let m = says(&|f| f.observe.trusted_proxies = Some(vec!["10.0.0.0/99".into()]));
        assert!(m.contains("observe.trusted-proxies") && m.contains("10.0.0.0/8"), "{m}");
        let m = says(&|f| f.capture.pcapng_mib = Some(0));
        assert!(m.contains("capture.pcapng-mib") && m.contains("at least 1"), "{m}");
        let m = says(&|f| f.capture.record = Some("some".into()));
        assert!(m.contains("capture.record") && m.contains("handshakes, all"), "{m}");
        let m = says(&|f| f.site[0].upstream = "iis.example.test".into());
        assert!(m.contains("site.upstream") && m.contains("https://host[:port]"), "{m}");
        let m = says(&|f| f.site[0].alpn = Some("h2".into()));
        assert!(m.contains("site.alpn") && m.contains("https upstream"), "{m}");
        let m = says(&|f| {
            let site = &mut f.site[0];
            site.upstream = "https://iis.example.test".into();
            (site.tls_cert, site.tls_key) = (Some("a.pem".into()), Some("a.key".into()));
            site.alpn = Some("h2".into());
        });
        assert!(m.contains("`h2`") && m.contains("mirror, http1"), "{m}");
        let m = says(&|f| f.site[0].tls_cert = Some("a.pem".into()));
        assert!(m.contains("site.tls-key"), "{m}");
        let m = resolve(&file::File::default(), &Origin::default()).expect_err("no site").to_string();
        assert!(m.contains("--listen and --upstream"), "{m}");
    }

    /// An upstream that is read wrongly sends the traffic somewhere else.
    #[test]
    fn upstreams_are_read_as_urls_without_a_path() {
        let u = |t: &str| parse_upstream(t).map(|u| u.to_string());
        assert_eq!(u("http://iis"), Some("http://iis:80".into()));
        assert_eq!(u("HTTPS://iis:8443/"), Some("https://iis:8443".into()));
        assert_eq!(u("https://[2001:db8::1]:444"), Some("https://[2001:db8::1]:444".into()));
        for bad in [
            "iis",
            "ftp://iis",
            "http://",
            "http://iis/app",
            "http://u@iis",
            "http://iis:0",
            "http://iis:99999",
            "http://[::1",
            "http://a:b:c",
        ] {
            assert_eq!(u(bad), None, "{bad}");
        }
    }
}
