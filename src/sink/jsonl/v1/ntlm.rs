//! NTLM's messages (MS-NLMP section 2.2.1) as a capture shows them.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{self, Unfit};
use crate::model::auth;
use crate::token::ntlm;

/// One of NTLM's three messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "message", rename_all = "lowercase")]
pub enum Ntlm {
    /// Type 1.
    Negotiate(NtlmNegotiate),
    /// Type 2.
    Challenge(NtlmChallenge),
    /// Type 3.
    Authenticate(NtlmAuthenticate),
    /// No message type could be read.
    #[serde(other)]
    Unreadable,
}

/// The sender's operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// Major version.
    pub major: u8,
    /// Minor version.
    pub minor: u8,
    /// Build number.
    pub build: u16,
}

/// NEGOTIATE_MESSAGE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NtlmNegotiate {
    /// NegotiateFlags, such as `0xe2898215`.
    pub flags: String,
    /// Their names, from the highest bit; for the reader's eye, ignored on reading.
    #[serde(default)]
    pub flag_names: Vec<Cow<'static, str>>,
    /// The sender's operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The client's domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The client's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workstation: Option<String>,
}

/// CHALLENGE_MESSAGE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NtlmChallenge {
    /// NegotiateFlags.
    pub flags: String,
    /// Their names, from the highest bit; ignored on reading.
    #[serde(default)]
    pub flag_names: Vec<Cow<'static, str>>,
    /// The server's operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The server's domain or machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_name: Option<String>,
    /// The server's names and clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_info: Option<TargetInfo>,
}

/// AUTHENTICATE_MESSAGE. The responses themselves are never here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NtlmAuthenticate {
    /// NegotiateFlags.
    pub flags: String,
    /// Their names, from the highest bit; ignored on reading.
    #[serde(default)]
    pub flag_names: Vec<Cow<'static, str>>,
    /// The client's operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The user's domain.
    #[serde(default)]
    pub domain: String,
    /// The user.
    #[serde(default)]
    pub user: String,
    /// The client's machine.
    #[serde(default)]
    pub workstation: String,
    /// `NTLMv2`, `NTLMv1`, `NTLMv1-ESS`, `LM`, `anonymous`, `unreadable`.
    pub response: String,
    /// Length of the NT response.
    #[serde(default)]
    pub nt_response_bytes: usize,
    /// Length of the LM response.
    #[serde(default)]
    pub lm_response_bytes: usize,
    /// Length of the encrypted session key.
    #[serde(default)]
    pub session_key_bytes: usize,
    /// Whether a message integrity code is there.
    #[serde(default)]
    pub mic_present: bool,
    /// What the NTLMv2 response carries from the challenge, and adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_info: Option<TargetInfo>,
    /// The NTLMv2 response's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_time: Option<String>,
}

/// AV_PAIRs (MS-NLMP section 2.2.2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TargetInfo {
    /// NetBIOS name of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nb_computer_name: Option<String>,
    /// NetBIOS name of its domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nb_domain_name: Option<String>,
    /// DNS name of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_computer_name: Option<String>,
    /// DNS name of its domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_domain_name: Option<String>,
    /// DNS name of its forest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_tree_name: Option<String>,
    /// MsvAvFlags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub av_flags: Option<u32>,
    /// The server's clock, 100 ns: the key that links an answer to its challenge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// Keyed fingerprint of the client machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The service that the client asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_name: Option<String>,
    /// Channel binding, hex; all zero means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_binding: Option<String>,
    /// Other AV pairs: id and length.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<(u16, usize)>,
}

/// Names of the flags of MS-NLMP section 2.2.2.5 that are set, without their prefix.
pub(super) fn flag_names(flags: u32) -> Vec<Cow<'static, str>> {
    ntlm::flag_names(flags).into_iter().map(|name| Cow::Borrowed(ntlm::short_name(name))).collect()
}

impl From<&auth::Ntlm> for Ntlm {
    fn from(x: &auth::Ntlm) -> Self {
        match x {
            auth::Ntlm::Negotiate(m) => Self::Negotiate(NtlmNegotiate {
                flags: text::hex32(m.flags),
                flag_names: flag_names(m.flags),
                version: m.version.map(Into::into),
                domain: m.domain.clone(),
                workstation: m.workstation.clone(),
            }),
            auth::Ntlm::Challenge(m) => Self::Challenge(NtlmChallenge {
                flags: text::hex32(m.flags),
                flag_names: flag_names(m.flags),
                version: m.version.map(Into::into),
                target_name: m.target_name.clone(),
                target_info: m.target_info.as_ref().map(Into::into),
            }),
            auth::Ntlm::Authenticate(m) => Self::Authenticate(NtlmAuthenticate {
                flags: text::hex32(m.flags),
                flag_names: flag_names(m.flags),
                version: m.version.map(Into::into),
                domain: m.domain.clone(),
                user: m.user.clone(),
                workstation: m.workstation.clone(),
                response: m.response.name().to_owned(),
                nt_response_bytes: m.nt_response_bytes,
                lm_response_bytes: m.lm_response_bytes,
                session_key_bytes: m.session_key_bytes,
                mic_present: m.mic_present,
                target_info: m.target_info.as_ref().map(Into::into),
                response_time: m.response_time.map(|t| t.to_string()),
            }),
            auth::Ntlm::Unreadable => Self::Unreadable,
        }
    }
}

impl TryFrom<Ntlm> for auth::Ntlm {
    type Error = Unfit;

    fn try_from(x: Ntlm) -> Result<Self, Unfit> {
        Ok(match x {
            Ntlm::Negotiate(m) => Self::Negotiate(auth::NtlmNegotiate {
                flags: text::to_u32("flags", &m.flags)?,
                domain: m.domain,
                workstation: m.workstation,
                version: m.version.map(Into::into),
            }),
            Ntlm::Challenge(m) => Self::Challenge(auth::NtlmChallenge {
                flags: text::to_u32("flags", &m.flags)?,
                target_name: m.target_name,
                target_info: m.target_info.map(TryInto::try_into).transpose()?,
                version: m.version.map(Into::into),
            }),
            Ntlm::Authenticate(m) => Self::Authenticate(auth::NtlmAuthenticate {
                flags: text::to_u32("flags", &m.flags)?,
                domain: m.domain,
                user: m.user,
                workstation: m.workstation,
                version: m.version.map(Into::into),
                response: to_response(&m.response)?,
                nt_response_bytes: m.nt_response_bytes,
                lm_response_bytes: m.lm_response_bytes,
                session_key_bytes: m.session_key_bytes,
                mic_present: m.mic_present,
                target_info: m.target_info.map(TryInto::try_into).transpose()?,
                response_time: text::to_file_time("response_time", m.response_time.as_deref())?,
            }),
            Ntlm::Unreadable => Self::Unreadable,
        })
    }
}

fn to_response(name: &str) -> Result<auth::NtlmResponse, Unfit> {
    use auth::NtlmResponse as R;
    [R::V2, R::V1, R::V1Ess, R::Lm, R::Anonymous, R::Unreadable]
        .into_iter()
        .find(|r| r.name() == name)
        .ok_or_else(|| Unfit::new("response", "a kind of NTLM response", name))
}

impl From<auth::Version> for Version {
    fn from(x: auth::Version) -> Self {
        Self { major: x.major, minor: x.minor, build: x.build }
    }
}

impl From<Version> for auth::Version {
    fn from(x: Version) -> Self {
        Self { major: x.major, minor: x.minor, build: x.build }
    }
}

impl From<&auth::TargetInfo> for TargetInfo {
    fn from(x: &auth::TargetInfo) -> Self {
        Self {
            nb_computer_name: x.nb_computer_name.clone(),
            nb_domain_name: x.nb_domain_name.clone(),
            dns_computer_name: x.dns_computer_name.clone(),
            dns_domain_name: x.dns_domain_name.clone(),
            dns_tree_name: x.dns_tree_name.clone(),
            av_flags: x.av_flags,
            timestamp: x.timestamp.map(|t| t.to_string()),
            machine: x.machine.clone(),
            target_name: x.target_name.clone(),
            channel_binding: x.channel_binding.clone(),
            others: x.others.clone(),
        }
    }
}

impl TryFrom<TargetInfo> for auth::TargetInfo {
    type Error = Unfit;

    fn try_from(x: TargetInfo) -> Result<Self, Unfit> {
        Ok(Self {
            nb_computer_name: x.nb_computer_name,
            nb_domain_name: x.nb_domain_name,
            dns_computer_name: x.dns_computer_name,
            dns_domain_name: x.dns_domain_name,
            dns_tree_name: x.dns_tree_name,
            av_flags: x.av_flags,
            timestamp: text::to_file_time("target_info.timestamp", x.timestamp.as_deref())?,
            machine: x.machine,
            target_name: x.target_name,
            channel_binding: x.channel_binding,
            others: x.others,
        })
    }
}
