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

/// The one protocol that authtap speaks about for now.
const HTTP1: &[u8] = b"http/1.1";

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
