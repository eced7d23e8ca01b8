//! Message bodies: only their length and end (RFC 9112 sections 6 and 7).

use super::MAX_HEAD;
use super::direction::wide;
use super::scan::{Place, find};

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// No body (RFC 9112 section 6.3, items 1, 2 and 7), or all of it has come.
    None,
    /// So many bytes (item 6).
    Length(u64),
    /// Chunks (item 4).
    Chunked(Chunk),
    /// All until the connection's end (items 4 and 8).
    UntilClose,
}

/// Place in the chunked coding (RFC 9112 section 7.1).
///
/// Its lines end in CRLF and in nothing else: parsers disagree about a bare LF here, so following one would be a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Before a size's first digit.
    Start,
    /// Within a size's digits.
    Size(u64),
    /// After the size, in white space or extensions (section 7.1.1).
    Extension(u64),
    /// After the CR of the size's line.
    SizeCr(u64),
    /// Within data; so much is left.
    Data(u64),
    /// After data.
    DataEnd,
    /// After the CR behind data.
    DataCr,
    /// In the trailer section (section 7.1.2), with its bytes so far.
    Trailer(Place, u32),
}

/// What a slice did to a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes of the slice that belong to this body.
    pub(super) consumed: usize,
    /// How many of them are content.
    pub(super) content: u64,
}

/// A place in a slice that the framing does not allow.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// Offset in the slice.
    pub(super) at: usize,
    /// What was expected and what came.
    pub(super) why: &'static str,
}

impl Body {
    /// The chunked coding, from its first byte.
    pub(super) const CHUNKED: Self = Self::Chunked(Chunk::Start);

    /// Goes on through `bytes`, and shows `content` what of them is content. The body is complete when `self` is
    /// [`Body::None`] afterwards.
    pub(super) fn advance(&mut self, bytes: &[u8], content: &mut impl FnMut(&[u8])) -> Result<Progress, Broken> {
        match self {
            Self::None => Ok(Progress { consumed: 0, content: 0 }),
            Self::UntilClose => {
                content(bytes);
                Ok(Progress { consumed: bytes.len(), content: wide(bytes.len()) })
            }
            Self::Length(left) => {
                let consumed = at_most(bytes.len(), *left);
                content(bytes.get(..consumed).unwrap_or(bytes));
                *left = left.saturating_sub(wide(consumed));
                if *left == 0 {
                    *self = Self::None;
                }
                Ok(Progress { consumed, content: wide(consumed) })
            }
            Self::Chunked(chunk) => {
                let mut state = *chunk;
                let (progress, done) = state.advance(bytes, content)?;
                *self = if done { Self::None } else { Self::Chunked(state) };
                Ok(progress)
            }
        }
    }

    /// Goes on as if `n` bytes of content had come; `false`, and nothing done, when not all of them can be content. The
    /// body is complete when `self` is [`Body::None`] afterwards.
    pub(super) const fn skip(&mut self, n: u64) -> bool {
        match self {
            Self::UntilClose => true,
            Self::Length(left) | Self::Chunked(Chunk::Data(left)) if n < *left => {
                *left = left.saturating_sub(n);
                true
            }
            Self::Length(left) if n == *left => {
                *self = Self::None;
                true
            }
            Self::Chunked(Chunk::Data(left)) if n == *left => {
                *self = Self::Chunked(Chunk::DataEnd);
                true
            }
            Self::None | Self::Length(_) | Self::Chunked(_) => false,
        }
    }
}

impl Chunk {
    /// Goes on through `bytes`; also whether the body ended.
    fn advance(&mut self, bytes: &[u8], show: &mut impl FnMut(&[u8])) -> Result<(Progress, bool), Broken> {
        let mut rest = bytes;
        let mut content = 0_u64;
        let mut done = false;
        while !done && !rest.is_empty() {
            let before = bytes.len().saturating_sub(rest.len());
            let consumed = match self {
                Self::Data(left) => {
                    let n = at_most(rest.len(), *left);
                    *left = left.saturating_sub(wide(n));
                    content = content.saturating_add(wide(n));
                    show(rest.get(..n).unwrap_or(rest));
                    if *left == 0 {
                        *self = Self::DataEnd;
                    }
                    Ok(n)
                }
                Self::Trailer(place, so_far) => {
                    let end = place.find_empty_line(rest);
                    done = end.is_some();
                    let n = end.unwrap_or(rest.len());
                    count_trailer(so_far, n).map(|()| n)
                }
                Self::Extension(size) => {
                    // Up to the CR at once: an extension may be long, and no byte of it matters.
                    let n = find(b'\r', rest).unwrap_or(rest.len());
                    match find(b'\n', rest.get(..n).unwrap_or(rest)) {
                        Some(at) => Err(Broken { at, why: BARE_LF }),
                        None if n == rest.len() => Ok(n),
                        None => {
                            *self = Self::SizeCr(*size);
                            Ok(n.saturating_add(1))
                        }
                    }
                }
                _ => match self.byte(rest.first().copied().unwrap_or(0)) {
                    Ok(next) => {
                        *self = next;
                        Ok(1)
                    }
                    Err(why) => Err(Broken { at: 0, why }),
                },
            };
            let consumed = consumed.map_err(|broken| Broken { at: broken.at.saturating_add(before), ..broken })?;
            rest = rest.get(consumed..).unwrap_or_default();
        }
        let consumed = bytes.len().saturating_sub(rest.len());
        Ok((Progress { consumed, content }, done))
    }

    /// One byte of the coding's own lines.
    fn byte(self, byte: u8) -> Result<Self, &'static str> {
        match (self, byte) {
            (Self::Start, _) => match digit(byte) {
                Some(value) => Ok(Self::Size(value)),
                None => Err("expected a chunk size in hexadecimal, got another byte"),
            },
            (Self::Size(size), b' ' | b'\t' | b';') => Ok(Self::Extension(size)),
            (Self::Size(size), b'\r') => Ok(Self::SizeCr(size)),
            (Self::Size(_), b'\n') => Err(BARE_LF),
            (Self::Size(size), _) => match digit(byte) {
                Some(value) => size
                    .checked_mul(16)
                    .and_then(|s| s.checked_add(value))
                    .map(Self::Size)
                    .ok_or("expected a chunk size below 2^64, got a larger one"),
                None => Err("expected the end of a chunk size, got another byte"),
            },
            (Self::SizeCr(0), b'\n') => Ok(Self::Trailer(Place::default(), 0)),
            (Self::SizeCr(size), b'\n') => Ok(Self::Data(size)),
            (Self::DataEnd, b'\r') => Ok(Self::DataCr),
            (Self::DataCr, b'\n') => Ok(Self::Start),
            (Self::DataEnd | Self::DataCr, _) => Err("expected CRLF after a chunk's data, got another byte"),
            _ => Err("expected LF after the CR of a chunk size's line, got another byte"),
        }
    }
}

const BARE_LF: &str = "expected CRLF after a chunk size, got a bare LF";

/// Counts `n` more trailer bytes, or tells the first one past the limit, wherever the cuts were.
fn count_trailer(so_far: &mut u32, n: usize) -> Result<(), Broken> {
    let room = MAX_HEAD.saturating_sub(usize::try_from(*so_far).unwrap_or(usize::MAX));
    if n > room {
        return Err(Broken { at: room, why: "expected a trailer section's end within 256 KiB, got more bytes" });
    }
    *so_far = so_far.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
    Ok(())
}

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

fn at_most(available: usize, left: u64) -> usize {
    usize::try_from(left).map_or(available, |left| left.min(available))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a body over text in every two-part cut, and byte by byte; they must agree.
    fn run(body: Body, text: &[u8]) -> Result<(usize, u64, bool), (usize, &'static str)> {
        let one = |cuts: &[usize]| {
            let mut body = body;
            let (mut at, mut content) = (0, 0);
            for end in cuts.iter().copied().chain([text.len()]) {
                match body.advance(&text[at..end], &mut |_| {}) {
                    Ok(p) => {
                        content += p.content;
                        at += p.consumed;
                        if body == Body::None {
                            break;
                        }
                    }
                    Err(b) => return Err((at + b.at, b.why)),
                }
            }
            Ok((at, content, body == Body::None))
        };
        let whole = one(&[]);
        for cut in 0..=text.len() {
            assert_eq!(one(&[cut]), whole, "cut at {cut}");
        }
        assert_eq!(one(&(0..text.len()).collect::<Vec<_>>()), whole, "bytewise");
        whole
    }

    /// A length miscounted by one shifts every later message of the connection.
    #[test]
    fn content_length_ends_at_its_last_byte() {
        assert_eq!(run(Body::Length(5), b"helloHTTP"), Ok((5, 5, true)));
        assert_eq!(run(Body::Length(5), b"hel"), Ok((3, 3, false)));
        assert_eq!(run(Body::UntilClose, b"hello"), Ok((5, 5, false)));
    }

    /// Chunked answers are what ASP.NET sends by default: losing one loses the connection's story.
    #[test]
    fn chunked_with_extensions_and_trailers() {
        for (text, consumed, content) in [
            (&b"0\r\n\r\nNEXT"[..], 5, 0),
            (b"5\r\nhello\r\n0\r\n\r\nNEXT", 15, 5),
            (b"5;a=b\r\nhello\r\n00000\t; q=\"x\"\r\nA: b\r\nC: d\r\n\r\nNEXT", 43, 5),
            (b"a  \r\n0123456789\r\n1\r\nx\r\n0\r\nA: b\n\nNEXT", 32, 11),
        ] {
            let name = text.escape_ascii().to_string();
            assert_eq!(run(Body::CHUNKED, text), Ok((consumed, content, true)), "{name}");
        }
    }

    /// Where parsers disagree, a guess would pair answers wrongly; blind and told is right.
    #[test]
    fn a_broken_chunk_is_told_at_its_byte() {
        for (text, at) in [
            (&b"x"[..], 0),
            (b"\r\n", 0),
            (b"5\nhello", 1),
            (b"5;a\nhello", 3),
            (b"5\rhello", 2),
            (b"5g\r\n", 1),
            (b"2\r\nabc", 5),
            (b"2\r\nab\rx", 6),
            (b"2\r\nab\n", 5),
            (b"10000000000000000\r\n", 16),
        ] {
            let got = run(Body::CHUNKED, text);
            assert_eq!(got.map_err(|e| e.0), Err(at), "{}", text.escape_ascii());
        }
        let mut long = b"0\r\n".to_vec();
        long.resize(MAX_HEAD + 100, b'x');
        let mut body = Body::CHUNKED;
        assert_eq!(body.advance(&long, &mut |_| {}).unwrap_err().at, MAX_HEAD + 3);
    }
}
