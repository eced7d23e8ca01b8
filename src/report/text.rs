//! Text for a terminal: wrapped, and free of what could play tricks on it.

use std::fmt::Write as _;

/// Replaces control and direction-changing characters: names come from clients, and a user called
/// `\x1b[2J` must not clear the administrator's screen.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => c,
            '\t' | '\r' => ' ',
            c if c.is_control() || is_direction(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Bidirectional controls (Unicode Standard Annex 9) and line separators.
const fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
}

/// Columns that a text takes on a terminal.
pub fn columns(text: &str) -> usize {
    text.chars().map(column).sum()
}

/// Near enough to Unicode Standard Annex 11 for names and sentences: combining marks take none, East Asian wide
/// characters and emoji two.
const fn column(c: char) -> usize {
    match c {
        '\0'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{300}'..='\u{36f}'
        | '\u{200b}'..='\u{200d}'
        | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// Appends `text` to `out`, wrapped at `width` columns: `first` before the first line, `rest` before the others.
/// Newlines in the text are kept, and a line of a list (`- …`, `1. …`) goes on under its own text.
pub fn wrap(out: &mut String, text: &str, width: usize, first: &str, rest: &str) {
    let text = clean(text);
    let mut prefix = first;
    for paragraph in text.lines() {
        let trimmed = paragraph.trim_start();
        let own = columns(paragraph) - columns(trimmed);
        let hang = own + bullet(trimmed);
        out.push_str(prefix);
        let _ = write!(out, "{:own$}", "");
        let mut used = columns(prefix) + own;
        let mut fresh = true;
        for word in trimmed.split_whitespace() {
            let mut word = word;
            if !fresh && used + 1 + columns(word) > width {
                new_line(out, rest, hang);
                used = columns(rest) + hang;
                fresh = true;
            }
            if !fresh {
                out.push(' ');
                used += 1;
            }
            // A word longer than a line (a URL, a name) is cut rather than let run over the edge.
            while used + columns(word) > width {
                let cut = cut_at(word, width.saturating_sub(used).max(1));
                let (head, tail) = word.split_at(cut);
                if tail.is_empty() {
                    break;
                }
                out.push_str(head);
                new_line(out, rest, hang);
                used = columns(rest) + hang;
                word = tail;
            }
            out.push_str(word);
            used += columns(word);
            fresh = false;
        }
        trim_line(out);
        out.push('\n');
        prefix = rest;
    }
}

/// Width of a list's mark, with its space.
fn bullet(line: &str) -> usize {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    if line.starts_with("- ") || line.starts_with("* ") {
        2
    } else if (1..=2).contains(&digits) && line.get(digits..).is_some_and(|r| r.starts_with(". ")) {
        digits + 2
    } else {
        0
    }
}

fn new_line(out: &mut String, rest: &str, hang: usize) {
    trim_line(out);
    out.push('\n');
    out.push_str(rest);
    let _ = write!(out, "{:hang$}", "");
}

fn trim_line(out: &mut String) {
    let end = out.trim_end_matches(' ').len();
    out.truncate(end);
}

/// Byte offset after as many characters as fit in `room` columns, at least one.
fn cut_at(word: &str, room: usize) -> usize {
    let mut used = 0;
    for (i, c) in word.char_indices() {
        used += column(c);
        if used > room && i > 0 {
            return i;
        }
    }
    word.len()
}

/// `1 connection`, `2 connections`.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(n), if n == 1 { one } else { many })
}

/// `1,234,567`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(text: &str, width: usize) -> String {
        let mut out = String::new();
        wrap(&mut out, text, width, "> ", "  ");
        out
    }

    /// A report that runs over the edge of an 80-column console is unreadable in an incident.
    #[test]
    fn no_line_is_wider_than_asked() {
        for text in [
            "one two three four five six seven",
            "Größenwahn 日本語日本語日本語日本語 x",
            "https://example.test/a/very/long/path/without/any/space/in/it",
            "- a list's line that goes on and on\n- another\n\n1. numbered, and long as well",
        ] {
            for width in [12, 20, 40] {
                for line in wrapped(text, width).lines() {
                    assert!(columns(line) <= width, "{width}: {line:?}");
                    assert_eq!(line, line.trim_end());
                }
            }
        }
    }

    /// Lists in a fix would run together.
    #[test]
    fn lists_hang_under_their_text() {
        assert_eq!(wrapped("- alpha beta gamma\n- delta", 14), "> - alpha beta\n    gamma\n  - delta\n");
    }

    /// A user name with an escape sequence could rewrite the administrator's terminal.
    #[test]
    fn nothing_plays_tricks_on_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\u{202e}c\r\td"), "a\u{fffd}[2Jb\u{fffd}c  d");
    }

    /// Big numbers are misread without their groups.
    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "connection", "connections"), "1 connection");
    }
}
