//! A message head as an event may hold it: redacted.

use super::page::Page;

/// A request's head, without secrets (see `token::redact`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// As sent.
    pub method: String,
    /// Request target; each query parameter's value is replaced.
    pub target: String,
    /// `HTTP/1.1`, `HTTP/1.0` or `HTTP/2`.
    pub version: String,
    /// Field lines in order, names as sent, values redacted. Of HTTP/2, `:authority` is here as `host`.
    pub headers: Vec<Header>,
    /// How long its head is, of one that is long enough to meet a limit ([`LongHead::FROM`]).
    pub long_head: Option<Box<LongHead>>,
}

/// Sizes of a head that is long enough to meet a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongHead {
    /// Bytes of the head, or of what had come of it when the server refused it.
    pub bytes: u64,
    /// It came to its end.
    pub whole: bool,
    /// The name of its longest field, as sent; lines of one name count together.
    pub field: String,
    /// Bytes of that field's value.
    pub field_bytes: u64,
}

impl LongHead {
    /// No server in use has a lower limit than twice this.
    pub const FROM: usize = 4096;
}

/// A response's head, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// As sent; may be empty.
    pub reason: String,
    /// `HTTP/1.1`, `HTTP/1.0` or `HTTP/2`.
    pub version: String,
    /// Field lines in order, names as sent, values redacted.
    pub headers: Vec<Header>,
    /// What its body tells, of a refusal; `None` also when its end was not seen.
    pub page: Option<Page>,
}

/// One field line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// As sent: case is evidence.
    pub name: String,
    /// Redacted, lossy UTF-8.
    pub value: String,
}

/// The first value of a field, by case-insensitive name.
pub fn header<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value.as_str())
}

impl Request {
    /// The first value of a field, by case-insensitive name.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// What a request's head says of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// Neither length nor coding: there is none (RFC 9112 section 6.3).
    Nothing,
    /// So many bytes.
    Length(u64),
    /// A transfer coding: the length is not known before its end.
    Coded,
}

impl Request {
    /// What its head says of its body.
    pub fn announced(&self) -> Announced {
        if self.header("transfer-encoding").is_some() {
            return Announced::Coded;
        }
        let length = self.header("content-length").and_then(|v| v.split(',').next()?.trim().parse().ok());
        length.map_or(Announced::Nothing, Announced::Length)
    }

    /// It waits for `100 Continue` before it sends its body (RFC 9110 section 10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.header("expect").is_some_and(|v| v.trim().eq_ignore_ascii_case("100-continue"))
    }
}

fn ends_connection(version: &str, headers: &[Header]) -> bool {
    let has = |token: &str| {
        headers
            .iter()
            .filter(|h| h.name.eq_ignore_ascii_case("connection"))
            .any(|h| h.value.split(',').any(|t| t.trim().eq_ignore_ascii_case(token)))
    };
    has("close") || (version == "HTTP/1.0" && !has("keep-alive"))
}

impl Request {
    /// Whether this request asks to end its connection after the answer, as [`Response::ends_connection`] has it.
    pub fn ends_connection(&self) -> bool {
        ends_connection(&self.version, &self.headers)
    }

    /// Names of its cookies, each with what stands for its value: equal for equal values within one run.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("cookie"));
        fields.flat_map(|h| h.value.split("; ")).filter_map(|pair| pair.split_once('='))
    }
}

impl Response {
    /// The first value of a field, by case-insensitive name.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Whether this response ends its connection: `Connection: close`, or HTTP/1.0 without `keep-alive`
    /// (RFC 9112 section 9.3, "Persistence").
    pub fn ends_connection(&self) -> bool {
        ends_connection(&self.version, &self.headers)
    }
}
