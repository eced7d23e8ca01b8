//! The capture file being written: its sink, its rotation, and a disk that fills.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader::begins_like_capture;
use super::v1;
use crate::model::event::{Event, What};
use crate::model::{Stamp, TapId};
use crate::sink::Sink;

/// Lines wait here before they are written, so that a busy site costs one system call for many lines.
const BUFFER: usize = 64 * 1024;

/// So much may wait while the disk is full; past that, events are refused (and told by the observer as a gap).
const BACKLOG: usize = 1024 * 1024;

/// A file that cannot be made is tried again after so much of the traffic's time.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Sizes of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A file of this size is set aside and a new one begun.
    pub file: u64,
    /// All files of the capture together: the oldest ones are deleted.
    pub total: u64,
}

impl Default for Limits {
    /// 64 MiB a file, 512 MiB in all.
    fn default() -> Self {
        Self { file: 64 * 1024 * 1024, total: 512 * 1024 * 1024 }
    }
}

/// Why a capture cannot be begun at a path.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Something else is there; authtap does not write over it.
    #[error(
        "capture file {}: the file there is not an authtap capture; authtap does not overwrite it",
        path.display()
    )]
    Foreign {
        /// The path.
        path: PathBuf,
    },
    /// A directory, a link, a device.
    #[error("capture file {}: {what} is there, a regular file or nothing is needed", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// The operating system refused.
    #[error("capture file {}: {doing}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What authtap was doing.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// A file to write to, and a second handle of it to look at it with.
type Opened = (Box<dyn Write + Send>, Option<File>);

/// Opens a new file; replaced in tests to stand for a disk with faults.
type Opener = Box<dyn Fn(&Path) -> io::Result<Opened> + Send>;

/// Where the open file is, as far as can be known.
#[derive(Debug, PartialEq, Eq)]
enum Whereabouts {
    /// At the path.
    There,
    /// Somewhere else, and another file is at the path.
    Elsewhere,
    /// Deleted; or moved, and nothing is at the path.
    Gone,
}

/// The capture file as a [`Sink`].
///
/// An event that `write` took with `Ok` is in the file or waits to be written; after an error nothing of it is. The
/// file never holds half a line in its middle: what a full disk cut off is continued at the same byte.
pub struct CaptureFile {
    path: PathBuf,
    limits: Limits,
    tap: TapId,
    open: Opener,
    /// `None` after a new file could not be made; a later write tries again.
    file: Option<Box<dyn Write + Send>>,
    /// The same file, to see whether it is still at the path.
    look: Option<File>,
    /// It was told that the file is elsewhere.
    told_elsewhere: bool,
    /// When making a new file failed last.
    failed: Option<Stamp>,
    /// What was written last ends in the middle of a line, whose rest waits.
    cut: bool,
    /// Bytes of the current file, waiting ones included.
    size: u64,
    waiting: Vec<u8>,
    /// The `start` line: written again at the head of each file.
    start: Option<Vec<u8>>,
    /// Bytes of the current file before the first event of its own.
    head: u64,
    /// Older files, oldest first, with their sizes.
    older: VecDeque<(PathBuf, u64)>,
    next_number: u64,
    /// Something that matters waits to be written.
    urgent: bool,
    /// Room for one line, used again for each.
    line: Vec<u8>,
}

impl CaptureFile {
    /// Begins a capture at `path`, mode 0600. A capture that is there already is set aside as `PATH.N`; any other file
    /// is left alone and refused.
    pub fn create(path: &Path, tap: TapId, limits: Limits) -> Result<Self, OpenError> {
        Self::with_opener(path, tap, limits, Box::new(open_private))
    }

    fn with_opener(path: &Path, tap: TapId, limits: Limits, open: Opener) -> Result<Self, OpenError> {
        let fail = |doing| move |source| OpenError::Io { path: path.to_owned(), doing, source };
        let existing = existing(path)?;
        let mut capture = Self {
            path: path.to_owned(),
            limits,
            tap,
            open,
            file: None,
            look: None,
            told_elsewhere: false,
            failed: None,
            cut: false,
            size: 0,
            waiting: Vec::new(),
            start: None,
            head: 0,
            older: VecDeque::new(),
            next_number: 1,
            urgent: false,
            line: Vec::new(),
        };
        capture.find_older().map_err(fail("looking for older files"))?;
        match existing {
            Existing::Nothing => {}
            Existing::Empty => {
                std::fs::remove_file(path).map_err(fail("removing the empty file there"))?;
            }
            Existing::Capture(size) => capture.set_aside(size).map_err(fail("setting the older capture aside"))?,
        }
        let (file, look) = (capture.open)(path).map_err(fail("creating it"))?;
        (capture.file, capture.look) = (Some(file), look);
        capture.enforce_total();
        Ok(capture)
    }

    /// Where the current file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The older files that are still there, oldest first.
    pub fn older(&self) -> impl Iterator<Item = &Path> {
        self.older.iter().map(|(path, _)| path.as_path())
    }

    /// Finds `PATH.N`, those of earlier runs included.
    fn find_older(&mut self) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder_of(&self.path))? {
            let Ok(entry) = entry else { continue };
            let Some(number) = number_of(&self.path, &entry.path()) else {
                continue;
            };
            self.next_number = self.next_number.max(number.saturating_add(1));
            // What is not a capture is neither counted nor ever deleted.
            if let Ok(Existing::Capture(size)) = existing(&entry.path()) {
                found.push((number, entry.path(), size));
            }
        }
        found.sort_unstable();
        self.older = found.into_iter().map(|(_, path, size)| (path, size)).collect();
        Ok(())
    }

    /// Renames the current file to the next number. A name once given stays: a report that names it remains true.
    fn set_aside(&mut self, size: u64) -> io::Result<()> {
        let to = loop {
            let to = numbered(&self.path, self.next_number);
            self.next_number = self.next_number.saturating_add(1);
            // `rename` replaces silently; nothing of somebody else's may be lost that way.
            if to.symlink_metadata().is_err() {
                break to;
            }
        };
        std::fs::rename(&self.path, &to)?;
        self.older.push_back((to, size));
        Ok(())
    }

    /// Deletes the oldest files until a full current file fits under the total.
    fn enforce_total(&mut self) {
        let mut sum: u64 = self.older.iter().map(|(_, size)| *size).sum();
        while sum.saturating_add(self.limits.file) > self.limits.total {
            let Some((path, size)) = self.older.pop_front() else {
                break;
            };
            // A file that somebody removed meanwhile is as good as deleted; one that cannot be is left to them.
            let _ = std::fs::remove_file(path);
            sum = sum.saturating_sub(size);
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.drain()?;
        if self.file.is_some() {
            // Without the file there (an administrator moved it) there is nothing to set aside.
            if self.whereabouts() == Whereabouts::There {
                self.set_aside(self.size)?;
            }
            self.file = None;
        }
        self.reopen()?;
        self.enforce_total();
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        let (file, look) = (self.open)(&self.path)?;
        (self.file, self.look) = (Some(file), look);
        (self.told_elsewhere, self.failed) = (false, None);
        let mut kept = std::mem::take(&mut self.waiting);
        if std::mem::take(&mut self.cut) {
            // The line's beginning is in the file that is gone.
            let rest = kept.iter().position(|b| *b == b'\n').map_or(kept.len(), |end| end.saturating_add(1));
            kept.drain(..rest);
        }
        self.size = 0;
        self.head = 0;
        if let Some(start) = self.start.clone() {
            self.append(&start);
            self.head = self.size;
        }
        self.size = self.size.saturating_add(kept.len() as u64);
        self.waiting.append(&mut kept);
        Ok(())
    }

    #[cfg(unix)]
    fn whereabouts(&self) -> Whereabouts {
        use std::os::unix::fs::MetadataExt as _;
        let there = self.path.symlink_metadata();
        let Some(own) = self.look.as_ref().and_then(|file| file.metadata().ok()) else {
            return if there.is_ok() { Whereabouts::There } else { Whereabouts::Gone };
        };
        match there {
            Ok(there) if (there.dev(), there.ino()) == (own.dev(), own.ino()) => Whereabouts::There,
            Ok(_) if own.nlink() > 0 => Whereabouts::Elsewhere,
            // One may not look there just now; that says nothing of the file.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied && own.nlink() > 0 => Whereabouts::There,
            _ => Whereabouts::Gone,
        }
    }

    #[cfg(not(unix))]
    fn whereabouts(&self) -> Whereabouts {
        // Windows does not let an open file be deleted or moved.
        if self.path.symlink_metadata().is_ok() { Whereabouts::There } else { Whereabouts::Gone }
    }

    /// Sees whether the file is still where a reader looks for it. Begins a new one when it is not; that, too, is an
    /// error, so that it is told.
    fn look_for_it(&mut self) -> io::Result<()> {
        if self.look.is_none() || self.file.is_none() {
            return Ok(());
        }
        match self.whereabouts() {
            Whereabouts::There => Ok(()),
            Whereabouts::Elsewhere if self.told_elsewhere => Ok(()),
            // Another authtap on the same path does that; whatever it is, it is not ours to remove.
            Whereabouts::Elsewhere => {
                self.told_elsewhere = true;
                Err(io::Error::other(
                    "it was moved, and another file is in its place; what follows is in the moved one",
                ))
            }
            Whereabouts::Gone => {
                (self.file, self.look) = (None, None);
                self.reopen()?;
                Err(io::Error::other("it was deleted or moved while authtap wrote to it; a new one is begun"))
            }
        }
    }

    fn append(&mut self, line: &[u8]) {
        self.waiting.extend_from_slice(line);
        self.waiting.push(b'\n');
        self.size = self.size.saturating_add(line.len() as u64 + 1);
    }

    /// Writes what waits. What could not be written stays, to be continued at the same byte.
    fn drain(&mut self) -> io::Result<()> {
        self.urgent = false;
        let Some(file) = self.file.as_mut() else {
            return Err(io::Error::other("the next capture file could not be made"));
        };
        let mut done = 0;
        let result = loop {
            let rest = self.waiting.get(done..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            match file.write(rest) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => break Err(e),
            }
        };
        if let Some(last) = done.checked_sub(1).and_then(|last| self.waiting.get(last)) {
            self.cut = *last != b'\n';
        }
        self.waiting.drain(..done.min(self.waiting.len()));
        result
    }

    fn take(&mut self, event: &Event) -> io::Result<()> {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        let taken = v1::write(&self.tap, event, &mut line)
            .map_err(io::Error::other)
            .and_then(|()| self.take_line(event, &line));
        // A finding with much evidence may be long; that room is not kept.
        self.line = if line.capacity() > BUFFER { Vec::new() } else { line };
        taken
    }

    fn take_line(&mut self, event: &Event, line: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            if self.failed.is_some_and(|last| event.at.since(last) < TRY_AGAIN) {
                return Err(io::Error::other("the next capture file could not be made"));
            }
            self.failed = Some(event.at);
            self.reopen()?;
        }
        let length = line.len() as u64 + 1;
        if self.size > self.head && self.size.saturating_add(length) > self.limits.file {
            self.rotate()?;
        }
        if self.waiting.len() + line.len() > BACKLOG && !self.waiting.is_empty() {
            self.drain()?;
        }
        self.append(line);
        if matches!(event.what, What::Start(_)) {
            self.start = Some(line.to_owned());
        }
        // The line is kept if that fails, so the event itself is not lost and `flush` tells the trouble.
        if self.waiting.len() >= BUFFER {
            let _ = self.drain();
        } else {
            self.urgent |= matters(&event.what);
        }
        Ok(())
    }
}

impl std::fmt::Debug for CaptureFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureFile").field("path", &self.path).field("size", &self.size).finish_non_exhaustive()
    }
}

impl Sink for CaptureFile {
    fn name(&self) -> &'static str {
        "capture"
    }

    fn write(&mut self, event: &Event) -> Result<(), String> {
        self.take(event).map_err(|e| format!("{}: {e}", self.path.display()))
    }

    /// An incident is followed with `tail -f`: what matters is written now. If that fails, `flush` tells it.
    fn settle(&mut self) -> Result<(), String> {
        if self.urgent {
            let _ = self.drain();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), String> {
        let found = self.look_for_it();
        let result = if self.file.is_none() { self.reopen().and_then(|()| self.drain()) } else { self.drain() };
        found.and(result).map_err(|e| format!("{}: {e}", self.path.display()))
    }
}

impl Drop for CaptureFile {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// Events that somebody is waiting for.
fn matters(what: &What) -> bool {
    match what {
        What::Start(_) | What::Handshake(_) | What::Gap(_) | What::Finding(_) | What::Stop(_) => true,
        What::ConnectionClose(close) => close.mid_handshake,
        What::ConnectionOpen(_) | What::ConnectionHalfClose(_) | What::Exchange(_) => false,
    }
}

enum Existing {
    Nothing,
    Empty,
    Capture(u64),
}

/// What is at a path. Links are not followed: `/tmp/c.jsonl` may be somebody else's link to somewhere.
fn existing(path: &Path) -> Result<Existing, OpenError> {
    let fail = |doing| move |source| OpenError::Io { path: path.to_owned(), doing, source };
    let not_a_file = |what| OpenError::NotAFile { path: path.to_owned(), what };
    let meta = match path.symlink_metadata() {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Existing::Nothing),
        Err(e) => return Err(fail("looking at it")(e)),
    };
    if meta.is_dir() {
        return Err(not_a_file("a directory"));
    }
    if meta.is_symlink() {
        return Err(not_a_file("a symbolic link"));
    }
    if !meta.is_file() {
        return Err(not_a_file("a device, pipe or socket"));
    }
    if meta.len() == 0 {
        return Ok(Existing::Empty);
    }
    let mut first = Vec::new();
    File::open(path).and_then(|f| f.take(8).read_to_end(&mut first)).map_err(fail("reading the file there"))?;
    if begins_like_capture(&first) {
        Ok(Existing::Capture(meta.len()))
    } else {
        Err(OpenError::Foreign { path: path.to_owned() })
    }
}

fn open_private(path: &Path) -> io::Result<Opened> {
    let mut options = OpenOptions::new();
    // `create_new` follows no link and takes over nobody's file; appending survives a truncation by `> file`.
    options.create_new(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // Without a second handle it is merely not noticed when the file goes.
    let look = file.try_clone().ok();
    Ok((Box::new(file), look))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn numbered(path: &Path, number: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// The number of `PATH.N`; `None` for another name.
fn number_of(path: &Path, other: &Path) -> Option<u64> {
    let own = path.file_name()?.to_str()?;
    let other = other.file_name()?.to_str()?;
    let digits = other.strip_prefix(own)?.strip_prefix('.')?;
    digits.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    digits.parse().ok()
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
