//! `start`, `connection_open`, `connection_close`, `stop`: taps, connections, certificates.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mirror::{By, How};
use super::text::{self, Unfit};
use crate::model::{ConnectionId, event, transport};

/// What a tap stands between, and what it found out about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Start {
    /// authtap's version.
    #[serde(default)]
    pub version: String,
    /// Addresses that it listens on, one a site.
    #[serde(default)]
    pub listen: Vec<String>,
    /// Upstream URLs, one a site.
    #[serde(default)]
    pub upstream: Vec<String>,
    /// The certificate that authtap shows to clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// The certificate that IIS showed when asked at start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_certificate: Option<Certificate>,
    /// What authtap checked about itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub self_checks: Vec<SelfCheck>,
}

/// One self-check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SelfCheck {
    /// Its name.
    pub name: String,
    /// What was found.
    pub found: String,
}

/// A connection's opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionOpen {
    /// Its number within the tap.
    pub connection: u64,
    /// The client's address and port.
    pub client: String,
    /// The upstream's address and port; absent when no dial was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// The address and port that IIS and HTTPERR see; absent when the dial failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_local: Option<String>,
    /// TLS towards the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// TLS towards IIS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_tls: Option<Tls>,
    /// Its beginning was not seen: what was agreed on it before is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begun_before: bool,
}

/// One side's TLS session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tls {
    /// `TLS1.2`, `TLS1.3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// IANA name of the cipher suite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher: Option<String>,
    /// Server name that the client asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// Protocols that the client offered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alpn_offered: Vec<String>,
    /// The protocol that was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpn_chosen: Option<String>,
    /// The server's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// Why verification refused the certificate, or would have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<String>,
    /// The alert or error that ended the TLS handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// The server asked for a client certificate.
    #[serde(default)]
    pub client_certificate_requested: bool,
}

/// Public facts of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// Distinguished name.
    #[serde(default)]
    pub subject: String,
    /// Distinguished name.
    #[serde(default)]
    pub issuer: String,
    /// DNS names and addresses that it is for.
    #[serde(default)]
    pub names: Vec<String>,
    /// End of validity.
    #[serde(default)]
    pub not_after: String,
    /// Signature algorithm.
    #[serde(default)]
    pub signature_algorithm: String,
    /// SHA-256 of the certificate, hex.
    #[serde(default)]
    pub sha256: String,
    /// `tls-server-end-point` hash (RFC 5929), hex.
    #[serde(default)]
    pub end_point: String,
    /// The hash function of `end_point`.
    #[serde(default)]
    pub end_point_hash: String,
    /// The values that NTLM may carry as channel binding for it, hex.
    #[serde(default)]
    pub channel_bindings: Vec<String>,
}

/// The end of one side of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionHalfClose {
    /// The connection.
    pub connection: u64,
    /// Whose FIN it was.
    pub by: By,
}

/// A connection's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionClose {
    /// The connection.
    pub connection: u64,
    /// Whose end came first.
    pub by: By,
    /// How it came.
    pub how: How,
    /// The operating system's error number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
    /// What happened, when `how` does not say all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// A challenge was waiting for its answer.
    #[serde(default)]
    pub mid_handshake: bool,
    /// Bytes from the client.
    #[serde(default)]
    pub client_bytes: u64,
    /// Bytes from the upstream.
    #[serde(default)]
    pub upstream_bytes: u64,
    /// All exchanges, the unrecorded ones included.
    #[serde(default)]
    pub exchanges: u32,
    /// From accept to end, in microseconds.
    #[serde(default)]
    pub duration_us: u64,
}

/// What a tap saw in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Stop {
    /// Connections opened.
    pub connections: u64,
    /// Exchanges, the unrecorded ones included.
    pub exchanges: u64,
    /// Handshakes that the server accepted.
    pub authenticated: u64,
    /// Handshakes refused whole.
    pub rejected: u64,
    /// Handshakes broken.
    pub broken: u64,
    /// Handshakes that the client gave up.
    pub abandoned: u64,
    /// Findings raised.
    pub findings: u64,
    /// Observations dropped.
    pub dropped: u64,
    /// Connections that went blind.
    pub blind: u64,
    /// NTLM handshakes whose pairing was proved.
    pub paired: u64,
}

impl Default for Stop {
    fn default() -> Self {
        (&event::Totals::default()).into()
    }
}

impl From<&event::Start> for Start {
    fn from(x: &event::Start) -> Self {
        Self {
            version: x.version.clone(),
            listen: x.listen.iter().map(ToString::to_string).collect(),
            upstream: x.upstream.clone(),
            certificate: x.certificate.as_ref().map(Into::into),
            upstream_certificate: x.upstream_certificate.as_ref().map(Into::into),
            self_checks: x
                .self_checks
                .iter()
                .map(|(name, found)| SelfCheck { name: name.clone(), found: found.clone() })
                .collect(),
        }
    }
}

impl TryFrom<Start> for event::Start {
    type Error = Unfit;

    fn try_from(x: Start) -> Result<Self, Unfit> {
        Ok(Self {
            version: x.version,
            listen: x.listen.iter().map(|a| text::to_addr("listen", a)).collect::<Result<_, _>>()?,
            upstream: x.upstream,
            certificate: x.certificate.map(Into::into),
            upstream_certificate: x.upstream_certificate.map(Into::into),
            self_checks: x.self_checks.into_iter().map(|c| (c.name, c.found)).collect(),
        })
    }
}

impl From<&event::ConnectionOpen> for ConnectionOpen {
    fn from(x: &event::ConnectionOpen) -> Self {
        Self {
            connection: x.connection.0,
            client: x.addresses.client.to_string(),
            upstream: x.addresses.upstream.map(|a| a.to_string()),
            upstream_local: x.addresses.upstream_local.map(|a| a.to_string()),
            tls: x.tls.as_ref().map(Into::into),
            upstream_tls: x.upstream_tls.as_ref().map(Into::into),
            begun_before: x.begun_before,
        }
    }
}

impl TryFrom<ConnectionOpen> for event::ConnectionOpen {
    type Error = Unfit;

    fn try_from(x: ConnectionOpen) -> Result<Self, Unfit> {
        Ok(Self {
            connection: ConnectionId(x.connection),
            addresses: transport::Addresses {
                client: text::to_addr("client", &x.client)?,
                upstream: text::to_addr_opt("upstream", x.upstream.as_deref())?,
                upstream_local: text::to_addr_opt("upstream_local", x.upstream_local.as_deref())?,
            },
            tls: x.tls.map(Into::into),
            upstream_tls: x.upstream_tls.map(Into::into),
            begun_before: x.begun_before,
        })
    }
}

impl From<&event::HalfClose> for ConnectionHalfClose {
    fn from(x: &event::HalfClose) -> Self {
        Self { connection: x.connection.0, by: x.by.into() }
    }
}

impl From<ConnectionHalfClose> for event::HalfClose {
    fn from(x: ConnectionHalfClose) -> Self {
        Self { connection: ConnectionId(x.connection), by: x.by.into() }
    }
}

impl From<&event::ConnectionClose> for ConnectionClose {
    fn from(x: &event::ConnectionClose) -> Self {
        Self {
            connection: x.connection.0,
            by: x.end.by.into(),
            how: x.end.how.into(),
            errno: x.end.errno,
            detail: x.end.detail.clone(),
            mid_handshake: x.mid_handshake,
            client_bytes: x.client_bytes,
            upstream_bytes: x.upstream_bytes,
            exchanges: x.exchanges,
            duration_us: u64::try_from(x.duration.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

impl From<ConnectionClose> for event::ConnectionClose {
    fn from(x: ConnectionClose) -> Self {
        Self {
            connection: ConnectionId(x.connection),
            end: transport::End { by: x.by.into(), how: x.how.into(), errno: x.errno, detail: x.detail },
            mid_handshake: x.mid_handshake,
            client_bytes: x.client_bytes,
            upstream_bytes: x.upstream_bytes,
            exchanges: x.exchanges,
            duration: Duration::from_micros(x.duration_us),
        }
    }
}

/// Conversions between structs of the same fields, all of them named on both sides so that a new field of the model
/// does not compile until the format has it.
macro_rules! same_fields {
    ($wire:ident, $model:path { $($field:ident $(: $how:ident)?),+ $(,)? }) => {
        impl From<&$model> for $wire {
            fn from(x: &$model) -> Self {
                Self { $($field: same_fields!(@to x.$field $(, $how)?),)+ }
            }
        }

        impl From<$wire> for $model {
            fn from(x: $wire) -> Self {
                Self { $($field: same_fields!(@from x.$field $(, $how)?),)+ }
            }
        }
    };
    (@to $value:expr) => { $value.clone() };
    (@to $value:expr, nested) => { $value.as_ref().map(Into::into) };
    (@from $value:expr) => { $value };
    (@from $value:expr, nested) => { $value.map(Into::into) };
}

same_fields!(
    Tls,
    transport::Tls {
        version,
        cipher,
        sni,
        alpn_offered,
        alpn_chosen,
        certificate: nested,
        verification,
        alert,
        client_certificate_requested,
    }
);

same_fields!(
    Certificate,
    transport::Certificate {
        subject,
        issuer,
        names,
        not_after,
        signature_algorithm,
        sha256,
        end_point,
        end_point_hash,
        channel_bindings,
    }
);

same_fields!(
    Stop,
    event::Totals {
        connections,
        exchanges,
        authenticated,
        rejected,
        broken,
        abandoned,
        findings,
        dropped,
        blind,
        paired,
    }
);
