//! The vocabulary: identities, times, decoded authentication facts, events, evidence and findings.
//!
//! Everything else in authtap speaks in these types. They hold no secret: whatever is in here may be stored, shown and
//! shared. The one exception is [`Secret`], which wraps what must not leave the edge and can be neither printed nor
//! serialised.

pub mod auth;
pub mod channel_binding;
pub mod event;
pub mod finding;
pub mod frame;
pub mod http;
pub mod ids;
pub mod network;
pub mod page;
pub mod secret;
pub mod short;
pub mod stamp;
pub mod transport;
pub mod user;

pub use ids::{ConnectionId, ExchangeNo, HandshakeId, TapId};
pub use secret::Secret;
pub use stamp::{FileTime, Stamp};
