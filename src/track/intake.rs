//! Raw heads become decoded, redacted exchanges, and refusals' bodies what they tell. The only place that opens them.

use crate::iis::page::{self, Answer};
use crate::model::ConnectionId;
use crate::model::event::Exchange;
use crate::model::http::{Header, Request, Response};
use crate::model::page::Page;
use crate::token::{self, Key, redact};
use crate::wire::http1::head::{Field, RequestHead, ResponseHead};
use crate::wire::observation::{Ended, RawExchange};

/// Decodes and redacts one exchange; `None` when its request's head cannot be read.
pub fn exchange(connection: ConnectionId, raw: &RawExchange, key: &Key) -> Option<Exchange> {
    let head = RequestHead::parse(raw.request.expose())?;
    let mut authorization = None;
    let mut request = Request {
        method: head.method.to_owned(),
        target: redact::target(head.target),
        version: head.version.to_owned(),
        headers: room_for(raw.request.expose()),
    };
    for field in head.fields() {
        if authorization.is_none() && field.name.eq_ignore_ascii_case("authorization") {
            let (read, shown) = token::credentials_and_shown(&field.value, key);
            authorization = Some(read);
            request.headers.push(Header { name: field.name.to_owned(), value: shown });
            continue;
        }
        request.headers.push(header(&field));
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
            headers.push(header(&field));
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
        interim: raw.interim.clone(),
        authorization,
        challenges,
        times: raw.times,
        leg: None,
    })
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

fn header(field: &Field<'_>) -> Header {
    Header { name: field.name.to_owned(), value: redact::header(field.name, &field.value) }
}

/// An empty list with room for about the fields of a head.
fn room_for(head: &[u8]) -> Vec<Header> {
    // A field takes some fifty bytes; a hostile head may be huge. Above a kilobyte, allocating is dearer.
    Vec::with_capacity((head.len() / 50).clamp(4, 20))
}
