//! Other programs: started, listened to, ended.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How long anything may stay silent before the test is called broken. Long, because it is only ever waited for when something is wrong.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A command to be run as part of the rig: in a process group of its own, told to end when the thread that started it ends.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    prepared(&[], program)
}

/// The same for a program that must not be root, as Apache is not: root becomes another user that may still read what root may.
/// (Started as root, Apache gives root up by itself, and then finds neither the run's files nor, on some machines, its libraries.)
pub(crate) fn command_without_root(program: impl AsRef<OsStr>) -> Command {
    let give_up: &[&str] = &[
        "--reuid=www-data",
        "--regid=www-data",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
    ];
    prepared(if is_root() { give_up } else { &[] }, program)
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}

fn prepared(privileges: &[&str], program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig=TERM"]).args(privileges);
    command.arg("--").arg(program);
    command.process_group(0);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"));
    // Nothing of the machine's own configuration may leak into the rig.
    command.envs([("LC_ALL", "C.UTF-8"), ("PYTHONDONTWRITEBYTECODE", "1"), ("NO_COLOR", "1")]);
    for variable in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(variable);
    }
    command
}

/// A running program. Ended when dropped, whatever the test was doing; a test that panics shows what the program had said.
pub(crate) struct Process {
    name: String,
    child: Child,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
    ended: bool,
    /// Only root may end it, and the tests are not root.
    of_root: bool,
}

/// How a program ended, and what it said.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Process {
    pub(crate) fn spawn(name: &str, command: Command) -> Self {
        let (child, stdout) = spawned(name, command);
        Self::of(name, child, Lines::of(stdout))
    }

    /// The same for a program whose stdout is no text: `take` has it, in a thread of its own, and reads it to its end.
    pub(crate) fn spawn_taking(name: &str, command: Command, take: impl FnOnce(ChildStdout) + Send + 'static) -> Self {
        let (child, stdout) = spawned(name, command);
        let (sender, coming) = channel();
        std::thread::spawn(move || {
            take(stdout);
            drop(sender);
        });
        Self::of(name, child, Lines { coming: Mutex::new(coming), seen: Vec::new() })
    }

    fn of(name: &str, mut child: Child, stdout: Lines) -> Self {
        let stderr = Lines::of(child.stderr.take().unwrap());
        Self { name: name.to_owned(), child, stdout, stderr, ended: false, of_root: false }
    }

    /// It was started by `sudo`.
    pub(crate) fn of_root(mut self) -> Self {
        self.of_root = true;
        self
    }

    /// Waits for the line `listening ADDRESS` on stdout, and gives the port.
    pub(crate) fn listening_port(&mut self) -> u16 {
        let line = self.stdout.wait_for(&self.name, |line| line.starts_with("listening "));
        line.rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .unwrap_or_else(|| panic!("{}: no port in {line:?}", self.name))
    }

    /// Waits until the program has ended by itself.
    pub(crate) fn finish(mut self) -> Ended {
        self.collect()
    }

    /// Sends it a signal (`INT`, `TERM`) and waits until it has ended.
    pub(crate) fn stop(mut self, signal: &str) -> Ended {
        self.signal(signal);
        self.collect()
    }

    fn collect(&mut self) -> Ended {
        for lines in [&mut self.stdout, &mut self.stderr] {
            assert!(
                lines.drain(DEADLINE),
                "{} did not end within {DEADLINE:?}; it had said:\n{}",
                self.name,
                lines.text()
            );
        }
        let status = self.child.wait().unwrap();
        self.ended = true;
        Ended { status, stdout: self.stdout.text(), stderr: self.stderr.text() }
    }

    fn signal(&self, signal: &str) {
        // The group first: a server's workers go with it. What is gone already makes `kill` complain, which is no news.
        let script = if self.of_root {
            "sudo -n kill -s \"$1\" -- \"-$2\""
        } else {
            "kill -s \"$1\" -- \"-$2\" 2>/dev/null || kill -s \"$1\" \"$2\" 2>/dev/null"
        };
        let _ = Command::new("sh").args(["-c", script, "sh", signal]).arg(self.child.id().to_string()).status();
    }
}

fn spawned(name: &str, mut command: Command) -> (Child, ChildStdout) {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.unwrap_or_else(|error| panic!("{name} could not be started: {error}"));
    let stdout = child.stdout.take().unwrap();
    (child, stdout)
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.ended {
            self.signal("TERM");
            let grace = Duration::from_secs(10);
            if !(self.stdout.drain(grace) && self.stderr.drain(grace)) {
                self.signal("KILL");
            }
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!(
                "--- {} said on stdout:\n{}--- and on stderr:\n{}",
                self.name,
                self.stdout.text(),
                self.stderr.text()
            );
        }
    }
}

/// The lines of a stream, read as they come by a thread of their own, so that no program ever blocks on a full pipe.
pub(crate) struct Lines {
    /// In a mutex only so that a program may be shared between threads.
    coming: Mutex<Receiver<String>>,
    seen: Vec<String>,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, coming) = channel();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        Self { coming: Mutex::new(coming), seen: Vec::new() }
    }

    /// The next line that `wanted` accepts. A program that ends or stays silent instead fails the test with what it did say.
    pub(crate) fn wait_for(&mut self, name: &str, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            match self.coming.get_mut().unwrap().recv_timeout(DEADLINE) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if wanted(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{name} did not get ready; it had said:\n{}", self.text())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{name} ended before it was ready; it had said:\n{}", self.text())
                }
            }
        }
    }

    /// Reads to the end of the stream; false when that does not come.
    fn drain(&mut self, patience: Duration) -> bool {
        loop {
            match self.coming.get_mut().unwrap().recv_timeout(patience) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    fn text(&self) -> String {
        self.seen.iter().fold(String::new(), |text, line| text + line + "\n")
    }
}

/// Runs a set-up step to its end and insists that it worked.
pub(crate) fn run(name: &str, command: Command) -> Ended {
    let ended = Process::spawn(name, command).finish();
    assert!(ended.status.success(), "{name} failed ({}):\n{}{}", ended.status, ended.stdout, ended.stderr);
    ended
}

/// A command in the rig's Python, running one of its programs.
pub(crate) fn python(rig: &Path, program: &str) -> Command {
    let mut command = command(rig.join(".venv/bin/python"));
    command.arg(rig.join(program));
    command
}
