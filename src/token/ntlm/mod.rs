//! NTLM's three messages (MS-NLMP section 2.2.1), passively: every field that is no secret, and faults for the rest.

mod authenticate;
mod av_pair;
mod challenge;
mod flags;
mod negotiate;
mod payload;
mod release;
mod text;

pub use flags::{flag_names, short_name};
pub use release::{Release, release};

use super::Key;
use super::bytes::{slice, u16_le, u32_le};
use super::fault::Faults;
use crate::model::auth::{Ntlm, Version};

/// The first eight bytes of each message (MS-NLMP section 2.2.1).
pub(super) const SIGNATURE: &[u8] = b"NTLMSSP\0";

/// NTLMSSP_REVISION_W2K3, the last byte of a VERSION (MS-NLMP section 2.2.2.10).
const REVISION: u8 = 0x0f;

/// Decodes one message. `base` is its offset in the whole decoded token.
pub(super) fn decode(message: &[u8], base: usize, key: &Key, faults: &mut Faults) -> Ntlm {
    if !message.starts_with(SIGNATURE) {
        faults.add(base, "signature", "8 bytes", format!("{}", message.len()));
        return Ntlm::Unreadable;
    }
    match u32_le(message, 8) {
        Some(1) => Ntlm::Negotiate(negotiate::decode(message, base, faults)),
        Some(2) => Ntlm::Challenge(challenge::decode(message, base, key, faults)),
        Some(3) => Ntlm::Authenticate(authenticate::decode(message, base, key, faults)),
        other => {
            faults.add(
                base.saturating_add(8),
                "message_type",
                "1, 2 or 3",
                other.map_or_else(|| "the end".to_owned(), |n| format!("{n:#010x}")),
            );
            Ntlm::Unreadable
        }
    }
}

/// NegotiateFlags at `at`; 0 with a fault when the message ends before.
fn read_flags(message: &[u8], base: usize, at: usize, faults: &mut Faults) -> Option<u32> {
    let flags = u32_le(message, at);
    if flags.is_none() {
        faults.add(base.saturating_add(at), "flags", "4 bytes", format!("{}", message.len().saturating_sub(at)));
    }
    flags
}

/// One of UNICODE and OEM must be set, or SEC_E_INVALID_TOKEN is the answer (MS-NLMP section 2.2.2.5, bits A and B).
fn expect_charset(flags: Option<u32>, base: usize, at: usize, faults: &mut Faults) {
    if flags.is_some_and(|flags| flags & (flags::NEGOTIATE_UNICODE | flags::NEGOTIATE_OEM) == 0) {
        let expected = "NTLMSSP_NEGOTIATE_UNICODE or NTLM_NEGOTIATE_OEM";
        faults.add(base.saturating_add(at), "flags", expected, "neither; read as OEM");
    }
}

/// VERSION at `at`, when the header, which ends at `header`, has room for it (MS-NLMP section 2.2.2.10).
///
/// Without NTLMSSP_NEGOTIATE_VERSION the field is padding, unless its last byte says otherwise.
fn read_version(
    message: &[u8],
    base: usize,
    at: usize,
    header: usize,
    flags: u32,
    faults: &mut Faults,
) -> Option<Version> {
    let promised = flags & flags::NEGOTIATE_VERSION != 0;
    let room = header >= at.saturating_add(8);
    let bytes = if room { slice(message, at, 8) } else { None };
    let Some(bytes) = bytes else {
        if promised {
            faults.add(
                base.saturating_add(at),
                "version",
                "8 bytes, as NTLMSSP_NEGOTIATE_VERSION promises",
                format!("{}", header.min(message.len()).saturating_sub(at)),
            );
        }
        return None;
    };
    let [major, minor, ..] = *bytes else {
        return None;
    };
    (promised || bytes.last() == Some(&REVISION)).then_some(Version {
        major,
        minor,
        build: u16_le(bytes, 2).unwrap_or(0),
    })
}
