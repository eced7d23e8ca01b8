//! SPNEGO and Kerberos, by hand.

use authtap::model::auth::Token;

use super::{as_challenge, hex, one};

/// MS-SPNG's list, and the two constants of the facts; the 48018 OID is what a Windows client must get back.
#[test]
fn spnego_constants() {
    let spnego = |value: &str| match one(value).token {
        Token::Spnego(s) => *s,
        other => panic!("{other:?}"),
    };
    let s = spnego("Negotiate oQcwBaADCgEC");
    assert_eq!((s.message.as_str(), s.neg_state.as_deref()), ("neg-token-resp", Some("reject")));
    let s = spnego("Negotiate oRQwEqADCgEAoQsGCSqGSIb3EgECAg==");
    assert_eq!(s.neg_state.as_deref(), Some("accept-completed"));
    assert_eq!(s.supported_mech.as_deref(), Some("1.2.840.113554.1.2.2"));
    // NegTokenInit2 as a Windows server offers it: mechTypes and negHints.
    let init2 = hex("60 41 06 06 2b 06 01 05 05 02 a0 37 30 35
        a0 19 30 17 06 09 2a 86 48 82 f7 12 01 02 02 06 0a 2b 06 01 04 01 82 37 02 02 0a
        a3 18 30 16 a0 14 1b 12 6e 6f 74 5f 64 65 66 69 6e 65 64 5f 69 6e 5f 52 46 43");
    let field = as_challenge("Nego2", &init2);
    assert!(field.faults.is_empty(), "{:?}", field.faults);
    let Token::Spnego(s) = &field.token else { panic!() };
    assert_eq!(s.message, "neg-token-init2");
    assert_eq!(s.mechs, ["1.2.840.48018.1.2.2", "1.3.6.1.4.1.311.2.2.10"]);
    assert_eq!(authtap::token::spnego::oid::name(&s.mechs[0]), Some("Kerberos (MS, 48018)"));
}

/// A token made of tokens without end must end: on the stack, and in the report.
#[test]
fn nesting_has_a_limit() {
    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &length, content].concat()
    }
    let mut token = hex("4e544c4d53535000 01000000 00000000");
    for _ in 0..200 {
        token = tlv(0xa1, &tlv(0x30, &tlv(0xa2, &tlv(0x04, &token))));
    }
    let field = as_challenge("Negotiate", &token);
    assert_eq!(field.faults.len(), 1, "{:?}", field.faults);
    assert_eq!(field.faults[0].field, "token");
}

/// The decisive answer of a real IIS, of the facts' shape: accept-incomplete with KRB_AP_ERR_MODIFIED inside.
#[test]
fn krb_error_in_spnego() {
    let error = hex("7e 45 30 43 a0 03 02 01 05 a1 03 02 01 1e
        a4 11 18 0f 32 30 32 36 30 38 31 32 31 36 32 30 31 38 5a
        a5 05 02 03 01 e2 40 a6 03 02 01 29 a9 0e 1b 0c 45 58 41 4d 50 4c 45 2e 54 45 53 54
        aa 0a 30 08 a0 03 02 01 01 a1 01 30");
    let field = as_challenge("Negotiate", &error);
    let k = field.kerberos().unwrap();
    assert_eq!((k.message.as_str(), k.error_code), ("krb-error", Some(41)));
    assert_eq!(k.error_name.as_deref(), Some("KRB_AP_ERR_MODIFIED"));
    assert_eq!(k.server_time.as_deref(), Some("2026-08-12T16:20:18.123456Z"));
    assert_eq!(k.realm.as_deref(), Some("EXAMPLE.TEST"));
    assert!(!field.faults.is_empty(), "the sname is cut, and that is told");
}

/// RFC 4559 section 5 shows placeholders where tokens stand: they must be told as unreadable, and no bare scheme.
#[test]
fn the_placeholders_of_rfc_4559_are_unknown_tokens() {
    for value in ["Negotiate a87421000492aa874209af8bc028", "Negotiate 89a8742aa8729a8b028"] {
        let field = authtap::token::credentials(value.as_bytes(), &super::KEY);
        assert_eq!(field.scheme, authtap::model::auth::Scheme::Negotiate);
        assert_eq!(field.token, authtap::model::auth::Token::Unknown, "{value}");
        assert!(field.token_bytes > 0 && !field.faults.is_empty(), "{field:?}");
    }
}
