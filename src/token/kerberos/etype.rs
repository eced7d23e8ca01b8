//! Encryption types by name (IANA "Kerberos Encryption Type Numbers"; RFC 3961, 3962, 4757, 8009; MS-KILE section 3.1.5.2).

/// Numbers and names, by number. Negative ones are Microsoft's own, from before RFC 4757.
const NAMES: &[(i32, &str)] = &[
    (-135, "RC4-HMAC-OLD-EXP"),
    (-133, "RC4-HMAC-OLD"),
    (-128, "RC4-MD4"),
    (1, "DES-CBC-CRC"),
    (2, "DES-CBC-MD4"),
    (3, "DES-CBC-MD5"),
    (5, "DES3-CBC-MD5"),
    (7, "DES3-CBC-SHA1"),
    (16, "DES3-CBC-SHA1-KD"),
    (17, "AES128-CTS-HMAC-SHA1-96"),
    (18, "AES256-CTS-HMAC-SHA1-96"),
    (19, "AES128-CTS-HMAC-SHA256-128"),
    (20, "AES256-CTS-HMAC-SHA384-192"),
    (23, "RC4-HMAC"),
    (24, "RC4-HMAC-EXP"),
    (25, "CAMELLIA128-CTS-CMAC"),
    (26, "CAMELLIA256-CTS-CMAC"),
];

/// The name of an encryption type.
pub fn etype_name(etype: i32) -> Option<&'static str> {
    NAMES.iter().find(|(number, _)| *number == etype).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "RC4 ticket" is a diagnosis by itself; a number without a name is none.
    #[test]
    fn numbers_are_sorted_and_named() {
        assert!(NAMES.is_sorted());
        assert_eq!((etype_name(18), etype_name(23)), (Some("AES256-CTS-HMAC-SHA1-96"), Some("RC4-HMAC")));
        assert_eq!(etype_name(0), None);
    }
}
