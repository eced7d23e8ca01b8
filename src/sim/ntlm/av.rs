//! AV_PAIRs (MS-NLMP section 2.2.2.1).

use super::utf16;
use crate::model::FileTime;

/// AvIds (MS-NLMP section 2.2.2.1).
pub mod id {
    /// MsvAvEOL.
    pub const EOL: u16 = 0;
    /// MsvAvNbComputerName.
    pub const NB_COMPUTER_NAME: u16 = 1;
    /// MsvAvNbDomainName.
    pub const NB_DOMAIN_NAME: u16 = 2;
    /// MsvAvDnsComputerName.
    pub const DNS_COMPUTER_NAME: u16 = 3;
    /// MsvAvDnsDomainName.
    pub const DNS_DOMAIN_NAME: u16 = 4;
    /// MsvAvDnsTreeName.
    pub const DNS_TREE_NAME: u16 = 5;
    /// MsvAvFlags.
    pub const FLAGS: u16 = 6;
    /// MsvAvTimestamp.
    pub const TIMESTAMP: u16 = 7;
    /// MsvAvSingleHost.
    pub const SINGLE_HOST: u16 = 8;
    /// MsvAvTargetName.
    pub const TARGET_NAME: u16 = 9;
    /// MsvAvChannelBindings.
    pub const CHANNEL_BINDINGS: u16 = 10;
}

/// A sequence of AV pairs, in the order of their adding; the end of the list is written by [`encode`](Self::encode).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AvPairs(pub Vec<(u16, Vec<u8>)>);

impl AvPairs {
    /// Adds a pair, or replaces the value of one that is there.
    #[must_use]
    pub fn with(mut self, id: u16, value: impl Into<Vec<u8>>) -> Self {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| *known == id) {
            Some((_, old)) => *old = value,
            None => self.0.push((id, value)),
        }
        self
    }

    /// Adds a pair of text; always UTF-16, whatever the flags say.
    #[must_use]
    pub fn text(self, id: u16, text: &str) -> Self {
        self.with(id, utf16(text))
    }

    /// Adds MsvAvTimestamp.
    #[must_use]
    pub fn timestamp(self, time: FileTime) -> Self {
        self.with(id::TIMESTAMP, time.0.to_le_bytes())
    }

    /// Adds MsvAvFlags.
    #[must_use]
    pub fn flags(self, flags: u32) -> Self {
        self.with(id::FLAGS, flags.to_le_bytes())
    }

    /// The value of a pair.
    pub fn get(&self, id: u16) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| *known == id).map(|(_, value)| value.as_slice())
    }

    /// MsvAvTimestamp, when it is there in full.
    pub fn time(&self) -> Option<FileTime> {
        let value = self.get(id::TIMESTAMP)?;
        Some(FileTime(u64::from_le_bytes(value.try_into().ok()?)))
    }

    /// MsvAvFlags; 0 when absent.
    pub fn flag_bits(&self) -> u32 {
        self.get(id::FLAGS).and_then(|value| value.try_into().ok()).map_or(0, u32::from_le_bytes)
    }

    /// The bytes, with MsvAvEOL at the end.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (id, value) in &self.0 {
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&super::message::length(value).to_le_bytes());
            out.extend_from_slice(value);
        }
        out.extend_from_slice(&[0; 4]);
        out
    }

    /// Reads pairs up to MsvAvEOL or the end of the bytes; what is cut off is left out.
    pub fn decode(mut bytes: &[u8]) -> Self {
        let mut pairs = Vec::new();
        while let Some((head, rest)) = bytes.split_first_chunk::<4>() {
            let id = u16::from_le_bytes([head[0], head[1]]);
            let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
            if id == id::EOL || rest.len() < length {
                break;
            }
            let (value, rest) = rest.split_at(length);
            pairs.push((id, value.to_vec()));
            bytes = rest;
        }
        Self(pairs)
    }
}
