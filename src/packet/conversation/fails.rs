//! What becomes of a connection whose framing fails, and how many reasons are told apart why TLS stays closed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::http::{self, Http};
use super::{Conversations, Counts};
use crate::packet::When;
use crate::packet::tcp::{FlowId, Wanted};

/// So many reasons why TLS stayed closed are told apart: a capture may have a cipher suite for each connection.
const MOST_REASONS: usize = 24;

/// What the reasons beyond are counted under.
const OTHER_REASONS: &str = "other reasons";

/// Why a connection is not followed on whose framing panicked.
const FAILED: &str = "authtap's own framing failed";

impl Counts {
    /// A TLS connection stayed closed, for this reason.
    pub(super) fn stayed_closed(&mut self, why: &str) {
        let known = self.closed.contains_key(why) || self.closed.len() < MOST_REASONS;
        let count = self.closed.entry(if known { why } else { OTHER_REASONS }.to_owned()).or_default();
        *count = count.saturating_add(1);
    }
}

impl Conversations {
    /// Does what a connection asks for. A fault of authtap's own costs that connection and not the report.
    pub(super) fn guarded(&mut self, flow: FlowId, when: When, work: impl FnOnce(&mut Self) -> Wanted) -> Wanted {
        self.at_work = None;
        match catch_unwind(AssertUnwindSafe(|| work(&mut *self))) {
            Ok(wanted) => wanted,
            Err(_) => self.failed(flow, when),
        }
    }

    fn failed(&mut self, flow: FlowId, when: When) -> Wanted {
        let left = self.flows.remove(&flow);
        self.held = self.held.saturating_sub(left.as_ref().map_or(0, |c| c.held));
        match left.and_then(|c| c.http().map(Http::id)).or(self.at_work.take()) {
            Some(id) => self.told.observations.push(http::not_followed(id, when, FAILED, 0)),
            None => self.counts.stayed_closed(FAILED),
        }
        Wanted::Ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Stamp;
    use crate::model::frame::Frame;
    use crate::model::transport::Certificate;
    use crate::packet::tcp::{End, Ends, Happening, Listen as _};
    use crate::packet::tls::KeyLog;
    use crate::wire::observation::Seen;

    /// A capture with a reason for each connection made a report of megabytes.
    #[test]
    fn reasons_why_tls_stays_closed_are_bounded() {
        let mut counts = Counts::default();
        for number in 0..10_000 {
            counts.stayed_closed(&format!("reason {number}"));
        }
        assert_eq!(counts.closed.len(), MOST_REASONS + 1);
        assert_eq!(counts.closed.values().sum::<u64>(), 10_000);
    }

    fn fails(_: &[u8]) -> Option<Certificate> {
        panic!("a certificate that nobody thought of")
    }

    fn when(number: u64) -> When {
        When { at: Stamp(0), frame: Frame { file: 0, number } }
    }

    /// One connection that authtap itself fails on cost the report of all others.
    #[test]
    fn a_connection_that_fails_costs_no_other() {
        let mut all = Conversations::new(KeyLog::default(), fails);
        for flow in 0..2_u16 {
            let ends = Ends {
                first: ([192, 0, 2, 7], 40_000 + flow).into(),
                second: ([192, 0, 2, 80], 80).into(),
                whole: true,
            };
            all.heard(FlowId(flow.into()), when(1), Happening::Opened(ends));
        }
        let mut says = |flow, end, bytes: &[u8]| all.heard(FlowId(flow), when(9), Happening::Bytes(end, bytes));
        says(1, End::First, b"GET / HTTP/1.1\r\n");
        let record = |kind: u8, body: &[u8]| {
            let length = u16::try_from(body.len()).unwrap().to_be_bytes();
            [&[kind, 3, 3, length[0], length[1]], body].concat()
        };
        let message = |kind: u8, body: &[u8]| {
            let [_, a, b, c] = u32::try_from(body.len()).unwrap().to_be_bytes();
            [&[kind, a, b, c], body].concat()
        };
        let hello = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0xc0, 0x2f, 1, 0]].concat();
        says(0, End::First, &record(0x16, &message(1, &hello)));
        let server = [&[3, 3][..], &[8; 32], &[0, 0xc0, 0x2f, 0]].concat();
        let certificate = [0, 0, 6, 0, 0, 3, 0x30, 1, 0];
        let flight = record(0x16, &[message(2, &server), message(11, &certificate)].concat());
        assert_eq!(says(0, End::Second, &flight), Wanted::Ends);
        assert_eq!(says(1, End::First, b"Host: a.example.test\r\n\r\n"), Wanted::Bytes);
        says(1, End::Second, b"HTTP/1.1 401 Unauthorized\r\n\r\n");
        assert_eq!(all.counts().closed.keys().collect::<Vec<_>>(), [FAILED]);
        assert!(all.observations().any(|o| matches!(o.what, Seen::Exchange(..))));
    }
}
