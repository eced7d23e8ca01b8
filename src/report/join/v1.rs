//! `iis_log` of `report --format json`, version 1: these structs are the format.

use serde::Serialize;

use super::view::{Found, IisLog, LogFile, Offset};

/// What IIS's logs said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct IisLogFacts {
    /// The logs, as they were named.
    pub files: Vec<LogFileFacts>,
    /// Answers with status 401 in the captures, by how their lines were found.
    pub refusals: FoundFacts,
    /// Other answers whose lines were looked for.
    pub others: FoundFacts,
    /// What was logged for the refusals whose lines are sure.
    pub codes: Vec<CodeFacts>,
    /// Lines of HTTPERR that belong to a connection of the captures.
    pub httperr: u64,
    /// Findings whose cause the logs prove.
    pub proved: u64,
    /// Findings that are another one by what the logs say.
    pub corrected: u64,
    /// Limits that were reached.
    pub limits: Vec<String>,
}

/// Answers by how their lines were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct FoundFacts {
    /// By the port of their connection.
    pub exact: u64,
    /// One line can belong to them, and it can belong to no other.
    pub unique: u64,
    /// Several lines can belong to them, and all say the same.
    pub agreed: u64,
    /// Several lines can belong to them, or the offset of the clocks is a guess.
    pub ambiguous: u64,
    /// No line.
    pub unmatched: u64,
}

/// One log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct LogFileFacts {
    /// As it was named.
    pub file: String,
    /// What it turned out to be.
    #[cfg_attr(
        feature = "shell",
        schemars(extend("enum" = ["w3c", "httperr", "empty", "only-headings", "foreign", "repeated"]))
    )]
    pub kind: &'static str,
    /// Lines that were read.
    pub lines: u64,
    /// Lines that could not be read.
    pub damaged: u64,
    /// The first of them.
    pub damage: Vec<String>,
    /// Time of its first line, by its own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_at: Option<String>,
    /// Time of its last line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<String>,
    /// Lines within the time of the captures, or a quarter of an hour around it.
    pub in_period: u64,
    /// Lines that belong to an exchange or a connection.
    pub matched: u64,
    /// Its clock against authtap's; absent when nothing tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockFacts>,
    /// What else is to be known about it.
    pub remarks: Vec<String>,
}

/// The server's clock against authtap's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct ClockFacts {
    /// Milliseconds that the server's clock is ahead; negative when it is behind.
    pub ahead_ms: i64,
    /// Milliseconds around it within which nine of ten requests are.
    pub spread_ms: i64,
    /// Requests that speak for it.
    pub requests: u64,
    /// Whether it is beyond doubt.
    pub sure: bool,
    /// Minutes from UTC, where the times look like those of a time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_minutes: Option<i64>,
    /// It is that of the other logs.
    pub of_others: bool,
}

/// A code that was logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct CodeFacts {
    /// sc-status.
    pub status: u16,
    /// sc-substatus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub substatus: Option<u16>,
    /// sc-win32-status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub win32: Option<u32>,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub called: Option<String>,
    /// How often.
    pub count: u64,
}

impl From<&IisLog> for IisLogFacts {
    fn from(x: &IisLog) -> Self {
        Self {
            files: x.files.iter().map(Into::into).collect(),
            refusals: x.refusals.into(),
            others: x.others.into(),
            codes: x
                .codes
                .iter()
                .map(|(code, count)| CodeFacts {
                    status: code.status,
                    substatus: code.substatus,
                    win32: code.win32,
                    called: code.called(),
                    count: *count,
                })
                .collect(),
            httperr: x.httperr,
            proved: x.proved,
            corrected: x.corrected,
            limits: x.limits.clone(),
        }
    }
}

impl From<Found> for FoundFacts {
    fn from(x: Found) -> Self {
        Self { exact: x.exact, unique: x.unique, agreed: x.agreed, ambiguous: x.ambiguous, unmatched: x.unmatched }
    }
}

impl From<&LogFile> for LogFileFacts {
    fn from(x: &LogFile) -> Self {
        Self {
            file: x.name.clone(),
            kind: x.kind.name(),
            lines: x.lines,
            damaged: x.damaged,
            damage: x.damage.clone(),
            first_at: x.covers.map(|(first, _)| first.to_string()),
            last_at: x.covers.map(|(_, last)| last.to_string()),
            in_period: x.in_period,
            matched: x.matched,
            clock: x.offset.map(Into::into),
            remarks: x.remarks.clone(),
        }
    }
}

impl From<Offset> for ClockFacts {
    fn from(x: Offset) -> Self {
        Self {
            ahead_ms: x.ahead / 1_000,
            spread_ms: x.spread / 1_000,
            requests: x.requests,
            sure: x.sure,
            zone_minutes: x.zone,
            of_others: x.of_others,
        }
    }
}
