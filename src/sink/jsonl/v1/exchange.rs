//! `exchange`: a request and its response, redacted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::page::Page;
use super::text::{self, Unfit};
use super::token::AuthField;
use crate::model::{ConnectionId, event, http};

/// A request and its response, as far as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exchange {
    /// The connection.
    pub connection: u64,
    /// Its number on that connection: 1, 2, …
    pub exchange: u32,
    /// The request.
    pub request: Request,
    /// Status codes of the interim (1xx) responses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interim: Vec<u16>,
    /// The response; absent when none came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// The error code that its HTTP/2 stream was reset with before a response came; 13 is HTTP_1_1_REQUIRED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<u32>,
    /// The request's credentials, decoded and without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<AuthField>,
    /// The response's challenges, decoded.
    #[serde(default)]
    pub challenges: Vec<AuthField>,
    /// When its parts passed.
    pub times: Times,
    /// What it was in its handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leg: Option<String>,
    /// The number, among the `seq` of this tap, of the moment when its end was taken in; absent when that was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_seq: Option<u64>,
}

/// A request without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Request {
    /// As sent.
    pub method: String,
    /// As sent, the values of query parameters replaced.
    pub target: String,
    /// `HTTP/1.1`, `HTTP/1.0` or `HTTP/2`.
    pub version: String,
    /// Name and value of each field line in order; values redacted.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Bytes of the body.
    #[serde(default)]
    pub body_bytes: u64,
    /// Sizes of a head of 4 KiB and more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_head: Option<LongHead>,
}

/// Sizes of a head that is long enough to meet a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LongHead {
    /// Bytes of the head, or of what had come of it when the server refused it.
    pub bytes: u64,
    /// Whether it came to its end.
    #[serde(default)]
    pub whole: bool,
    /// Name of its longest field, lines of one name counted together.
    #[serde(default)]
    pub field: String,
    /// Bytes of that field's value.
    #[serde(default)]
    pub field_bytes: u64,
}

/// A response without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// As sent; may be empty.
    #[serde(default)]
    pub reason: String,
    /// `HTTP/1.1`, `HTTP/1.0` or `HTTP/2`.
    #[serde(default)]
    pub version: String,
    /// Name and value of each field line in order; values redacted.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Bytes of the body.
    #[serde(default)]
    pub body_bytes: u64,
    /// What the body of a refusal tells: of statuses from 400 on, when the end was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
}

/// When the parts of an exchange passed authtap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Times {
    /// First byte of the request.
    pub request: String,
    /// Last byte of the request's head.
    pub request_head: String,
    /// First byte of the request's body; absent when it has none, or none of it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_body: Option<String>,
    /// Last byte of the request; absent when it did not come whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_end: Option<String>,
    /// When the interim responses came, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interim: Vec<String>,
    /// Last byte of the response's head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_head: Option<String>,
    /// First byte of the response's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_body: Option<String>,
    /// Last byte of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
}

impl From<&http::LongHead> for LongHead {
    fn from(x: &http::LongHead) -> Self {
        Self { bytes: x.bytes, whole: x.whole, field: x.field.clone(), field_bytes: x.field_bytes }
    }
}

impl From<LongHead> for http::LongHead {
    fn from(x: LongHead) -> Self {
        Self { bytes: x.bytes, whole: x.whole, field: x.field, field_bytes: x.field_bytes }
    }
}

fn pairs(headers: &[http::Header]) -> Vec<(String, String)> {
    headers.iter().map(|h| (h.name.clone(), h.value.clone())).collect()
}

fn to_headers(pairs: Vec<(String, String)>) -> Vec<http::Header> {
    pairs.into_iter().map(|(name, value)| http::Header { name, value }).collect()
}

fn to_response(r: Response) -> Result<http::Response, Unfit> {
    Ok(http::Response {
        status: r.status,
        reason: r.reason,
        version: r.version,
        headers: to_headers(r.headers),
        page: r.page.map(TryInto::try_into).transpose()?,
    })
}

impl From<&event::Exchange> for Exchange {
    fn from(x: &event::Exchange) -> Self {
        Self {
            connection: x.connection.0,
            exchange: x.exchange,
            request: Request {
                method: x.request.method.clone(),
                target: x.request.target.clone(),
                version: x.request.version.clone(),
                headers: pairs(&x.request.headers),
                body_bytes: x.request_body,
                long_head: x.request.long_head.as_deref().map(Into::into),
            },
            interim: x.interim.iter().map(|i| i.status).collect(),
            response: x.response.as_ref().map(|r| Response {
                status: r.status,
                reason: r.reason.clone(),
                version: r.version.clone(),
                headers: pairs(&r.headers),
                body_bytes: x.response_body,
                page: r.page.as_ref().map(Into::into),
            }),
            reset: x.reset,
            authorization: x.authorization.as_ref().map(Into::into),
            challenges: x.challenges.iter().map(Into::into).collect(),
            times: Times {
                request: text::stamp(x.times.request),
                request_head: text::stamp(x.times.request_head),
                request_body: x.times.request_body.map(text::stamp),
                request_end: x.times.request_end.map(text::stamp),
                interim: x.interim.iter().filter_map(|i| i.at).map(text::stamp).collect(),
                response_head: x.times.response_head.map(text::stamp),
                response_body: x.times.response_body.map(text::stamp),
                end: x.times.end.map(text::stamp),
            },
            leg: x.leg.clone(),
            end_seq: x.end_seq,
        }
    }
}

impl TryFrom<Exchange> for event::Exchange {
    type Error = Unfit;

    fn try_from(x: Exchange) -> Result<Self, Unfit> {
        let times = event::Times {
            request: text::to_stamp("times.request", &x.times.request)?,
            request_head: text::to_stamp("times.request_head", &x.times.request_head)?,
            request_body: text::to_stamp_opt("times.request_body", x.times.request_body.as_deref())?,
            request_end: text::to_stamp_opt("times.request_end", x.times.request_end.as_deref())?,
            response_head: text::to_stamp_opt("times.response_head", x.times.response_head.as_deref())?,
            response_body: text::to_stamp_opt("times.response_body", x.times.response_body.as_deref())?,
            end: text::to_stamp_opt("times.end", x.times.end.as_deref())?,
        };
        let mut moments = x.times.interim.iter();
        let interim = x.interim.into_iter().map(|status| {
            let at = moments.next().map(|at| text::to_stamp("times.interim", at)).transpose()?;
            Ok(event::Interim { status, at })
        });
        let interim = interim.collect::<Result<_, Unfit>>()?;
        Ok(Self {
            connection: ConnectionId(x.connection),
            exchange: x.exchange,
            request_body: x.request.body_bytes,
            request: http::Request {
                method: x.request.method,
                target: x.request.target,
                version: x.request.version,
                headers: to_headers(x.request.headers),
                long_head: x.request.long_head.map(|l| Box::new(l.into())),
            },
            interim,
            response_body: x.response.as_ref().map_or(0, |r| r.body_bytes),
            response: x.response.map(to_response).transpose()?,
            reset: x.reset,
            authorization: x.authorization.map(TryInto::try_into).transpose()?,
            challenges: x.challenges.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            times,
            leg: x.leg,
            end_seq: x.end_seq,
        })
    }
}
