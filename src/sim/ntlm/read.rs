//! Reads the messages as far as the simulator itself needs them. Separate from [`crate::token`] on purpose: neither
//! may hide the other's misreading of the specification.

use super::av::AvPairs;
use super::flags;
use super::message::{MIC_OFFSET, SIGNATURE};

/// MessageType, when the bytes begin as NTLM does.
pub fn kind(message: &[u8]) -> Option<u32> {
    let rest = message.strip_prefix(SIGNATURE)?;
    rest.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// NegotiateFlags of a Type 1.
pub fn negotiate_flags(message: &[u8]) -> Option<u32> {
    number(message, 12)
}

/// What a client needs of a Type 2.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// NegotiateFlags.
    pub flags: u32,
    /// ServerChallenge.
    pub server_challenge: [u8; 8],
    /// TargetInfo.
    pub target_info: AvPairs,
}

impl Challenge {
    /// From the message's bytes; `None` when it is no Type 2 or cut short.
    pub fn read(message: &[u8]) -> Option<Self> {
        if kind(message)? != 2 {
            return None;
        }
        Some(Self {
            flags: number(message, 20)?,
            server_challenge: *message.get(24..)?.first_chunk()?,
            target_info: AvPairs::decode(payload(message, 40).unwrap_or_default()),
        })
    }
}

/// What a server needs of a Type 3. It holds a response: no `Debug`.
pub struct Authenticate {
    /// NegotiateFlags.
    pub flags: u32,
    /// DomainName.
    pub domain: String,
    /// UserName.
    pub user: String,
    /// NTProofStr of an NTLMv2 response.
    pub nt_proof: [u8; 16],
    /// What NTProofStr is over, besides the challenge.
    pub temp: Vec<u8>,
    /// AV pairs in `temp`.
    pub av_pairs: AvPairs,
    /// EncryptedRandomSessionKey.
    pub session_key: Vec<u8>,
    /// The MIC, when the AV pairs say that there is one (MsvAvFlags, 2).
    pub mic: Option<[u8; 16]>,
    /// The message with its MIC zeroed, which the MIC is over.
    pub zeroed: Vec<u8>,
}

impl Authenticate {
    /// From the message's bytes; `None` when it is no Type 3, cut short, or its response is not NTLMv2.
    pub fn read(message: &[u8]) -> Option<Self> {
        if kind(message)? != 3 {
            return None;
        }
        let flags = number(message, 60)?;
        let text = |at| -> Option<String> {
            let bytes = payload(message, at)?;
            if flags & flags::UNICODE == 0 {
                return Some(String::from_utf8_lossy(bytes).into_owned());
            }
            let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
            Some(String::from_utf16_lossy(&units))
        };
        let (nt_proof, temp) = payload(message, 20)?.split_first_chunk::<16>()?;
        let av_pairs = AvPairs::decode(temp.get(28..)?);
        let mut zeroed = message.to_vec();
        let mut mic = None;
        if av_pairs.flag_bits() & 2 != 0 {
            mic = message.get(MIC_OFFSET..)?.first_chunk().copied();
            zeroed.get_mut(MIC_OFFSET..MIC_OFFSET + 16)?.fill(0);
        }
        Some(Self {
            flags,
            domain: text(28)?,
            user: text(36)?,
            nt_proof: *nt_proof,
            temp: temp.to_vec(),
            av_pairs,
            session_key: payload(message, 52)?.to_vec(),
            mic,
            zeroed,
        })
    }
}

fn number(message: &[u8], at: usize) -> Option<u32> {
    message.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn payload(message: &[u8], field: usize) -> Option<&[u8]> {
    let length = usize::from(u16::from_le_bytes(*message.get(field..)?.first_chunk()?));
    let offset = usize::try_from(number(message, field + 4)?).ok()?;
    message.get(offset..offset.checked_add(length)?)
}
