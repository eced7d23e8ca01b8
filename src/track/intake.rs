//! Raw heads become decoded, redacted exchanges. The only place that opens them.

use crate::model::ConnectionId;
use crate::model::auth::AuthField;
use crate::model::event::Exchange;
use crate::model::http::{Header, Request, Response};
use crate::token::{self, Key, redact};
use crate::wire::http1::head::{Field, RequestHead, ResponseHead};
use crate::wire::observation::RawExchange;

/// Decodes and redacts one exchange; `None` when its request's head cannot be read.
pub fn exchange(connection: ConnectionId, raw: &RawExchange, key: &Key) -> Option<Exchange> {
    let head = RequestHead::parse(raw.request.expose())?;
    let authorization = values(head.fields(), "authorization").next().map(|v| token::credentials(&v, key));
    let request = Request {
        method: head.method.to_owned(),
        target: redact::target(head.target),
        version: head.version.to_owned(),
        headers: headers(head.fields()),
    };
    let (response, challenges) = match raw.response.as_ref().and_then(|r| ResponseHead::parse(r.expose())) {
        None => (None, Vec::new()),
        Some(head) => (
            Some(Response {
                status: head.status,
                reason: String::from_utf8_lossy(head.reason).into_owned(),
                version: head.version.to_owned(),
                headers: headers(head.fields()),
            }),
            challenges(head, key),
        ),
    };
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

/// The challenges of a response, or the final token of an authentication that succeeded.
fn challenges(head: ResponseHead<'_>, key: &Key) -> Vec<AuthField> {
    let fields: Vec<_> = values(head.fields(), "www-authenticate").collect();
    let slices: Vec<&[u8]> = fields.iter().map(AsRef::as_ref).collect();
    token::challenges(&slices, key)
}

fn values<'a>(
    fields: impl Iterator<Item = Field<'a>>,
    name: &'a str,
) -> impl Iterator<Item = std::borrow::Cow<'a, [u8]>> {
    fields.filter(move |f| f.name.eq_ignore_ascii_case(name)).map(|f| f.value)
}

fn headers<'a>(fields: impl Iterator<Item = Field<'a>>) -> Vec<Header> {
    fields.map(|f| Header { name: f.name.to_owned(), value: redact::header(f.name, &f.value) }).collect()
}
