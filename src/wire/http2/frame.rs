//! Frames of one direction across cuts (RFC 9113 section 4). What matters is collected whole; a body's content is shown
//! where it lies; the rest only passes.

use crate::model::Stamp;
use crate::wire::http1::direction::{Fault, wide};
use crate::wire::http1::reader::Side;
use crate::wire::http1::{MAX_HEAD, Pool};

/// What a client sends first (RFC 9113 section 3.4).
pub(in crate::wire) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Length of a frame's header.
const HEADER: usize = 9;

/// Frame types (RFC 9113 section 6).
pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 0;
    pub(in super::super) const HEADERS: u8 = 1;
    pub(in super::super) const RST_STREAM: u8 = 3;
    pub(in super::super) const SETTINGS: u8 = 4;
    pub(in super::super) const PUSH_PROMISE: u8 = 5;
    pub(in super::super) const PING: u8 = 6;
    pub(in super::super) const GOAWAY: u8 = 7;
    pub(in super::super) const CONTINUATION: u8 = 9;
}

/// Flags.
pub(super) mod flag {
    /// Of SETTINGS and PING.
    pub(in super::super) const ACK: u8 = 1;
    pub(in super::super) const END_STREAM: u8 = 1;
    pub(in super::super) const END_HEADERS: u8 = 4;
    pub(in super::super) const PADDED: u8 = 8;
    pub(in super::super) const PRIORITY: u8 = 32;
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) length: usize,
}

impl Frame {
    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn parse(header: [u8; HEADER]) -> Self {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = header;
        Self {
            kind,
            flags,
            // The highest bit is reserved, and ignored.
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
            length: usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX),
        }
    }
}

/// What a slice brought.
pub(super) enum Read<'a> {
    /// It is used up.
    More,
    /// A whole frame of those that are collected.
    Whole(Frame, Payload<'a>),
    /// Content of a stream's body.
    Content(u32, &'a [u8]),
    /// A DATA frame has ended.
    DataEnd(Frame),
    /// A frame that nobody needs, or a part of one, passed.
    Passed,
}

/// A frame's payload.
pub(super) enum Payload<'a> {
    /// In the slice.
    Slice(&'a [u8]),
    /// It was cut.
    Buffer(Vec<u8>),
}

impl Payload<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Slice(s) => s,
            Self::Buffer(b) => b,
        }
    }

    pub(super) fn done(self, pool: &mut Pool) {
        if let Self::Buffer(b) = self {
            pool.give(b);
        }
    }
}

/// One direction's frames.
///
/// INVARIANT: what it says depends on the bytes and not on their cuts: a fault is told at the end of a frame's header,
/// at the end of a collected frame, or at the byte of DATA that proves it.
pub(super) struct Reader {
    /// Bytes before the slice at hand.
    offset: u64,
    /// Where the frame at hand began, and when.
    pub(super) start: u64,
    pub(super) at: Stamp,
    state: State,
    buffer: Vec<u8>,
    /// The first frame has come.
    begun: bool,
    /// The stream whose header block goes on in the next frame.
    pub(super) open_block: Option<u32>,
    /// Bytes of that block so far.
    pub(super) block_length: usize,
}

enum State {
    /// So much of the preface has come.
    Preface(usize),
    Header([u8; HEADER], usize),
    Collect(Frame),
    /// What is left of the payload and of its padding; `None` before the padding's length is known.
    Data(Frame, usize, Option<usize>),
    Skip(usize),
}

const NEW: State = State::Header([0; HEADER], 0);

impl Reader {
    /// Memory that it takes, in bytes.
    pub(super) const fn footprint(&self) -> usize {
        self.buffer.capacity()
    }

    pub(super) const fn new(side: Side) -> Self {
        Self {
            offset: 0,
            start: 0,
            at: Stamp(0),
            state: match side {
                Side::Client => State::Preface(0),
                Side::Upstream => NEW,
            },
            buffer: Vec::new(),
            begun: false,
            open_block: None,
            block_length: 0,
        }
    }

    /// Whether no frame and no header block is under way.
    pub(super) const fn idle(&self) -> bool {
        matches!(self.state, State::Header(_, 0) | State::Preface(0)) && self.open_block.is_none()
    }

    pub(super) fn release(&mut self, pool: &mut Pool) {
        pool.give(std::mem::take(&mut self.buffer));
    }

    /// A fault of the frame at hand.
    pub(super) fn fault(&self, side: Side, why: &str) -> Fault {
        Fault { side, offset: self.start, why: why.to_owned() }
    }

    fn pass<'a>(&mut self, bytes: &'a [u8], length: usize) -> (&'a [u8], &'a [u8]) {
        let (passed, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
        self.offset = self.offset.saturating_add(wide(passed.len()));
        (passed, rest)
    }

    /// Goes on through `bytes`: what they brought, and what is left of them.
    pub(super) fn read<'a>(
        &mut self,
        side: Side,
        at: Stamp,
        bytes: &'a [u8],
        pool: &mut Pool,
    ) -> Result<(Read<'a>, &'a [u8]), Fault> {
        let mut bytes = bytes;
        if let State::Preface(seen) = self.state {
            bytes = self.preface(side, seen, bytes)?;
        }
        if let State::Header(mut header, seen) = self.state {
            if bytes.is_empty() {
                return Ok((Read::More, bytes));
            }
            if seen == 0 {
                (self.start, self.at) = (self.offset, at);
            }
            let (part, rest) = self.pass(bytes, HEADER.saturating_sub(seen));
            for (to, from) in header.iter_mut().skip(seen).zip(part) {
                *to = *from;
            }
            let seen = seen.saturating_add(part.len());
            if seen < HEADER {
                self.state = State::Header(header, seen);
                return Ok((Read::More, rest));
            }
            bytes = rest;
            let frame = Frame::parse(header);
            self.check(&frame).map_err(|why| self.fault(side, why))?;
            self.begun = true;
            self.state = match frame.kind {
                kind::DATA if frame.has(flag::PADDED) => State::Data(frame, frame.length, None),
                kind::DATA => State::Data(frame, frame.length, Some(0)),
                kind::HEADERS
                | kind::RST_STREAM
                | kind::SETTINGS
                | kind::PUSH_PROMISE
                | kind::GOAWAY
                | kind::CONTINUATION => State::Collect(frame),
                _ => State::Skip(frame.length),
            };
        }
        self.payload(side, bytes, pool)
    }

    fn preface<'a>(&mut self, side: Side, seen: usize, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let wanted = PREFACE.get(seen..).unwrap_or_default();
        let (part, rest) = self.pass(bytes, wanted.len());
        if !wanted.starts_with(part) {
            return Err(self.fault(side, "expected HTTP/2's connection preface, got other bytes"));
        }
        let seen = seen.saturating_add(part.len());
        self.state = if seen == PREFACE.len() { NEW } else { State::Preface(seen) };
        Ok(rest)
    }

    fn payload<'a>(&mut self, side: Side, bytes: &'a [u8], pool: &mut Pool) -> Result<(Read<'a>, &'a [u8]), Fault> {
        match self.state {
            State::Preface(_) | State::Header(..) => Ok((Read::More, bytes)),
            State::Skip(left) if left > 0 && bytes.is_empty() => Ok((Read::More, bytes)),
            State::Skip(left) => {
                let (part, rest) = self.pass(bytes, left);
                let left = left.saturating_sub(part.len());
                self.state = if left == 0 { NEW } else { State::Skip(left) };
                Ok((Read::Passed, rest))
            }
            State::Collect(frame) => {
                let missing = frame.length.saturating_sub(self.buffer.len());
                let (part, rest) = self.pass(bytes, missing);
                if part.len() < missing {
                    if self.buffer.capacity() == 0 {
                        self.buffer = pool.take();
                    }
                    self.buffer.extend_from_slice(part);
                    return Ok((Read::More, rest));
                }
                self.state = NEW;
                if self.buffer.is_empty() {
                    return Ok((Read::Whole(frame, Payload::Slice(part)), rest));
                }
                self.buffer.extend_from_slice(part);
                Ok((Read::Whole(frame, Payload::Buffer(std::mem::take(&mut self.buffer))), rest))
            }
            State::Data(frame, left, None) => {
                let Some((padding, rest)) = bytes.split_first() else {
                    return Ok((Read::More, bytes));
                };
                self.pass(bytes, 1);
                let (left, padding) = (left.saturating_sub(1), usize::from(*padding));
                if padding > left {
                    return Err(self.fault(side, "expected padding within its frame, got more of it"));
                }
                self.state = State::Data(frame, left, Some(padding));
                Ok((Read::Passed, rest))
            }
            State::Data(frame, left, Some(padding)) => Ok(self.data(frame, left, padding, bytes)),
        }
    }

    fn data<'a>(&mut self, frame: Frame, left: usize, padding: usize, bytes: &'a [u8]) -> (Read<'a>, &'a [u8]) {
        if left == 0 {
            self.state = NEW;
            return (Read::DataEnd(frame), bytes);
        }
        if bytes.is_empty() {
            return (Read::More, bytes);
        }
        let content = left.saturating_sub(padding);
        let (part, rest) = self.pass(bytes, if content == 0 { left } else { content });
        self.state = State::Data(frame, left.saturating_sub(part.len()), Some(padding));
        (if content == 0 { Read::Passed } else { Read::Content(frame.stream, part) }, rest)
    }

    /// Whether a frame may come here. What is wrong for one stream alone is the peers' business; what is wrong for the
    /// connection means that these are no frames, or that we lost the place.
    fn check(&self, frame: &Frame) -> Result<(), &'static str> {
        if !self.begun && (frame.kind != kind::SETTINGS || frame.has(flag::ACK)) {
            return Err("expected SETTINGS as HTTP/2's first frame, got something else");
        }
        match (self.open_block, frame.kind) {
            (Some(stream), kind::CONTINUATION) if stream == frame.stream => {}
            (Some(_), _) => return Err("expected CONTINUATION of an open header block, got another frame"),
            (None, kind::CONTINUATION) => return Err("expected a header block before CONTINUATION, got none"),
            (None, _) => {}
        }
        let of_connection = matches!(frame.kind, kind::SETTINGS | kind::PING | kind::GOAWAY);
        let of_stream = matches!(
            frame.kind,
            kind::DATA | kind::HEADERS | kind::RST_STREAM | kind::PUSH_PROMISE | kind::CONTINUATION
        );
        if of_connection && frame.stream != 0 {
            return Err("expected a frame of the connection, got one of a stream");
        }
        if of_stream && frame.stream == 0 {
            return Err("expected a frame of a stream, got one of the connection");
        }
        let fits = match frame.kind {
            kind::DATA if frame.has(flag::PADDED) => frame.length >= 1,
            kind::RST_STREAM => frame.length == 4,
            kind::SETTINGS => frame.length.is_multiple_of(6) && frame.length <= MAX_HEAD,
            kind::GOAWAY => frame.length >= 8 && frame.length <= MAX_HEAD,
            kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION => {
                if self.block_length.saturating_add(frame.length) > MAX_HEAD {
                    return Err("expected a header block of at most 256 KiB, got a larger one");
                }
                true
            }
            _ => true,
        };
        if fits { Ok(()) } else { Err("expected a frame as long as its kind wants, got another length") }
    }
}
