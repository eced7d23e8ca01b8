//! Reads captures back into events: truncated, damaged and foreign files included.

use std::io::{self, BufRead, BufReader, Read};

use serde::Deserialize;

use super::v1::{Body, Line, VERSION};
use crate::model::TapId;
use crate::model::event::Event;

/// Longest line that is read; a longer one is skipped and told. A line holds at most two heads of 256 KiB each.
pub const MAX_LINE: usize = 8 * 1024 * 1024;

/// Bad lines that are told one by one; the rest is counted.
const MAX_TOLD: usize = 20;

/// Why a file gives no events at all.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing in it.
    #[error("the capture is empty: authtap wrote nothing to it")]
    Empty,
    /// It does not begin like a capture.
    #[error("not an authtap capture: line {line} {why}")]
    Foreign {
        /// The line that told.
        line: u64,
        /// How.
        why: String,
    },
    /// Written by a newer authtap.
    #[error("the capture has format version {found}, this authtap reads version {VERSION}: use a newer authtap")]
    Newer {
        /// Its version.
        found: u64,
    },
    /// The file could not be read on.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
}

/// A line that was skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

/// What a capture was made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadSummary {
    /// Lines, the bad and the unknown ones included.
    pub lines: u64,
    /// Events handed on.
    pub events: u64,
    /// Lines of a type that this authtap does not know (written by a newer one).
    pub unknown: u64,
    /// Lines that could not be read.
    pub bad: u64,
    /// The first of them.
    pub bad_lines: Vec<BadLine>,
    /// The last line was cut off: authtap was still writing, was killed, or the disk was full.
    pub truncated: bool,
}

impl ReadSummary {
    /// What a user should know about the file, one sentence each; empty for a sound capture.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks: Vec<String> =
            self.bad_lines.iter().map(|b| format!("line {} skipped: {}", b.line, b.why)).collect();
        let untold = self.bad.saturating_sub(self.bad_lines.len() as u64);
        if untold > 0 {
            remarks.push(format!("{untold} more lines skipped"));
        }
        if self.truncated {
            remarks.push(format!("the last line ({}) is cut off", self.lines));
        }
        if self.unknown > 0 {
            remarks.push(format!(
                "{} lines are of types that this authtap does not know: a newer one wrote them",
                self.unknown
            ));
        }
        remarks
    }

    fn tell_bad(&mut self, why: String) {
        self.bad += 1;
        if self.bad_lines.len() < MAX_TOLD {
            self.bad_lines.push(BadLine { line: self.lines, why });
        }
    }
}

/// What every line has, in any version.
#[derive(Deserialize)]
struct Head {
    v: u64,
    r#type: String,
    #[serde(rename = "tap")]
    _tap: String,
}

/// Reads a capture and hands each event on, in the file's order, in bounded memory.
pub fn read(source: impl Read, mut each: impl FnMut(TapId, Event)) -> Result<ReadSummary, ReadError> {
    let mut source = BufReader::with_capacity(64 * 1024, source);
    let mut summary = ReadSummary::default();
    let mut recognised = false;
    let mut line = Vec::new();
    // Before lines are looked for: in a binary file they mean nothing.
    if let Some(why) = known_format(source.fill_buf()?) {
        return Err(ReadError::Foreign { line: 1, why: why.to_owned() });
    }
    while let Some(end) = next_line(&mut source, &mut line)? {
        summary.lines += 1;
        if end == LineEnd::TooLong {
            if !recognised {
                return Err(foreign(&summary, "is longer than any line of a capture"));
            }
            summary.tell_bad(format!("longer than {MAX_LINE} bytes"));
            continue;
        }
        let bytes = trimmed(&line, summary.lines == 1);
        if bytes.is_empty() {
            continue;
        }
        let head = match serde_json::from_slice::<Head>(bytes) {
            Ok(head) => head,
            // A capture may have been cut within its very first line; that is no foreign file.
            Err(_) if end == LineEnd::EndOfFile && (recognised || begins_like_capture(bytes)) => {
                summary.truncated = true;
                break;
            }
            Err(_) if !recognised => return Err(foreign(&summary, describe(bytes))),
            Err(e) => {
                summary.tell_bad(not_a_line(&e));
                continue;
            }
        };
        if head.v != u64::from(VERSION) {
            if !recognised {
                return Err(ReadError::Newer { found: head.v });
            }
            summary.tell_bad(format!("format version {}", head.v));
            continue;
        }
        recognised = true;
        if !Body::TYPES.contains(&head.r#type.as_str()) {
            summary.unknown += 1;
            continue;
        }
        match serde_json::from_slice::<Line>(bytes)
            .map_err(|e| not_a_line(&e))
            .and_then(|l| l.into_event().map_err(|e| e.to_string()))
        {
            Ok((tap, event)) => {
                summary.events += 1;
                each(tap, event);
            }
            Err(why) => summary.tell_bad(why),
        }
    }
    if summary.lines == 0 || (!recognised && !summary.truncated) {
        return Err(ReadError::Empty);
    }
    Ok(summary)
}

/// Whether the bytes at the start of a file are those of a capture, of any version.
pub fn begins_like_capture(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let known = br#"{"v":"#;
    !bytes.is_empty() && bytes.iter().zip(known).all(|(a, b)| a == b)
}

fn foreign(summary: &ReadSummary, why: &str) -> ReadError {
    ReadError::Foreign { line: summary.lines, why: why.to_owned() }
}

/// What a file is by its first bytes, when it is something that people take for a capture.
fn known_format(start: &[u8]) -> Option<&'static str> {
    match start {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            Some("is UTF-16 text: save the file as UTF-8, or copy the original file")
        }
        [0x1f, 0x8b, ..] => Some("is compressed with gzip: unpack it first"),
        [0x0a, 0x0d, 0x0d, 0x0a, ..] | [0xd4, 0xc3, 0xb2, 0xa1, ..] | [0xa1, 0xb2, 0xc3, 0xd4, ..] => {
            Some("is a packet capture")
        }
        _ => None,
    }
}

/// What a line that is no capture's looks like; it is not quoted, since it may hold anything.
fn describe(bytes: &[u8]) -> &'static str {
    if serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok() {
        "is JSON, but has no \"v\", \"type\" and \"tap\""
    } else {
        "is not JSON"
    }
}

/// serde_json's words without its "at line 1 column 2": the file's line is told by the caller.
fn not_a_line(e: &serde_json::Error) -> String {
    let text = e.to_string();
    match text.rfind(" at line ") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}

fn trimmed(line: &[u8], first: bool) -> &[u8] {
    let line = if first { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
    line.trim_ascii()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    Newline,
    EndOfFile,
    TooLong,
}

/// Reads one line into `line`, at most [`MAX_LINE`] of it; `None` at the end of the file.
fn next_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<LineEnd>> {
    line.clear();
    let mut any = false;
    let mut too_long = false;
    loop {
        let chunk = match source.fill_buf() {
            Ok(chunk) => chunk,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        if chunk.is_empty() {
            return Ok(match (any, too_long) {
                (false, _) => None,
                (true, true) => Some(LineEnd::TooLong),
                (true, false) => Some(LineEnd::EndOfFile),
            });
        }
        any = true;
        let newline = chunk.iter().position(|b| *b == b'\n');
        let part = chunk.get(..newline.unwrap_or(chunk.len())).unwrap_or(chunk);
        if line.len() + part.len() > MAX_LINE {
            too_long = true;
            line.clear();
        }
        if !too_long {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(newline.is_some());
        source.consume(used);
        if newline.is_some() {
            return Ok(Some(if too_long { LineEnd::TooLong } else { LineEnd::Newline }));
        }
    }
}
