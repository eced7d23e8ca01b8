//! TLS on either side: rustls through tokio-rustls, with ring named explicitly.

mod certificate;
mod client;
mod file;
mod server;
mod verify;

use std::sync::Arc;

use rustls::CommonState;
use rustls::crypto::CryptoProvider;

use crate::model::transport::Tls;

pub use certificate::facts as certificate_facts;
pub use client::{UpstreamTls, Verify};
pub use file::TlsFileError;
pub use server::ServerTls;

pub(super) use server::Hello;

/// Which protocols authtap lets the two sides agree on by ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Alpn {
    /// The upstream is offered what the client offers, and the client gets what the upstream chose.
    #[default]
    Mirror,
    /// HTTP/1.1 alone, on both sides.
    Http1,
}

/// A protocol that authtap can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    /// Its name in ALPN (RFC 7301).
    const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }

    /// `None` of the names of other protocols.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Http1, Self::Http2].into_iter().find(|p| p.name() == name)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Version, cipher and ALPN of an established session.
fn negotiated(tls: &mut Tls, session: &CommonState) {
    tls.version = session.protocol_version().map(|v| match v {
        rustls::ProtocolVersion::TLSv1_2 => "TLS1.2".to_owned(),
        rustls::ProtocolVersion::TLSv1_3 => "TLS1.3".to_owned(),
        other => format!("{other:?}"),
    });
    tls.cipher = session.negotiated_cipher_suite().map(|suite| {
        let name = format!("{:?}", suite.suite());
        // rustls names TLS 1.3 suites TLS13_*; IANA's names begin with TLS_ in either version.
        match name.strip_prefix("TLS13_") {
            Some(rest) => format!("TLS_{rest}"),
            None => name,
        }
    });
    tls.alpn_chosen = session.alpn_protocol().map(|p| String::from_utf8_lossy(p).into_owned());
}

/// The alert or handshake error in words.
pub(super) fn failure(error: &std::io::Error) -> String {
    match super::close::tls_error(error) {
        Some(rustls::Error::AlertReceived(alert)) => format!("the peer sent the alert {alert:?}"),
        Some(other) => other.to_string(),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the connection ended in the middle of the TLS handshake".to_owned()
        }
        None => error.to_string(),
    }
}
