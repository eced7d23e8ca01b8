//! Basic, Digest and Bearer: the RFCs' examples, and what must not leave.

use authtap::model::auth::{Scheme, Token};
use authtap::token::{credentials, redact};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{KEY, as_credentials, one};

fn basic_of(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match as_credentials("Basic", bytes).token {
        Token::Basic(b) => (b.user, b.charset),
        other => panic!("{other:?}"),
    }
}

/// RFC 7617 sections 2 and 2.1: the user is what an administrator searches the log for; the charset explains umlauts.
#[test]
fn basic_examples_of_rfc_7617() {
    let c = credentials(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", &KEY);
    assert_eq!(c.scheme, Scheme::Basic);
    let Token::Basic(basic) = &c.token else { panic!("{c:?}") };
    assert_eq!(basic.user.as_deref(), Some("Aladdin"));
    assert_eq!(basic.charset.as_deref(), Some("ascii"));
    assert!(c.faults.is_empty());
    let c = credentials(b"Basic dGVzdDoxMjPCow==", &KEY);
    let Token::Basic(basic) = &c.token else { panic!("{c:?}") };
    assert_eq!((basic.user.as_deref(), basic.charset.as_deref()), (Some("test"), Some("utf-8")));
    let some = |user: &str, charset: &str| (Some(user.to_owned()), Some(charset.to_owned()));
    assert_eq!(basic_of(b"m\xfcller:x"), some("m\u{fc}ller", "neither"));
    assert_eq!(basic_of("m\u{fc}ller:x".as_bytes()), some("m\u{fc}ller", "utf-8"));
    assert_eq!(basic_of(b"EXAMPLE\\a:b:c"), some("EXAMPLE\\a", "ascii"));
    assert_eq!(basic_of(b":x"), some("", "ascii"));
    assert_eq!(basic_of(b"no colon, so who knows"), (None, None));
}

/// The size beside the user would tell the length of the password.
#[test]
fn basic_sizes_do_not_tell_the_password() {
    let size = |bytes: &[u8]| as_credentials("Basic", bytes).token_bytes;
    assert_eq!(size(b"alice:a"), size(b"alice:a-longer-password"));
    assert_eq!(redact::header("Authorization", b"Basic YTpi", &KEY), "Basic <token>");
}

/// RFC 7616 section 3.9.1: all of the client's answer but what proves the password.
#[test]
fn digest_examples_of_rfc_7616() {
    let c = one(concat!(
        r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, "#,
        r#"nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#
    ));
    assert_eq!(c.param("algorithm"), Some("SHA-256"));
    assert_eq!(c.param("opaque"), Some("FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"));
    assert!(c.faults.is_empty());
    let c = credentials(
        concat!(
            r#"Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=MD5, "#,
            r#"nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, "#,
            r#"cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, "#,
            r#"response="8ca523f5e9506fed4657c9700eebdbec", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#
        )
        .as_bytes(),
        &KEY,
    );
    assert_eq!(c.token, Token::Digest);
    assert_eq!(c.param("username"), Some("Mufasa"));
    assert_eq!(c.param("nc"), Some("00000001"));
    assert_eq!(c.param("response"), None);
    assert!(c.faults.is_empty(), "{:?}", c.faults);
    assert_eq!(c.params.len(), 9);
}

/// A lost quote must not carry the Digest response into a neighbour that is kept.
#[test]
fn a_digest_response_does_not_leak_through_broken_quotes() {
    const RESPONSE: &str = "8ca523f5e9506fed4657c9700eebdbec";
    for value in [
        format!(r#"Digest username="Mufasa, realm="x", response="{RESPONSE}""#),
        format!(r#"Digest username="Mufasa", response "{RESPONSE}""#),
        format!(r#"Digest username="Mufasa", response={RESPONSE} {RESPONSE}"#),
        format!(r#"Digest username="a", realm="x, response="{RESPONSE}=1""#),
        format!(r#"Digest nonce="x\", response="{RESPONSE}""#),
        format!(r#"Digest "{RESPONSE}", username=a"#),
        format!("Digest {RESPONSE}"),
        format!("Digest uri=\"/x?t={RESPONSE}\", response=a"),
        format!("Digest {RESPONSE}=\", username=a\""),
    ] {
        let shown = format!("{:?}", credentials(value.as_bytes(), &KEY));
        assert!(!shown.contains(&RESPONSE[..8]), "{value} -> {shown}");
        assert!(!redact::header("authorization", value.as_bytes(), &KEY).contains(RESPONSE), "{value}");
    }
}

/// A bearer token in a capture is a logon for whoever reads it.
#[test]
fn credentials_of_any_kind_keep_no_secret() {
    const SECRET: &str = "hunter2-9f8e7d6c5b4a";
    for value in [
        format!("Bearer {SECRET}"),
        format!("Bearer eyJhbGciOiJub25lIn0.e30.{SECRET}"),
        SECRET.to_owned(),
        format!("{SECRET} and more"),
        format!("Basic alice:{SECRET}"),
        format!("Basic {}", STANDARD.encode(SECRET)),
        format!("Basic {}", STANDARD.encode(format!("alice:{SECRET}"))),
        format!("AWS4-HMAC-SHA256 Credential=a/b, Signature={SECRET}"),
        format!("Hawk id=\"a\", mac=\"{SECRET}\""),
        format!("ApiKey {SECRET}"),
        format!("Token token=\"{SECRET}\""),
        format!("NTLM {SECRET}"),
        format!("Negotiate {SECRET}, {SECRET}"),
        format!("NTLM TlRMTVNTUAAB {SECRET}"),
        format!("x={SECRET}"),
        format!("\"{SECRET}\""),
    ] {
        let field = credentials(value.as_bytes(), &KEY);
        for shown in [
            format!("{field:?}"),
            redact::header("Authorization", value.as_bytes(), &KEY),
            redact::header("Proxy-Authorization", value.as_bytes(), &KEY),
        ] {
            assert!(!shown.contains("hunter2") && !shown.contains("9f8e7d6c"), "{value} -> {shown}");
        }
    }
    let jwt = credentials(b"Bearer eyJhbGciOiJub25lIn0.e30.c2ln", &KEY);
    assert!(matches!(jwt.token, Token::Bearer(b) if b.is_jwt));
}

/// MS-DPSP and browsers: MD5-sess, and parameters quoted that should not be and unquoted that should. IIS takes all of
/// it, and so must its observer.
#[test]
fn digest_as_iis_and_browsers_write_it() {
    let c = one(concat!(
        r#"Digest qop="auth",algorithm=MD5-sess,nonce="+Upgraded+v1abc",charset=utf-8,realm="EXAMPLE.TEST", "#,
        r#"stale=TRUE"#
    ));
    assert!(c.faults.is_empty(), "{:?}", c.faults);
    assert_eq!(
        (c.param("algorithm"), c.param("stale"), c.param("charset")),
        (Some("MD5-sess"), Some("TRUE"), Some("utf-8"))
    );
    for value in [
        r#"Digest username="EXAMPLE\\alice",realm="EXAMPLE.TEST",nonce="n",uri="/a?b=c",cnonce="c",nc=00000001,algorithm=MD5-sess,response="0123456789abcdef0123456789abcdef",qop="auth",charset=utf-8,hashed-dirs="service-name,channel-binding",service-name="HTTP/www.example.test",channel-binding="00000000000000000000000000000000""#,
        r#"Digest username=EXAMPLE\alice, realm=EXAMPLE.TEST, nonce=n, uri=/a, cnonce=c, nc="00000001", algorithm="MD5-sess", response=0123456789abcdef0123456789abcdef, qop=auth"#,
    ] {
        let c = credentials(value.as_bytes(), &KEY);
        assert_eq!(c.param("username"), Some(r"EXAMPLE\alice"), "{:?}", c.faults);
        assert_eq!(
            (c.param("algorithm"), c.param("nc"), c.param("qop")),
            (Some("MD5-sess"), Some("00000001"), Some("auth"))
        );
        assert!(!format!("{c:?}").contains("0123456789abcdef"));
        assert!(!c.faults.iter().any(|fault| fault.got == "none"), "{:?}", c.faults);
    }
    let missing = credentials(br#"Digest username="a", realm="r", nonce="n", qop=auth, nc=1, response="x""#, &KEY);
    let fields: Vec<&str> = missing.faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["uri", "cnonce", "nc"]);
}
