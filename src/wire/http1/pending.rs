//! Requests whose exchange is not over: for each, what telling it takes.

use super::direction::wide;
use super::interest::{Method, RequestFacts};
use super::pool::{self, Pool};
use crate::model::event::{Interim, Times};
use crate::model::{ExchangeNo, Secret, Stamp};
use crate::wire::observation::{COPIED, Ended, RawExchange};
use std::collections::VecDeque;

/// Most interim responses whose status is kept; a server may send any number.
const INTERIM: usize = 64;

/// Bytes of one of them in a buffer: its status, and when it came.
const INTERIM_BYTES: usize = 10;

/// A time that may not have come, in eight bytes: there are as many as connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment(i64);

impl Moment {
    const NEVER: Self = Self(i64::MIN);

    const fn first(&mut self, at: Stamp) {
        if self.0 == Self::NEVER.0 {
            self.0 = at.0;
        }
    }

    const fn get(self) -> Option<Stamp> {
        if self.0 == Self::NEVER.0 { None } else { Some(Stamp(self.0)) }
    }
}

/// One request on its way, or answered and not over.
#[derive(Debug)]
pub(in crate::wire) struct Pending {
    /// The head, then ten bytes for each interim response: so that a `100 Continue` costs no allocation of its own.
    /// Once the response's head has come, the copy of its body in memory of its own, or nothing.
    buffer: Vec<u8>,
    /// Length of the head in `buffer`; zero once the response's head has come.
    head: u32,
    pub(in crate::wire) number: ExchangeNo,
    pub(in crate::wire) request: Stamp,
    pub(in crate::wire) request_head: Stamp,
    /// First byte of the request's body.
    request_body_at: Moment,
    /// Last byte of the request.
    request_end: Moment,
    /// First byte of the response's body.
    response_body_at: Moment,
    /// Last byte of the response, once it has come.
    pub(in crate::wire) response_end: Option<Stamp>,
    /// Content bytes of the request, once it has come whole.
    pub(in crate::wire) request_body: Option<u64>,
    pub(in crate::wire) method: Method,
    /// `Authorization` or `Proxy-Authorization`.
    pub(in crate::wire) authorization: bool,
    /// Told whatever the answer: the client changed, or an upgrade is asked for.
    pub(in crate::wire) told_anyway: bool,
    /// The final response's head has come.
    pub(in crate::wire) answered: bool,
    /// `Out::exchange` has it.
    pub(in crate::wire) told: bool,
    /// Its response's body is copied: told, and a refusal.
    pub(in crate::wire) copied: bool,
    /// The copy ends here: what follows it was not seen.
    cut: bool,
}

impl Pending {
    /// Memory that one takes beside a long head, about, in bytes.
    pub(in crate::wire) const FOOTPRINT: usize = size_of::<Self>() + pool::INITIAL;

    pub(in crate::wire) fn new(
        number: ExchangeNo,
        request: Stamp,
        request_head: Stamp,
        head: Vec<u8>,
        facts: &RequestFacts,
        told_anyway: bool,
    ) -> Self {
        Self {
            head: u32::try_from(head.len()).unwrap_or(u32::MAX),
            buffer: head,
            number,
            request,
            request_head,
            request_body_at: Moment::NEVER,
            request_end: Moment::NEVER,
            response_body_at: Moment::NEVER,
            response_end: None,
            request_body: None,
            method: facts.method,
            authorization: facts.authorization,
            told_anyway,
            answered: false,
            told: false,
            copied: false,
            cut: false,
        }
    }

    /// An interim response came.
    pub(in crate::wire) fn interim(&mut self, at: Stamp, status: u16) {
        let responses = self.buffer.len().saturating_sub(self.head()) / INTERIM_BYTES;
        if responses < INTERIM {
            self.buffer.extend_from_slice(&status.to_be_bytes());
            self.buffer.extend_from_slice(&at.0.to_be_bytes());
        }
    }

    /// Bytes of the request's body came.
    pub(in crate::wire) const fn request_body(&mut self, at: Stamp) {
        self.request_body_at.first(at);
    }

    /// The request's last byte came.
    pub(in crate::wire) const fn request_ended(&mut self, at: Stamp, body: u64) {
        self.request_body = Some(body);
        self.request_end.first(at);
    }

    /// Bytes of the response's body came.
    pub(in crate::wire) const fn response_body(&mut self, at: Stamp) {
        self.response_body_at.first(at);
    }

    fn head(&self) -> usize {
        usize::try_from(self.head).unwrap_or(usize::MAX)
    }

    /// The exchange for the observer, in memory of its own: the pool's buffers do not leave.
    pub(in crate::wire) fn exchange(&self, response: Option<(&[u8], Stamp)>) -> RawExchange {
        let (head, interim) = self.buffer.split_at_checked(self.head()).unwrap_or((&self.buffer, &[]));
        let (interim, _) = interim.as_chunks::<INTERIM_BYTES>();
        RawExchange {
            exchange: self.number,
            request: Secret::new(head.to_vec()),
            response: response.map(|(head, _)| Secret::new(head.to_vec())),
            reset: None,
            interim: interim
                .iter()
                .map(|[high, low, at @ ..]| Interim {
                    status: u16::from_be_bytes([*high, *low]),
                    at: Some(Stamp(i64::from_be_bytes(*at))),
                })
                .collect(),
            times: Times {
                request: self.request,
                request_head: self.request_head,
                request_body: self.request_body_at.get(),
                request_end: self.request_end.get(),
                response_head: response.map(|(_, at)| at),
                response_body: None,
                end: None,
            },
        }
    }

    /// More content of the response, kept up to [`COPIED`] bytes.
    pub(in crate::wire) fn copy(&mut self, content: &[u8]) {
        if self.cut {
            return;
        }
        let room = COPIED.saturating_sub(self.buffer.len());
        self.buffer.extend_from_slice(content.get(..room).unwrap_or(content));
    }

    /// Content of the response was not seen: nothing is copied from here on.
    pub(in crate::wire) const fn cut_copy(&mut self) {
        self.cut = true;
    }

    /// The end for the observer, `at` unless the response ended before. The copy of the body goes with it.
    pub(in crate::wire) fn ended(&mut self, request_body: u64, response_body: u64, at: Stamp) -> Ended {
        let body = if self.copied { std::mem::take(&mut self.buffer) } else { Vec::new() };
        Ended {
            exchange: self.number,
            request_body: self.request_body.unwrap_or(request_body),
            response_body,
            body_whole: self.response_end.is_some() && wide(body.len()) == response_body,
            body: (!body.is_empty()).then(|| Secret::new(body)),
            request_body_at: self.request_body_at.get(),
            request_end: self.request_end.get(),
            response_body_at: self.response_body_at.get(),
            end: self.response_end.unwrap_or(at),
        }
    }

    /// The head is no longer needed; how many bytes it was.
    pub(in crate::wire) fn release(&mut self, pool: &mut Pool) -> usize {
        let head = self.head();
        self.head = 0;
        let buffer = std::mem::take(&mut self.buffer);
        // The copy of a body is not the pool's.
        if head > 0 {
            pool.give(buffer);
        }
        head
    }
}

/// Pending exchanges in order. The first lies inline: most clients do not pipeline.
#[derive(Debug, Default)]
pub(super) struct Queue {
    first: Option<Pending>,
    #[expect(
        clippy::box_collection,
        reason = "it keeps every connection 24 bytes smaller, and is there only while a client pipelines"
    )]
    more: Option<Box<VecDeque<Pending>>>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()).saturating_add(self.more.as_ref().map_or(0, |more| more.len()))
    }

    /// Memory that they take, about, in bytes; `heads` are the bytes of their heads.
    pub(super) fn footprint(&self, heads: usize) -> usize {
        let Some(first) = &self.first else { return 0 };
        let behind = self.len().saturating_sub(1).saturating_mul(Pending::FOOTPRINT);
        first.buffer.capacity().saturating_add(behind).saturating_add(heads)
    }

    pub(super) fn push(&mut self, pending: Pending) {
        if self.first.is_none() {
            self.first = Some(pending);
        } else {
            self.more.get_or_insert_default().push_back(pending);
        }
    }

    pub(super) const fn first(&mut self) -> Option<&mut Pending> {
        self.first.as_mut()
    }

    pub(super) fn last(&mut self) -> Option<&mut Pending> {
        match self.more.as_mut().and_then(|more| more.back_mut()) {
            Some(last) => Some(last),
            None => self.first.as_mut(),
        }
    }

    pub(super) fn pop(&mut self) -> Option<Pending> {
        let popped = self.first.take();
        if let Some(more) = &mut self.more {
            self.first = more.pop_front();
            if more.is_empty() {
                self.more = None;
            }
        }
        popped
    }
}
