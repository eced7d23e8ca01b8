//! One log, read piece by piece: what it is, and the lines of it that can belong to the captures.

use std::hash::{DefaultHasher, Hasher as _};
use std::net::{IpAddr, SocketAddr};

use super::exchanges::Index;
use super::key::{self, Key, Mask, Parts};
use super::view::{Code, Kind, LogFile};
use crate::iis::log::{self, BadLine, HttpErrLine, LogEvent, LogReader, Text, Verdict, W3cLine, Why};
use crate::model::Stamp;

/// Lines of all files that are kept. Only such are kept as some exchange of the captures could have made.
pub const MAX_LINES: usize = 400_000;
/// Clocks that differ by more are told, and looked for among time zones.
pub(super) const NEAR: i64 = 15 * 60 * 1_000_000;
/// The farthest time zone, and as much again.
pub(super) const FAR: i64 = 14 * 3_600 * 1_000_000 + NEAR;
/// Damaged lines that are told one by one.
const MAX_TOLD: usize = 3;
/// Characters of a user's name or a reason that are kept.
const MAX_SHOWN: usize = 100;

/// A line that can belong to the capture.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Its file's place in the list of files.
    pub(super) file: usize,
    /// Its number there.
    pub(super) number: u64,
    /// As logged, whole seconds.
    pub(super) at: Stamp,
    pub(super) what: What,
    /// It names an address of authtap's as the client.
    pub(super) own: bool,
    client: Option<IpAddr>,
    server: Option<IpAddr>,
}

/// What it says.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// A request.
    W3c { mask: Mask, key: Key, code: Code, by_port: bool, user: Option<Box<str>> },
    /// An error, with the connection's address.
    HttpErr { from: SocketAddr, status: Option<u16>, method: Option<u64>, reason: Box<str> },
}

impl Line {
    /// Whether the addresses that the line names are those of a connection, where both are known.
    pub(super) fn is_between(&self, local: Option<SocketAddr>, upstream: Option<IpAddr>, index: &Index) -> bool {
        let client = self.client.filter(|ip| index.locals.contains(ip));
        let server = self.server.filter(|ip| index.upstreams.contains(ip));
        client.is_none_or(|ip| local.is_none_or(|l| l.ip() == ip))
            && server.is_none_or(|ip| upstream.is_none_or(|u| u == ip))
    }
}

/// A file that is being read.
#[derive(Debug)]
pub struct Source<'j> {
    reader: LogReader,
    hasher: DefaultHasher,
    bytes: u64,
    sift: Sift<'j>,
}

/// What happens to each line.
#[derive(Debug)]
struct Sift<'j> {
    index: &'j mut Index,
    period: Option<(Stamp, Stamp)>,
    file: usize,
    /// Lines that may still be kept.
    room: usize,
    facts: LogFile,
    near: Vec<Line>,
    far: Vec<Line>,
    dropped: u64,
    own: bool,
    untimed: u64,
    without_status: u64,
    without_code: u64,
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct ReadFile {
    pub(super) facts: LogFile,
    pub(super) lines: Vec<Line>,
    /// Of all its bytes, and how many.
    pub(super) fingerprint: (u64, u64),
    /// Lines that were too many.
    pub(super) dropped: u64,
    /// Lines name clients, and none is authtap.
    pub(super) foreign: bool,
}

impl<'j> Source<'j> {
    pub(super) fn new(index: &'j mut Index, file: usize, name: &str, room: usize) -> Self {
        let period = index.period();
        let sift = Sift {
            index,
            period,
            file,
            room,
            facts: LogFile { name: name.to_owned(), ..LogFile::default() },
            near: Vec::new(),
            far: Vec::new(),
            dropped: 0,
            own: false,
            untimed: 0,
            without_status: 0,
            without_code: 0,
        };
        Self { reader: LogReader::default(), hasher: DefaultHasher::new(), bytes: 0, sift }
    }

    /// The next piece of the file.
    pub fn read(&mut self, piece: &[u8]) {
        self.hasher.write(piece);
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        self.reader.read(piece, |line| self.sift.take(line));
    }

    /// The file could not be read to its end.
    pub fn broken(&mut self, why: &str) {
        self.sift.facts.remarks.push(format!("could not be read to its end: {why}"));
    }

    pub(super) fn finish(mut self) -> ReadFile {
        self.reader.finish(|line| self.sift.take(line));
        let verdict = self.reader.verdict();
        self.sift.finish(&verdict, (self.hasher.finish(), self.bytes))
    }
}

impl Sift<'_> {
    fn take(&mut self, line: Result<LogEvent<'_>, BadLine>) {
        match line {
            Ok(LogEvent::W3c(line)) => {
                self.seen(line.time);
                self.w3c(&line);
            }
            Ok(LogEvent::HttpErr(line)) => {
                self.seen(line.time);
                self.httperr(&line);
            }
            Ok(LogEvent::Directive(_)) => {}
            Err(bad) => {
                if !matches!(bad.why, Why::NotAnIisLog { .. }) {
                    self.facts.damaged += 1;
                    if self.facts.damage.len() < MAX_TOLD {
                        self.facts.damage.push(bad.to_string());
                    }
                }
            }
        }
    }

    fn seen(&mut self, time: Option<Stamp>) {
        self.facts.lines += 1;
        let Some(at) = time else {
            self.untimed += 1;
            return;
        };
        self.facts.covers = Some(match self.facts.covers {
            None => (at, at),
            Some((first, last)) => (first.min(at), last.max(at)),
        });
        if self.distance(at).is_some_and(|far| far <= NEAR) {
            self.facts.in_period += 1;
        }
    }

    /// From the period of the capture.
    fn distance(&self, at: Stamp) -> Option<i64> {
        let (first, last) = self.period?;
        Some(first.0.saturating_sub(at.0).max(at.0.saturating_sub(last.0)).max(0))
    }

    fn w3c(&mut self, line: &W3cLine<'_>) {
        let Some(status) = line.status else {
            self.without_status += 1;
            return;
        };
        self.without_code += u64::from(line.substatus.is_none() || line.win32.is_none());
        let Some(at) = line.time.filter(|at| self.distance(*at).is_some_and(|far| far <= FAR)) else { return };
        if !self.index.has_status(status) {
            return;
        }
        let client = line.client_ip.and_then(address);
        let own = client.is_some_and(|ip| self.index.locals.contains(&ip));
        // A port tells a connection only together with authtap's address.
        let port = line.client_port.filter(|_| own).zip(client).map(|(port, ip)| key::port(SocketAddr::new(ip, port)));
        let parts = Parts {
            status,
            method: line.method.map(|m| key::method(m.0)),
            path: line.stem.map(|p| key::path(p.0)),
            agent: line.user_agent.map(|a| key::agent(a.0)),
            port,
        };
        let mask = parts.mask();
        let key = parts.key(mask);
        self.index.prepare(mask);
        if self.index.with_key(mask, key).is_empty() {
            return;
        }
        let code = Code { status, substatus: line.substatus, win32: line.win32 };
        let user = line.user.filter(|_| status >= 400).map(cut);
        self.keep(Line {
            file: self.file,
            number: line.line,
            at,
            what: What::W3c { mask, key, code, by_port: parts.has_port(), user },
            own,
            client,
            server: line.server_ip.and_then(address),
        });
    }

    fn httperr(&mut self, line: &HttpErrLine<'_>) {
        let Some(at) = line.time.filter(|at| self.distance(*at).is_some_and(|far| far <= FAR)) else { return };
        let (Some(client), Some(port)) = (line.client_ip.and_then(address), line.client_port) else { return };
        let from = SocketAddr::new(client, port);
        let own = self.index.locals.contains(&client);
        if self.index.of_port(from).is_empty() {
            return;
        }
        let method = line.method.map(|m| key::method(m.0));
        let reason = line.reason.map(cut).unwrap_or_default();
        self.keep(Line {
            file: self.file,
            number: line.line,
            at,
            what: What::HttpErr { from, status: line.status, method, reason },
            own,
            client: Some(client),
            server: line.server_ip.and_then(address),
        });
    }

    fn keep(&mut self, line: Line) {
        if line.own && !self.own {
            // Who is named as the client is authtap in this log, so other lines are not its.
            self.own = true;
            self.near.clear();
            self.far.clear();
            self.dropped = 0;
        }
        if self.own && !line.own {
            return;
        }
        let near = self.distance(line.at).is_some_and(|far| far <= NEAR);
        if near && self.near.len() < self.room {
            self.near.push(line);
        } else if !near && self.far.len() < self.room / 2 {
            self.far.push(line);
        } else {
            self.dropped += u64::from(near);
        }
    }

    fn finish(mut self, verdict: &Verdict, fingerprint: (u64, u64)) -> ReadFile {
        self.facts.kind = match verdict {
            Verdict::Empty => Kind::Empty,
            Verdict::OnlyDirectives => Kind::OnlyHeadings,
            Verdict::Log { kind: log::Kind::W3c, .. } => Kind::W3c,
            Verdict::Log { kind: log::Kind::HttpErr, .. } => Kind::HttpErr,
            Verdict::Foreign { columns } => {
                self.facts.remarks.push(format!(
                    "not a log of IIS: there is no #Fields line, and its first line has {columns} columns. Expected is \
                     a site's log in the W3C extended format (u_exYYMMDD.log) or an HTTPERR log (httperrN.log)"
                ));
                Kind::Foreign
            }
        };
        let foreign = self.remark();
        let mut lines = self.near;
        // Those that are near come first.
        self.far.truncate(self.room.saturating_sub(lines.len()));
        lines.append(&mut self.far);
        ReadFile { facts: self.facts, lines, fingerprint, dropped: self.dropped, foreign }
    }

    /// Says what is wrong with the file as a whole; whether its clients are others than authtap.
    fn remark(&mut self) -> bool {
        let facts = &mut self.facts;
        let mut say = |text: String| facts.remarks.push(text);
        if self.untimed > 0 {
            say(format!(
                "{} without date and time, which #Fields must name: these can belong to nothing",
                lines(self.untimed)
            ));
        }
        if self.without_status > 0 {
            say(format!(
                "{} without sc-status, which #Fields must name: these can belong to nothing",
                lines(self.without_status)
            ));
        }
        if self.without_code > 0 {
            say(format!(
                "{} without sc-substatus or sc-win32-status, which #Fields must name: these do not say why",
                lines(self.without_code)
            ));
        }
        let client = self.near.iter().chain(&self.far).find_map(|line| line.client).filter(|_| !self.own);
        if let Some(client) = client {
            say(format!(
                "no line names an address of authtap's as the client (one names {client}): the site may log an address \
                 that a header named, or this is another site's log. No match with it is sure"
            ));
        }
        client.is_some()
    }
}

/// Of a log without any match: whether it is of another time than the captures.
pub(super) fn of_another_time(covers: Option<(Stamp, Stamp)>, captures: Option<(Stamp, Stamp)>) -> Option<String> {
    let ((first, last), (from, to)) = (covers?, captures?);
    let apart = first.0 > to.0.saturating_add(NEAR) || last.0 < from.0.saturating_sub(NEAR);
    apart.then(|| format!("covers {first} to {last}, the captures {from} to {to}: nothing in common"))
}

fn lines(n: u64) -> String {
    if n == 1 { "1 line".to_owned() } else { format!("{n} lines") }
}

/// An address, without the zone that Windows adds to it.
fn address(text: Text<'_>) -> Option<IpAddr> {
    let text = std::str::from_utf8(text.0).ok()?;
    text.split('%').next()?.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

fn cut(text: Text<'_>) -> Box<str> {
    text.to_string().chars().take(MAX_SHOWN).collect()
}
