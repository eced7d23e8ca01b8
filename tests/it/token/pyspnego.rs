//! What pyspnego's `parse_token` says of a token, against what authtap says, field by field. Also part of `tests/real`.

use authtap::model::FileTime;
use authtap::model::auth::{Kerberos, Ntlm, NtlmResponse, TargetInfo, Token};
use authtap::token::ntlm::flag_names;
use serde_json::Value;

/// "accept-completed (0)" → "accept-completed"; the number where `number` is asked for.
fn label(value: &Value) -> Option<&str> {
    value.as_str().map(|s| s.rsplit_once(" (").map_or(s, |(name, _)| name))
}

fn number(value: &Value) -> Option<&str> {
    value.as_str().and_then(|s| s.rsplit_once(" (")).map(|(_, n)| n.trim_end_matches(')'))
}

/// What pyspnego says of a token, against what authtap says; returns how many fields were compared.
pub(crate) fn compare(name: &str, peer: &Value, ours: Option<&Token>) -> usize {
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
            let hint = data["negHints"]["hintName"].as_str();
            assert_eq!(s.hint_name.as_deref(), hint, "{name}");
            // They disagree: pyspnego takes the bit numbers of ContextFlags for masks, and so reads other flags than
            // RFC 4178 section 4.2.1 has. What can be compared is that there are none where there is no field.
            assert!(!data["reqFlags"].is_null() || s.req_flags.is_empty(), "{name}");
            let inner = if data["mechToken"].is_object() { &data["mechToken"] } else { &data["responseToken"] };
            6 + if inner.is_object() {
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
    let names: Vec<&str> =
        data["NegotiateFlags"]["flags"].as_array().unwrap().iter().map(|f| label(f).unwrap()).collect();
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
            // They disagree: pyspnego gives whatever stands in the MIC's place out as one; ours goes by MsvAvFlags.
            let promised = m.target_info.as_ref().and_then(|info| info.av_flags).is_some_and(|flags| flags & 2 != 0);
            assert_eq!(m.mic_present, promised && data["MIC"].is_string(), "{name}");
            let nt = &payload["NtChallengeResponse"];
            let v2 = nt["ResponseType"] == "NTLMv2";
            // pyspnego knows no name for extended session security, nor for anonymous logons.
            let kind = match m.response {
                NtlmResponse::V2 => Some("NTLMv2"),
                NtlmResponse::V1 | NtlmResponse::V1Ess => Some("NTLMv1"),
                NtlmResponse::Lm | NtlmResponse::Anonymous | NtlmResponse::Unreadable => None,
            };
            assert_eq!(kind, nt["ResponseType"].as_str(), "{name}");
            assert_eq!(m.response == NtlmResponse::Lm, kind.is_none() && m.lm_response_bytes > 1, "{name}");
            let blob = &nt["ClientChallenge"];
            assert_eq!(v2, m.response_time.is_some(), "{name}");
            if let Some(time) = m.response_time {
                assert_eq!(Some(time), file_time(&blob["TimeStamp"]), "{name}");
            }
            (m.flags, m.version, 9 + compare_info(name, &blob["AvPairs"], m.target_info.as_ref()))
        }
        (kind, other) => panic!("{name}: {kind} against {other:?}"),
    };
    assert_eq!(our_flags, flags, "{name}");
    let ours = flag_names(flags);
    assert_eq!(ours.len(), names.len(), "{name}");
    for (ours, theirs) in ours.iter().zip(names) {
        // They disagree on two spellings, where ours are MS-NLMP's, and on reserved bits: we tell their value, pyspnego
        // what they once were or their number in the specification.
        let same = ours.starts_with("0x") && (theirs.contains("RESERVED") || theirs.contains(" - R"))
            || *ours == theirs.split(" - R").next().unwrap_or(theirs)
            || (*ours, theirs) == ("NTLM_NEGOTIATE_OEM", "NTLMSSP_NEGOTIATE_OEM")
            || (*ours, theirs) == ("NTLMSSP_NEGOTIATE_IDENTIFY", "NTLMSSP_NEGOTIATE_IDENTITY");
        assert!(same, "{name}: {ours} against {theirs}");
    }
    let ours = our_version.map(|v| (u64::from(v.major), u64::from(v.minor), u64::from(v.build)));
    assert_eq!(ours, version(&data["Version"]), "{name}");
    compared + 3
}

/// A FILETIME to its last digit, 100 ns: a link is proved by nothing less.
fn file_time(value: &Value) -> Option<FileTime> {
    FileTime::parse(value.as_str()?)
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
            "7" => assert_eq!(ours.timestamp, file_time(value), "{name}"),
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
    let bytes = |value: &Value| value.as_str().map(|hex| hex.len() / 2);
    let kind = |value: &Value| number(&value["name-type"]).map(|n| n.parse::<i64>().unwrap());
    let time = |seconds: &Value, micros: &Value| {
        let second = seconds.as_str()?.trim_end_matches("+00:00");
        Some(format!("{second}.{:06}Z", micros.as_u64().unwrap_or(0)))
    };
    match k.message.as_str() {
        "ap-req" => {
            let ticket = &data["ticket"];
            assert_eq!(k.realm.as_deref(), ticket["realm"].as_str(), "{name}");
            assert_eq!(k.sname.as_deref(), Some(sname(&ticket["sname"]).as_str()), "{name}");
            assert_eq!(k.ticket_etype, etype(&ticket["enc-part"]["etype"]), "{name}");
            assert_eq!(k.kvno, ticket["enc-part"]["kvno"].as_i64(), "{name}");
            assert_eq!(k.ticket_bytes, bytes(&ticket["enc-part"]["cipher"]), "{name}");
            assert_eq!(k.authenticator_etype, etype(&data["authenticator"]["etype"]), "{name}");
            assert_eq!(k.authenticator_bytes, bytes(&data["authenticator"]["cipher"]), "{name}");
            assert_eq!(k.sname_type.map(i64::from), kind(&ticket["sname"]), "{name}");
            let options: Vec<_> =
                data["ap-options"]["flags"].as_array().unwrap().iter().map(|o| label(o).unwrap()).collect();
            assert_eq!(k.ap_options, options, "{name}");
            9
        }
        "ap-rep" => {
            assert_eq!(k.authenticator_etype, etype(&data["enc-part"]["etype"]), "{name}");
            assert_eq!(k.authenticator_bytes, bytes(&data["enc-part"]["cipher"]), "{name}");
            2
        }
        "krb-error" => {
            assert_eq!(k.error_code.map(|c| c.to_string()).as_deref(), number(&data["error-code"]), "{name}");
            assert_eq!(k.error_name.as_deref(), label(&data["error-code"]), "{name}");
            assert_eq!(k.realm.as_deref(), data["realm"].as_str(), "{name}");
            assert_eq!(k.sname.as_deref(), Some(sname(&data["sname"]).as_str()), "{name}");
            assert_eq!(k.sname_type.map(i64::from), kind(&data["sname"]), "{name}");
            assert_eq!(k.server_time, time(&data["stime"], &data["susec"]), "{name}");
            assert_eq!(k.client_time, time(&data["ctime"], &data["cusec"]), "{name}");
            assert_eq!(k.client_realm.as_deref(), data["crealm"].as_str(), "{name}");
            assert_eq!(k.client_name, data["cname"].is_object().then(|| sname(&data["cname"])), "{name}");
            assert_eq!(k.error_text.as_deref(), data["e-text"].as_str(), "{name}");
            assert_eq!(k.error_data_bytes, bytes(&data["e-data"]), "{name}");
            11
        }
        other => panic!("{name}: {other}"),
    }
}
