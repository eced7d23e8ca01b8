//! Columns of a log, by the names of `#Fields` (iis-docs, "logFile"; KB 820729).

use std::sync::Arc;

use super::line::{Custom, CustomName};
use super::reader::Kind;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Date,
    Time,
    SiteName,
    Computer,
    ServerIp,
    ServerPort,
    Method,
    Stem,
    Query,
    Uri,
    User,
    ClientIp,
    ClientPort,
    Version,
    UserAgent,
    Cookie,
    Referer,
    Host,
    Status,
    Substatus,
    Win32,
    SentBytes,
    ReceivedBytes,
    TimeTaken,
    Stream,
    SiteId,
    Reason,
    Queue,
    Transport,
    Custom(usize),
    Ignored,
}

impl Column {
    fn of(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "date" => Self::Date,
            "time" => Self::Time,
            "s-sitename" => Self::SiteName,
            "s-computername" => Self::Computer,
            "s-ip" => Self::ServerIp,
            "s-port" => Self::ServerPort,
            "cs-method" => Self::Method,
            "cs-uri-stem" => Self::Stem,
            "cs-uri-query" => Self::Query,
            "cs-uri" => Self::Uri,
            "cs-username" => Self::User,
            "c-ip" => Self::ClientIp,
            "c-port" => Self::ClientPort,
            "cs-version" => Self::Version,
            "cs(user-agent)" => Self::UserAgent,
            "cs(cookie)" => Self::Cookie,
            "cs(referer)" => Self::Referer,
            "cs-host" => Self::Host,
            "sc-status" => Self::Status,
            "sc-substatus" => Self::Substatus,
            "sc-win32-status" => Self::Win32,
            "sc-bytes" => Self::SentBytes,
            "cs-bytes" => Self::ReceivedBytes,
            "time-taken" => Self::TimeTaken,
            "streamid" => Self::Stream,
            "s-siteid" => Self::SiteId,
            "s-reason" => Self::Reason,
            "s-queuename" => Self::Queue,
            "transport" => Self::Transport,
            "streamid_ex" => Self::Ignored,
            _ => return None,
        })
    }
}

/// The columns in force.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) kind: Kind,
    pub(super) columns: Vec<Column>,
    pub(super) custom: Option<Arc<[CustomName]>>,
}

/// Words in the name of a custom field that speak of secrets: servers can be told to log any header.
const SECRET: &[&str] = &[
    "auth",
    "cookie",
    "token",
    "secret",
    "passw",
    "pwd",
    "key",
    "session",
    "referer",
    "assertion",
    "jwt",
    "url",
    "uri",
    "query",
];

impl Layout {
    /// More columns than IIS can have; a hostile `#Fields` could name more.
    const MOST: usize = 512;

    /// From the text after `#Fields:`; `None` when it names nothing that these logs have.
    pub(super) fn of(fields: &str) -> Option<Self> {
        let mut custom = Vec::new();
        let mut columns = Vec::new();
        for name in fields.split_ascii_whitespace().take(Self::MOST) {
            columns.push(Column::of(name).unwrap_or_else(|| {
                if custom.len() == Custom::MOST {
                    return Column::Ignored;
                }
                let lower = name.to_ascii_lowercase();
                let secret = SECRET.iter().any(|word| lower.contains(word));
                custom.push(CustomName { name: name.into(), secret });
                Column::Custom(custom.len().saturating_sub(1))
            }));
        }
        let kind = if columns.contains(&Column::Reason) {
            Kind::HttpErr
        } else if columns.contains(&Column::Stem) || columns.contains(&Column::Status) {
            Kind::W3c
        } else {
            return None;
        };
        Some(Self { kind, columns, custom: if custom.is_empty() { None } else { Some(custom.into()) } })
    }

    /// The layout of an HTTPERR log without `#Fields`, by the number of its columns: without and with the queue's name,
    /// with `streamid`, and with `streamid_ex` and `transport`.
    pub(super) fn httperr(columns: usize) -> Option<Self> {
        Self::of(match columns {
            12 => "date time c-ip c-port s-ip s-port cs-version cs-method cs-uri sc-status s-siteid s-reason",
            13 => {
                "date time c-ip c-port s-ip s-port cs-version cs-method cs-uri sc-status s-siteid s-reason s-queuename"
            }
            14 => {
                "date time c-ip c-port s-ip s-port cs-version cs-method cs-uri streamid sc-status s-siteid s-reason \
                 s-queuename"
            }
            16 => {
                "date time c-ip c-port s-ip s-port cs-version cs-method cs-uri streamid streamid_ex sc-status s-siteid \
                 s-reason s-queuename transport"
            }
            _ => return None,
        })
    }
}
