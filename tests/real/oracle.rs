//! Tokens against other programs' reading of them: pyspnego and tshark, on thousands of made tokens and on those that
//! real clients and servers exchanged; kerberos-parser on the real Kerberos ones.
//!
//! Where the peers disagree with us or with the specifications, the comparison says so at its place: see also
//! `tests/it/token/pyspnego.rs`.

use std::fs;
use std::io::Write as _;

use asn1_rs::FromDer as _;
use authtap::model::auth::{AuthField, Token};
use authtap::token::kerberos::error_name;
use authtap::token::{Key, challenges, credentials};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kerberos_parser::krb5::{ApRep, ApReq};
use serde_json::Value;

use crate::clients::{curl, curl_kerberos, curl_negotiate_ntlm, requests_gssapi, requests_ntlm};
use crate::peer;
use crate::process::run;
use crate::rig::{ALICE, Apache, BOB, Kdc, NtlmServer, Recorder, Recording, Rig, Transport};
use crate::tshark;

const KEY: Key = Key(*b"a key for tests.");

/// libtest keeps back what `println!` says of a test that passes; these figures are for everybody.
fn say(text: &str) {
    writeln!(std::io::stderr().lock(), "{text}").unwrap();
}

/// A token that was on the wire.
pub(crate) struct Seen {
    /// The connection that it came by, from 0.
    pub(crate) connection: usize,
    pub(crate) scheme: String,
    pub(crate) is_challenge: bool,
    pub(crate) token: String,
}

impl Seen {
    pub(crate) fn decode(&self) -> AuthField {
        let value = format!("{} {}", self.scheme, self.token);
        if self.is_challenge {
            challenges(&[value.as_bytes()], &KEY).remove(0)
        } else {
            credentials(value.as_bytes(), &KEY)
        }
    }
}

/// Every token in a recording, by the heads' lines.
fn tokens((connection, recording): (usize, &Recording)) -> Vec<Seen> {
    let mut found = Vec::new();
    for (bytes, field, is_challenge) in
        [(&recording.to_server, "authorization", false), (&recording.to_client, "www-authenticate", true)]
    {
        for line in String::from_utf8_lossy(bytes).lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let mut words = value.split_whitespace();
            if name.eq_ignore_ascii_case(field)
                && let (Some(scheme), Some(token), None) = (words.next(), words.next(), words.next())
                && ["ntlm", "negotiate"].contains(&scheme.to_ascii_lowercase().as_str())
            {
                let (scheme, token) = (scheme.to_owned(), token.to_owned());
                found.push(Seen { connection, scheme, is_challenge, token });
            }
        }
    }
    found
}

/// What curl, requests-ntlm, requests-gssapi and gss-ntlmssp say to Apache and to the NTLM server, refusals included.
fn real_tokens(rig: &Rig) -> Vec<Seen> {
    let kdc = Kdc::start(rig);
    let apache = Apache::start(rig, &kdc);
    let server = NtlmServer::start(rig);
    let before_apache = Recorder::start(rig, "before-apache", apache.port);
    let before_server = Recorder::start(rig, "before-server", server.port);
    curl_kerberos(rig, before_apache.port, &kdc, &["/page", "/page"]);
    requests_gssapi(rig, before_apache.port, "/page", &kdc, &["--requests", "2"]);
    requests_gssapi(rig, before_apache.port, "/page", &kdc, &["--preemptive", "--mutual"]);
    requests_ntlm(rig, before_apache.port, "/page", ALICE, &[]);
    requests_ntlm(rig, before_apache.port, "/page", ALICE.with_wrong_password(), &[]);
    for account in [ALICE, BOB, ALICE.with_wrong_password()] {
        curl(rig, before_server.port, "--ntlm", account, &["/a", "/b"]);
        requests_ntlm(rig, before_server.port, "/", account, &["--requests", "2"]);
    }
    curl_negotiate_ntlm(rig, before_server.port, &["/a"]);
    [before_apache.stop(), before_server.stop()].iter().flatten().enumerate().flat_map(tokens).collect()
}

fn compare_with_pyspnego(rig: &Rig, generate: usize, real: &[Seen]) -> usize {
    let list = rig.path("real-tokens");
    let lines = real.iter().map(|seen| {
        let direction = if seen.is_challenge { "challenge" } else { "credentials" };
        format!("{} {direction} {}\n", seen.scheme, seen.token)
    });
    fs::write(&list, lines.collect::<String>()).unwrap();
    let mut oracle = rig.python("oracle.py");
    oracle.args(["--generate", &generate.to_string(), "--seed", "3", "--real"]).arg(&list);
    let said = run("oracle", oracle).stdout;
    let (mut tokens, mut fields) = (0, 0);
    for line in said.lines().skip(1) {
        let record: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| record[name].as_str().unwrap().to_owned();
        let seen = Seen {
            connection: 0,
            scheme: text("scheme"),
            is_challenge: record["direction"] == "challenge",
            token: text("token"),
        };
        let field = seen.decode();
        let name = text("name");
        assert!(field.faults.is_empty(), "{name}: {:?}", field.faults);
        fields += peer::compare(&name, &record["pyspnego"], Some(&field.token));
        tokens += 1;
    }
    assert_eq!(tokens, generate + real.len());
    say(&format!("oracle: {tokens} tokens ({} of real clients), {fields} fields compared with pyspnego", real.len()));
    tokens
}

#[test]
fn oracle_pyspnego_reads_the_same_in_made_and_real_tokens() {
    let rig = Rig::new(Transport::Plain);
    let real = real_tokens(&rig);
    assert!(real.len() >= 25, "{} real tokens", real.len());
    assert!(compare_with_pyspnego(&rig, 4000, &real) >= 4025);
}

#[test]
fn oracle_tshark_shows_the_same_names() {
    let rig = Rig::new(Transport::Plain);
    let real = real_tokens(&rig);
    let compared = tshark::compare(&rig, &real);
    assert!(compared >= 15, "{compared}");
    say(&format!("oracle: {compared} of {} tokens of real clients compared with tshark", real.len()));
}

#[test]
fn oracle_kerberos_parser_reads_the_same_in_real_tickets() {
    let rig = Rig::new(Transport::Plain);
    let mut compared = 0;
    for seen in real_tokens(&rig) {
        let field = seen.decode();
        let Some(k) = field.kerberos() else { continue };
        let bytes = STANDARD.decode(&seen.token).unwrap();
        // The message stands last in its wrappers, but for a mechListMIC: find it by its tag and TOK_ID.
        let tag = match k.message.as_str() {
            "ap-req" => [1, 0, 0x6e],
            "ap-rep" => [2, 0, 0x6f],
            other => panic!("{other}"),
        };
        let at = bytes.windows(3).position(|window| window == tag).unwrap() + 2;
        if tag[0] == 1 {
            let (_, peer) = ApReq::from_der(&bytes[at..]).unwrap();
            assert_eq!(k.realm.as_deref(), Some(peer.ticket.realm.0.as_str()));
            assert_eq!(k.sname.as_deref(), Some(peer.ticket.sname.to_string().as_str()));
            assert_eq!(k.ticket_etype, Some(peer.ticket.enc_part.etype.0));
            assert_eq!(k.kvno, peer.ticket.enc_part.kvno.map(i64::from));
            assert_eq!(k.ticket_bytes, Some(peer.ticket.enc_part.cipher.len()));
            assert_eq!(k.authenticator_bytes, Some(peer.authenticator.cipher.len()));
        } else {
            let (_, peer) = ApRep::from_der(&bytes[at..]).unwrap();
            assert_eq!(k.authenticator_etype, Some(peer.enc_part.etype.0));
        }
        compared += 1;
    }
    assert!(compared >= 5, "{compared}");
    say(&format!("oracle: {compared} Kerberos messages of real clients compared with kerberos-parser"));
}

/// A ticket is the same in each request that uses it, a request is never the same: what tells a replay from a habit.
#[test]
fn oracle_fingerprints_tell_tickets_from_requests() {
    let rig = Rig::new(Transport::Plain);
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    let recorder = Recorder::start(&rig, "recorder", apache.port);
    requests_gssapi(&rig, recorder.port, "/page", &kdc, &["--preemptive"]);
    requests_gssapi(&rig, recorder.port, "/page", &kdc, &["--preemptive"]);
    let fields: Vec<AuthField> =
        recorder.stop().iter().enumerate().flat_map(tokens).map(|seen| seen.decode()).collect();
    let requests: Vec<_> = fields.iter().filter_map(AuthField::kerberos).filter(|k| k.message == "ap-req").collect();
    assert!(requests.len() >= 2, "{fields:?}");
    assert!(requests.iter().all(|k| k.ticket.is_some() && k.ticket == requests[0].ticket));
    assert!(requests[1..].iter().all(|k| k.request != requests[0].request));
    assert!(fields.iter().all(|field| !matches!(field.token, Token::Unknown)));
}

/// The table of names, against pyspnego's; kerberos-parser's is compared in `tests/it/token/kerberos.rs`.
#[test]
fn oracle_error_names_are_those_of_pyspnego() {
    let rig = Rig::new(Transport::Plain);
    let said = run("oracle", rig.python("oracle.py")).stdout;
    let record: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    let codes = record["error_codes"].as_object().unwrap();
    for (code, name) in codes {
        let code: i32 = code.parse().unwrap();
        match code {
            // pyspnego has KDC_NOT_TRUSTED at 53; RFC 4556 section 3.1.3 and kerberos-parser at 63.
            53 => assert_eq!(error_name(63), Some("KDC_ERROR_KDC_NOT_TRUSTED")),
            _ => assert_eq!(error_name(code), name.as_str(), "{code}"),
        }
    }
    assert!(codes.len() > 60);
}
