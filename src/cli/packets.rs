//! Packet captures of `report`: which files they are, the secrets that open their TLS, and how far the reading has come.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Failure, talk};
use crate::finding::Settings;
use crate::model::event::Event;
use crate::model::network::Network;
use crate::model::transport::Certificate;
use crate::net::clock::Clock;
use crate::net::tls::certificate_facts;
use crate::packet::diagnose::{Facts, Options, diagnose};
use crate::packet::file::{FIRST, foreign, is_capture};
use crate::packet::tls::KeyLog;
use crate::report::text::counted;

/// What stands for a tap in a report: connections are numbered through all packet captures that are named together.
pub(super) const TAP: &str = "packets";

/// So much of a file tells what it is.
const BEGINNING: usize = FIRST;

/// Progress is told this often, on a terminal.
const OFTEN: Duration = Duration::from_secs(2);

/// What a file is.
pub(super) enum Input {
    /// A capture of authtap.
    Events(Whole),
    /// A capture of packets.
    Packets(Capture),
}

/// A file, its beginning looked at already.
pub(super) type Whole = io::Chain<io::Cursor<Vec<u8>>, File>;

/// A packet capture that is to be read.
pub(super) struct Capture {
    name: String,
    length: u64,
    input: Whole,
}

/// Looks at a file's beginning.
pub(super) fn recognise(path: &Path, mut file: File) -> Result<Input, Failure> {
    let refuse = |e: io::Error| Failure::usage(format_args!("{}: cannot read it: {e}", path.display()));
    let mut first = Vec::with_capacity(BEGINNING);
    Read::by_ref(&mut file).take(BEGINNING as u64).read_to_end(&mut first).map_err(refuse)?;
    if first.is_empty() {
        return Err(Failure::usage(format_args!("{}: the file is empty", path.display())));
    }
    if let Some(what) = foreign(&first) {
        return Err(Failure::usage(format_args!(
            "{}: a capture of authtap or of packets (pcap, pcapng) was expected; {what}",
            path.display()
        )));
    }
    let packets = is_capture(&first);
    let length = file.metadata().map_or(0, |m| m.len());
    let input = io::Cursor::new(first).chain(file);
    if !packets {
        return Ok(Input::Events(input));
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    // A name may hold a line feed, and a report tells a file by a line.
    let name = name.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    Ok(Input::Packets(Capture { name, length, input }))
}

/// Reads key logs.
pub(super) fn keys(files: &[PathBuf]) -> Result<KeyLog, Failure> {
    let mut keys = KeyLog::default();
    for path in files {
        let refuse = |why: &dyn std::fmt::Display| Failure::usage(format_args!("--keylog: {}: {why}", path.display()));
        let file = File::open(path).map_err(|e| refuse(&format_args!("cannot open it: {e}")))?;
        let (secrets, bad) = keys.read_all(file).map_err(|e| refuse(&format_args!("cannot read it: {e}")))?;
        if secrets == 0 {
            return Err(refuse(
                &"no secrets in it; lines like `CLIENT_RANDOM …` or `CLIENT_TRAFFIC_SECRET_0 …` were expected",
            ));
        }
        if bad > 0 {
            let bad = counted(u64::try_from(bad).unwrap_or(u64::MAX), "line is no secret", "lines are no secrets");
            talk(format_args!("authtap: {}: {bad}: passed over", path.display()));
        }
    }
    if keys.beyond() > 0 {
        let beyond = counted(keys.beyond(), "secret is", "secrets are");
        talk(format_args!("authtap: --keylog: {beyond} of more sessions than authtap keeps, and not used"));
    }
    Ok(keys)
}

/// Reads `--trusted-proxy`.
pub(super) fn trusted(named: &[String]) -> Result<Vec<Network>, Failure> {
    let one = |text: &String| {
        Network::parse(text).ok_or_else(|| {
            Failure::usage(format_args!(
                "--trusted-proxy: {text} is no address: addresses or ranges such as 192.0.2.7 or 10.0.0.0/8 are wanted"
            ))
        })
    };
    named.iter().map(one).collect()
}

/// Reads packet captures together and hands their events on; `None` when there are none.
pub(super) fn read(
    captures: Vec<Capture>,
    keys: KeyLog,
    trusted_proxies: Vec<Network>,
    out: impl FnMut(Event),
) -> Result<Option<Facts>, Failure> {
    if captures.is_empty() {
        return Ok(None);
    }
    let progress = std::rc::Rc::new(Progress::new(captures.iter().map(|c| c.length).sum()));
    let inputs = captures.into_iter().map(|c| {
        let input = Counted { input: c.input, progress: std::rc::Rc::clone(&progress) };
        (c.name, input)
    });
    let options = Options {
        settings: Settings { key: rand::random(), trusted_proxies, ..Settings::default() },
        keys,
        certificate,
    };
    let facts = diagnose(inputs.collect(), options, out);
    let nothing = facts.files.iter().all(|file| file.packets == 0);
    for file in &facts.files {
        if let Some(damage) = &file.damage {
            if nothing {
                return Err(Failure::usage(format_args!("{}: {damage}", file.name)));
            }
            talk(format_args!("authtap: {}: {damage}", file.name));
        }
    }
    Ok(Some(facts))
}

#[expect(clippy::unnecessary_wraps, reason = "a certificate that cannot be parsed still has its hashes")]
fn certificate(der: &[u8]) -> Option<Certificate> {
    Some(certificate_facts(&der.into()))
}

/// Tells on a terminal how far the reading has come.
struct Progress {
    all: u64,
    read: std::cell::Cell<u64>,
    clock: Clock,
    told: std::cell::Cell<crate::model::Stamp>,
    shown: bool,
}

impl Progress {
    fn new(all: u64) -> Self {
        let clock = Clock::start();
        let told = std::cell::Cell::new(clock.now());
        Self { all, read: std::cell::Cell::new(0), clock, told, shown: io::stderr().is_terminal() }
    }

    fn more(&self, bytes: usize) {
        if !self.shown {
            return;
        }
        let read = self.read.get().saturating_add(bytes as u64);
        self.read.set(read);
        let now = self.clock.now();
        if now.since(self.told.get()) >= OFTEN {
            self.told.set(now);
            // A pipe does not say how much is to come.
            let of = if self.all > 0 { format!(" of {}", self.all / 1_000_000) } else { String::new() };
            talk(format_args!("authtap: {}{of} MB read", read / 1_000_000));
        }
    }
}

struct Counted {
    input: Whole,
    progress: std::rc::Rc<Progress>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.progress.more(read);
        Ok(read)
    }
}
