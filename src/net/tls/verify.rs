//! Judges of IIS's certificate, and the record of what they said.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

/// Judges by given certificates: as roots, or as the very certificate that IIS shows. IIS's self-signed ones are
/// their own root and not a proper one, so that only the second way accepts them.
#[derive(Debug)]
pub(super) struct Pinned {
    exact: Vec<CertificateDer<'static>>,
    roots: Arc<WebPkiServerVerifier>,
}

impl Pinned {
    pub(super) fn new(exact: Vec<CertificateDer<'static>>, roots: Arc<WebPkiServerVerifier>) -> Self {
        Self { exact, roots }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let by_roots = self.roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match by_roots {
            Err(_) if self.exact.iter().any(|c| c == end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.roots.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.roots.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.roots.supported_verify_schemes()
    }
}

/// Asks the judge, keeps the answer and the certificate of one connection, and is lenient when told so.
///
/// The signature over the handshake is always verified: who does not hold the certificate's key is not IIS.
#[derive(Debug)]
pub(super) struct Recorder {
    judge: Arc<dyn ServerCertVerifier>,
    lenient: bool,
    seen: Mutex<(Option<CertificateDer<'static>>, Option<String>)>,
}

impl Recorder {
    pub(super) fn new(judge: Arc<dyn ServerCertVerifier>, lenient: bool) -> Self {
        Self { judge, lenient, seen: Mutex::default() }
    }

    /// The certificate, and why the judge refused it.
    pub(super) fn take(&self) -> (Option<CertificateDer<'static>>, Option<String>) {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
            (Some(end_entity.clone().into_owned()), verdict.as_ref().err().map(ToString::to_string));
        match verdict {
            Err(_) if self.lenient => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

/// Has no client certificate to give, and remembers that it was asked for one.
#[derive(Debug, Default)]
pub(super) struct AskedForCertificate(AtomicBool);

impl AskedForCertificate {
    pub(super) fn was(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for AskedForCertificate {
    fn resolve(&self, _root_hint_subjects: &[&[u8]], _sigschemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    // rustls does not ask a resolver that says it has none.
    fn has_certs(&self) -> bool {
        true
    }
}
