//! What the operating system lets authtap have: file descriptors, memory, local ports.

use std::io;

/// Descriptors that are not a connection's: listeners, pollers, files, name look-ups.
const OTHERS: u64 = 64;
/// A connection has two sockets.
const EACH: u64 = 2;

/// Asks for as many file descriptors as this process may have, and gives the number; `None` when there is no limit, or
/// none is known.
pub fn raise_descriptors() -> Option<u64> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        if limit.current == limit.maximum {
            return limit.current;
        }
        // macOS refuses more than OPEN_MAX, whatever the hard limit says.
        let wanted = [limit.maximum, limit.maximum.map_or(Some(10_240), |hard| Some(hard.min(10_240)))];
        for current in wanted.into_iter().filter(|w| limit.current < w.or(Some(u64::MAX))) {
            match setrlimit(Resource::Nofile, Rlimit { current, maximum: limit.maximum }) {
                Ok(()) => return current,
                Err(error) => tracing::debug!(%error, ?current, "cannot raise the limit of file descriptors"),
            }
        }
        limit.current
    }
    #[cfg(not(unix))]
    None
}

/// How many connections at once so many descriptors are enough for, when they are not enough for `wanted`.
pub fn fewer_connections(descriptors: u64, wanted: u64) -> Option<u64> {
    let needed = wanted.saturating_mul(EACH).saturating_add(OTHERS);
    (descriptors < needed).then(|| descriptors.saturating_sub(OTHERS) / EACH)
}

/// An error that says that this machine has nothing left for authtap, in words that say what to do. It is nobody
/// else's fault.
pub(super) fn exhausted(error: &io::Error) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::MFILE) => return Some("authtap has no file descriptor left: raise `ulimit -n`"),
            Some(Errno::NFILE) => return Some("the machine has no file descriptor left: raise `fs.file-max`"),
            Some(Errno::NOBUFS) => return Some("the machine has no memory left for another socket"),
            _ => {}
        }
    }
    // WSAEMFILE and WSAENOBUFS.
    #[cfg(windows)]
    if matches!(error.raw_os_error(), Some(10_024 | 10_055)) {
        return Some("authtap has no socket left");
    }
    match error.kind() {
        io::ErrorKind::OutOfMemory => Some("the machine has no memory left for another socket"),
        io::ErrorKind::AddrNotAvailable => Some(
            "this machine has no local port left for another connection to that address, or no address of that kind",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::fewer_connections;

    /// A promise of 10,000 connections that ends at 480 is found out in the incident.
    #[test]
    fn a_limit_that_is_too_low_is_told_in_connections() {
        assert_eq!(fewer_connections(1_024, 10_000), Some(480));
        assert_eq!(fewer_connections(20_063, 10_000), Some(9_999));
        assert_eq!(fewer_connections(20_064, 10_000), None);
        assert_eq!(fewer_connections(10, 1), Some(0));
    }
}
