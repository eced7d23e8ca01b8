//! What is odd about a SPNEGO token and still right: facts that keep a reader from calling it a fault.

use super::oid;
use crate::model::auth::{Spnego, Token};

/// How a server's supportedMech answers the mechanism of the client's optimistic token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The one that the client had preferred, by the same number.
    Same,
    /// Kerberos by its standard number, where the client had offered Windows' truncated one first. Windows' clients
    /// refuse such an answer (MS-SPNG section 3.1.5.2); no Windows server gives it.
    TruncationUndone,
    /// Kerberos by Windows' truncated number, where the client had offered the standard one first.
    Truncated,
    /// Another mechanism of the client's list.
    Other,
    /// One that the client had not offered.
    NotOffered,
}

/// Compares supportedMech of an answer with mechTypes of what it answers (RFC 4178 section 4.2.2).
pub fn choice(offered: &[String], supported: &str) -> Choice {
    match (offered.first().map(String::as_str), supported) {
        (Some(first), supported) if first == supported => Choice::Same,
        (Some(oid::KERBEROS_MS), oid::KERBEROS) => Choice::TruncationUndone,
        (Some(oid::KERBEROS), oid::KERBEROS_MS) => Choice::Truncated,
        _ if offered.iter().any(|mech| mech == supported) => Choice::Other,
        _ => Choice::NotOffered,
    }
}

/// Sentences on what may look wrong in this token and is not, or matters and is not seen at once.
pub fn notes(message: &Spnego) -> Vec<&'static str> {
    let lists = |mech: &str| message.mechs.iter().any(|listed| listed == mech);
    let mut notes = Vec::new();
    if lists(oid::KERBEROS_MS) || message.supported_mech.as_deref() == Some(oid::KERBEROS_MS) {
        notes.push(
            "1.2.840.48018.1.2.2 is Kerberos: 113554 cut to 16 bits by Windows 2000, and kept since. A Windows client \
             that offers it first wants it back as supportedMech, and refuses the standard number.",
        );
    }
    if message.message == "neg-token-init" {
        if !message.mechs.is_empty() && !lists(oid::KERBEROS) && !lists(oid::KERBEROS_MS) {
            notes.push(
                "Kerberos is not offered: the client has no ticket for this name, or does not try (an address instead \
                 of a name, no SPN, no domain controller in reach, not in the intranet zone).",
            );
        } else if matches!(message.inner.as_deref(), Some(Token::Ntlm(_))) {
            notes.push("Kerberos is offered, and yet the first token is NTLM: the client got no ticket for this name.");
        }
    }
    if message.hint_name.as_deref() == Some("not_defined_in_RFC4178@please_ignore") {
        notes.push("The hint name is a constant of Windows and says nothing.");
    }
    if message.neg_state.as_deref() == Some("accept-incomplete")
        && matches!(message.inner.as_deref(), Some(Token::Kerberos(k)) if k.message == "krb-error")
    {
        notes
            .push("The state says to go on, but the KRB-ERROR inside is the refusal: so does Windows refuse a ticket.");
    }
    if !message.negoex.is_empty() {
        notes.push("NEGOEX carries further mechanisms (PKU2U, Azure AD); what they say is not decoded.");
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(list: &[&str]) -> Vec<String> {
        list.iter().map(|oid| (*oid).to_owned()).collect()
    }

    /// A box that "corrects" the OID locks Windows clients out, and nothing but this comparison shows it.
    #[test]
    fn the_truncated_number_must_come_back() {
        let windows = owned(&[oid::KERBEROS_MS, oid::KERBEROS, oid::NEGOEX, oid::NTLM]);
        assert_eq!(choice(&windows, oid::KERBEROS_MS), Choice::Same);
        assert_eq!(choice(&windows, oid::KERBEROS), Choice::TruncationUndone);
        assert_eq!(choice(&windows, oid::NTLM), Choice::Other);
        assert_eq!(choice(&owned(&[oid::KERBEROS]), oid::KERBEROS_MS), Choice::Truncated);
        assert_eq!(choice(&owned(&[oid::NTLM]), oid::KERBEROS), Choice::NotOffered);
        let spnego = Spnego { message: "neg-token-init".to_owned(), mechs: windows, ..Spnego::default() };
        assert_eq!(notes(&spnego).len(), 1);
        let ntlm_only = Spnego { mechs: owned(&[oid::NTLM]), ..spnego };
        assert!(notes(&ntlm_only).first().is_some_and(|note| note.starts_with("Kerberos is not offered")));
    }
}
