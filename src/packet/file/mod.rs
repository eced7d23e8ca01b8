//! Files of packets: classic pcap and pcapng, also packed with gzip.
//!
//! What is readable is given, up to the first place where the file cannot be followed: that is a [`Damage`], with what
//! was expected there. Memory is bounded by the largest record that makes sense, whatever a file claims.

mod buffer;
mod classic;
mod clock;
mod magic;
mod pcapng;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::ops::Range;

use self::buffer::Buffer;
use self::classic::Classic;
use self::magic::Kind;
use self::pcapng::Pcapng;
use crate::model::Stamp;

/// So much of a file's beginning tells what it is.
pub const FIRST: usize = 1024;

/// No record of a file is longer, or it lies; Wireshark's limit for a block of a pcapng.
const MOST: usize = 16 * 1024 * 1024;

/// No LINKTYPE: that of the packets which authtap made itself.
pub(super) const OWN: u16 = u16::MAX - 1;

/// One packet of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Captured<'a> {
    /// Its number in the file, from 1, as Wireshark counts.
    pub number: u64,
    /// When it was captured. A packet without a time, or with one that is no date, has that of the packet before it.
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
    /// Bytes of the file before the place; of what was packed, where the file is packed.
    pub offset: u64,
    /// Packets that were read before it.
    pub packets: u64,
    /// What was expected and what came.
    pub why: String,
}

/// An [`Item`] by its place in the buffer.
enum Found {
    Packet { at: Stamp, link: u16, bytes: Range<usize>, length: u32 },
    Secrets(Range<usize>),
}

#[derive(Debug)]
enum Format {
    Classic(Classic),
    Pcapng(Pcapng),
}

/// What is counted while a file is read.
#[derive(Debug, Default)]
struct Count {
    packets: u64,
    odd: u64,
    first_odd: Option<Damage>,
    /// The last packet's time.
    at: Stamp,
}

impl Count {
    /// A record that can be skipped but does not make sense.
    fn odd(&mut self, offset: u64, why: impl FnOnce() -> String) {
        self.odd += 1;
        if self.first_odd.is_none() {
            self.first_odd = Some(Damage { offset, packets: self.packets, why: why() });
        }
    }
}

/// Reads one file, packet by packet, in bounded memory.
#[derive(Debug)]
pub struct Reader<R> {
    buffer: Buffer<R>,
    format: Format,
    count: Count,
    damage: Option<Damage>,
}

/// Whether a file that begins like this ([`FIRST`] bytes, or the whole file) is a packet capture, of whatever kind authtap
/// knows or only recognises.
pub fn is_capture(first: &[u8]) -> bool {
    match magic::kind(first) {
        Kind::Gzip => magic::kind(&buffer::unpacked(first)).is_capture(),
        kind => kind.is_capture(),
    }
}

/// What a file that begins like this ([`FIRST`] bytes, or the whole file) is and what helps, where it is known to be
/// something that authtap does not read.
pub fn foreign(first: &[u8]) -> Option<String> {
    let looks = |kind: Kind| match kind {
        Kind::Foreign(what, advice) => Some(format!("this looks like {what}: {advice}")),
        Kind::Other(what) => Some(format!("this looks like {what}")),
        Kind::Classic(_) | Kind::Pcapng | Kind::Gzip | Kind::Unknown => None,
    };
    match magic::kind(first) {
        Kind::Gzip => looks(magic::kind(&buffer::unpacked(first))),
        kind => looks(kind),
    }
}

impl<R: Read> Reader<R> {
    /// Begins to read. The error says what the file looks like, where that is known.
    pub fn new(input: R) -> Result<Self, Damage> {
        Self::reading(input, buffer::SIZE)
    }

    /// The same, with another number of bytes that are read at once.
    pub fn reading(input: R, size: usize) -> Result<Self, Damage> {
        let damage = |why| Damage { offset: 0, packets: 0, why };
        // What a file that fails early holds before that is good.
        let begin = |buffer: &mut Buffer<R>| match buffer.fill(FIRST) {
            Err(why) if buffer.bytes().is_empty() => Err(damage(why)),
            _ => Ok(()),
        };
        let mut buffer = Buffer::new(input, size);
        begin(&mut buffer)?;
        if matches!(magic::kind(buffer.bytes()), Kind::Gzip) {
            buffer = buffer.unpack();
            begin(&mut buffer)?;
        }
        let format = match magic::kind(buffer.bytes()) {
            Kind::Classic(shape) => Format::Classic(Classic::new(shape, &mut buffer).map_err(damage)?),
            Kind::Pcapng => Format::Pcapng(Pcapng::default()),
            kind => return Err(damage(magic::refusal(kind, buffer.bytes()))),
        };
        Ok(Self { buffer, format, count: Count::default(), damage: None })
    }

    /// The next item; `None` at an orderly end. After damage nothing follows but the same damage.
    #[expect(clippy::should_implement_trait, reason = "an item borrows the reader's buffer, which no Iterator can say")]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, Damage> {
        if let Some(damage) = &self.damage {
            return Err(damage.clone());
        }
        let found = match &mut self.format {
            Format::Classic(classic) => classic.next(&mut self.buffer, &mut self.count),
            Format::Pcapng(pcapng) => pcapng.next(&mut self.buffer, &mut self.count),
        };
        match found {
            Ok(None) => Ok(None),
            Ok(Some(Found::Packet { at, link, bytes, length })) => {
                let bytes = self.buffer.slice(bytes);
                Ok(Some(Item::Packet(Captured { number: self.count.packets, at, link, bytes, length })))
            }
            Ok(Some(Found::Secrets(bytes))) => Ok(Some(Item::Secrets(self.buffer.slice(bytes)))),
            Err(why) => {
                let damage = Damage { offset: self.buffer.offset(), packets: self.count.packets, why };
                self.damage = Some(damage.clone());
                Err(damage)
            }
        }
    }

    /// Records so far that do not make sense and were passed over, or times that do not and were replaced. They count as
    /// packets where Wireshark would count them.
    pub fn odd(&self) -> u64 {
        self.count.odd
    }

    /// The first of them.
    pub fn first_odd(&self) -> Option<&Damage> {
        self.count.first_odd.as_ref()
    }

    /// Packets so far.
    pub fn packets(&self) -> u64 {
        self.count.packets
    }

    /// Bytes of the file before the next record.
    pub fn offset(&self) -> u64 {
        self.buffer.offset()
    }
}
