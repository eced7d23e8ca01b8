//! From secrets to keys: TLS's pseudorandom functions and TLS 1.3's HKDF.

use hkdf::Hkdf;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha256, Sha384};

use super::suite::Hash;

/// `PRF(secret, label, seed)` of TLS 1.2 (RFC 5246 section 5, "HMAC and the Pseudorandom Function").
pub(super) fn prf(hash: Hash, secret: &[u8], label: &[u8], seed: [&[u8]; 2], out: &mut [u8]) -> Option<()> {
    out.fill(0);
    let seed = [label, seed[0], seed[1]];
    match hash {
        Hash::Sha256 => mix::<Hmac<Sha256>>(secret, seed, out),
        Hash::Sha384 => mix::<Hmac<Sha384>>(secret, seed, out),
    }
}

/// The same of TLS 1.0 and 1.1 (RFC 2246 section 5): MD5 and SHA-1, each with half of the secret.
pub(super) fn old_prf(secret: &[u8], label: &[u8], seed: [&[u8]; 2], out: &mut [u8]) -> Option<()> {
    out.fill(0);
    let seed = [label, seed[0], seed[1]];
    let half = secret.len().div_ceil(2);
    mix::<Hmac<Md5>>(secret.get(..half)?, seed, out)?;
    mix::<Hmac<Sha1>>(secret.get(secret.len() - half..)?, seed, out)
}

/// `P_hash`, added to `out` by exclusive or.
fn mix<M: Mac + KeyInit>(secret: &[u8], seed: [&[u8]; 3], out: &mut [u8]) -> Option<()> {
    let keyed = || <M as Mac>::new_from_slice(secret).ok();
    let mut a = {
        let mut mac = keyed()?;
        for part in seed {
            Mac::update(&mut mac, part);
        }
        mac.finalize().into_bytes()
    };
    for chunk in out.chunks_mut(a.len()) {
        let mut mac = keyed()?;
        Mac::update(&mut mac, &a);
        for part in seed {
            Mac::update(&mut mac, part);
        }
        for (byte, mixed) in chunk.iter_mut().zip(mac.finalize().into_bytes()) {
            *byte ^= mixed;
        }
        let mut next = keyed()?;
        Mac::update(&mut next, &a);
        a = next.finalize().into_bytes();
    }
    Some(())
}

/// `HKDF-Expand-Label(secret, label, "", length of out)` (RFC 8446 section 7.1, "Key Schedule").
pub(super) fn expand(hash: Hash, secret: &[u8], label: &str, out: &mut [u8]) -> Option<()> {
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    let named = [u8::try_from(6 + label.len()).ok()?];
    let info: [&[u8]; 5] = [&length, &named, b"tls13 ", label.as_bytes(), &[0]];
    match hash {
        Hash::Sha256 => Hkdf::<Sha256>::from_prk(secret).ok()?.expand_multi_info(&info, out).ok(),
        Hash::Sha384 => Hkdf::<Sha384>::from_prk(secret).ok()?.expand_multi_info(&info, out).ok(),
    }
}
