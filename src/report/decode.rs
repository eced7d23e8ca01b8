//! One decoded header value in words: what `authtap decode` prints for people.

use std::time::Duration;

use super::text::{clean, wrap};
use crate::model::Stamp;
use crate::model::auth::{
    AuthField, Basic, Bearer, Jwt, Kerberos, Ntlm, NtlmAuthenticate, NtlmChallenge, NtlmNegotiate, NtlmResponse,
    Scheme, Spnego, TargetInfo, Token, Version,
};
use crate::token::bearer::{Validity, judge};
use crate::token::kerberos::etype_name;
use crate::token::ntlm::{flag_names, release, short_name};
use crate::token::spnego::{notes, oid};

const WIDTH: usize = 80;
/// Column at which values begin.
const VALUES: usize = 20;

/// What a value is, field by field, with what it means and what is wrong with it. `now` judges a JWT's times.
pub fn decoded(field: &AuthField, now: Option<Stamp>) -> String {
    let mut page = Page { text: String::new(), now };
    page.head(field);
    page.token(&field.token, 0);
    page.params(field);
    page.faults(field);
    // A value with nothing in it leaves empty lines.
    page.text.trim_end().replace("\n\n\n", "\n\n") + "\n"
}

struct Page {
    text: String,
    now: Option<Stamp>,
}

impl Page {
    fn head(&mut self, field: &AuthField) {
        let what = name(&field.token, &field.scheme);
        let scheme = if field.scheme_as_sent.is_empty() {
            "without a scheme".to_owned()
        } else {
            format!("under the scheme {}", clean(&field.scheme_as_sent))
        };
        let size = match (&field.token, field.token_bytes) {
            (Token::None | Token::Digest | Token::Basic(_), _) | (_, 0) => String::new(),
            (_, n) => format!(", {n} bytes"),
        };
        wrap(&mut self.text, &format!("{what}, {scheme}{size}"), WIDTH, "", "");
        if let Some(meaning) = meaning(&field.token, &field.scheme) {
            wrap(&mut self.text, meaning, WIDTH, "  ", "  ");
        }
        self.text.push('\n');
    }

    fn row(&mut self, depth: usize, label: &str, value: &str) {
        let indent = " ".repeat(2 + 2 * depth);
        let first = format!("{indent}{label:<width$}", width = VALUES.saturating_sub(indent.len()));
        let first = if first.ends_with(' ') { first } else { format!("{first} ") };
        wrap(&mut self.text, &clean(value).replace('\n', "\u{fffd}"), WIDTH, &first, &" ".repeat(VALUES));
    }

    fn maybe(&mut self, depth: usize, label: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            let value = value.as_ref();
            self.row(depth, label, if value.is_empty() { "(empty)" } else { value });
        }
    }

    fn list(&mut self, depth: usize, label: &str, values: &[String]) {
        if !values.is_empty() {
            self.row(depth, label, &values.join(", "));
        }
    }

    fn token(&mut self, token: &Token, depth: usize) {
        match token {
            Token::Ntlm(ntlm) => self.ntlm(ntlm, depth),
            Token::Spnego(spnego) => self.spnego(spnego, depth),
            Token::Kerberos(kerberos) => self.kerberos(kerberos, depth),
            Token::Basic(basic) => self.basic(basic, depth),
            Token::Bearer(bearer) => self.bearer(bearer, depth),
            Token::None | Token::Digest | Token::Unknown => {}
        }
    }

    fn ntlm(&mut self, ntlm: &Ntlm, depth: usize) {
        match ntlm {
            Ntlm::Negotiate(m) => self.negotiate(m, depth),
            Ntlm::Challenge(m) => self.challenge(m, depth),
            Ntlm::Authenticate(m) => self.authenticate(m, depth),
            Ntlm::Unreadable => {}
        }
    }

    fn negotiate(&mut self, m: &NtlmNegotiate, depth: usize) {
        self.maybe(depth, "domain", m.domain.as_ref());
        self.maybe(depth, "workstation", m.workstation.as_ref());
        self.version(depth, "client", m.version);
        self.flags(depth, m.flags);
    }

    fn challenge(&mut self, m: &NtlmChallenge, depth: usize) {
        self.maybe(depth, "target", m.target_name.as_ref());
        self.version(depth, "server", m.version);
        match &m.target_info {
            Some(info) => self.target_info(depth, info),
            None => self.row(depth, "target info", "none: some clients refuse to answer"),
        }
        self.flags(depth, m.flags);
    }

    fn authenticate(&mut self, m: &NtlmAuthenticate, depth: usize) {
        let user = match (m.domain.as_str(), m.user.as_str()) {
            (_, "") => "(empty: nobody)".to_owned(),
            ("", user) => user.to_owned(),
            (domain, user) => format!("{domain}\\{user}"),
        };
        self.row(depth, "user", &user);
        self.maybe(depth, "workstation", Some(&m.workstation));
        self.row(depth, "response", response(m.response));
        self.row(
            depth,
            "lengths",
            &format!(
                "NT response {}, LM response {}, session key {} (never shown)",
                m.nt_response_bytes, m.lm_response_bytes, m.session_key_bytes
            ),
        );
        self.row(depth, "MIC", if m.mic_present { "present: the three messages are sealed together" } else { "none" });
        self.version(depth, "client", m.version);
        self.maybe(depth, "response time", m.response_time.map(|t| t.to_string()));
        if let Some(info) = &m.target_info {
            self.target_info(depth, info);
        }
        self.flags(depth, m.flags);
    }

    fn target_info(&mut self, depth: usize, info: &TargetInfo) {
        self.maybe(depth, "computer", join(info.nb_computer_name.as_ref(), info.dns_computer_name.as_ref()));
        self.maybe(depth, "domain", join(info.nb_domain_name.as_ref(), info.dns_domain_name.as_ref()));
        self.maybe(depth, "forest", info.dns_tree_name.as_ref());
        self.maybe(depth, "server time", info.timestamp.map(|t| t.to_string()));
        self.maybe(depth, "asked for", info.target_name.as_ref());
        if let Some(flags) = info.av_flags {
            let mut names = Vec::new();
            for (bit, name) in
                [(1, "constrained authentication"), (2, "MIC present"), (4, "SPN from an untrusted source")]
            {
                if flags & bit != 0 {
                    names.push(name);
                }
            }
            self.row(depth, "AV flags", &format!("0x{flags:08x} {}", names.join(", ")));
        }
        self.maybe(depth, "machine", info.machine.as_ref().map(|m| format!("{m} (fingerprint, for this run)")));
        match info.channel_binding.as_deref() {
            Some(hex) if hex.bytes().all(|b| b == b'0') => self.row(
                depth,
                "channel binding",
                "all zero: the client has none (no TLS of its own, or a hop that ended it); Extended Protection refuses it",
            ),
            Some(hex) => self.row(depth, "channel binding", hex),
            None => {}
        }
        for (id, length) in &info.others {
            self.row(depth, &format!("AV pair {id}"), &format!("{length} bytes, of no known kind"));
        }
    }

    fn version(&mut self, depth: usize, label: &str, version: Option<Version>) {
        let Some(v) = version else { return };
        let says = match release(v) {
            Some(r) if r.sure => format!(" ({})", r.name),
            Some(r) => format!(" (probably {})", r.name),
            None => " (no Windows release that is known)".to_owned(),
        };
        self.row(depth, label, &format!("version {}.{}.{}{says}", v.major, v.minor, v.build));
    }

    fn flags(&mut self, depth: usize, flags: u32) {
        let names: Vec<&str> = flag_names(flags).into_iter().map(short_name).collect();
        self.row(depth, "flags", &format!("0x{flags:08x}"));
        wrap(&mut self.text, &names.join(", "), WIDTH, &" ".repeat(VALUES), &" ".repeat(VALUES));
    }

    fn spnego(&mut self, s: &Spnego, depth: usize) {
        for (i, mech) in s.mechs.iter().enumerate() {
            let label = if i == 0 { "mechanisms" } else { "" };
            self.row(depth, label, &named_oid(mech));
        }
        self.list(depth, "request flags", &s.req_flags);
        self.maybe(depth, "state", s.neg_state.as_deref().map(state));
        self.maybe(depth, "chosen", s.supported_mech.as_deref().map(named_oid));
        self.maybe(depth, "hint", s.hint_name.as_ref());
        self.list(depth, "NEGOEX", &s.negoex);
        if s.mech_list_mic {
            self.row(depth, "mechanism list", "sealed by a MIC");
        }
        for note in notes(s) {
            self.row(depth, "note", note);
        }
        if let Some(inner) = &s.inner {
            self.row(depth, "carries", &name(inner, &Scheme::Negotiate));
            self.token(inner, depth + 1);
        }
    }

    fn kerberos(&mut self, k: &Kerberos, depth: usize) {
        if let (Some(code), Some(name)) = (k.error_code, &k.error_name) {
            self.row(depth, "error", &format!("{code} {name}"));
        }
        if let Some(status) = k.error_status {
            self.row(depth, "NTSTATUS", &format!("0x{status:08x}"));
        }
        self.maybe(depth, "says", k.error_text.as_ref());
        self.maybe(depth, "service", k.sname.as_ref());
        self.maybe(depth, "realm", k.realm.as_ref());
        self.maybe(depth, "client", join(k.client_name.as_ref(), k.client_realm.as_ref()));
        self.maybe(depth, "server time", k.server_time.as_ref());
        self.maybe(depth, "client time", k.client_time.as_ref());
        self.maybe(depth, "ticket", k.ticket_etype.map(etype));
        self.maybe(depth, "ticket size", k.ticket_bytes.map(|n| format!("{n} bytes (grows with the user's groups)")));
        self.maybe(
            depth,
            "key version",
            k.kvno.map(|n| match k.rodc {
                Some(rodc) => format!("{n} (of the read-only domain controller {rodc})"),
                None => n.to_string(),
            }),
        );
        self.maybe(depth, "authenticator", k.authenticator_etype.map(etype));
        self.list(depth, "options", &k.ap_options);
        self.maybe(depth, "ticket print", k.ticket.as_ref().map(|f| format!("{f} (the same for the same ticket)")));
        if k.message == "ap-req" {
            self.row(depth, "not visible", "the user, the ticket's times, the channel binding: they are encrypted");
        }
    }

    fn basic(&mut self, b: &Basic, depth: usize) {
        self.maybe(depth, "user", b.user.as_ref());
        self.maybe(
            depth,
            "characters",
            b.charset.as_deref().map(|c| match c {
                "ascii" => "ASCII",
                "utf-8" => "UTF-8: servers that expect another charset refuse it",
                _ => "neither ASCII nor UTF-8: many servers refuse it",
            }),
        );
        if b.user.is_some() {
            self.row(depth, "password", "(never shown)");
        }
    }

    fn bearer(&mut self, b: &Bearer, depth: usize) {
        match &b.jwt {
            Some(jwt) => self.jwt(jwt, depth),
            None if b.is_jwt => self.row(depth, "kind", "a JWT that cannot be read"),
            None => {}
        }
    }

    fn jwt(&mut self, j: &Jwt, depth: usize) {
        if j.encrypted {
            self.row(depth, "claims", "encrypted (a JWE): none can be read");
        }
        self.maybe(depth, "issuer", j.issuer.as_ref());
        self.list(depth, "audience", &j.audience);
        self.maybe(depth, "expires", j.expires.map(|t| t.to_string()));
        self.maybe(depth, "not before", j.not_before.map(|t| t.to_string()));
        self.maybe(depth, "issued", j.issued.map(|t| t.to_string()));
        self.maybe(depth, "so it is", self.now.and_then(|now| validity(judge(j, now))));
        self.maybe(depth, "application", j.client.as_ref());
        self.list(depth, "scopes", &j.scopes);
        self.list(depth, "roles", &j.roles);
        self.maybe(depth, "algorithm", j.alg.as_ref());
        self.maybe(depth, "key", j.kid.as_ref());
        self.list(depth, "other claims", &j.other_claims);
        self.row(depth, "signature", "(never shown, and not checked: that takes the issuer's key)");
    }

    fn params(&mut self, field: &AuthField) {
        for (name, value) in &field.params {
            self.row(0, name, value);
        }
        if matches!(field.token, Token::Digest) && field.param("username").is_some() {
            self.row(0, "response", "(never shown)");
        }
    }

    fn faults(&mut self, field: &AuthField) {
        if field.faults.is_empty() {
            return;
        }
        self.text.push_str("\n  Not as it should be:\n");
        for f in &field.faults {
            let line = format!("at byte {}, {}: expected {}, got {}", f.offset, f.field, f.expected, f.got);
            wrap(&mut self.text, &clean(&line), WIDTH, "  - ", "    ");
        }
    }
}

fn join(short: Option<&String>, long: Option<&String>) -> Option<String> {
    match (short, long) {
        (Some(a), Some(b)) => Some(format!("{a} ({b})")),
        (a, b) => a.or(b).cloned(),
    }
}

fn named_oid(dotted: &str) -> String {
    oid::name(dotted).map_or_else(|| dotted.to_owned(), |name| format!("{name} ({dotted})"))
}

fn state(state: &str) -> String {
    let says = match state {
        "accept-completed" => ": the handshake is done",
        "accept-incomplete" => ": another token is wanted",
        "reject" => ": refused",
        "request-mic" => ": the list of mechanisms must be sealed",
        _ => "",
    };
    format!("{state}{says}")
}

fn etype(etype: i32) -> String {
    let says = match etype {
        1 | 3 => ": refused by anything current",
        23 => ": refused where policy demands AES",
        _ => "",
    };
    format!("encryption type {etype} ({}{says})", etype_name(etype).unwrap_or("of no known name"))
}

fn validity(validity: Validity) -> Option<String> {
    match validity {
        Validity::Expired(by) => Some(format!("expired {} ago, by this machine's clock", span(by))),
        Validity::NotYetValid(by) => Some(format!("not valid before another {}, by this machine's clock", span(by))),
        Validity::Fine => Some("within its time, by this machine's clock".to_owned()),
        Validity::Unknown => None,
    }
}

fn span(time: Duration) -> String {
    match time.as_secs() {
        s @ 0..=119 => format!("{s} s"),
        s @ 120..=7_199 => format!("{} min", s / 60),
        s @ 7_200..=172_799 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    }
}

const fn response(kind: NtlmResponse) -> &'static str {
    match kind {
        NtlmResponse::V2 => "NTLMv2",
        NtlmResponse::V1 => {
            "NTLMv1: refused by servers at LmCompatibilityLevel 5, and it cannot carry a channel binding"
        }
        NtlmResponse::V1Ess => "NTLMv1 with extended session security: as NTLMv1, refused at LmCompatibilityLevel 5",
        NtlmResponse::Lm => "LM only: as good as always refused",
        NtlmResponse::Anonymous => "none: an anonymous logon",
        NtlmResponse::Unreadable => "could not be read",
    }
}

/// What a token is called.
fn name(token: &Token, scheme: &Scheme) -> String {
    match token {
        Token::None => format!("The bare scheme {}", scheme.name()),
        Token::Ntlm(n) => match n.as_ref() {
            Ntlm::Negotiate(_) => "NTLM NEGOTIATE (Type 1)",
            Ntlm::Challenge(_) => "NTLM CHALLENGE (Type 2)",
            Ntlm::Authenticate(_) => "NTLM AUTHENTICATE (Type 3)",
            Ntlm::Unreadable => "NTLM, of no readable message type",
        }
        .to_owned(),
        Token::Spnego(s) => match s.message.as_str() {
            "neg-token-init" => "SPNEGO NegTokenInit",
            "neg-token-init2" => "SPNEGO NegTokenInit2",
            "neg-token-resp" => "SPNEGO NegTokenResp",
            _ => "SPNEGO, of no readable message type",
        }
        .to_owned(),
        Token::Kerberos(k) => match k.message.as_str() {
            "ap-req" => "Kerberos AP-REQ".to_owned(),
            "ap-rep" => "Kerberos AP-REP".to_owned(),
            "krb-error" => "Kerberos KRB-ERROR".to_owned(),
            "" => "Kerberos, of no readable message type".to_owned(),
            other => format!("Kerberos {}", other.to_uppercase()),
        },
        Token::Basic(b) if b.user.is_some() => "Basic credentials".to_owned(),
        Token::Basic(_) => "Basic challenge".to_owned(),
        Token::Digest => "Digest".to_owned(),
        Token::Bearer(b) if b.is_jwt => "Bearer token, a JWT".to_owned(),
        Token::Bearer(_) => "Bearer".to_owned(),
        Token::Unknown => "A token of no known kind".to_owned(),
    }
}

/// One sentence: what it does in a handshake.
fn meaning(token: &Token, scheme: &Scheme) -> Option<&'static str> {
    Some(match token {
        Token::None if matches!(scheme, Scheme::Ntlm | Scheme::Negotiate | Scheme::Nego2) => {
            "From a server it is an offer: it would take this scheme, and no handshake has begun."
        }
        Token::Ntlm(n) => match n.as_ref() {
            Ntlm::Negotiate(_) => {
                "The client begins a logon. The server answers 401 with a CHALLENGE: that 401 is normal."
            }
            Ntlm::Challenge(_) => {
                "The server asks for proof. The 401 that carries it is a step of the handshake and not a failure. The \
                 AUTHENTICATE must come next, on the same connection."
            }
            Ntlm::Authenticate(_) => {
                "The client proves who it is. It must answer the CHALLENGE that went out last on the same connection; on \
                 another connection it is refused though the password is right."
            }
            Ntlm::Unreadable => return None,
        },
        Token::Spnego(s) if s.message == "neg-token-resp" => "A further step of a Negotiate handshake.",
        Token::Spnego(_) => "The client offers mechanisms, and mostly the first one's token at once.",
        Token::Kerberos(k) => match k.message.as_str() {
            "ap-req" => {
                "A Kerberos ticket for the service named here. A domain controller has vouched for the user; a refusal is \
                 about the service's key, name, clock or permissions."
            }
            "ap-rep" => "The server has accepted the ticket, and proves itself to the client.",
            "krb-error" => "The server could not accept the ticket, and says why.",
            _ => return None,
        },
        Token::Basic(b) if b.user.is_some() => "User and password, readable by whoever sees the traffic.",
        _ => return None,
    })
}
