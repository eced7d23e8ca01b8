//! The upstream's direction: responses are paired with the queue's first, and decide whether it is told.

use super::body::Body;
use super::direction::{Direction, Fault, State, back};
use super::interest::{Method, RequestFacts, ResponseFacts};
use super::pending::Pending;
use super::reader::{Read, Side};
use super::{Http1, Out, Pool};
use crate::model::Stamp;

impl Http1 {
    pub(super) fn upstream_step<'a>(
        &mut self,
        at: Stamp,
        bytes: &'a [u8],
        pool: &mut Pool,
        out: &mut impl Out,
    ) -> Result<&'a [u8], Fault> {
        match &mut self.upstream.state {
            State::Head(reader) => match reader.read(Side::Upstream, bytes, pool) {
                Read::More => Ok(self.upstream.pass_all(bytes)),
                Read::Fault(start, why) => Err(self.upstream.fault(Side::Upstream, start, why)),
                Read::Head(head, rest) => {
                    self.upstream.pass(bytes, rest);
                    let result = self.response_head(at, head.bytes(), pool, out);
                    head.done(pool);
                    result.map(|()| rest)
                }
            },
            State::Body(_) => {
                let mut first = self.queue.first();
                if let Some(first) = &mut first {
                    first.response_body(at);
                }
                let mut copied = first.filter(|first| first.copied);
                let (rest, done) = self.upstream.body(Side::Upstream, bytes, |content| {
                    if let Some(first) = &mut copied {
                        first.copy(content);
                    }
                })?;
                if done {
                    self.upstream.state = State::default();
                    self.response_ended(at, pool, out);
                }
                Ok(rest)
            }
            // The client's states.
            State::Connect(_) | State::Refused => Ok(self.upstream.pass_all(bytes)),
        }
    }

    /// Bytes of the upstream were not seen; whether all of them are content.
    pub(super) fn skip_response(&mut self, at: Stamp, n: u64, pool: &mut Pool, out: &mut impl Out) -> bool {
        let Some(done) = self.upstream.skip(n) else {
            return false;
        };
        if let Some(first) = self.queue.first() {
            first.response_body(at);
            first.cut_copy();
        }
        if done {
            self.upstream.state = State::default();
            self.response_ended(at, pool, out);
        }
        true
    }

    /// A response's head is whole.
    fn response_head(&mut self, at: Stamp, head: &[u8], pool: &mut Pool, out: &mut impl Out) -> Result<(), Fault> {
        let fault =
            |direction: &Direction, why: &str| direction.fault(Side::Upstream, back(head.len()), why.to_owned());
        let facts = ResponseFacts::of(head).map_err(|why| fault(&self.upstream, why))?;
        if self.queue.first().is_none_or(|first| first.answered) {
            self.refuse_partial_request(at, facts.status);
        }
        let Some(first) = self.queue.first().filter(|first| !first.answered) else {
            return Err(fault(&self.upstream, NOT_ASKED));
        };
        if facts.interim() {
            first.interim(at, facts.status);
            return Ok(());
        }
        let body = facts.body(first.method).map_err(|why| fault(&self.upstream, why))?;
        let own = first.authorization || facts.authentication || facts.status >= 400;
        first.answered = true;
        if own || facts.redirects() || self.follow_up || first.told_anyway || self.all {
            out.exchange(first.exchange(Some((head, at))));
            first.told = true;
        }
        self.follow_up = own;
        self.held = self.held.saturating_sub(first.release(pool));
        first.copied = first.told && facts.status >= 400 && body != Body::None;
        self.upstream.content = 0;
        if facts.tunnel(first.method) {
            self.response_ended(at, pool, out);
            if let Some(first) = self.queue.first().filter(|first| first.told) {
                // 101 to a request whose body has not come: the new protocol has the connection all the same.
                out.ended(first.ended(self.client.content, 0, at));
            }
            self.release(pool);
            return Ok(());
        }
        if first.method == Method::Connect
            && let State::Connect(count) = self.client.state
        {
            if count > 0 {
                return Err(Fault {
                    side: Side::Client,
                    offset: self.client.offset.saturating_sub(count),
                    why: "expected no bytes between a CONNECT and its refusal, got some".to_owned(),
                });
            }
            self.client.state = State::default();
        }
        if body == Body::None {
            self.response_ended(at, pool, out);
        } else {
            self.upstream.state = State::Body(body);
        }
        Ok(())
    }

    /// A refusal may come before the request's head is whole: http.sys answers 400 to a header that is too long, as a
    /// Kerberos ticket with many groups makes it, and reads no further. What has come of the head is the request then.
    fn refuse_partial_request(&mut self, at: Stamp, status: u16) {
        let State::Head(reader) = &mut self.client.state else {
            return;
        };
        if status < 400 || reader.partial().is_none() {
            return;
        }
        let buffer = reader.take();
        self.client.state = State::Refused;
        self.client.content = 0;
        self.requests = self.requests.saturating_add(1);
        self.held = self.held.saturating_add(buffer.len());
        let facts = RequestFacts {
            method: Method::Other,
            body: Body::None,
            authorization: false,
            upgrade: false,
            marker: self.marker,
        };
        self.queue.push(Pending::new(self.requests, self.request, at, buffer, &facts, true));
    }

    /// The first exchange's response has ended.
    pub(super) fn response_ended(&mut self, at: Stamp, pool: &mut Pool, out: &mut impl Out) {
        let Some(first) = self.queue.first() else {
            return;
        };
        first.response_end = Some(at);
        if first.request_body.is_some() {
            self.over(at, pool, out);
        }
    }
}

const NOT_ASKED: &str = "expected a response to a request, got one that no whole request waits for (a request that the client \
     gave up and followed by another, or a server that speaks first)";
