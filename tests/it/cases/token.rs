//! The tokens of a script: `{challenge a server=WEB02}` becomes base64. `tests/cases/README.md` lists them.

use std::collections::BTreeMap;
use std::time::Duration;

use authtap::model::{FileTime, Stamp};
use authtap::sim::ntlm::av::{AvPairs, id};
use authtap::sim::ntlm::flags;
use authtap::sim::ntlm::message::{Authenticate, CLIENT_VERSION, Challenge, Negotiate, SERVER_VERSION};
use authtap::sim::ntlm::respond::Login;
use authtap::sim::spnego::{self, NegState};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::kerberos;

/// What later tokens of a script refer to.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    challenges: BTreeMap<String, Vec<u8>>,
}

/// A token's words: `challenge a server=WEB02 no-time`.
pub(super) struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self(text.split_whitespace().collect())
    }

    /// `NAME=value`.
    pub(super) fn option(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find_map(|w| w.strip_prefix(name)?.strip_prefix('='))
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.0.contains(&word)
    }

    fn second(&self) -> &'a str {
        self.0.get(1).copied().unwrap_or_else(|| panic!("{:?} lacks a name", self.0))
    }

    /// `NAME=±SECONDS`, as a time beside `at`.
    pub(super) fn time(&self, name: &str, at: Stamp) -> Option<Stamp> {
        let text = self.option(name)?;
        let seconds: f64 = text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number of seconds"));
        let by = Duration::from_secs_f64(seconds.abs());
        let micros = i64::try_from(by.as_micros()).expect("a time");
        Some(Stamp(if seconds < 0.0 { at.0 - micros } else { at.0 + micros }))
    }
}

/// The value of MsvAvChannelBindings for a certificate of a script, by its hash.
pub(super) fn binding_of(hash: &str) -> [u8; 16] {
    let mut value = [0x11; 16];
    for (to, from) in value.iter_mut().zip(hash.bytes()) {
        *to = from;
    }
    value
}

/// An MsvAvSingleHost of a machine of a script, by its name (MS-NLMP section 2.2.2.2).
fn machine_of(name: &str) -> [u8; 48] {
    let mut value = [0; 48];
    value[0] = 48;
    for (to, from) in value[16..].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    value
}

impl Tokens {
    /// The text that stands for `{inside}` at a moment.
    pub(super) fn text(&mut self, inside: &str, at: Stamp) -> String {
        let words = Words::of(inside);
        let kind = *words.0.first().unwrap_or_else(|| panic!("an empty token"));
        let mut bytes = match kind {
            "negotiate" => in_spnego(&words, &negotiate(&words), true),
            "challenge" => in_spnego(&words, &self.challenge(&words, at), false),
            "authenticate" => in_spnego(&words, &self.authenticate(&words, at), false),
            "ap-req" | "ap-rep" | "krb-error" => kerberos::token(kind, &words, at),
            "reject" => spnego::resp(Some(NegState::Reject), None, None, None),
            "completed" => spnego::resp(Some(NegState::AcceptCompleted), None, None, None),
            "basic" => basic(&words),
            "jwt" => return jwt(&words, at),
            "x" => return "x".repeat(words.second().parse().expect("a number of bytes")),
            _ => panic!("no token: {{{inside}}}"),
        };
        if let Some(left) = words.option("cut") {
            bytes.truncate(left.parse().expect("how many bytes are left"));
        }
        STANDARD.encode(bytes)
    }

    fn challenge(&mut self, words: &Words<'_>, at: Stamp) -> Vec<u8> {
        let server = words.option("server").unwrap_or("WEB01");
        // Unlike any other's, as a clock of 100 ns is.
        let unlike = self.challenges.len() as u64;
        let mut pairs = AvPairs::default();
        if !words.has("no-names") {
            pairs = pairs
                .text(id::NB_DOMAIN_NAME, "EXAMPLE")
                .text(id::NB_COMPUTER_NAME, server)
                .text(id::DNS_DOMAIN_NAME, "example.test")
                .text(id::DNS_COMPUTER_NAME, &format!("{}.example.test", server.to_lowercase()));
        }
        if !words.has("no-time") {
            let clock = words.time("clock", at).unwrap_or(at);
            pairs = pairs.timestamp(FileTime(FileTime::of(clock).0 + 1 + unlike));
        }
        let challenge = Challenge {
            flags: flags::CLIENT | flags::TARGET_INFO | flags::TARGET_TYPE_DOMAIN,
            server_challenge: unlike.to_le_bytes(),
            target_name: "EXAMPLE".to_owned(),
            target_info: Some(pairs),
            version: Some(SERVER_VERSION),
        };
        self.challenges.insert(words.second().to_owned(), challenge.encode());
        challenge.encode()
    }

    fn authenticate(&self, words: &Words<'_>, at: Stamp) -> Vec<u8> {
        let name = words.second();
        let challenge = self.challenges.get(name).unwrap_or_else(|| panic!("no challenge {name}"));
        let mut login = Login::new(
            words.option("domain").unwrap_or("EXAMPLE"),
            words.option("user").unwrap_or("alice"),
            "Password1-test",
        );
        if let Some(w) = words.option("workstation") {
            w.clone_into(&mut login.workstation);
        }
        login.fallback_time = FileTime::of(at);
        login.target_name = words.option("spn").map(str::to_owned);
        login.single_host = words.option("machine").map(machine_of);
        login.untrusted_target_name = words.has("untrusted");
        login.channel_bindings = match words.option("cb") {
            None | Some("none") => None,
            Some("zero") => Some([0; 16]),
            Some(hash) => Some(binding_of(hash)),
        };
        let old = |flags, lm: &[u8], nt: &[u8]| Authenticate {
            flags,
            domain: login.domain.clone(),
            user: login.user.clone(),
            workstation: login.workstation.clone(),
            lm_response: lm.to_vec(),
            nt_response: nt.to_vec(),
            session_key: Vec::new(),
            version: None,
            mic: None,
        };
        let v1 = flags::CLIENT & !flags::EXTENDED_SESSIONSECURITY;
        let mut message = if words.has("v1") {
            old(v1, &[1; 24], &[2; 24]).encode()
        } else if words.has("v1-ess") {
            let lm = [[3_u8; 8].as_slice(), &[0; 16]].concat();
            old(flags::CLIENT | flags::EXTENDED_SESSIONSECURITY, &lm, &[2; 24]).encode()
        } else if words.has("lm") {
            old(v1, &[1; 24], &[]).encode()
        } else if words.has("anonymous") {
            let message = Authenticate { domain: String::new(), user: String::new(), ..old(v1, &[0], &[]) };
            Authenticate { flags: message.flags | flags::ANONYMOUS, ..message }.encode()
        } else {
            let answer = login.answer_with(&Negotiate::default().encode(), challenge, [7; 8], [9; 16]);
            answer.expect("a challenge").message
        };
        // NegotiateFlags are at offset 60 (MS-NLMP section 2.2.1.3).
        let mask = |text: &str| u32::from_str_radix(text.trim_start_matches("0x"), 16).expect("flags in hex");
        let place: &mut [u8; 4] = (&mut message[60..64]).try_into().expect("the flags");
        let mut bits = u32::from_le_bytes(*place);
        bits &= !words.option("without").map_or(0, mask);
        bits |= words.option("with").map_or(0, mask);
        *place = bits.to_le_bytes();
        message
    }
}

fn negotiate(words: &Words<'_>) -> Vec<u8> {
    let version = words.has("version").then_some(CLIENT_VERSION);
    Negotiate { version, ..Negotiate::default() }.encode()
}

/// Wraps an NTLM message in SPNEGO when the script says so.
fn in_spnego(words: &Words<'_>, message: &[u8], first: bool) -> Vec<u8> {
    match (words.has("spnego"), first) {
        (false, _) => message.to_vec(),
        (true, true) => spnego::init(&[spnego::NTLM], Some(message)),
        (true, false) => spnego::resp(Some(NegState::AcceptIncomplete), Some(spnego::NTLM), Some(message), None),
    }
}

/// `{basic bob}`, `{basic müller latin1}`.
fn basic(words: &Words<'_>) -> Vec<u8> {
    let text = format!("{}:Password1-test", words.second());
    if words.has("latin1") {
        return text.chars().map(|c| u8::try_from(u32::from(c)).expect("a character of Latin-1")).collect();
    }
    text.into_bytes()
}

/// `{jwt exp=-60 nbf=0 aud=api iss=https://idp.example.test}`: times beside the moment.
fn jwt(words: &Words<'_>, at: Stamp) -> String {
    let mut claims = vec![r#""sub":"someone""#.to_owned()];
    for name in ["exp", "nbf", "iat"] {
        if let Some(time) = words.time(name, at) {
            claims.push(format!(r#""{name}":{}"#, time.0.div_euclid(1_000_000)));
        }
    }
    for name in ["aud", "iss"] {
        if let Some(value) = words.option(name) {
            claims.push(format!(r#""{name}":"{value}""#));
        }
    }
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = format!("{{{}}}", claims.join(","));
    format!("{}.{}.{}", part(r#"{"alg":"RS256","typ":"JWT","kid":"k1"}"#), part(&claims), part("not-a-signature"))
}
