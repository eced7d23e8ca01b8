//! What a token is, told by its first bytes: schemes lie, bytes do not.
//!
//! `Negotiate` may carry raw NTLMSSP (MS-SPNG section 3.1.4, product note 8), `NTLM` may carry SPNEGO, and a mechToken
//! may be GSS-wrapped or bare.

use super::fault::Faults;
use super::{Key, der, kerberos, ntlm, spnego};
use crate::model::auth::Token;

/// A token in a token in a token: real ones nest once. Deeper ones are told and not followed.
const DEPTH: usize = 4;

/// Whether the bytes begin like a token of a family that a scheme of another name may carry.
pub(super) fn known(bytes: &[u8]) -> bool {
    bytes.starts_with(ntlm::SIGNATURE) || spnego::oid::begins_wrapped(bytes)
}

/// Decodes the bytes. `base` is their offset in the whole decoded token, `depth` how many tokens they are inside of.
pub(super) fn decode(bytes: &[u8], base: usize, depth: usize, key: &Key, faults: &mut Faults) -> Token {
    if depth >= DEPTH {
        faults.add(base, "token", format!("at most {DEPTH} tokens inside each other"), "one more, not followed");
        return Token::Unknown;
    }
    match bytes {
        [] => {
            faults.add(base, "token", "a token", "nothing");
            Token::Unknown
        }
        [b'N', b'T', ..] if begins(bytes, ntlm::SIGNATURE) => {
            Token::Ntlm(Box::new(ntlm::decode(bytes, base, key, faults)))
        }
        [b'N', b'E', ..] if begins(bytes, spnego::NEGOEX_SIGNATURE) => Token::Unknown,
        [0x60, ..] => initial_context_token(bytes, base, depth, key, faults),
        [0xa0 | 0xa1, ..] => {
            let message = spnego::decode(bytes, base, depth, key, faults);
            Token::Spnego(Box::new(message))
        }
        [0x6e | 0x6f | 0x7e, ..] => {
            let message = kerberos::decode(bytes, base, key, faults);
            Token::Kerberos(Box::new(message))
        }
        _ => {
            faults.add(
                base,
                "token",
                "NTLMSSP, a GSS-API token, SPNEGO or Kerberos",
                "bytes that begin like none of them",
            );
            Token::Unknown
        }
    }
}

/// Whether `bytes` begin with `signature`, or are a cut beginning of it.
fn begins(bytes: &[u8], signature: &[u8]) -> bool {
    bytes.starts_with(signature) || signature.starts_with(bytes)
}

/// InitialContextToken: `[APPLICATION 0]`, the mechanism's OID, then its own bytes (RFC 2743 section 3.1).
fn initial_context_token(bytes: &[u8], base: usize, depth: usize, key: &Key, faults: &mut Faults) -> Token {
    let mut outer = der::Reader::new(bytes, base);
    let Some(token) = outer.next("gss", faults) else {
        return Token::Unknown;
    };
    outer.expect_end("gss", faults);
    let mut content = token.inside();
    let Some(mech) = content.next("gss.this_mech", faults) else {
        return Token::Unknown;
    };
    let Some(mech) = mech.oid("gss.this_mech", faults) else {
        return Token::Unknown;
    };
    let (rest, at) = content.rest();
    match mech.as_str() {
        spnego::oid::SPNEGO => Token::Spnego(Box::new(spnego::decode(rest, at, depth, key, faults))),
        spnego::oid::KERBEROS | spnego::oid::KERBEROS_MS | spnego::oid::KERBEROS_USER_TO_USER => {
            Token::Kerberos(Box::new(kerberos::wrapped(rest, at, key, faults)))
        }
        // Legal by RFC 2743, seen from no known client; costs one line.
        spnego::oid::NTLM => decode(rest, at, depth.saturating_add(1), key, faults),
        other => {
            faults.add(
                base,
                "gss.this_mech",
                "SPNEGO or Kerberos",
                spnego::oid::name(other).map_or_else(|| other.to_owned(), |name| format!("{other} ({name})")),
            );
            Token::Unknown
        }
    }
}
