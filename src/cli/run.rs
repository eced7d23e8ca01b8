//! `authtap run`: the proxy.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ValueEnum;

use super::{Failure, runtime, talk};
use crate::app::{AppError, Tap};
use crate::config::{self, Config, Origin, file, resolve};
use crate::report::terminal;
use crate::sink::trace::{Colours, LogFormat};

/// Options of `run`. They go before what the file says.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  authtap run --listen 0.0.0.0:8080 --upstream http://localhost:80 --capture authtap.jsonl
  authtap run --listen 0.0.0.0:8443 --upstream https://iis.example.test \\
      --tls-cert site.pem --tls-key site.key --capture authtap.jsonl
  authtap run --config authtap.toml

Stop it with Ctrl-C: it lets open connections finish, and prints a summary.
Then `authtap report authtap.jsonl` says it all again, with the evidence.")]
pub struct Args {
    /// Address and port to listen on; port 0 lets the system choose
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// The site behind.
    #[arg(long, value_name = "URL", help = "The site behind: http://host[:port] or https://host[:port]")]
    upstream: Option<String>,
    /// Write what was seen to this file (JSON Lines, mode 0600)
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// Write what was seen as packets that Wireshark opens: inside TLS, redacted (mode 0600; FILE must not exist)
    #[arg(long, value_name = "FILE")]
    pcapng: Option<PathBuf>,
    /// Read settings, and several sites, from this file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Serve TLS with this PEM certificate chain: the server's own, so that Extended Protection keeps working
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's PEM key
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Verify the upstream with these PEM roots instead of the platform's
    #[arg(long, value_name = "FILE")]
    upstream_ca: Option<PathBuf>,
    /// Refuse an upstream certificate that does not verify, or forward all the same and record it
    #[arg(long, value_name = "HOW")]
    upstream_verify: Option<VerifyArg>,
    /// With TLS on both sides: let client and upstream agree on HTTP/2 or HTTP/1.1 as they would, or offer HTTP/1.1 alone
    #[arg(long, value_name = "WHAT")]
    alpn: Option<AlpnArg>,
    /// What the captures keep
    #[arg(long, value_name = "WHAT")]
    record: Option<RecordArg>,
    /// Format of the traces on stderr
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogArg>,
    /// How long open connections may go on after a stop, such as 10s
    #[arg(long, value_name = "TIME")]
    grace: Option<String>,
    /// A peer whose X-Forwarded-For is believed: an address or a range such as 10.0.0.0/8 (may be repeated)
    #[arg(long = "trusted-proxy", value_name = "CIDR")]
    trusted_proxies: Vec<String>,
    /// Several taps agree on fingerprints when they are given the same file: at least 16 secret bytes
    #[arg(long, value_name = "FILE")]
    fingerprint_key: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum VerifyArg {
    Require,
    Record,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AlpnArg {
    Mirror,
    Http1,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RecordArg {
    Handshakes,
    All,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogArg {
    Text,
    Json,
}

/// Runs until it is told to stop.
pub fn run(args: Args) -> Result<(), Failure> {
    let config = settings(args)?;
    let format = match config.log_format {
        resolve::LogFormat::Text => LogFormat::Text,
        resolve::LogFormat::Json => LogFormat::Json,
    };
    let console = crate::sink::trace::init(format, Colours::Auto, std::env::var("AUTHTAP_LOG").ok().as_deref())
        .map_err(Failure::usage)?;
    super::panics_through(&console);
    // Only a second console would find the place taken, and `init` makes one a process.
    let _ = super::CONSOLE.set(console);
    runtime()?.block_on(serve(&config))
}

async fn serve(config: &Config) -> Result<(), Failure> {
    // Installed first: a signal that comes while authtap starts must not be lost.
    let mut stop = Stop::new().map_err(|e| Failure::ran(format_args!("cannot listen for signals: {e}")))?;
    let tap = Tap::start(config, Vec::new()).await.map_err(|e| match e {
        AppError::Observer(_) => Failure::ran(e),
        // A file that is not there or does not fit, and an address that cannot be had, are the operator's to mend.
        e => Failure::usage(e),
    })?;
    for (address, site) in tap.addresses().iter().zip(&config.sites) {
        talk(format_args!("{}", greeting(*address, site, config)));
    }
    for (check, says) in &tap.start.self_checks {
        talk(format_args!("authtap: {check}: {says}"));
    }
    stop.wait().await;
    let open = tap.connections();
    if open > 0 {
        talk(format_args!(
            "authtap stops; {open} open connections may finish for {} s (a second signal cuts them)",
            config.relay.grace.as_secs()
        ));
    }
    tokio::select! {
        view = tap.stop() => {
            talk(terminal::summary(&view));
            if let Some(c) = &config.capture {
                talk(format_args!("The capture is {0}; `authtap report {0}` shows the evidence.", c.file.display()));
            }
            Ok(())
        }
        // Not by the way of an error: leaving the runtime waits for the observer, and that for its sinks.
        () = stop.wait() => super::end_now("stopped at once by a second signal; the capture's end may be missing"),
    }
}

/// One line: where it listens, and what it does to the traffic.
fn greeting(address: SocketAddr, site: &resolve::Site, config: &Config) -> String {
    let inside = match (&site.tls, site.upstream.tls) {
        (None, false) => "every byte unchanged",
        (Some(_), true) => "TLS ended and begun anew, every byte inside unchanged",
        (Some(_), false) => "TLS ended, every byte inside unchanged",
        (None, true) => "TLS begun, every byte inside unchanged",
    };
    let capture = config.capture.as_ref().map_or_else(|| "no capture".to_owned(), |c| c.file.display().to_string());
    format!("authtap listens on {address} and forwards to {}: {inside}; capture: {capture}", site.upstream)
}

/// The file's settings with the command line's over them, checked.
fn settings(args: Args) -> Result<Config, Failure> {
    let origin = Origin { file: args.config.clone() };
    let mut wanted = match &args.config {
        Some(path) => config::resolve::read(path).map_err(Failure::usage)?,
        None => file::File::default(),
    };
    match (args.listen, args.upstream) {
        (Some(listen), Some(upstream)) => {
            wanted.site = vec![file::Site {
                listen,
                upstream,
                tls_cert: args.tls_cert,
                tls_key: args.tls_key,
                upstream_ca: args.upstream_ca,
                upstream_verify: args.upstream_verify.as_ref().map(name),
                alpn: args.alpn.as_ref().map(name),
            }];
        }
        (None, None) => {
            let given = [
                ("--tls-cert", args.tls_cert.is_some()),
                ("--tls-key", args.tls_key.is_some()),
                ("--upstream-ca", args.upstream_ca.is_some()),
                ("--upstream-verify", args.upstream_verify.is_some()),
                ("--alpn", args.alpn.is_some()),
            ];
            if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
                return Err(Failure::usage(format_args!(
                    "{option}: it goes with --listen and --upstream; sites of a file have their own tls keys"
                )));
            }
        }
        (None, Some(_)) => {
            return Err(Failure::usage("--listen: it is needed with --upstream, for example --listen 0.0.0.0:8080"));
        }
        (Some(_), None) => {
            return Err(Failure::usage(
                "--upstream: it is needed with --listen, for example --upstream http://localhost:80",
            ));
        }
    }
    if let Some(file) = args.capture {
        wanted.capture.file = Some(file);
    }
    if let Some(file) = args.pcapng {
        wanted.capture.pcapng = Some(file);
    }
    if let Some(record) = args.record {
        wanted.capture.record = Some(name(&record));
    }
    if let Some(format) = args.log_format {
        wanted.log.format = Some(name(&format));
    }
    if let Some(grace) = args.grace {
        wanted.relay.grace = Some(grace);
    }
    if !args.trusted_proxies.is_empty() {
        wanted.observe.trusted_proxies = Some(args.trusted_proxies);
    }
    if args.fingerprint_key.is_some() {
        wanted.observe.fingerprint_key = None;
    }
    let mut config = resolve::resolve(&wanted, &origin).map_err(Failure::usage)?;
    if let Some(path) = &args.fingerprint_key {
        config.observe.fingerprint_key = Some(config::key::read(path, "--fingerprint-key").map_err(Failure::usage)?);
    }
    Ok(config)
}

fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
}

/// The signals that stop it.
struct Stop {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    #[cfg(unix)]
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    #[cfg(not(unix))]
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(unix)]
    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn wait(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
