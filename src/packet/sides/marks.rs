//! What of an exchange can be known again on the other side of a hop.

use std::net::SocketAddr;

use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::token::Key;
use crate::token::passing::{self, Trace};
use crate::wire::http1::head::{RequestHead, ResponseHead};
use crate::wire::observation::RawExchange;

/// An exchange of the capture.
pub(super) type Place = (ConnectionId, ExchangeNo);

/// What an exchange is known by. Hashes only: of the heads nothing is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks {
    /// Credentials that no other request has.
    pub(super) request: Option<u64>,
    /// A challenge or an answer's token that no other response has.
    pub(super) response: Option<u64>,
    /// Credentials that each request of a user may have.
    pub(super) common: Option<u64>,
    /// Method, target and `User-Agent`.
    pub(super) line: u64,
    /// The response's status.
    pub(super) status: Option<u16>,
    /// The request has an `Authorization` field.
    pub(super) authorization: bool,
    /// The response has a `WWW-Authenticate` field.
    pub(super) challenged: bool,
}

impl Marks {
    /// Whether the hop between two sides handed on what matters: status, credentials and challenges.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.status, self.authorization, self.challenged) == (other.status, other.authorization, other.challenged)
    }
}

/// An exchange as it was seen at one server endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sighting {
    /// The server's endpoint, by its number.
    pub(super) endpoint: u32,
    /// Which exchange.
    pub(super) place: Place,
    /// Who sent the request.
    pub(super) client: SocketAddr,
    /// The request's first byte.
    pub(super) start: Stamp,
    /// The request's head.
    pub(super) head: Stamp,
    /// The response's head, or the end without one.
    pub(super) end: Stamp,
    /// What it is known by.
    pub(super) marks: Marks,
}

/// How two sightings lie in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    /// The second within the first.
    Inside,
    /// The first within the second.
    Outside,
    /// Both at the very same time.
    Same,
    /// Both have a moment in common.
    Overlap,
    /// One after the other.
    Apart,
}

impl Sighting {
    /// How `other` lies to this one, when `shift` microseconds are added to its times.
    pub(super) fn lies(&self, other: &Self, shift: i64) -> Lie {
        let (start, end) = (other.start.0.saturating_add(shift), other.end.0.saturating_add(shift));
        if (start, end) == (self.start.0, self.end.0) {
            Lie::Same
        } else if start >= self.start.0 && end <= self.end.0 {
            Lie::Inside
        } else if self.start.0 >= start && self.end.0 <= end {
            Lie::Outside
        } else if start <= self.end.0 && self.start.0 <= end {
            Lie::Overlap
        } else {
            Lie::Apart
        }
    }

    /// How long it took, microseconds.
    pub(super) fn length(&self) -> i64 {
        self.end.0.saturating_sub(self.start.0)
    }

    /// Its middle, microseconds since 1970.
    pub(super) fn middle(&self) -> i64 {
        self.start.0.saturating_add(self.length() / 2)
    }
}

/// Whether one request may be the other, by all that their marks say. A hop may have taken a field away.
pub(super) fn compatible(a: &Marks, b: &Marks) -> bool {
    let same = |a: Option<u64>, b: Option<u64>| a.is_none() || b.is_none() || a == b;
    let credentials = |m: &Marks| (m.request, m.common);
    let one_way = !a.authorization || !b.authorization || credentials(a) == credentials(b);
    a.line == b.line && a.status == b.status && one_way && same(a.response, b.response)
}

/// Reads the marks of an exchange.
pub(super) fn of(raw: &RawExchange, key: &Key) -> Marks {
    let mut marks = Marks::default();
    if let Some(head) = RequestHead::parse(raw.request.expose()) {
        let mut agent = Vec::new();
        for field in head.fields() {
            if field.name.eq_ignore_ascii_case("authorization") {
                marks.authorization = true;
                match passing::credentials(&field.value, key) {
                    Some(Trace::Unique(hash)) => marks.request = Some(hash),
                    Some(Trace::Common(hash)) => marks.common = Some(hash),
                    None => {}
                }
            } else if agent.is_empty() && field.name.eq_ignore_ascii_case("user-agent") {
                agent = field.value.into_owned();
            }
        }
        marks.line = passing::of_all([head.method.as_bytes(), origin_form(head.target), &agent], key);
    }
    if let Some(head) = raw.response.as_ref().and_then(|r| ResponseHead::parse(r.expose())) {
        marks.status = Some(head.status);
        for field in head.fields() {
            if field.name.eq_ignore_ascii_case("www-authenticate") {
                marks.challenged = true;
                marks.response = marks.response.or_else(|| passing::challenge(&field.value, key));
            }
        }
    }
    marks
}

/// The target without scheme and authority, which a client sends to a forward proxy only (RFC 9112 section 3.2.2).
fn origin_form(target: &[u8]) -> &[u8] {
    let rest = [&b"http://"[..], b"https://"].iter().find_map(|scheme| target.strip_prefix(*scheme));
    match rest {
        None => target,
        Some(rest) => rest.iter().position(|b| *b == b'/').and_then(|at| rest.get(at..)).unwrap_or(b"/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A forward proxy's requests would have no pair.
    #[test]
    fn a_target_is_known_with_and_without_its_host() {
        assert_eq!(origin_form(b"http://app.example.test:8080/a?b"), b"/a?b");
        assert_eq!(origin_form(b"https://app.example.test"), b"/");
        assert_eq!(origin_form(b"/a"), b"/a");
    }
}
