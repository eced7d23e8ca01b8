//! What of a head decides whether its exchange is told, gathered in one pass with what decides its framing.

use super::body::Body;
use super::framing::Lengths;
use super::head::{RequestHead, ResponseHead};
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// What matters of a request's head.
#[derive(Debug, Clone, Copy)]
pub(in crate::wire) struct RequestFacts {
    pub(in crate::wire) method: Method,
    pub(super) body: Body,
    /// `Authorization` or `Proxy-Authorization`.
    pub(in crate::wire) authorization: bool,
    /// `Upgrade`.
    pub(super) upgrade: bool,
    /// Hash over what tells one client from another.
    pub(in crate::wire) marker: u64,
}

/// Methods that change the response's framing (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) enum Method {
    Head,
    Connect,
    Other,
}

/// What matters of a response's head.
#[derive(Debug, Clone, Copy)]
pub(in crate::wire) struct ResponseFacts {
    pub(in crate::wire) status: u16,
    /// One of the fields of authentication.
    pub(in crate::wire) authentication: bool,
    lengths: Lengths,
    http10: bool,
}

impl RequestFacts {
    pub(super) fn of(head: &[u8]) -> Result<Self, &'static str> {
        let head = RequestHead::start(head)?;
        let (facts, lengths) = Self::gather(&head)?;
        Ok(Self { body: lengths.request(head.version == "HTTP/1.0")?, ..facts })
    }

    /// Of a head made from HTTP/2's fields; there the frames tell where the body ends.
    pub(in crate::wire) fn of_http2(head: &[u8]) -> Result<Self, &'static str> {
        Self::gather(&RequestHead::made(head)?).map(|(facts, _)| facts)
    }

    fn gather(head: &RequestHead<'_>) -> Result<(Self, Lengths), &'static str> {
        let mut lengths = Lengths::default();
        let mut marker = SipHasher13::new();
        let mut authorization = false;
        let mut upgrade = false;
        let mut lines = head.lines();
        while let Some(line) = lines.next_line() {
            let line = line?;
            // By length first: most names are none of these, and one comparison tells.
            let is = |name: &[u8]| line.name.eq_ignore_ascii_case(name);
            match line.name.len() {
                7 if is(b"upgrade") => upgrade = true,
                13 if is(b"authorization") => authorization = true,
                19 if is(b"proxy-authorization") => authorization = true,
                14 if is(b"content-length") => lengths.content_length(&line.unfolded()),
                17 if is(b"transfer-encoding") => lengths.transfer_encoding(&line.unfolded()),
                9 if is(b"forwarded") => mark(&mut marker, 1, &line.unfolded()),
                9 if is(b"x-real-ip") => mark(&mut marker, 2, &line.unfolded()),
                10 if is(b"user-agent") => mark(&mut marker, 3, &line.unfolded()),
                11 if is(b"x-client-ip") => mark(&mut marker, 4, &line.unfolded()),
                14 if is(b"true-client-ip") => mark(&mut marker, 5, &line.unfolded()),
                15 if is(b"x-forwarded-for") => mark(&mut marker, 6, &line.unfolded()),
                _ => {}
            }
        }
        let facts = Self {
            method: match head.method {
                "HEAD" => Method::Head,
                "CONNECT" => Method::Connect,
                _ => Method::Other,
            },
            body: Body::None,
            authorization,
            upgrade,
            marker: marker.finish(),
        };
        Ok((facts, lengths))
    }
}

/// One field into the client marker; which field and how long keeps neighbours apart.
fn mark(marker: &mut SipHasher13, field: u8, value: &[u8]) {
    marker.write_u8(field);
    marker.write(value);
    marker.write_usize(value.len());
}

impl ResponseFacts {
    pub(super) fn of(head: &[u8]) -> Result<Self, &'static str> {
        Self::gather(&ResponseHead::start(head)?)
    }

    /// Of a head made from HTTP/2's fields.
    pub(in crate::wire) fn of_http2(head: &[u8]) -> Result<Self, &'static str> {
        Self::gather(&ResponseHead::made(head)?)
    }

    fn gather(head: &ResponseHead<'_>) -> Result<Self, &'static str> {
        let mut lengths = Lengths::default();
        let mut authentication = false;
        let mut lines = head.lines();
        while let Some(line) = lines.next_line() {
            let line = line?;
            let is = |name: &[u8]| line.name.eq_ignore_ascii_case(name);
            match line.name.len() {
                13 if is(b"proxy-support") => authentication = true,
                15 if is(b"persistent-auth") => authentication = true,
                16 if is(b"www-authenticate") => authentication = true,
                18 if is(b"proxy-authenticate") => authentication = true,
                19 if is(b"authentication-info") => authentication = true,
                14 if is(b"content-length") => lengths.content_length(&line.unfolded()),
                17 if is(b"transfer-encoding") => lengths.transfer_encoding(&line.unfolded()),
                _ => {}
            }
        }
        Ok(Self { status: head.status, authentication, lengths, http10: head.version == "HTTP/1.0" })
    }

    /// The body of the answer to a request with `method` (RFC 9112 section 6.3, items 1, 2, 3 to 8).
    pub(super) fn body(&self, method: Method) -> Result<Body, &'static str> {
        if method == Method::Head || matches!(self.status, 100..=199 | 204 | 304) {
            return Ok(Body::None);
        }
        self.lengths.response(self.http10)
    }

    /// An interim response (RFC 9110 section 15.2); 101 is final here: after it comes another protocol.
    pub(in crate::wire) const fn interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }

    /// A redirection (RFC 9110 section 15.4): it may hide a refusal, and a client that follows it may drop its credentials.
    pub(in crate::wire) const fn redirects(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
    }

    /// Whether the connection is a tunnel after this head (RFC 9110 sections 7.8 and 9.3.6).
    pub(super) const fn tunnel(&self, method: Method) -> bool {
        self.status == 101 || (matches!(method, Method::Connect) && matches!(self.status, 200..=299))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &str) -> RequestFacts {
        RequestFacts::of(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes()).unwrap()
    }

    /// A changed client on one upstream connection is how a shared authenticated connection shows itself.
    #[test]
    fn the_client_marker_follows_the_client() {
        let plain = request("User-Agent: a\r\nX-Forwarded-For: 192.0.2.1\r\n").marker;
        let same = request("Cookie: x\r\nuser-agent:  a\r\nX-FORWARDED-FOR: 192.0.2.1\r\n").marker;
        assert_eq!(plain, same);
        for other in [
            "",
            "User-Agent: b\r\nX-Forwarded-For: 192.0.2.1\r\n",
            "User-Agent: a\r\nX-Forwarded-For: 192.0.2.2\r\n",
            "User-Agent: a\r\nX-Real-IP: 192.0.2.1\r\n",
            "User-Agent: a\r\n",
        ] {
            assert_ne!(plain, request(other).marker, "{other}");
        }
        for name in ["Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP"] {
            assert_ne!(request("").marker, request(&format!("{name}: x\r\n")).marker);
        }
    }

    /// A field of authentication that is overlooked is a leg that no report shows.
    #[test]
    fn fields_of_authentication_in_any_case() {
        assert!(request("authorization: x\r\n").authorization);
        assert!(request("PROXY-AUTHORIZATION: x\r\n").authorization);
        assert!(!request("Authorizatiom: x\r\n").authorization);
        assert!(request("Upgrade: websocket\r\n").upgrade);
        assert!(!request("Upgrade-Insecure-Requests: 1\r\n").upgrade);
        for name in
            ["WWW-Authenticate", "proxy-authenticate", "Persistent-Auth", "AUTHENTICATION-INFO", "Proxy-Support"]
        {
            let head = format!("HTTP/1.1 200 OK\r\n{name}: x\r\n\r\n");
            assert!(ResponseFacts::of(head.as_bytes()).unwrap().authentication);
        }
    }
}
