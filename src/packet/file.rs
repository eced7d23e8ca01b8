//! Files of packets: classic pcap and pcapng.

use std::io::Read;

use crate::model::Stamp;

/// One packet of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Captured<'a> {
    /// Its number in the file, from 1, as Wireshark counts.
    pub number: u64,
    /// When it was captured.
    pub at: Stamp,
    /// LINKTYPE of the interface that it was captured on.
    pub link: u16,
    /// What was captured of it.
    pub bytes: &'a [u8],
    /// Its length on the wire; more than `bytes` where the snap length cut it.
    pub length: u32,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A packet.
    Packet(Captured<'a>),
    /// TLS secrets in the format of a key log (pcapng's Decryption Secrets Block).
    Secrets(&'a [u8]),
}

/// Why a file cannot be read (on), and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("damaged at byte {offset}, after {packets} packets: {why}")]
pub struct Damage {
    /// Bytes of the file before the place.
    pub offset: u64,
    /// Packets that were read before it.
    pub packets: u64,
    /// What was expected and what came.
    pub why: String,
}

/// Reads one file, packet by packet, in bounded memory.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
}

/// Whether a file that begins like this is a packet capture, of whatever kind authtap knows or only recognises.
pub fn is_capture(_first: &[u8]) -> bool {
    false
}

impl<R: Read> Reader<R> {
    /// Begins to read.
    pub fn new(input: R) -> Result<Self, Damage> {
        Ok(Self { input })
    }

    /// The next item; `None` at an orderly end.
    pub fn next(&mut self) -> Result<Option<Item<'_>>, Damage> {
        let _ = &mut self.input;
        Ok(None)
    }
}
