//! Exchanges become handshakes, and handshakes are linked across connections.
//!
//! [`site::Site`] takes decoded exchanges in the order of their responses and tells, for each, a [`turn::Turn`]: what
//! it was in its connection's handshake machine ([`handshake`]), which challenge its AUTHENTICATE answers
//! ([`challenges`]), and what became of the handshake. It judges nothing: that is the catalogue's work.

pub mod asker;
pub mod challenges;
pub mod client;
mod conclude;
pub mod connection;
pub mod gaps;
pub mod handshake;
pub mod ids;
pub mod intake;
pub mod leg;
pub mod peers;
pub mod persistence;
pub mod site;
pub mod turn;
