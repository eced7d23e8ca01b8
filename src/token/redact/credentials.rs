//! Authentication fields and cookies without what they prove.

use std::fmt::Write as _;

use super::super::Key;
use super::super::field::{self, Auth};
use super::super::fingerprint::{self, Kind};
use super::super::scheme::{self, is_word};
use super::{shown, size, url};
use crate::model::auth::Scheme;

/// Attributes of Set-Cookie whose values are no secret (RFC 6265 section 5.2 and its successors).
const ATTRIBUTES: &[&str] =
    &["domain", "expires", "httponly", "max-age", "partitioned", "priority", "samesite", "secure"];

/// `Authorization`: the scheme, and sizes.
pub(super) fn credentials(value: &[u8]) -> String {
    read_credentials(&field::credentials(value))
}

/// [`credentials`] that were read already.
pub(super) fn read_credentials(auth: &Auth<'_>) -> String {
    let named = auth.params.iter().all(|(name, _)| is_word(name));
    if (!auth.faults.is_empty() || !named) && !auth.params.is_empty() {
        // A lost quote may have made a name of a secret.
        return format!("{} <{} parameters>", scheme_and_token(auth), auth.params.len());
    }
    one(auth, |_| false)
}

/// `WWW-Authenticate`: schemes and open parameters as they are, tokens by size.
pub(super) fn challenges(value: &[u8]) -> String {
    read_challenges(&field::challenges(value))
}

/// [`challenges`] that were read already.
pub(super) fn read_challenges(list: &[Auth<'_>]) -> String {
    match list {
        [alone] => one(alone, scheme::is_open),
        several => several.iter().map(|auth| one(auth, scheme::is_open)).collect::<Vec<_>>().join(", "),
    }
}

/// `Authentication-Info`: the names, and what of RFC 7615 is no proof.
pub(super) fn info(value: &[u8]) -> String {
    params(&field::parameters(value), |name| matches!(name, "nc" | "qop"))
}

fn one(auth: &Auth<'_>, open: impl Fn(&str) -> bool) -> String {
    let mut text = scheme_and_token(auth);
    if !auth.params.is_empty() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&params(&auth.params, open));
    }
    text
}

fn scheme_and_token(auth: &Auth<'_>) -> String {
    let mut text = String::with_capacity(32);
    if !auth.scheme_as_sent.is_empty() {
        text.push_str(&shown(auth.scheme_as_sent.as_bytes()));
    }
    if let Some(token) = auth.token68 {
        let space = if text.is_empty() { "" } else { " " };
        // The size of Basic credentials would give away the password's. Writing to a String cannot fail.
        let _ = if auth.scheme == Scheme::Basic {
            write!(text, "{space}<token>")
        } else {
            write!(text, "{space}<token, {} bytes>", token.bytes.len())
        };
    }
    text
}

fn params(list: &[(String, String)], open: impl Fn(&str) -> bool) -> String {
    let list: Vec<String> = list
        .iter()
        .map(|(name, value)| {
            let name = shown(name.as_bytes());
            if open(&name) {
                let escaped = url::open_value(&name, value).replace('\\', "\\\\").replace('"', "\\\"");
                format!("{name}=\"{}\"", shown(escaped.as_bytes()))
            } else {
                format!("{name}={}", size(value.as_bytes()))
            }
        })
        .collect();
    list.join(", ")
}

/// `Cookie`: names, and sizes and fingerprints of values.
pub(super) fn cookie(value: &[u8], key: &Key) -> String {
    let pairs: Vec<String> = value.split(|b| *b == b';').map(|text| cookie_pair(text, key)).collect();
    pairs.join("; ")
}

/// `Set-Cookie`: as [`cookie`], and its attributes.
pub(super) fn set_cookie(value: &[u8], key: &Key) -> String {
    let mut parts = value.split(|b| *b == b';');
    let mut list: Vec<String> = parts.next().map(|text| cookie_pair(text, key)).into_iter().collect();
    for part in parts {
        let part = part.trim_ascii();
        let (name, rest) = split_once(part, b'=');
        let name = String::from_utf8_lossy(name).trim().to_ascii_lowercase();
        list.push(match rest {
            Some(path) if name == "path" => {
                format!("Path={}", url::reference(path.trim_ascii()))
            }
            _ if ATTRIBUTES.contains(&name.as_str()) => shown(part),
            _ => pair(part),
        });
    }
    list.join("; ")
}

/// `name=value` as `name=<N bytes, fingerprint>`.
fn cookie_pair(text: &[u8], key: &Key) -> String {
    let text = text.trim_ascii();
    match split_once(text, b'=') {
        (name, Some(value)) if !url::name_is_opaque(name, value) && !value.is_empty() => {
            let print = fingerprint::of(Kind::Cookie, text, key);
            format!("{}=<{} bytes, {print}>", shown(name), value.len())
        }
        _ => pair(text),
    }
}

/// `name=value` as `name=<N bytes>`; without a name nothing is known to be harmless.
pub(super) fn pair(text: &[u8]) -> String {
    let text = text.trim_ascii();
    match split_once(text, b'=') {
        (name, Some(value)) if !url::name_is_opaque(name, value) => {
            format!("{}={}", shown(name), size(value))
        }
        _ if text.is_empty() => String::new(),
        _ => size(text),
    }
}

/// The bytes before the first `by`, and those after it when there is one.
pub(super) fn split_once(bytes: &[u8], by: u8) -> (&[u8], Option<&[u8]>) {
    let mut halves = bytes.splitn(2, |b| *b == by);
    (halves.next().unwrap_or_default(), halves.next())
}
