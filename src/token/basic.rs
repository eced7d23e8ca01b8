//! Basic credentials (RFC 7617). The password goes no further than this file.

use super::fault::Faults;
use super::field::Text;
use super::token68;
use crate::model::auth::{Basic, Token};

/// Sizes of Basic tokens are told in these steps: user and exact size together would tell the password's length.
const STEP: usize = 32;

/// Reads `user-id ":" password` (RFC 7617 section 2): the user, and the charset over both.
pub(super) fn credentials(text: Text<'_>, faults: &mut Faults) -> (Token, usize) {
    let decoded = token68::decode(text, faults);
    let basic = if let Some(colon) = decoded.iter().position(|b| *b == b':') {
        let user = decoded.get(..colon).unwrap_or_default();
        Basic { user: Some(text_of(user)), charset: Some(charset(&decoded).to_owned()) }
    } else {
        // Without a colon nobody can say whether this is a user or a password.
        faults.add(0, "basic", "user, a colon, password", "no colon");
        Basic::default()
    };
    (Token::Basic(basic), decoded.len().next_multiple_of(STEP))
}

fn charset(bytes: &[u8]) -> &'static str {
    if bytes.is_ascii() {
        "ascii"
    } else if std::str::from_utf8(bytes).is_ok() {
        "utf-8"
    } else {
        "neither"
    }
}

/// UTF-8 when it is that, else Latin-1, which every byte sequence is.
fn text_of(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| bytes.iter().copied().map(char::from).collect(), ToOwned::to_owned)
}
