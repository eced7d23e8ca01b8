//! The one-way functions of NTLMv2 (MS-NLMP sections 3.3.2 and 3.4.5).

use hmac::{Hmac, Mac};
use md4::{Digest, Md4};
use md5::Md5;

use super::utf16;

/// HMAC-MD5 over the concatenation of `parts`.
pub fn hmac_md5(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    // HMAC takes a key of any length, so the error of `new_from_slice` has no case; zeros stand for it.
    let Ok(mut mac) = Hmac::<Md5>::new_from_slice(key) else {
        return [0; 16];
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// NTOWFv2 (MS-NLMP section 3.3.2): the key that a user's password, name and domain make. The user's name counts in
/// upper case, the domain's as sent.
pub fn nt_owf_v2(password: &str, user: &str, domain: &str) -> [u8; 16] {
    let nt_hash: [u8; 16] = Md4::digest(utf16(password)).into();
    hmac_md5(&nt_hash, &[&utf16(&user.to_uppercase()), &utf16(domain)])
}

/// NTProofStr (MS-NLMP section 3.3.2): what proves the password against this challenge and this `temp`.
pub fn nt_proof(key: &[u8; 16], server_challenge: &[u8; 8], temp: &[u8]) -> [u8; 16] {
    hmac_md5(key, &[server_challenge, temp])
}

/// RC4 under the name that the specification gives it (MS-NLMP section 3.4.5, `RC4K`).
pub fn rc4(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut state: [u8; 256] = std::array::from_fn(|i| u8::try_from(i).unwrap_or(0));
    let mut j = 0_u8;
    for (i, k) in (0..256).zip(key.iter().cycle()) {
        j = j.wrapping_add(state[i]).wrapping_add(*k);
        state.swap(i, usize::from(j));
    }
    let (mut i, mut j) = (0_u8, 0_u8);
    data.iter()
        .map(|byte| {
            i = i.wrapping_add(1);
            j = j.wrapping_add(state[usize::from(i)]);
            state.swap(usize::from(i), usize::from(j));
            let at = state[usize::from(i)].wrapping_add(state[usize::from(j)]);
            byte ^ state[usize::from(at)]
        })
        .collect()
}

/// The key that protects the session (MS-NLMP section 3.3.2, SessionBaseKey; it is NTLMv2's KeyExchangeKey as well).
pub fn session_base_key(key: &[u8; 16], nt_proof: &[u8; 16]) -> [u8; 16] {
    hmac_md5(key, &[nt_proof])
}

/// MIC (MS-NLMP section 3.1.5.1.2): over the three messages, the last with its MIC field zeroed.
pub fn mic(exported_key: &[u8], type1: &[u8], type2: &[u8], type3_zeroed: &[u8]) -> [u8; 16] {
    hmac_md5(exported_key, &[type1, type2, type3_zeroed])
}

/// A signature over `message` with sequence number 0 (MS-NLMP section 3.4.4.2): with extended session security and
/// key exchange. It is what SPNEGO's mechListMIC holds (MS-SPNG section 3.3.5.1).
pub fn sign(exported_key: &[u8], from: Signer, flags: u32, message: &[u8]) -> Vec<u8> {
    let magic = |what: &str| {
        let (to, end) = match from {
            Signer::Client => ("client-to-server", what),
            Signer::Server => ("server-to-client", what),
        };
        format!("session key to {to} {end} key magic constant\0")
    };
    let derive = |what: &str| -> [u8; 16] {
        let mut hash = Md5::new();
        md5::Digest::update(&mut hash, exported_key);
        md5::Digest::update(&mut hash, magic(what).as_bytes());
        md5::Digest::finalize(hash).into()
    };
    let checksum = hmac_md5(&derive("signing"), &[&[0; 4], message]);
    let mut signature = vec![1, 0, 0, 0];
    if flags & super::flags::KEY_EXCH == 0 {
        signature.extend_from_slice(&checksum[..8]);
    } else {
        signature.extend(rc4(&derive("sealing"), &checksum[..8]));
    }
    signature.extend_from_slice(&[0; 4]);
    signature
}

/// Whose key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// The initiator.
    Client,
    /// The acceptor.
    Server,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6229 section 2 (40-bit key): a wrong RC4 makes each MIC of a key-exchanging client look altered.
    #[test]
    fn rc4_gives_the_published_stream() {
        assert_eq!(rc4(&[1, 2, 3, 4, 5], &[0; 8]), [0xb2, 0x39, 0x63, 0x05, 0xf0, 0x3d, 0xc0, 0x27]);
    }
}
