//! Facts of a certificate, and the hashes that Extended Protection compares.

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_parser::oid_registry::Oid;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::model::channel_binding;
use crate::model::transport::Certificate;

/// A hash function that a channel binding may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    fn of(self, der: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(der).to_vec(),
            Self::Sha384 => Sha384::digest(der).to_vec(),
            Self::Sha512 => Sha512::digest(der).to_vec(),
        }
    }
}

/// The facts of a DER certificate; one that cannot be parsed still has its hashes.
pub fn facts(der: &CertificateDer<'_>) -> Certificate {
    let parsed = X509Certificate::from_der(der).ok().map(|(_, c)| c);
    let (algorithm, hash) =
        parsed.as_ref().map_or_else(|| (String::new(), Hash::Sha256), |c| signature(&c.signature_algorithm));
    let mut facts = Certificate {
        signature_algorithm: algorithm,
        sha256: hex(&Hash::Sha256.of(der)),
        end_point: hex(&hash.of(der)),
        end_point_hash: hash.name().to_owned(),
        channel_bindings: channel_binding::of_certificate(der).to_vec(),
        ..Certificate::default()
    };
    if let Some(c) = parsed {
        facts.subject = c.subject().to_string();
        facts.issuer = c.issuer().to_string();
        facts.not_after = jiff::Timestamp::from_second(c.validity().not_after.timestamp())
            .map_or_else(|_| c.validity().not_after.to_string(), |t| t.to_string());
        if let Ok(Some(names)) = c.subject_alternative_name() {
            facts.names = names.value.general_names.iter().filter_map(name).collect();
        }
    }
    facts
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(dns) => Some((*dns).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|b| std::net::Ipv4Addr::from(b).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|b| std::net::Ipv6Addr::from(b).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// Name of a signature algorithm, and the hash that RFC 5929 section 4.1 ("Description") derives from it: MD5 and
/// SHA-1 become SHA-256. Where the RFC leaves it undefined (Ed25519) Windows takes SHA-256.
fn signature(algorithm: &x509_parser::x509::AlgorithmIdentifier<'_>) -> (String, Hash) {
    let oid = algorithm.algorithm.to_id_string();
    let (name, hash) = match oid.as_str() {
        "1.2.840.113549.1.1.4" => ("md5WithRSAEncryption", Hash::Sha256),
        "1.2.840.113549.1.1.5" => ("sha1WithRSAEncryption", Hash::Sha256),
        "1.2.840.113549.1.1.11" => ("sha256WithRSAEncryption", Hash::Sha256),
        "1.2.840.113549.1.1.12" => ("sha384WithRSAEncryption", Hash::Sha384),
        "1.2.840.113549.1.1.13" => ("sha512WithRSAEncryption", Hash::Sha512),
        "1.2.840.10045.4.1" => ("ecdsa-with-SHA1", Hash::Sha256),
        "1.2.840.10045.4.3.2" => ("ecdsa-with-SHA256", Hash::Sha256),
        "1.2.840.10045.4.3.3" => ("ecdsa-with-SHA384", Hash::Sha384),
        "1.2.840.10045.4.3.4" => ("ecdsa-with-SHA512", Hash::Sha512),
        "1.2.840.113549.1.1.10" => ("RSASSA-PSS", pss_hash(algorithm)),
        "1.3.101.112" => ("Ed25519", Hash::Sha256),
        _ => return (oid, Hash::Sha256),
    };
    (name.to_owned(), hash)
}

/// The hash in RSASSA-PSS-params (RFC 4055 section 3.1, "The RSASSA-PSS Public Key Algorithm"); SHA-1 by default.
fn pss_hash(algorithm: &x509_parser::x509::AlgorithmIdentifier<'_>) -> Hash {
    let Some(params) = &algorithm.parameters else {
        return Hash::Sha256;
    };
    let Ok(params) = x509_parser::signature_algorithm::RsaSsaPssParams::try_from(params) else {
        return Hash::Sha256;
    };
    let is = |oid: &[u64]| Oid::from(oid).is_ok_and(|o| o == *params.hash_algorithm_oid());
    if is(&[2, 16, 840, 1, 101, 3, 4, 2, 2]) {
        Hash::Sha384
    } else if is(&[2, 16, 840, 1, 101, 3, 4, 2, 3]) {
        Hash::Sha512
    } else {
        Hash::Sha256
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}
