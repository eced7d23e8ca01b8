//! Collects a head across cuts. A head that lies whole in one slice is not copied.

use super::direction::signed;
use super::head::{RequestHead, ResponseHead, is_token_char};
use super::scan::{Place, find};
use super::{MAX_HEAD, Pool};

/// Whose heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) enum Side {
    Client,
    Upstream,
}

impl Side {
    /// As `Out::unparsable` names it.
    pub(in crate::wire) const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
        }
    }
}

/// A head in the making.
///
/// INVARIANT: what it says depends on the bytes alone and not on their cuts. A fault is told at the first byte that
/// proves it: the first byte of a message, the end of its first line, the end of its head, or the limit.
#[derive(Debug, Default)]
pub(super) struct Reader {
    buffer: Vec<u8>,
    stage: Stage,
    /// Empty lines came before.
    blank: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    /// Before the first byte; empty lines are skipped (RFC 9112 section 2.2).
    #[default]
    Before,
    /// After a CR there.
    BeforeCr,
    FirstLine,
    Fields(Place),
}

/// What a slice did to a head.
pub(super) enum Read<'a> {
    /// The slice is used up.
    More,
    /// A head, and what follows it.
    Head(Head<'a>, &'a [u8]),
    /// Not a head: how far the message's first byte lies behind the slice's start (negative: before), and why.
    Fault(i64, String),
}

/// A whole head, where it lies.
pub(super) enum Head<'a> {
    /// In the slice.
    Slice(&'a [u8]),
    /// It was cut.
    Buffer(Vec<u8>),
}

impl Head<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Slice(s) => s,
            Self::Buffer(b) => b,
        }
    }

    /// Into a buffer of the pool.
    pub(super) fn keep(self, pool: &mut Pool) -> Vec<u8> {
        match self {
            Self::Slice(s) => {
                let mut buffer = pool.take();
                buffer.extend_from_slice(s);
                buffer
            }
            Self::Buffer(b) => b,
        }
    }

    /// No longer needed.
    pub(super) fn done(self, pool: &mut Pool) {
        if let Self::Buffer(b) = self {
            pool.give(b);
        }
    }
}

impl Reader {
    /// Whether no byte of a head has come.
    pub(super) const fn idle(&self) -> bool {
        matches!(self.stage, Stage::Before | Stage::BeforeCr)
    }

    /// Memory that it takes, in bytes.
    pub(super) const fn footprint(&self) -> usize {
        self.buffer.capacity()
    }

    /// What has come of a head whose first line is whole.
    pub(super) fn partial(&self) -> Option<&[u8]> {
        matches!(self.stage, Stage::Fields(_)).then_some(self.buffer.as_slice())
    }

    /// The buffer, for another use or for the pool.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(self).buffer
    }

    /// Goes on through `bytes`.
    pub(super) fn read<'a>(&mut self, side: Side, bytes: &'a [u8], pool: &mut Pool) -> Read<'a> {
        let mut rest = bytes;
        if self.idle() {
            match self.skip_empty_lines(side, bytes) {
                Ok([]) => return Read::More,
                Ok(after) => rest = after,
                Err((at, why)) => return Read::Fault(signed(at), why.to_owned()),
            }
        }
        let skipped = bytes.len().saturating_sub(rest.len());
        let start = signed(skipped).saturating_sub(signed(self.buffer.len()));
        if self.stage == Stage::FirstLine {
            let room = MAX_HEAD.saturating_sub(self.buffer.len());
            let Some(lf) = find(b'\n', rest.get(..room).unwrap_or(rest)) else {
                return self.hold(rest, start, pool);
            };
            let (line, after) = rest.split_at(lf.saturating_add(1).min(rest.len()));
            let checked = if self.buffer.is_empty() {
                first_line(side, line)
            } else {
                self.buffer.extend_from_slice(line);
                rest = after;
                first_line(side, &self.buffer)
            };
            if let Err(why) = checked {
                return Read::Fault(start, why.to_owned());
            }
            self.stage = Stage::Fields(Place::LineStart);
            if self.buffer.is_empty() {
                return self.fields(rest, line.len(), start, pool);
            }
        }
        self.fields(rest, 0, start, pool)
    }

    /// The lines after the first; `before` bytes of `bytes` are already looked at.
    fn fields<'a>(&mut self, bytes: &'a [u8], before: usize, start: i64, pool: &mut Pool) -> Read<'a> {
        let room = MAX_HEAD.saturating_sub(self.buffer.len());
        let window = bytes.get(..room).unwrap_or(bytes);
        let Stage::Fields(place) = &mut self.stage else {
            return self.hold(bytes, start, pool);
        };
        let Some(end) = place.find_empty_line(window.get(before..).unwrap_or_default()) else {
            return self.hold(bytes, start, pool);
        };
        let (head, rest) = bytes.split_at(before.saturating_add(end).min(bytes.len()));
        let mut buffer = self.take();
        if buffer.is_empty() {
            return Read::Head(Head::Slice(head), rest);
        }
        buffer.extend_from_slice(head);
        Read::Head(Head::Buffer(buffer), rest)
    }

    /// Keeps the bytes of a head that is cut here.
    fn hold<'a>(&mut self, bytes: &[u8], start: i64, pool: &mut Pool) -> Read<'a> {
        if self.buffer.len().saturating_add(bytes.len()) > MAX_HEAD {
            return Read::Fault(start, "expected a head's end within 256 KiB, got more bytes".to_owned());
        }
        if bytes.is_empty() {
            return Read::More;
        }
        if self.buffer.capacity() == 0 {
            self.buffer = pool.take();
        }
        self.buffer.extend_from_slice(bytes);
        Read::More
    }

    fn skip_empty_lines<'a>(&mut self, side: Side, bytes: &'a [u8]) -> Result<&'a [u8], (usize, &'static str)> {
        let mut rest = bytes;
        while let Some((first, after)) = rest.split_first() {
            match (self.stage, *first) {
                (_, b'\n') => {
                    self.stage = Stage::Before;
                    self.blank = true;
                }
                (Stage::Before, b'\r') => self.stage = Stage::BeforeCr,
                (stage, byte) => {
                    let at = bytes.len().saturating_sub(rest.len());
                    first_byte(side, byte, self.blank, stage == Stage::BeforeCr).map_err(|why| (at, why))?;
                    self.stage = Stage::FirstLine;
                    return Ok(rest);
                }
            }
            rest = after;
        }
        Ok(rest)
    }
}

/// Another protocol mostly shows itself at once; its name helps more than "not HTTP".
fn first_byte(side: Side, byte: u8, blank: bool, after_cr: bool) -> Result<(), &'static str> {
    let good = match side {
        Side::Client => is_token_char(byte),
        Side::Upstream => byte == b'H',
    };
    match (side, byte) {
        _ if good && !after_cr => Ok(()),
        (Side::Client, 0x16) => Err("expected an HTTP/1 request line, got bytes that look like a TLS ClientHello"),
        (Side::Client, 0) if blank => {
            Err("expected an HTTP/1 request line, got bytes that look like a PROXY protocol v2 header")
        }
        (Side::Client, 4 | 5) => Err("expected an HTTP/1 request line, got bytes that look like a SOCKS request"),
        (Side::Client, _) => Err("expected an HTTP/1 request line, got a byte that begins none"),
        (Side::Upstream, 0x15) => {
            Err("expected an HTTP/1 status line, got bytes that look like a TLS alert (the upstream speaks TLS)")
        }
        (Side::Upstream, 0x16) => {
            Err("expected an HTTP/1 status line, got bytes that look like a TLS handshake (the upstream speaks TLS)")
        }
        (Side::Upstream, _) => Err(
            "expected an HTTP/1 status line, got a byte that begins none (a body longer than its framing says, or another protocol)",
        ),
    }
}

fn first_line(side: Side, line: &[u8]) -> Result<(), &'static str> {
    match side {
        Side::Client => RequestHead::start(line).map(drop),
        Side::Upstream => ResponseHead::start(line).map(drop),
    }
}
