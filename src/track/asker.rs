//! What kind of request it is that asks: a browser's preflight, a WebSocket, a script.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use super::handshake::Event;
use super::turn::Turn;

/// Whom a request comes from, where nothing better tells clients apart: its party, and a hash over its `User-Agent`.
pub type Sender = (IpAddr, u64);

impl Turn {
    /// Its sender. The hash is the same in each run.
    pub fn sender(&self) -> Sender {
        (self.party, hash(self.user_agent()))
    }

    /// A hash over its path, the same in each run.
    pub fn path_hash(&self) -> u64 {
        hash(self.path())
    }

    /// `User-Agent`; empty when there is none.
    pub fn user_agent(&self) -> &str {
        self.header("user-agent").unwrap_or_default()
    }

    /// A browser's CORS-preflight request (Fetch, section "CORS-preflight fetch"): it never carries credentials, and no
    /// challenge makes it.
    pub fn is_preflight(&self) -> bool {
        self.exchange.request.method == "OPTIONS"
            && self.header("origin").is_some()
            && self.header("access-control-request-method").is_some()
    }

    /// A WebSocket's opening (RFC 6455 section 4.1).
    pub fn opens_websocket(&self) -> bool {
        self.header("upgrade").is_some_and(|v| v.split(',').any(|p| p.trim().eq_ignore_ascii_case("websocket")))
    }

    /// A request without credentials, refused by a challenge that could be answered.
    pub fn is_asked(&self) -> bool {
        self.request == Event::Bare && self.answer == Event::Refused && !self.exchange.challenges.is_empty()
    }

    /// It brings credentials of any kind; an empty scheme brings none.
    pub fn brings_credentials(&self) -> bool {
        self.request != Event::Bare
    }

    /// The server took its credentials.
    pub const fn is_accepted(&self) -> bool {
        matches!(self.answer, Event::Accepted | Event::AcceptedOnce)
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
