//! Whether a header's value can be known again where the same message passes a second time, behind a hop or before it.
//!
//! What is told is a keyed hash, as a fingerprint is: without the key nobody can tell whether guessed bytes match.

use std::hash::Hasher as _;

use memchr::memmem;
use siphasher::sip::SipHasher13;

use super::fault::Faults;
use super::field;
use super::token68;
use super::{Key, ntlm};
use crate::model::auth::Scheme;

/// How surely a value is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    /// No other message of the traffic has it, unless somebody sent this one again.
    Unique(u64),
    /// Every request of one user may have it.
    Common(u64),
}

/// A binary token without NTLM that is shorter may be a list of mechanisms, which all clients send alike.
const SHORT: usize = 128;

/// The value of an `Authorization` field (RFC 9110 section 11.6.2); `None` when it says nothing of its own, as a
/// NEGOTIATE (MS-NLMP section 2.2.1.1) does not.
pub fn credentials(value: &[u8], key: &Key) -> Option<Trace> {
    let auth = field::credentials(value);
    match auth.scheme {
        Scheme::Digest => {
            let hash = hash(value.trim_ascii(), key);
            // RFC 7616 section 3.4: with `qop` each request has a count of its own.
            let counted = auth.params.iter().any(|(name, _)| name == "nc");
            Some(if counted { Trace::Unique(hash) } else { Trace::Common(hash) })
        }
        Scheme::Basic | Scheme::Bearer => auth.token68.map(|text| Trace::Common(hash(text.bytes, key))),
        _ => {
            let bytes = token68::decode(auth.token68?, &mut Faults::default());
            let unique = match message_type(&bytes) {
                Some(kind) => kind == AUTHENTICATE,
                None => bytes.len() >= SHORT,
            };
            if unique {
                return Some(Trace::Unique(hash(&bytes, key)));
            }
            None
        }
    }
}

/// The first challenge of a `WWW-Authenticate` value (RFC 9110 section 11.6.1) that no other answer has: a CHALLENGE of
/// NTLM (MS-NLMP section 2.2.1.2), or Kerberos's proof of the server (AP-REP, RFC 4120 section 5.5.2).
///
/// A KRB-ERROR is none: two servers may send the same within a second.
pub fn challenge(value: &[u8], key: &Key) -> Option<u64> {
    if value.len() < 40 {
        return None;
    }
    field::challenges(value).into_iter().find_map(|auth| {
        let bytes = token68::decode(auth.token68?, &mut Faults::default());
        let unique = match message_type(&bytes) {
            Some(kind) => kind == CHALLENGE,
            // TOK_ID 02 00 and `[APPLICATION 15]` (RFC 4121 section 4.1).
            None => bytes.first() == Some(&0x6f) || memmem::find(&bytes, &[2, 0, 0x6f]).is_some(),
        };
        unique.then(|| hash(&bytes, key))
    })
}

/// Any bytes as one number, equal for equal ones; pieces keep their borders.
pub fn of_all<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, key: &Key) -> u64 {
    let mut hasher = SipHasher13::new_with_key(&key.0);
    for piece in pieces {
        hasher.write(&u64::try_from(piece.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.write(piece);
    }
    hasher.finish()
}

fn hash(bytes: &[u8], key: &Key) -> u64 {
    let label: &[u8] = b"authtap passing\0";
    of_all([label, bytes], key)
}

const CHALLENGE: u32 = 2;
const AUTHENTICATE: u32 = 3;

/// MessageType of the NTLM message in a token, bare or wrapped; `None` when there is none.
fn message_type(bytes: &[u8]) -> Option<u32> {
    let at = memmem::find(bytes, ntlm::SIGNATURE)?;
    let rest = bytes.get(at..)?.get(ntlm::SIGNATURE.len()..)?;
    rest.first_chunk::<4>().map(|kind| u32::from_le_bytes(*kind))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const KEY: Key = Key([3; 16]);

    fn message(kind: u8, more: &[u8]) -> String {
        let mut bytes = b"NTLMSSP\0".to_vec();
        bytes.extend([kind, 0, 0, 0]);
        bytes.extend(more);
        bytes.resize(bytes.len().max(60), 0);
        STANDARD.encode(bytes)
    }

    /// What all clients send alike would make a hop of any two servers.
    #[test]
    fn only_what_is_one_messages_own_is_unique() {
        let credentials = |text: String| credentials(text.as_bytes(), &KEY);
        assert_eq!(credentials(format!("NTLM {}", message(1, b""))), None);
        assert_eq!(credentials(format!("Negotiate {}", STANDARD.encode([0x60; 64]))), None);
        assert!(matches!(credentials(format!("NTLM {}", message(3, b"a"))), Some(Trace::Unique(_))));
        assert!(matches!(credentials("Basic dTpw".to_owned()), Some(Trace::Common(_))));
        assert!(matches!(credentials("Digest username=\"a\", response=\"b\"".to_owned()), Some(Trace::Common(_))));
        let counted = "Digest username=\"a\", nc=00000001, response=\"b\"".to_owned();
        assert!(matches!(credentials(counted), Some(Trace::Unique(_))));
        assert_eq!(credentials(String::new()), None);
        // A hop may leave out the padding.
        let whole = format!("NTLM {}", message(3, b"a"));
        assert_eq!(credentials(whole.clone()), credentials(whole.trim_end_matches('=').to_owned()));

        let challenge = |text: String| challenge(text.as_bytes(), &KEY);
        assert_eq!(challenge(format!("NTLM {}", message(3, b""))), None);
        let one = format!("NTLM {}", message(2, b"one"));
        assert!(challenge(one.clone()).is_some());
        assert_eq!(challenge(format!("Negotiate, {one}, Basic realm=\"a\"")), challenge(one.clone()));
        assert_ne!(challenge(format!("NTLM {}", message(2, b"two"))), challenge(one));
        assert_eq!(challenge("Negotiate, NTLM, Basic realm=\"somewhere over there\"".to_owned()), None);
    }
}
