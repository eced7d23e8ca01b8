//! The program itself, run as a user runs it, for the tests beside it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};

/// The program.
pub(crate) fn authtap() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authtap"));
    command.env("NO_COLOR", "1").env_remove("AUTHTAP_LOG").stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn output(args: &[&str]) -> Output {
    authtap().args(args).output().expect("authtap runs")
}

/// What it said on stderr.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running `authtap run`; ended when dropped.
pub(crate) struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Running {
    /// Starts it in front of `upstream` and waits until it listens.
    pub(crate) fn start(upstream: &str, capture: &Path, more: &[&str]) -> Self {
        let mut command = authtap();
        command.args(["run", "--listen", "127.0.0.1:0", "--upstream", upstream, "--grace", "1s", "--capture"]);
        command.arg(capture).args(more);
        Self::from_command(command)
    }

    /// Starts a command that is, or becomes, `authtap run`.
    pub(crate) fn from_command(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("authtap starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr"));
        // In the struct from here on, so that a panic below ends the program.
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut running = Self { child, stderr, said: String::new(), address: nowhere };
        running.address = running.listening();
        running
    }

    fn listening(&mut self) -> SocketAddr {
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).expect("stderr");
            self.said.push_str(&line);
            assert!(read > 0, "authtap ended before it listened:\n{}", self.said);
            if let Some(rest) = line.split("authtap listens on ").nth(1) {
                let address = rest.split(' ').next().and_then(|a| a.parse().ok());
                return address.expect("an address");
            }
        }
    }

    /// Ends it with an interrupt, as a user does. Gives what it said on stderr in all.
    pub(crate) fn stop(mut self) -> String {
        self.signal("INT");
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).expect("stderr");
        let status = self.child.wait().expect("an end");
        self.said.push_str(&rest);
        assert!(status.success(), "{status}:\n{}", self.said);
        std::mem::take(&mut self.said)
    }

    /// How it ends, while nobody reads its stderr.
    pub(crate) fn wait_unread(mut self) -> ExitStatus {
        self.child.wait().expect("an end")
    }

    /// Its process.
    #[cfg(target_os = "linux")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already over after `stop`; both calls are harmless then.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
