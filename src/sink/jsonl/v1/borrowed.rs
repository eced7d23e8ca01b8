//! Lines of the kinds that a busy site writes by the thousand, serialised where they lie: an [`Exchange`](super::Exchange)
//! copied first costs as much as its decoding. Tests hold each line against its owned twin, byte for byte.

use serde::{Serialize, Serializer};

use super::exchange::LongHead;
use super::handshake::Place;
use super::mirror::{Basis, Outcome, PageAuthor, Proof};
use super::page::PageDetail;
use super::token::AuthField;
use super::{Line, VERSION};
use crate::model::{self, Stamp, TapId, event, http};

/// A [`Line`] without copies.
#[derive(Serialize)]
struct LineRef<'a> {
    v: u32,
    at: Time,
    tap: &'a str,
    seq: u64,
    #[serde(flatten)]
    body: BodyRef<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "made and used on the spot")]
enum BodyRef<'a> {
    Exchange(ExchangeRef<'a>),
    Handshake(HandshakeRef<'a>),
}

#[derive(Serialize)]
struct ExchangeRef<'a> {
    connection: u64,
    exchange: u32,
    request: RequestRef<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interim: Vec<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<ResponseRef<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<AuthField>,
    challenges: Vec<AuthField>,
    times: Times,
    #[serde(skip_serializing_if = "Option::is_none")]
    leg: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_seq: Option<u64>,
}

#[derive(Serialize)]
struct RequestRef<'a> {
    method: &'a str,
    target: &'a str,
    version: &'a str,
    headers: Headers<'a>,
    body_bytes: u64,
    /// Few requests have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    long_head: Option<LongHead>,
}

#[derive(Serialize)]
struct ResponseRef<'a> {
    status: u16,
    reason: &'a str,
    version: &'a str,
    headers: Headers<'a>,
    body_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<PageRef<'a>>,
}

#[derive(Serialize)]
struct PageRef<'a> {
    author: PageAuthor,
    basis: Basis,
    sign: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    back_end: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    says: Option<&'a str>,
    /// Few pages have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<PageDetail>,
}

#[derive(Serialize)]
struct Times {
    request: Time,
    request_head: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_body: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_end: Option<Time>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interim: Vec<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_head: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_body: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Time>,
}

#[derive(Serialize)]
struct HandshakeRef<'a> {
    handshake: u64,
    scheme: &'a str,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<&'a str>,
    legs: Vec<LegRef<'a>>,
    links: Vec<LinkRef>,
}

#[derive(Serialize)]
struct LegRef<'a> {
    connection: u64,
    exchange: u32,
    message: &'a str,
    at: Time,
}

#[derive(Serialize)]
struct LinkRef {
    challenge: Place,
    authenticate: Place,
    proof: Proof,
}

/// A time as its text.
struct Time(Stamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.rfc3339() {
            Some(text) => serializer.serialize_str(text.as_str()),
            None => serializer.collect_str(&self.0),
        }
    }
}

/// Name and value of each.
struct Headers<'a>(&'a [http::Header]);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|h| (h.name.as_str(), h.value.as_str())))
    }
}

/// Writes an event's line behind what `to` holds, without the newline.
pub fn write(tap: &TapId, event: &event::Event, to: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let body = match &event.what {
        event::What::Exchange(x) => BodyRef::Exchange(exchange(x)),
        event::What::Handshake(x) => BodyRef::Handshake(handshake(x)),
        _ => return serde_json::to_writer(to, &Line::of(tap, event)),
    };
    serde_json::to_writer(to, &LineRef { v: VERSION, at: Time(event.at), tap: &tap.0, seq: event.seq, body })
}

fn exchange(x: &event::Exchange) -> ExchangeRef<'_> {
    ExchangeRef {
        connection: x.connection.0,
        exchange: x.exchange,
        request: RequestRef {
            method: &x.request.method,
            target: &x.request.target,
            version: &x.request.version,
            headers: Headers(&x.request.headers),
            body_bytes: x.request_body,
            long_head: x.request.long_head.as_deref().map(Into::into),
        },
        interim: x.interim.iter().map(|i| i.status).collect(),
        response: x.response.as_ref().map(|r| ResponseRef {
            status: r.status,
            reason: &r.reason,
            version: &r.version,
            headers: Headers(&r.headers),
            body_bytes: x.response_body,
            page: r.page.as_ref().map(page),
        }),
        reset: x.reset,
        authorization: x.authorization.as_ref().map(Into::into),
        challenges: x.challenges.iter().map(Into::into).collect(),
        times: Times {
            request: Time(x.times.request),
            request_head: Time(x.times.request_head),
            request_body: x.times.request_body.map(Time),
            request_end: x.times.request_end.map(Time),
            interim: x.interim.iter().filter_map(|i| i.at).map(Time).collect(),
            response_head: x.times.response_head.map(Time),
            response_body: x.times.response_body.map(Time),
            end: x.times.end.map(Time),
        },
        leg: x.leg.as_deref(),
        end_seq: x.end_seq,
    }
}

fn page(x: &model::page::Page) -> PageRef<'_> {
    PageRef {
        author: x.author.into(),
        basis: x.basis.into(),
        sign: &x.sign,
        back_end: x.back_end.as_deref(),
        says: x.says.as_deref(),
        detail: x.detail.as_deref().map(Into::into),
    }
}

fn handshake(x: &event::Handshake) -> HandshakeRef<'_> {
    HandshakeRef {
        handshake: x.handshake.0,
        scheme: &x.scheme,
        outcome: x.outcome.into(),
        user: x.user.as_deref(),
        server: x.server.as_deref(),
        legs: x
            .legs
            .iter()
            .map(|l| LegRef { connection: l.connection.0, exchange: l.exchange, message: &l.message, at: Time(l.at) })
            .collect(),
        links: x
            .links
            .iter()
            .map(|l| LinkRef {
                challenge: l.challenge.into(),
                authenticate: l.authenticate.into(),
                proof: l.proof.into(),
            })
            .collect(),
    }
}
