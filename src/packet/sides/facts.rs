//! What a report says of the sides.

use std::net::SocketAddr;

use crate::finding::Footprint;

/// The sides of a capture, and what connects them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The outermost first. One when no hop is seen from both sides.
    pub sides: Vec<SideFacts>,
    /// The hops that the capture shows from both sides, by their addresses.
    pub hops: Vec<HopFacts>,
    /// The sides were settled before the end, because there was too much to hold back.
    pub settled_early: bool,
    /// Two endpoints that, as came out when the sides were settled, stand in front of each other otherwise than was
    /// taken: what is told of their connections may be told twice, or not. At most 16.
    pub contradictions: Vec<(SocketAddr, SocketAddr)>,
    /// So many exchanges contradicted so.
    pub contradicted: u64,
    /// Exchanges with a pair were forgotten, because there were too many: some evidence names one side only.
    pub forgotten: bool,
}

/// One side: the servers that a client, or a hop, connected to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SideFacts {
    /// The servers' endpoints, in order; at most 64.
    pub endpoints: Vec<SocketAddr>,
    /// How many there are.
    pub endpoints_in_all: usize,
    /// Connections to them.
    pub connections: u64,
    /// Exchanges on them that were told.
    pub exchanges: u64,
    /// Exchanges of which the next side further in has the other half.
    pub paired: u64,
}

/// A hop: what came in at one endpoint went out to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HopFacts {
    /// Where it listens.
    pub at: SocketAddr,
    /// The next endpoints behind it, in order.
    pub to: Vec<SocketAddr>,
    /// Its clock and theirs differ by more than a request takes: this was captured on several machines.
    pub clocks_differ: bool,
}

/// How much is remembered, to prove that it is bounded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SidesFootprint {
    /// Bytes that are held back until the sides are settled.
    pub held: usize,
    /// Connections that are open, or whose end was not seen.
    pub connections: usize,
    /// Server endpoints.
    pub endpoints: usize,
    /// Exchanges that are known by their marks, and their connections' partners.
    pub exchanges: usize,
    /// Numbers of exchanges whose end was not seen.
    pub numbers: usize,
    /// Findings that wait for the end.
    pub findings: usize,
    /// Each side's engine.
    pub engines: Vec<Footprint>,
}
