//! Fingerprints: equal for equal bytes within one run, and of no use outside it.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use super::Key;

/// What is fingerprinted. Kinds never meet: the same bytes under two kinds have two fingerprints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// MachineID of an NTLM Single_Host_Data (MS-NLMP section 2.2.2.2).
    Machine,
    /// A cookie, its name and value (RFC 6265 section 4.2).
    Cookie,
    /// The ciphertext of a Kerberos ticket (RFC 4120 section 5.3).
    Ticket,
    /// A whole AP-REQ (RFC 4120 section 5.5.1): the same one twice is a replay.
    Request,
}

impl Kind {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Machine => b"authtap machine\0",
            Self::Cookie => b"authtap cookie\0",
            Self::Ticket => b"authtap ticket\0",
            Self::Request => b"authtap request\0",
        }
    }
}

/// The fingerprint of several pieces as one.
pub(super) fn of_all(kind: Kind, pieces: &[&[u8]], key: &Key) -> String {
    let mut hasher = SipHasher13::new_with_key(&key.0);
    hasher.write(kind.label());
    for piece in pieces {
        // Lengths keep the borders: two ways to cut the same bytes are two inputs.
        hasher.write(&u64::try_from(piece.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.write(piece);
    }
    format!("{:016x}", hasher.finish())
}

/// 16 hex characters: SipHash-1-3, as in Rust's own hash maps, with the run's key. Without the key nobody can tell whether guessed bytes match.
pub(super) fn of(kind: Kind, bytes: &[u8], key: &Key) -> String {
    let mut hasher = SipHasher13::new_with_key(&key.0);
    hasher.write(kind.label());
    hasher.write(bytes);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fingerprint that is not keyed, or that mixes kinds, would let a reader of a capture identify a machine.
    #[test]
    fn depends_on_key_and_kind() {
        let (a, b) = (Key([1; 16]), Key([2; 16]));
        assert_eq!(of(Kind::Machine, b"x", &a), of(Kind::Machine, b"x", &a));
        assert_ne!(of(Kind::Machine, b"x", &a), of(Kind::Machine, b"x", &b));
        assert_ne!(of(Kind::Machine, b"x", &a), of(Kind::Ticket, b"x", &a));
        assert_eq!(of(Kind::Ticket, b"", &a).len(), 16);
    }
}
