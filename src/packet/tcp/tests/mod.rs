//! TCP reassembly, as a trace of what goes in and what is told.

mod bounds;
mod ends;
mod loss;
mod model;
mod order;
mod reuse;

use std::net::SocketAddr;

use super::{End, FlowId, Happening, Listen, Tcp, Wanted};
use crate::model::Stamp;
use crate::model::frame::Frame;
use crate::packet::{Segment, When};

/// Writes down what it hears.
#[derive(Default)]
struct Heard {
    lines: Vec<String>,
    whens: Vec<When>,
    /// Asks for ends only, after so many lines.
    enough: Option<usize>,
}

impl Listen for Heard {
    fn heard(&mut self, flow: FlowId, when: When, what: Happening<'_>) -> Wanted {
        let mark = |end| if end == End::First { '>' } else { '<' };
        let text = match what {
            Happening::Opened(ends) => {
                let how = if ends.whole { "whole" } else { "part" };
                format!("opened {how} {}", ends.first.port())
            }
            Happening::Bytes(end, bytes) => format!("{} {}", mark(end), String::from_utf8_lossy(bytes)),
            Happening::Missing(end, n) => format!("{} missing {n}", mark(end)),
            Happening::Fin(end) => format!("{} fin", mark(end)),
            Happening::Reset(end) => format!("{} reset", mark(end)),
            Happening::Closed => "closed".to_owned(),
            Happening::Twin => "twin".to_owned(),
            Happening::Forgotten => "forgotten".to_owned(),
        };
        self.lines.push(format!("{} {text}", flow.0));
        self.whens.push(when);
        if self.enough.is_some_and(|most| self.lines.len() > most) { Wanted::Ends } else { Wanted::Bytes }
    }
}

/// A capture that goes on, packet by packet, a millisecond each.
#[derive(Default)]
struct Trace {
    tcp: Tcp,
    heard: Heard,
    number: u64,
    at: i64,
}

fn client() -> SocketAddr {
    ([192, 0, 2, 1], 50_000).into()
}

fn server() -> SocketAddr {
    ([198, 51, 100, 7], 80).into()
}

/// A segment without flags.
fn plain(from_client: bool, sequence: u32, payload: &[u8]) -> Segment<'_> {
    let (from, to) = if from_client { (client(), server()) } else { (server(), client()) };
    Segment { from, to, sequence, acknowledged: None, syn: false, fin: false, rst: false, payload, cut: 0 }
}

impl Trace {
    fn when(&mut self) -> When {
        self.number += 1;
        self.at += 1_000;
        When { at: Stamp(self.at), frame: Frame { file: 0, number: self.number } }
    }

    fn packet(&mut self, segment: Segment<'_>) {
        let when = self.when();
        self.tcp.segment(when, &segment, &mut self.heard);
    }

    /// A SYN of the client, and the answer: its bytes begin at 1001, the server's at 5001.
    fn open() -> Self {
        let mut trace = Self::default();
        trace.packet(Segment { syn: true, ..plain(true, 1000, b"") });
        trace.packet(Segment { syn: true, acknowledged: Some(1001), ..plain(false, 5000, b"") });
        trace.told(&["0 opened whole 50000"]);
        trace
    }

    /// Data of the client.
    fn up(&mut self, sequence: u32, payload: &str) {
        self.packet(plain(true, sequence, payload.as_bytes()));
    }

    /// Data of the server.
    fn down(&mut self, sequence: u32, payload: &str) {
        self.packet(plain(false, sequence, payload.as_bytes()));
    }

    /// The server acknowledges, and sends nothing.
    fn up_acknowledged(&mut self, next: u32) {
        self.packet(Segment { acknowledged: Some(next), ..plain(false, 5001, b"") });
    }

    fn up_fin(&mut self, sequence: u32, payload: &str) {
        self.packet(Segment { fin: true, ..plain(true, sequence, payload.as_bytes()) });
    }

    fn down_fin(&mut self, sequence: u32, payload: &str) {
        self.packet(Segment { fin: true, ..plain(false, sequence, payload.as_bytes()) });
    }

    fn finish(&mut self) {
        let when = self.when();
        self.tcp.finish(when, &mut self.heard);
        assert_eq!((self.tcp.flows(), self.tcp.buffered()), (0, 0));
    }

    /// What was told since the last look.
    #[track_caller]
    fn told(&mut self, expected: &[&str]) {
        assert_eq!(std::mem::take(&mut self.heard.lines), expected);
    }
}
