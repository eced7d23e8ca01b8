//! CHALLENGE_MESSAGE, Type 2 (MS-NLMP section 2.2.1.2). The ServerChallenge is not read.

use super::super::fault::Faults;
use super::super::{Key, bytes::slice};
use super::payload::Message;
use super::{av_pair, expect_charset, flags, read_flags, read_version, text};
use crate::model::auth::NtlmChallenge;

/// TargetNameFields, NegotiateFlags, ServerChallenge, TargetInfoFields, Version.
const TARGET_NAME: usize = 12;
const FLAGS: usize = 20;
const SERVER_CHALLENGE: usize = 24;
const TARGET_INFO: usize = 40;
const VERSION: usize = 48;

/// Up to and with the ServerChallenge: what the oldest servers send.
const FIXED: usize = 32;

/// Decodes a Type 2.
pub(super) fn decode(message: &[u8], base: usize, key: &Key, faults: &mut Faults) -> NtlmChallenge {
    let message = Message { bytes: message, base, fixed: FIXED };
    let target_name = message.fields(TARGET_NAME, "target_name", faults);
    let known_flags = read_flags(message.bytes, base, FLAGS, faults);
    expect_charset(known_flags, base, FLAGS, faults);
    let flags = known_flags.unwrap_or(0);
    if slice(message.bytes, SERVER_CHALLENGE, 8).is_none() {
        let got = message.bytes.len().saturating_sub(SERVER_CHALLENGE);
        faults.add(base.saturating_add(SERVER_CHALLENGE), "server_challenge", "8 bytes", format!("{got}"));
    }
    // Before NTLMv2 the payload began here.
    let has_info = flags & flags::NEGOTIATE_TARGET_INFO != 0;
    let info_room = message.header_end(&[target_name]) >= VERSION;
    let target_info = if has_info || (info_room && message.bytes.len() > FIXED) {
        message.fields(TARGET_INFO, "target_info", faults)
    } else {
        None
    };
    let name = target_name.filter(|b| b.length > 0).map(|buffer| {
        let unicode = flags & flags::NEGOTIATE_UNICODE != 0;
        let bytes = message.read(buffer, "target_name", faults);
        let at = base.saturating_add(buffer.offset);
        text::by_flag(unicode, bytes, at, "target_name", faults)
    });
    let info = target_info.filter(|buffer| buffer.length > 0 || has_info).map(|buffer| {
        let bytes = message.read(buffer, "target_info", faults);
        let at = base.saturating_add(buffer.offset);
        av_pair::decode(bytes, at, "target_info", key, faults)
    });
    NtlmChallenge {
        flags,
        target_name: name,
        target_info: info,
        version: read_version(
            message.bytes,
            base,
            VERSION,
            message.header_end(&[target_name, target_info]),
            flags,
            faults,
        ),
    }
}
