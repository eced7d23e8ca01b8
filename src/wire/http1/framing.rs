//! How long a body is (RFC 9112 section 6.3, "Message Body Length").

use super::body::Body;

/// What `Content-Length` and `Transfer-Encoding` of one head say, in one pass over its fields.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lengths {
    length: Length,
    coding: Coding,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Length {
    #[default]
    Absent,
    Is(u64),
    Invalid,
    Conflicting,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    Absent,
    /// The last coding is `chunked`, and it is the only such.
    Chunked,
    /// The last coding is another.
    Other,
    Invalid,
}

impl Lengths {
    /// A `Content-Length` field: one number, or a list of equal ones (RFC 9110 section 8.6).
    pub(super) fn content_length(&mut self, value: &[u8]) {
        for part in value.split(|b| *b == b',') {
            let number = number(part.trim_ascii());
            self.length = match (self.length, number) {
                (Length::Invalid, _) | (_, None) => Length::Invalid,
                (Length::Absent, Some(n)) => Length::Is(n),
                (Length::Is(m), Some(n)) if m == n => Length::Is(n),
                _ => Length::Conflicting,
            };
        }
    }

    /// A `Transfer-Encoding` field: a list of codings (RFC 9112 section 6.1).
    pub(super) fn transfer_encoding(&mut self, value: &[u8]) {
        for part in value.split(|b| *b == b',') {
            let part = part.trim_ascii();
            let name = part.split(|b| *b == b';').next().unwrap_or_default();
            let chunked = name.trim_ascii_end().eq_ignore_ascii_case(b"chunked");
            self.coding = match self.coding {
                // Nothing may follow `chunked`, it has no parameters, and an empty element is read in different ways.
                Coding::Invalid | Coding::Chunked => Coding::Invalid,
                _ if name.is_empty() || (chunked && name.len() != part.len()) => Coding::Invalid,
                _ if chunked => Coding::Chunked,
                _ => Coding::Other,
            };
        }
    }

    /// A request's body (items 3, 4, 5, 6, 7).
    pub(super) fn request(self, http10: bool) -> Result<Body, &'static str> {
        match (self.coding, self.length) {
            (Coding::Absent, _) => self.by_length(Body::None),
            _ if http10 => Err(CODING_IN_10),
            (Coding::Chunked, _) => Ok(Body::CHUNKED),
            (Coding::Other, _) => Err("expected a request body that ends in chunked, got another transfer coding"),
            (Coding::Invalid, _) => Err(INVALID_CODING),
        }
    }

    /// A response's body, when its status and its request's method allow one (items 3, 4, 5, 6, 8).
    pub(super) fn response(self, http10: bool) -> Result<Body, &'static str> {
        match (self.coding, self.length) {
            (Coding::Absent, _) => self.by_length(Body::UntilClose),
            _ if http10 => Err(CODING_IN_10),
            (Coding::Chunked, _) => Ok(Body::CHUNKED),
            (Coding::Other, _) => Ok(Body::UntilClose),
            (Coding::Invalid, _) => Err(INVALID_CODING),
        }
    }

    const fn by_length(self, otherwise: Body) -> Result<Body, &'static str> {
        match self.length {
            Length::Absent => Ok(otherwise),
            Length::Is(0) => Ok(Body::None),
            Length::Is(n) => Ok(Body::Length(n)),
            Length::Invalid => Err("expected a number in Content-Length, got another value"),
            Length::Conflicting => Err("expected one Content-Length, got several that differ"),
        }
    }
}

// RFC 9112 section 6.1: a message with a coding that its version does not know has faulty framing.
const CODING_IN_10: &str = "expected no Transfer-Encoding in an HTTP/1.0 message, got one";
const INVALID_CODING: &str = "expected transfer codings with chunked once and last, got another list";

/// Digits only: `+5` and ` 5 ` are read in different ways (RFC 9110 section 8.6).
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(fields: &[(&str, &str)]) -> Lengths {
        let mut lengths = Lengths::default();
        for (name, value) in fields {
            match *name {
                "cl" => lengths.content_length(value.as_bytes()),
                _ => lengths.transfer_encoding(value.as_bytes()),
            }
        }
        lengths
    }

    /// A body's length read wrongly pairs every later answer with the wrong request.
    #[test]
    fn the_rules_in_their_order() {
        /// Fields, the request's body, the response's.
        type Row<'a> = (&'a [(&'a str, &'a str)], Option<Body>, Option<Body>);
        let table: &[Row<'_>] = &[
            (&[], Some(Body::None), Some(Body::UntilClose)),
            (&[("cl", "0")], Some(Body::None), Some(Body::None)),
            (&[("cl", "5")], Some(Body::Length(5)), Some(Body::Length(5))),
            (&[("cl", "5"), ("cl", "5")], Some(Body::Length(5)), Some(Body::Length(5))),
            (&[("cl", "5, 5")], Some(Body::Length(5)), Some(Body::Length(5))),
            (&[("cl", "5"), ("cl", "6")], None, None),
            (&[("cl", "5, 6")], None, None),
            (&[("cl", "5,")], None, None),
            (&[("cl", "+5")], None, None),
            (&[("cl", "")], None, None),
            (&[("cl", "18446744073709551616")], None, None),
            (&[("te", "chunked")], Some(Body::CHUNKED), Some(Body::CHUNKED)),
            (&[("te", "Chunked"), ("cl", "5")], Some(Body::CHUNKED), Some(Body::CHUNKED)),
            (&[("te", "gzip, chunked")], Some(Body::CHUNKED), Some(Body::CHUNKED)),
            (&[("te", "gzip"), ("te", "chunked")], Some(Body::CHUNKED), Some(Body::CHUNKED)),
            (&[("te", "gzip")], None, Some(Body::UntilClose)),
            (&[("te", "chunked, gzip")], None, None),
            (&[("te", "chunked, chunked")], None, None),
            (&[("te", "chunked;q=1")], None, None),
            (&[("te", "")], None, None),
        ];
        for (fields, request, response) in table {
            let lengths = lengths(fields);
            assert_eq!(lengths.request(false).ok(), *request, "request {fields:?}");
            assert_eq!(lengths.response(false).ok(), *response, "response {fields:?}");
        }
        assert!(lengths(&[("te", "chunked")]).request(true).is_err());
        assert!(lengths(&[("te", "chunked")]).response(true).is_err());
    }
}
