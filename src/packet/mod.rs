//! Packet captures: files of packets become the same observations as live traffic, and go through the same catalogue.
//!
//! ```text
//! file: pcap and pcapng blocks ─▶ link: Ethernet … IP ─▶ segment ─▶ tcp: reassembly ─▶ conversation: which side serves,
//! TLS opened, HTTP followed ─▶ sides: which connections stand before and which behind a hop, an engine each ─▶ events
//! ```
//!
//! Nothing here opens a file or reads a clock: a capture comes in as a [`std::io::Read`], time as the packets' own.

pub mod conversation;
pub mod diagnose;
pub mod file;
pub mod link;
pub mod sides;
pub mod tcp;
pub mod tls;

#[cfg(test)]
#[path = "../../tests/it/packets/made.rs"]
mod made;

use std::net::SocketAddr;

use crate::model::Stamp;
use crate::model::frame::Frame;

/// Whether a message, as evidence names it, is one of the server's; `logon` is the answer that let somebody in.
fn is_answer(message: &str) -> bool {
    matches!(message, "CHALLENGE" | "response" | "logon" | "AP-REP" | "KRB-ERROR" | "close")
}

/// When and where a packet was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// The capture's own time of it.
    pub at: Stamp,
    /// Where it is in the files.
    pub frame: Frame,
}

/// One TCP segment, as it was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Who sent it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// Sequence number of the first byte (RFC 9293 section 3.1); of the SYN itself, where that is set.
    pub sequence: u32,
    /// The next byte that its sender expects, where ACK is set.
    pub acknowledged: Option<u32>,
    /// SYN.
    pub syn: bool,
    /// FIN: comes after the payload.
    pub fin: bool,
    /// RST.
    pub rst: bool,
    /// What was captured of the payload.
    pub payload: &'a [u8],
    /// Bytes of the payload, after `payload`, that were sent and not captured (a short snap length).
    pub cut: u32,
}
