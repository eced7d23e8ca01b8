//! Why a connection stays closed, and what alerts and versions are called.

use std::fmt;

use super::suite;

/// Why a TLS connection cannot be read (on). As text it ends a line like "3 TLS connections stayed closed: …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// The key log does not know the client's random, or lacks one of its secrets.
    NoSecrets,
    /// It was negotiated anew, and the key log does not know that handshake.
    NoSecretsAnew,
    /// A cipher suite, by its number, that authtap does not open.
    Suite(u16),
    /// A version, as on the wire, that authtap does not open.
    Version(u16),
    /// The first byte of a direction was not captured.
    NotFromBeginning,
    /// What one side says answers what the capture does not show of the other.
    OneSided,
    /// A tag or a MAC does not fit the first record under its key.
    DoNotFit,
    /// What came is not TLS, or a tag does not fit later on.
    Damaged,
    /// Bytes were lost from the capture.
    Missing,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSecrets => "no secrets for them in the key log",
            Self::NoSecretsAnew => "they were negotiated anew, and the key log has no secrets of that",
            Self::Suite(number) => {
                return match suite::name(*number) {
                    Some(name) => write!(f, "authtap does not open the cipher suite {name}"),
                    None => write!(f, "authtap does not open the cipher suite 0x{number:04x}"),
                };
            }
            Self::Version(number) => return write!(f, "authtap does not open {}", version(*number)),
            Self::NotFromBeginning => "their beginning was not captured",
            Self::OneSided => "only one direction of them was captured",
            Self::DoNotFit => "the secrets in the key log do not fit",
            Self::Damaged => "a record of them is damaged",
            Self::Missing => "bytes of them are missing from the capture",
        })
    }
}

/// A version as `model::transport::Tls` names it.
pub(super) fn version(number: u16) -> String {
    match number {
        0x0002 => "SSL2.0".to_owned(),
        0x0300 => "SSL3.0".to_owned(),
        0x0301..=0x0304 => format!("TLS1.{}", number - 0x0301),
        other => format!("TLS version 0x{other:04x}"),
    }
}

/// An alert's name (RFC 8446 section 6, "Alert Protocol"; RFC 5246 section 7.2), spelt as it is of live connections.
pub(super) fn alert(number: u8) -> String {
    let name = match number {
        10 => "UnexpectedMessage",
        20 => "BadRecordMac",
        21 => "DecryptionFailed",
        22 => "RecordOverflow",
        30 => "DecompressionFailure",
        40 => "HandshakeFailure",
        41 => "NoCertificate",
        42 => "BadCertificate",
        43 => "UnsupportedCertificate",
        44 => "CertificateRevoked",
        45 => "CertificateExpired",
        46 => "CertificateUnknown",
        47 => "IllegalParameter",
        48 => "UnknownCA",
        49 => "AccessDenied",
        50 => "DecodeError",
        51 => "DecryptError",
        60 => "ExportRestriction",
        70 => "ProtocolVersion",
        71 => "InsufficientSecurity",
        80 => "InternalError",
        86 => "InappropriateFallback",
        90 => "UserCanceled",
        100 => "NoRenegotiation",
        109 => "MissingExtension",
        110 => "UnsupportedExtension",
        111 => "CertificateUnobtainable",
        112 => "UnrecognisedName",
        113 => "BadCertificateStatusResponse",
        114 => "BadCertificateHashValue",
        115 => "UnknownPSKIdentity",
        116 => "CertificateRequired",
        120 => "NoApplicationProtocol",
        121 => "EncryptedClientHelloRequired",
        other => return format!("Unknown({other})"),
    };
    name.to_owned()
}
