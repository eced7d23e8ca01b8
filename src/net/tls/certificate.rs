//! Facts of a certificate, and the hashes that Extended Protection compares.

use md5::Md5;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_parser::oid_registry::Oid;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::model::transport::Certificate;

/// A hash function that a channel binding may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

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
        channel_bindings: Hash::ALL.iter().map(|h| hex(&channel_binding(&h.of(der)))).collect(),
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

/// The MD5 of `gss_channel_bindings` with `tls-server-end-point:` and the certificate's hash: what NTLM's
/// MsvAvChannelBindings carries (MS-NLMP section 2.2.2.1, "AV_PAIR"; RFC 5929 section 4).
pub fn channel_binding(certificate_hash: &[u8]) -> [u8; 16] {
    const PREFIX: &[u8] = b"tls-server-end-point:";
    let length = u32::try_from(PREFIX.len() + certificate_hash.len()).unwrap_or(u32::MAX);
    let mut md5 = Md5::new();
    // Types and lengths of the initiator's and acceptor's addresses: all zero.
    md5.update([0; 16]);
    md5.update(length.to_le_bytes());
    md5.update(PREFIX);
    md5.update(certificate_hash);
    md5.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wrong hash would blame the certificate of every healthy site, or of none.
    #[test]
    fn the_channel_binding_is_the_one_of_microsofts_example() {
        let hash: Vec<u8> = (0..32)
            .map(|i| {
                let all = "ea05fefecc6b0bd571dbbc5baa3ed45386d0446835f7b74c85621b9983475f95";
                u8::from_str_radix(&all[2 * i..2 * i + 2], 16).unwrap()
            })
            .collect();
        assert_eq!(hex(&channel_binding(&hash)), "6586e99d81c2fc984e47172fd4dd0310");
    }
}
