//! As much of a peer's text as is worth keeping.

use std::borrow::Cow;
use std::fmt::Write as _;

/// So many bytes of a target, a name or a field's value are kept and shown. A head may be 256 KiB long, and what is
/// remembered of thousands of clients must stay small.
const MOST: usize = 512;

/// `text` itself, or its beginning and its length.
pub fn short(text: &str) -> Cow<'_, str> {
    within(text, MOST)
}

/// [`short`] with another limit.
pub fn within(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}… ({} bytes)", text.get(..end).unwrap_or_default(), text.len()))
}

/// `text` in one line, its control characters as `\\x0a`: a user called `alice\nFix: reboot` must write no line of a
/// report.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if c.is_control() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name of 256 KiB in a finding fills the screen, and thousands of them the memory.
    #[test]
    fn a_long_text_is_told_by_its_beginning() {
        assert_eq!(short("/app"), "/app");
        assert_eq!(within("ab", 2), "ab");
        assert_eq!(within("aäb", 2), "a… (4 bytes)");
        assert_eq!(one_line("a\nb\x1b[2J\u{9b}"), "a\\x0ab\\x1b[2J\\x9b");
        assert!(short(&"ä".repeat(200_000)).len() < MOST + 32);
    }
}
