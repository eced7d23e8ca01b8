//! Bearer tokens that are JWTs: RFC 7519's example, and odd ones.

use authtap::model::Stamp;
use authtap::model::auth::{AuthField, Jwt, Token};
use authtap::token::bearer::{Validity, error_meaning, judge};
use authtap::token::credentials;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::time::Duration;

use super::{KEY, one};

const SIGNATURE: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

fn read(header: &str, claims: &str) -> AuthField {
    let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);
    credentials(format!("Bearer {}.{}.{SIGNATURE}", encode(header), encode(claims)).as_bytes(), &KEY)
}

fn jwt(field: &AuthField) -> &Jwt {
    match &field.token {
        Token::Bearer(bearer) => bearer.jwt.as_deref().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// RFC 7519 section 3.1 (the token whole), and its expiry judged against a refusing server's `Date`.
#[test]
fn the_example_of_rfc_7519_is_read_and_judged() {
    let token = concat!(
        "Bearer eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.",
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    let field = credentials(token.as_bytes(), &KEY);
    assert!(field.faults.is_empty(), "{:?}", field.faults);
    let jwt = jwt(&field);
    assert_eq!((jwt.typ.as_deref(), jwt.alg.as_deref()), (Some("JWT"), Some("HS256")));
    assert_eq!(jwt.issuer.as_deref(), Some("joe"));
    assert_eq!(jwt.expires, Some(Stamp(1_300_819_380_000_000)));
    assert_eq!(jwt.other_claims, ["http://example.com/is_root"]);
    let date = Stamp::parse("2011-03-22T18:43:05Z").unwrap();
    assert_eq!(judge(jwt, date), Validity::Expired(Duration::from_secs(5)));
    assert_eq!(judge(jwt, Stamp(date.0 - 6_000_000)), Validity::Fine);
}

/// What of an Entra ID token explains a 401 is kept; whose it is, is not.
#[test]
fn claims_that_identify_people_are_told_by_name_only() {
    let field = read(
        r#"{"alg":"RS256","kid":"key-1","typ":"at+jwt","x5t":"thumb"}"#,
        r#"{"aud":["api://a","api://b",3],"iss":"https://sts.example.test/","iat":1700000000,"nbf":1700000000.5,
            "exp":1700003600,"appid":"client-7","scp":"User.Read Mail.Send","roles":["Reader"],"sub":"planted-sub",
            "upn":"planted@example.test","oid":"planted-oid","nested":{"a":[1,{"b":"planted"}]}}"#,
    );
    assert!(field.faults.is_empty(), "{:?}", field.faults);
    let jwt = jwt(&field);
    assert_eq!(jwt.kid.as_deref(), Some("key-1"));
    assert_eq!(jwt.audience, ["api://a", "api://b"]);
    assert_eq!(jwt.client.as_deref(), Some("client-7"));
    assert_eq!(jwt.scopes, ["User.Read", "Mail.Send"]);
    assert_eq!(jwt.roles, ["Reader"]);
    assert_eq!(jwt.not_before, Some(Stamp(1_700_000_000_500_000)));
    assert_eq!(jwt.other_claims, ["sub", "upn", "oid", "nested"]);
    assert_eq!(judge(jwt, Stamp(1_699_999_940_500_000)), Validity::NotYetValid(Duration::from_mins(1)));
    let shown = format!("{field:?}");
    for secret in ["planted", SIGNATURE, "dBjftJeZ", "thumb"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

/// A token that an application mangled must say where, and never stop the reading.
#[test]
fn broken_tokens_say_what_is_wrong() {
    let fields = |field: &AuthField| field.faults.iter().map(|f| f.field.clone()).collect::<Vec<_>>();
    let field = read(r#"{"alg":"none"}"#, r#"{"iss":"a","exp":"tomorrow","nbf":1e300}"#);
    assert_eq!(fields(&field), ["jwt.claims.exp", "jwt.claims.nbf"]);
    assert_eq!((jwt(&field).expires, jwt(&field).issuer.as_deref()), (None, Some("a")));
    assert_eq!(judge(jwt(&field), Stamp(0)), Validity::Unknown);
    let field = read(r#"{"alg":"none"}"#, r#"{"iss":"a","aud":}"#);
    assert_eq!((fields(&field), jwt(&field).issuer.as_deref()), (vec!["jwt.claims".to_owned()], Some("a")));
    let field = read(r#"{"alg":"none"}"#, "not json");
    assert_eq!(fields(&field), ["jwt.claims"]);
    // A JWE: the claims are nobody's but the service's.
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#);
    let field = credentials(format!("Bearer {header}.a.b.c.d").as_bytes(), &KEY);
    assert!(jwt(&field).encrypted && field.faults.is_empty());
    // RFC 6750 section 2.1's opaque token, and cut ones.
    for opaque in ["mF_9.B5f-4.1JqM", "eyJ0eXAiOiJKV1QifQ", "eyJ.eyJ.x", "..", "a.b.c"] {
        let field = credentials(format!("Bearer {opaque}").as_bytes(), &KEY);
        assert!(matches!(&field.token, Token::Bearer(b) if !b.is_jwt && b.jwt.is_none()), "{opaque}: {field:?}");
    }
}

/// Claims without end, or inside each other without end, must cost no more than their bytes.
#[test]
fn hostile_claims_are_bounded() {
    let deep = format!("{{\"aud\":{}1{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let wide = format!("{{{}\"z\":1}}", (0..8000).fold(String::new(), |text, n| text + &format!("\"{n}\":1,")));
    let list = format!("{{\"aud\":[{}1],\"iss\":\"{}\"}}", "\"a\",".repeat(9000), "x".repeat(9000));
    for claims in [deep, wide, list] {
        let field = read(r#"{"alg":"none"}"#, &claims);
        assert!(format!("{:?}", jwt(&field)).len() < 4000, "{}", &claims[..20]);
    }
}

/// RFC 6750 section 3: the challenge says why, in parameters that must survive.
#[test]
fn bearer_errors_are_explained() {
    let field = one(r#"Bearer realm="example", error="invalid_token", error_description="The access token expired""#);
    assert_eq!(field.param("error_description"), Some("The access token expired"));
    assert!(error_meaning(field.param("error").unwrap()).unwrap().contains("expired"));
    assert_eq!(error_meaning("else"), None);
}
