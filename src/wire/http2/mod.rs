//! HTTP/2 framing, both directions of one connection (RFC 9113).
//!
//! It tells the same as [`Http1`](super::http1::Http1): a head is made of the decoded fields as HTTP/1 would have it,
//! with the version `HTTP/2`. Each stream is an exchange, numbered in the order of the requests. What is remembered is
//! bounded: streams and heads without their response, header blocks, dynamic tables, copies of bodies. What it cannot
//! follow is told once and ends the watching: after one header block that is not understood, no later one can be.

mod frame;
mod head;
mod hpack;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use super::http1::direction::Fault;
use super::http1::pending::Pending;
use super::http1::reader::Side;
use super::http1::{Out, Pool};
use crate::model::Stamp;
use crate::wire::observation::COPIED;
pub(super) use frame::PREFACE;
use frame::{Frame, Read, Reader, flag, kind};
use hpack::{Decoder, Scratch};
use streams::Stream;

/// The error code of a stream that wants HTTP/1.1 instead (RFC 9113 section 7).
pub const HTTP_1_1_REQUIRED: u32 = 0xd;

/// Follows both directions of one HTTP/2 connection.
pub struct Http2 {
    client: Direction,
    upstream: Direction,
    streams: BTreeMap<u32, Stream>,
    /// The client's newest stream.
    last: u32,
    /// Bytes of heads whose response has not come.
    held: usize,
    /// Streams whose response's body is being copied.
    copying: usize,
    marker: u64,
    requests: u32,
    /// The error code of the server's GOAWAY.
    goaway: Option<u32>,
    over: bool,
    /// The previous answer was told for its own authentication or refusal: the next one is told as well.
    follow_up: bool,
    /// Every exchange is told.
    all: bool,
}

/// One direction.
struct Direction {
    reader: Reader,
    decoder: Decoder,
    /// A header block that goes on in the next frame.
    block: Option<Block>,
}

/// A header block, from its first frame on.
struct Block {
    stream: u32,
    promise: bool,
    ends_stream: bool,
    /// When its first byte came.
    began: Stamp,
    bytes: Vec<u8>,
}

impl fmt::Debug for Http2 {
    // Tables and heads hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2").field("requests", &self.requests).field("over", &self.over).finish_non_exhaustive()
    }
}

impl Default for Http2 {
    fn default() -> Self {
        let direction = |side| Direction { reader: Reader::new(side), decoder: Decoder::default(), block: None };
        Self {
            client: direction(Side::Client),
            upstream: direction(Side::Upstream),
            streams: BTreeMap::new(),
            last: 0,
            held: 0,
            copying: 0,
            marker: 0,
            requests: 0,
            goaway: None,
            over: false,
            follow_up: false,
            all: false,
        }
    }
}

impl Http2 {
    /// Tells every exchange, and not only those that have to do with authentication or were refused.
    #[must_use]
    pub const fn telling_all(mut self, all: bool) -> Self {
        self.all = all;
        self
    }

    /// Bytes from the client, before they are forwarded.
    pub fn client(&mut self, at: Stamp, bytes: &[u8], pool: &mut Pool, out: &mut impl Out) {
        self.saw(Side::Client, at, bytes, pool, out);
    }

    /// Bytes from the upstream, before they are forwarded.
    pub fn upstream(&mut self, at: Stamp, bytes: &[u8], pool: &mut Pool, out: &mut impl Out) {
        self.saw(Side::Upstream, at, bytes, pool, out);
    }

    /// The connection is over, in whatever way: tells what was still open.
    pub fn closed(&mut self, at: Stamp, pool: &mut Pool, out: &mut impl Out) {
        if !self.over {
            let goaway = self.goaway.filter(|code| *code != 0);
            while let Some((_, stream)) = self.streams.pop_first() {
                self.gone(stream, goaway, at, pool, out);
            }
        }
        self.release(pool);
    }

    /// Memory that it takes, about, in bytes.
    pub(in crate::wire) fn footprint(&self) -> usize {
        let streams = self.streams.len().saturating_mul(Pending::FOOTPRINT).saturating_add(self.held);
        let copies = self.copying.saturating_mul(COPIED);
        let directions = self.client.footprint().saturating_add(self.upstream.footprint());
        size_of::<Self>().saturating_add(streams).saturating_add(copies).saturating_add(directions)
    }

    /// Requests seen so far, the unreported ones included.
    pub const fn exchanges(&self) -> u32 {
        self.requests
    }

    /// Whether this still follows HTTP.
    pub const fn watching(&self) -> bool {
        !self.over
    }

    /// Whether HTTP is followed and no message is under way.
    pub fn between_messages(&self) -> bool {
        !self.over && self.streams.is_empty() && self.client.reader.idle() && self.upstream.reader.idle()
    }

    const fn direction(&mut self, side: Side) -> &mut Direction {
        match side {
            Side::Client => &mut self.client,
            Side::Upstream => &mut self.upstream,
        }
    }

    fn saw(&mut self, side: Side, at: Stamp, bytes: &[u8], pool: &mut Pool, out: &mut impl Out) {
        let mut rest = bytes;
        while !self.over && !rest.is_empty() {
            match self.step(side, at, rest, pool, out) {
                Ok(after) => rest = after,
                Err(fault) => {
                    self.release(pool);
                    return out.unparsable(fault.side.name(), fault.offset, fault.why);
                }
            }
        }
    }

    fn step<'a>(
        &mut self,
        side: Side,
        at: Stamp,
        bytes: &'a [u8],
        pool: &mut Pool,
        out: &mut impl Out,
    ) -> Result<&'a [u8], Fault> {
        let (mut read, mut rest) = self.direction(side).reader.read(side, at, bytes, pool)?;
        loop {
            match read {
                Read::More => return Ok(rest),
                Read::Passed => {}
                Read::Content(stream, content) => {
                    self.content(side, stream, at, content);
                    // A frame's last byte may be the slice's last: its end must not wait for the next slice.
                }
                Read::DataEnd(frame) => {
                    if frame.has(flag::END_STREAM) {
                        self.message_ended(side, frame.stream, at, pool, out);
                    }
                    return Ok(rest);
                }
                Read::Whole(frame, payload) => {
                    let result = self.frame(side, at, &frame, payload.bytes(), pool, out);
                    payload.done(pool);
                    return result.map_err(|why| self.direction(side).reader.fault(side, why)).map(|()| rest);
                }
            }
            (read, rest) = self.direction(side).reader.read(side, at, rest, pool)?;
        }
    }

    /// A frame that was collected.
    fn frame(
        &mut self,
        side: Side,
        at: Stamp,
        frame: &Frame,
        payload: &[u8],
        pool: &mut Pool,
        out: &mut impl Out,
    ) -> Result<(), &'static str> {
        match frame.kind {
            kind::HEADERS | kind::PUSH_PROMISE => {
                let direction = self.direction(side);
                let fragment = fragment(frame, payload)?;
                let block = Block {
                    stream: frame.stream,
                    promise: frame.kind == kind::PUSH_PROMISE,
                    ends_stream: frame.kind == kind::HEADERS && frame.has(flag::END_STREAM),
                    began: direction.reader.at,
                    bytes: Vec::new(),
                };
                if frame.has(flag::END_HEADERS) {
                    return self.block(side, at, &block, fragment, pool, out);
                }
                let mut bytes = pool.take();
                bytes.extend_from_slice(fragment);
                direction.reader.open_block = Some(frame.stream);
                direction.reader.block_length = bytes.len();
                direction.block = Some(Block { bytes, ..block });
            }
            kind::CONTINUATION => {
                let direction = self.direction(side);
                let Some(block) = &mut direction.block else {
                    return Ok(());
                };
                block.bytes.extend_from_slice(payload);
                direction.reader.block_length = block.bytes.len();
                if frame.has(flag::END_HEADERS) {
                    direction.reader.open_block = None;
                    direction.reader.block_length = 0;
                    if let Some(mut block) = direction.block.take() {
                        let bytes = std::mem::take(&mut block.bytes);
                        let result = self.block(side, at, &block, &bytes, pool, out);
                        pool.give(bytes);
                        return result;
                    }
                }
            }
            kind::SETTINGS if !frame.has(flag::ACK) => self.settings(side, payload),
            kind::RST_STREAM => self.reset(frame.stream, number(payload), at, pool, out),
            kind::GOAWAY if side == Side::Upstream => self.goaway = Some(number(payload.get(4..).unwrap_or_default())),
            _ => {}
        }
        Ok(())
    }

    /// What a side announces bounds what the other one sends (RFC 9113 section 6.5.2).
    fn settings(&mut self, side: Side, payload: &[u8]) {
        const HEADER_TABLE_SIZE: u16 = 1;
        let other = match side {
            Side::Client => &mut self.upstream,
            Side::Upstream => &mut self.client,
        };
        let (settings, _) = payload.as_chunks::<6>();
        for [a, b, value @ ..] in settings {
            if u16::from_be_bytes([*a, *b]) == HEADER_TABLE_SIZE {
                other.decoder.allow(u32::from_be_bytes(*value));
            }
        }
    }

    /// Nothing more is told: gives every buffer back.
    fn release(&mut self, pool: &mut Pool) {
        self.over = true;
        while let Some((_, mut stream)) = self.streams.pop_first() {
            stream.pending.release(pool);
        }
        (self.held, self.copying) = (0, 0);
        for direction in [&mut self.client, &mut self.upstream] {
            direction.reader.release(pool);
            // Its table may be large, and nothing will be decoded again.
            direction.decoder = Decoder::default();
            if let Some(block) = direction.block.take() {
                pool.give(block.bytes);
            }
        }
    }
}

impl Direction {
    /// Memory that it takes, about, in bytes.
    fn footprint(&self) -> usize {
        let block = self.block.as_ref().map_or(0, |block| block.bytes.capacity());
        self.reader.footprint().saturating_add(self.decoder.footprint()).saturating_add(block)
    }

    /// Decodes a block that nobody needs: the table must be kept in step all the same.
    fn pass_block(&mut self, block: &[u8], pool: &mut Pool) -> Result<(), &'static str> {
        self.decode(block, pool, |_, _| Ok(()))
    }

    fn decode(
        &mut self,
        block: &[u8],
        pool: &mut Pool,
        take: impl FnMut(&[u8], &[u8]) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        let mut scratch = Scratch { name: pool.take(), value: pool.take() };
        let result = self.decoder.decode(block, &mut scratch, take);
        pool.give(scratch.name);
        pool.give(scratch.value);
        result
    }
}

/// What of a HEADERS or PUSH_PROMISE frame is of its header block (RFC 9113 sections 6.2 and 6.6).
fn fragment<'a>(frame: &Frame, payload: &'a [u8]) -> Result<&'a [u8], &'static str> {
    const SHORT: &str = "expected padding and priority within their frame, got more of them";
    let mut rest = payload;
    let mut padding = 0;
    if frame.has(flag::PADDED) {
        let (length, after) = rest.split_first().ok_or(SHORT)?;
        (padding, rest) = (usize::from(*length), after);
    }
    let before = match frame.kind {
        kind::HEADERS if frame.has(flag::PRIORITY) => 5,
        kind::PUSH_PROMISE => 4,
        _ => 0,
    };
    rest = rest.get(before..).ok_or(SHORT)?;
    let length = rest.len().checked_sub(padding).ok_or(SHORT)?;
    Ok(rest.get(..length).unwrap_or_default())
}

/// The first four bytes.
fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |four| u32::from_be_bytes(*four))
}
