//! The relay and its surroundings: clock, accept, dial, relay, the tap's driver, TLS, the observer's thread.
//!
//! One client connection is one upstream connection, and one task on one of the [`workers`]' threads: [`connection`]
//! opens both sides and shrinks to the [`relay`], which moves two [`flow`]s and shows each chunk to the [`tap`]. The tap
//! drives the framing and hands what matters to the [`feed`], a bounded queue that is never waited for; the
//! [`observer`]'s thread makes events of it and the [`outlet`] gives those to the sinks.

mod answer;
mod close;
mod connection;
mod dial;
mod feed;
mod flow;
mod limit;
mod observer;
mod open;
mod outlet;
mod relay;
mod serve;
mod socket;
mod tap;
mod workers;

pub mod clock;
pub mod tls;

pub use clock::Clock;
pub use dial::{DialError, Opened, Probe, Stream, Upstream, open, probe, probe_certificate};
pub use feed::Feed;
pub use limit::{fewer_connections, raise_descriptors};
pub use observer::{Analyse, Observer, QUEUE, Stuck};
pub use serve::{Listening, Server, SiteConfig, StartError, own_address};
