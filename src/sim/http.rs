//! HTTP/1.1 messages on a socket (RFC 9112), as far as the simulator's own parts speak it.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A message that is longer than this is refused.
const LIMIT: usize = 16 << 20;

/// A head: first line and fields, as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) line: String,
    pub(super) fields: Vec<(String, String)>,
}

impl Head {
    pub(super) fn new(line: impl Into<String>) -> Self {
        Self { line: line.into(), fields: Vec::new() }
    }

    #[must_use]
    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// All values of a field, in order.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Takes a field out.
    pub(super) fn remove(&mut self, name: &str) {
        self.fields.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// The word of the first line with this number: a request's method (0) and target (1), a response's status (1).
    pub(super) fn word(&self, number: usize) -> &str {
        self.line.split(' ').nth(number).unwrap_or_default()
    }

    pub(super) fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or(0)
    }

    /// Whether the sender ends the connection after this message (RFC 9112 section 9.3).
    pub(super) fn closes(&self) -> bool {
        let says = |option: &str| {
            self.all("Connection")
                .flat_map(|value| value.split(','))
                .any(|word| word.trim().eq_ignore_ascii_case(option))
        };
        let old = self.line.starts_with("HTTP/1.0") || self.line.ends_with("HTTP/1.0");
        says("close") || (old && !says("keep-alive"))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.line);
        for (name, value) in &self.fields {
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    fn decode(bytes: &[u8]) -> io::Result<Self> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split("\r\n");
        let mut head = Self::new(lines.next().unwrap_or_default());
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or_else(|| bad("a field without a colon"))?;
            head.fields.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(head)
    }
}

/// How a body is delimited (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// A connection that messages are read from and written to.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(super) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The next head; `None` when the peer ended the connection between messages.
    pub(super) async fn head(&mut self) -> io::Result<Option<Head>> {
        let mut searched = 0;
        loop {
            if let Some(at) = find(&self.buffer[searched..], b"\r\n\r\n") {
                let end = searched + at;
                let head = Head::decode(&self.buffer[..end])?;
                self.buffer.drain(..end + 4);
                return Ok(Some(head));
            }
            searched = self.buffer.len().saturating_sub(3);
            if !self.fill().await? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// A request's body as it stands on the wire, its chunk framing included. A client that waits for leave to send
    /// (`Expect: 100-continue`) gets it.
    pub(super) async fn request_body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        let framing = framing(head, Framing::Length(0))?;
        let waits = head.get("Expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        if waits && framing != Framing::Length(0) && self.buffer.is_empty() {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        self.body(framing).await
    }

    /// A response's body as it stands on the wire, for a request of this method.
    pub(super) async fn response_body(&mut self, head: &Head, method: &str) -> io::Result<Vec<u8>> {
        if method == "HEAD" || matches!(head.status(), 100..200 | 204 | 304) {
            return Ok(Vec::new());
        }
        let framing = framing(head, Framing::UntilClose)?;
        self.body(framing).await
    }

    async fn body(&mut self, framing: Framing) -> io::Result<Vec<u8>> {
        match framing {
            Framing::Length(length) => self.take(length).await,
            Framing::Chunked => self.chunks().await,
            Framing::UntilClose => {
                while self.fill().await? {}
                Ok(std::mem::take(&mut self.buffer))
            }
        }
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        loop {
            let line = self.line().await?;
            let digits = line.split(|byte| matches!(byte, b';' | b'\r')).next();
            let size = digits
                .and_then(|digits| std::str::from_utf8(digits).ok())
                .and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok())
                .ok_or_else(|| bad("a chunk size that is no number"))?;
            out.extend(line);
            if size == 0 {
                loop {
                    let trailer = self.line().await?;
                    let last = trailer == b"\r\n";
                    out.extend(trailer);
                    if last {
                        return Ok(out);
                    }
                }
            }
            let with_end = size.checked_add(2).ok_or_else(|| bad("a chunk too long"))?;
            out.extend(self.take(with_end).await?);
            if out.len() > LIMIT {
                return Err(bad("a body too long"));
            }
        }
    }

    /// One line with its end.
    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                return Ok(self.buffer.drain(..at + 2).collect());
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        if length > LIMIT {
            return Err(bad("a body too long"));
        }
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Waits for bytes; `false` at the peer's end.
    pub(super) async fn fill(&mut self) -> io::Result<bool> {
        if self.buffer.len() > LIMIT {
            return Err(bad("a message too long"));
        }
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    async fn more(&mut self) -> io::Result<()> {
        if self.fill().await? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Ends the sending half (a FIN), and waits for the peer's end.
    pub(super) async fn finish(mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        // What the peer still says is of no use any more; a reset is an end as well.
        while matches!(self.fill().await, Ok(true)) {
            self.buffer.clear();
        }
        Ok(())
    }

    /// Ends the connection with a RST.
    pub(super) fn reset(self) {
        // Without the option the end is a FIN: there is nothing better to do about it.
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO));
    }
}

fn framing(head: &Head, otherwise: Framing) -> io::Result<Framing> {
    if head.all("Transfer-Encoding").any(|value| value.to_ascii_lowercase().ends_with("chunked")) {
        return Ok(Framing::Chunked);
    }
    match head.get("Content-Length") {
        None => Ok(otherwise),
        Some(text) => text.parse().map(Framing::Length).map_err(|_| bad("a Content-Length that is no number")),
    }
}

pub(super) fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
