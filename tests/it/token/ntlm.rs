//! NTLM: the messages of MS-NLMP section 4.2, and odd ones made by hand.

use authtap::model::auth::{AuthField, Ntlm, NtlmResponse, TargetInfo, Token};
use authtap::token::ntlm::flag_names;
use md5::{Digest as _, Md5};

use super::{as_challenge, as_credentials, authenticate, hex};

/// MS-NLMP section 4.2.4.3, NTLMv2.
const CHALLENGE_V2: &str = "
    4e 54 4c 4d 53 53 50 00 02 00 00 00 0c 00 0c 00 38 00 00 00 33 82 8a e2 01 23 45 67 89 ab cd ef
    00 00 00 00 00 00 00 00 24 00 24 00 44 00 00 00 06 00 70 17 00 00 00 0f 53 00 65 00 72 00 76 00
    65 00 72 00 02 00 0c 00 44 00 6f 00 6d 00 61 00 69 00 6e 00 01 00 0c 00 53 00 65 00 72 00 76 00
    65 00 72 00 00 00 00 00";
const AUTHENTICATE_V2: &str = "
    4e 54 4c 4d 53 53 50 00 03 00 00 00 18 00 18 00 6c 00 00 00 54 00 54 00 84 00 00 00 0c 00 0c 00
    48 00 00 00 08 00 08 00 54 00 00 00 10 00 10 00 5c 00 00 00 10 00 10 00 d8 00 00 00 35 82 88 e2
    05 01 28 0a 00 00 00 0f 44 00 6f 00 6d 00 61 00 69 00 6e 00 55 00 73 00 65 00 72 00 43 00 4f 00
    4d 00 50 00 55 00 54 00 45 00 52 00 86 c3 50 97 ac 9c ec 10 25 54 76 4a 57 cc cc 19 aa aa aa aa
    aa aa aa aa 68 cd 0a b8 51 e5 1c 96 aa bc 92 7b eb ef 6a 1c 01 01 00 00 00 00 00 00 00 00 00 00
    00 00 00 00 aa aa aa aa aa aa aa aa 00 00 00 00 02 00 0c 00 44 00 6f 00 6d 00 61 00 69 00 6e 00
    01 00 0c 00 53 00 65 00 72 00 76 00 65 00 72 00 00 00 00 00 00 00 00 00 c5 da d2 54 4f c9 79 90
    94 ce 1c e9 0b c9 d0 3e";
/// MS-NLMP section 4.2.2.3, NTLMv1.
const AUTHENTICATE_V1: &str = "
    4e 54 4c 4d 53 53 50 00 03 00 00 00 18 00 18 00 6c 00 00 00 18 00 18 00 84 00 00 00 0c 00 0c 00
    48 00 00 00 08 00 08 00 54 00 00 00 10 00 10 00 5c 00 00 00 10 00 10 00 9c 00 00 00 35 82 80 e2
    05 01 28 0a 00 00 00 0f 44 00 6f 00 6d 00 61 00 69 00 6e 00 55 00 73 00 65 00 72 00 43 00 4f 00
    4d 00 50 00 55 00 54 00 45 00 52 00 98 de f7 b8 7f 88 aa 5d af e2 df 77 96 88 a1 72 de f1 1c 7d
    5c cd ef 13 67 c4 30 11 f3 02 98 a2 ad 35 ec e6 4f 16 33 1c 44 bd be d9 27 84 1f 94 51 88 22 b1
    b3 f3 50 c8 95 86 82 ec bb 3e 3c b7";
/// MS-NLMP section 4.2.3.3, NTLMv1 with client challenge.
const AUTHENTICATE_V1_ESS: &str = "
    4e 54 4c 4d 53 53 50 00 03 00 00 00 18 00 18 00 6c 00 00 00 18 00 18 00 84 00 00 00 0c 00 0c 00
    48 00 00 00 08 00 08 00 54 00 00 00 10 00 10 00 5c 00 00 00 00 00 00 00 9c 00 00 00 35 82 08 82
    05 01 28 0a 00 00 00 0f 44 00 6f 00 6d 00 61 00 69 00 6e 00 55 00 73 00 65 00 72 00 43 00 4f 00
    4d 00 50 00 55 00 54 00 45 00 52 00 aa aa aa aa aa aa aa aa 00 00 00 00 00 00 00 00 00 00 00 00
    00 00 00 00 75 37 f8 03 ae 36 71 28 ca 45 82 04 bd e7 ca f8 1e 97 ed 26 83 26 72 32";

/// If the messages of the specification are misread, every diagnosis of NTLM is.
#[test]
fn messages_of_ms_nlmp_4_2() {
    let c = as_challenge("NTLM", &hex(CHALLENGE_V2));
    assert!(c.faults.is_empty(), "{:?}", c.faults);
    let Some(Ntlm::Challenge(m)) = c.ntlm() else { panic!("{c:?}") };
    assert_eq!(m.flags, 0xe28a_8233);
    assert_eq!(m.target_name.as_deref(), Some("Server"));
    let info = m.target_info.as_ref().unwrap();
    assert_eq!(info.nb_domain_name.as_deref(), Some("Domain"));
    assert_eq!(info.nb_computer_name.as_deref(), Some("Server"));
    assert_eq!(m.version.map(|v| (v.major, v.minor, v.build)), Some((6, 0, 6000)));

    // The transcripts are honest: the proof is the keyed hash of both (MS-NLMP section 3.3.2), under the key of
    // section 4.2.4.1.1.
    let message = hex(AUTHENTICATE_V2);
    let challenge = &hex(CHALLENGE_V2)[24..32];
    let proof = hmac_md5(&hex("0c868a403bfd7a93a3001ef22ef02e3f"), &[challenge, &message[0x94..0xd8]].concat());
    assert_eq!(&message[0x84..0x94], proof);
    assert_eq!(&message[0x84..0x94], hex("68cd0ab851e51c96aabc927bebef6a1c"));
    for (text, response, nt) in [
        (AUTHENTICATE_V2, NtlmResponse::V2, 84),
        (AUTHENTICATE_V1, NtlmResponse::V1, 24),
        (AUTHENTICATE_V1_ESS, NtlmResponse::V1Ess, 24),
    ] {
        let field = as_credentials("NTLM", &hex(text));
        assert!(field.faults.is_empty(), "{:?}", field.faults);
        let m = authenticate(&field);
        assert_eq!((m.domain.as_str(), m.user.as_str(), m.workstation.as_str()), ("Domain", "User", "COMPUTER"));
        assert_eq!((m.response, m.nt_response_bytes, m.lm_response_bytes), (response, nt, 24));
        assert_eq!(m.version.map(|v| (v.major, v.minor, v.build)), Some((5, 1, 2600)));
        assert!(!m.mic_present, "payload begins at 72: no room for a MIC");
        assert_eq!(m.target_info.is_some(), response == NtlmResponse::V2);
        assert_eq!(m.response_time.map(|t| t.0), (response == NtlmResponse::V2).then_some(0));
    }
}

/// Names that begin inside a response would carry it out of the decoder.
#[test]
fn a_name_that_points_at_a_response_is_not_read() {
    let mut message = hex(AUTHENTICATE_V2);
    message[36..44].copy_from_slice(&[8, 0, 8, 0, 0x84, 0, 0, 0]);
    let field = as_credentials("NTLM", &message);
    assert_eq!(authenticate(&field).user, "");
    assert_eq!(field.faults[0].field, "user");
    // TargetName over the ServerChallenge.
    let mut message = hex(CHALLENGE_V2);
    message[12..20].copy_from_slice(&[8, 0, 8, 0, 24, 0, 0, 0]);
    let field = as_challenge("NTLM", &message);
    let Some(Ntlm::Challenge(m)) = field.ntlm() else { panic!() };
    assert_eq!(m.target_name.as_deref(), Some(""));
}

fn type1(flags: u32, rest: &[u8]) -> Vec<u8> {
    [b"NTLMSSP\0\x01\0\0\0", &flags.to_le_bytes()[..], rest].concat()
}

/// Old and small clients send short first messages; a fault for them would blame the healthy.
#[test]
fn short_first_messages_are_healthy() {
    let negotiate = |bytes: &[u8]| {
        let field = as_credentials("NTLM", bytes);
        match field.token {
            Token::Ntlm(m) => match *m {
                Ntlm::Negotiate(n) => (n, field.faults),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    for rest in [&[][..], &[0; 16]] {
        let (m, faults) = negotiate(&type1(0x0008_8207, rest));
        assert_eq!((m.flags, m.domain, m.version), (0x0008_8207, None, None));
        assert!(faults.is_empty(), "{faults:?}");
    }
    let mut rest = vec![3, 0, 3, 0, 40, 0, 0, 0, 2, 0, 2, 0, 43, 0, 0, 0, 10, 0, 0x61, 0x4a, 0, 0, 0, 15];
    rest.extend_from_slice(b"DOMPC");
    let (m, faults) = negotiate(&type1(0x0200_3001, &rest));
    assert_eq!((m.domain.as_deref(), m.workstation.as_deref()), (Some("DOM"), Some("PC")));
    assert_eq!(m.version.map(|v| v.build), Some(19041));
    assert!(faults.is_empty(), "{faults:?}");
    // Unknown bits stay; names without their flag are not there.
    let (m, _) = negotiate(&type1(0x0800_0000, &rest));
    assert_eq!((m.flags, m.domain), (0x0800_0000, None));
    assert_eq!(flag_names(m.flags), ["0x08000000"]);
    rest[24] = 0xe4;
    let (m, faults) = negotiate(&type1(0x0200_3001, &rest));
    assert_eq!(m.domain.as_deref(), Some("\u{e4}OM"));
    assert_eq!((faults[0].field.as_str(), faults[0].offset), ("domain", 40));
}

fn type2_with(pairs: &[u8]) -> AuthField {
    let length = u16::try_from(pairs.len()).unwrap().to_le_bytes();
    let message = [
        b"NTLMSSP\0\x02\0\0\0\0\0\0\0\x30\0\0\0\x01\0\x80\0\x01\x23\x45\x67\x89\xab\xcd\xef\0\0\0\0\0\0\0\0",
        &length[..],
        &length,
        &[48, 0, 0, 0],
        pairs,
    ]
    .concat();
    as_challenge("NTLM", &message)
}

fn info(field: &AuthField) -> &TargetInfo {
    match field.ntlm() {
        Some(Ntlm::Challenge(c)) => c.target_info.as_ref().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Servers in the field send AV pairs that are empty, unterminated, or of tomorrow; their names still link a handshake.
#[test]
fn av_pairs_in_every_shape() {
    let field =
        type2_with(&[7, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 2, 0, b'A', 0, 0x34, 0x12, 3, 0, 1, 2, 3, 0, 0, 0, 0]);
    assert!(field.faults.is_empty(), "{:?}", field.faults);
    assert_eq!(info(&field).timestamp.map(|t| t.0), Some(0x0807_0605_0403_0201));
    assert_eq!(info(&field).nb_computer_name.as_deref(), Some("A"));
    assert_eq!(info(&field).others, [(0x1234, 3)]);
    // Unterminated.
    let field = type2_with(&[1, 0, 2, 0, b'A', 0]);
    assert_eq!(info(&field).nb_computer_name.as_deref(), Some("A"));
    assert_eq!((field.faults.len(), field.faults[0].offset), (1, 54));
    // Empty.
    let field = type2_with(&[]);
    assert_eq!(info(&field), &TargetInfo::default());
    assert_eq!(field.faults.len(), 1);
    // A length past the end, and wrong lengths.
    let field = type2_with(&[2, 0, 9, 0, b'D', 0]);
    assert_eq!(info(&field).nb_domain_name.as_deref(), Some("D"));
    assert_eq!(field.faults[0].field, "target_info.av_len");
    let field = type2_with(&[6, 0, 1, 0, 9, 7, 0, 0, 0, 8, 0, 1, 0, 1, 10, 0, 2, 0, 1, 2, 0, 0, 0, 0]);
    assert_eq!(info(&field), &TargetInfo::default());
    assert_eq!(field.faults.len(), 4);
}

/// The machine id identifies a person's computer; only equality within one run may leave.
#[test]
fn machine_ids_become_fingerprints() {
    let mut pairs = vec![8, 0, 48, 0, 48, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    pairs.extend_from_slice(&[0xc7; 32]);
    pairs.extend_from_slice(&[0, 0, 0, 0]);
    let field = type2_with(&pairs);
    let machine = info(&field).machine.clone().unwrap();
    assert_eq!(machine.len(), 16);
    assert!(!format!("{field:?}").contains("c7c7"));
    assert_eq!(info(&type2_with(&pairs)).machine.as_ref(), Some(&machine));
}

/// Anonymous and LM-only logons are refused for other reasons than wrong passwords.
#[test]
fn kinds_of_response_are_told_apart() {
    let kind = |lm: &[u8], nt: &[u8], user: &[u8], flags: u32| {
        let mut message = b"NTLMSSP\0\x03\0\0\0".to_vec();
        let mut payload = Vec::new();
        for buffer in [lm, nt, &[], user, &[], &[]] {
            let length = u16::try_from(buffer.len()).unwrap().to_le_bytes();
            let offset = u32::try_from(64 + payload.len()).unwrap().to_le_bytes();
            message.extend([&length[..], &length, &offset].concat());
            payload.extend_from_slice(buffer);
        }
        message.extend(flags.to_le_bytes());
        message.extend(payload);
        let field = as_credentials("NTLM", &message);
        (authenticate(&field).response, field.faults.len())
    };
    let ess = [&[7; 8][..], &[0; 16]].concat();
    assert_eq!(kind(&[0], &[], &[], 0x801), (NtlmResponse::Anonymous, 0));
    assert_eq!(kind(&[], &[], &[], 1), (NtlmResponse::Anonymous, 0));
    assert_eq!(kind(&[1; 24], &[], b"a\0", 1), (NtlmResponse::Lm, 0));
    assert_eq!(kind(&[1; 24], &[2; 24], b"a\0", 1), (NtlmResponse::V1, 0));
    assert_eq!(kind(&ess, &[2; 24], b"a\0", 0x0008_0001), (NtlmResponse::V1Ess, 0));
    assert_eq!(kind(&ess, &[2; 24], b"a\0", 1), (NtlmResponse::V1, 0));
    assert_eq!(kind(&[], &[2; 5], b"a\0", 1), (NtlmResponse::Unreadable, 1));
    assert_eq!(kind(&[], &[], b"a\0", 1), (NtlmResponse::Unreadable, 1));
}

fn hmac_md5(key: &[u8], data: &[u8]) -> Vec<u8> {
    let pad = |byte: u8| -> Vec<u8> { (0..64).map(|i| key.get(i).copied().unwrap_or(0) ^ byte).collect() };
    let inner = Md5::digest([&pad(0x36)[..], data].concat());
    Md5::digest([&pad(0x5c)[..], &inner].concat()).to_vec()
}
