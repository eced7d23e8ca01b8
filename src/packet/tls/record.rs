//! TLS records of one direction (RFC 8446 section 5.1, "Record Layer").

use super::opener::Opener;

/// A record's first bytes.
pub(super) const HEADER: usize = 5;

/// TLS 1.2 allows so many bytes of a sealed fragment, TLS 1.3 a few less (RFC 5246 section 6.2.3).
const MOST: usize = 16_384 + 2048;

/// A handshake message may be so long: more than any chain of certificates or list of authorities that works.
pub(super) const MESSAGE: usize = 256 * 1024;

/// So many bytes may wait for what the other side must say first.
pub(super) const WAITING: usize = 64 * 1024;

/// What is kept of an empty buffer, so that many quiet connections cost little.
const KEPT: usize = 4096;

/// Types of records.
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;
pub(super) const HEARTBEAT: u8 = 24;

/// The header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: u8,
    pub(super) version: [u8; 2],
    length: u16,
}

impl Header {
    /// `None` when no record begins like this. Missing bytes are taken for good ones.
    fn read(bytes: &[u8]) -> Option<Self> {
        let byte = |at: usize, other: u8| bytes.get(at).copied().unwrap_or(other);
        let length = u16::from_be_bytes([byte(3, 0), byte(4, 0)]);
        let header = Self { kind: byte(0, HANDSHAKE), version: [byte(1, 3), byte(2, 1)], length };
        let known = (CHANGE_CIPHER_SPEC..=HEARTBEAT).contains(&header.kind) && header.version[0] == 3;
        (known && header.version[1] <= 4 && usize::from(length) <= MOST).then_some(header)
    }

    /// As they came.
    pub(super) const fn bytes(self) -> [u8; HEADER] {
        let [high, low] = self.length.to_be_bytes();
        [self.kind, self.version[0], self.version[1], high, low]
    }
}

/// Whether a stream that begins so is TLS's; `None` while too little of it has come.
pub(super) fn begins(first: &[u8]) -> Option<bool> {
    if version2(first) {
        return Some(true);
    }
    match Header::read(first.get(..HEADER).unwrap_or(first)) {
        None => Some(false),
        Some(_) if first.len() < HEADER => None,
        Some(header) => Some(header.length > 0 && header.kind != HEARTBEAT),
    }
}

/// A ClientHello in the format of SSL 2.0 (RFC 5246 appendix E.2).
pub(super) fn version2(first: &[u8]) -> bool {
    matches!(first, [0x80..=0xff, _, 1, 0 | 2 | 3, ..])
}

/// The next record of a buffer.
pub(super) enum Next {
    /// Not all of it has come.
    Part,
    /// Its header, and how many bytes follow it.
    Whole(Header, usize),
    /// Not a record.
    Damaged,
}

/// One direction.
#[derive(Default)]
pub(super) struct Direction {
    /// Bytes that came, from the record at `at` on not yet read.
    pub(super) buffer: Vec<u8>,
    pub(super) at: usize,
    /// The beginning of a handshake message whose end has not come.
    pub(super) messages: Vec<u8>,
    pub(super) opener: Option<Opener>,
    pub(super) phase: Phase,
    /// The next record needs to know what the other side says first.
    pub(super) waits: bool,
    /// Nothing of it is read any more: its keys are not known.
    pub(super) dark: bool,
    /// Its close_notify was seen.
    pub(super) ended: bool,
    /// Bytes of early data that were passed over.
    pub(super) passed_over: usize,
    /// A byte of it was seen.
    pub(super) begun: bool,
}

/// Which keys of TLS 1.3 a direction has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// None, and always in TLS up to 1.2.
    #[default]
    Plain,
    /// Those of the client's early data.
    Early,
    /// Those of the handshake. Records that they do not open were early data that the server refused.
    Refused,
    /// Those of the handshake.
    Handshake,
    /// Those of application data.
    Traffic,
}

impl Direction {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !(self.dark || self.ended) {
            self.begun |= !bytes.is_empty();
            self.buffer.extend_from_slice(bytes);
        }
    }

    pub(super) fn next(&self) -> Next {
        let bytes = self.buffer.get(self.at..).unwrap_or_default();
        match Header::read(bytes.get(..HEADER).unwrap_or(bytes)) {
            None => Next::Damaged,
            Some(_) if bytes.len() < HEADER => Next::Part,
            Some(header) if bytes.len() - HEADER < usize::from(header.length) => Next::Part,
            Some(header) => Next::Whole(header, header.length.into()),
        }
    }

    /// Forgets what was read; gives how many bytes are left.
    pub(super) fn compact(&mut self) -> usize {
        let left = self.buffer.len().saturating_sub(self.at);
        if left > 0 {
            self.buffer.drain(..self.at);
        } else if self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
        } else {
            self.buffer.clear();
        }
        self.at = 0;
        left
    }

    pub(super) const fn footprint(&self) -> usize {
        self.buffer.capacity() + self.messages.capacity()
    }

    /// Reads nothing of it any more.
    pub(super) fn darken(&mut self) {
        *self = Self { dark: true, ended: self.ended, begun: self.begun, ..Self::default() };
    }
}
