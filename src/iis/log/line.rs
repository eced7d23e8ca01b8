//! What a line says. All borrows from the line; what may hold a secret is measured, not borrowed.

use std::fmt;
use std::sync::Arc;

use crate::model::Stamp;

/// What a line was.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "a box would be an allocation for each line")]
pub enum LogEvent<'a> {
    /// A line that begins with `#`.
    Directive(Directive<'a>),
    /// A request that IIS logged.
    W3c(W3cLine<'a>),
    /// An error that HTTP.sys logged.
    HttpErr(HttpErrLine<'a>),
}

/// A directive (W3C Extended Log File Format, "Directives").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directive<'a> {
    /// `#Fields`: the columns from here on; how many.
    Fields(usize),
    /// `#Date`: when this part of the log was begun.
    Date(Stamp),
    /// `#Software`.
    Software(Text<'a>),
    /// Any other: its name.
    Other(Text<'a>),
}

/// A value as it stands in the log. Logs are UTF-8 or a code page, and URLs may hold any byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Text<'a>(pub &'a [u8]);

impl Text<'_> {
    /// The value with its spaces put back. IIS writes `+` for a space and for `+`, so this is a guess, and right for
    /// user agents.
    pub fn spaced(&self) -> String {
        self.to_string().replace('+', " ")
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{fffd}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

/// A line of a W3C extended log. What `#Fields` does not name and what is `-` is `None`.
#[derive(Debug, Clone, Default)]
pub struct W3cLine<'a> {
    /// Its number in the file, from 1.
    pub line: u64,
    /// `date` and `time`, UTC, whole seconds.
    pub time: Option<Stamp>,
    /// `s-sitename`.
    pub site: Option<Text<'a>>,
    /// `s-computername`.
    pub computer: Option<Text<'a>>,
    /// `s-ip`.
    pub server_ip: Option<Text<'a>>,
    /// `s-port`.
    pub server_port: Option<u16>,
    /// `cs-method`.
    pub method: Option<Text<'a>>,
    /// `cs-uri-stem`.
    pub stem: Option<Text<'a>>,
    /// Bytes of `cs-uri-query`, which itself is not kept.
    pub query_bytes: Option<usize>,
    /// `cs-username`: filled when the request was authenticated.
    pub user: Option<Text<'a>>,
    /// `c-ip`: the last hop's address.
    pub client_ip: Option<Text<'a>>,
    /// `c-port`: no field of IIS's own, but one that can be added.
    pub client_port: Option<u16>,
    /// `cs-version`.
    pub version: Option<Text<'a>>,
    /// `cs-host`.
    pub host: Option<Text<'a>>,
    /// `cs(User-Agent)`, its spaces as `+`.
    pub user_agent: Option<Text<'a>>,
    /// Bytes of `cs(Cookie)`, which itself is not kept.
    pub cookie_bytes: Option<usize>,
    /// Bytes of `cs(Referer)`, which itself is not kept: it holds query strings.
    pub referer_bytes: Option<usize>,
    /// `sc-status`.
    pub status: Option<u16>,
    /// `sc-substatus`.
    pub substatus: Option<u16>,
    /// `sc-win32-status`.
    pub win32: Option<u32>,
    /// `sc-bytes`.
    pub sent_bytes: Option<u64>,
    /// `cs-bytes`.
    pub received_bytes: Option<u64>,
    /// `time-taken`, milliseconds.
    pub time_taken_ms: Option<u64>,
    /// Fields that are not IIS's own.
    pub custom: Custom<'a>,
}

/// A line of an HTTPERR log.
#[derive(Debug, Clone, Default)]
pub struct HttpErrLine<'a> {
    /// Its number in the file, from 1.
    pub line: u64,
    /// `date` and `time`, UTC, whole seconds.
    pub time: Option<Stamp>,
    /// `c-ip`.
    pub client_ip: Option<Text<'a>>,
    /// `c-port`: with it the line belongs to exactly one connection of the proxy.
    pub client_port: Option<u16>,
    /// `s-ip`.
    pub server_ip: Option<Text<'a>>,
    /// `s-port`.
    pub server_port: Option<u16>,
    /// `cs-version`.
    pub version: Option<Text<'a>>,
    /// `cs-method`.
    pub method: Option<Text<'a>>,
    /// `cs-uri` before its query.
    pub path: Option<Text<'a>>,
    /// Bytes of the query in `cs-uri`, which itself is not kept.
    pub query_bytes: Option<usize>,
    /// `streamid`, of HTTP/2.
    pub stream: Option<u64>,
    /// `sc-status`.
    pub status: Option<u16>,
    /// `s-siteid`.
    pub site_id: Option<u64>,
    /// `s-reason`; see [`crate::iis::code::httperr`].
    pub reason: Option<Text<'a>>,
    /// `s-queuename`, usually the application pool.
    pub queue: Option<Text<'a>>,
    /// `transport`.
    pub transport: Option<Text<'a>>,
}

/// Custom fields of a line, by name. At most [`Custom::MOST`]; `dropped` counts the others.
#[derive(Clone, Default)]
pub struct Custom<'a> {
    pub(super) names: Option<Arc<[CustomName]>>,
    pub(super) values: [&'a [u8]; 8],
    pub(super) lengths: [usize; 8],
}

/// A custom field's name, and whether its value may hold a secret.
#[derive(Debug)]
pub(super) struct CustomName {
    pub(super) name: Box<str>,
    pub(super) secret: bool,
}

/// A custom field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomValue<'a> {
    /// As it stands.
    Shown(Text<'a>),
    /// The name speaks of a secret: only the length.
    Withheld(usize),
}

impl<'a> Custom<'a> {
    /// So many are kept of a line.
    pub const MOST: usize = 8;

    /// Names as in `#Fields`, with the values that are not `-`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, CustomValue<'a>)> {
        let names = self.names.as_deref().unwrap_or_default();
        names.iter().zip(self.values).zip(self.lengths).filter(|(_, length)| *length > 0).map(
            |((name, value), length)| {
                let value = if name.secret { CustomValue::Withheld(length) } else { CustomValue::Shown(Text(value)) };
                (&*name.name, value)
            },
        )
    }

    /// The value of a name, in any case.
    pub fn get(&self, name: &str) -> Option<CustomValue<'a>> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }
}

impl fmt::Debug for Custom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// A line that could not be read. Reading goes on with the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub line: u64,
    /// Why.
    pub why: Why,
}

/// Why a line could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Not as many columns as `#Fields` names.
    Columns {
        /// That `#Fields` names.
        expected: usize,
        /// That the line has.
        got: usize,
    },
    /// A value that is no number, or too great a one: the field.
    NotANumber(&'static str),
    /// `date` or `time` is not one.
    NotATime,
    /// `#Fields` without any field of an IIS or HTTPERR log.
    UnknownFields,
    /// No `#Fields` before the first line, and it is not a line of an HTTPERR log either.
    NotAnIisLog {
        /// Columns of that line.
        columns: usize,
    },
    /// Longer than any line of these logs.
    TooLong,
    /// Zero bytes, as a crash or a full disk leaves them.
    Zeros,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Columns { expected, got } => write!(f, "{got} columns where #Fields names {expected}"),
            Self::NotANumber(field) => write!(f, "{field} is not a number"),
            Self::NotATime => f.write_str("date and time are not as YYYY-MM-DD HH:MM:SS"),
            Self::UnknownFields => f.write_str("not an IIS log: #Fields names no field of a W3C or HTTPERR log"),
            Self::NotAnIisLog { columns } => {
                write!(f, "not an IIS log: no #Fields and the first line has {columns} columns")
            }
            Self::TooLong => f.write_str("longer than any line of an IIS log"),
            Self::Zeros => f.write_str("only zero bytes, as a crash or a full disk leaves them"),
        }
    }
}
