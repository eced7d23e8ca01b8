//! What a peer sent, taken apart without trust in any length.

/// The part of a message that is not read yet. Reading beyond its end gives `None`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// An unsigned number of `bytes` bytes, at most four.
    pub(super) fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A vector whose length stands before it in `bytes` bytes (RFC 8446 section 3.4, "Vectors").
    pub(super) fn vector(&mut self, bytes: usize) -> Option<Cursor<'a>> {
        let length = self.number(bytes)?;
        self.take(length).map(Cursor)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
