//! Classic capture files (draft-ietf-opsawg-pcap): a header of 24 bytes, then packets with a header each.
//!
//! The headers are fixed structures and read here: a parser that takes a packet whole believes its length before
//! anybody could doubt it.

use std::io::Read;

use super::buffer::Buffer;
use super::magic::Shape;
use super::{Count, Found, MOST};
use crate::model::Stamp;

/// More than this is captured of no packet (MAXIMUM_SNAPLEN of libpcap), unless the file says so.
const SNAP: u32 = 256 * 1024;

/// A classic capture file behind its header.
#[derive(Debug)]
pub(super) struct Classic {
    shape: Shape,
    link: u16,
    /// The largest captured length that makes sense.
    most: u32,
}

impl Classic {
    /// Reads the file's header.
    pub(super) fn new<R: Read>(shape: Shape, buffer: &mut Buffer<R>) -> Result<Self, String> {
        let have = buffer.fill(24)?;
        if have < 24 {
            return Err(format!("the header of a pcap file has 24 bytes, and the file ends after {have}"));
        }
        let bytes = buffer.bytes();
        let (major, minor) = (shape.order.u16(bytes, 4), shape.order.u16(bytes, 6));
        if major != 2 {
            return Err(format!("version 2.4 of a pcap file was expected, and {major}.{minor} came"));
        }
        let snap = shape.order.u32(bytes, 16);
        let most = if snap as usize <= MOST { snap.max(SNAP) } else { SNAP };
        // The upper half tells whether frames end with a checksum, and how long it is.
        let link = (shape.order.u32(bytes, 20) & 0xffff) as u16;
        buffer.pass(24);
        Ok(Self { shape, link, most })
    }

    /// The next packet. The error is damage where the buffer stands.
    pub(super) fn next<R: Read>(&self, buffer: &mut Buffer<R>, count: &mut Count) -> Result<Option<Found>, String> {
        let header = self.shape.header;
        let have = buffer.fill(header)?;
        if have == 0 {
            return Ok(None);
        }
        if have < header {
            return Err(format!("the header of a packet has {header} bytes, and the file ends after {have}"));
        }
        let bytes = buffer.bytes();
        let [second, fraction, captured, original] = [0, 4, 8, 12].map(|at| self.shape.order.u32(bytes, at));
        if captured > self.most {
            let most = self.most;
            return Err(format!("a packet claims {captured} captured bytes, and more than {most} make no sense"));
        }
        let (per_second, per_micro) = if self.shape.nanoseconds { (1_000_000_000, 1000) } else { (1_000_000, 1) };
        // One alone is the habit of some program: the times or the lengths go on making sense.
        let late = (fraction >= per_second).then(|| format!("{fraction} parts of a second that has {per_second}"));
        let long = (captured > original).then(|| format!("{captured} bytes captured of a packet of {original}"));
        match (late, long) {
            (Some(late), Some(long)) => return Err(format!("a packet's header makes no sense: {late}, {long}")),
            (Some(why), None) | (None, Some(why)) => count.odd(buffer.offset(), || why),
            (None, None) => {}
        }
        let length = captured as usize;
        let have = buffer.fill(header + length)? - header;
        if have < length {
            return Err(format!("a packet has {length} captured bytes, and the file ends after {have} of them"));
        }
        buffer.pass(header);
        let bytes = buffer.pass(length);
        count.packets += 1;
        let at = Stamp(i64::from(second) * 1_000_000 + i64::from(fraction / per_micro));
        count.at = at;
        Ok(Some(Found::Packet { at, link: self.link, bytes, length: original.max(captured) }))
    }
}
