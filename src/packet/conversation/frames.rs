//! In which packets the messages of a connection are.

use std::collections::{HashMap, VecDeque};

use crate::model::finding::Evidence;
use crate::model::frame::Frame;
use crate::model::{ConnectionId, ExchangeNo};

/// So many places of told exchanges, and of connections, are kept: some 50 bytes each. Evidence of later ones names no
/// frames.
const MOST: usize = 1_000_000;

/// Requests of one connection whose response has not come and whose frame is kept.
const MOST_PENDING: usize = 256;

/// The frames of what was told.
#[derive(Debug, Default)]
pub struct Frames {
    exchanges: HashMap<(ConnectionId, ExchangeNo), Messages>,
    connections: HashMap<ConnectionId, (Frame, Frame)>,
}

#[derive(Debug, Clone, Copy)]
struct Messages {
    request: Frame,
    response: Option<Frame>,
}

impl Frames {
    /// An exchange was told: where its request's head and its response's head are complete.
    pub(super) fn exchange(&mut self, id: ConnectionId, number: ExchangeNo, request: Frame, response: Option<Frame>) {
        if self.exchanges.len() < MOST {
            self.exchanges.insert((id, number), Messages { request, response });
        }
    }

    /// A connection ended: its first packet and its end.
    pub(super) fn connection(&mut self, id: ConnectionId, first: Frame, last: Frame) {
        if self.connections.len() < MOST {
            self.connections.insert(id, (first, last));
        }
    }

    /// The packet that completes what a piece of evidence is about.
    pub fn of(&self, evidence: &Evidence) -> Option<Frame> {
        let id = evidence.connection?;
        let message = evidence.message.as_deref();
        let Some(number) = evidence.exchange else {
            let (first, last) = self.connections.get(&id)?;
            return Some(if message == Some("close") { *last } else { *first });
        };
        let messages = self.exchanges.get(&(id, number))?;
        match message {
            // What a server says; `logon` is the answer that let somebody in.
            Some("CHALLENGE" | "response" | "logon") => Some(messages.response.unwrap_or(messages.request)),
            _ => Some(messages.request),
        }
    }
}

/// Requests of one connection that may still be told.
#[derive(Debug, Default)]
pub(super) struct Pending(VecDeque<(ExchangeNo, Frame)>);

impl Pending {
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
