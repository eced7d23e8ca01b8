//! Which event of the handshake machine a request or a response is.

use super::handshake::Event;
use crate::model::auth::{AuthField, Ntlm, Scheme, Token};
use crate::model::event::Exchange;

/// What a request is to the machine.
pub fn request(authorization: Option<&AuthField>) -> Event {
    let Some(field) = authorization else { return Event::Bare };
    match field.ntlm() {
        Some(Ntlm::Negotiate(_)) => return Event::Negotiate,
        Some(Ntlm::Authenticate(_)) => return Event::Authenticate,
        _ => {}
    }
    match (&field.scheme, &field.token) {
        // An empty `Bearer`, as some mail clients send first, asks what there is to offer; it proves nothing.
        (_, Token::None) => Event::Bare,
        (Scheme::Ntlm | Scheme::Negotiate | Scheme::Nego2 | Scheme::Kerberos, _) => Event::Token,
        _ => Event::Credentials,
    }
}

/// The same on HTTP/2, where requests of many logons share a connection: a message of NTLM is a token like any other
/// there, since it belongs to no connection.
pub const fn alone(event: Event) -> Event {
    match event {
        Event::Negotiate | Event::Authenticate => Event::Token,
        Event::Challenge => Event::Continue,
        other => other,
    }
}

/// What a response is to the machine. `persistent` is the answer of [`super::persistence`].
pub fn response(exchange: &Exchange, persistent: bool) -> Event {
    let Some(response) = &exchange.response else { return Event::Unanswered };
    if says_nothing(response.status) {
        return Event::Undecided;
    }
    if response.status != 401 {
        return if persistent { Event::Accepted } else { Event::AcceptedOnce };
    }
    if exchange.challenges.iter().any(|c| matches!(c.ntlm(), Some(Ntlm::Challenge(_)))) {
        return Event::Challenge;
    }
    let more = exchange.challenges.iter().any(|c| match &c.token {
        Token::Spnego(s) => s.neg_state.as_deref() != Some("reject"),
        Token::Kerberos(_) | Token::Ntlm(_) => true,
        _ => false,
    });
    // A KRB-ERROR is a refusal, even inside `accept-incomplete`.
    let error = exchange.challenges.iter().any(|c| c.kerberos().is_some_and(|k| k.message == "krb-error"));
    // The server's last message of a logon, in a 401: it knows the user, and refuses the resource all the same.
    let complete = exchange.authorization.is_some()
        && exchange.challenges.iter().any(|c| match &c.token {
            Token::Spnego(s) => s.neg_state.as_deref() == Some("accept-completed"),
            Token::Kerberos(k) => k.message == "ap-rep",
            _ => false,
        });
    if complete && !error {
        return Event::AcceptedOnce;
    }
    if more && !error { Event::Continue } else { Event::Refused }
}

/// Statuses that are no verdict on a logon. MS-NTHT takes any status but 401 for success; but other servers than IIS
/// answer a message that they cannot place with 400 or 500, and a proxy's own failure is 502.
const fn says_nothing(status: u16) -> bool {
    matches!(status, 400 | 407 | 408 | 411 | 413 | 414 | 417 | 421 | 429 | 431 | 500..=599)
}

/// The name of the message that a request carries, for legs and evidence.
pub fn request_name(event: Event) -> &'static str {
    match event {
        Event::Negotiate => "NEGOTIATE",
        Event::Authenticate => "AUTHENTICATE",
        Event::Token => "TOKEN",
        Event::Credentials => "CREDENTIALS",
        _ => "request",
    }
}

/// The handshake's scheme, by what the credentials are.
pub fn scheme(field: &AuthField) -> &'static str {
    match (field.ntlm().is_some(), &field.scheme) {
        (true, Scheme::Ntlm) => "ntlm",
        (true, _) => "negotiate-ntlm",
        (false, Scheme::Basic) => "basic",
        (false, Scheme::Digest) => "digest",
        (false, Scheme::Bearer) => "bearer",
        (false, _) if field.kerberos().is_some() => "kerberos",
        (false, Scheme::Ntlm | Scheme::Negotiate | Scheme::Nego2 | Scheme::Kerberos) => "negotiate",
        (false, Scheme::Other(_)) => "other",
    }
}

/// The user as the client named it.
pub fn user(field: &AuthField) -> Option<String> {
    if let Some(Ntlm::Authenticate(a)) = field.ntlm() {
        return match (a.domain.as_str(), a.user.as_str()) {
            (_, "") => None,
            ("", user) => Some(user.to_owned()),
            (domain, user) => Some(format!("{domain}\\{user}")),
        };
    }
    match &field.token {
        Token::Basic(b) => b.user.clone(),
        Token::Digest => field.param("username").map(str::to_owned),
        _ => None,
    }
}
