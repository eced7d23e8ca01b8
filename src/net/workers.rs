//! The threads of the data path: one a core, each with a runtime of its own.
//!
//! A connection lives on one of them from its accept to its end, with both sockets in that thread's poller. Nothing in
//! the path of its bytes is shared with another thread: no task is stolen, no thread woken for another's socket.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// As tokio's own runtimes have it.
const COUNT: &str = "TOKIO_WORKER_THREADS";

/// The running threads. They end when this is dropped, and what still runs on them is dropped there.
#[derive(Debug)]
pub(super) struct Workers {
    each: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// Connections it has now.
    load: Arc<AtomicUsize>,
    /// Dropped to end it.
    _running: oneshot::Sender<()>,
}

/// A place on a worker: counts as its load until it is dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts one a core, or as many as `TOKIO_WORKER_THREADS` says.
    pub(super) fn start() -> io::Result<Self> {
        let wanted = std::env::var(COUNT).ok().and_then(|n| n.parse::<NonZeroUsize>().ok());
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let each = (1..=wanted.unwrap_or_else(cores).get()).map(Worker::start).collect::<io::Result<_>>()?;
        Ok(Self { each })
    }

    /// Moves a connection to the worker with the fewest: its socket's readiness is that thread's from here on.
    pub(super) fn seat(&self, accepted: TcpStream) -> io::Result<(TcpStream, Seat, &Handle)> {
        let least = self.each.iter().min_by_key(|worker| worker.load.load(Ordering::Relaxed));
        let worker = least.ok_or_else(|| io::Error::other("no worker is running"))?;
        let accepted = accepted.into_std()?;
        let _inside = worker.runtime.enter();
        let accepted = TcpStream::from_std(accepted)?;
        worker.load.fetch_add(1, Ordering::Relaxed);
        Ok((accepted, Seat(Arc::clone(&worker.load)), &worker.runtime))
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, stop) = oneshot::channel::<()>();
        std::thread::Builder::new().name(format!("authtap-relay-{number}")).spawn(move || {
            runtime.block_on(stop).ok();
        })?;
        Ok(Self { runtime: handle, load: Arc::default(), _running: running })
    }
}
