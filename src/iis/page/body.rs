//! A body's bytes become text: content coding off, characters decoded. Bounded, and what is cut stays readable.

use std::io::Read;

use super::{Answer, lossy};

/// Pages of IIS are 1 to 7 KB; a bomb is not.
pub(super) const LIMIT: u64 = 64 * 1024;

/// A body that can be searched.
pub(super) struct Body {
    /// In UTF-8.
    pub(super) text: String,
    /// Nothing of it is missing.
    pub(super) whole: bool,
}

/// Takes the content coding off (RFC 9110 section 8.4.1); `None` for a coding that is not read here.
pub(super) fn read(answer: &Answer<'_>) -> Option<Body> {
    let coding = answer.content_encoding.map(|c| lossy(c).trim().to_ascii_lowercase()).unwrap_or_default();
    let (bytes, whole) = match coding.as_str() {
        "" | "identity" => {
            let (bytes, limited) = limited(answer.body);
            (bytes.to_vec(), !limited)
        }
        "gzip" | "x-gzip" => inflate(flate2::read::GzDecoder::new(answer.body)),
        "deflate" => {
            // The specification means zlib's format; some servers send the bare stream.
            let zlib = inflate(flate2::read::ZlibDecoder::new(answer.body));
            if zlib.0.is_empty() { inflate(flate2::read::DeflateDecoder::new(answer.body)) } else { zlib }
        }
        _ => return None,
    };
    Some(Body { text: decode(&bytes), whole: whole && answer.whole })
}

fn limited(bytes: &[u8]) -> (&[u8], bool) {
    let limit = usize::try_from(LIMIT).unwrap_or(usize::MAX);
    bytes.get(..limit).map_or((bytes, false), |start| (start, bytes.len() > limit))
}

/// What can be had before the limit, the end or the first error.
fn inflate(decoder: impl Read) -> (Vec<u8>, bool) {
    let mut decoder = decoder.take(LIMIT);
    let mut out = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match decoder.read(&mut piece) {
            Ok(0) => return (out, decoder.limit() > 0),
            Ok(read) => out.extend_from_slice(piece.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return (out, false),
        }
    }
}

/// UTF-16 with its mark, else UTF-8, else ISO-8859-1, which every byte sequence is.
fn decode(bytes: &[u8]) -> String {
    match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => lossy(rest).into_owned(),
        // Without a mark: a page begins with `<`.
        [b'<', 0, ..] => utf16(bytes, u16::from_le_bytes),
        [0, b'<', ..] => utf16(bytes, u16::from_be_bytes),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            // Cut inside of a character: no length of error.
            Err(error) if error.error_len().is_none() => lossy(bytes).into_owned(),
            Err(_) => bytes.iter().copied().map(char::from).collect(),
        },
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, _) = bytes.as_chunks::<2>();
    char::decode_utf16(pairs.iter().copied().map(unit)).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}
