//! Kerberos messages of a turn, and how findings name them.

use crate::model::auth::Kerberos;
use crate::token::kerberos::etype_name;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

/// The AP-REQ of the request.
///
/// On HTTP/2 only one that was accepted: IIS takes none there, so a refusal says nothing of the ticket, and a client
/// that falls back to HTTP/1.1 may send the same one again.
pub(in crate::finding) fn ap_req(turn: &Turn) -> Option<&Kerberos> {
    let accepted = matches!(turn.answer, Event::Accepted | Event::AcceptedOnce);
    if turn.request != Event::Token || (turn.is_http2() && !accepted) {
        return None;
    }
    turn.exchange.authorization.as_ref()?.kerberos().filter(|k| k.message == "ap-req")
}

/// The KRB-ERROR of the response.
pub(in crate::finding) fn krb_error(turn: &Turn) -> Option<&Kerberos> {
    turn.exchange.challenges.iter().filter_map(|c| c.kerberos()).find(|k| k.message == "krb-error")
}

/// The SPN that the ticket is for: `HTTP/app.example.test`.
pub(in crate::finding) fn spn(ticket: &Kerberos) -> &str {
    ticket.sname.as_deref().unwrap_or("an unnamed service")
}

/// `HTTP/app.example.test of EXAMPLE.TEST (AES256-CTS-HMAC-SHA1-96, key version 2)`.
pub(in crate::finding) fn described(ticket: &Kerberos) -> String {
    let realm = ticket.realm.as_deref().map(|r| format!(" of {r}")).unwrap_or_default();
    let etype =
        ticket.ticket_etype.map(|e| etype_name(e).map_or_else(|| format!("encryption type {e}"), str::to_owned));
    let kvno = ticket.kvno.map(|k| format!("key version {k}"));
    let inside: Vec<String> = etype.into_iter().chain(kvno).collect();
    let inside = if inside.is_empty() { String::new() } else { format!(" ({})", inside.join(", ")) };
    format!("{}{realm}{inside}", spn(ticket))
}

/// `KRB_AP_ERR_MODIFIED (41)`.
pub(in crate::finding) fn error_name(error: &Kerberos) -> String {
    let code = error.error_code.unwrap_or_default();
    error.error_name.as_ref().map_or_else(|| format!("Kerberos error {code}"), |n| format!("{n} ({code})"))
}

/// The error codes that say that the service could not open the ticket: BAD_INTEGRITY, NOT_US, MODIFIED, BADKEYVER and
/// NOKEY (RFC 4120 section 7.5.9).
pub(in crate::finding) const WRONG_KEY: [i32; 5] = [31, 35, 41, 44, 45];
/// KDC_ERR_ETYPE_NOSUPP.
pub(in crate::finding) const ETYPE_NOSUPP: i32 = 14;
/// KRB_AP_ERR_SKEW.
pub(in crate::finding) const SKEW: i32 = 37;

/// DES and RC4 (RFC 3961, RFC 4757), which current domains refuse.
pub(in crate::finding) const fn is_old(etype: i32) -> bool {
    matches!(etype, 1 | 2 | 3 | 23 | 24)
}
