//! SPNEGO (RFC 4178 section 4.2, MS-SPNG section 2.2.1), with what its tokens carry.

mod negoex;
mod notes;
pub mod oid;

pub(super) use negoex::SIGNATURE as NEGOEX_SIGNATURE;
pub use notes::{Choice, choice, notes};

use asn1_rs::Tag;

use super::der::{Element, Reader};
use super::fault::Faults;
use super::{Key, family};
use crate::model::auth::Spnego;

/// Longer lists are no negotiation; keeps a hostile list from growing in memory.
const MECHS_LIMIT: usize = 64;

/// Bits of ContextFlags, from the first byte's highest (RFC 4178 section 4.2.1, RFC 4178 appendix A).
const REQ_FLAGS: [(u8, &str); 7] = [
    (0x80, "delegFlag"),
    (0x40, "mutualFlag"),
    (0x20, "replayFlag"),
    (0x10, "sequenceFlag"),
    (0x08, "anonFlag"),
    (0x04, "confFlag"),
    (0x02, "integFlag"),
];

/// Decodes a NegotiationToken, bare or as found inside its GSS wrapper. `base` is its offset in the decoded token.
pub(super) fn decode(bytes: &[u8], base: usize, depth: usize, key: &Key, faults: &mut Faults) -> Spnego {
    let mut message = Spnego::default();
    let mut reader = Reader::new(bytes, base);
    let Some(choice) = reader.next("negotiation_token", faults) else {
        return message;
    };
    reader.expect_end("negotiation_token", faults);
    let (name, path) = match choice.context() {
        Some(0) => ("neg-token-init", "neg_token_init"),
        Some(1) => ("neg-token-resp", "neg_token_resp"),
        _ => {
            faults.add(choice.at, "negotiation_token", "[0] NegTokenInit or [1] NegTokenResp", choice.describe());
            return message;
        }
    };
    name.clone_into(&mut message.message);
    let Some(sequence) = choice.explicit(Tag::Sequence, path, faults) else {
        return message;
    };
    let is_init = choice.context() == Some(0);
    let mut fields = sequence.inside();
    while let Some(field) = fields.next_if_any(path, faults) {
        let mut carried = Carried { message: &mut message, depth, key, faults: &mut *faults };
        if is_init {
            carried.init(&field);
        } else {
            carried.resp(&field);
        }
    }
    if is_init && message.mechs.is_empty() && !fields.is_cut() && !sequence.cut {
        faults.add(sequence.at, "neg_token_init.mech_types", "at least one mechanism", "none");
    }
    message
}

/// A message that is being filled.
struct Carried<'a> {
    message: &'a mut Spnego,
    depth: usize,
    key: &'a Key,
    faults: &'a mut Faults,
}

impl Carried<'_> {
    /// A field of NegTokenInit (RFC 4178 section 4.2.1) or NegTokenInit2 (MS-SPNG section 2.2.1), which differ from
    /// `[3]` on: mechListMIC in the one, negHints in the other.
    fn init(&mut self, field: &Element<'_>) {
        match field.context() {
            Some(0) => self.mech_types(field),
            Some(1) => self.req_flags(field),
            Some(2) => self.inner(field, "neg_token_init.mech_token"),
            Some(3) => {
                let path = "neg_token_init.mech_list_mic";
                let mut inside = field.inside();
                match inside.next(path, self.faults) {
                    Some(hints) if hints.is(Tag::Sequence) => self.hints(&hints),
                    Some(mic) => {
                        mic.should_be(Tag::OctetString, path, self.faults);
                        self.message.mech_list_mic = true;
                    }
                    None => {}
                }
            }
            Some(4) => {
                self.is_init2();
                self.message.mech_list_mic = true;
            }
            _ => self.unknown(field, "neg_token_init"),
        }
    }

    /// ContextFlags (RFC 4178 section 4.2.1): not protected, so no server goes by them; some clients still send them.
    fn req_flags(&mut self, field: &Element<'_>) {
        let path = "neg_token_init.req_flags";
        let Some(bits) = field.explicit(Tag::BitString, path, self.faults) else {
            return;
        };
        let [_, first, ..] = bits.content else {
            return;
        };
        let names = REQ_FLAGS.iter().filter(|(bit, _)| first & bit != 0);
        self.message.req_flags = names.map(|(_, name)| (*name).to_owned()).collect();
    }

    /// NegHints (MS-SPNG section 2.2.1): hintName, and hintAddress, which is never used.
    fn hints(&mut self, hints: &Element<'_>) {
        self.is_init2();
        let path = "neg_token_init.neg_hints";
        let mut fields = hints.inside();
        while let Some(field) = fields.next_if_any(path, self.faults) {
            match field.context() {
                Some(0) => {
                    let name = field.explicit(Tag::GeneralString, (path, "hint_name"), self.faults);
                    self.message.hint_name = name.map(|name| name.text());
                }
                Some(1) => {}
                _ => self.unknown(&field, path),
            }
        }
    }

    fn is_init2(&mut self) {
        "neg-token-init2".clone_into(&mut self.message.message);
    }

    /// A field of NegTokenResp (RFC 4178 section 4.2.2).
    fn resp(&mut self, field: &Element<'_>) {
        match field.context() {
            Some(0) => {
                let state = field.integer("neg_token_resp.neg_state", self.faults);
                self.message.neg_state = state.map(|state| match state {
                    0 => "accept-completed".to_owned(),
                    1 => "accept-incomplete".to_owned(),
                    2 => "reject".to_owned(),
                    3 => "request-mic".to_owned(),
                    other => other.to_string(),
                });
            }
            Some(1) => {
                let path = "neg_token_resp.supported_mech";
                self.message.supported_mech = field
                    .explicit(Tag::Oid, path, self.faults)
                    .filter(|element| element.is(Tag::Oid))
                    .and_then(|element| element.oid(path, self.faults));
            }
            Some(2) => self.inner(field, "neg_token_resp.response_token"),
            Some(3) => self.message.mech_list_mic = true,
            _ => self.unknown(field, "neg_token_resp"),
        }
    }

    fn mech_types(&mut self, field: &Element<'_>) {
        let path = "neg_token_init.mech_types";
        let Some(list) = field.explicit(Tag::Sequence, path, self.faults) else {
            return;
        };
        let mut mechs = list.inside();
        while let Some(mech) = mechs.next_if_any(path, self.faults) {
            if self.message.mechs.len() >= MECHS_LIMIT {
                let expected = format!("at most {MECHS_LIMIT} mechanisms");
                self.faults.add(mech.at, path, expected, "more");
                return;
            }
            if let Some(oid) = mech.oid(path, self.faults) {
                self.message.mechs.push(oid);
            }
        }
    }

    /// mechToken or responseToken: an OCTET STRING with a token of the mechanism, which may be empty.
    fn inner(&mut self, field: &Element<'_>, path: &str) {
        let Some(octets) = field.explicit(Tag::OctetString, path, self.faults) else {
            return;
        };
        if octets.content.is_empty() {
            return;
        }
        let token =
            family::decode(octets.content, octets.content_at, self.depth.saturating_add(1), self.key, self.faults);
        self.message.inner = Some(Box::new(token));
        self.message.negoex = negoex::messages(octets.content, octets.content_at, self.faults);
    }

    fn unknown(&mut self, field: &Element<'_>, path: &str) {
        self.faults.add(field.at, path, "a field of RFC 4178", field.describe());
    }
}
