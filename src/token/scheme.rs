//! Which names and parameters of a scheme may be shown.

use std::borrow::Cow;

use super::redact;
use crate::model::auth::Scheme;

/// Schemes that people use, in lower case: IANA's registry, Microsoft's, and common private ones.
const KNOWN: &[&str] = &[
    "apikey",
    "aws4-hmac-sha256",
    "basic",
    "bearer",
    "concealed",
    "digest",
    "dpop",
    "gnap",
    "hawk",
    "hmac",
    "hoba",
    "kerberos",
    "mutual",
    "nego2",
    "negotiate",
    "ntlm",
    "oauth",
    "passport1.4",
    "pop",
    "privatetoken",
    "scram-sha-1",
    "scram-sha-256",
    "sharedkey",
    "sharedkeylite",
    "token",
    "vapid",
    "wrap",
];

/// Parameters whose values are no secret in any challenge (RFC 9110 11.5, RFC 6750 3, RFC 7616 3.3, RFC 7617 2).
const OPEN: &[&str] = &[
    "algorithm",
    "authorization_uri",
    "charset",
    "client_id",
    "domain",
    "error",
    "error_description",
    "error_uri",
    "qop",
    "realm",
    "resource_id",
    "scope",
    "stale",
    "trusted_issuers",
    "userhash",
];

/// Whether the first word of credentials is a scheme. A bare key in `Authorization` looks like a scheme by the
/// grammar; only a known name is believed.
pub(super) fn believed(name: &str) -> bool {
    // A token stands where a scheme might: nothing of it is copied.
    let lower = name.bytes().map(|b| b.to_ascii_lowercase());
    KNOWN.binary_search_by(|known| known.bytes().cmp(lower.clone())).is_ok()
}

/// Whether this parameter's value may be shown wherever it stands.
pub(super) fn is_open(param: &str) -> bool {
    OPEN.binary_search(&param).is_ok()
}

/// Replaces what may be secret in a challenge. Of the schemes known well, everything is kept but a Digest `response`,
/// which has no place there.
pub(super) fn withhold_of_challenge(scheme: &Scheme, params: &mut Vec<(String, String)>) {
    match scheme {
        Scheme::Basic | Scheme::Bearer => {}
        Scheme::Digest => params.retain(|(name, _)| name != "response"),
        _ => withhold_unless(params, is_open),
    }
    // Open is what they say; an error's description may quote the very token that it is about.
    for (name, value) in params.iter_mut().filter(|(name, _)| is_open(name)) {
        if let Cow::Owned(shown) = redact::open_value(name, value) {
            *value = shown;
        }
    }
}

/// Replaces what may be secret in credentials of a scheme that has no reader of its own; of broken ones, where a lost
/// quote may have made a name of a secret, nothing is kept.
pub(super) fn withhold_of_credentials(params: &mut Vec<(String, String)>, broken: bool) {
    if broken || !params.iter().all(|(name, _)| is_word(name)) {
        params.clear();
    }
    withhold_unless(params, |name| name == "realm");
}

/// Whether this is a name that somebody chose, and not a piece of a hash.
pub(super) fn is_word(name: &str) -> bool {
    name.len() <= 24 && name.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'-' | b'_' | b'*'))
}

fn withhold_unless(params: &mut [(String, String)], open: impl Fn(&str) -> bool) {
    for (name, value) in params {
        if !open(name) {
            *value = format!("<{} bytes>", value.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An unsorted table makes binary search miss names, and a known scheme would be hidden as a secret.
    #[test]
    fn tables_are_sorted() {
        assert!(KNOWN.is_sorted());
        assert!(OPEN.is_sorted());
        assert!(believed("NTLM") && believed("wrap") && believed("apikey"));
        assert!(!believed("hunter2"));
    }
}
