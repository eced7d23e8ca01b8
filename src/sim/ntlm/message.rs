//! The encoders of the three messages (MS-NLMP section 2.2.1). They write what they are told, wrong or right: a test
//! of a decoder needs both.

use super::av::AvPairs;
use super::{flags, utf16};
use crate::model::auth::Version;

/// The signature that all three begin with.
pub const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";

/// VERSION of the simulated server: Windows Server 2022.
pub const SERVER_VERSION: Version = Version { major: 10, minor: 0, build: 20_348 };

/// VERSION of the scripted clients: Windows 11.
pub const CLIENT_VERSION: Version = Version { major: 10, minor: 0, build: 22_631 };

/// NEGOTIATE_MESSAGE, Type 1 (MS-NLMP section 2.2.1.1).
#[derive(Debug, Clone)]
pub struct Negotiate {
    /// NegotiateFlags; those that say that a name is supplied are added.
    pub flags: u32,
    /// DomainName, ASCII.
    pub domain: Option<String>,
    /// Workstation, ASCII.
    pub workstation: Option<String>,
    /// VERSION; without it and without names the message has 32 bytes, as curl's has.
    pub version: Option<Version>,
}

impl Default for Negotiate {
    fn default() -> Self {
        Self { flags: flags::CLIENT, domain: None, workstation: None, version: Some(CLIENT_VERSION) }
    }
}

impl Negotiate {
    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bits = self.flags;
        if self.domain.is_some() {
            bits |= flags::OEM_DOMAIN_SUPPLIED;
        }
        if self.workstation.is_some() {
            bits |= flags::OEM_WORKSTATION_SUPPLIED;
        }
        let mut writer = Writer::new(1, if self.version.is_some() { 40 } else { 32 });
        writer.head.extend_from_slice(&bits.to_le_bytes());
        writer.field(self.domain.as_deref().unwrap_or_default().as_bytes());
        writer.field(self.workstation.as_deref().unwrap_or_default().as_bytes());
        writer.version(self.version);
        writer.finish()
    }
}

/// CHALLENGE_MESSAGE, Type 2 (MS-NLMP section 2.2.1.2).
#[derive(Debug, Clone)]
pub struct Challenge {
    /// NegotiateFlags.
    pub flags: u32,
    /// ServerChallenge.
    pub server_challenge: [u8; 8],
    /// TargetName: the domain's name for a member of a domain.
    pub target_name: String,
    /// TargetInfo; `None` leaves the field empty.
    pub target_info: Option<AvPairs>,
    /// VERSION; without it the field is zero, as the specification asks.
    pub version: Option<Version>,
}

impl Challenge {
    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(2, 56);
        writer.field(&text(self.flags, &self.target_name));
        writer.head.extend_from_slice(&self.flags.to_le_bytes());
        writer.head.extend_from_slice(&self.server_challenge);
        writer.head.extend_from_slice(&[0; 8]);
        writer.field(&self.target_info.as_ref().map(AvPairs::encode).unwrap_or_default());
        writer.version(self.version);
        if self.version.is_none() {
            writer.head.extend_from_slice(&[0; 8]);
        }
        writer.finish()
    }
}

/// AUTHENTICATE_MESSAGE, Type 3 (MS-NLMP section 2.2.1.3). It holds a response: no `Debug`.
#[derive(Clone)]
pub struct Authenticate {
    /// NegotiateFlags.
    pub flags: u32,
    /// DomainName.
    pub domain: String,
    /// UserName.
    pub user: String,
    /// Workstation.
    pub workstation: String,
    /// LmChallengeResponse.
    pub lm_response: Vec<u8>,
    /// NtChallengeResponse.
    pub nt_response: Vec<u8>,
    /// EncryptedRandomSessionKey.
    pub session_key: Vec<u8>,
    /// VERSION. `None` with no MIC makes a header of 64 bytes; `None` with a MIC writes zeros.
    pub version: Option<Version>,
    /// MIC; `None` leaves the field out.
    pub mic: Option<[u8; 16]>,
}

/// Offset of the MIC field in a Type 3.
pub const MIC_OFFSET: usize = 72;

impl Authenticate {
    /// The message's bytes: header, then names, then responses, as Windows orders them.
    pub fn encode(&self) -> Vec<u8> {
        let size = match (self.version, self.mic) {
            (_, Some(_)) => 88,
            (Some(_), None) => 72,
            (None, None) => 64,
        };
        // Fields stand in another order than their payloads, so the payloads are laid out first.
        let mut payload = Vec::new();
        let mut place = |bytes: &[u8]| {
            let field = field(bytes, size + payload.len());
            payload.extend_from_slice(bytes);
            field
        };
        let domain = place(&text(self.flags, &self.domain));
        let user = place(&text(self.flags, &self.user));
        let workstation = place(&text(self.flags, &self.workstation));
        let lm = place(&self.lm_response);
        let nt = place(&self.nt_response);
        let key = place(&self.session_key);
        let mut writer = Writer::new(3, size);
        for field in [lm, nt, domain, user, workstation, key] {
            writer.head.extend_from_slice(&field);
        }
        writer.head.extend_from_slice(&self.flags.to_le_bytes());
        writer.version(self.version);
        if let Some(mic) = self.mic {
            writer.head.resize(MIC_OFFSET, 0);
            writer.head.extend_from_slice(&mic);
        }
        writer.payload = payload;
        writer.finish()
    }
}

/// Text as the flags have it: UTF-16, or OEM, of which ASCII is written.
fn text(bits: u32, text: &str) -> Vec<u8> {
    if bits & flags::UNICODE == 0 { text.as_bytes().to_vec() } else { utf16(text) }
}

/// Head and payload of a message under construction.
struct Writer {
    head: Vec<u8>,
    payload: Vec<u8>,
    size: usize,
}

impl Writer {
    fn new(kind: u32, size: usize) -> Self {
        let mut head = SIGNATURE.to_vec();
        head.extend_from_slice(&kind.to_le_bytes());
        Self { head, payload: Vec::new(), size }
    }

    fn field(&mut self, bytes: &[u8]) {
        let field = field(bytes, self.size + self.payload.len());
        self.head.extend_from_slice(&field);
        self.payload.extend_from_slice(bytes);
    }

    fn version(&mut self, version: Option<Version>) {
        if let Some(version) = version {
            self.head.extend_from_slice(&[version.major, version.minor]);
            self.head.extend_from_slice(&version.build.to_le_bytes());
            // Reserved, then NTLMRevisionCurrent = NTLMSSP_REVISION_W2K3 (MS-NLMP section 2.2.2.10).
            self.head.extend_from_slice(&[0, 0, 0, 15]);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        debug_assert_eq!(self.head.len(), self.size, "a header of another size than its offsets");
        self.head.append(&mut self.payload);
        self.head
    }
}

/// Len, MaxLen and Offset of a payload.
fn field(bytes: &[u8], offset: usize) -> [u8; 8] {
    let length = length(bytes).to_le_bytes();
    let offset = u32::try_from(offset).unwrap_or(u32::MAX).to_le_bytes();
    [length[0], length[1], length[0], length[1], offset[0], offset[1], offset[2], offset[3]]
}

/// A length as the format holds it; saturates, so that a payload that is too long is visibly wrong.
pub(super) fn length(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}
