//! TLS in a capture: opened with the secrets of a key log, or counted.

use crate::model::transport::{Certificate, Tls};

/// Secrets by the client's random, as in `SSLKEYLOGFILE` (NSS key log format).
#[derive(Debug, Default)]
pub struct KeyLog {}

impl KeyLog {
    /// Takes in the lines of a key log; gives how many lines were secrets, and how many could not be read.
    pub fn read(&mut self, _text: &[u8]) -> (usize, usize) {
        (0, 0)
    }
}

/// How far a session can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Not yet clear: the handshake is under way.
    Handshake,
    /// Application data comes out.
    Open,
    /// It stays closed, for this reason.
    Closed(&'static str),
}

/// One TLS connection, from its first byte.
#[derive(Debug)]
pub struct Session {}

impl Session {
    /// Whether what a client sends first is TLS; `None` while too little has come.
    pub fn begins(_first: &[u8]) -> Option<bool> {
        Some(false)
    }

    /// A session of which nothing has come. `certificate` reads a DER certificate's facts.
    pub fn new(_certificate: fn(&[u8]) -> Option<Certificate>) -> Self {
        Self {}
    }

    /// The next bytes of the client or of the server; plain application data goes to `plain`.
    pub fn bytes(
        &mut self,
        _from_client: bool,
        _bytes: &[u8],
        _keys: &KeyLog,
        _plain: &mut impl FnMut(&[u8]),
    ) -> Reading {
        Reading::Closed("not yet")
    }

    /// What the handshake showed so far.
    pub fn facts(&self) -> Tls {
        Tls::default()
    }

    /// Whether an orderly end (close_notify) of that side was seen.
    pub fn ended(&self, _client: bool) -> bool {
        false
    }
}
