//! `--iis-log`: the files that were meant, and what they hold beside the captures.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::model::TapId;
use crate::model::event::Event;
use crate::report::join::{Captures, Joined};

/// How much is read at once.
const PIECE: usize = 256 * 1024;

/// Folders stand for the `.log` files in them. `*` and `?` in a file's name are expanded here where no shell did it:
/// that of Windows does not.
pub(super) fn expand(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in named {
        if path.is_dir() {
            files.extend(matching(path, path, "*.log")?);
            continue;
        }
        let pattern = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.exists() || !pattern.contains(['*', '?']) {
            files.push(path.clone());
            continue;
        }
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        files.extend(matching(path, folder, &pattern)?);
    }
    Ok(files)
}

fn matching(named: &Path, folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, Failure> {
    let refuse = |why: &dyn std::fmt::Display| Failure::usage(format_args!("--iis-log: {}: {why}", named.display()));
    let pattern = pattern.to_ascii_lowercase();
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| refuse(&e))? {
        let path = entry.map_err(|e| refuse(&e))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        if fits(pattern.as_bytes(), name.as_bytes()) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(refuse(&format_args!("no file is called {pattern} there")));
    }
    Ok(files)
}

/// Whether a name fits a pattern of `*` and `?`.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|at| name.get(at..).is_some_and(|name| fits(rest, name))),
        ([b'?', pattern @ ..], [_, name @ ..]) => fits(pattern, name),
        ([one, pattern @ ..], [other, name @ ..]) if one == other => fits(pattern, name),
        _ => false,
    }
}

/// Reads the logs and joins them with the captures' events. A log that cannot be opened ends the command; what is wrong
/// with its contents is told in the report.
pub(super) fn join(taps: &BTreeMap<TapId, Vec<Event>>, files: &[PathBuf]) -> Result<Joined, Failure> {
    let mut captures = Captures::default();
    for (tap, events) in taps {
        for event in events {
            captures.take(tap, event);
        }
    }
    let mut logs = captures.logs();
    let mut piece = vec![0; PIECE];
    for path in files {
        let mut file = File::open(path)
            .map_err(|e| Failure::usage(format_args!("--iis-log: {}: cannot open it: {e}", path.display())))?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        logs.file(&name, |source| {
            loop {
                match file.read(&mut piece) {
                    Ok(0) => break,
                    Ok(n) => source.read(piece.get(..n).unwrap_or_default()),
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(e) => {
                        source.broken(&e.to_string());
                        break;
                    }
                }
            }
        });
    }
    Ok(logs.join())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On Windows nobody but authtap reads the star in `u_ex*.log`.
    #[test]
    fn stars_stand_for_any_letters() {
        for (pattern, name, yes) in [
            ("u_ex*.log", "u_ex261122.log", true),
            ("u_ex*.log", "u_ex.log", true),
            ("u_ex*.log", "httperr1.log", false),
            ("*err?.log", "httperr1.log", true),
            ("*err?.log", "httperr12.log", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), yes, "{pattern} {name}");
        }
    }
}
