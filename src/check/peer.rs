//! One connection to the server, driven by hyper: requests in a row, and how it ended.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::facts::{Answer, Ended};
use crate::iis::page;
use crate::model::Stamp;
use crate::net::{Clock, Stream};
use crate::token::{self, Key};

/// So much of a body is read; what is longer ends the connection.
const MOST: usize = 64 * 1024;
/// So much of a body tells who wrote it.
const TELLING: usize = 8 * 1024;
/// The first byte of a TLS alert or handshake record (RFC 8446 section 5.1).
const TLS_RECORDS: [u8; 2] = [21, 22];

/// A connection; dropping it ends it.
pub(super) struct Peer {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
    first_byte: Arc<OnceLock<u8>>,
    limit: Duration,
    clock: Clock,
    key: Key,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Peer {
    /// Begins to speak HTTP/1.1.
    pub(super) async fn new(stream: Box<dyn Stream>, limit: Duration, clock: Clock, key: Key) -> Result<Self, Ended> {
        let first_byte = Arc::new(OnceLock::new());
        let watched = Watched { stream, first_byte: Arc::clone(&first_byte) };
        let (sender, connection) = Builder::new()
            .title_case_headers(true)
            .handshake(TokioIo::new(watched))
            .await
            .map_err(|e| Ended::Other(e.to_string()))?;
        let driver = tokio::spawn(async move {
            // Its error reaches the request that waits, too.
            drop(connection.await);
        });
        Ok(Self { sender, driver, first_byte, limit, clock, key })
    }

    /// A GET with these fields, and the answer to it.
    pub(super) async fn get(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<Answer, Ended> {
        let mut request = Request::get(path);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::new()).map_err(|e| Ended::Other(e.to_string()))?;
        let silent = Ended::Silent(self.limit.as_secs().max(1));
        let sent = self.clock.now();
        let response = timeout(self.limit, self.sender.send_request(request))
            .await
            .map_err(|_| silent)?
            .map_err(|error| self.ended(&error))?;
        let got = self.clock.now();
        Ok(self.read(response, sent, got).await)
    }

    async fn read(&self, response: Response<Incoming>, sent: Stamp, got: Stamp) -> Answer {
        let (head, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        let whole = loop {
            match timeout(self.limit, body.frame()).await {
                Ok(None) => break true,
                Ok(Some(Ok(frame))) => bytes.extend(frame.into_data().unwrap_or_default()),
                Ok(Some(Err(_))) | Err(_) => break false,
            }
            if bytes.len() > MOST {
                break false;
            }
        };
        let status = head.status.as_u16();
        let fields = &head.headers;
        let telling = bytes.get(..TELLING).unwrap_or(&bytes);
        let page = page::classify(&page::Answer {
            status,
            server: first(fields, "server"),
            content_type: first(fields, "content-type"),
            content_encoding: first(fields, "content-encoding"),
            content_length: text(fields, "content-length").and_then(|n| n.parse().ok()),
            to_head: false,
            body: telling,
            whole: whole && telling.len() == bytes.len(),
        });
        let offers: Vec<&[u8]> = fields.get_all("www-authenticate").iter().map(HeaderValue::as_bytes).collect();
        Answer {
            status,
            old: head.version == Version::HTTP_10,
            server: text(fields, "server"),
            via: text(fields, "via"),
            location: text(fields, "location").map(|l| l.split(['?', '#']).next().unwrap_or_default().to_owned()),
            persistent_auth: text(fields, "persistent-auth"),
            date: text(fields, "date").and_then(|d| date(&d)),
            offers: token::challenges(&offers, &self.key),
            challenge: offers.iter().find_map(|offer| challenge(offer)),
            closes: closes(head.version, fields),
            page,
            invalid_hostname: status == 400 && contains(telling, b"Invalid Hostname"),
            endless: !whole,
            sent,
            got,
        }
    }

    fn ended(&self, error: &hyper::Error) -> Ended {
        if error.is_parse() {
            let first = self.first_byte.get();
            return if first.is_some_and(|b| TLS_RECORDS.contains(b)) { Ended::IsTls } else { Ended::NotHttp };
        }
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(io) = error.downcast_ref::<io::Error>() {
                return match io.kind() {
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Ended::Reset,
                    io::ErrorKind::UnexpectedEof => Ended::Closed,
                    _ => Ended::Other(io.to_string()),
                };
            }
            cause = error.source();
        }
        if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
            return Ended::Closed;
        }
        Ended::Other(error.to_string())
    }
}

fn first<'a>(fields: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    fields.get(name).map(HeaderValue::as_bytes)
}

fn text(fields: &HeaderMap, name: &str) -> Option<String> {
    first(fields, name).map(|v| String::from_utf8_lossy(v).into_owned())
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|w| w == wanted)
}

/// The NTLM CHALLENGE in a `WWW-Authenticate` value; one inside SPNEGO is not asked for.
fn challenge(offer: &[u8]) -> Option<Vec<u8>> {
    let (_, token) = std::str::from_utf8(offer).ok()?.split_once(' ')?;
    STANDARD.decode(token.trim()).ok().filter(|message| message.starts_with(b"NTLMSSP\0\x02"))
}

/// Whether the sender ends the connection after this message (RFC 9112 section 9.3, "Persistence").
fn closes(version: Version, fields: &HeaderMap) -> bool {
    let says = |option: &[u8]| {
        fields
            .get_all("connection")
            .iter()
            .flat_map(|v| v.as_bytes().split(|b| *b == b','))
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(option))
    };
    says(b"close") || (version == Version::HTTP_10 && !says(b"keep-alive"))
}

/// An IMF-fixdate (RFC 9110 section 5.6.7, "Date/Time Formats").
fn date(text: &str) -> Option<Stamp> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Stamp(time.timestamp().as_microsecond()))
}

/// Remembers the first byte that came.
struct Watched {
    stream: Box<dyn Stream>,
    first_byte: Arc<OnceLock<u8>>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(first) = buf.filled().get(before) {
            self.first_byte.get_or_init(|| *first);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A date read an hour off would send somebody to set a clock that is right.
    #[test]
    fn a_date_is_read_in_gmt() {
        assert_eq!(date("Thu, 01 Jan 2026 00:00:00 GMT"), Stamp::parse("2026-01-01T00:00:00Z"));
        assert_eq!(date("yesterday"), None);
    }
}
