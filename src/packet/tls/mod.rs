//! TLS in a capture: opened with the secrets of a key log, or counted.
//!
//! ```text
//! bytes of a direction ─▶ record: headers ─▶ opener: sealed records (aead, cbc) ─▶ messages: the handshake
//!                                                 ▲                                      │ randoms, suite
//!                                            derive ◀── keylog: secrets ◀────────────────┘
//! ```
//!
//! Every tag and every MAC is checked: what comes out is what was sent, or nothing.

mod aead;
mod cbc;
mod derive;
mod hello;
mod keylog;
mod messages;
mod opener;
mod read;
mod record;
mod records;
mod suite;
#[cfg(test)]
mod tests;
mod why;

use std::fmt;

use crate::model::transport::{Certificate, Tls};

pub use keylog::KeyLog;
pub use why::Why;

use messages::{Agreed, Greeting};
use opener::Opener;
use record::{Direction, WAITING};

/// How far a session can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Not yet clear: the handshake is under way.
    Handshake,
    /// Application data comes out. What was agreed by ALPN is known.
    Open,
    /// It stays closed, for this reason. No byte comes out any more.
    Closed(Why),
}

/// One TLS connection, from its first byte.
pub struct Session {
    certificate: fn(&[u8]) -> Option<Certificate>,
    facts: Tls,
    client: Direction,
    server: Direction,
    greeting: Option<Greeting>,
    agreed: Option<Agreed>,
    /// Keys of TLS up to 1.2 that a ChangeCipherSpec puts into force: the client's and the server's.
    next: Option<(Option<Opener>, Option<Opener>)>,
    open: bool,
    why: Option<Why>,
}

impl Session {
    /// Whether what a side sends first, or from the middle of a connection, is TLS; `None` while too little has come.
    pub fn begins(first: &[u8]) -> Option<bool> {
        record::begins(first)
    }

    /// A session of which nothing has come. `certificate` reads a DER certificate's facts.
    pub fn new(certificate: fn(&[u8]) -> Option<Certificate>) -> Self {
        Self {
            certificate,
            facts: Tls::default(),
            client: Direction::default(),
            server: Direction::default(),
            greeting: None,
            agreed: None,
            next: None,
            open: false,
            why: None,
        }
    }

    /// The next bytes of the client or of the server; plain application data goes to `plain`, with whose it is (true:
    /// the client's). That may be the other side's: what came before the message that says how to open it.
    pub fn bytes(
        &mut self,
        from_client: bool,
        bytes: &[u8],
        keys: &KeyLog,
        plain: &mut impl FnMut(bool, &[u8]),
    ) -> Reading {
        self.side(from_client).push(bytes);
        self.run(from_client, keys, plain);
        for client in [true, false] {
            if self.side(client).compact() > WAITING && self.side(client).waits {
                self.close(Why::OneSided);
            }
        }
        self.reading()
    }

    /// Bytes of that direction are missing from the capture. Where the next record begins, and how many there were
    /// before it, is then not known; so nothing is read any more.
    pub fn lost(&mut self, from_client: bool) -> Reading {
        let side = self.side(from_client);
        if side.begun && !side.ended {
            self.close(Why::Missing);
        } else if !side.ended {
            self.close(Why::NotFromBeginning);
        }
        self.reading()
    }

    /// How far it can be read.
    pub const fn reading(&self) -> Reading {
        match self.why {
            // A side whose keys are not known keeps the other from being read only once that one is sealed too: until
            // then it may send an alert.
            Some(why) if self.client.dark && self.server.dark => Reading::Closed(why),
            _ if self.open => Reading::Open,
            _ => Reading::Handshake,
        }
    }

    /// What the handshake showed so far.
    pub fn facts(&self) -> Tls {
        self.facts.clone()
    }

    /// Whether an orderly end (close_notify) of that side was seen.
    pub const fn ended(&self, client: bool) -> bool {
        if client { self.client.ended } else { self.server.ended }
    }

    /// Bytes that are held, of either side, until more comes.
    pub const fn footprint(&self) -> usize {
        self.client.footprint() + self.server.footprint()
    }

    const fn side(&mut self, client: bool) -> &mut Direction {
        if client { &mut self.client } else { &mut self.server }
    }

    /// Nothing is read any more. The first reason counts.
    fn close(&mut self, why: Why) {
        self.why.get_or_insert(why);
        self.client.darken();
        self.server.darken();
        self.next = None;
    }

    /// That side's next records cannot be opened. The other's are read while they are not sealed.
    fn darken(&mut self, client: bool, why: Why) {
        self.why.get_or_insert(why);
        self.side(client).darken();
        if self.open {
            self.close(why);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({:?}, {:?})", self.reading(), self.facts)
    }
}
