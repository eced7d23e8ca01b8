//! What the observer tells. A capture file is a sequence of these.

use std::net::SocketAddr;
use std::time::Duration;

use super::auth::AuthField;
use super::finding::Finding;
use super::http::{Request, Response};
use super::transport::{Addresses, By, Certificate, End, Tls};
use super::{ConnectionId, ExchangeNo, HandshakeId, Stamp};

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Order in which the observer took it in; unique within a tap, from 1. Replays follow it.
    pub seq: u64,
    /// When it happened.
    pub at: Stamp,
    /// What happened.
    pub what: What,
}

/// The kinds of event, in the order of `INTERFACE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A tap started.
    Start(Box<Start>),
    /// A client connection was accepted and its upstream connection opened (or not: see `upstream_local`).
    ConnectionOpen(Box<ConnectionOpen>),
    /// A request and its response.
    Exchange(Box<Exchange>),
    /// A handshake came to its end.
    Handshake(Box<Handshake>),
    /// Something was not seen.
    Gap(Gap),
    /// One side of a connection ended in the middle of a handshake, while the other went on.
    ConnectionHalfClose(HalfClose),
    /// A connection ended.
    ConnectionClose(Box<ConnectionClose>),
    /// A defect.
    Finding(Box<Finding>),
    /// A tap stopped.
    Stop(Totals),
}

/// A tap's start: what it stands between, and what it found out about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Start {
    /// authtap's version.
    pub version: String,
    /// Real addresses that it listens on, one a site.
    pub listen: Vec<SocketAddr>,
    /// Upstream URLs, one a site.
    pub upstream: Vec<String>,
    /// The certificate that authtap shows to clients.
    pub certificate: Option<Certificate>,
    /// The certificate that IIS showed when asked at start.
    pub upstream_certificate: Option<Certificate>,
    /// Self-checks: name, and what was found.
    pub self_checks: Vec<(String, String)>,
}

impl Start {
    /// Name of the self-check that tells that IIS asks for a client certificate; without it, it did not when asked.
    pub const ASKED: &'static str = "client-certificate-asked";
}

/// A connection's opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionOpen {
    /// Its id.
    pub connection: ConnectionId,
    /// Its addresses.
    pub addresses: Addresses,
    /// TLS towards the client, when there is any.
    pub tls: Option<Tls>,
    /// TLS towards IIS, when there is any.
    pub upstream_tls: Option<Tls>,
    /// Its beginning was not seen (a packet capture that starts in the middle): what was agreed on it before is not known.
    pub begun_before: bool,
}

/// A request and its response, as far as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The connection.
    pub connection: ConnectionId,
    /// Its number there.
    pub exchange: ExchangeNo,
    /// The request's head.
    pub request: Request,
    /// Bytes of the request's body, as decoded from its framing.
    pub request_body: u64,
    /// The response's head; `None` when none came.
    pub response: Option<Response>,
    /// The error code that its HTTP/2 stream was reset with before a response came (RFC 9113 section 7).
    pub reset: Option<u32>,
    /// Bytes of the response's body.
    pub response_body: u64,
    /// The interim (1xx) responses before it.
    pub interim: Vec<Interim>,
    /// The credentials of the request.
    pub authorization: Option<AuthField>,
    /// The challenges (or the final token) of the response.
    pub challenges: Vec<AuthField>,
    /// When its parts passed.
    pub times: Times,
    /// What it was in its handshake: a name of `track::handshake`'s meanings, such as `challenge` or `logon`.
    pub leg: Option<String>,
    /// The number of the moment when its end was taken in, in the order of [`Event::seq`]; what is drawn from its bodies
    /// is drawn then. `None` when its end was not seen.
    pub end_seq: Option<u64>,
}

/// An interim response (RFC 9110 section 15.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interim {
    /// Its status code.
    pub status: u16,
    /// When its head was complete; `None` where a capture does not say.
    pub at: Option<Stamp>,
}

/// When the parts of an exchange passed authtap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// First byte of the request.
    pub request: Stamp,
    /// Last byte of the request's head.
    pub request_head: Stamp,
    /// First byte of the request's body; `None` when it has none, or none of it came.
    pub request_body: Option<Stamp>,
    /// Last byte of the request; `None` when it did not come whole.
    pub request_end: Option<Stamp>,
    /// Last byte of the response's head.
    pub response_head: Option<Stamp>,
    /// First byte of the response's body.
    pub response_body: Option<Stamp>,
    /// Last byte of the response.
    pub end: Option<Stamp>,
}

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// The server accepted it.
    Authenticated,
    /// The server refused a whole handshake.
    Rejected,
    /// Its legs did not come together: split, interleaved, or cut.
    Broken,
    /// The client did not go on.
    Abandoned,
}

/// The authentication of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// Its id.
    pub handshake: HandshakeId,
    /// `ntlm`, `negotiate-ntlm`, `kerberos`, `basic`, `digest`, `bearer`.
    pub scheme: String,
    /// Its end.
    pub outcome: Outcome,
    /// `DOMAIN\user`, as the client named it; `None` where it cannot be seen (Kerberos).
    pub user: Option<String>,
    /// The server that answered, by the names of its challenge, or the SPN of the ticket.
    pub server: Option<String>,
    /// Its legs in order.
    pub legs: Vec<Leg>,
    /// Which leg answers which, and how that is known.
    pub links: Vec<Link>,
}

/// One message of a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// Where.
    pub connection: ConnectionId,
    /// In which exchange.
    pub exchange: ExchangeNo,
    /// `NEGOTIATE`, `CHALLENGE`, `AUTHENTICATE`, `AP-REQ`, `AP-REP`, `CREDENTIALS` …
    pub message: String,
    /// When.
    pub at: Stamp,
}

/// The proof that a leg answers a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Connection and exchange of the CHALLENGE.
    pub challenge: (ConnectionId, ExchangeNo),
    /// Connection and exchange of the AUTHENTICATE.
    pub authenticate: (ConnectionId, ExchangeNo),
    /// How it is known.
    pub proof: LinkProof,
}

/// How a link is known, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinkProof {
    /// MsvAvTimestamp of both is equal (100 ns), so are the names, and no other challenge has it.
    Timestamp,
    /// The NTLMv2 response's TimeStamp equals the challenge's MsvAvTimestamp.
    ResponseTime,
    /// Only the names of the server agree, and the order on the connection.
    Names,
    /// Only the order on the connection.
    Order,
}

/// Something was not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The connection; `None` when all may be concerned.
    pub connection: Option<ConnectionId>,
    /// Why.
    pub what: GapWhat,
}

/// Why something was not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GapWhat {
    /// The observer's queue was full; so many observations were dropped.
    QueueFull {
        /// Dropped observations.
        dropped: u64,
    },
    /// The tap could not follow the bytes; the connection is blind from here.
    Unparsable {
        /// `client` or `upstream`: whose bytes.
        from: &'static str,
        /// Bytes of that direction before the place.
        offset: u64,
        /// What was expected and what came.
        why: String,
    },
    /// Packets are missing from a packet capture; the connection is blind from here.
    PacketsMissing {
        /// `client` or `upstream`: whose bytes.
        from: &'static str,
        /// Bytes of that direction before the place, as far as the capture has them.
        offset: u64,
        /// So many bytes are missing.
        bytes: u64,
    },
    /// The observer failed and was started anew.
    ObserverLost {
        /// The failure, in words.
        why: String,
    },
    /// A memory is full, and its oldest entries are forgotten: what needs them will not be found. Nothing is missing
    /// from the events themselves.
    LimitReached {
        /// What was remembered, such as a finding's slug.
        memory: String,
        /// So many entries are kept.
        most: u64,
    },
    /// A sink could not write; so many events are missing from it.
    SinkFailed {
        /// The sink's name.
        sink: String,
        /// Events it did not write.
        dropped: u64,
        /// The error.
        why: String,
    },
}

/// The end of one side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HalfClose {
    /// The connection.
    pub connection: ConnectionId,
    /// Whose FIN it was.
    pub by: By,
}

/// A connection's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionClose {
    /// The connection.
    pub connection: ConnectionId,
    /// Who, and how.
    pub end: End,
    /// A CHALLENGE was waiting for its AUTHENTICATE.
    pub mid_handshake: bool,
    /// Bytes from the client.
    pub client_bytes: u64,
    /// Bytes from the upstream.
    pub upstream_bytes: u64,
    /// All exchanges, the unrecorded ones included.
    pub exchanges: u32,
    /// From accept to end.
    pub duration: Duration,
}

/// What a tap saw in all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Connections opened.
    pub connections: u64,
    /// Exchanges, the unrecorded ones included.
    pub exchanges: u64,
    /// Handshakes by outcome.
    pub authenticated: u64,
    /// Handshakes refused whole.
    pub rejected: u64,
    /// Handshakes broken.
    pub broken: u64,
    /// Handshakes that the client gave up.
    pub abandoned: u64,
    /// Findings raised.
    pub findings: u64,
    /// Observations dropped.
    pub dropped: u64,
    /// Connections that went blind.
    pub blind: u64,
    /// NTLM handshakes whose pairing was proved: both legs linked on one connection.
    pub paired: u64,
}
