//! Telling one connection's listener, as long as it wants to hear.

use super::pieces::Part;
use super::{End, FlowId, Happening, Listen, Wanted};
use crate::packet::When;

/// Tells what one packet makes known of one connection.
pub(super) struct Tell<'a, L> {
    flow: FlowId,
    when: When,
    wanted: Wanted,
    to: &'a mut L,
}

impl<'a, L: Listen> Tell<'a, L> {
    pub(super) fn new(flow: FlowId, when: When, wanted: Wanted, to: &'a mut L) -> Self {
        Self { flow, when, wanted, to }
    }

    pub(super) const fn wanted(&self) -> Wanted {
        self.wanted
    }

    pub(super) fn bytes_wanted(&self) -> bool {
        self.wanted == Wanted::Bytes
    }

    pub(super) fn happened(&mut self, what: Happening<'_>) {
        if self.to.heard(self.flow, self.when, what) == Wanted::Ends {
            self.wanted = Wanted::Ends;
        }
    }

    /// Bytes of a direction, or that they are missing.
    pub(super) fn part(&mut self, end: End, part: Part<'_>) {
        if self.bytes_wanted() && part.len() > 0 {
            self.happened(match part {
                Part::Bytes(bytes) => Happening::Bytes(end, bytes),
                Part::Cut(length) => Happening::Missing(end, length),
            });
        }
    }
}
