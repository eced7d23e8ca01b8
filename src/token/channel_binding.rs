//! What an NTLM client bound its logon to (RFC 5929 section 4, MS-NLMP section 2.2.2.1 "MsvAvChannelBindings").
//!
//! The arithmetic is [`crate::model::channel_binding`]; here is the comparison with the two certificates that a proxy
//! stands between.

use crate::model::auth::NtlmAuthenticate;

/// Which certificate an MsvAvChannelBindings value belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Binding {
    /// authtap's certificate, and not the server's: a server that requires Extended Protection refuses it.
    ToTap,
    /// The server's certificate, and not authtap's: the client does not end its TLS here, or pinned a certificate.
    ToServer,
    /// Both sides present the same certificate: as it should be.
    ToBoth,
    /// All zero: the client saw no TLS, or has nothing to bind to.
    Zero,
    /// No such AV pair: the client knows no channel bindings.
    Absent,
    /// Neither: somebody else ends the client's TLS in front of authtap.
    Foreign,
}

/// Compares an MsvAvChannelBindings value (hex, as in [`crate::model::auth::TargetInfo::channel_binding`]) with the
/// values that authtap's and the server's certificates may have ([`crate::model::transport::Certificate`]'s
/// `channel_bindings`; any hash counts, for the rule which one is used has holes).
pub fn compare(value: Option<&str>, tap: &[String], server: &[String]) -> Binding {
    let Some(value) = value else {
        return Binding::Absent;
    };
    if value.bytes().all(|digit| digit == b'0') {
        return Binding::Zero;
    }
    let is_one_of = |list: &[String]| list.iter().any(|known| known.eq_ignore_ascii_case(value));
    match (is_one_of(tap), is_one_of(server)) {
        (true, true) => Binding::ToBoth,
        (true, false) => Binding::ToTap,
        (false, true) => Binding::ToServer,
        (false, false) => Binding::Foreign,
    }
}

/// The same for a whole AUTHENTICATE_MESSAGE. `None` for one that cannot carry a binding: NTLMv1 and anonymous ones.
pub fn of_authenticate(message: &NtlmAuthenticate, tap: &[String], server: &[String]) -> Option<Binding> {
    let pairs = message.target_info.as_ref()?;
    Some(compare(pairs.channel_binding.as_deref(), tap, server))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::channel_binding::of_certificate;

    /// Extended Protection fails for one reason in each of these; mixing two up sends the reader to the wrong machine.
    #[test]
    fn every_answer_has_its_case() {
        let (tap, server) = (of_certificate(b"tap").to_vec(), of_certificate(b"server").to_vec());
        let zero = "0".repeat(32);
        for (ours, theirs) in tap.iter().zip(&server) {
            assert_eq!(compare(Some(ours), &tap, &server), Binding::ToTap);
            assert_eq!(compare(Some(&theirs.to_uppercase()), &tap, &server), Binding::ToServer);
            assert_eq!(compare(Some(ours), &tap, &tap), Binding::ToBoth);
        }
        assert_eq!(compare(Some(&zero), &tap, &server), Binding::Zero);
        assert_eq!(compare(None, &tap, &server), Binding::Absent);
        assert_eq!(compare(of_certificate(b"box").first().map(String::as_str), &tap, &server), Binding::Foreign);
        assert_eq!(of_authenticate(&NtlmAuthenticate::default(), &tap, &server), None);
    }
}
