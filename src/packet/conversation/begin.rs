//! What a connection speaks, and which end is the client, by the first bytes that are seen of it.

use crate::packet::tls::Session;

/// How an HTTP/2 client begins (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Longest method that counts as one; the registered ones have 17 letters at most.
const MOST_METHOD: usize = 24;

/// Most of a request line that is looked through for its version.
const MOST_LINE: usize = 16 * 1024;

/// What bytes look like that come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    /// A request of HTTP/1, or the preface of HTTP/2.
    Request,
    /// A response of HTTP/1, or the settings that a server of HTTP/2 begins with.
    Response,
    /// A TLS ClientHello.
    Tls,
    /// TLS, in its middle.
    TlsRecord,
    /// So far like a request, but too little has come.
    Unclear,
    /// Nothing of that.
    Other,
}

/// The first bytes of a connection whose beginning was captured: a method and a space are enough, because a request line
/// may come in pieces.
pub(super) fn first(bytes: &[u8]) -> Looks {
    match Session::begins(bytes) {
        Some(true) => return Looks::Tls,
        None => return Looks::Unclear,
        Some(false) => {}
    }
    if let Some(other) = response(bytes) {
        return other;
    }
    // RFC 9112 section 2.2: empty lines before a request line are ignored.
    let start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
    let rest = bytes.get(start..).unwrap_or_default();
    let method = rest.iter().take_while(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_')).count();
    match rest.get(method) {
        _ if start > 4 || method > MOST_METHOD => Looks::Other,
        Some(b' ') if method > 1 => Looks::Request,
        None => Looks::Unclear,
        Some(_) => Looks::Other,
    }
}

/// Bytes in the middle of a connection: only a whole request line, or the beginning of a status line, counts, at the very
/// beginning of what came together.
pub(super) fn middle(bytes: &[u8]) -> Looks {
    if let Some(other) = response(bytes) {
        return other;
    }
    if let [0x14..=0x17, 3, 0..=4, ..] = bytes {
        // A ClientHello (RFC 8446 section 4) may be the first of a connection whose SYN was not captured.
        return if matches!(bytes, [0x16, _, _, _, _, 1, ..]) { Looks::Tls } else { Looks::TlsRecord };
    }
    if !bytes.first().is_some_and(u8::is_ascii_uppercase) {
        return Looks::Other;
    }
    let line = bytes.get(..MOST_LINE).unwrap_or(bytes);
    let line = line.iter().position(|b| *b == b'\n').and_then(|end| line.get(..end)).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line.rsplitn(2, |b| *b == b' ').next() {
        Some(b"HTTP/1.1" | b"HTTP/1.0") if first(bytes) == Looks::Request => Looks::Request,
        _ if bytes.starts_with(PREFACE) => Looks::Request,
        _ => Looks::Other,
    }
}

fn response(bytes: &[u8]) -> Option<Looks> {
    // SETTINGS on stream 0 (RFC 9113 sections 4.1 and 6.5).
    let settings = matches!(bytes, [0, _, _, 4, 0 | 1, 0, 0, 0, 0, ..]);
    (bytes.starts_with(b"HTTP/1.") || settings).then_some(Looks::Response)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When this fails, traffic of other protocols fills the report with gaps, or HTTP is passed over.
    #[test]
    fn what_a_connection_speaks_is_seen_by_its_first_bytes() {
        for (bytes, looks) in [
            (&b"GET / HTTP/1.1\r\n"[..], Looks::Request),
            (b"\r\nPOST /a HTTP/1.0\r\n", Looks::Request),
            (b"RPC_IN_DATA /rpc/rpcproxy.dll HTTP/1.1\r\n", Looks::Request),
            (b"GE", Looks::Unclear),
            (PREFACE, Looks::Request),
            (b"HTTP/1.1 408 Request Timeout\r\n", Looks::Response),
            (b"SSH-2.0-OpenSSH", Looks::Other),
            (b"220 mail ready", Looks::Other),
            (b"\xffSMB", Looks::Other),
            (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", Looks::Response),
        ] {
            assert_eq!(first(bytes), looks, "{}", bytes.escape_ascii());
        }
    }

    /// When this fails, a word in the middle of a body is taken for a request, and answers are paired with the wrong ones.
    #[test]
    fn in_the_middle_only_a_whole_line_counts() {
        for (bytes, looks) in [
            (&b"GET / HTTP/1.1\r\nHost: a\r\n"[..], Looks::Request),
            (b"GET /", Looks::Other),
            (b"GET the facts\r\n", Looks::Other),
            (b"get / HTTP/1.1\r\n", Looks::Other),
            (b"HTTP/1.1 200 OK\r\n", Looks::Response),
            (b"\x17\x03\x03\x01\x00", Looks::TlsRecord),
            (b"<html>", Looks::Other),
            (b"", Looks::Other),
        ] {
            assert_eq!(middle(bytes), looks, "{}", bytes.escape_ascii());
        }
    }
}
