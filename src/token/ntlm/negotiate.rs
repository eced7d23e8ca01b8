//! NEGOTIATE_MESSAGE, Type 1 (MS-NLMP section 2.2.1.1).

use super::super::fault::Faults;
use super::payload::{Buffer, Message};
use super::{expect_charset, flags, read_flags, read_version, text};
use crate::model::auth::NtlmNegotiate;

/// DomainNameFields, WorkstationFields, Version.
const DOMAIN: usize = 16;
const WORKSTATION: usize = 24;
const VERSION: usize = 32;

/// Signature, type and flags: some clients send no more than this, and others no VERSION.
const SHORTEST: usize = 16;

/// Decodes a Type 1.
pub(super) fn decode(message: &[u8], base: usize, faults: &mut Faults) -> NtlmNegotiate {
    let known_flags = read_flags(message, base, 12, faults);
    expect_charset(known_flags, base, 12, faults);
    let flags = known_flags.unwrap_or(0);
    let message = Message { bytes: message, base, fixed: if message.len() == SHORTEST { SHORTEST } else { VERSION } };
    // Without its flag a name is not there, whatever its Fields say; without either, Fields may be missing.
    let short = message.bytes.len() <= SHORTEST;
    let mut supplied = |bit: u32, at: usize, field: &str| {
        let wanted = flags & bit != 0;
        if !wanted && (short || known_flags.is_none()) {
            return None;
        }
        message.fields(at, field, faults).filter(|buffer| wanted && buffer.length > 0)
    };
    let domain = supplied(flags::OEM_DOMAIN_SUPPLIED, DOMAIN, "domain");
    let workstation = supplied(flags::OEM_WORKSTATION_SUPPLIED, WORKSTATION, "workstation");
    let mut name = |buffer: Option<Buffer>, field: &str| {
        let buffer = buffer?;
        let bytes = message.read(buffer, field, faults);
        let at = base.saturating_add(buffer.offset);
        Some(text::oem(bytes, at, field, faults))
    };
    NtlmNegotiate {
        flags,
        domain: name(domain, "domain"),
        workstation: name(workstation, "workstation"),
        version: read_version(message.bytes, base, VERSION, message.header_end(&[domain, workstation]), flags, faults),
    }
}
