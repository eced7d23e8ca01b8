//! Cipher suites: their IANA names, and what the name says of how records are sealed.

use std::sync::LazyLock;

/// Numbers and names of IANA's registry "TLS Cipher Suites".
const SUITES: &str = include_str!("suites.tsv");

static ROWS: LazyLock<Vec<(u16, &'static str)>> = LazyLock::new(|| {
    let row = |line: &'static str| {
        let (number, name) = line.split_once('\t')?;
        Some((u16::from_str_radix(number, 16).ok()?, name))
    };
    SUITES.lines().skip(1).filter_map(row).collect()
});

/// The hash of the key schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
}

impl Hash {
    /// Bytes of its output.
    pub(super) const fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }
}

/// The hash of a CBC suite's HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mac {
    Sha1,
    Sha256,
    Sha384,
}

impl Mac {
    /// Bytes of its output and of its key.
    pub(super) const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }
}

/// How records are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cipher {
    Aes128Gcm,
    Aes256Gcm,
    Aes128Ccm,
    Aes256Ccm,
    Aes128Ccm8,
    Aes256Ccm8,
    ChaCha20Poly1305,
    Aes128Cbc(Mac),
    Aes256Cbc(Mac),
}

impl Cipher {
    /// Bytes of its key.
    pub(super) const fn key(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes128Ccm | Self::Aes128Ccm8 | Self::Aes128Cbc(_) => 16,
            Self::Aes256Gcm | Self::Aes256Ccm | Self::Aes256Ccm8 | Self::Aes256Cbc(_) | Self::ChaCha20Poly1305 => 32,
        }
    }
}

/// A cipher suite that authtap opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suite {
    pub(super) cipher: Cipher,
    pub(super) hash: Hash,
    /// It is one of TLS 1.3, and of no version before.
    pub(super) tls13: bool,
}

/// IANA's name of a cipher suite.
pub(super) fn name(number: u16) -> Option<&'static str> {
    let at = ROWS.binary_search_by_key(&number, |row| row.0).ok()?;
    ROWS.get(at).map(|row| row.1)
}

impl Suite {
    /// `None` of a suite that authtap does not open.
    pub(super) fn numbered(number: u16) -> Option<Self> {
        let name = name(number)?;
        let (tls13, sealed) = match name.split_once("_WITH_") {
            Some((_, sealed)) => (false, sealed),
            None => (true, name.strip_prefix("TLS_")?),
        };
        let (cipher, hash) = match sealed {
            "AES_128_GCM_SHA256" => (Cipher::Aes128Gcm, Hash::Sha256),
            "AES_256_GCM_SHA384" => (Cipher::Aes256Gcm, Hash::Sha384),
            "CHACHA20_POLY1305_SHA256" => (Cipher::ChaCha20Poly1305, Hash::Sha256),
            "AES_128_CCM" | "AES_128_CCM_SHA256" => (Cipher::Aes128Ccm, Hash::Sha256),
            "AES_256_CCM" => (Cipher::Aes256Ccm, Hash::Sha256),
            "AES_128_CCM_8" | "AES_128_CCM_8_SHA256" => (Cipher::Aes128Ccm8, Hash::Sha256),
            "AES_256_CCM_8" => (Cipher::Aes256Ccm8, Hash::Sha256),
            "AES_128_CBC_SHA" => (Cipher::Aes128Cbc(Mac::Sha1), Hash::Sha256),
            "AES_256_CBC_SHA" => (Cipher::Aes256Cbc(Mac::Sha1), Hash::Sha256),
            "AES_128_CBC_SHA256" => (Cipher::Aes128Cbc(Mac::Sha256), Hash::Sha256),
            "AES_256_CBC_SHA256" => (Cipher::Aes256Cbc(Mac::Sha256), Hash::Sha256),
            "AES_256_CBC_SHA384" => (Cipher::Aes256Cbc(Mac::Sha384), Hash::Sha384),
            _ => return None,
        };
        Some(Self { cipher, hash, tls13 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row out of order is not found, and its connections stay closed.
    #[test]
    fn every_row_is_found() {
        let rows: Vec<&str> = SUITES.lines().skip(1).collect();
        assert_eq!(ROWS.len(), rows.len());
        assert!(ROWS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(ROWS.iter().all(|(number, known)| name(*number) == Some(*known)));
    }

    /// What IIS speaks: by numbers from Schannel's documentation.
    #[test]
    fn suites_of_windows_are_opened() {
        let gcm = Suite { cipher: Cipher::Aes256Gcm, hash: Hash::Sha384, tls13: false };
        assert_eq!(name(0xc030), Some("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"));
        assert_eq!(Suite::numbered(0xc030), Some(gcm));
        assert_eq!(Suite::numbered(0x1302), Some(Suite { tls13: true, ..gcm }));
        assert_eq!(Suite::numbered(0xc028).map(|s| s.cipher), Some(Cipher::Aes256Cbc(Mac::Sha384)));
        assert_eq!(Suite::numbered(0x0035).map(|s| s.cipher), Some(Cipher::Aes256Cbc(Mac::Sha1)));
        assert_eq!((name(0x000a), Suite::numbered(0x000a)), (Some("TLS_RSA_WITH_3DES_EDE_CBC_SHA"), None));
        assert_eq!((name(0xfafa), Suite::numbered(0xfafa)), (None, None));
    }
}
