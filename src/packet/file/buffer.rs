//! The part of a file that is being looked at.

use std::fmt;
use std::io::{Chain, Cursor, ErrorKind, Read};
use std::ops::Range;

use flate2::read::MultiGzDecoder;

/// Bytes that are asked for at once, where nothing else is said.
pub(super) const SIZE: usize = 1024 * 1024;

/// Reads the file in large pieces and shows them without copying. It grows to the largest record that was asked for.
pub(super) struct Buffer<R> {
    input: Input<R>,
    bytes: Vec<u8>,
    /// What was read and not yet passed is `bytes[start..end]`.
    start: usize,
    end: usize,
    /// Bytes of the file before `start`.
    offset: u64,
    size: usize,
    /// Why nothing more can be read. What was read before is good.
    failed: Option<String>,
}

enum Input<R> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<Chain<Cursor<Vec<u8>>, R>>>),
}

impl<R> fmt::Debug for Buffer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("offset", &self.offset).finish_non_exhaustive()
    }
}

impl<R: Read> Buffer<R> {
    /// `size`: how much is read at once.
    pub(super) fn new(input: R, size: usize) -> Self {
        let input = Input::Plain(input);
        Self { input, bytes: vec![0; size], start: 0, end: 0, offset: 0, size, failed: None }
    }

    /// The same file, taken as packed with gzip. For a buffer of which nothing has been passed.
    pub(super) fn unpack(self) -> Self {
        let Self { input, mut bytes, end, size, .. } = self;
        bytes.truncate(end);
        let input = match input {
            Input::Plain(input) => Input::Gzip(Box::new(MultiGzDecoder::new(Read::chain(Cursor::new(bytes), input)))),
            packed @ Input::Gzip(_) => packed,
        };
        Self { input, bytes: vec![0; size], start: 0, end: 0, offset: 0, size, failed: None }
    }

    /// Reads until `need` bytes are there, or the file ends; gives how many are. The error says why it cannot be read.
    pub(super) fn fill(&mut self, need: usize) -> Result<usize, String> {
        if self.end - self.start < need {
            if let Some(why) = &self.failed {
                return Err(why.clone());
            }
            if self.start + need > self.bytes.len() {
                self.bytes.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
                self.bytes.resize(self.bytes.len().max(need), 0);
            }
            while self.end - self.start < need {
                let free = self.bytes.get_mut(self.end..).unwrap_or_default();
                let read = match &mut self.input {
                    Input::Plain(input) => input.read(free),
                    Input::Gzip(input) => input.read(free),
                };
                match read {
                    Ok(0) => break,
                    Ok(read) => self.end += read,
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(e) => {
                        let why = match self.input {
                            Input::Plain(_) => format!("the file cannot be read: {e}"),
                            Input::Gzip(_) => format!("the file's gzip data cannot be unpacked: {e}"),
                        };
                        self.failed = Some(why.clone());
                        return Err(why);
                    }
                }
            }
        }
        Ok(self.end - self.start)
    }
}

impl<R> Buffer<R> {
    /// What is there.
    pub(super) fn bytes(&self) -> &[u8] {
        self.slice(self.start..self.end)
    }

    /// A range that [`Self::pass`] gave; good until the next `fill`.
    pub(super) fn slice(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// Passes the next `length` bytes, which have been filled, and gives where they are.
    pub(super) fn pass(&mut self, length: usize) -> Range<usize> {
        let from = self.start;
        self.start = (from + length).min(self.end);
        self.offset += (self.start - from) as u64;
        from..self.start
    }

    /// Bytes of the file that were passed.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }
}

/// What the beginning of a file that is packed with gzip unpacks to.
pub(super) fn unpacked(first: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut piece = [0; 512];
    let mut input = MultiGzDecoder::new(first);
    while out.len() < super::FIRST {
        match input.read(&mut piece) {
            Ok(read) if read > 0 => out.extend_from_slice(piece.get(..read).unwrap_or_default()),
            // The rest of the file is not here: that it ends early is no news.
            _ => break,
        }
    }
    out
}
