//! The client's direction: requests are numbered, weighed and put in the queue.

use super::body::Body;
use super::direction::{Fault, State, back, wide};
use super::interest::{Method, RequestFacts};
use super::pending::Pending;
use super::reader::{Head, Read, Side};
use super::{Http1, MAX_HEAD, Out, Pool};
use crate::model::Stamp;

/// Most requests waiting for their responses.
pub(in crate::wire) const MAX_PENDING: usize = 1024;
/// Most bytes of heads held for them: two of the largest.
pub(in crate::wire) const MAX_HELD: usize = 2 * MAX_HEAD;

impl Http1 {
    pub(super) fn client_step<'a>(
        &mut self,
        at: Stamp,
        bytes: &'a [u8],
        pool: &mut Pool,
        out: &mut impl Out,
    ) -> Result<&'a [u8], Fault> {
        match &mut self.client.state {
            State::Head(reader) => {
                if reader.idle() {
                    self.request = at;
                }
                match reader.read(Side::Client, bytes, pool) {
                    Read::More => Ok(self.client.pass_all(bytes)),
                    Read::Fault(start, why) => Err(self.client.fault(Side::Client, start, why)),
                    Read::Head(head, rest) => {
                        self.client.pass(bytes, rest);
                        self.request_head(at, head, pool, out)?;
                        Ok(rest)
                    }
                }
            }
            State::Body(_) => {
                if let Some(last) = self.queue.last() {
                    last.request_body(at);
                }
                let (rest, done) = self.client.body(Side::Client, bytes, |_| {})?;
                if done {
                    self.request_ended(at, pool, out);
                }
                Ok(rest)
            }
            State::Connect(count) => {
                *count = count.saturating_add(wide(bytes.len()));
                Ok(self.client.pass_all(bytes))
            }
            State::Refused => Ok(self.client.pass_all(bytes)),
        }
    }

    /// Bytes of the client were not seen; whether all of them are content.
    pub(super) fn skip_request(&mut self, at: Stamp, n: u64, pool: &mut Pool, out: &mut impl Out) -> bool {
        let Some(done) = self.client.skip(n) else {
            return false;
        };
        if matches!(self.client.state, State::Body(_)) {
            if let Some(last) = self.queue.last() {
                last.request_body(at);
            }
            if done {
                self.request_ended(at, pool, out);
            }
        }
        true
    }

    /// A request's head is whole.
    fn request_head(&mut self, at: Stamp, head: Head<'_>, pool: &mut Pool, out: &mut impl Out) -> Result<(), Fault> {
        let length = head.bytes().len();
        let facts = RequestFacts::of(head.bytes());
        let facts = match facts {
            Ok(_) if self.queue.len() >= MAX_PENDING => {
                Err("expected at most 1024 requests without their responses, got one more")
            }
            Ok(_) if self.held.saturating_add(length) > MAX_HELD => {
                Err("expected at most 512 KiB of heads without their responses, got more")
            }
            other => other,
        };
        let facts = match facts {
            Ok(facts) => facts,
            Err(why) => {
                head.done(pool);
                return Err(self.client.fault(Side::Client, back(length), why.to_owned()));
            }
        };
        let changed = self.requests > 0 && facts.marker != self.marker;
        self.marker = facts.marker;
        self.requests = self.requests.saturating_add(1);
        self.held = self.held.saturating_add(length);
        self.queue.push(Pending::new(
            self.requests,
            self.request,
            at,
            head.keep(pool),
            &facts,
            changed || facts.upgrade,
        ));
        out.request(self.requests);
        self.client.content = 0;
        if facts.body == Body::None {
            self.request_ended(at, pool, out);
        } else {
            self.client.state = State::Body(facts.body);
        }
        Ok(())
    }

    /// A request's last byte has come.
    fn request_ended(&mut self, at: Stamp, pool: &mut Pool, out: &mut impl Out) {
        self.client.state = State::default();
        let Some(last) = self.queue.last() else {
            return;
        };
        last.request_ended(at, self.client.content);
        if last.method == Method::Connect && !last.answered {
            self.client.state = State::Connect(0);
        }
        // Only the first can have its response; then it is the last as well, since the client was still sending it.
        if let Some(end) = last.response_end {
            self.over(end, pool, out);
        }
    }
}
