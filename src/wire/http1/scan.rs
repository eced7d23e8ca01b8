//! Finding line ends, resumable at every byte.

/// Where `needle` first is in `hay`; eight bytes a step, because most header bytes are looked at only here.
#[inline]
pub(super) fn find(needle: u8, hay: &[u8]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let pattern = u64::from_ne_bytes([needle; 8]);
    let (words, tail) = hay.as_chunks::<8>();
    let mut before = 0_usize;
    for word in words {
        // A zero byte in `x` is a hit. The lowest set bit of `hits` is exact; bits above it may not be.
        let x = u64::from_le_bytes(*word) ^ pattern;
        let hits = x.wrapping_sub(LOW) & !x & HIGH;
        if hits != 0 {
            let bit = usize::try_from(hits.trailing_zeros()).unwrap_or(0);
            return Some(before.saturating_add(bit / 8));
        }
        before = before.saturating_add(8);
    }
    let at = tail.iter().position(|b| *b == needle)?;
    Some(before.saturating_add(at))
}

/// Where in a section of lines the last byte seen was: all that is needed to find its empty line across cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Place {
    /// After a line end.
    #[default]
    LineStart,
    /// After a CR that followed a line end.
    Cr,
    /// Within a line.
    Line,
}

impl Place {
    /// Goes on through `bytes`; the length up to and with the empty line, once it is there.
    ///
    /// A bare LF ends a line as CRLF does (RFC 9112 section 2.2, "Message Parsing").
    pub(super) fn find_empty_line(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        loop {
            if *self == Self::Line {
                let lf = find(b'\n', rest)?;
                rest = rest.get(lf.saturating_add(1)..)?;
                *self = Self::LineStart;
            }
            let (first, after) = rest.split_first()?;
            rest = after;
            *self = match (*self, *first) {
                (_, b'\n') => return Some(bytes.len().saturating_sub(rest.len())),
                (Self::LineStart, b'\r') => Self::Cr,
                _ => Self::Line,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A missed line end would make a connection blind, or worse, pair an answer with the wrong request.
    #[test]
    fn find_agrees_with_a_plain_search() {
        let mut hay: Vec<u8> = (0..40).map(|i| i * 5).collect();
        for at in 0..40 {
            for needle in [b'\n', b'\r', 0, 0xff, 0x80, 0x8a, 0x0b] {
                let old = std::mem::replace(&mut hay[at], needle);
                for from in 0..9 {
                    let plain = hay[from..].iter().position(|b| *b == needle);
                    assert_eq!(find(needle, &hay[from..]), plain);
                }
                hay[at] = old;
            }
        }
        assert_eq!(find(b'x', b""), None);
    }

    /// A head whose end depends on how TCP cut it would be told differently from one run to the next.
    #[test]
    fn the_empty_line_is_found_at_every_cut() {
        for (text, end) in [
            (&b"a: b\r\n\r\nrest"[..], Some(8)),
            (b"a: b\n\nrest", Some(6)),
            (b"a\n\r\nrest", Some(4)),
            (b"\r\nrest", Some(2)),
            (b"\nrest", Some(1)),
            (b"a\r\n\r\r\n\r\n", Some(8)),
            (b"a\r\n \r\n", None),
        ] {
            for cut in 0..=text.len() {
                let mut place = Place::default();
                let (one, two) = text.split_at(cut);
                let found = place.find_empty_line(one).or_else(|| place.find_empty_line(two).map(|n| n + cut));
                assert_eq!(found, end, "{:?} at {cut}", text.escape_ascii().to_string());
            }
        }
    }
}
