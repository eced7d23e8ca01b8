//! Takes secrets out of heads before any event exists.
//!
//! By allow-list: a field that is not known to be harmless is told by its length only. A new kind of secret in a field
//! that nobody thought of is then no leak, and a harmless new field costs the reader its value, which is the cheaper
//! mistake.

mod credentials;
mod forwarded;
mod kept;
mod url;

use std::fmt::Write as _;

use super::Key;
use super::field::Auth;

/// Longer than the name of any field that is known here.
const NAME_LIMIT: usize = 64;

/// A field's value as an event may hold it. A cookie's value is told by its size and its fingerprint: the same cookie on
/// two connections is most likely the same client.
pub fn header(name: &str, value: &[u8], key: &Key) -> String {
    let mut lower = [0; NAME_LIMIT];
    let Some(lower) = lower.get_mut(..name.len()) else { return size(value) };
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    match std::str::from_utf8(lower).unwrap_or_default() {
        "authorization" | "proxy-authorization" => credentials::credentials(value),
        "www-authenticate" | "proxy-authenticate" => credentials::challenges(value),
        "authentication-info" | "proxy-authentication-info" => credentials::info(value),
        "cookie" => credentials::cookie(value, key),
        "set-cookie" => credentials::set_cookie(value, key),
        "forwarded" => forwarded::hops(value),
        name if kept::is_kept(name) => shown(value),
        name if kept::is_url(name) => url::reference(value),
        _ => size(value),
    }
}

/// As [`header`], of credentials that were read already.
pub(super) fn credentials_read(auth: &Auth<'_>) -> String {
    credentials::read_credentials(auth)
}

/// As [`header`], of challenges that were read already.
pub(super) fn challenges_read(list: &[Auth<'_>]) -> String {
    credentials::read_challenges(list)
}

/// An open parameter of a challenge as an event may hold it.
pub(super) fn open_value<'a>(name: &str, value: &'a str) -> std::borrow::Cow<'a, str> {
    url::open_value(name, value)
}

/// A request target as an event may hold it: each query parameter's value is replaced.
pub fn target(target: &[u8]) -> String {
    url::target(target)
}

/// Lossy UTF-8, control characters escaped: a terminal must not obey what a client wrote.
fn shown(value: &[u8]) -> String {
    // Nearly all values; the general way looks at each character.
    if value.iter().all(|b| matches!(b, b' '..=b'~')) {
        return std::str::from_utf8(value).unwrap_or_default().to_owned();
    }
    let text = String::from_utf8_lossy(value);
    if !text.contains(char::is_control) {
        return text.into_owned();
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "\\x{:02x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// What stands for a value that is not shown.
fn size(value: &[u8]) -> String {
    format!("<{} bytes>", value.len())
}
