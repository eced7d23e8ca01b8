//! Bearer tokens (RFC 6750): what kind, and of a JWT what it says of itself. Never the token, never its signature.

mod claim;
mod jwt;
mod validity;

pub use validity::{Validity, judge};

use super::fault::Faults;
use super::field::Text;
use crate::model::auth::Bearer;

/// What an `error` of a Bearer challenge means (RFC 6750 section 3.1).
pub fn error_meaning(error: &str) -> Option<&'static str> {
    Some(match error {
        "invalid_request" => "the request is malformed: a parameter is missing, doubled, or the token was sent twice",
        "invalid_token" => "the token is expired, revoked, malformed, or not for this service",
        "insufficient_scope" => "the token is good, and does not allow this",
        _ => return None,
    })
}

/// Reads a token behind `Bearer`.
pub(super) fn credentials(text: Text<'_>, faults: &mut Faults) -> Bearer {
    let jwt = jwt::decode(text, faults);
    Bearer { is_jwt: jwt.is_some(), jwt: jwt.map(Box::new) }
}
