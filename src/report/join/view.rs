//! What a report says of IIS's logs.

use std::fmt;

use crate::iis::code;
use crate::model::Stamp;

/// What the logs said, and how far they belong to the captures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IisLog {
    /// The files, as they were named.
    pub files: Vec<LogFile>,
    /// First and last moment of the captures' connections; `None` when they hold none.
    pub capture: Option<(Stamp, Stamp)>,
    /// Answers with status 401 in the captures, by how their lines were found.
    pub refusals: Found,
    /// Other answers whose lines were looked for.
    pub others: Found,
    /// What was logged for the answers whose lines are sure, the most frequent first.
    pub codes: Vec<(Code, u64)>,
    /// Lines of HTTPERR that belong to a connection of the captures.
    pub httperr: u64,
    /// Findings whose cause the logs prove.
    pub proved: u64,
    /// Findings that are another one by what the logs say.
    pub corrected: u64,
    /// A limit that was reached, in words.
    pub limits: Vec<String>,
}

/// Answers by how their lines were found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// By the port of their connection.
    pub exact: u64,
    /// One line can belong to them, and it can belong to no other.
    pub unique: u64,
    /// Several lines can belong to them, and all say the same.
    pub agreed: u64,
    /// Several lines can belong to them.
    pub ambiguous: u64,
    /// No line.
    pub unmatched: u64,
}

impl Found {
    /// All of them.
    pub const fn total(self) -> u64 {
        self.matched().saturating_add(self.unmatched)
    }

    /// Those with a line.
    pub const fn matched(self) -> u64 {
        self.exact.saturating_add(self.unique).saturating_add(self.agreed).saturating_add(self.ambiguous)
    }

    pub(super) fn count(&mut self, confidence: Option<Confidence>) {
        let n = match confidence {
            Some(Confidence::Exact) => &mut self.exact,
            Some(Confidence::Unique) => &mut self.unique,
            Some(Confidence::Agreed) => &mut self.agreed,
            Some(Confidence::Ambiguous) => &mut self.ambiguous,
            None => &mut self.unmatched,
        };
        *n = n.saturating_add(1);
    }
}

/// How sure it is that a line belongs to an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Several lines can belong to it, and they differ; or the offset of the clocks is only guessed.
    Ambiguous,
    /// Several lines can belong to it, and all say the same.
    Agreed,
    /// This line and no other.
    Unique,
    /// By the port of its connection.
    Exact,
}

impl Confidence {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::Agreed => "agreed",
            Self::Unique => "unique",
            Self::Exact => "exact",
        }
    }
}

/// One log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFile {
    /// As it was named.
    pub name: String,
    /// What it turned out to be.
    pub kind: Kind,
    /// Lines that were read.
    pub lines: u64,
    /// Lines that could not be read.
    pub damaged: u64,
    /// The first of them, in words.
    pub damage: Vec<String>,
    /// Times of its first and last line, by its own clock.
    pub covers: Option<(Stamp, Stamp)>,
    /// Lines within the time of the captures, or a quarter of an hour around it.
    pub in_period: u64,
    /// Lines that belong to an exchange or a connection.
    pub matched: u64,
    /// Its clock against authtap's; `None` when nothing tells.
    pub offset: Option<Offset>,
    /// What else is to be known about it, in words.
    pub remarks: Vec<String>,
}

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// Nothing in it.
    #[default]
    Empty,
    /// Headings and no line.
    OnlyHeadings,
    /// A site's log.
    W3c,
    /// HTTP.sys's log of errors.
    HttpErr,
    /// No log of IIS.
    Foreign,
    /// The same bytes as another file that was named.
    Repeated,
}

impl Kind {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::OnlyHeadings => "only-headings",
            Self::W3c => "w3c",
            Self::HttpErr => "httperr",
            Self::Foreign => "foreign",
            Self::Repeated => "repeated",
        }
    }
}

/// The server's clock against authtap's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// Microseconds that the server's clock is ahead.
    pub ahead: i64,
    /// Microseconds around it within which nine of ten requests are.
    pub spread: i64,
    /// Requests that speak for it.
    pub requests: u64,
    /// Whether it is beyond doubt.
    pub sure: bool,
    /// Where the times look like those of a time zone: minutes from UTC.
    pub zone: Option<i64>,
    /// It is that of other logs, as this one has too few requests.
    pub of_others: bool,
}

/// sc-status, sc-substatus, sc-win32-status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code {
    /// sc-status.
    pub status: u16,
    /// sc-substatus.
    pub substatus: Option<u16>,
    /// sc-win32-status.
    pub win32: Option<u32>,
}

impl Code {
    /// What the code is called; `None` for one that is not known.
    pub fn called(self) -> Option<String> {
        let (substatus, win32) = (self.substatus?, self.win32?);
        if let Some(triple) = code::triple(self.status, substatus, win32) {
            return Some(triple.name.to_owned());
        }
        let substatus = code::substatus(self.status, substatus).map(|s| s.name.to_owned());
        // 0 only says that nothing further was recorded.
        let win32 = code::win32(win32).filter(|w| w.code != 0).map(|w| w.name.to_owned());
        match (substatus, win32) {
            (Some(substatus), Some(win32)) => Some(format!("{substatus}, {win32}")),
            (one, other) => one.or(other),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        for part in [self.substatus.map(u32::from), self.win32] {
            match part {
                Some(part) => write!(f, " {part}")?,
                None => f.write_str(" -")?,
            }
        }
        Ok(())
    }
}
