//! Whether a JWT was good at a given moment.

use std::time::Duration;

use crate::model::Stamp;
use crate::model::auth::Jwt;

/// What `exp` and `nbf` say about a moment (RFC 7519 sections 4.1.4, 4.1.5). Services allow some difference of clocks,
/// ASP.NET five minutes by default: how much too late or early says more than that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// `exp` was so long ago.
    Expired(Duration),
    /// `nbf` is so far ahead.
    NotYetValid(Duration),
    /// Within its time.
    Fine,
    /// It has neither `exp` nor `nbf`, or they are encrypted.
    Unknown,
}

/// Judges a JWT against a moment; best the `Date` of the response that refused it, which is the service's own clock.
pub fn judge(jwt: &Jwt, at: Stamp) -> Validity {
    match (jwt.expires, jwt.not_before) {
        // "On or after which the JWT MUST NOT be accepted".
        (Some(expires), _) if at >= expires => Validity::Expired(at.since(expires)),
        (_, Some(not_before)) if at < not_before => Validity::NotYetValid(not_before.since(at)),
        (None, None) => Validity::Unknown,
        _ => Validity::Fine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wrong verdict here sends an administrator after the identity provider instead of a clock, or the other way.
    #[test]
    fn the_edges_are_where_rfc_7519_has_them() {
        let second = |s: i64| Stamp(s.saturating_mul(1_000_000));
        let jwt = Jwt { expires: Some(second(100)), not_before: Some(second(50)), ..Jwt::default() };
        assert_eq!(judge(&jwt, second(49)), Validity::NotYetValid(Duration::from_secs(1)));
        assert_eq!(judge(&jwt, second(50)), Validity::Fine);
        assert_eq!(judge(&jwt, Stamp(99_999_999)), Validity::Fine);
        assert_eq!(judge(&jwt, second(100)), Validity::Expired(Duration::ZERO));
        assert_eq!(judge(&jwt, second(160)), Validity::Expired(Duration::from_mins(1)));
        assert_eq!(judge(&Jwt::default(), second(1)), Validity::Unknown);
    }
}
