//! IIS's side of TLS: its certificate is verified, or only recorded.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate::facts;
use super::file::{self, TlsFileError};
use super::verify::{AskedForCertificate, Pinned, Recorder};
use super::{Protocol, failure, negotiated, provider};
use crate::model::transport::Tls;

/// How IIS's certificate is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// A certificate that does not verify is a failure: the client gets a 502.
    #[default]
    Require,
    /// Traffic flows all the same, and the error is told.
    Record,
}

/// TLS towards IIS.
#[derive(Debug, Clone)]
pub struct UpstreamTls {
    config: ClientConfig,
    judge: Arc<dyn ServerCertVerifier>,
    verify: Verify,
}

/// What came of a handshake with IIS: the facts also when it failed.
pub(in crate::net) struct ClientSession {
    pub(in crate::net) tls: Tls,
    pub(in crate::net) stream: io::Result<TlsStream<TcpStream>>,
}

impl UpstreamTls {
    /// Judges by the platform's roots, or by the certificates in `ca` alone.
    pub fn new(ca: Option<&Path>, verify: Verify) -> Result<Self, TlsFileError> {
        let judge: Arc<dyn ServerCertVerifier> = match ca {
            Some(path) => Arc::new(pinned(path)?),
            None => Arc::new(Verifier::new(provider()).map_err(|why| TlsFileError::Platform { why: why.to_string() })?),
        };
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|why| TlsFileError::Platform { why: why.to_string() })?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&judge))
            .with_no_client_auth();
        // A session ticket of one client's connection on another client's would tie them together, and a resumed
        // session shows no certificate to judge.
        config.resumption = Resumption::disabled();
        Ok(Self { config, judge, verify })
    }

    /// Speaks TLS with IIS. `name` becomes the SNI, and is what the certificate must be for; `offer` is the ALPN list.
    pub(in crate::net) async fn connect(&self, tcp: TcpStream, name: &str, offer: &[Protocol]) -> ClientSession {
        let alpn_offered = offer.iter().map(|p| p.name().to_owned()).collect();
        let mut tls = Tls { sni: None, alpn_offered, ..Tls::default() };
        let server = match ServerName::try_from(name.to_owned()) {
            Ok(server) => server,
            Err(why) => {
                return ClientSession { tls, stream: Err(io::Error::new(io::ErrorKind::InvalidInput, why)) };
            }
        };
        if matches!(server, ServerName::DnsName(_)) {
            tls.sni = Some(name.to_owned());
        }
        let recorder = Arc::new(Recorder::new(Arc::clone(&self.judge), self.verify == Verify::Record));
        let asked = Arc::new(AskedForCertificate::default());
        let mut config = self.config.clone();
        config.alpn_protocols = offer.iter().map(|p| p.name().as_bytes().to_vec()).collect();
        config.dangerous().set_certificate_verifier(Arc::clone(&recorder) as _);
        config.client_auth_cert_resolver = Arc::clone(&asked) as _;
        let stream = TlsConnector::from(Arc::new(config)).connect(server, tcp).await;
        let (certificate, verdict) = recorder.take();
        tls.certificate = certificate.as_ref().map(facts);
        tls.verification = verdict;
        tls.client_certificate_requested = asked.was();
        match &stream {
            Ok(stream) => negotiated(&mut tls, stream.get_ref().1),
            Err(error) => tls.alert = Some(failure(error)),
        }
        ClientSession { tls, stream }
    }
}

fn pinned(path: &Path) -> Result<Pinned, TlsFileError> {
    let certificates = file::certificates(path)?;
    let unusable = |why: String| TlsFileError::UnusableCertificate { path: PathBuf::from(path), why };
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|why| unusable(why.to_string()))?;
    }
    let roots = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|why| unusable(why.to_string()))?;
    Ok(Pinned::new(certificates, roots))
}
