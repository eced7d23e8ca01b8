//! HTTP/1 framing, both directions of one connection (RFC 9112).

use super::observation::{Ended, RawExchange};
use crate::model::Stamp;

/// Where the framing tells what it saw.
pub trait Out {
    /// A response's head is complete, or the connection ended without one, and the exchange matters.
    fn exchange(&mut self, exchange: RawExchange);
    /// An exchange that was told has ended.
    fn ended(&mut self, ended: Ended);
    /// The bytes could not be followed; nothing more will come of this connection.
    fn unparsable(&mut self, from: &'static str, offset: u64, why: String);
}

/// Spare buffers, shared by the connections of one thread: an idle connection holds none.
#[derive(Debug, Default)]
pub struct Pool {}

/// Follows both directions of one connection.
#[derive(Debug, Default)]
pub struct Http1 {}

impl Http1 {
    /// Bytes from the client, before they are forwarded.
    pub fn client(&mut self, _at: Stamp, _bytes: &[u8], _pool: &mut Pool, _out: &mut impl Out) {}

    /// Bytes from the upstream, before they are forwarded.
    pub fn upstream(&mut self, _at: Stamp, _bytes: &[u8], _pool: &mut Pool, _out: &mut impl Out) {}

    /// The client sent its FIN: no more requests.
    pub fn client_end(&mut self, _at: Stamp, _pool: &mut Pool, _out: &mut impl Out) {}

    /// The upstream sent its FIN: ends a body that has no length.
    pub fn upstream_end(&mut self, _at: Stamp, _pool: &mut Pool, _out: &mut impl Out) {}

    /// The connection is over, in whatever way: tells what was still open.
    pub fn closed(&mut self, _at: Stamp, _pool: &mut Pool, _out: &mut impl Out) {}

    /// Requests seen so far, the unreported ones included.
    pub const fn exchanges(&self) -> u32 {
        0
    }
}
