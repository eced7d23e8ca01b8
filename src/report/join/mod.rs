//! IIS's own logs beside captures: which line belongs to which exchange, how sure that is, and what it changes.
//!
//! First the captures' events go in ([`Captures`]), then the logs, piece by piece ([`Logs`]); what comes out is
//! [`Joined`], which corrects findings ([`Joined::correct`]) and tells what was found ([`IisLog`]).
//!
//! A W3C line has no connection in it. It is matched by status, method, path, user agent and addresses, within the
//! second that the two clocks allow; the offset of the clocks is drawn from the data ([`Offset`]). An HTTPERR line has
//! the port of the connection, which is exact. Of a log only those lines are kept that some exchange can have made, and
//! of those a bounded number.

mod effect;
mod exchanges;
mod key;
mod lift;
mod matching;
mod offset;
mod source;
mod sure;
pub mod v1;
mod view;
mod words;

use std::collections::{HashMap, HashSet};

pub use effect::{EFFECTS, Effect, Logged, OVERRULED, OVERRULED_UNLESS_OBSERVED, Weight, document};
pub use exchanges::MAX_EXCHANGES;
pub use source::{MAX_LINES, Source};
pub use view::{Code, Confidence, Found, IisLog, Kind, LogFile, Offset};
pub use words::paragraphs;

use crate::model::TapId;
use crate::model::event::Event;
use exchanges::{Collected, Index, NO_CREDENTIALS, Place};
use matching::{Clock, Matches};
use source::Line;

/// Codes that are told with their counts.
const MAX_CODES: usize = 12;

/// Takes the events of captures.
#[derive(Debug, Default)]
pub struct Captures(Collected);

impl Captures {
    /// Takes an event in, in any order; one that came before counts once.
    pub fn take(&mut self, tap: &TapId, event: &Event) {
        self.0.take(tap, event);
    }

    /// All captures are in: the logs may come.
    pub fn logs(self) -> Logs {
        let dropped = self.0.dropped;
        Logs { index: self.0.index(), lines: Vec::new(), files: Vec::new(), limits: limits(dropped) }
    }
}

fn limits(dropped: u64) -> Vec<String> {
    if dropped == 0 {
        return Vec::new();
    }
    vec![format!(
        "{dropped} exchanges or connections of the captures are beyond the {MAX_EXCHANGES} that are compared with logs"
    )]
}

/// Takes logs.
#[derive(Debug)]
pub struct Logs {
    index: Index,
    lines: Vec<Line>,
    files: Vec<File>,
    limits: Vec<String>,
}

#[derive(Debug)]
struct File {
    facts: LogFile,
    fingerprint: (u64, u64),
    foreign: bool,
}

impl Logs {
    /// Reads one log; `name` is what the report calls it.
    pub fn file(&mut self, name: &str, read: impl FnOnce(&mut Source<'_>)) {
        let room = MAX_LINES.saturating_sub(self.lines.len());
        let mut source = Source::new(&mut self.index, self.files.len(), name, room);
        read(&mut source);
        let mut made = source.finish();
        let same = |file: &&File| file.fingerprint == made.fingerprint && made.fingerprint.1 > 0;
        if let Some(first) = self.files.iter().find(same) {
            made.facts.remarks = vec![format!("is the same as {}: it counts once", first.facts.name)];
            made.facts.kind = Kind::Repeated;
            made.lines.clear();
        }
        if made.dropped > 0 {
            self.limits.push(format!(
                "{} lines of {name} are beyond the {MAX_LINES} that are compared with the captures",
                made.dropped
            ));
        }
        self.lines.append(&mut made.lines);
        self.files.push(File { facts: made.facts, fingerprint: made.fingerprint, foreign: made.foreign });
    }

    /// All logs are in: what belongs together.
    pub fn join(mut self) -> Joined {
        let clocks = self.clocks();
        let matches = Matches::of(&self.index, &self.lines, &clocks);
        let mut facts = IisLog { capture: self.index.period(), limits: self.limits, ..IisLog::default() };
        if matches.crowded {
            facts.limits.push("so many requests are alike that not all of their lines could be compared".to_owned());
        }
        for matched in matches.requests.values() {
            if let Some(file) = self.lines.get(matched.line).and_then(|l| self.files.get_mut(l.file)) {
                file.facts.matched += 1;
            }
        }
        for error in matches.errors.values().flatten() {
            facts.httperr += 1;
            if let Some(file) = self.lines.get(error.line).and_then(|l| self.files.get_mut(l.file)) {
                file.facts.matched += 1;
            }
        }
        for (file, clock) in self.files.iter_mut().zip(&clocks) {
            file.facts.offset = clock.offset;
            if file.facts.matched == 0 && file.facts.kind != Kind::Repeated {
                file.facts.remarks.extend(source::of_another_time(file.facts.covers, facts.capture));
            }
        }
        count(&self.index, &matches, &mut facts);
        facts.files = self.files.into_iter().map(|file| file.facts).collect();
        let places = self.index.exchanges.iter().enumerate().map(|(at, ex)| (ex.place, at)).collect();
        Joined {
            index: self.index,
            lines: self.lines,
            matches,
            places,
            corrected: HashSet::new(),
            renamed: HashMap::new(),
            facts,
        }
    }

    /// Each file's clock by its own lines, or by those of all where it has too few.
    fn clocks(&self) -> Vec<Clock> {
        let all: Vec<&Line> = self.lines.iter().collect();
        let covers = self.files.iter().filter_map(|file| file.facts.covers);
        let covers = covers.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
        let of_all = offset::estimate(&self.index, &all, covers).filter(|o| o.sure);
        let clock = |(place, file): (usize, &File)| {
            let lines: Vec<&Line> = self.lines.iter().filter(|line| line.file == place).collect();
            let own = offset::estimate(&self.index, &lines, file.facts.covers);
            let offset = match of_all {
                Some(all) if !lines.is_empty() && !own.is_some_and(|own| own.sure) => {
                    Some(Offset { of_others: true, ..all })
                }
                _ => own,
            };
            Clock { offset, foreign: file.foreign }
        };
        self.files.iter().enumerate().map(clock).collect()
    }
}

fn count(index: &Index, matches: &Matches, facts: &mut IisLog) {
    let mut codes: HashMap<Code, u64> = HashMap::new();
    for (at, ex) in index.exchanges.iter().enumerate() {
        let line = matches.requests.get(&at);
        let found = if ex.parts.status == 401 { &mut facts.refusals } else { &mut facts.others };
        found.count(line.map(|m| m.confidence));
        if let Some(line) = line
            && ex.parts.status >= 400
            && line.confidence > Confidence::Ambiguous
            && let Some(code) = line.codes.first()
        {
            *codes.entry(*code).or_default() += 1;
        }
    }
    facts.codes = codes.into_iter().collect();
    facts.codes.sort_by_key(|(code, n)| (std::cmp::Reverse(*n), *code));
    facts.codes.truncate(MAX_CODES);
}

/// Captures and logs, joined.
#[derive(Debug)]
pub struct Joined {
    index: Index,
    lines: Vec<Line>,
    matches: Matches,
    places: HashMap<Place, usize>,
    /// Events that were corrected, by tap and number: a capture that is given twice counts once.
    corrected: HashSet<(usize, u64)>,
    /// Connections whose finding became another one: what followed from the one follows from the other.
    renamed: HashMap<(usize, u64), (String, String)>,
    facts: IisLog,
}

impl Joined {
    /// What is told of it.
    pub fn facts(self) -> IisLog {
        self.facts
    }
}
