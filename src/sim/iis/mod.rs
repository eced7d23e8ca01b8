//! The simulated IIS: HTTP/1.1 with keep-alive on raw sockets, and Windows authentication as IIS does it.
//!
//! What it shares with the real one is what a proxy can see: authentication belongs to the TCP connection, the two
//! 401s of a healthy logon, the shapes of its answers, and the substatus and win32 codes of its log.

pub mod accounts;
mod answer;
mod connection;
mod handshake;
pub mod log;
pub mod settings;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::FileTime;
use accounts::Accounts;
use log::LogLine;
use settings::Settings;

use super::task::Running;

/// A running simulated IIS; dropping it ends it.
#[derive(Debug)]
pub struct Iis {
    running: Running,
    shared: Arc<Shared>,
}

impl Iis {
    /// Starts one on loopback, on a port that the kernel chooses.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            accounts: Mutex::new(Accounts::new(&settings)),
            settings: Mutex::new(settings),
            log: Mutex::new(Vec::new()),
            last_time: Mutex::new(FileTime(0)),
        });
        let of_connections = Arc::clone(&shared);
        let running =
            Running::start(move |stream, number| connection::serve(stream, number, Arc::clone(&of_connections)))
                .await?;
        Ok(Self { running, shared })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.running.address()
    }

    /// Its log so far. A request is in it before its answer is on the wire.
    pub fn log(&self) -> Vec<LogLine> {
        lock(&self.shared.log).clone()
    }

    /// Changes how it behaves from the next request on, as an administrator would while the site runs. Accounts are
    /// read at the start only.
    pub fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut lock(&self.shared.settings));
    }

    /// Ends it, and waits until its sockets are closed.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// What all connections of one server share.
#[derive(Debug)]
struct Shared {
    settings: Mutex<Settings>,
    accounts: Mutex<Accounts>,
    log: Mutex<Vec<LogLine>>,
    last_time: Mutex<FileTime>,
}

impl Shared {
    fn settings(&self) -> Settings {
        lock(&self.settings).clone()
    }

    /// The server's time for a challenge. No two challenges of a server have an equal one: the link from a Type 3 to
    /// its Type 2 rests on that, and real servers' clocks have 100 ns.
    fn challenge_time(&self, settings: &Settings) -> FileTime {
        let mut last = lock(&self.last_time);
        let now = FileTime::of(settings.clock.now()).0;
        *last = FileTime(now.max(last.0.saturating_add(1)));
        *last
    }
}

/// A poisoned lock holds data that is still whole: each critical section is one assignment.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
