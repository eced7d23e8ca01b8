//! The framing of a connection, whichever HTTP it speaks.

use super::http1::{Http1, Out, Pool};
use super::http2::{Http2, PREFACE};
use crate::model::Stamp;

/// Length of the preface's first line: so much of it cannot be HTTP/1, and less may be.
const FIRST_LINE: usize = 15;

/// Follows one connection: HTTP/1, or HTTP/2 when the client begins with its preface (RFC 9113 section 3.4) or TLS
/// agreed on it.
///
/// The client's bytes go to HTTP/1's framing until they can be nothing but the preface. So a request is seen by its very
/// first byte, and one that begins like the preface (`P`) loses nothing.
#[derive(Debug)]
pub struct Follow {
    kind: Kind,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "HTTP/1 is what most connections speak: it needs no memory of its own")]
enum Kind {
    /// So much of the preface has come; `None` once it is clear that it does not.
    Http1(Http1, Option<usize>),
    Http2(Box<Http2>),
}

impl Follow {
    /// A connection whose protocol its first bytes will tell. `all`: every exchange is told, and not only those that have
    /// to do with authentication or were refused.
    pub fn new(all: bool) -> Self {
        Self { kind: Kind::Http1(Http1::default().telling_all(all), Some(0)) }
    }

    /// A connection that agreed on HTTP/2 by ALPN. There the server may speak first.
    pub fn http2(all: bool) -> Self {
        Self { kind: Kind::Http2(Box::new(Http2::default().telling_all(all))) }
    }

    /// Bytes from the client, before they are forwarded.
    pub fn client(&mut self, at: Stamp, bytes: &[u8], pool: &mut Pool, out: &mut impl Out) {
        match &mut self.kind {
            Kind::Http1(http, preface) => {
                if let Some(seen) = *preface {
                    let wanted = PREFACE.get(seen..).unwrap_or_default();
                    let same = wanted.iter().zip(bytes).take_while(|(a, b)| a == b).count();
                    let now = seen.saturating_add(same);
                    if now >= FIRST_LINE && http.watching() {
                        return self.switch(at, seen, bytes, pool, out);
                    }
                    *preface = (same == bytes.len()).then_some(now);
                }
                http.client(at, bytes, pool, out);
            }
            Kind::Http2(http) => http.client(at, bytes, pool, out),
        }
    }

    /// It is HTTP/2: `seen` bytes of the preface came before.
    fn switch(&mut self, at: Stamp, seen: usize, bytes: &[u8], pool: &mut Pool, out: &mut impl Out) {
        let Kind::Http1(http, _) = &mut self.kind else {
            return;
        };
        let mut http2 = Box::new(Http2::default().telling_all(http.tells_all()));
        // Nothing is open in it but a piece of a line.
        http.closed(at, pool, out);
        http2.client(at, PREFACE.get(..seen).unwrap_or_default(), pool, out);
        http2.client(at, bytes, pool, out);
        self.kind = Kind::Http2(http2);
    }

    /// Bytes from the upstream, before they are forwarded.
    pub fn upstream(&mut self, at: Stamp, bytes: &[u8], pool: &mut Pool, out: &mut impl Out) {
        // An HTTP/1 server never begins with a zero byte, and one of HTTP/2 begins with SETTINGS, whose length does.
        if let (Kind::Http1(http, Some(seen)), Some(0)) = (&self.kind, bytes.first())
            && http.watching()
        {
            let seen = *seen;
            self.switch(at, seen, &[], pool, out);
        }
        match &mut self.kind {
            Kind::Http1(http, preface) => {
                if !bytes.is_empty() {
                    *preface = None;
                }
                http.upstream(at, bytes, pool, out);
            }
            Kind::Http2(http) => http.upstream(at, bytes, pool, out),
        }
    }

    /// `n` bytes of a direction were not seen; whether it can go on without them ([`Http1::skip`]). HTTP/2 cannot: its
    /// compression of heads needs all that came before.
    pub fn skip(&mut self, from_client: bool, at: Stamp, n: u64, pool: &mut Pool, out: &mut impl Out) -> bool {
        match &mut self.kind {
            Kind::Http1(http, _) => http.skip(from_client, at, n, pool, out),
            Kind::Http2(_) => n == 0,
        }
    }

    /// The client sent its FIN: no more requests.
    pub fn client_end(&mut self, at: Stamp, pool: &mut Pool, out: &mut impl Out) {
        if let Kind::Http1(http, _) = &mut self.kind {
            http.client_end(at, pool, out);
        }
    }

    /// The upstream sent its FIN: ends a body that has no length. HTTP/2 has none of those.
    pub fn upstream_end(&mut self, at: Stamp, pool: &mut Pool, out: &mut impl Out) {
        if let Kind::Http1(http, _) = &mut self.kind {
            http.upstream_end(at, pool, out);
        }
    }

    /// The connection is over, in whatever way: tells what was still open.
    pub fn closed(&mut self, at: Stamp, pool: &mut Pool, out: &mut impl Out) {
        match &mut self.kind {
            Kind::Http1(http, _) => http.closed(at, pool, out),
            Kind::Http2(http) => http.closed(at, pool, out),
        }
    }

    /// Memory that unfinished messages take here, about, in bytes.
    pub fn footprint(&self) -> usize {
        match &self.kind {
            Kind::Http1(http, _) => http.footprint(),
            Kind::Http2(http) => http.footprint(),
        }
    }

    /// Requests seen so far, the unreported ones included.
    pub const fn exchanges(&self) -> u32 {
        match &self.kind {
            Kind::Http1(http, _) => http.exchanges(),
            Kind::Http2(http) => http.exchanges(),
        }
    }

    /// Whether HTTP is followed: not after what could not be followed, an upgrade, an accepted CONNECT, or the end.
    pub fn watching(&self) -> bool {
        match &self.kind {
            Kind::Http1(http, _) => http.watching(),
            Kind::Http2(http) => http.watching(),
        }
    }

    /// Whether HTTP is followed and no message is under way: a connection that can end here without harm.
    pub fn between_messages(&self) -> bool {
        match &self.kind {
            Kind::Http1(http, _) => http.between_messages(),
            Kind::Http2(http) => http.between_messages(),
        }
    }
}
