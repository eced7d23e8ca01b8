//! Header values become typed, redacted facts. Tolerant: a peer's bad bytes are data, with faults.
//!
//! # The road of a value
//!
//! `field` reads the grammar of RFC 9110 section 11 (scheme, token68, parameters); `token68` decodes base64 that
//! need not be perfect; `family` tells by its bytes, not by its scheme, what a token is; [`ntlm`], [`spnego`] and
//! [`kerberos`] decode it; `basic`, `digest` and [`bearer`] read the schemes that are not binary. Each decoder
//! returns what could be read and tells the rest as [`Fault`](crate::model::auth::Fault)s.
//!
//! # What must hold
//!
//! - No input panics, loops or takes memory out of proportion: no indexing, no unchecked arithmetic, no `as`, in the
//!   whole module, by lint; nesting has a limit, and so has the number of faults.
//! - Passwords, NT and LM responses, session keys, the MIC, the server's challenge, Kerberos ciphertext, Digest
//!   responses and bearer tokens are read here at most to measure or fingerprint them; no value that leaves holds one.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

mod basic;
pub mod bearer;
mod bytes;
pub mod channel_binding;
mod der;
mod digest;
mod family;
mod fault;
mod field;
mod fingerprint;
pub mod kerberos;
pub mod ntlm;
pub mod passing;
pub mod redact;
mod scheme;
pub mod spnego;
mod token68;

use crate::model::auth::{AuthField, Basic, Bearer, Scheme, Token};
use fault::Faults;
use field::Auth;

/// The key of this run's fingerprints.
#[derive(Debug, Clone, Copy)]
pub struct Key(pub [u8; 16]);

/// Decodes the values of all `WWW-Authenticate` fields of one response, in order (RFC 9110 section 11.6.1).
///
/// Offsets in faults count from the start of the field value that held the challenge, or from the start of the decoded
/// token. A value of which not even a scheme could be read comes back as one challenge without a scheme, so that its
/// fault is not lost.
pub fn challenges(values: &[&[u8]], key: &Key) -> Vec<AuthField> {
    values.iter().flat_map(|value| field::challenges(value)).map(|auth| challenge(auth, key)).collect()
}

/// As [`challenges`] of one value, and beside it the value as an event may hold it ([`redact::header`]).
pub fn challenges_and_shown(value: &[u8], key: &Key) -> (Vec<AuthField>, String) {
    let list = field::challenges(value);
    let shown = redact::challenges_read(&list);
    (list.into_iter().map(|auth| challenge(auth, key)).collect(), shown)
}

fn challenge(auth: Auth<'_>, key: &Key) -> AuthField {
    let mut faults = auth.faults;
    let mut params = auth.params;
    let (token, token_bytes) = match (&auth.scheme, auth.token68) {
        (Scheme::Basic, None) if !params.is_empty() => (Token::Basic(Basic::default()), 0),
        (Scheme::Digest, None) if !params.is_empty() => (Token::Digest, 0),
        (Scheme::Bearer, None) if !params.is_empty() => (Token::Bearer(Bearer::default()), 0),
        (_, None) => (Token::None, 0),
        (Scheme::Basic | Scheme::Digest | Scheme::Bearer, Some(text)) => {
            faults.add(
                text.offset,
                "challenge",
                "parameters such as realm",
                format!("a token of {} bytes", text.bytes.len()),
            );
            (Token::Unknown, text.bytes.len())
        }
        (scheme, Some(text)) => binary(scheme, text, key, &mut faults),
    };
    scheme::withhold_of_challenge(&auth.scheme, &mut params);
    AuthField {
        scheme: auth.scheme,
        scheme_as_sent: auth.scheme_as_sent,
        token,
        token_bytes,
        params,
        faults: faults.into_list(),
    }
}

/// Decodes the value of an `Authorization` field (RFC 9110 section 11.6.2).
///
/// A value that has no scheme known to be one is taken for a secret: its text is not kept.
pub fn credentials(value: &[u8], key: &Key) -> AuthField {
    credentials_of(field::credentials(value), key)
}

/// As [`credentials`], and beside it the value as an event may hold it ([`redact::header`]).
pub fn credentials_and_shown(value: &[u8], key: &Key) -> (AuthField, String) {
    let auth = field::credentials(value);
    let shown = redact::credentials_read(&auth);
    (credentials_of(auth, key), shown)
}

fn credentials_of(auth: Auth<'_>, key: &Key) -> AuthField {
    let mut faults = auth.faults;
    let mut params = auth.params;
    let (token, token_bytes) = match (&auth.scheme, auth.token68) {
        (Scheme::Digest, None) if !params.is_empty() => {
            digest::withhold(&mut params, &mut faults);
            (Token::Digest, 0)
        }
        (_, None) => {
            scheme::withhold_of_credentials(&mut params, !faults.is_empty());
            (Token::None, 0)
        }
        (Scheme::Basic, Some(text)) => basic::credentials(text, &mut faults),
        (Scheme::Bearer, Some(text)) => (Token::Bearer(bearer::credentials(text, &mut faults)), text.bytes.len()),
        (Scheme::Digest, Some(text)) => {
            faults.add(
                text.offset,
                "credentials",
                "parameters such as username",
                format!("a token of {} bytes", text.bytes.len()),
            );
            (Token::Unknown, text.bytes.len())
        }
        (scheme, Some(text)) => binary(scheme, text, key, &mut faults),
    };
    AuthField {
        scheme: auth.scheme,
        scheme_as_sent: auth.scheme_as_sent,
        token,
        token_bytes,
        params,
        faults: faults.into_list(),
    }
}

/// A token of `NTLM`, `Negotiate` and their like; or of an unknown scheme, where only known bytes count.
fn binary(scheme: &Scheme, text: field::Text<'_>, key: &Key, faults: &mut Faults) -> (Token, usize) {
    if let Scheme::Other(_) = scheme {
        let mut own = Faults::default();
        let bytes = token68::decode(text, &mut own);
        if own.is_empty() && family::known(&bytes) {
            return (family::decode(&bytes, 0, 0, key, faults), bytes.len());
        }
        return (Token::Unknown, text.bytes.len());
    }
    let bytes = token68::decode(text, faults);
    (family::decode(&bytes, 0, 0, key, faults), bytes.len())
}
