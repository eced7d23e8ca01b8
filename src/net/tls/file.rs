//! PEM files, and what can be wrong with them.

use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What is wrong with a TLS file. Each message names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// It cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        why: std::io::Error,
    },
    /// It is not PEM, or broken PEM.
    #[error("{} is not a PEM file: {why}", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// The reader's words.
        why: String,
    },
    /// No certificate is in it.
    #[error("{} holds no certificate (a PEM block `-----BEGIN CERTIFICATE-----`)", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// No private key is in it.
    #[error("{} holds no private key (a PEM block `-----BEGIN PRIVATE KEY-----`, unencrypted)", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The key is of a kind that cannot be used.
    #[error("the private key in {} cannot be used: {why}", path.display())]
    UnusableKey {
        /// The file.
        path: PathBuf,
        /// rustls' words.
        why: String,
    },
    /// A certificate cannot be used.
    #[error("a certificate in {} cannot be used: {why}", path.display())]
    UnusableCertificate {
        /// The file.
        path: PathBuf,
        /// rustls' words.
        why: String,
    },
    /// Key and certificate do not belong together.
    #[error("the private key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The platform's roots cannot be used.
    #[error("cannot use the platform's certificate verifier: {why}")]
    Platform {
        /// rustls' words.
        why: String,
    },
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFileError> {
    std::fs::read(path).map_err(|why| TlsFileError::Unreadable { path: path.to_owned(), why })
}

fn not_pem(path: &Path, why: &pem::Error) -> TlsFileError {
    TlsFileError::NotPem { path: path.to_owned(), why: why.to_string() }
}

/// All certificates of a file, in order; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let chain = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|why| not_pem(path, &why))?;
    if chain.is_empty() {
        return Err(TlsFileError::NoCertificate { path: path.to_owned() });
    }
    Ok(chain)
}

/// The first private key of a file.
pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFileError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|why| match why {
        pem::Error::NoItemsFound => TlsFileError::NoKey { path: path.to_owned() },
        other => not_pem(path, &other),
    })
}
