//! Heads of requests and responses as they were told: redacted, with their tokens made anew where that is possible.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::token::remade;
use crate::model::auth::AuthField;
use crate::model::event::Exchange;
use crate::model::http::{Header, Response};

/// What stands for a token in a redacted value, up to its size.
const KEPT_OUT: &str = "<token";

/// A request's head.
pub(super) fn request(exchange: &Exchange) -> String {
    let request = &exchange.request;
    // What stands for a query's values has a space, which would end the target (RFC 9112 section 3).
    let line = format!("{} {} {}", request.method, request.target.replace(' ', "-"), request.version);
    let mut fields: Vec<&AuthField> = exchange.authorization.iter().collect();
    head(&line, &request.headers, "authorization", &mut fields)
}

/// A response's head.
pub(super) fn response(exchange: &Exchange, response: &Response) -> String {
    let line = format!("{} {} {}", response.version, response.status, response.reason);
    let mut fields: Vec<&AuthField> = exchange.challenges.iter().collect();
    head(&line, &response.headers, "www-authenticate", &mut fields)
}

fn head(line: &str, headers: &[Header], auth: &str, fields: &mut Vec<&AuthField>) -> String {
    let mut head = String::with_capacity(1024);
    plain(line, &mut head);
    head.push_str("\r\n");
    for header in headers {
        plain(&header.name, &mut head);
        head.push_str(": ");
        let ours = header.name.eq_ignore_ascii_case(auth);
        if ours || header.name.to_ascii_lowercase().starts_with("proxy-auth") {
            let nothing = &mut Vec::new();
            plain(&with_tokens(&header.value, if ours { fields } else { nothing }), &mut head);
        } else {
            plain(&header.value, &mut head);
        }
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head
}

/// Puts tokens in the place of `NTLM <token, 40 bytes>`. One that cannot be made has its scheme within the brackets: what
/// stands behind a scheme's name Wireshark reads as a token, and would call it malformed.
fn with_tokens(value: &str, fields: &mut Vec<&AuthField>) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once(KEPT_OUT) {
        let Some((size, behind)) = after.split_once('>') else { break };
        let from = before.rfind(", ").map_or(0, |comma| comma + 2);
        let (others, scheme) = before.split_at(from);
        let scheme = scheme.trim_end();
        text.push_str(others);
        let place = fields.iter().position(|f| f.scheme_as_sent == scheme && f.token_bytes > 0);
        match place.map(|place| fields.remove(place)) {
            Some(field) if let Some(token) = remade(field) => {
                text.push_str(scheme);
                text.push(' ');
                text.push_str(&STANDARD.encode(token));
            }
            field => {
                let kind = field.map(what).unwrap_or_default();
                // Writing to a String cannot fail.
                let _ = write!(text, "<{scheme} token{size}{kind}>");
            }
        }
        rest = behind;
    }
    text.push_str(rest);
    text
}

/// What is known of a token that cannot be made.
fn what(field: &AuthField) -> String {
    let Some(kerberos) = field.kerberos() else { return String::new() };
    let name = kerberos.sname.as_deref().map(|name| format!(" for {name}")).unwrap_or_default();
    let realm = kerberos.realm.as_deref().map(|realm| format!("@{realm}")).unwrap_or_default();
    format!(", Kerberos {}{name}{realm}", kerberos.message)
}

/// A line holds no line break, whatever a peer wrote.
fn plain(text: &str, out: &mut String) {
    out.extend(text.chars().map(|c| if c.is_control() { '?' } else { c }));
}
