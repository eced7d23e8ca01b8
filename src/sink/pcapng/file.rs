//! The file being written: private, nobody else's, bounded, and continued at the same byte after a full disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Blocks wait here before they are written, so that a busy site costs one system call for many packets.
const BUFFER: usize = 64 * 1024;

/// So much may wait while the disk is full; past that, events are refused.
const BACKLOG: usize = 1024 * 1024;

/// Why a packet capture cannot be begun at a path.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Something is there.
    #[error("packet capture {}: a file is there already, and authtap does not overwrite it", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("packet capture {}: creating it: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Takes whole blocks.
pub(super) struct Output {
    file: Box<dyn Write + Send>,
    waiting: Vec<u8>,
    size: u64,
    limit: u64,
}

impl Output {
    /// A new file, mode 0600.
    pub(super) fn create(path: &Path, limit: u64) -> Result<Self, OpenError> {
        let mut options = OpenOptions::new();
        // `create_new` follows no link and takes over nobody's file.
        options.create_new(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let opened: io::Result<File> = options.open(path);
        match opened {
            Ok(file) => Ok(Self::onto(Box::new(file), limit)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(OpenError::Exists { path: path.to_owned() }),
            Err(source) => Err(OpenError::Io { path: path.to_owned(), source }),
        }
    }

    /// Onto anything that takes bytes.
    pub(super) fn onto(file: Box<dyn Write + Send>, limit: u64) -> Self {
        Self { file, waiting: Vec::new(), size: 0, limit }
    }

    /// Takes all of these blocks, or with an error none of them.
    pub(super) fn take(&mut self, blocks: &[u8]) -> io::Result<()> {
        let size = self.size.saturating_add(blocks.len() as u64);
        if size > self.limit {
            let _ = self.drain();
            let limit = self.limit >> 20;
            let full = format!("it has its {limit} MiB (capture.pcapng-mib); nothing more is written to it");
            return Err(io::Error::other(full));
        }
        if self.waiting.len().saturating_add(blocks.len()) > BACKLOG && !self.waiting.is_empty() {
            self.drain()?;
        }
        self.waiting.extend_from_slice(blocks);
        self.size = size;
        if self.waiting.len() >= BUFFER {
            // What waits is kept if that fails, and `flush` tells the trouble.
            let _ = self.drain();
        }
        Ok(())
    }

    /// Writes what waits. What could not be written stays, to be continued at the same byte.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        let mut done = 0;
        let result = loop {
            let rest = self.waiting.get(done..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            match self.file.write(rest) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => break Err(e),
            }
        };
        self.waiting.drain(..done.min(self.waiting.len()));
        result
    }
}
