//! Secrets of real tokens, searched for in what was decoded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::fixture::fixtures;
use super::{hex, lower_hex};

/// Eight bytes of a response are enough to search a capture of hashes; none may be found in what is shown.
#[test]
fn no_window_of_a_secret_is_in_the_decoded_fields() {
    for fixture in fixtures() {
        let shown = format!("{:?}", fixture.decode(&fixture.bytes)).to_ascii_lowercase();
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
