//! From bytes to lines to facts.

use std::fmt;

use super::column::{Column, Layout};
use super::line::{BadLine, Custom, Directive, HttpErrLine, LogEvent, Text, W3cLine, Why};
use super::scan;
use super::value::{self, Day};

/// What kind of log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A site's log in the W3C extended format.
    W3c,
    /// HTTP.sys's log of errors.
    HttpErr,
}

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing but white space so far.
    Empty,
    /// Directives and no line yet: nothing was logged, or it is still in HTTP.sys's buffer.
    OnlyDirectives,
    /// A log.
    Log {
        /// Of this kind, at its end.
        kind: Kind,
        /// Lines that were read.
        lines: u64,
        /// Lines that were not.
        bad: u64,
    },
    /// Not a log of IIS.
    Foreign {
        /// Columns of its first line.
        columns: usize,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the log is empty"),
            Self::OnlyDirectives => {
                f.write_str("the log has headings and no line: nothing logged, or not yet written by HTTP.sys")
            }
            Self::Log { kind, lines, bad } => {
                let kind = match kind {
                    Kind::W3c => "a W3C log of IIS",
                    Kind::HttpErr => "an HTTPERR log",
                };
                write!(f, "{kind}: {lines} lines read, {bad} not")
            }
            Self::Foreign { columns } => {
                write!(f, "not an IIS log: no #Fields and the first line has {columns} columns")
            }
        }
    }
}

/// Longest line that is read. HTTP.sys cuts URLs at 4 KiB, and IIS headers at 16 KiB unless set.
const LONGEST: usize = 256 * 1024;

/// Reads a log line by line.
#[derive(Debug, Clone, Default)]
pub struct LogReader {
    layout: Option<Layout>,
    day: Day,
    line: u64,
    /// Some line was not blank.
    spoken: bool,
    good: u64,
    bad: u64,
    /// Columns of the first line, when that showed that it is no log.
    foreign: Option<usize>,
    /// The begin of a line whose end has not come yet.
    partial: Vec<u8>,
    /// The line in `partial` was too long and is thrown away to its end.
    skipping: bool,
}

impl LogReader {
    /// A reader that knows the columns already, for a file that is read from its middle: the text after `#Fields:`.
    pub fn with_fields(fields: &str) -> Self {
        Self { layout: Layout::of(fields), ..Self::default() }
    }

    /// What was read so far.
    pub fn verdict(&self) -> Verdict {
        match (&self.layout, self.foreign) {
            (None, Some(columns)) => Verdict::Foreign { columns },
            (Some(layout), _) if self.good > 0 || self.bad > 0 => {
                Verdict::Log { kind: layout.kind, lines: self.good, bad: self.bad }
            }
            _ if !self.spoken => Verdict::Empty,
            _ => Verdict::OnlyDirectives,
        }
    }

    /// Lines of a whole file, one after the other. The last may lack its line end.
    pub fn lines<'a, 'r>(&'r mut self, file: &'a [u8]) -> Lines<'a, 'r> {
        Lines { reader: self, rest: file }
    }

    /// The next piece of a file that is read or followed piece by piece. A line whose end is not there yet waits.
    pub fn read(&mut self, piece: &[u8], mut each: impl FnMut(Result<LogEvent<'_>, BadLine>)) {
        let mut rest = piece;
        while let (line, Some(after)) = scan::split(rest, b'\n') {
            rest = after;
            if self.partial.is_empty() && !self.skipping {
                self.tell(line, &mut each);
            } else {
                self.keep(line);
                self.finish(&mut each);
            }
        }
        self.keep(rest);
    }

    /// No more will come: a last line without its end is read.
    pub fn finish(&mut self, mut each: impl FnMut(Result<LogEvent<'_>, BadLine>)) {
        let line = std::mem::take(&mut self.partial);
        if std::mem::take(&mut self.skipping) {
            self.line = self.line.saturating_add(1);
            each(Err(self.refuse(Why::TooLong)));
        } else if !line.is_empty() {
            self.tell(&line, &mut each);
        }
        self.partial = line;
        self.partial.clear();
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.skipping || self.partial.len().saturating_add(piece.len()) > LONGEST {
            self.skipping = true;
            self.partial.clear();
        } else {
            self.partial.extend_from_slice(piece);
        }
    }

    fn tell(&mut self, line: &[u8], each: &mut impl FnMut(Result<LogEvent<'_>, BadLine>)) {
        if let Some(event) = self.feed(line).transpose() {
            each(event);
        }
    }

    /// One line, with or without its line end. `None` for lines that say nothing.
    pub fn feed<'a>(&mut self, line: &'a [u8]) -> Result<Option<LogEvent<'a>>, BadLine> {
        let first = self.line == 0;
        self.line = self.line.saturating_add(1);
        let mut line = line;
        if first {
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        // Samples of HTTPERR logs end in spaces.
        while let [rest @ .., b'\n' | b'\r' | b' '] = line {
            line = rest;
        }
        self.spoken |= !line.is_empty();
        match line {
            [] => return Ok(None),
            [b'#', directive @ ..] => return self.directive(directive).map(Some),
            [0, ..] if line.iter().all(|b| *b == 0) => return Err(self.refuse(Why::Zeros)),
            _ if line.len() > LONGEST => return Err(self.refuse(Why::TooLong)),
            _ => {}
        }
        if self.layout.is_none() {
            if self.foreign.is_some() {
                return Ok(None);
            }
            let columns = line.split(|b| *b == b' ').count();
            let layout = Layout::httperr(columns).filter(|layout| httperr_line(layout, line, &mut self.day).is_ok());
            if layout.is_none() {
                self.foreign = Some(columns);
                return Err(self.refuse(Why::NotAnIisLog { columns }));
            }
            self.layout = layout;
        }
        let Some(layout) = &self.layout else { return Ok(None) };
        let number = self.line;
        let event = match layout.kind {
            Kind::W3c => {
                w3c_line(layout, line, &mut self.day).map(|read| LogEvent::W3c(W3cLine { line: number, ..read }))
            }
            Kind::HttpErr => httperr_line(layout, line, &mut self.day)
                .map(|read| LogEvent::HttpErr(HttpErrLine { line: number, ..read })),
        };
        match event {
            Ok(event) => {
                self.good = self.good.saturating_add(1);
                Ok(Some(event))
            }
            Err(why) => Err(self.refuse(why)),
        }
    }

    fn refuse(&mut self, why: Why) -> BadLine {
        self.bad = self.bad.saturating_add(1);
        BadLine { line: self.line, why }
    }

    fn directive<'a>(&mut self, text: &'a [u8]) -> Result<LogEvent<'a>, BadLine> {
        let colon = text.iter().position(|b| *b == b':').unwrap_or(text.len());
        let (name, value) = text.split_at_checked(colon).unwrap_or((text, &[]));
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        let directive = if name.eq_ignore_ascii_case(b"Fields") {
            self.layout = Layout::of(&String::from_utf8_lossy(value));
            let Some(layout) = &self.layout else { return Err(self.refuse(Why::UnknownFields)) };
            Directive::Fields(layout.columns.len())
        } else if name.eq_ignore_ascii_case(b"Date") {
            let colon = value.iter().position(|b| *b == b' ').unwrap_or(value.len());
            let (date, time) = value.split_at_checked(colon).unwrap_or((value, &[]));
            match self.day.stamp(date, time.trim_ascii()) {
                Some(stamp) => Directive::Date(stamp),
                None => return Err(self.refuse(Why::NotATime)),
            }
        } else if name.eq_ignore_ascii_case(b"Software") {
            Directive::Software(Text(value))
        } else {
            Directive::Other(Text(name))
        };
        Ok(LogEvent::Directive(directive))
    }
}

/// Lines of a whole file; see [`LogReader::lines`].
#[derive(Debug)]
pub struct Lines<'a, 'r> {
    reader: &'r mut LogReader,
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a, '_> {
    type Item = Result<LogEvent<'a>, BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let (line, after) = scan::split(self.rest, b'\n');
            self.rest = after.unwrap_or_default();
            if let Some(event) = self.reader.feed(line).transpose() {
                return Some(event);
            }
        }
        None
    }
}

/// Walks the columns. `-` and empty are no value.
fn columns<'a>(
    layout: &Layout,
    line: &'a [u8],
    mut each: impl FnMut(Column, &'a [u8]) -> Result<(), Why>,
) -> Result<(), Why> {
    let mut rest = Some(line);
    for column in &layout.columns {
        let Some(values) = rest else { return Err(miscounted(layout, line)) };
        let (value, after) = scan::split(values, b' ');
        rest = after;
        if !matches!(value, b"-" | b"") {
            each(*column, value)?;
        }
    }
    if rest.is_some() { Err(miscounted(layout, line)) } else { Ok(()) }
}

fn miscounted(layout: &Layout, line: &[u8]) -> Why {
    Why::Columns { expected: layout.columns.len(), got: line.split(|b| *b == b' ').count() }
}

fn number<T: TryFrom<u64>>(value: &[u8], field: &'static str) -> Result<Option<T>, Why> {
    value::number(value).map(Some).ok_or(Why::NotANumber(field))
}

fn time(day: &mut Day, date: Option<&[u8]>, time: Option<&[u8]>) -> Result<Option<crate::model::Stamp>, Why> {
    match (date, time) {
        (Some(date), Some(time)) => day.stamp(date, time).map(Some).ok_or(Why::NotATime),
        // The fields can be switched off; half a time is none.
        _ => Ok(None),
    }
}

fn w3c_line<'a>(layout: &Layout, line: &'a [u8], day: &mut Day) -> Result<W3cLine<'a>, Why> {
    let mut at = (None, None);
    let mut out =
        W3cLine { custom: Custom { names: layout.custom.clone(), ..Custom::default() }, ..W3cLine::default() };
    columns(layout, line, |column, value| {
        let text = Some(Text(value));
        match column {
            Column::Date => at.0 = Some(value),
            Column::Time => at.1 = Some(value),
            Column::SiteName => out.site = text,
            Column::Computer => out.computer = text,
            Column::ServerIp => out.server_ip = text,
            Column::ServerPort => out.server_port = number(value, "s-port")?,
            Column::Method => out.method = text,
            Column::Stem => out.stem = text,
            Column::Query => out.query_bytes = Some(value.len()),
            Column::User => out.user = text,
            Column::ClientIp => out.client_ip = text,
            Column::Version => out.version = text,
            Column::UserAgent => out.user_agent = text,
            Column::Cookie => out.cookie_bytes = Some(value.len()),
            Column::Referer => out.referer_bytes = Some(value.len()),
            Column::Host => out.host = text,
            Column::Status => out.status = number(value, "sc-status")?,
            Column::Substatus => out.substatus = number(value, "sc-substatus")?,
            Column::Win32 => out.win32 = Some(value::win32(value).ok_or(Why::NotANumber("sc-win32-status"))?),
            Column::SentBytes => out.sent_bytes = number(value, "sc-bytes")?,
            Column::ReceivedBytes => out.received_bytes = number(value, "cs-bytes")?,
            Column::TimeTaken => out.time_taken_ms = number(value, "time-taken")?,
            Column::Custom(place) => {
                let secret = layout.custom.as_deref().and_then(|names| names.get(place)).is_none_or(|n| n.secret);
                if let (Some(length), Some(kept)) =
                    (out.custom.lengths.get_mut(place), out.custom.values.get_mut(place))
                {
                    *length = value.len();
                    *kept = if secret { b"" } else { value };
                }
            }
            Column::ClientPort => out.client_port = number(value, "c-port")?,
            Column::Uri
            | Column::Stream
            | Column::SiteId
            | Column::Reason
            | Column::Queue
            | Column::Transport
            | Column::Ignored => {}
        }
        Ok(())
    })?;
    out.time = time(day, at.0, at.1)?;
    Ok(out)
}

fn httperr_line<'a>(layout: &Layout, line: &'a [u8], day: &mut Day) -> Result<HttpErrLine<'a>, Why> {
    let mut at = (None, None);
    let mut out = HttpErrLine::default();
    columns(layout, line, |column, value| {
        let text = Some(Text(value));
        match column {
            Column::Date => at.0 = Some(value),
            Column::Time => at.1 = Some(value),
            Column::ClientIp => out.client_ip = text,
            Column::ClientPort => out.client_port = number(value, "c-port")?,
            Column::ServerIp => out.server_ip = text,
            Column::ServerPort => out.server_port = number(value, "s-port")?,
            Column::Version => out.version = text,
            Column::Method => out.method = text,
            Column::Uri | Column::Stem => {
                let query = value.iter().position(|b| *b == b'?');
                out.path = value.get(..query.unwrap_or(value.len())).map(Text);
                out.query_bytes = query.map(|at| value.len().saturating_sub(at).saturating_sub(1));
            }
            Column::Stream => out.stream = number(value, "streamid")?,
            Column::Status => out.status = number(value, "sc-status")?,
            Column::SiteId => out.site_id = number(value, "s-siteid")?,
            Column::Reason => out.reason = text,
            Column::Queue => out.queue = text,
            Column::Transport => out.transport = text,
            _ => {}
        }
        Ok(())
    })?;
    out.time = time(day, at.0, at.1)?;
    Ok(out)
}
