//! Message heads (RFC 9112 sections 2 to 5), read where they lie.
//!
//! Not by httparse, which refuses folded lines in requests and needs room for every field before it starts. Here fields are
//! read one by one and nothing is stored, so that neither their number nor their size costs memory.

use super::scan::find;
use std::borrow::Cow;

/// A request's head (RFC 9112 section 3, "Request Line", and section 5, "Field Syntax").
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// As sent; methods are case-sensitive.
    pub method: &'a str,
    /// The request target as sent, white space within it included: what servers refuse is evidence as well.
    pub target: &'a [u8],
    /// `HTTP/1.1`, `HTTP/1.0`; `HTTP/2` when the head was made from HTTP/2's fields.
    pub version: &'a str,
    lines: Lines<'a>,
}

/// A response's head (RFC 9112 section 4, "Status Line", and section 5, "Field Syntax").
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    /// 100 to 999.
    pub status: u16,
    /// As sent; may be empty.
    pub reason: &'a [u8],
    /// `HTTP/1.1`, `HTTP/1.0`; `HTTP/2` when the head was made from HTTP/2's fields.
    pub version: &'a str,
    lines: Lines<'a>,
}

/// One field: name as sent, value without the white space around it. A folded value has a space for each fold
/// (RFC 9112 section 5.2, "Obsolete Line Folding").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// As sent: case is evidence.
    pub name: &'a str,
    /// Any bytes but CR and LF.
    pub value: Cow<'a, [u8]>,
}

/// The fields of a head, in order.
#[derive(Debug, Clone)]
pub struct Fields<'a>(Lines<'a>);

impl<'a> RequestHead<'a> {
    /// Reads a head; `None` when it is not one. A head that was cut gives the lines that are whole.
    pub fn parse(head: &'a [u8]) -> Option<Self> {
        let head = Self::start(head).or_else(|_| Self::made(head)).ok()?;
        head.lines.valid().then_some(head)
    }

    /// The fields, in order.
    pub const fn fields(&self) -> Fields<'a> {
        Fields(self.lines)
    }

    /// Reads the request line; the fields are not looked at yet.
    pub(super) fn start(head: &'a [u8]) -> Result<Self, &'static str> {
        Self::line(head, http1)
    }

    /// The same of a head that `wire::http2` made; no peer can send one like it.
    pub(in crate::wire) fn made(head: &'a [u8]) -> Result<Self, &'static str> {
        Self::line(head, http2)
    }

    fn line(head: &'a [u8], version_of: fn(&[u8]) -> Option<&str>) -> Result<Self, &'static str> {
        let (line, rest) = split_line(head).ok_or(NOT_REQUEST)?;
        let bare_cr = line.contains(&b'\r');
        let space = find(b' ', line).ok_or(NOT_REQUEST)?;
        let (method, after) = line.split_at_checked(space).ok_or(NOT_REQUEST)?;
        let after = after.get(1..).unwrap_or_default();
        let method = token(method).filter(|_| !bare_cr).ok_or(NOT_REQUEST)?;
        // The last word is the version; targets with spaces do come (RFC 9112 section 3.2) and do not change the framing.
        let space = after.iter().rposition(|b| *b == b' ').ok_or(NO_VERSION)?;
        let (target, version) = after.split_at_checked(space).ok_or(NO_VERSION)?;
        let version = version.get(1..).unwrap_or_default();
        if method == "PRI" && version == b"HTTP/2.0" {
            return Err("expected an HTTP/1 request line, got HTTP/2's connection preface");
        }
        if method == "PROXY" && target.starts_with(b"TCP") {
            return Err("expected an HTTP/1 request line, got a PROXY protocol v1 header");
        }
        let version = version_of(version).filter(|_| !target.is_empty());
        let version = version.ok_or(NOT_REQUEST)?;
        Ok(Self { method, target, version, lines: Lines { rest, response: false } })
    }

    /// The lines after the request line.
    pub(super) const fn lines(&self) -> Lines<'a> {
        self.lines
    }
}

impl<'a> ResponseHead<'a> {
    /// Reads a head; `None` when it is not one. A head that was cut gives the lines that are whole.
    pub fn parse(head: &'a [u8]) -> Option<Self> {
        let head = Self::start(head).or_else(|_| Self::made(head)).ok()?;
        head.lines.valid().then_some(head)
    }

    /// The fields, in order.
    pub const fn fields(&self) -> Fields<'a> {
        Fields(self.lines)
    }

    /// Reads the status line; the fields are not looked at yet.
    pub(super) fn start(head: &'a [u8]) -> Result<Self, &'static str> {
        Self::line(head, http1)
    }

    /// The same of a head that `wire::http2` made.
    pub(in crate::wire) fn made(head: &'a [u8]) -> Result<Self, &'static str> {
        Self::line(head, http2)
    }

    fn line(head: &'a [u8], version_of: fn(&[u8]) -> Option<&str>) -> Result<Self, &'static str> {
        let (line, rest) = split_line(head).ok_or(NOT_RESPONSE)?;
        let bare_cr = line.contains(&b'\r');
        let (version, after) = line.split_at_checked(find(b' ', line).unwrap_or(0)).ok_or(NOT_RESPONSE)?;
        let version = version_of(version).filter(|_| !bare_cr).ok_or(NOT_RESPONSE)?;
        let after = after.strip_prefix(b" ").ok_or(NOT_RESPONSE)?;
        let (digits, after) = after.split_at_checked(3).ok_or(NOT_RESPONSE)?;
        let status = std::str::from_utf8(digits)
            .ok()
            .filter(|d| d.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|d| d.parse().ok())
            .filter(|s| *s >= 100)
            .ok_or(NOT_RESPONSE)?;
        // The space before an empty reason is often left out.
        let reason = match after.split_first() {
            None => after,
            Some((b' ', reason)) => reason,
            Some(_) => return Err(NOT_RESPONSE),
        };
        Ok(Self { status, reason, version, lines: Lines { rest, response: true } })
    }

    /// The lines after the status line.
    pub(super) const fn lines(&self) -> Lines<'a> {
        self.lines
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let line = self.0.next_line()?.ok()?;
        Some(Field { name: std::str::from_utf8(line.name).unwrap_or("?"), value: line.unfolded() })
    }
}

/// The field lines of a head that has not been checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    response: bool,
}

/// One field as it lies in the head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) name: &'a [u8],
    /// With the line ends of folds.
    value: &'a [u8],
    folded: bool,
}

impl<'a> Line<'a> {
    /// The value on one line.
    pub(super) fn unfolded(&self) -> Cow<'a, [u8]> {
        if !self.folded {
            return Cow::Borrowed(self.value);
        }
        let mut joined = Vec::with_capacity(self.value.len());
        for part in self.value.split(|b| *b == b'\n') {
            if !joined.is_empty() {
                joined.push(b' ');
            }
            joined.extend_from_slice(part.trim_ascii());
        }
        Cow::Owned(joined)
    }
}

impl<'a> Lines<'a> {
    /// Whether every line is a field.
    fn valid(mut self) -> bool {
        while let Some(line) = self.next_line() {
            if line.is_err() {
                return false;
            }
        }
        true
    }

    /// The next field; `None` after the last.
    pub(super) fn next_line(&mut self) -> Option<Result<Line<'a>, &'static str>> {
        let (mut line, mut rest) = split_line(self.rest)?;
        if line.is_empty() {
            return None;
        }
        let mut folded = false;
        while let Some(b' ' | b'\t') = rest.first() {
            let Some((_, after)) = split_line(rest) else {
                break;
            };
            folded = true;
            let length = self.rest.len().saturating_sub(after.len());
            let both = self.rest.get(..length).unwrap_or(self.rest);
            line = both.strip_suffix(b"\n").unwrap_or(both);
            line = line.strip_suffix(b"\r").unwrap_or(line);
            rest = after;
        }
        self.rest = rest;
        Some(field(line, folded, self.response))
    }
}

fn field(line: &[u8], folded: bool, response: bool) -> Result<Line<'_>, &'static str> {
    let colon = find(b':', line).ok_or("expected a field line, got a line without a colon")?;
    let (name, value) = line.split_at_checked(colon).unwrap_or_default();
    let mut name = name;
    if response {
        // RFC 9112 section 5.1: a proxy removes this white space from a response, and refuses it in a request.
        name = name.trim_ascii_end();
    }
    if token(name).is_none() {
        return Err("expected a field name, got a line whose name is none");
    }
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    let bare_cr = if folded {
        let mut parts = value.split(|b| *b == b'\n');
        parts.any(|part| part.strip_suffix(b"\r").unwrap_or(part).contains(&b'\r'))
    } else {
        value.contains(&b'\r')
    };
    if bare_cr {
        // Some servers end a line there and some do not (RFC 9112 section 2.2).
        return Err("expected a field line, got a bare CR within it");
    }
    Ok(Line { name, value, folded })
}

const NOT_REQUEST: &str = "expected an HTTP/1 request line, got a line that is none";
const NO_VERSION: &str = "expected an HTTP/1 request line, got one without a version, as in HTTP/0.9";
const NOT_RESPONSE: &str = "expected an HTTP/1 status line, got a line that is none";

/// The first line without its end, and what follows it.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let lf = find(b'\n', bytes)?;
    let (line, rest) = bytes.split_at_checked(lf)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..).unwrap_or_default()))
}

/// `HTTP/1.` and a digit (RFC 9112 section 2.3, "HTTP Version").
fn http1(version: &[u8]) -> Option<&str> {
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if minor.is_ascii_digit() => {
            std::str::from_utf8(version).ok()
        }
        _ => None,
    }
}

/// What `wire::http2` writes as the version of the heads it makes.
fn http2(version: &[u8]) -> Option<&str> {
    (version == b"HTTP/2").then_some("HTTP/2")
}

/// A token (RFC 9110 section 5.6.2).
fn token(name: &[u8]) -> Option<&str> {
    if name.is_empty() || !name.iter().all(|b| is_token_char(*b)) {
        return None;
    }
    std::str::from_utf8(name).ok()
}

/// Whether a byte may be in a token (RFC 9110 section 5.6.2).
pub(in crate::wire) fn is_token_char(byte: u8) -> bool {
    // One bit for each ASCII character: every byte of every field name comes here, and ranges would cost branches.
    const TOKEN: u128 = 0x57ff_ffff_c7ff_fffe_03ff_6cfa_0000_0000;
    byte < 128 && TOKEN.unbounded_shr(u32::from(byte)) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wrong bit would make whole sites blind for one field's name.
    #[test]
    fn token_characters() {
        let token = b"!#$%&'*+-.^_`|~";
        for byte in 0..=u8::MAX {
            let is = byte.is_ascii_alphanumeric() || token.contains(&byte);
            assert_eq!(is_token_char(byte), is, "{byte:#04x}");
        }
    }

    fn fields(head: &[u8]) -> Option<Vec<(String, String)>> {
        let text = |f: Field<'_>| (f.name.to_owned(), f.value.escape_ascii().to_string());
        if head.starts_with(b"HTTP/") {
            return ResponseHead::parse(head).map(|h| h.fields().map(text).collect());
        }
        RequestHead::parse(head).map(|h| h.fields().map(text).collect())
    }

    /// The observer reads tokens from these values: a lost field is a lost leg.
    #[test]
    fn a_request_is_read_as_sent() {
        let head = RequestHead::parse(
            b"GET /a?b=c HTTP/1.1\r\nHOST:iis\r\nX-A: \t b c \t\r\nx-a:\r\nF: one\r\n  two\r\n\tthree\r\n\r\n",
        )
        .unwrap();
        assert_eq!((head.method, head.version), ("GET", "HTTP/1.1"));
        assert_eq!(head.target, b"/a?b=c");
        let got: Vec<_> = head.fields().map(|f| (f.name, f.value)).collect();
        let want: [(&str, &[u8]); 4] = [("HOST", b"iis"), ("X-A", b"b c"), ("x-a", b""), ("F", b"one two three")];
        assert_eq!(got.len(), want.len());
        for ((name, value), (n, v)) in got.iter().zip(want) {
            assert_eq!((*name, value.as_ref()), (n, v));
        }
    }

    /// IIS sends empty reasons, and others leave out the space: a status line lost is a 401 lost.
    #[test]
    fn status_lines_as_servers_send_them() {
        for (line, status, reason) in [
            ("HTTP/1.1 401 Unauthorized\r\n\r\n", 401, "Unauthorized"),
            ("HTTP/1.1 200 \r\n\r\n", 200, ""),
            ("HTTP/1.0 200\r\n\r\n", 200, ""),
            ("HTTP/1.1 404 Not Found\n\n", 404, "Not Found"),
        ] {
            let head = ResponseHead::parse(line.as_bytes()).unwrap();
            assert_eq!(head.status, status);
            assert_eq!(head.reason, reason.as_bytes());
        }
        for line in [
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 2000\r\n\r\n",
            "HTTP/1.1 20\r\n\r\n",
            "HTTP/1.1 099 x\r\n\r\n",
            "HTTP/1.1 2x0 x\r\n\r\n",
            "HTTP/1.1  200 x\r\n\r\n",
            "HTTP/1.1 200 a\rb\r\n\r\n",
        ] {
            assert!(ResponseHead::start(line.as_bytes()).is_err(), "{line:?}");
        }
    }

    /// A head that servers read in different ways must not be read in one of them.
    #[test]
    fn ambiguous_heads_are_refused() {
        for head in [
            "GET / HTTP/1.1\r\nA : b\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "GET / HTTP/1.1\r\n: b\r\n\r\n",
            "GET / HTTP/1.1\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\rContent-Length: 5\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n c\rd\r\n\r\n",
            "GET /\r\n\r\n",
            "GET HTTP/1.1\r\n\r\n",
            "G(T / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1 \r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n\r\n",
            "\r\n",
            "",
        ] {
            assert!(fields(head.as_bytes()).is_none(), "{head:?}");
        }
        let spaced = fields(b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n").unwrap();
        assert_eq!(spaced, [("A".to_owned(), "b".to_owned())]);
    }

    /// A request that the server refused before its end (a ticket too large) is told by what had come of it.
    #[test]
    fn a_cut_head_gives_its_whole_lines() {
        let cut = fields(b"GET / HTTP/1.1\r\nA: b\r\nAuthorization: Negotiate YII").unwrap();
        assert_eq!(cut, [("A".to_owned(), "b".to_owned())]);
    }
}
