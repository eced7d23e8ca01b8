//! Opens the sealed records of one direction, under one set of keys.

use std::ops::Range;

use zeroize::Zeroizing;

use super::aead::{Aead, aead};
use super::cbc::{Cbc, Parts};
use super::derive::{expand, old_prf, prf};
use super::record::Header;
use super::suite::{Cipher, Suite};

/// TLS versions, as they are on the wire.
pub(super) const TLS10: u16 = 0x0301;
pub(super) const TLS12: u16 = 0x0303;
pub(super) const TLS13: u16 = 0x0304;

/// A direction's keys, and how many records they have opened.
pub(super) struct Opener {
    kind: Kind,
    sequence: u64,
}

enum Kind {
    /// TLS 1.2, AES: half of the nonce comes with each record (RFC 5288 section 3; RFC 6655 section 3).
    Explicit {
        cipher: Box<dyn Aead>,
        salt: [u8; 4],
    },
    /// TLS 1.2, ChaCha20-Poly1305 (RFC 7905 section 2).
    Counted {
        cipher: Box<dyn Aead>,
        iv: [u8; 12],
    },
    /// TLS 1.3 (RFC 8446 section 5.2, "Record Payload Protection").
    Tls13 {
        cipher: Box<dyn Aead>,
        iv: [u8; 12],
    },
    Cbc(Cbc),
}

/// What TLS up to 1.2 derives its keys from.
pub(super) struct Before13<'a> {
    pub(super) version: u16,
    pub(super) suite: Suite,
    pub(super) master: &'a [u8],
    pub(super) client_random: &'a [u8; 32],
    pub(super) server_random: &'a [u8; 32],
    pub(super) encrypted_first: bool,
}

impl Before13<'_> {
    /// The client's and the server's keys (RFC 5246 section 6.3, "Key Calculation"); `None` where the suite is not one
    /// of the version.
    pub(super) fn openers(&self) -> Option<(Opener, Opener)> {
        let cipher = self.suite.cipher;
        let (mac, iv) = match cipher {
            Cipher::Aes128Cbc(mac) | Cipher::Aes256Cbc(mac) => (mac.length(), 16),
            Cipher::ChaCha20Poly1305 => (0, 12),
            _ => (0, 4),
        };
        if self.suite.tls13 || (mac == 0 && self.version < TLS12) {
            return None;
        }
        let key = cipher.key();
        let mut block = Zeroizing::new([0; 2 * (48 + 32 + 16)]);
        let block = block.get_mut(..2 * (mac + key + iv))?;
        let seed = [&self.server_random[..], self.client_random];
        if self.version >= TLS12 {
            prf(self.suite.hash, self.master, b"key expansion", seed, block)?;
        } else {
            old_prf(self.master, b"key expansion", seed, block)?;
        }
        let of = |server: usize| {
            let part = |from: usize, length: usize| block.get(from + server * length..from + (server + 1) * length);
            self.opener(part(0, mac)?, part(2 * mac, key)?, part(2 * (mac + key), iv)?)
        };
        Some((of(0)?, of(1)?))
    }

    fn opener(&self, mac_key: &[u8], key: &[u8], iv: &[u8]) -> Option<Opener> {
        let cipher = self.suite.cipher;
        let kind = match cipher {
            Cipher::Aes128Cbc(_) | Cipher::Aes256Cbc(_) => {
                let iv = if self.version == TLS10 { Some(iv.try_into().ok()?) } else { None };
                Kind::Cbc(Cbc::new(cipher, &Parts { key, mac_key, iv, encrypted_first: self.encrypted_first })?)
            }
            Cipher::ChaCha20Poly1305 => Kind::Counted { cipher: aead(cipher, key)?, iv: iv.try_into().ok()? },
            _ => Kind::Explicit { cipher: aead(cipher, key)?, salt: iv.try_into().ok()? },
        };
        Some(Opener { kind, sequence: 0 })
    }
}

impl Opener {
    /// TLS 1.3's keys of a traffic secret (RFC 8446 section 7.3, "Traffic Key Calculation").
    pub(super) fn of_secret(suite: Suite, secret: &[u8]) -> Option<Self> {
        if !suite.tls13 || secret.len() != suite.hash.length() {
            return None;
        }
        let mut key = Zeroizing::new([0; 32]);
        let key = key.get_mut(..suite.cipher.key())?;
        expand(suite.hash, secret, "key", key)?;
        let mut iv = [0; 12];
        expand(suite.hash, secret, "iv", &mut iv)?;
        Some(Self { kind: Kind::Tls13 { cipher: aead(suite.cipher, key)?, iv }, sequence: 0 })
    }

    /// Whether no record was opened yet.
    pub(super) const fn fresh(&self) -> bool {
        self.sequence == 0
    }

    /// Opens a record's fragment in place: its type, and where in the fragment the plain text is. `None` when the tag or
    /// the MAC does not fit; in CBC the fragment is then spoilt.
    pub(super) fn open(&mut self, header: Header, fragment: &mut [u8]) -> Option<(u8, Range<usize>)> {
        let sequence = self.sequence.to_be_bytes();
        let [high, low] = header.version;
        let mut start = [0, 0, 0, 0, 0, 0, 0, 0, header.kind, high, low];
        start[..8].copy_from_slice(&sequence);
        let opened = match &mut self.kind {
            Kind::Explicit { cipher, salt } => {
                let (explicit, sealed) = fragment.split_first_chunk_mut::<8>()?;
                let mut nonce = [0; 12];
                nonce[..4].copy_from_slice(salt);
                nonce[4..].copy_from_slice(explicit);
                // Both the nonce's and the tag's lengths are not the text's.
                let length = cipher.open(&nonce, &additional(start, sealed.len(), cipher.tag())?, sealed)?;
                (header.kind, 8..8 + length)
            }
            Kind::Counted { cipher, iv } => {
                let additional = additional(start, fragment.len(), cipher.tag())?;
                let length = cipher.open(&nonce(*iv, sequence), &additional, fragment)?;
                (header.kind, 0..length)
            }
            Kind::Tls13 { cipher, iv } => {
                let additional = header.bytes();
                let length = cipher.open(&nonce(*iv, sequence), &additional, fragment)?;
                // Zeros after the type are padding (RFC 8446 section 5.4).
                let end = fragment.get(..length)?.iter().rposition(|byte| *byte != 0)?;
                (*fragment.get(end)?, 0..end)
            }
            Kind::Cbc(cbc) => (header.kind, cbc.open(start, fragment)?),
        };
        self.sequence = self.sequence.checked_add(1)?;
        Some(opened)
    }
}

/// The additional data of TLS 1.2 (RFC 5246 section 6.2.3.3, "AEAD Ciphers").
fn additional(start: [u8; 11], sealed: usize, tag: usize) -> Option<[u8; 13]> {
    let length = u16::try_from(sealed.checked_sub(tag)?).ok()?;
    let mut additional = [0; 13];
    additional[..11].copy_from_slice(&start);
    additional[11..].copy_from_slice(&length.to_be_bytes());
    Some(additional)
}

fn nonce(mut iv: [u8; 12], sequence: [u8; 8]) -> [u8; 12] {
    for (byte, counted) in iv[4..].iter_mut().zip(sequence) {
        *byte ^= counted;
    }
    iv
}
