//! AES-CBC with HMAC, as TLS 1.0 to 1.2 seal records (RFC 5246 section 6.2.3.2, "CBC Block Cipher"), in either order of
//! the two (RFC 7366, "Encrypt-then-MAC").
//!
//! Nothing here runs in constant time: who reads a capture answers to no attacker.

use std::ops::Range;

use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockCipher, BlockDecrypt, BlockDecryptMut, InnerIvInit, KeyInit};
use aes::{Aes128Dec, Aes256Dec};
use cbc::Decryptor;
use hmac::Hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha384};

use super::suite::{Cipher, Mac};

const BLOCK: usize = 16;

/// AES with its key.
trait Blocks: Send {
    /// Whole blocks, in place.
    fn decrypt(&self, iv: &[u8; BLOCK], blocks: &mut [u8]) -> Option<()>;
}

impl<C: BlockDecrypt + BlockCipher<BlockSize = aes::cipher::consts::U16> + Clone + Send> Blocks for C {
    fn decrypt(&self, iv: &[u8; BLOCK], blocks: &mut [u8]) -> Option<()> {
        let cbc = Decryptor::<Self>::inner_iv_init(self.clone(), iv.into());
        cbc.decrypt_padded_mut::<NoPadding>(blocks).ok().map(|_| ())
    }
}

/// HMAC with its key.
trait Check: Send {
    fn fits(&self, parts: [&[u8]; 2], mac: &[u8]) -> bool;
}

impl<M: hmac::Mac + Clone + Send> Check for M {
    fn fits(&self, parts: [&[u8]; 2], mac: &[u8]) -> bool {
        let keyed = parts.iter().fold(self.clone(), hmac::Mac::chain_update);
        keyed.verify_slice(mac).is_ok()
    }
}

/// One direction's CBC.
pub(super) struct Cbc {
    blocks: Box<dyn Blocks>,
    check: Box<dyn Check>,
    mac: usize,
    /// TLS 1.0: the last block of the record before. Later versions send each record's own.
    chained: Option<[u8; BLOCK]>,
    encrypted_first: bool,
}

/// What a direction's CBC is made of.
pub(super) struct Parts<'a> {
    pub(super) key: &'a [u8],
    pub(super) mac_key: &'a [u8],
    /// TLS 1.0's first initialization vector.
    pub(super) iv: Option<[u8; BLOCK]>,
    pub(super) encrypted_first: bool,
}

impl Cbc {
    /// `None` of suites without CBC, and of keys that have not their length.
    pub(super) fn new(cipher: Cipher, parts: &Parts<'_>) -> Option<Self> {
        let (blocks, mac): (Box<dyn Blocks>, Mac) = match cipher {
            Cipher::Aes128Cbc(mac) => (Box::new(Aes128Dec::new_from_slice(parts.key).ok()?), mac),
            Cipher::Aes256Cbc(mac) => (Box::new(Aes256Dec::new_from_slice(parts.key).ok()?), mac),
            _ => return None,
        };
        let check: Box<dyn Check> = match mac {
            Mac::Sha1 => Box::new(<Hmac<Sha1> as hmac::Mac>::new_from_slice(parts.mac_key).ok()?),
            Mac::Sha256 => Box::new(<Hmac<Sha256> as hmac::Mac>::new_from_slice(parts.mac_key).ok()?),
            Mac::Sha384 => Box::new(<Hmac<Sha384> as hmac::Mac>::new_from_slice(parts.mac_key).ok()?),
        };
        let encrypted_first = parts.encrypted_first;
        Some(Self { blocks, check, mac: mac.length(), chained: parts.iv, encrypted_first })
    }

    /// Opens a record's fragment in place; gives where in it the plain text is, `None` when the MAC does not fit.
    /// `start` is what the MAC covers before the length: sequence number, type and version.
    pub(super) fn open(&mut self, start: [u8; 11], fragment: &mut [u8]) -> Option<Range<usize>> {
        let header = |length: usize| {
            let mut header = [0; 13];
            header[..11].copy_from_slice(&start);
            header[11..].copy_from_slice(&u16::try_from(length).ok()?.to_be_bytes());
            Some(header)
        };
        let mut sealed = fragment;
        if self.encrypted_first {
            let (encrypted, mac) = sealed.split_at_mut_checked(sealed.len().checked_sub(self.mac)?)?;
            self.check.fits([&header(encrypted.len())?, encrypted], mac).then_some(())?;
            sealed = encrypted;
        }
        let (iv, from) = match self.chained {
            Some(iv) => (iv, 0),
            None => (*sealed.first_chunk()?, BLOCK),
        };
        let blocks = sealed.get_mut(from..)?;
        let last = *blocks.last_chunk()?;
        self.blocks.decrypt(&iv, blocks)?;
        if self.chained.is_some() {
            self.chained = Some(last);
        }
        let padding = usize::from(*blocks.last()?);
        let padded = blocks.len().checked_sub(padding + 1)?;
        blocks.get(padded..)?.iter().all(|byte| usize::from(*byte) == padding).then_some(())?;
        let length = if self.encrypted_first {
            padded
        } else {
            let length = padded.checked_sub(self.mac)?;
            let (text, mac) = blocks.get(..padded)?.split_at_checked(length)?;
            self.check.fits([&header(length)?, text], mac).then_some(())?;
            length
        };
        Some(from..from + length)
    }
}
