//! AUTHENTICATE_MESSAGE, Type 3 (MS-NLMP section 2.2.1.3). Responses, session key and MIC are measured, never kept.

use super::super::bytes::u64_le;
use super::super::fault::Faults;
use super::super::{Key, bytes::slice};
use super::payload::{Buffer, Message};
use super::{av_pair, flags, read_flags, read_version, text};
use crate::model::FileTime;
use crate::model::auth::{NtlmAuthenticate, NtlmResponse, TargetInfo};

/// The six Fields structures, NegotiateFlags, Version and MIC.
const LM: usize = 12;
const NT: usize = 20;
const DOMAIN: usize = 28;
const USER: usize = 36;
const WORKSTATION: usize = 44;
const SESSION_KEY: usize = 52;
const FLAGS: usize = 60;
const VERSION: usize = 64;
const VERSION_BYTES: usize = 8;
const MIC_BYTES: usize = 16;

/// MsvAvFlags: the message has a MIC (MS-NLMP section 2.2.2.1).
const MIC_PROVIDED: u32 = 2;

/// NTLMv1_RESPONSE and LM_RESPONSE (MS-NLMP sections 2.2.2.6, 2.2.2.3).
const V1_RESPONSE: usize = 24;

/// NTLMv2_RESPONSE up to AvPairs: NTProofStr, then NTLMv2_CLIENT_CHALLENGE's fixed part (MS-NLMP sections 2.2.2.8, 2.2.2.7).
const V2_TIME: usize = 24;
const V2_AV_PAIRS: usize = 44;

/// Decodes a Type 3.
pub(super) fn decode(message: &[u8], base: usize, key: &Key, faults: &mut Faults) -> NtlmAuthenticate {
    let message = Message { bytes: message, base, fixed: VERSION };
    let lm = message.fields(LM, "lm_response", faults);
    let nt = message.fields(NT, "nt_response", faults);
    let domain = message.fields(DOMAIN, "domain", faults);
    let user = message.fields(USER, "user", faults);
    let workstation = message.fields(WORKSTATION, "workstation", faults);
    let session_key = message.fields(SESSION_KEY, "session_key", faults);
    let known_flags = read_flags(message.bytes, base, FLAGS, faults);
    let flags = known_flags.unwrap_or(0);
    let header = message.header_end(&[lm, nt, domain, user, workstation, session_key]);

    let secrets = [lm, nt, session_key].map(Option::unwrap_or_default);
    let unicode = flags & flags::NEGOTIATE_UNICODE != 0;
    let mut name = |buffer: Option<Buffer>, field: &str| {
        let buffer = buffer.unwrap_or_default();
        let bytes = message.read_shown(buffer, &secrets, field, faults);
        let at = base.saturating_add(buffer.offset);
        text::by_flag(unicode, bytes, at, field, faults)
    };
    let domain_text = name(domain, "domain");
    let user_text = name(user, "user");
    let workstation_text = name(workstation, "workstation");

    let [lm_bytes, nt_bytes, session_key_bytes] = secrets.map(|secret| secret.length);
    let lm_value = message.read(lm.unwrap_or_default(), "lm_response", faults);
    let nt_value = message.read(nt.unwrap_or_default(), "nt_response", faults);
    message.read(session_key.unwrap_or_default(), "session_key", faults);
    let nt_at = base.saturating_add(nt.unwrap_or_default().offset);

    let response = match (lm, nt, user) {
        (Some(lm), Some(nt), Some(user)) => kind(lm.length, lm_value, nt.length, user.length, flags),
        _ => NtlmResponse::Unreadable,
    };
    if response == NtlmResponse::Unreadable && nt.is_some() && user.is_some() {
        faults.add(
            nt_at,
            "nt_response",
            "24 bytes, more, or none for an anonymous user",
            format!("{nt_bytes}, with an LM response of {lm_bytes}"),
        );
    }
    let (response_time, target_info) =
        if response == NtlmResponse::V2 { client_challenge(nt_value, nt_at, key, faults) } else { (None, None) };
    let mic_flag = target_info.as_ref().and_then(|info| info.av_flags).is_some_and(|flags| flags & MIC_PROVIDED != 0);
    let mic = mic_at(header.min(message.bytes.len()), flags);
    if mic_flag && mic.is_none() {
        faults.add(base.saturating_add(72), "mic", "16 bytes, as MsvAvFlags promises", "no room for them");
    }

    NtlmAuthenticate {
        flags,
        domain: domain_text,
        user: user_text,
        workstation: workstation_text,
        version: read_version(
            message.bytes,
            base,
            VERSION,
            // Where the MIC stands in VERSION's place there is no VERSION.
            if mic == Some(VERSION) { VERSION } else { header },
            flags,
            faults,
        ),
        response,
        nt_response_bytes: nt_bytes,
        lm_response_bytes: lm_bytes,
        session_key_bytes,
        mic_present: mic_flag && mic.is_some(),
        target_info,
        response_time,
    }
}

/// Where the MIC stands, in a header that ends at `header`: behind VERSION, or in its place, for pyspnego and others
/// leave a VERSION out that was not negotiated.
fn mic_at(header: usize, flags: u32) -> Option<usize> {
    let behind = VERSION.saturating_add(VERSION_BYTES);
    let has_room = |at: usize| header >= at.saturating_add(MIC_BYTES);
    if has_room(behind) {
        Some(behind)
    } else if has_room(VERSION) && flags & flags::NEGOTIATE_VERSION == 0 {
        Some(VERSION)
    } else {
        None
    }
}

/// Which response it is, by the lengths (MS-NLMP section 3.2.5.1.2 "Server Receives an AUTHENTICATE_MESSAGE").
fn kind(lm: usize, lm_value: &[u8], nt: usize, user: usize, flags: u32) -> NtlmResponse {
    let no_lm = lm == 0 || (lm == 1 && matches!(lm_value, [0] | []));
    // With extended session security, LM holds the client's challenge of eight bytes, then zeros (section 3.3.1).
    let ess = flags & flags::EXTENDED_SESSIONSECURITY != 0
        && lm == V1_RESPONSE
        && slice(lm_value, 8, 16).is_some_and(|tail| tail.iter().all(|b| *b == 0));
    match nt {
        0 if no_lm && user == 0 => NtlmResponse::Anonymous,
        0 if !no_lm => NtlmResponse::Lm,
        V1_RESPONSE if ess => NtlmResponse::V1Ess,
        V1_RESPONSE => NtlmResponse::V1,
        _ if nt > V1_RESPONSE => NtlmResponse::V2,
        _ => NtlmResponse::Unreadable,
    }
}

/// TimeStamp and AvPairs of an NTLMv2_CLIENT_CHALLENGE (MS-NLMP section 2.2.2.7), which follows the NTProofStr.
fn client_challenge(
    response: &[u8],
    base: usize,
    key: &Key,
    faults: &mut Faults,
) -> (Option<FileTime>, Option<TargetInfo>) {
    if let Some(types) = slice(response, 16, 2)
        && types != [1, 1]
    {
        faults.add(base.saturating_add(16), "nt_response.resp_type", "1 and 1", "other versions");
    }
    let time = u64_le(response, V2_TIME).map(FileTime);
    let pairs = response.get(V2_AV_PAIRS..).map(|pairs| {
        let at = base.saturating_add(V2_AV_PAIRS);
        av_pair::decode(pairs, at, "nt_response.target_info", key, faults)
    });
    if pairs.is_none() {
        faults.add(
            base,
            "nt_response",
            format!("at least {V2_AV_PAIRS} bytes for NTLMv2"),
            format!("{}", response.len()),
        );
    }
    (time, pairs)
}
