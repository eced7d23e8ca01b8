//! The command line: one file per command.
//!
//! Exit codes: 0 done; 1 it ran and found what it was asked to fail on, or it could not go on; 2 the command line or
//! the configuration is wrong. Machine output goes to stdout, talk to stderr.

pub mod check;
pub mod decode;
pub mod demo;
pub mod explain;
mod logs;
mod packets;
pub mod report;
pub mod run;

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::report::text::clean;
use crate::sink::trace::Console;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "authtap",
    version,
    about = "Find out why people get 401 from an IIS site",
    long_about = "authtap is a transparent reverse proxy that you put in front of an IIS site for an hour, to find out \
                  why people get 401. It forwards every byte as it came, keeps each client connection paired with one \
                  connection to IIS, watches every authentication handshake, and says which broke, where, through \
                  whose fault, how sure that is, and what to change.",
    after_help = "Begin with `authtap demo`: it shows in a few seconds what authtap finds, on a simulated IIS."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Stand in front of a site and watch
    Run(run::Args),
    /// Look at a server before standing in front of it: what it offers, and what would change
    Check(check::Args),
    /// Say what captures hold: one diagnosis from any number of them
    Report(report::Args),
    /// Say what a header value or a token is: NTLM, SPNEGO, Kerberos, Basic, Digest, Bearer
    Decode(decode::Args),
    /// Say what a finding, a status, a code or a flag means, and what to do
    Explain(explain::Args),
    /// Show what authtap does, on a simulated IIS behind a pooling load balancer
    Demo(demo::Args),
}

/// What ends a command early.
#[derive(Debug)]
pub enum Failure {
    /// The command line or the configuration is wrong: exit code 2.
    Usage(String),
    /// It ran, and could not go on, or found what it was asked to fail on: exit code 1.
    Ran(String),
}

impl Failure {
    /// The operator's mistake.
    pub fn usage(error: impl Display) -> Self {
        Self::Usage(error.to_string())
    }

    /// Something failed on the way.
    pub fn ran(error: impl Display) -> Self {
        Self::Ran(error.to_string())
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Decode(args) => decode::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Demo(args) => demo::run(&args),
    };
    let code = match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Ran(text)) if text.is_empty() => ExitCode::from(1),
        Err(Failure::Ran(text)) => complain(&text, 1),
        Err(Failure::Usage(text)) => complain(&text, 2),
    };
    if let Some(console) = CONSOLE.get() {
        console.flush(CONSOLE_PATIENCE);
    }
    code
}

fn complain(text: &str, code: u8) -> ExitCode {
    talk(format_args!("authtap: {text}"));
    ExitCode::from(code)
}

/// The console that the running tap's traces go through; what authtap says itself keeps its place among them.
static CONSOLE: OnceLock<Console> = OnceLock::new();

/// So long stderr may take for what still waits when all else is done.
const CONSOLE_PATIENCE: Duration = Duration::from_secs(2);

/// So long stderr may take for the last line of a process that somebody wants to end now.
const LAST_LINE_PATIENCE: Duration = Duration::from_millis(200);

/// Ends the process without waiting for anything: not for a sink, a look-up, or a stderr that nobody reads.
fn end_now(text: &str) -> ! {
    talk(format_args!("authtap: {text}"));
    if let Some(console) = CONSOLE.get() {
        console.flush(LAST_LINE_PATIENCE);
    }
    std::process::exit(1)
}

/// A panic's words go the same way as all others: printed directly, they would hold up the thread that failed (of the
/// relay, of the observer) for as long as nobody reads stderr.
fn panics_through(console: &Console) {
    let console = console.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let trace = std::backtrace::Backtrace::capture();
        console.line(format!("authtap failed: {panic}\n{trace}\n").as_bytes());
    }));
}

/// A line to stderr. A stderr that is gone, or stuck, is no reason to stop.
fn talk(line: impl Display) {
    // Names of files and values of options go into it, and may hold anything.
    let line = clean(&line.to_string());
    match CONSOLE.get() {
        Some(console) => console.line(format!("{line}\n").as_bytes()),
        None => drop(writeln!(std::io::stderr().lock(), "{line}")),
    }
}

/// Text to stdout; a reader that went away (`| head`) ends it quietly.
fn output(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::ran(format_args!("cannot write: {e}"))),
        _ => Ok(()),
    }
}

/// The runtime of what is not the data path: accepting, signals, start and stop. The relay has threads of its own.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::ran(format_args!("cannot start the runtime: {e}")))
}
