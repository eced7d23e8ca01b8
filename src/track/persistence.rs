//! Whether a connection stays logged on: the client's state machine of MS-N2HT section 3.2.5.

use super::handshake::Event;
use crate::model::http::Response;

/// What `Persistent-Auth` says, when it is there and readable.
pub fn header(response: &Response) -> Option<bool> {
    match response.header("persistent-auth")?.trim() {
        v if v.eq_ignore_ascii_case("true") => Some(true),
        v if v.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Whether the final answer to `request` leaves the connection logged on.
///
/// The field counts on the final response of an authentication only. Without it, NTLM is persistent and everything
/// else is not. A 401 resets; that is the machine's business.
pub fn persistent(request: Event, ntlm: bool, response: &Response) -> bool {
    match request {
        Event::Bare => true,
        Event::Credentials => false,
        _ => header(response).unwrap_or(ntlm),
    }
}
