//! Decoded authentication facts: what `token` makes of a header value, without its secrets.
//!
//! The shapes follow `INTERFACE`: `scheme`, `family`, `faults`, and by family the named fields. What a message did not
//! carry is `None` or empty, never a made-up value.

use super::{FileTime, Stamp};

/// One challenge (of `WWW-Authenticate`) or one set of credentials (of `Authorization`), RFC 9110 sections 11.3, 11.4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthField {
    /// The scheme, typed.
    pub scheme: Scheme,
    /// The scheme as sent: case is evidence.
    pub scheme_as_sent: String,
    /// The decoded token, or `Token::None` for a bare scheme.
    pub token: Token,
    /// Bytes of the token after base64 decoding (or of the text, where it is not base64); 0 for none. Of Basic rounded
    /// up to 32s: beside the user, the exact size would tell the password's length.
    pub token_bytes: usize,
    /// Parameters such as `realm`, in order, names in lower case. Never a secret: `response` of Digest is absent.
    pub params: Vec<(String, String)>,
    /// What could not be read as it should be.
    pub faults: Vec<Fault>,
}

/// A place where bytes were not what the specification says. A peer's fault is data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Byte offset in the decoded token (in the header value, when the fault is before decoding).
    pub offset: usize,
    /// The field that was being read, such as `target_info.av_len`.
    pub field: String,
    /// What the specification asks for.
    pub expected: String,
    /// What was there; never a secret's bytes.
    pub got: String,
}

/// Authentication scheme of the HTTP field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `NTLM` (MS-NTHT).
    Ntlm,
    /// `Negotiate` (RFC 4559), in any case.
    Negotiate,
    /// `Nego2` (MS-N2HT).
    Nego2,
    /// `Kerberos`, a bare scheme some clients use.
    Kerberos,
    /// `Basic` (RFC 7617).
    Basic,
    /// `Digest` (RFC 7616).
    Digest,
    /// `Bearer` (RFC 6750).
    Bearer,
    /// Anything else, in lower case.
    Other(String),
}

impl Scheme {
    /// From the token before the first space, in any case.
    pub fn of(name: &str) -> Self {
        if name.eq_ignore_ascii_case("ntlm") {
            return Self::Ntlm;
        }
        match name.to_ascii_lowercase().as_str() {
            "negotiate" => Self::Negotiate,
            "nego2" => Self::Nego2,
            "kerberos" => Self::Kerberos,
            "basic" => Self::Basic,
            "digest" => Self::Digest,
            "bearer" => Self::Bearer,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Lower-case name.
    pub fn name(&self) -> &str {
        match self {
            Self::Ntlm => "ntlm",
            Self::Negotiate => "negotiate",
            Self::Nego2 => "nego2",
            Self::Kerberos => "kerberos",
            Self::Basic => "basic",
            Self::Digest => "digest",
            Self::Bearer => "bearer",
            Self::Other(name) => name,
        }
    }
}

/// What the token is, by its bytes and not by its scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A bare scheme.
    None,
    /// NTLMSSP (MS-NLMP).
    Ntlm(Box<Ntlm>),
    /// SPNEGO (RFC 4178), with what it carries.
    Spnego(Box<Spnego>),
    /// Kerberos (RFC 4120), raw or GSS-wrapped.
    Kerberos(Box<Kerberos>),
    /// `user:password`.
    Basic(Basic),
    /// Parameters only; they are in [`AuthField::params`].
    Digest,
    /// A bearer token, or a bearer challenge's parameters.
    Bearer(Bearer),
    /// Bytes of no known family.
    Unknown,
}

impl Token {
    /// `ntlm`, `spnego`, `kerberos`, `basic`, `digest`, `bearer`, `unknown`; `None` for a bare scheme.
    pub const fn family(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Ntlm(_) => Some("ntlm"),
            Self::Spnego(_) => Some("spnego"),
            Self::Kerberos(_) => Some("kerberos"),
            Self::Basic(_) => Some("basic"),
            Self::Digest => Some("digest"),
            Self::Bearer(_) => Some("bearer"),
            Self::Unknown => Some("unknown"),
        }
    }
}

impl AuthField {
    /// The NTLM message, raw or inside SPNEGO.
    pub fn ntlm(&self) -> Option<&Ntlm> {
        match &self.token {
            Token::Ntlm(n) => Some(n),
            Token::Spnego(s) => match s.inner.as_deref() {
                Some(Token::Ntlm(n)) => Some(n),
                _ => None,
            },
            _ => None,
        }
    }

    /// The token claims more bytes than came: an element of it, or a buffer that it points to, ends behind it.
    pub fn cut_off(&self) -> Option<&Fault> {
        let claims =
            |f: &&Fault| f.expected.ends_with(" bytes of content") || f.expected.ends_with(" bytes of payload");
        self.faults.iter().find(claims)
    }

    /// The Kerberos message, raw or inside SPNEGO.
    pub fn kerberos(&self) -> Option<&Kerberos> {
        match &self.token {
            Token::Kerberos(k) => Some(k),
            Token::Spnego(s) => match s.inner.as_deref() {
                Some(Token::Kerberos(k)) => Some(k),
                _ => None,
            },
            _ => None,
        }
    }

    /// A parameter's value by lower-case name.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// One of NTLM's three messages (MS-NLMP section 2.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ntlm {
    /// Type 1.
    Negotiate(NtlmNegotiate),
    /// Type 2.
    Challenge(NtlmChallenge),
    /// Type 3.
    Authenticate(NtlmAuthenticate),
    /// Has the signature, and no message type that could be read.
    Unreadable,
}

/// VERSION (MS-NLMP section 2.2.2.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Major version of the operating system.
    pub major: u8,
    /// Minor version.
    pub minor: u8,
    /// Build number.
    pub build: u16,
}

/// NEGOTIATE_MESSAGE, Type 1 (MS-NLMP section 2.2.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NtlmNegotiate {
    /// NegotiateFlags, unknown bits kept.
    pub flags: u32,
    /// DomainName (OEM), when supplied.
    pub domain: Option<String>,
    /// Workstation (OEM), when supplied.
    pub workstation: Option<String>,
    /// VERSION, when there is one.
    pub version: Option<Version>,
}

/// CHALLENGE_MESSAGE, Type 2 (MS-NLMP section 2.2.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NtlmChallenge {
    /// NegotiateFlags, unknown bits kept.
    pub flags: u32,
    /// TargetName.
    pub target_name: Option<String>,
    /// TargetInfo; `None` when the message has none.
    pub target_info: Option<TargetInfo>,
    /// VERSION, when there is one.
    pub version: Option<Version>,
}

/// AUTHENTICATE_MESSAGE, Type 3 (MS-NLMP section 2.2.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NtlmAuthenticate {
    /// NegotiateFlags, unknown bits kept.
    pub flags: u32,
    /// DomainName as sent; may be empty.
    pub domain: String,
    /// UserName as sent; may be empty.
    pub user: String,
    /// Workstation as sent; may be empty.
    pub workstation: String,
    /// VERSION, when there is one.
    pub version: Option<Version>,
    /// Kind of the response.
    pub response: NtlmResponse,
    /// Length of NtChallengeResponse.
    pub nt_response_bytes: usize,
    /// Length of LmChallengeResponse.
    pub lm_response_bytes: usize,
    /// Length of EncryptedRandomSessionKey.
    pub session_key_bytes: usize,
    /// Room for a MIC, and MsvAvFlags says that there is one.
    pub mic_present: bool,
    /// The AV pairs that the NTLMv2 response carries; `None` for other responses.
    pub target_info: Option<TargetInfo>,
    /// The NTLMv2 response's own TimeStamp field.
    pub response_time: Option<FileTime>,
}

/// Kind of an NTLM response (MS-NLMP section 3.2.5.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NtlmResponse {
    /// NTLMv2_RESPONSE.
    V2,
    /// 24 bytes.
    V1,
    /// 24 bytes with extended session security.
    V1Ess,
    /// Only an LM response.
    Lm,
    /// No user and no response.
    Anonymous,
    /// None could be read.
    #[default]
    Unreadable,
}

impl NtlmResponse {
    /// The name of INTERFACE.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2 => "NTLMv2",
            Self::V1 => "NTLMv1",
            Self::V1Ess => "NTLMv1-ESS",
            Self::Lm => "LM",
            Self::Anonymous => "anonymous",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A sequence of AV_PAIRs (MS-NLMP section 2.2.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TargetInfo {
    /// AvId 1.
    pub nb_computer_name: Option<String>,
    /// AvId 2.
    pub nb_domain_name: Option<String>,
    /// AvId 3.
    pub dns_computer_name: Option<String>,
    /// AvId 4.
    pub dns_domain_name: Option<String>,
    /// AvId 5.
    pub dns_tree_name: Option<String>,
    /// AvId 6.
    pub av_flags: Option<u32>,
    /// AvId 7: the server's clock; the key that links a Type 3 to its Type 2.
    pub timestamp: Option<FileTime>,
    /// AvId 8: keyed fingerprint of the client machine's id; the id itself identifies a machine and is not kept.
    pub machine: Option<String>,
    /// AvId 9: the SPN that the client asked for.
    pub target_name: Option<String>,
    /// AvId 10, lower-case hex; all zero means "no channel binding".
    pub channel_binding: Option<String>,
    /// AvIds above 10 with their lengths.
    pub others: Vec<(u16, usize)>,
}

/// A SPNEGO token (RFC 4178 section 4.2, MS-SPNG).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spnego {
    /// `neg-token-init`, `neg-token-init2`, `neg-token-resp`; empty when it could not be told.
    pub message: String,
    /// mechTypes, dotted OIDs in order.
    pub mechs: Vec<String>,
    /// `accept-completed`, `accept-incomplete`, `reject`, `request-mic`, or the number.
    pub neg_state: Option<String>,
    /// supportedMech, a dotted OID.
    pub supported_mech: Option<String>,
    /// What mechToken or responseToken carries.
    pub inner: Option<Box<Token>>,
    /// Whether a mechListMIC is there.
    pub mech_list_mic: bool,
    /// reqFlags of a NegTokenInit by name (`delegFlag`, …), as RFC 4178 section 4.2.1 has them.
    pub req_flags: Vec<String>,
    /// hintName of a NegTokenInit2: `not_defined_in_RFC4178@please_ignore`.
    pub hint_name: Option<String>,
    /// The NEGOEX messages that the inner token is made of, in order, such as `initiator-nego` (MS-NEGOEX 2.2.6.1).
    pub negoex: Vec<String>,
}

/// A Kerberos message's cleartext (RFC 4120 sections 5.5.1, 5.5.2, 5.9.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kerberos {
    /// `ap-req`, `ap-rep`, `krb-error`; empty when it could not be told.
    pub message: String,
    /// The ticket's realm, or KRB-ERROR's.
    pub realm: Option<String>,
    /// The service's name, `HTTP/host`.
    pub sname: Option<String>,
    /// name-type of [`sname`](Self::sname) (RFC 4120 section 6.2): 1 for an account, 2 for a service instance.
    pub sname_type: Option<i32>,
    /// Encryption type of the ticket.
    pub ticket_etype: Option<i32>,
    /// Key version number of the ticket, signed as MS-KILE has it.
    pub kvno: Option<i64>,
    /// The read-only domain controller whose key sealed the ticket: the high half of [`kvno`](Self::kvno), unless zero
    /// (MS-KILE section 3.1.5.8).
    pub rodc: Option<u16>,
    /// Bytes of the ticket's ciphertext: grows with the user's groups.
    pub ticket_bytes: Option<usize>,
    /// Keyed fingerprint of the ticket's ciphertext: equal for the same ticket within one run.
    pub ticket: Option<String>,
    /// Keyed fingerprint of the whole AP-REQ: equal only when the same request is sent again.
    pub request: Option<String>,
    /// Encryption type of the authenticator; of AP-REP's encrypted part.
    pub authenticator_etype: Option<i32>,
    /// Bytes of that ciphertext.
    pub authenticator_bytes: Option<usize>,
    /// ap-options' names: `use-session-key`, `mutual-required`.
    pub ap_options: Vec<String>,
    /// KRB-ERROR's code.
    pub error_code: Option<i32>,
    /// KRB-ERROR's name.
    pub error_name: Option<String>,
    /// KRB-ERROR's stime and susec, RFC 3339.
    pub server_time: Option<String>,
    /// KRB-ERROR's ctime and cusec, RFC 3339.
    pub client_time: Option<String>,
    /// KRB-ERROR's crealm.
    pub client_realm: Option<String>,
    /// KRB-ERROR's cname.
    pub client_name: Option<String>,
    /// KRB-ERROR's e-text.
    pub error_text: Option<String>,
    /// data-type of the KERB-ERROR-DATA in e-data (MS-KILE section 2.2.2): 2 skew recovery, 3 extended.
    pub error_data_type: Option<i32>,
    /// Bytes of e-data, whatever is in it.
    pub error_data_bytes: Option<usize>,
    /// The NTSTATUS of a KERB-EXT-ERROR (MS-KILE section 2.2.1): Windows' own reason.
    pub error_status: Option<u32>,
}

/// Basic credentials (RFC 7617) or a Basic challenge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Basic {
    /// Before the first colon; `None` in a challenge.
    pub user: Option<String>,
    /// `ascii`, `utf-8` or `neither`, over user and password; `None` in a challenge.
    pub charset: Option<String>,
}

/// A bearer token. The signature is never kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bearer {
    /// Whether the token has the shape of a JWT (RFC 7519).
    pub is_jwt: bool,
    /// What a JWT says of itself.
    pub jwt: Option<Box<Jwt>>,
}

/// Header and claims of a JWT (RFC 7519), as far as they say why it is refused and not whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Jwt {
    /// `alg` of the header.
    pub alg: Option<String>,
    /// `typ` of the header.
    pub typ: Option<String>,
    /// `kid` of the header: which key of the issuer signed it.
    pub kid: Option<String>,
    /// The claims are encrypted (a JWE, RFC 7516): none of them is known.
    pub encrypted: bool,
    /// `iss`.
    pub issuer: Option<String>,
    /// `aud`, one or several.
    pub audience: Vec<String>,
    /// `exp`.
    pub expires: Option<Stamp>,
    /// `nbf`.
    pub not_before: Option<Stamp>,
    /// `iat`.
    pub issued: Option<Stamp>,
    /// `azp` or `appid`: the application that asked for the token.
    pub client: Option<String>,
    /// `scp` or `scope`, split at spaces.
    pub scopes: Vec<String>,
    /// `roles`.
    pub roles: Vec<String>,
    /// Names of the other claims, in order. Their values may say who somebody is, and are not kept.
    pub other_claims: Vec<String>,
}
