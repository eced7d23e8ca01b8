//! The client's side of TLS: authtap serves the certificate that IIS serves.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{Acceptor, ClientHello};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::certificate::facts;
use super::file::{self, TlsFileError};
use super::{Protocol, negotiated, provider};
use crate::model::transport::{Certificate, Tls};

/// A certificate with its key, ready to serve.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// One for each protocol that may be chosen.
    http1: Arc<ServerConfig>,
    http2: Arc<ServerConfig>,
    without_alpn: Arc<ServerConfig>,
    certificate: Certificate,
}

impl ServerTls {
    /// Reads a PEM chain, the server's certificate first, and its key.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsFileError> {
        let chain = file::certificates(certificate)?;
        let first = facts(&chain[0]);
        let private = file::key(key)?;
        let provider = provider();
        let signer = provider
            .key_provider
            .load_private_key(private)
            .map_err(|why| TlsFileError::UnusableKey { path: key.to_owned(), why: why.to_string() })?;
        let certified = CertifiedKey::new(chain, signer);
        match certified.keys_match() {
            // A key that cannot tell its public half is given the benefit of the doubt.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(TlsFileError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() });
            }
            Err(why) => {
                return Err(TlsFileError::UnusableCertificate { path: certificate.to_owned(), why: why.to_string() });
            }
        }
        let without_alpn = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|why| TlsFileError::UnusableKey { path: key.to_owned(), why: why.to_string() })?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        let with = |protocol: Protocol| {
            let mut config = without_alpn.clone();
            config.alpn_protocols = vec![protocol.name().as_bytes().to_vec()];
            Arc::new(config)
        };
        Ok(Self {
            http1: with(Protocol::Http1),
            http2: with(Protocol::Http2),
            without_alpn: Arc::new(without_alpn),
            certificate: first,
        })
    }

    /// The certificate that clients see.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Reads the ClientHello.
    pub(in crate::net) async fn hello(&self, tcp: TcpStream) -> io::Result<Hello> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
        let mut tls = offered(&start.client_hello());
        tls.certificate = Some(self.certificate.clone());
        Ok(Hello { start, tls })
    }

    /// The configuration that chooses `protocol`.
    fn choosing(&self, protocol: Option<Protocol>) -> Arc<ServerConfig> {
        Arc::clone(match protocol {
            Some(Protocol::Http1) => &self.http1,
            Some(Protocol::Http2) => &self.http2,
            None => &self.without_alpn,
        })
    }
}

fn offered(hello: &ClientHello<'_>) -> Tls {
    Tls {
        sni: hello.server_name().map(str::to_owned),
        alpn_offered: hello.alpn().into_iter().flatten().map(|p| String::from_utf8_lossy(p).into_owned()).collect(),
        ..Tls::default()
    }
}

/// A client that has said hello.
pub(in crate::net) struct Hello {
    start: StartHandshake<TcpStream>,
    /// What it offered.
    pub(in crate::net) tls: Tls,
}

impl Hello {
    /// The protocols that it offers and authtap can follow, in its order.
    pub(in crate::net) fn offers(&self) -> Vec<Protocol> {
        self.tls.alpn_offered.iter().filter_map(|name| Protocol::named(name)).collect()
    }

    /// Finishes the handshake and chooses `protocol`, unless the client did not offer it: rustls refuses a client whose
    /// ALPN list holds nothing of the server's, and a server without ALPN refuses nobody.
    pub(in crate::net) async fn accept(
        self,
        server: &ServerTls,
        protocol: Option<Protocol>,
    ) -> io::Result<(TlsStream<TcpStream>, Tls)> {
        let protocol = protocol.filter(|p| self.offers().contains(p));
        let mut tls = self.tls;
        let stream = self.start.into_stream(server.choosing(protocol)).await?;
        negotiated(&mut tls, stream.get_ref().1);
        Ok((stream, tls))
    }
}
