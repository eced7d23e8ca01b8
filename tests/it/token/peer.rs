//! Tokens that pyspnego and MIT krb5 made, field by field against what pyspnego reads in them.

use authtap::model::auth::{Kerberos, Ntlm, NtlmResponse, TargetInfo, Token};
use authtap::token::ntlm::flag_names;
use serde_json::Value;

use super::fixture::fixtures;
use super::{as_challenge, as_credentials, authenticate};

/// "accept-completed (0)" → "accept-completed"; the number where `number` is asked for.
fn label(value: &Value) -> Option<&str> {
    value.as_str().map(|s| s.rsplit_once(" (").map_or(s, |(name, _)| name))
}

fn number(value: &Value) -> Option<&str> {
    value.as_str().and_then(|s| s.rsplit_once(" (")).map(|(_, n)| n.trim_end_matches(')'))
}

/// What pyspnego says of a token, against what authtap says; returns how many fields were compared.
fn compare(name: &str, peer: &Value, ours: Option<&Token>) -> usize {
    let data = &peer["Data"];
    let kind = peer["MessageType"].as_str().unwrap();
    if kind == "SPNEGO InitialContextToken" {
        return compare(name, &data["innerContextToken"], ours);
    }
    match (kind, ours.unwrap_or_else(|| panic!("{name}: nothing decoded"))) {
        ("SPNEGO NegTokenInit" | "SPNEGO NegTokenInit2" | "SPNEGO NegTokenResp", Token::Spnego(s)) => {
            assert_eq!(
                s.message,
                match kind {
                    "SPNEGO NegTokenInit" => "neg-token-init",
                    "SPNEGO NegTokenInit2" => "neg-token-init2",
                    _ => "neg-token-resp",
                },
                "{name}"
            );
            let mechs: Vec<_> =
                data["mechTypes"].as_array().into_iter().flatten().map(|m| number(m).unwrap()).collect();
            assert_eq!(s.mechs, mechs, "{name}");
            assert_eq!(
                s.neg_state.as_deref(),
                label(&data["negState"])
                    .map(|s| {
                        // pyspnego's spelling of RFC 4178's accept-completed.
                        if s == "accept-complete" { "accept-completed".to_owned() } else { s.replace('_', "-") }
                    })
                    .as_deref(),
                "{name}"
            );
            assert_eq!(s.supported_mech.as_deref(), number(&data["supportedMech"]), "{name}");
            assert_eq!(s.mech_list_mic, !data["mechListMIC"].is_null(), "{name}");
            let inner = if data["mechToken"].is_object() { &data["mechToken"] } else { &data["responseToken"] };
            5 + if inner.is_object() {
                compare(name, inner, s.inner.as_deref())
            } else {
                assert!(s.inner.is_none(), "{name}");
                0
            }
        }
        (_, Token::Ntlm(m)) => compare_ntlm(name, kind, data, m),
        (_, Token::Kerberos(k)) => {
            assert_eq!(label(&peer["MessageType"]).unwrap().to_ascii_lowercase(), k.message, "{name}");
            compare_kerberos(name, data, k)
        }
        (kind, other) => panic!("{name}: {kind} against {other:?}"),
    }
}

fn version(peer: &Value) -> Option<(u64, u64, u64)> {
    peer.is_object().then(|| {
        let n = |field: &str| peer[field].as_u64().unwrap();
        (n("Major"), n("Minor"), n("Build"))
    })
}

fn compare_ntlm(name: &str, kind: &str, data: &Value, ours: &Ntlm) -> usize {
    let flags = u32::try_from(data["NegotiateFlags"]["raw"].as_u64().unwrap()).unwrap();
    let names: Vec<&str> = data["NegotiateFlags"]["flags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| match label(f).unwrap() {
            // The one name on which MS-NLMP (bit B) and pyspnego disagree.
            "NTLMSSP_NEGOTIATE_OEM" => "NTLM_NEGOTIATE_OEM",
            name => name,
        })
        .collect();
    let payload = &data["Payload"];
    let text = |field: &str| payload[field].as_str();
    let (our_flags, our_version, compared) = match (kind, ours) {
        ("NEGOTIATE_MESSAGE (1)", Ntlm::Negotiate(m)) => {
            assert_eq!(m.domain.as_deref(), text("DomainName"), "{name}");
            assert_eq!(m.workstation.as_deref(), text("Workstation"), "{name}");
            (m.flags, m.version, 2)
        }
        ("CHALLENGE_MESSAGE (2)", Ntlm::Challenge(m)) => {
            assert_eq!(m.target_name.as_deref(), text("TargetName"), "{name}");
            (m.flags, m.version, 1 + compare_info(name, &payload["TargetInfo"], m.target_info.as_ref()))
        }
        ("AUTHENTICATE_MESSAGE (3)", Ntlm::Authenticate(m)) => {
            assert_eq!(m.domain, text("DomainName").unwrap_or(""), "{name}");
            assert_eq!(m.user, text("UserName").unwrap_or(""), "{name}");
            assert_eq!(m.workstation, text("Workstation").unwrap_or(""), "{name}");
            let length = |field: &str| usize::try_from(data[field]["Len"].as_u64().unwrap()).unwrap();
            assert_eq!(m.nt_response_bytes, length("NtChallengeResponseFields"), "{name}");
            assert_eq!(m.lm_response_bytes, length("LmChallengeResponseFields"), "{name}");
            assert_eq!(m.session_key_bytes, length("EncryptedRandomSessionKeyFields"), "{name}");
            // pyspnego gives 16 zero bytes of padding out as a MIC; ours goes by MsvAvFlags.
            if m.mic_present {
                assert!(data["MIC"].is_string(), "{name}");
            }
            let nt = &payload["NtChallengeResponse"];
            let v2 = nt["ResponseType"] == "NTLMv2";
            assert_eq!(m.response == NtlmResponse::V2, v2, "{name}");
            let blob = &nt["ClientChallenge"];
            assert_eq!(v2, m.response_time.is_some(), "{name}");
            if let Some(time) = m.response_time {
                assert_eq!(time.stamp().unwrap().to_string(), micros(&blob["TimeStamp"]), "{name}");
            }
            (m.flags, m.version, 9 + compare_info(name, &blob["AvPairs"], m.target_info.as_ref()))
        }
        (kind, other) => panic!("{name}: {kind} against {other:?}"),
    };
    assert_eq!(our_flags, flags, "{name}");
    assert_eq!(flag_names(flags), names, "{name}");
    let ours = our_version.map(|v| (u64::from(v.major), u64::from(v.minor), u64::from(v.build)));
    assert_eq!(ours, version(&data["Version"]), "{name}");
    compared + 3
}

/// pyspnego writes a time with up to nine digits; a Stamp has six.
fn micros(value: &Value) -> String {
    let stamp = authtap::model::Stamp::parse(value.as_str().unwrap()).unwrap();
    stamp.to_string()
}

fn compare_info(name: &str, peer: &Value, ours: Option<&TargetInfo>) -> usize {
    let Some(pairs) = peer.as_array() else {
        assert_eq!(ours, None, "{name}");
        return 1;
    };
    let ours = ours.unwrap_or_else(|| panic!("{name}: no target info"));
    for pair in pairs {
        let (value, id) = (&pair["Value"], number(&pair["AvId"]).unwrap());
        match id {
            "0" => {}
            "1" => assert_eq!(ours.nb_computer_name.as_deref(), value.as_str(), "{name}"),
            "2" => assert_eq!(ours.nb_domain_name.as_deref(), value.as_str(), "{name}"),
            "3" => assert_eq!(ours.dns_computer_name.as_deref(), value.as_str(), "{name}"),
            "4" => assert_eq!(ours.dns_domain_name.as_deref(), value.as_str(), "{name}"),
            "5" => assert_eq!(ours.dns_tree_name.as_deref(), value.as_str(), "{name}"),
            "6" => assert_eq!(ours.av_flags.map(u64::from), value["raw"].as_u64(), "{name}"),
            "7" => assert_eq!(ours.timestamp.unwrap().stamp().unwrap().to_string(), micros(value), "{name}"),
            "8" => assert!(ours.machine.is_some(), "{name}"),
            "9" => assert_eq!(ours.target_name.as_deref(), value.as_str(), "{name}"),
            "10" => assert_eq!(
                ours.channel_binding.as_deref(),
                value.as_str().map(str::to_ascii_lowercase).as_deref(),
                "{name}"
            ),
            other => panic!("{name}: AvId {other}"),
        }
    }
    pairs.len()
}

fn compare_kerberos(name: &str, data: &Value, k: &Kerberos) -> usize {
    let etype = |value: &Value| number(value).map(|n| n.parse::<i32>().unwrap());
    let sname = |value: &Value| {
        let parts: Vec<_> = value["name-string"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
        parts.join("/")
    };
    match k.message.as_str() {
        "ap-req" => {
            let ticket = &data["ticket"];
            assert_eq!(k.realm.as_deref(), ticket["realm"].as_str(), "{name}");
            assert_eq!(k.sname.as_deref(), Some(sname(&ticket["sname"]).as_str()), "{name}");
            assert_eq!(k.ticket_etype, etype(&ticket["enc-part"]["etype"]), "{name}");
            assert_eq!(k.kvno, ticket["enc-part"]["kvno"].as_i64(), "{name}");
            let cipher = ticket["enc-part"]["cipher"].as_str().unwrap();
            assert_eq!(k.ticket_bytes, Some(cipher.len() / 2), "{name}");
            assert_eq!(k.authenticator_etype, etype(&data["authenticator"]["etype"]), "{name}");
            let options: Vec<_> =
                data["ap-options"]["flags"].as_array().unwrap().iter().map(|o| label(o).unwrap()).collect();
            assert_eq!(k.ap_options, options, "{name}");
            7
        }
        "ap-rep" => {
            assert_eq!(k.authenticator_etype, etype(&data["enc-part"]["etype"]), "{name}");
            1
        }
        "krb-error" => {
            assert_eq!(k.error_code.map(|c| c.to_string()).as_deref(), number(&data["error-code"]), "{name}");
            assert_eq!(k.error_name.as_deref(), label(&data["error-code"]), "{name}");
            assert_eq!(k.realm.as_deref(), data["realm"].as_str(), "{name}");
            assert_eq!(k.sname.as_deref(), Some(sname(&data["sname"]).as_str()), "{name}");
            let second = data["stime"].as_str().unwrap().trim_end_matches("+00:00");
            let expected = format!("{second}.{:06}Z", data["susec"].as_u64().unwrap());
            assert_eq!(k.server_time.as_deref(), Some(expected.as_str()), "{name}");
            5
        }
        other => panic!("{name}: {other}"),
    }
}

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
