//! URLs and request targets without what may be a token in them.
//!
//! Query values, fragments and userinfo go. A path stays, for it says which application refused; of its segments those
//! go that look like tokens, and ASP.NET's cookieless sessions and tickets.

use std::borrow::Cow;

use super::credentials::split_once;
use super::{shown, size};

/// A segment of token characters that is as long as this is no name that a person gave.
const OPAQUE_SEGMENT: usize = 64;

/// The same for names of parameters, which are shorter.
const OPAQUE_NAME: usize = 40;

/// A name without a value that is as long as this may be a base64 token with its padding.
const BARE_NAME: usize = 16;

/// A request target in any of its forms (RFC 9112 section 3.2).
pub(super) fn target(target: &[u8]) -> String {
    if target.starts_with(b"/") || target == b"*" {
        return path_and_query(target);
    }
    reference(target)
}

/// A URI reference (RFC 3986 section 4.1).
pub(super) fn reference(value: &[u8]) -> String {
    let (scheme, rest) = match value.windows(3).position(|w| w == b"://") {
        Some(at) if is_scheme(value.get(..at).unwrap_or_default()) => {
            value.split_at_checked(at.saturating_add(3)).unwrap_or((&[], value))
        }
        _ if value.starts_with(b"//") => value.split_at_checked(2).unwrap_or((&[], value)),
        _ => (&[][..], value),
    };
    if scheme.is_empty() {
        // authority-form, or a path without a slash; either may hold userinfo.
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#'));
        let first = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        if first.contains(&b'@') {
            return authority(rest);
        }
        return path_and_query(rest);
    }
    format!("{}{}", shown(scheme), authority(rest))
}

fn is_scheme(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// Authority without userinfo, then the path. A backslash ends it too, as browsers and IIS have it.
fn authority(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| matches!(b, b'/' | b'\\' | b'?' | b'#')).unwrap_or(bytes.len());
    let (host, path) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
    match host.iter().rposition(|b| *b == b'@') {
        Some(at) => {
            let host = host.get(at.saturating_add(1)..).unwrap_or_default();
            format!("<userinfo>@{}{}", shown(host), path_and_query(path))
        }
        None => format!("{}{}", shown(host), path_and_query(path)),
    }
}

fn path_and_query(bytes: &[u8]) -> String {
    let (bytes, fragment) = split_once(bytes, b'#');
    let (path, query) = split_once(bytes, b'?');
    let mut text = String::with_capacity(bytes.len());
    for (number, part) in path.split(|b| *b == b'/').enumerate() {
        if number > 0 {
            text.push('/');
        }
        segment(part, &mut text);
    }
    if let Some(query) = query {
        text.push('?');
        let pairs: Vec<String> = query.split(|b| *b == b'&').map(query_pair).collect();
        text.push_str(&pairs.join("&"));
    }
    if let Some(fragment) = fragment {
        text.push('#');
        text.push_str(&size(fragment));
    }
    text
}

/// `name=value` as `name=<N bytes>`; text without a name goes whole.
fn query_pair(pair: &[u8]) -> String {
    match split_once(pair, b'=') {
        (name, Some(value)) if !name_is_opaque(name, value) => {
            if value.is_empty() {
                format!("{}=", shown(name))
            } else {
                format!("{}={}", shown(name), size(value))
            }
        }
        _ if pair.is_empty() => String::new(),
        _ => size(pair),
    }
}

/// Whether what stands before a `=` may itself be a token: too long for a name, a JWT, or base64 with its padding.
pub(super) fn name_is_opaque(name: &[u8], value: &[u8]) -> bool {
    name.len() >= OPAQUE_NAME || is_jwt(name) || (name.len() >= BARE_NAME && value.iter().all(|b| *b == b'='))
}

/// A challenge's parameter that is meant to be read: what looks like a token in it goes, and what a URI may hold.
pub(in crate::token) fn open_value<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if name.ends_with("_uri") {
        return Cow::Owned(reference(value.as_bytes()));
    }
    let of_a_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '_' | '=' | '.' | '~' | '%');
    let secret = |word: &str| is_jwt(word.as_bytes()) || is_opaque(word.as_bytes());
    if !value.split(|c| !of_a_token(c)).any(secret) {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len());
    for piece in value.split_inclusive(|c| !of_a_token(c)) {
        let word = piece.trim_end_matches(|c| !of_a_token(c));
        if secret(word) {
            text.push_str(&size(word.as_bytes()));
            text.push_str(piece.get(word.len()..).unwrap_or_default());
        } else {
            text.push_str(piece);
        }
    }
    Cow::Owned(text)
}

/// A path segment; its parameters after `;` as a query's (RFC 3986 section 3.3).
fn segment(segment: &[u8], text: &mut String) {
    let mut parts = segment.split(|b| *b == b';');
    let name = parts.next().unwrap_or_default();
    if is_cookieless(name) || is_jwt(name) || is_opaque(name) {
        text.push_str(&size(name));
    } else {
        text.push_str(&shown(name));
    }
    for param in parts {
        text.push(';');
        text.push_str(&query_pair(param));
    }
}

/// ASP.NET's cookieless session, ticket and anonymous id: `(S(…))`, `(F(…))`, `(A(…)S(…))`.
fn is_cookieless(segment: &[u8]) -> bool {
    if !matches!(segment, [b'(' | b'%', ..]) {
        return false;
    }
    let text = String::from_utf8_lossy(segment).to_ascii_lowercase();
    let text = text.replace("%28", "(").replace("%29", ")");
    matches!(text.as_bytes(), [b'(', kind, b'(', .., b')'] if kind.is_ascii_alphabetic())
}

/// `eyJ` begins the base64url of `{"`: a JOSE header.
fn is_jwt(text: &[u8]) -> bool {
    text.len() >= 20 && text.starts_with(b"eyJ")
}

/// Long, of base64's, base64url's or hex's characters, and with a digit, which long words seldom have.
fn is_opaque(segment: &[u8]) -> bool {
    segment.len() >= OPAQUE_SEGMENT
        && segment.iter().any(u8::is_ascii_digit)
        && segment
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'_' | b'=' | b'.' | b'~' | b'%'))
}
