//! stderr without waiting for it: lines go to a buffer of bounded size, and a thread of its own writes them.
//!
//! A terminal that somebody stopped with Ctrl-S, or a pipe that nobody reads, would otherwise hold up whoever logs:
//! the observer, and with it the capture. What does not fit is dropped, counted, and told when writing goes on.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// So much may wait: some thousand lines.
const ROOM: usize = 1024 * 1024;

/// Makes a line of its own that says how many are missing.
type Tells = Box<dyn Fn(u64) -> String + Send>;

/// Takes lines and never waits. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Console(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something is to be written.
    work: Condvar,
    /// All is written.
    idle: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    dropped: u64,
    writing: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Console {
    /// Starts the thread that writes to `to`. `tells` makes the line that says how many were dropped.
    pub(super) fn start(to: impl Write + Send + 'static, tells: Tells) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        std::thread::Builder::new().name("authtap-console".to_owned()).spawn(move || work(&own, to, &tells))?;
        Ok(Self(shared))
    }

    /// One line, with its end.
    pub fn line(&self, line: &[u8]) {
        let mut state = self.0.lock();
        if state.waiting.len() + line.len() > ROOM {
            state.dropped += 1;
            return;
        }
        state.waiting.extend_from_slice(line);
        // A thread that is writing looks again when it is done.
        if !state.writing {
            self.0.work.notify_one();
        }
    }

    /// Waits until all is written, at most for `patience`; false when it is not.
    pub fn flush(&self, patience: Duration) -> bool {
        let busy = |s: &mut State| s.writing || !s.waiting.is_empty() || s.dropped > 0;
        let waited = self.0.idle.wait_timeout_while(self.0.lock(), patience, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

fn work(shared: &Shared, mut to: impl Write, tells: &Tells) {
    let mut batch = Vec::new();
    let mut state = shared.lock();
    loop {
        if state.waiting.is_empty() && state.dropped == 0 {
            shared.idle.notify_all();
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        std::mem::swap(&mut batch, &mut state.waiting);
        let dropped = std::mem::take(&mut state.dropped);
        state.writing = true;
        drop(state);
        if dropped > 0 {
            batch.extend_from_slice(tells(dropped).as_bytes());
        }
        // A stderr that is gone is no reason to stop.
        let _ = to.write_all(&batch).and_then(|()| to.flush());
        batch.clear();
        state = shared.lock();
        state.writing = false;
    }
}

/// One formatted event.
#[derive(Debug)]
pub struct Handle(Console);

impl Write for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.line(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Console {
    type Writer = Handle;

    fn make_writer(&'a self) -> Handle {
        Handle(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const LINES: usize = 4_000;

    /// A terminal stopped with Ctrl-S must not stop the capture.
    #[test]
    fn a_pipe_that_nobody_reads_holds_nobody_up_and_the_loss_is_told() {
        let (mut reader, writer) = io::pipe().unwrap();
        let console = Console::start(writer, Box::new(|n| format!("{n} lines are missing\n"))).unwrap();
        let line = [b"x".repeat(999), b"\n".to_vec()].concat();
        for _ in 0..LINES {
            console.line(&line);
        }
        assert!(!console.flush(Duration::from_millis(1)), "nobody reads");
        let reading = std::thread::spawn(move || {
            // The loss may be told in several parts: whoever reads on hears of every line, or that it is missing.
            let (mut all, mut shown, mut missing) = (String::new(), 0, 0);
            let mut chunk = vec![0; 64 * 1024];
            while shown + missing < LINES {
                let n = reader.read(&mut chunk).unwrap();
                all.push_str(std::str::from_utf8(&chunk[..n]).unwrap());
                while let Some((line, rest)) = all.split_once('\n') {
                    match line.strip_suffix(" lines are missing") {
                        Some(lost) => missing += lost.parse::<usize>().unwrap(),
                        None => shown += 1,
                    }
                    all = rest.to_owned();
                }
            }
            (shown, missing)
        });
        let (shown, missing) = reading.join().unwrap();
        assert!(console.flush(Duration::from_secs(10)), "all that was kept is written");
        assert_eq!(shown + missing, LINES);
        assert!(missing > 0 && shown >= ROOM / 1_000, "{shown} shown, {missing} missing");
    }
}
