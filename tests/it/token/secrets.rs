//! Secrets of real tokens, searched for in what was decoded.

use authtap::model::auth::AuthField;
use authtap::sink::jsonl::v1;
use authtap::token::credentials;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::fixture::fixtures;
use super::{KEY, as_challenge, as_credentials, authenticate, hex, lower_hex};

/// All that leaves the decoder: what a log line shows, and what a capture holds, in lower case.
fn shown(field: &AuthField) -> String {
    let captured = serde_json::to_string(&v1::AuthField::from(field)).unwrap();
    format!("{field:?}\n{captured}").to_ascii_lowercase()
}

/// Secrets that are planted where each kind of token has its own: a whole message of each, with all that can be there.
#[test]
fn planted_secrets_stay_in_the_decoder() {
    const PLANT: &[u8; 16] = b"Pl4nted-S3cret-!";
    let tlv = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()][..], content].concat();
    // A Type 3 whose responses, session key and MIC are the plant.
    let nt = [
        PLANT,
        &[1, 1, 0, 0, 0, 0, 0, 0][..],
        &[7; 8],
        &PLANT[..8],
        &[0; 4],
        &[8, 0, 48, 0],
        &PLANT.repeat(3),
        &[0; 4],
    ];
    let buffers = [[&PLANT[..], &PLANT[..8]].concat(), nt.concat(), vec![], b"a\0".to_vec(), vec![], PLANT.to_vec()];
    let (mut type3, mut payload) = (b"NTLMSSP\0\x03\0\0\0".to_vec(), Vec::new());
    for buffer in &buffers {
        let length = u16::try_from(buffer.len()).unwrap().to_le_bytes();
        type3.extend([&length[..], &length, &u32::try_from(88 + payload.len()).unwrap().to_le_bytes()].concat());
        payload.extend_from_slice(buffer);
    }
    type3.extend([&[1, 2, 0, 2][..], &[10, 0, 0, 0, 0, 0, 0, 15], PLANT, &payload].concat());
    let sealed = tlv(0x30, &[tlv(0xa0, &[2, 1, 18]), tlv(0xa2, &tlv(4, PLANT))].concat());
    let ticket = tlv(0x61, &tlv(0x30, &tlv(0xa3, &sealed)));
    let request = tlv(0x6e, &tlv(0x30, &[tlv(0xa3, &ticket), tlv(0xa4, &sealed)].concat()));
    let reply = tlv(0x6f, &tlv(0x30, &tlv(0xa2, &sealed)));
    let e_data = tlv(0x7e, &tlv(0x30, &tlv(0xac, &tlv(4, PLANT))));
    let mic = tlv(0xa1, &tlv(0x30, &tlv(0xa3, &tlv(4, PLANT))));
    let negoex = [b"NEGOEXTS\x05\0\0\0", &[0; 12][..], PLANT, PLANT].concat();
    let negoex = tlv(0xa0, &tlv(0x30, &tlv(0xa2, &tlv(4, &negoex))));
    let type2 = [b"NTLMSSP\0\x02\0\0\0\0\0\0\0\x38\0\0\0\x01\0\0\0", &PLANT[..], &[0; 16]].concat();
    let mut fields: Vec<AuthField> = [type3, type2, request, reply, e_data, mic, negoex]
        .iter()
        .flat_map(|bytes| [as_credentials("Negotiate", bytes), as_challenge("NTLM", bytes)])
        .collect();
    let plant = std::str::from_utf8(PLANT).unwrap();
    let jwt = format!("Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.{plant}");
    let basic = format!("Basic {}", STANDARD.encode(format!("alice:{plant}")));
    let digest = format!(r#"Digest username="alice", realm="r", nonce="n", uri="/", response="{plant}""#);
    fields.extend([jwt, basic, digest].iter().map(|value| credentials(value.as_bytes(), &KEY)));
    for field in &fields {
        let shown = shown(field);
        for window in PLANT.windows(6) {
            let text = String::from_utf8_lossy(window).to_ascii_lowercase();
            let decimal = format!("{window:?}");
            for form in [text, lower_hex(window), decimal.trim_matches(['[', ']']).to_owned()] {
                assert!(!shown.contains(&form), "{form} in {shown}");
            }
        }
        assert!(!shown.contains(&STANDARD.encode(PLANT).to_ascii_lowercase()[..18]), "{shown}");
    }
    assert_eq!(authenticate(&fields[0]).session_key_bytes, 16);
    assert!(authenticate(&fields[0]).target_info.as_ref().is_some_and(|info| info.machine.is_some()));
}

/// Eight bytes of a response are enough to search a capture of hashes; none may be found in what is shown.
#[test]
fn no_window_of_a_secret_is_in_the_decoded_fields() {
    for fixture in fixtures() {
        let shown = shown(&fixture.decode(&fixture.bytes));
        assert!(!shown.contains("passw0rd"));
        let mut secrets = Vec::new();
        collect_secrets(&fixture.peer, &mut secrets);
        for secret in secrets {
            for window in secret.windows(8).filter(|w| w.iter().any(|b| *b != 0)) {
                let hex = lower_hex(window);
                let decimal = format!("{window:?}");
                let decimal = decimal.trim_matches(['[', ']']);
                let base64 = STANDARD.encode(&window[..6]).to_ascii_lowercase();
                for form in [&hex, decimal, &base64] {
                    assert!(!shown.contains(form), "{}: {form} in {shown}", fixture.name);
                }
            }
        }
    }
}

/// pyspnego's hex of everything that must not leave.
fn collect_secrets(value: &Value, found: &mut Vec<Vec<u8>>) {
    const SECRET: &[&str] = &[
        "MIC",
        "NTProofStr",
        "LMProofStr",
        "ChallengeFromClient",
        "EncryptedRandomSessionKey",
        "SessionKey",
        "ServerChallenge",
        "cipher",
        "MachineId",
        "mechListMIC",
    ];
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value.as_str() {
                    Some(text) if SECRET.contains(&name.as_str()) && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
                        found.push(hex(text));
                    }
                    _ => collect_secrets(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|v| collect_secrets(v, found)),
        _ => {}
    }
}
