//! Mechanism OIDs as SPNEGO lists them, with their names.

/// SPNEGO itself (RFC 4178 section 4.1).
pub const SPNEGO: &str = "1.3.6.1.5.5.2";
/// Kerberos (RFC 4121 section 1).
pub const KERBEROS: &str = "1.2.840.113554.1.2.2";
/// Kerberos with Windows 2000's truncated number, still first in Windows' lists (MS-SPNG section 3.1.5.2).
pub const KERBEROS_MS: &str = "1.2.840.48018.1.2.2";
/// Kerberos user-to-user.
pub const KERBEROS_USER_TO_USER: &str = "1.2.840.113554.1.2.2.3";
/// NTLMSSP (MS-SPNG section 1.9).
pub const NTLM: &str = "1.3.6.1.4.1.311.2.2.10";
/// NEGOEX (MS-NEGOEX section 1.9).
pub const NEGOEX: &str = "1.3.6.1.4.1.311.2.2.30";
/// Kerberos without a way to the KDC: the server passes the messages on (draft-ietf-kitten-iakerb).
pub const IAKERB: &str = "1.3.6.1.5.2.5";
/// Public key user-to-user, between machines without a domain (draft-zhu-pku2u).
pub const PKU2U: &str = "1.3.6.1.5.2.7";

/// OIDs and names, sorted by OID.
const NAMES: &[(&str, &str)] = &[
    (KERBEROS, "Kerberos"),
    (KERBEROS_USER_TO_USER, "Kerberos user-to-user"),
    (KERBEROS_MS, "Kerberos (MS, 48018)"),
    (NTLM, "NTLM"),
    (NEGOEX, "NEGOEX"),
    (IAKERB, "IAKERB"),
    (PKU2U, "PKU2U"),
    (SPNEGO, "SPNEGO"),
];

/// The name of a mechanism, by its dotted OID.
pub fn name(oid: &str) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name)
}

/// Whether the bytes begin like an InitialContextToken of SPNEGO or Kerberos: `60`, a length, and an OID in front that
/// is one of theirs (RFC 2743 section 3.1). For schemes where anything may stand.
pub(in crate::token) fn begins_wrapped(bytes: &[u8]) -> bool {
    const ENCODED: [&[u8]; 3] = [
        &[0x06, 0x06, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x02],
        &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02],
        &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02],
    ];
    let ([0x60, 0x81, _, after_length @ ..]
    | [0x60, 0x82, _, _, after_length @ ..]
    | [0x60, 0..=0x7f, after_length @ ..]) = bytes
    else {
        return false;
    };
    ENCODED.iter().any(|oid| after_length.starts_with(oid))
}
