//! What unfinished messages of all connections take together is bounded, whatever a capture holds.

use std::cmp::Reverse;

use super::{Conversation, Conversations, Encrypted, Kind};
use crate::packet::When;
use crate::packet::conversation::http::Http;
use crate::packet::tcp::{FlowId, Wanted};

/// Most bytes of memory that connections take together, about: heads that have not come whole, requests without their
/// answers, TLS records. Tens of thousands of connections with one request each take less.
pub(super) const MOST: usize = 128 * 1024 * 1024;

const WHY: &str = "expected at most 128 MiB of unfinished messages on all connections together, got more, and this one \
                   was among those that held the most";

impl Conversation {
    /// Counts its memory anew.
    pub(super) fn count(&mut self, all: &mut usize) {
        let now = match &self.kind {
            Kind::Unclear(..) | Kind::Middle => 0,
            Kind::Http(http) => size_of::<Http>().saturating_add(http.footprint()),
            Kind::Tls(tls) => size_of::<Encrypted>()
                .saturating_add(tls.session.footprint())
                .saturating_add(tls.http.as_ref().map_or(0, Http::footprint)),
        };
        *all = all.saturating_sub(self.held).saturating_add(now);
        self.held = now;
    }
}

impl Conversations {
    /// After something of `flow`, of which so much is `wanted`: those that hold the most are given up when it is too much.
    pub(super) fn hold_bound(&mut self, flow: FlowId, when: When, wanted: Wanted) -> Wanted {
        if self.held <= self.most_held {
            return wanted;
        }
        self.give_up(when);
        if self.flows.contains_key(&flow) { wanted } else { Wanted::Ends }
    }

    /// Those with the most are given up until a quarter is free: so that looking for them is rare.
    fn give_up(&mut self, when: When) {
        let mut most: Vec<(usize, FlowId)> = self.flows.iter().map(|(flow, c)| (c.held, *flow)).collect();
        most.sort_unstable_by_key(|(held, flow)| (Reverse(*held), *flow));
        for (_, flow) in most {
            if self.held <= self.most_held / 4 * 3 {
                return;
            }
            let Some(c) = self.flows.remove(&flow) else { continue };
            self.held = self.held.saturating_sub(c.held);
            let http = match c.kind {
                Kind::Http(http) => Some(*http),
                Kind::Tls(tls) => tls.http,
                Kind::Unclear(..) | Kind::Middle => continue,
            };
            match http {
                Some(http) => http.given_up(when, WHY, &mut self.told),
                None => {
                    self.stays_closed("too many connections are in the middle of their handshakes");
                }
            }
        }
    }
}
