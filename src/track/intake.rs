//! Raw heads become decoded, redacted exchanges, and refusals' bodies what they tell. The only place that opens them.

use crate::iis::page::{self, Answer};
use crate::model::ConnectionId;
use crate::model::auth::{AuthField, Fault};
use crate::model::event::Exchange;
use crate::model::http::{Header, LongHead, Request, Response};
use crate::model::page::Page;
use crate::token::{self, Key, redact};
use crate::wire::http1::head::{Field, RequestHead, ResponseHead};
use crate::wire::observation::{Ended, RawExchange};

/// So many different field names of a long head are weighed.
const MOST_NAMES: usize = 128;

/// Decodes and redacts one exchange; `None` when its request's head cannot be read.
pub fn exchange(connection: ConnectionId, raw: &RawExchange, key: &Key) -> Option<Exchange> {
    let head = RequestHead::parse(raw.request.expose())?;
    let mut authorization: Option<AuthField> = None;
    let mut request = Request {
        method: head.method.to_owned(),
        target: redact::target(head.target),
        version: head.version.to_owned(),
        headers: room_for(raw.request.expose()),
        long_head: long_head(raw.request.expose(), &head),
    };
    for field in head.fields() {
        if field.name.eq_ignore_ascii_case("authorization") {
            let (read, shown) = token::credentials_and_shown(&field.value, key);
            match &mut authorization {
                None => authorization = Some(read),
                // RFC 9110 section 5.3 allows one line of it; which of several a server takes, nobody knows.
                Some(first) => first.faults.push(Fault {
                    offset: 0,
                    field: "authorization".to_owned(),
                    expected: "one field".to_owned(),
                    got: format!("another one, of the scheme {}", read.scheme.name()),
                }),
            }
            request.headers.push(Header { name: field.name.to_owned(), value: shown });
            continue;
        }
        request.headers.push(header(&field, key));
    }
    let (mut response, mut challenges) = (None, Vec::new());
    if let Some((bytes, head)) =
        raw.response.as_ref().and_then(|r| Some((r.expose(), ResponseHead::parse(r.expose())?)))
    {
        let mut headers = room_for(bytes);
        for field in head.fields() {
            if field.name.eq_ignore_ascii_case("www-authenticate") {
                let (read, shown) = token::challenges_and_shown(&field.value, key);
                challenges.extend(read);
                headers.push(Header { name: field.name.to_owned(), value: shown });
                continue;
            }
            headers.push(header(&field, key));
        }
        response = Some(Response {
            status: head.status,
            reason: String::from_utf8_lossy(head.reason).into_owned(),
            version: head.version.to_owned(),
            headers,
            page: None,
        });
    }
    Some(Exchange {
        connection,
        exchange: raw.exchange,
        request,
        request_body: 0,
        response,
        response_body: 0,
        reset: raw.reset,
        interim: raw.interim.clone(),
        authorization,
        challenges,
        times: raw.times,
        leg: None,
        end_seq: None,
    })
}

/// Sizes of a head that is long enough to meet a limit. Of one that did not come whole, the line that was cut counts too:
/// it is mostly the one that was too long.
fn long_head(bytes: &[u8], head: &RequestHead<'_>) -> Option<Box<LongHead>> {
    if bytes.len() < LongHead::FROM {
        return None;
    }
    let whole = bytes.ends_with(b"\r\n\r\n") || bytes.ends_with(b"\n\n") || bytes.ends_with(b"\n\r\n");
    let mut sizes: Vec<(&str, usize)> = Vec::new();
    for field in head.fields() {
        add(&mut sizes, field.name, field.value.len());
    }
    let cut = bytes.rsplit(|b| *b == b'\n').next().filter(|_| !whole).unwrap_or_default();
    if let Some(colon) = cut.iter().position(|b| *b == b':')
        && let Some(name) = cut.get(..colon).and_then(|name| std::str::from_utf8(name).ok())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    {
        add(&mut sizes, name, cut.len().saturating_sub(colon).saturating_sub(1));
    }
    // Of equal ones the first.
    let (field, field_bytes) = sizes.into_iter().rev().max_by_key(|(_, bytes)| *bytes).unwrap_or_default();
    let wide = |n| u64::try_from(n).unwrap_or(u64::MAX);
    Some(Box::new(LongHead {
        bytes: wide(bytes.len()),
        whole,
        field: field.to_owned(),
        field_bytes: wide(field_bytes),
    }))
}

/// Adds a line to the sum of its name.
fn add<'a>(sizes: &mut Vec<(&'a str, usize)>, name: &'a str, bytes: usize) {
    if let Some((_, sum)) = sizes.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
        *sum = sum.saturating_add(bytes);
    } else if sizes.len() < MOST_NAMES {
        sizes.push((name, bytes));
    }
}

/// What a refusal's body tells; `None` of other answers. `to` is the request's method.
pub fn page(response: &Response, to: &str, ended: &Ended) -> Option<Page> {
    if response.status < 400 {
        return None;
    }
    // What of the head is asked for here is kept verbatim (`token::redact`).
    let value = |name| response.header(name).map(str::as_bytes);
    Some(page::classify(&Answer {
        status: response.status,
        server: value("server"),
        content_type: value("content-type"),
        content_encoding: value("content-encoding"),
        content_length: response.header("content-length").and_then(|length| length.trim().parse().ok()),
        to_head: to == "HEAD",
        body: ended.body.as_ref().map_or(&[], |body| body.expose()),
        whole: ended.body_whole,
    }))
}

fn header(field: &Field<'_>, key: &Key) -> Header {
    Header { name: field.name.to_owned(), value: redact::header(field.name, &field.value, key) }
}

/// An empty list with room for about the fields of a head.
fn room_for(head: &[u8]) -> Vec<Header> {
    // A field takes some fifty bytes; a hostile head may be huge. Above a kilobyte, allocating is dearer.
    Vec::with_capacity((head.len() / 50).clamp(4, 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;
    use crate::model::event::Times;

    /// Of two `Authorization` fields a server takes one and a proxy the other: that must be seen, and no secret with it.
    #[test]
    fn a_doubled_authorization_is_a_fault_of_the_first() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic dTpodW50ZXIy\r\n\
                    Authorization: Bearer hunter2hunter2\r\n\r\n";
        let raw = RawExchange {
            exchange: 1,
            request: Secret::new(head.as_bytes().to_vec()),
            response: None,
            reset: None,
            interim: Vec::new(),
            times: Times::default(),
        };
        let read = exchange(ConnectionId(1), &raw, &Key([0; 16])).expect("an exchange");
        let authorization = read.authorization.as_ref().expect("credentials");
        assert_eq!(authorization.scheme.name(), "basic");
        assert!(authorization.faults.iter().any(|f| f.got.contains("bearer")), "{authorization:?}");
        assert!(!format!("{read:?}").contains("hunter2"));
    }

    /// Whose field it was that a server found too long must be right, also of a head that it did not let come to its end.
    #[test]
    fn the_longest_field_of_a_long_head_is_named() {
        let long = |head: String| {
            let raw = RawExchange {
                exchange: 1,
                request: Secret::new(head.into_bytes()),
                response: None,
                reset: None,
                interim: Vec::new(),
                times: Times::default(),
            };
            let read = exchange(ConnectionId(1), &raw, &Key([0; 16])).expect("an exchange");
            assert!(!format!("{read:?}").contains("hunter2"));
            read.request.long_head.map(|l| (l.bytes, l.whole, l.field, l.field_bytes))
        };
        let start = "GET / HTTP/1.1\r\nHost: a\r\n";
        let value = "hunter2".repeat(500);
        let both = format!("{start}Cookie: {value}\r\nX-Other: {value}1\r\ncookie: b\r\n\r\n");
        let bytes = u64::try_from(both.len()).expect("a size");
        assert_eq!(long(both), Some((bytes, true, "Cookie".to_owned(), 3_501)));
        let cut = format!("{start}Accept: x\r\nAuthorization: Basic {value}{value}");
        let bytes = u64::try_from(cut.len()).expect("a size");
        // The space after the colon is not known to be no part of it.
        assert_eq!(long(cut), Some((bytes, false, "Authorization".to_owned(), 7_007)));
        assert_eq!(long(format!("{start}\r\n")), None);
        // Half a name is none, and no secret.
        let name = format!("{start}Accept: x\r\n{value}{value}");
        assert_eq!(long(name).map(|l| l.2), Some("Host".to_owned()));
    }
}
