//! In which packets the messages of a connection are.

use std::collections::{HashMap, VecDeque};

use crate::model::finding::Evidence;
use crate::model::frame::Frame;
use crate::model::{ConnectionId, ExchangeNo};
use crate::packet::is_answer;

/// So many places of told exchanges, and of connections, are kept: what fits into a table that takes 35 MB, or 26 MB.
/// Evidence of later ones names no frames.
const MOST: usize = (1 << 20) / 8 * 7;

/// Requests of one connection whose response has not come and whose frame is kept.
const MOST_PENDING: usize = 256;

/// The frames of what was told.
#[derive(Debug, Default)]
pub struct Frames {
    exchanges: HashMap<(ConnectionId, ExchangeNo), Messages>,
    connections: HashMap<ConnectionId, (Packed, Packed)>,
}

#[derive(Debug, Clone, Copy)]
struct Messages {
    request: Packed,
    /// That of the request, where no response came.
    response: Packed,
}

/// A frame in eight bytes: there are millions. Numbers up to 2^48 fit.
#[derive(Debug, Clone, Copy)]
struct Packed(u64);

impl Packed {
    const BITS: u32 = 48;
    const MOST: u64 = (1 << Self::BITS) - 1;

    fn new(frame: Frame) -> Self {
        Self(u64::from(frame.file) << Self::BITS | frame.number.min(Self::MOST))
    }

    fn frame(self) -> Frame {
        Frame { file: u16::try_from(self.0 >> Self::BITS).unwrap_or(u16::MAX), number: self.0 & Self::MOST }
    }
}

impl Frames {
    /// An exchange was told: where its request's head and its response's head are complete.
    pub(super) fn exchange(&mut self, id: ConnectionId, number: ExchangeNo, request: Frame, response: Option<Frame>) {
        if self.exchanges.len() < MOST {
            let (request, response) = (Packed::new(request), Packed::new(response.unwrap_or(request)));
            self.exchanges.insert((id, number), Messages { request, response });
        }
    }

    /// A connection ended: its first packet and its end.
    pub(super) fn connection(&mut self, id: ConnectionId, first: Frame, last: Frame) {
        if self.connections.len() < MOST {
            self.connections.insert(id, (Packed::new(first), Packed::new(last)));
        }
    }

    /// The packet that completes what a piece of evidence is about.
    pub fn of(&self, evidence: &Evidence) -> Option<Frame> {
        let id = evidence.connection?;
        let message = evidence.message.as_deref();
        let Some(number) = evidence.exchange else {
            let (first, last) = self.connections.get(&id)?;
            return Some(if message == Some("close") { last.frame() } else { first.frame() });
        };
        let messages = self.exchanges.get(&(id, number))?;
        let answer = message.is_some_and(is_answer);
        let packed = if answer { messages.response } else { messages.request };
        Some(packed.frame())
    }
}

/// Requests of one connection that may still be told.
#[derive(Debug, Default)]
pub(super) struct Pending(VecDeque<(ExchangeNo, Frame)>);

impl Pending {
    /// Memory that it takes beside its own, in bytes.
    pub(super) fn footprint(&self) -> usize {
        self.0.capacity().saturating_mul(size_of::<(ExchangeNo, Frame)>())
    }

    pub(super) fn request(&mut self, number: ExchangeNo, frame: Frame) {
        if self.0.len() >= MOST_PENDING {
            self.0.pop_front();
        }
        self.0.push_back((number, frame));
    }

    /// No request is open: what is still here was not told.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The frame of a request that is told now.
    pub(super) fn take(&mut self, number: ExchangeNo) -> Option<Frame> {
        let place = self.0.iter().position(|(n, _)| *n == number)?;
        self.0.remove(place).map(|(_, frame)| frame)
    }
}
