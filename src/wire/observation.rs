//! What a tap hands to the observer: raw heads of what matters, openings, ends and gaps.

use crate::model::event::{ConnectionClose, ConnectionOpen, Gap, HalfClose, Interim, Start, Times};
use crate::model::{ConnectionId, ExchangeNo, Secret, Stamp};

/// One thing that was seen.
#[derive(Debug)]
pub struct Observation {
    /// When.
    pub at: Stamp,
    /// What.
    pub what: Seen,
}

/// The kinds of observation.
#[derive(Debug)]
pub enum Seen {
    /// The tap starts.
    Start(Box<Start>),
    /// A connection opened.
    Opened(Box<ConnectionOpen>),
    /// A response's head is complete (or its connection ended without one).
    Exchange(ConnectionId, Box<RawExchange>),
    /// The exchange's last byte passed.
    Ended(ConnectionId, Ended),
    /// Something was not seen.
    Gap(Gap),
    /// One side sent its FIN, and the other may go on.
    HalfClosed(HalfClose),
    /// A connection ended. `mid_handshake` is filled in by `track`.
    Closed(Box<ConnectionClose>),
}

/// The raw heads of one exchange. They hold secrets, hence the wrapping; only `track::intake` opens it.
#[derive(Debug)]
pub struct RawExchange {
    /// Number on its connection, from 1, counting the unreported ones.
    pub exchange: ExchangeNo,
    /// The request's head, to the empty line; or what had come of it when the server refused it before its end
    /// (`http1::head::RequestHead` reads its whole lines).
    pub request: Secret<Vec<u8>>,
    /// The final response's head; `None` when the connection ended, or the stream was reset, before it.
    pub response: Option<Secret<Vec<u8>>>,
    /// The error code that an HTTP/2 stream was reset with before its response (RFC 9113 section 7).
    pub reset: Option<u32>,
    /// The interim responses before it (RFC 9110 section 15.2), at most 64.
    pub interim: Vec<Interim>,
    /// When its parts passed; what comes after the response's head is not yet known.
    pub times: Times,
}

/// Most bytes that are copied of a body. IIS's own pages have 1 to 7 KB.
pub const COPIED: usize = 8 * 1024;

/// The end of an exchange that was reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub exchange: ExchangeNo,
    /// Request body bytes, as decoded from the framing.
    pub request_body: u64,
    /// Response body bytes.
    pub response_body: u64,
    /// The first bytes of a refusal's body, chunked coding taken off, at most [`COPIED`]; `None` when there are none, or
    /// the status is below 400. It may hold secrets: only `track::intake` opens it.
    pub body: Option<Secret<Vec<u8>>>,
    /// The response came to its end, and all of its body is in `body`.
    pub body_whole: bool,
    /// First byte of the request's body.
    pub request_body_at: Option<Stamp>,
    /// Last byte of the request; `None` when it did not come whole.
    pub request_end: Option<Stamp>,
    /// First byte of the response's body.
    pub response_body_at: Option<Stamp>,
    /// Last byte of the response; the connection's end when that cut it.
    pub end: Stamp,
}
