//! Tokens that pyspnego and MIT krb5 made, field by field against what pyspnego reads in them.

use super::fixture::fixtures;
use super::pyspnego::compare;
use super::{as_challenge, as_credentials, authenticate};

/// Two who read the specification apart and agree are more than one who reads it twice.
#[test]
fn pyspnego_reads_the_same_in_every_token() {
    let (mut tokens, mut fields) = (0, 0);
    for fixture in fixtures() {
        let field = fixture.decode(&fixture.bytes);
        assert!(field.faults.is_empty(), "{}: {:?}", fixture.name, field.faults);
        assert_eq!(field.token_bytes, fixture.bytes.len(), "{}", fixture.name);
        fields += compare(&fixture.name, &fixture.peer, Some(&field.token));
        tokens += 1;
    }
    println!("{fields} fields of {tokens} tokens agree with pyspnego");
}

/// The vector of the facts: a client that binds to this certificate must be seen to bind to it.
#[test]
fn channel_bindings_are_read_from_a_real_type_3() {
    let fixture = fixtures().iter().find(|f| f.name == "ntlm-cbt-2").unwrap();
    let field = fixture.decode(&fixture.bytes);
    let info = authenticate(&field).target_info.as_ref().unwrap();
    assert_eq!(info.channel_binding.as_deref(), Some("6586e99d81c2fc984e47172fd4dd0310"));
    assert!(authenticate(&field).mic_present);
}

/// Schemes lie: a token is what its bytes say under any of them.
#[test]
fn tokens_are_recognised_under_any_scheme() {
    for fixture in fixtures() {
        let expected = fixture.decode(&fixture.bytes).token;
        for scheme in ["NTLM", "negotiate", "Nego2", "KERBEROS"] {
            assert_eq!(as_credentials(scheme, &fixture.bytes).token, expected, "{}", fixture.name);
            assert_eq!(as_challenge(scheme, &fixture.bytes).token, expected, "{}", fixture.name);
        }
    }
}
