//! AEAD ciphers of TLS behind one interface. AES-NI and its like are found at run time by the crates.

use aes::{Aes128, Aes256};
use aes_gcm::aead::consts::{U8, U12, U16};
use aes_gcm::aead::generic_array::typenum::Unsigned as _;
use aes_gcm::aead::{AeadCore, AeadInPlace, KeyInit, Tag};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use ccm::Ccm;
use chacha20poly1305::ChaCha20Poly1305;

use super::suite::Cipher;

/// A cipher with its key.
pub(super) trait Aead: Send {
    /// Opens what was sealed, in place; gives the length of the plain text, `None` when the tag does not fit.
    fn open(&self, nonce: &[u8; 12], additional: &[u8], sealed: &mut [u8]) -> Option<usize>;

    /// Bytes of the tag behind what was sealed.
    fn tag(&self) -> usize;
}

impl<A: AeadInPlace + AeadCore<NonceSize = U12> + Send> Aead for A {
    fn open(&self, nonce: &[u8; 12], additional: &[u8], sealed: &mut [u8]) -> Option<usize> {
        let length = sealed.len().checked_sub(self.tag())?;
        let (text, tag) = sealed.split_at_mut_checked(length)?;
        let tag = Tag::<Self>::clone_from_slice(tag);
        self.decrypt_in_place_detached(nonce.into(), additional, text, &tag).ok()?;
        Some(length)
    }

    fn tag(&self) -> usize {
        A::TagSize::USIZE
    }
}

fn boxed<A: Aead + KeyInit + 'static>(key: &[u8]) -> Option<Box<dyn Aead>> {
    Some(Box::new(A::new_from_slice(key).ok()?))
}

/// The cipher of a suite; `None` of CBC, and of a key that has not its length.
pub(super) fn aead(cipher: Cipher, key: &[u8]) -> Option<Box<dyn Aead>> {
    match cipher {
        Cipher::Aes128Gcm => boxed::<Aes128Gcm>(key),
        Cipher::Aes256Gcm => boxed::<Aes256Gcm>(key),
        Cipher::ChaCha20Poly1305 => boxed::<ChaCha20Poly1305>(key),
        Cipher::Aes128Ccm => boxed::<Ccm<Aes128, U16, U12>>(key),
        Cipher::Aes256Ccm => boxed::<Ccm<Aes256, U16, U12>>(key),
        Cipher::Aes128Ccm8 => boxed::<Ccm<Aes128, U8, U12>>(key),
        Cipher::Aes256Ccm8 => boxed::<Ccm<Aes256, U8, U12>>(key),
        Cipher::Aes128Cbc(_) | Cipher::Aes256Cbc(_) => None,
    }
}
