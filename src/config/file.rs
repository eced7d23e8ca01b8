//! The configuration file's shape. Unknown keys are refused; every key may be left out.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// A whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct File {
    /// The sites; more than one is possible only here.
    pub site: Vec<Site>,
    /// How connections are relayed.
    pub relay: Relay,
    /// How the traffic is judged.
    pub observe: Observe,
    /// The capture file.
    pub capture: Capture,
    /// The console.
    pub log: Log,
}

/// One listener and what is behind it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Site {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// `http://host[:port]` or `https://host[:port]`.
    pub upstream: String,
    /// PEM certificate chain to serve TLS with.
    pub tls_cert: Option<PathBuf>,
    /// Its PEM key.
    pub tls_key: Option<PathBuf>,
    /// PEM roots to verify the upstream with, instead of the platform's.
    pub upstream_ca: Option<PathBuf>,
    /// `require` or `record`.
    pub upstream_verify: Option<String>,
    /// `mirror` or `http1`.
    pub alpn: Option<String>,
}

/// How connections are relayed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Relay {
    /// Time to reach the upstream, such as `15s`.
    pub connect_timeout: Option<String>,
    /// A connection without a byte for so long is ended; longer than IIS's own two minutes.
    pub idle_timeout: Option<String>,
    /// Connections at one time, all sites together.
    pub max_connections: Option<u32>,
    /// How long open connections may go on after a stop.
    pub grace: Option<String>,
}

/// How the traffic is judged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Observe {
    /// Observations that may wait for the observer.
    pub queue: Option<usize>,
    /// Peers (addresses or CIDR ranges) whose `X-Forwarded-For` and the like are believed.
    pub trusted_proxies: Option<Vec<String>>,
    /// Refused logons of one user that make `lockout-risk`.
    pub lockout_threshold: Option<u32>,
    /// Within this time.
    pub lockout_window: Option<String>,
    /// A challenge without any answer for so long is `challenge-unanswered`.
    pub answer_window: Option<String>,
    /// How long a CHALLENGE is remembered for links.
    pub challenge_memory: Option<String>,
    /// How many of them.
    pub challenges: Option<usize>,
    /// How many clients, users and connections each finding remembers.
    pub remembered: Option<usize>,
    /// A file whose content makes the key of the fingerprints.
    pub fingerprint_key: Option<PathBuf>,
}

/// The capture file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Capture {
    /// Where; none when left out.
    pub file: Option<PathBuf>,
    /// A new file begins at this size, in MiB.
    pub rotate_mib: Option<u64>,
    /// All of them together, in MiB; the oldest go.
    pub total_mib: Option<u64>,
    /// `handshakes` or `all`.
    pub record: Option<String>,
    /// Where the packet capture goes; none when left out.
    pub pcapng: Option<PathBuf>,
    /// It ends at this size, in MiB.
    pub pcapng_mib: Option<u64>,
}

/// The console.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Log {
    /// `text` or `json`.
    pub format: Option<String>,
}
