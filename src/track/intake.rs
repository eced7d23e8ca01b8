//! Raw heads become decoded, redacted exchanges. The only place that opens them.

use crate::model::ConnectionId;
use crate::model::event::Exchange;
use crate::model::http::{Header, Request, Response};
use crate::token::{self, Key, redact};
use crate::wire::http1::head::{Field, RequestHead, ResponseHead};
use crate::wire::observation::RawExchange;

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
            authorization = Some(token::credentials(&field.value, key));
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
                challenges.extend(token::challenges(&[&*field.value], key));
            }
            headers.push(header(&field));
        }
        response = Some(Response {
            status: head.status,
            reason: String::from_utf8_lossy(head.reason).into_owned(),
            version: head.version.to_owned(),
            headers,
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

fn header(field: &Field<'_>) -> Header {
    Header { name: field.name.to_owned(), value: redact::header(field.name, &field.value) }
}

/// An empty list with room for the fields of a head: its lines but the first and the last.
fn room_for(head: &[u8]) -> Vec<Header> {
    let lines = head.iter().filter(|b| **b == b'\n').count();
    // A hostile head may be all line ends.
    Vec::with_capacity(lines.saturating_sub(2).min(64))
}
