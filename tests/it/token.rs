//! Tokens: published vectors, tokens of independent peers compared field by field, broken input, planted secrets.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a fixture that does not fit is a failed test")]

mod broken;
mod fixture;
mod grammar;
mod gss;
mod jwt;
mod kerberos;
mod ntlm;
mod peer;
mod pyspnego;
mod redact;
mod secrets;
mod text_schemes;

use authtap::model::auth::{AuthField, Ntlm, NtlmAuthenticate};
use authtap::token::{Key, challenges, credentials};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const KEY: Key = Key(*b"a key for tests.");

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(u8::is_ascii_hexdigit)
        .map(|b| char::from(b).to_digit(16).unwrap().try_into().unwrap())
        .collect();
    digits.chunks(2).map(|c| c[0] << 4 | c[1]).collect()
}

fn lower_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, b| text + &format!("{b:02x}"))
}

fn as_credentials(scheme: &str, bytes: &[u8]) -> AuthField {
    credentials(format!("{scheme} {}", STANDARD.encode(bytes)).as_bytes(), &KEY)
}

fn as_challenge(scheme: &str, bytes: &[u8]) -> AuthField {
    let value = format!("{scheme} {}", STANDARD.encode(bytes));
    let mut list = challenges(&[value.as_bytes()], &KEY);
    assert_eq!(list.len(), 1);
    list.remove(0)
}

fn one(value: &str) -> AuthField {
    let mut list = challenges(&[value.as_bytes()], &KEY);
    assert_eq!(list.len(), 1, "{value}: {list:#?}");
    list.remove(0)
}

fn schemes(values: &[&str]) -> Vec<String> {
    let values: Vec<&[u8]> = values.iter().map(|v| v.as_bytes()).collect();
    challenges(&values, &KEY).iter().map(|c| c.scheme.name().to_owned()).collect()
}

fn params(field: &AuthField) -> Vec<(&str, &str)> {
    field.params.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()
}

fn authenticate(field: &AuthField) -> &NtlmAuthenticate {
    match field.ntlm() {
        Some(Ntlm::Authenticate(a)) => a,
        other => panic!("{other:?}"),
    }
}
