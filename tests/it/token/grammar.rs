//! The grammar of challenges.

use authtap::model::auth::{Scheme, Token};
use authtap::token::{challenges, credentials};

use super::{KEY, one, params, schemes};

/// A challenge that is not found makes "no common scheme" of a site that offers one.
#[test]
fn challenges_are_found_however_they_are_written() {
    for (values, expected) in [
        (&["Negotiate, NTLM"][..], &["negotiate", "ntlm"][..]),
        (&["Negotiate", "NTLM"], &["negotiate", "ntlm"]),
        (&[" ,, Negotiate ,,NTLM,"], &["negotiate", "ntlm"]),
        (&["NTLM\t,\tBasic realm=x"], &["ntlm", "basic"]),
        (
            &[r#"Basic realm="a, b", Digest realm="x", qop="auth,auth-int", nonce=abc, NTLM"#],
            &["basic", "digest", "ntlm"],
        ),
        (&["Negotiate oYGzMIGwoAMKAQE==, Basic realm=\"x\""], &["negotiate", "basic"]),
        (&[r#"NTLM, Bearer error="invalid_token", error_description="a \"b\", NTLM""#], &["ntlm", "bearer"]),
        (&["Negotiate NTLM"], &["negotiate", "ntlm"]),
        (
            &["Newauth realm=\"apps\", type=1, title=\"Login to \\\"apps\\\"\", Basic realm=\"simple\""],
            &["newauth", "basic"],
        ),
        (&[""], &[]),
    ] {
        assert_eq!(schemes(values), expected, "{values:?}");
    }
}

/// Parameters that lose a comma or an escape show the administrator a realm that is not theirs.
#[test]
fn parameters_keep_order_quotes_and_commas() {
    let list = challenges(
        &[br#"Basic realm="a, b", Digest Realm = "x \"y\"", qop="auth,auth-int" , nonce=a/b=, stale="#],
        &KEY,
    );
    assert_eq!(params(&list[0]), [("realm", "a, b")]);
    assert!(list[0].faults.is_empty(), "{:?}", list[0].faults);
    assert_eq!(params(&list[1]), [("realm", "x \"y\""), ("qop", "auth,auth-int"), ("nonce", "a/b="), ("stale", "")]);
    let faults: Vec<_> = list[1].faults.iter().map(|f| f.offset).collect();
    assert_eq!(faults.len(), 2, "an unquoted slash and an empty value: {:?}", list[1].faults);
    assert_eq!(list[1].token, Token::Digest);
    assert_eq!(list[0].scheme_as_sent, "Basic");
}

/// RFC 6750 section 3: an API's own words about the token are the diagnosis.
#[test]
fn bearer_errors_are_kept() {
    let c = one(r#"Bearer realm="example", error="invalid_token", error_description="The access token expired""#);
    assert_eq!(c.scheme, Scheme::Bearer);
    assert_eq!(c.param("error"), Some("invalid_token"));
    assert_eq!(c.param("error_description"), Some("The access token expired"));
    assert!(c.faults.is_empty());
}

/// Garbage must be told with its place, and must not hide the challenge after it.
#[test]
fn broken_challenges_have_faults_and_neighbours() {
    let list = challenges(&[b"@@, NTLM"], &KEY);
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].scheme.clone(), list[0].faults[0].offset), (Scheme::Ntlm, 0));
    let list = challenges(&[b"\"lonely\""], &KEY);
    assert_eq!(list[0].faults[0].expected, "a scheme or a parameter");
    let c = one("Basic realm=\"open");
    assert_eq!((c.param("realm"), c.faults[0].offset), (Some("open"), 12));
    let c = one("Basic realm=x, realm=y");
    assert_eq!(c.faults[0].offset, 15);
}

/// A bare scheme is half of all challenges IIS sends; a token made up for it would start a handshake that never was.
#[test]
fn bare_schemes_have_no_token() {
    for value in ["NTLM", "Negotiate", " Negotiate ", "Basic", "Bearer"] {
        let c = one(value);
        assert_eq!((&c.token, c.token_bytes), (&Token::None, 0), "{value}");
        assert!(c.faults.is_empty());
    }
    assert_eq!(credentials(b"NTLM", &KEY).token, Token::None);
    assert_eq!(one("NEGOTIATE").scheme_as_sent, "NEGOTIATE");
}
