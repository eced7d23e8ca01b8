//! The values that Extended Protection compares, from certificates (RFC 5929 section 4, "tls-server-end-point").

use md5::Md5;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The MD5 of `gss_channel_bindings_struct` (RFC 2744 section 3.11) with `tls-server-end-point:` and the certificate's
/// hash: what NTLM's MsvAvChannelBindings carries (MS-NLMP section 2.2.2.1, "AV_PAIR").
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

/// The values that a certificate (DER) may have, lower-case hex, for SHA-256, SHA-384 and SHA-512.
///
/// RFC 5929 section 4.1 picks the hash by the certificate's signature, and Windows has an exception of its own: whoever
/// compares takes any of the three.
pub fn of_certificate(der: &[u8]) -> [String; 3] {
    [
        hex(channel_binding(&Sha256::digest(der))),
        hex(channel_binding(&Sha384::digest(der))),
        hex(channel_binding(&Sha512::digest(der))),
    ]
}

fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wrong hash would blame the certificate of every healthy site, or of none.
    #[test]
    fn the_channel_binding_is_the_one_of_microsofts_example() {
        let text = "ea05fefecc6b0bd571dbbc5baa3ed45386d0446835f7b74c85621b9983475f95";
        let hash: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect();
        assert_eq!(hex(channel_binding(&hash)), "6586e99d81c2fc984e47172fd4dd0310");
    }
}
