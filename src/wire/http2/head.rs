//! Decoded fields become a head as HTTP/1 would have it, so that everything behind the framing reads one kind.

use crate::wire::http1::head::is_token_char;
use crate::wire::http1::{MAX_HEAD, Pool};

/// A head in the making.
///
/// The pseudo-fields (RFC 9113 section 8.3) make its first line, and `:authority` a `host` field; the others follow in
/// their order, with the names as sent, which HTTP/2 has in lower case.
pub(super) struct Maker {
    head: Vec<u8>,
    request: bool,
    begun: bool,
    /// Method, authority, path; or the status.
    pseudo: Vec<u8>,
    method: Span,
    authority: Span,
    path: Span,
    status: Span,
}

/// A part of [`Maker::pseudo`].
type Span = Option<(usize, usize)>;

impl Maker {
    /// `request`: or else a response.
    pub(super) fn new(request: bool, pool: &mut Pool) -> Self {
        Self {
            head: pool.take(),
            request,
            begun: false,
            pseudo: pool.take(),
            method: None,
            authority: None,
            path: None,
            status: None,
        }
    }

    /// The next field.
    pub(super) fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
            return Err("expected a field value on one line, got a CR, LF or NUL within it");
        }
        let size = self.head.len().saturating_add(self.pseudo.len()).saturating_add(name.len());
        // Four more: colon, space and line end.
        if size.saturating_add(value.len()).saturating_add(4) > MAX_HEAD {
            return Err("expected fields of at most 256 KiB, got more");
        }
        if let Some(pseudo) = name.strip_prefix(b":") {
            return self.pseudo(pseudo, value);
        }
        if name.is_empty() || !name.iter().all(|b| is_token_char(*b)) {
            return Err("expected a field name, got something that is none");
        }
        self.begin()?;
        self.push(name, value);
        Ok(())
    }

    fn pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if self.begun {
            return Err("expected pseudo-fields before all others, got one behind");
        }
        let span = match (name, self.request) {
            (b"method", true) => &mut self.method,
            (b"authority", true) => &mut self.authority,
            (b"path", true) => &mut self.path,
            (b"status", false) => &mut self.status,
            // `:scheme`, `:protocol` of RFC 8441, and what may yet come.
            _ => return Ok(()),
        };
        if span.is_some() {
            return Err("expected each pseudo-field once, got one twice");
        }
        let start = self.pseudo.len();
        self.pseudo.extend_from_slice(value);
        *span = Some((start, self.pseudo.len()));
        Ok(())
    }

    /// Writes the first line, once.
    fn begin(&mut self) -> Result<(), &'static str> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let part = |span: Span| span.and_then(|(start, end)| self.pseudo.get(start..end));
        if self.request {
            let method = part(self.method).filter(|m| !m.is_empty() && m.iter().all(|b| is_token_char(*b)));
            let authority = part(self.authority).filter(|a| !a.is_empty());
            // A CONNECT has no path (RFC 9113 section 8.5).
            let target = part(self.path).filter(|p| !p.is_empty()).or(authority);
            let (Some(method), Some(target)) = (method, target) else {
                return Err("expected :method and :path of a request, got a header block without them");
            };
            self.head.extend_from_slice(method);
            self.head.push(b' ');
            self.head.extend_from_slice(target);
            self.head.extend_from_slice(b" HTTP/2\r\n");
            if let Some(authority) = authority {
                self.head.extend_from_slice(b"host: ");
                self.head.extend_from_slice(authority);
                self.head.extend_from_slice(b"\r\n");
            }
        } else {
            let status = part(self.status)
                .filter(|s| matches!(s, [b'1'..=b'9', b, c] if b.is_ascii_digit() && c.is_ascii_digit()));
            let Some(status) = status else {
                return Err("expected :status of a response, got a header block without it");
            };
            self.head.extend_from_slice(b"HTTP/2 ");
            self.head.extend_from_slice(status);
            self.head.extend_from_slice(b" \r\n");
        }
        Ok(())
    }

    fn push(&mut self, name: &[u8], value: &[u8]) {
        self.head.extend_from_slice(name);
        self.head.extend_from_slice(b": ");
        self.head.extend_from_slice(value);
        self.head.extend_from_slice(b"\r\n");
    }

    /// The head, whole.
    pub(super) fn finish(mut self, pool: &mut Pool) -> Result<Vec<u8>, &'static str> {
        let begun = self.begin();
        pool.give(self.pseudo);
        match begun {
            Ok(()) => {
                self.head.extend_from_slice(b"\r\n");
                Ok(self.head)
            }
            Err(why) => {
                pool.give(self.head);
                Err(why)
            }
        }
    }
}
