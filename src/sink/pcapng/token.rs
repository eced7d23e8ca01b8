//! Tokens made anew of what was read of them, so that Wireshark shows their flags, names and times.
//!
//! Only decoded facts go in, and those hold no secret: where one stood, there are zeros. A token that was not read whole
//! is not made.

use crate::model::FileTime;
use crate::model::auth::{
    AuthField, Ntlm, NtlmAuthenticate, NtlmChallenge, NtlmNegotiate, NtlmResponse, Spnego, TargetInfo, Token,
};
use crate::sim::ntlm::av::{AvPairs, id};
use crate::sim::ntlm::message::{Authenticate, Challenge, Negotiate};
use crate::sim::ntlm::respond::temp;
use crate::sim::spnego::{self, NegState};

/// MsvAvSingleHost has so many bytes (MS-NLMP section 2.2.2.2).
const SINGLE_HOST: usize = 48;

/// NTLMSSP_MESSAGE_SIGNATURE (MS-NLMP section 2.2.2.9) is what a mechListMIC is with NTLM: its version, and zeros.
const SIGNATURE: &[u8] = &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The token's bytes; `None` where none can be made that says what was said.
pub(super) fn remade(field: &AuthField) -> Option<Vec<u8>> {
    if !field.faults.is_empty() {
        return None;
    }
    match &field.token {
        Token::Ntlm(message) => ntlm(message),
        Token::Spnego(outer) => wrapped(outer),
        Token::Basic(basic) => Some(format!("{}:(kept out)", basic.user.as_deref()?).into_bytes()),
        _ => None,
    }
}

/// SPNEGO around NTLM.
fn wrapped(outer: &Spnego) -> Option<Vec<u8>> {
    let Some(Token::Ntlm(message)) = outer.inner.as_deref() else { return None };
    let token = ntlm(message)?;
    match outer.message.as_str() {
        "neg-token-init" => {
            let mechs: Option<Vec<&[u8]>> = outer.mechs.iter().map(|oid| mech(oid)).collect();
            Some(spnego::init(&mechs?, Some(&token)))
        }
        "neg-token-resp" => {
            let state = match outer.neg_state.as_deref() {
                None => None,
                Some("accept-completed") => Some(NegState::AcceptCompleted),
                Some("accept-incomplete") => Some(NegState::AcceptIncomplete),
                Some("reject") => Some(NegState::Reject),
                Some("request-mic") => Some(NegState::RequestMic),
                Some(_) => return None,
            };
            let supported = outer.supported_mech.as_deref().map(|oid| mech(oid).ok_or(())).transpose().ok()?;
            Some(spnego::resp(state, supported, Some(&token), outer.mech_list_mic.then_some(SIGNATURE)))
        }
        _ => None,
    }
}

fn mech(oid: &str) -> Option<&'static [u8]> {
    match oid {
        "1.3.6.1.4.1.311.2.2.10" => Some(spnego::NTLM),
        "1.2.840.113554.1.2.2" => Some(spnego::KERBEROS),
        "1.2.840.48018.1.2.2" => Some(spnego::MS_KERBEROS),
        "1.3.6.1.4.1.311.2.2.30" => Some(spnego::NEGOEX),
        _ => None,
    }
}

fn ntlm(message: &Ntlm) -> Option<Vec<u8>> {
    match message {
        Ntlm::Negotiate(NtlmNegotiate { flags, domain, workstation, version }) => {
            let (domain, workstation) = (domain.clone(), workstation.clone());
            Some(Negotiate { flags: *flags, domain, workstation, version: *version }.encode())
        }
        Ntlm::Challenge(NtlmChallenge { flags, target_name, target_info, version }) => {
            let message = Challenge {
                flags: *flags,
                server_challenge: [0; 8],
                target_name: target_name.clone().unwrap_or_default(),
                target_info: target_info.as_ref().map(pairs),
                version: *version,
            };
            Some(message.encode())
        }
        Ntlm::Authenticate(message) => authenticate(message),
        Ntlm::Unreadable => None,
    }
}

fn authenticate(read: &NtlmAuthenticate) -> Option<Vec<u8>> {
    let zeros = |length: usize| vec![0; length];
    let nt_response = match read.response {
        NtlmResponse::V2 => {
            let pairs = read.target_info.as_ref().map(pairs).unwrap_or_default();
            let time = read.response_time.unwrap_or(FileTime(0));
            // NTProofStr, then NTLMv2_CLIENT_CHALLENGE (MS-NLMP section 2.2.2.8).
            [zeros(16), temp(time, [0; 8], &pairs)].concat()
        }
        NtlmResponse::Unreadable => return None,
        _ => zeros(read.nt_response_bytes),
    };
    let message = Authenticate {
        flags: read.flags,
        domain: read.domain.clone(),
        user: read.user.clone(),
        workstation: read.workstation.clone(),
        lm_response: zeros(read.lm_response_bytes),
        nt_response,
        session_key: zeros(read.session_key_bytes),
        version: read.version,
        mic: read.mic_present.then_some([0; 16]),
    };
    Some(message.encode())
}

fn pairs(info: &TargetInfo) -> AvPairs {
    let mut pairs = AvPairs::default();
    let texts = [
        (id::NB_COMPUTER_NAME, &info.nb_computer_name),
        (id::NB_DOMAIN_NAME, &info.nb_domain_name),
        (id::DNS_COMPUTER_NAME, &info.dns_computer_name),
        (id::DNS_DOMAIN_NAME, &info.dns_domain_name),
        (id::DNS_TREE_NAME, &info.dns_tree_name),
    ];
    for (id, text) in texts {
        pairs = text.iter().fold(pairs, |pairs, text| pairs.text(id, text));
    }
    pairs = info.av_flags.into_iter().fold(pairs, AvPairs::flags);
    pairs = info.timestamp.into_iter().fold(pairs, AvPairs::timestamp);
    if info.machine.is_some() {
        pairs = pairs.with(id::SINGLE_HOST, vec![0; SINGLE_HOST]);
    }
    pairs = info.target_name.iter().fold(pairs, |pairs, name| pairs.text(id::TARGET_NAME, name));
    let binding = info.channel_binding.as_deref().map(bytes_of_hex);
    binding.into_iter().fold(pairs, |pairs, hash| pairs.with(id::CHANNEL_BINDINGS, hash))
}

fn bytes_of_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    let (pairs, _) = digits.as_chunks::<2>();
    pairs.iter().filter_map(|[high, low]| u8::try_from(high << 4 | low).ok()).collect()
}
