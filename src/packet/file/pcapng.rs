//! pcapng (draft-ietf-opsawg-pcapng): sections of blocks, each with its length before and behind.
//!
//! pcap-parser reads the blocks that have options authtap wants. Those that hold packets are read here: it would make a
//! list of options for each, and knows neither the obsolete Packet Block nor where the bytes of a broken one end.

use std::io::Read;

use pcap_parser::pcapng::{
    DecryptionSecretsBlock, InterfaceDescriptionBlock, OptionCode, SecretsType, parse_decryptionsecretsblock_be,
    parse_decryptionsecretsblock_le, parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le,
    parse_sectionheaderblock,
};

use super::buffer::Buffer;
use super::clock::{Clock, Order};
use super::{Count, Found, MOST, OWN};
use crate::model::frame::OWN_INTERFACE;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE: u32 = 2;
const SIMPLE: u32 = 3;
const ENHANCED: u32 = 6;
const SECRETS: u32 = 0xa;
/// Blocks that hold no packets and that Wireshark shows as frames all the same: journal entries of systemd, events of
/// Sysdig (three versions), custom blocks (two kinds).
const FRAMES: [u32; 6] = [0x9, 0x204, 0x216, 0x221, 0xbad, 0x4000_0bad];

/// A section header or an interface's description is not longer, or it lies: their options are kept in a list.
const OPTIONS: usize = 1024 * 1024;
/// More interfaces of a section are not remembered.
const INTERFACES: usize = 64 * 1024;
/// No LINKTYPE: that of an interface whose description cannot be read.
const NO_LINK: u16 = u16::MAX;

#[derive(Debug, Clone, Copy)]
struct Interface {
    link: u16,
    /// Zero: nothing is cut.
    snap: u32,
    clock: Clock,
}

/// A pcapng file.
#[derive(Debug, Default)]
pub(super) struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
}

impl Pcapng {
    /// The next packet or secrets. The error is damage where the buffer stands.
    pub(super) fn next<R: Read>(&mut self, buffer: &mut Buffer<R>, count: &mut Count) -> Result<Option<Found>, String> {
        loop {
            let have = buffer.fill(12)?;
            if have == 0 {
                return Ok(None);
            }
            if have < 12 {
                return Err(format!("a block has 12 bytes at least, and the file ends after {have}"));
            }
            let (kind, length) = self.head(buffer.bytes())?;
            let have = buffer.fill(length)?;
            if have < length {
                return Err(format!("a block has {length} bytes, and the file ends after {have} of them"));
            }
            let block = buffer.bytes().get(..length).unwrap_or_default();
            let again = self.order.u32(block, length - 4);
            if again as usize != length {
                return Err(format!("a block's length is {length} at its beginning and {again} at its end"));
            }
            let found = match kind {
                SECTION => self.section(block).map(|()| None)?,
                INTERFACE => {
                    self.interface(block, buffer.offset(), count);
                    None
                }
                ENHANCED | OBSOLETE | SIMPLE => self.packet(kind, block, buffer.offset(), count),
                SECRETS => self.secrets(block, buffer.offset(), count),
                kind => {
                    count.packets += u64::from(FRAMES.contains(&kind));
                    None
                }
            };
            let passed = buffer.pass(length);
            match found {
                None => {}
                Some(Found::Packet { at, link, bytes, length }) => {
                    let bytes = passed.start + bytes.start..passed.start + bytes.end;
                    return Ok(Some(Found::Packet { at, link, bytes, length }));
                }
                Some(Found::Secrets(bytes)) => {
                    return Ok(Some(Found::Secrets(passed.start + bytes.start..passed.start + bytes.end)));
                }
            }
        }
    }

    /// A block's type and length. A section header's byte order is that of what follows, and told by itself.
    fn head(&mut self, bytes: &[u8]) -> Result<(u32, usize), String> {
        let kind = self.order.u32(bytes, 0);
        if kind == SECTION {
            self.order = match bytes.get(8..12) {
                Some([0x4d, 0x3c, 0x2b, 0x1a]) => Order::Little,
                Some([0x1a, 0x2b, 0x3c, 0x4d]) => Order::Big,
                _ => return Err("a section's byte-order magic 1a2b3c4d was expected".to_owned()),
            };
        }
        let length = self.order.u32(bytes, 4);
        let size = length as usize;
        if size < 12 || !size.is_multiple_of(4) {
            return Err(format!("a block's length is {length}; a multiple of 4, of at least 12, was expected"));
        }
        if size > MOST {
            return Err(format!("a block claims {length} bytes, and more than {MOST} make no sense"));
        }
        if size > OPTIONS && matches!(kind, SECTION | INTERFACE) {
            return Err(format!("a header claims {length} bytes, and more than {OPTIONS} make no sense"));
        }
        Ok((kind, size))
    }

    /// Section 4.1: forgets the interfaces of the section before.
    fn section(&mut self, block: &[u8]) -> Result<(), String> {
        self.interfaces.clear();
        match parse_sectionheaderblock(block) {
            Ok((_, header)) if header.major_version == 1 => Ok(()),
            Ok((_, header)) => {
                let (major, minor) = (header.major_version, header.minor_version);
                Err(format!("version 1.0 of pcapng was expected, and {major}.{minor} came"))
            }
            Err(_) => Err("a section's header was expected, and it is too short".to_owned()),
        }
    }

    /// Section 4.2. One that cannot be read still has its number.
    fn interface(&mut self, block: &[u8], offset: u64, count: &mut Count) {
        if self.interfaces.len() >= INTERFACES {
            count.odd(offset, || format!("more than {INTERFACES} interfaces in a section"));
            return;
        }
        let parsed = match self.order {
            Order::Little => parse_interfacedescriptionblock_le(block),
            Order::Big => parse_interfacedescriptionblock_be(block),
        };
        let interface = if let Ok((_, description)) = parsed {
            let clock = self.clock(&description).unwrap_or_else(|| {
                count.odd(offset, || "an interface counts time in parts that nobody has".to_owned());
                Clock::default()
            });
            let own = matches!(description.if_name(), Some(Ok(OWN_INTERFACE)));
            let link = if own { OWN } else { u16::try_from(description.linktype.0).unwrap_or(NO_LINK) };
            Interface { link, snap: description.snaplen, clock }
        } else {
            count.odd(offset, || "an interface's description cannot be read".to_owned());
            Interface { link: NO_LINK, snap: 0, clock: Clock::default() }
        };
        self.interfaces.push(interface);
    }

    /// The parser's own reading of these two options knows no powers of two and one byte order only.
    fn clock(&self, description: &InterfaceDescriptionBlock<'_>) -> Option<Clock> {
        let (mut resolution, mut offset) = (6, 0);
        for option in description.options.iter().take_while(|option| option.code != OptionCode::EndOfOpt) {
            match (option.code, option.as_bytes()) {
                (OptionCode::IfTsresol, Ok([value])) => resolution = *value,
                (OptionCode::IfTsoffset, Ok(value)) => offset = self.order.i64(value)?,
                _ => {}
            }
        }
        Clock::new(resolution, offset)
    }

    /// Sections 4.3, 4.4 and appendix A: a packet counts also where it cannot be read.
    fn packet(&self, kind: u32, block: &[u8], offset: u64, count: &mut Count) -> Option<Found> {
        let order = self.order;
        // Where the packet begins, and how many bytes there are for it and for options.
        let head = if kind == SIMPLE { 12 } else { 28 };
        let Some(room) = block.len().checked_sub(head + 4) else {
            count.odd(offset, || format!("a packet's block has {} bytes", block.len()));
            count.packets += 1;
            return None;
        };
        let number = match kind {
            SIMPLE => 0,
            ENHANCED => order.u32(block, 8),
            _ => u32::from(order.u16(block, 8)),
        };
        let Some(interface) = self.interfaces.get(number as usize) else {
            count.odd(offset, || {
                format!("a packet of interface {number}, and the section has {}", self.interfaces.len())
            });
            count.packets += 1;
            return None;
        };
        let (captured, original) = if kind == SIMPLE {
            let original = order.u32(block, 8);
            let snap = if interface.snap == 0 { u32::MAX } else { interface.snap };
            (room.min(original as usize).min(snap as usize), original)
        } else {
            (order.u32(block, 20) as usize, order.u32(block, 24))
        };
        if captured > room {
            count.odd(offset, || format!("a packet of {captured} captured bytes in a block with room for {room}"));
            count.packets += 1;
            return None;
        }
        if kind != SIMPLE {
            let units = u64::from(order.u32(block, 12)) << 32 | u64::from(order.u32(block, 16));
            match interface.clock.stamp(units) {
                Some(at) => count.at = at,
                None => count.odd(offset, || format!("a packet's time is {units}, which is no date")),
            }
        }
        count.packets += 1;
        let length = original.max(u32::try_from(captured).unwrap_or(u32::MAX));
        Some(Found::Packet { at: count.at, link: interface.link, bytes: head..head + captured, length })
    }

    /// Section 4.7: those of TLS; others are passed over.
    fn secrets(&self, block: &[u8], offset: u64, count: &mut Count) -> Option<Found> {
        let parsed = match self.order {
            Order::Little => parse_decryptionsecretsblock_le(block),
            Order::Big => parse_decryptionsecretsblock_be(block),
        };
        match parsed {
            Ok((_, DecryptionSecretsBlock { secrets_type: SecretsType::TlsKeyLog, secrets_len, .. })) => {
                let length = usize::try_from(secrets_len).ok()?;
                Some(Found::Secrets(16..16 + length))
            }
            Ok(_) => None,
            Err(_) => {
                count.odd(offset, || "a block of secrets cannot be read".to_owned());
                None
            }
        }
    }
}
