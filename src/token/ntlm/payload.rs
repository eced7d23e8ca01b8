//! The "Fields" structures that point into a message's payload (MS-NLMP section 2.2.1: Len, MaxLen, BufferOffset).

use super::super::bytes::{available, index, u16_le, u32_le};
use super::super::fault::Faults;

/// A buffer that a message points to. MaxLen is ignored, as the specification asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Buffer {
    /// Len.
    pub(super) length: usize,
    /// BufferOffset, from the start of the message.
    pub(super) offset: usize,
}

/// A message and where faults of it are told.
pub(super) struct Message<'a> {
    /// The whole message.
    pub(super) bytes: &'a [u8],
    /// Its offset in the decoded token.
    pub(super) base: usize,
    /// Length of the part that every message of this type has: no buffer may lie in it.
    pub(super) fixed: usize,
}

impl<'a> Message<'a> {
    /// The Fields structure at `at`; `None`, with a fault, when the message ends before it does.
    pub(super) fn fields(&self, at: usize, field: &str, faults: &mut Faults) -> Option<Buffer> {
        let length = u16_le(self.bytes, at);
        let offset = u32_le(self.bytes, at.saturating_add(4));
        if let (Some(length), Some(offset)) = (length, offset) {
            Some(Buffer { length: usize::from(length), offset: index(offset) })
        } else {
            faults.add(
                self.base.saturating_add(at),
                format!("{field}.fields"),
                "8 bytes",
                format!("{}", self.bytes.len().saturating_sub(at)),
            );
            None
        }
    }

    /// The bytes of a buffer, as far as they are in the message. A buffer that points into the fixed part is not read:
    /// what stands there is no payload, and may be the server's challenge.
    pub(super) fn read(&self, buffer: Buffer, field: &str, faults: &mut Faults) -> &'a [u8] {
        if buffer.length == 0 {
            return &[];
        }
        if buffer.offset < self.fixed {
            faults.add(
                self.base.saturating_add(buffer.offset),
                field,
                format!("a buffer behind the header's {} bytes", self.fixed),
                format!("one at {}, not read", buffer.offset),
            );
            return &[];
        }
        let bytes = available(self.bytes, buffer.offset, buffer.length);
        if bytes.len() < buffer.length {
            faults.add(
                self.base.saturating_add(buffer.offset),
                field,
                format!("{} bytes of payload", buffer.length),
                format!("{}", bytes.len()),
            );
        }
        bytes
    }

    /// As [`Self::read`], for a buffer that is to be shown: one that overlaps a secret buffer is not read.
    pub(super) fn read_shown(&self, buffer: Buffer, secrets: &[Buffer], field: &str, faults: &mut Faults) -> &'a [u8] {
        if secrets.iter().any(|secret| buffer.overlaps(*secret)) {
            faults.add(
                self.base.saturating_add(buffer.offset),
                field,
                "a buffer of its own",
                "one that shares bytes with a response or key, not read",
            );
            return &[];
        }
        self.read(buffer, field, faults)
    }

    /// Where the header ends: at the first payload byte, or at the end of a message without payload. Optional fields
    /// are there only as far as it reaches.
    pub(super) fn header_end(&self, buffers: &[Option<Buffer>]) -> usize {
        buffers
            .iter()
            .flatten()
            .filter(|buffer| buffer.length > 0)
            .map(|buffer| buffer.offset)
            .min()
            .unwrap_or(self.bytes.len())
    }
}

impl Buffer {
    /// Whether the two share a byte.
    fn overlaps(self, other: Self) -> bool {
        self.length > 0
            && other.length > 0
            && self.offset < other.offset.saturating_add(other.length)
            && other.offset < self.offset.saturating_add(self.length)
    }
}
