//! Bearer tokens (RFC 6750): what kind, never which.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::auth::Bearer;

/// Longer than any real JOSE header; keeps a hostile one from being decoded for nothing.
const HEADER_LIMIT: usize = 16 * 1024;

/// Whether the token has the shape of a JWT: a JWS of three parts or a JWE of five (RFC 7515 section 3.1, RFC 7516
/// section 3.1), of which the first is a JSON object.
pub(super) fn credentials(token: &[u8]) -> Bearer {
    let mut parts = token.split(|b| *b == b'.');
    let header = parts.next().unwrap_or_default();
    let rest = parts.count();
    let is_object = || {
        let json = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
        let json = json.trim_ascii();
        json.starts_with(b"{") && json.ends_with(b"}")
    };
    Bearer { is_jwt: matches!(rest, 2 | 4) && header.len() <= HEADER_LIMIT && is_object() }
}

#[cfg(test)]
mod tests {
    use super::credentials;

    /// A user who is told "JWT" looks for its expiry; one whose opaque token is called that looks in vain.
    #[test]
    fn a_jwt_is_told_from_an_opaque_token() {
        // RFC 7519 section 3.1, the header and payload; RFC 6750 section 2.1.
        assert!(credentials(b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.c2ln").is_jwt);
        assert!(!credentials(b"mF_9.B5f-4.1JqM").is_jwt);
        assert!(!credentials(b"eyJ0eXAiOiJKV1QifQ").is_jwt);
        assert!(!credentials(b"").is_jwt);
    }
}
