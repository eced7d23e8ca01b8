//! Where one direction is, and how its faults are placed.

use super::body::Body;
use super::reader::{Reader, Side};

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// Bytes before the slice at hand.
    pub(super) offset: u64,
    /// Content bytes of the last message that had a head.
    pub(super) content: u64,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    Head(Reader),
    Body(Body),
    /// After a CONNECT without its answer: so many bytes that are a tunnel's or a request's, as the answer will say.
    Connect(u64),
    /// After a request that was refused before its head was complete: the server reads no more.
    Refused,
}

impl Default for State {
    fn default() -> Self {
        Self::Head(Reader::default())
    }
}

/// Why a connection goes blind.
pub(in crate::wire) struct Fault {
    pub(in crate::wire) side: Side,
    pub(in crate::wire) offset: u64,
    pub(in crate::wire) why: String,
}

impl Direction {
    pub(super) fn pass(&mut self, bytes: &[u8], rest: &[u8]) {
        let passed = bytes.len().saturating_sub(rest.len());
        self.offset = self.offset.saturating_add(wide(passed));
    }

    pub(super) fn pass_all<'a>(&mut self, bytes: &[u8]) -> &'a [u8] {
        self.pass(bytes, &[]);
        &[]
    }

    /// Goes on through a body, and shows `content` its content; what follows it, and whether it is complete.
    pub(super) fn body<'a>(
        &mut self,
        side: Side,
        bytes: &'a [u8],
        mut content: impl FnMut(&[u8]),
    ) -> Result<(&'a [u8], bool), Fault> {
        let State::Body(body) = &mut self.state else {
            return Ok((bytes, true));
        };
        match body.advance(bytes, &mut content) {
            Ok(progress) => {
                let done = *body == Body::None;
                let rest = bytes.get(progress.consumed..).unwrap_or_default();
                self.content = self.content.saturating_add(progress.content);
                self.pass(bytes, rest);
                Ok((rest, done))
            }
            Err(broken) => Err(self.fault(side, signed(broken.at), broken.why.to_owned())),
        }
    }

    /// Goes on behind `n` bytes that were not seen, if all of them are content; whether the message is complete then.
    pub(super) fn skip(&mut self, n: u64) -> Option<bool> {
        let done = match &mut self.state {
            State::Body(body) => body.skip(n).then_some(*body == Body::None)?,
            // The server read none of it, whatever it was.
            State::Refused => false,
            State::Head(_) | State::Connect(_) => return None,
        };
        self.content = self.content.saturating_add(n);
        self.offset = self.offset.saturating_add(n);
        Some(done)
    }

    /// A fault `distance` bytes behind the current offset.
    pub(super) fn fault(&self, side: Side, distance: i64, why: String) -> Fault {
        Fault { side, offset: self.offset.saturating_add_signed(distance), why }
    }
}

pub(super) fn back(length: usize) -> i64 {
    signed(length).saturating_neg()
}

pub(super) fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(in crate::wire) fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
