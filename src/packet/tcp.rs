//! TCP reassembly: segments, as they were captured, become the bytes of each direction in order. Bounded, and what the
//! capture does not hold is told and never guessed.

use std::net::SocketAddr;

use super::{Segment, When};

/// One TCP connection of a capture, from 0 in the order of their first packets. A port pair that is used again is
/// another connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub u64);

/// Whose bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// Who sent the SYN; without one, who sent the first packet.
    First,
    /// The other end.
    Second,
}

/// What the capture shows of how a connection began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The address of [`End::First`].
    pub first: SocketAddr,
    /// The address of [`End::Second`].
    pub second: SocketAddr,
    /// Its SYN, or the answer to it, was captured: `first` is the client's end, and nothing came before.
    pub whole: bool,
}

/// What happens on a connection, in the order of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening<'a> {
    /// Its first packet.
    Opened(Ends),
    /// The next bytes of a direction, once.
    Bytes(End, &'a [u8]),
    /// The next bytes of a direction are not in the capture, so many; what follows comes after them.
    Missing(End, u64),
    /// A direction's orderly end, in its place after the bytes.
    Fin(End),
    /// A reset by that end. Nothing follows.
    Reset(End),
    /// Both directions have ended. Nothing follows.
    Closed,
    /// Forgotten: its port pair is used anew, or the table was full. Nothing follows.
    Forgotten,
}

/// Whether a connection's bytes are still wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Go on.
    Bytes,
    /// Only ends: nothing more is kept or told of its bytes.
    Ends,
}

/// Who listens to the connections.
pub trait Listen {
    /// Something happened. `when` is the packet that made it known: bytes that waited for a late one have its time.
    fn heard(&mut self, flow: FlowId, when: When, what: Happening<'_>) -> Wanted;
}

/// All connections of a capture.
#[derive(Debug, Default)]
pub struct Tcp {}

impl Tcp {
    /// Takes in the next packet of the capture.
    pub fn segment(&mut self, _when: When, _segment: &Segment<'_>, _to: &mut impl Listen) {}

    /// The capture ends: what still waits is told, with what is missing before it.
    pub fn finish(&mut self, _when: When, _to: &mut impl Listen) {}
}
