//! Streams: a request and its response on each, paired by its number.

use super::head::Maker;
use super::{Block, HTTP_1_1_REQUIRED, Http2, Out, Pool};
use crate::model::Stamp;
use crate::wire::http1::direction::wide;
use crate::wire::http1::interest::{RequestFacts, ResponseFacts};
use crate::wire::http1::pending::Pending;
use crate::wire::http1::reader::Side;
use crate::wire::http1::requests::{MAX_HELD, MAX_PENDING};

/// Most bodies of refusals that are copied at one time; each takes 8 KiB at most.
const MAX_COPIES: usize = 16;

/// An exchange that is not over.
pub(super) struct Stream {
    pub(super) pending: Pending,
    /// Content bytes so far.
    request: u64,
    response: u64,
}

impl Http2 {
    /// A header block is whole.
    pub(super) fn block(
        &mut self,
        side: Side,
        at: Stamp,
        block: &Block,
        bytes: &[u8],
        pool: &mut Pool,
        out: &mut impl Out,
    ) -> Result<(), &'static str> {
        let id = block.stream;
        match side {
            Side::Client if block.promise => return Err("expected no PUSH_PROMISE of a client, got one"),
            Side::Client if id > self.last => {
                if id.is_multiple_of(2) {
                    return Err("expected a client's stream to have an odd number, got an even one");
                }
                self.last = id;
                self.request(at, block, bytes, pool)?;
                out.request(self.requests);
            }
            // Trailers.
            Side::Client => self.client.pass_block(bytes, pool)?,
            // A promise, or what becomes of one: nobody asked for it, so it has nothing to do with a logon.
            Side::Upstream if block.promise || id.is_multiple_of(2) => self.upstream.pass_block(bytes, pool)?,
            Side::Upstream if id > self.last => {
                return Err("expected a response to a request, got one on a stream that was not opened");
            }
            Side::Upstream => match self.streams.get(&id) {
                Some(stream) if !stream.pending.answered => self.response(at, block, bytes, pool, out)?,
                // Trailers, or the answer to a request that was given up.
                _ => self.upstream.pass_block(bytes, pool)?,
            },
        }
        if block.ends_stream {
            self.message_ended(side, id, at, pool, out);
        }
        Ok(())
    }

    fn request(&mut self, at: Stamp, block: &Block, bytes: &[u8], pool: &mut Pool) -> Result<(), &'static str> {
        let mut maker = Maker::new(true, pool);
        let decoded = self.client.decode(bytes, pool, |name, value| maker.field(name, value));
        let head = maker.finish(pool);
        decoded?;
        let head = head?;
        let facts = RequestFacts::of_http2(&head);
        let facts = match facts {
            Ok(_) if self.streams.len() >= MAX_PENDING => Err("expected at most 1024 open streams, got one more"),
            Ok(_) if self.held.saturating_add(head.len()) > MAX_HELD => {
                Err("expected at most 512 KiB of heads without their responses, got more")
            }
            other => other,
        };
        let facts = match facts {
            Ok(facts) => facts,
            Err(why) => {
                pool.give(head);
                return Err(why);
            }
        };
        let changed = self.requests > 0 && facts.marker != self.marker;
        self.marker = facts.marker;
        self.requests = self.requests.saturating_add(1);
        self.held = self.held.saturating_add(head.len());
        let pending = Pending::new(self.requests, block.began, at, head, &facts, changed);
        self.streams.insert(block.stream, Stream { pending, request: 0, response: 0 });
        Ok(())
    }

    fn response(
        &mut self,
        at: Stamp,
        block: &Block,
        bytes: &[u8],
        pool: &mut Pool,
        out: &mut impl Out,
    ) -> Result<(), &'static str> {
        let mut maker = Maker::new(false, pool);
        let decoded = self.upstream.decode(bytes, pool, |name, value| maker.field(name, value));
        let head = maker.finish(pool);
        decoded?;
        let head = head?;
        let facts = ResponseFacts::of_http2(&head);
        if let (Ok(facts), Some(stream)) = (&facts, self.streams.get_mut(&block.stream)) {
            let pending = &mut stream.pending;
            if facts.interim() {
                pending.interim(at, facts.status);
            } else {
                let own = pending.authorization || facts.authentication || facts.status >= 400;
                pending.answered = true;
                if own || facts.redirects() || self.follow_up || pending.told_anyway || self.all {
                    out.exchange(pending.exchange(Some((&head, at))));
                    pending.told = true;
                }
                self.follow_up = own;
                self.held = self.held.saturating_sub(pending.release(pool));
                let refusal = pending.told && facts.status >= 400 && !block.ends_stream;
                if refusal && self.copying < MAX_COPIES {
                    pending.copied = true;
                    self.copying = self.copying.saturating_add(1);
                }
            }
        }
        pool.give(head);
        facts.map(drop)
    }

    /// Content of a body.
    pub(super) fn content(&mut self, side: Side, id: u32, at: Stamp, content: &[u8]) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let count = match side {
            Side::Client => {
                stream.pending.request_body(at);
                &mut stream.request
            }
            Side::Upstream => {
                stream.pending.response_body(at);
                if stream.pending.copied {
                    stream.pending.copy(content);
                }
                &mut stream.response
            }
        };
        *count = count.saturating_add(wide(content.len()));
    }

    /// A side has said all on a stream.
    pub(super) fn message_ended(&mut self, side: Side, id: u32, at: Stamp, pool: &mut Pool, out: &mut impl Out) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        match side {
            Side::Client => stream.pending.request_ended(at, stream.request),
            // An end without a response is malformed; the client will reset the stream.
            Side::Upstream if stream.pending.answered => stream.pending.response_end = Some(at),
            Side::Upstream => {}
        }
        if let (Some(_), Some(end)) = (stream.pending.request_body, stream.pending.response_end)
            && let Some(stream) = self.streams.remove(&id)
        {
            self.gone(stream, None, end, pool, out);
        }
    }

    /// A side gave a stream up.
    pub(super) fn reset(&mut self, id: u32, code: u32, at: Stamp, pool: &mut Pool, out: &mut impl Out) {
        if let Some(stream) = self.streams.remove(&id) {
            self.gone(stream, Some(code), at, pool, out);
        }
    }

    /// A stream is over. One without its response is told when it carried credentials, or HTTP/1.1 was asked for.
    pub(super) fn gone(
        &mut self,
        mut stream: Stream,
        reset: Option<u32>,
        at: Stamp,
        pool: &mut Pool,
        out: &mut impl Out,
    ) {
        let pending = &mut stream.pending;
        if !pending.answered && (pending.authorization || reset == Some(HTTP_1_1_REQUIRED)) {
            let mut exchange = pending.exchange(None);
            exchange.reset = reset;
            out.exchange(exchange);
            pending.told = true;
        }
        if pending.copied {
            self.copying = self.copying.saturating_sub(1);
        }
        if pending.told {
            out.ended(pending.ended(stream.request, stream.response, at));
        }
        self.held = self.held.saturating_sub(pending.release(pool));
    }
}
