//! NEGOEX messages (MS-NEGOEX section 2.2.6) in a mechToken: which they are. What is in them belongs to other mechanisms.

use super::super::bytes::{index, u32_le};
use super::super::fault::Faults;

/// The first eight bytes of each message (MS-NEGOEX section 2.2.6.2).
pub(in crate::token) const SIGNATURE: &[u8] = b"NEGOEXTS";

/// Message types by number (MS-NEGOEX section 2.2.6.1).
const TYPES: [&str; 8] = [
    "initiator-nego",
    "acceptor-nego",
    "initiator-meta-data",
    "acceptor-meta-data",
    "challenge",
    "ap-request",
    "verify",
    "alert",
];

/// Signature, MessageType, SequenceNum, cbHeaderLength, cbMessageLength, ConversationId (MS-NEGOEX section 2.2.6.2).
const TYPE: usize = 8;
const LENGTH: usize = 20;
const HEADER: usize = 40;

/// Real tokens hold up to six messages.
const LIMIT: usize = 32;

/// The types of the messages that `bytes`, which begin at offset `base`, are made of; empty when they are not NEGOEX's.
pub(super) fn messages(bytes: &[u8], base: usize, faults: &mut Faults) -> Vec<String> {
    let mut found = Vec::new();
    let (mut rest, mut at) = (bytes, base);
    while rest.starts_with(SIGNATURE) {
        if found.len() >= LIMIT {
            faults.add(at, "negoex", format!("at most {LIMIT} messages"), "more");
            break;
        }
        let kind = u32_le(rest, TYPE);
        let name = kind.and_then(|kind| TYPES.get(index(kind)));
        found.push(match (name, kind) {
            (Some(name), _) => (*name).to_owned(),
            (None, Some(kind)) => format!("type {kind}"),
            (None, None) => "unreadable".to_owned(),
        });
        let length = u32_le(rest, LENGTH).map(index);
        match length {
            Some(length) if length >= HEADER && length <= rest.len() => {
                rest = rest.get(length..).unwrap_or_default();
                at = at.saturating_add(length);
            }
            _ => {
                let got = length.map_or_else(|| "the end".to_owned(), |length| length.to_string());
                let expected = format!("a length of {HEADER} to {}", rest.len());
                faults.add(at.saturating_add(LENGTH), "negoex.message_length", expected, got);
                break;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, length: u8) -> Vec<u8> {
        let head = [b"NEGOEXTS", &[kind, 0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0, length, 0, 0, 0][..]].concat();
        [head, vec![0; usize::from(length.saturating_sub(24))]].concat()
    }

    /// An alert after a hello says where a negotiation of Azure AD joined machines ended.
    #[test]
    fn messages_are_told_in_order() {
        let mut faults = Faults::default();
        let bytes = [message(0, 49), message(2, 40), message(7, 41)].concat();
        assert_eq!(messages(&bytes, 0, &mut faults), ["initiator-nego", "initiator-meta-data", "alert"]);
        assert!(faults.is_empty());
        let cut: Vec<u8> = bytes.into_iter().take(58).collect();
        assert_eq!(messages(&cut, 0, &mut faults), ["initiator-nego", "unreadable"]);
        assert_eq!(faults.into_list().first().map(|fault| fault.offset), Some(69));
        assert_eq!(messages(&message(9, 40), 0, &mut Faults::default()), ["type 9"]);
    }

    /// A length of nothing must not loop.
    #[test]
    fn a_message_without_length_ends_the_reading() {
        let bytes = [message(0, 24), message(0, 40)].concat();
        let zero: Vec<u8> = bytes.iter().enumerate().map(|(at, byte)| if at == 20 { 0 } else { *byte }).collect();
        for bytes in [bytes, zero] {
            let mut faults = Faults::default();
            assert_eq!(messages(&bytes, 0, &mut faults), ["initiator-nego"]);
            assert!(!faults.is_empty());
        }
    }
}
