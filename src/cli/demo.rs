//! `authtap demo`: the main job, on a simulated IIS.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::{Failure, output, runtime};
use crate::app::Tap;
use crate::config::{Origin, file, resolve};
use crate::model::event::{Event, Handshake, Outcome, What};
use crate::model::finding::Finding;
use crate::net::Clock;
use crate::report::terminal;
use crate::report::text::wrap;
use crate::sim::iis::Iis;
use crate::sim::iis::settings::{Clock as SimClock, Settings};
use crate::sim::scenario::{DEMO, Scenario};
use crate::sink::Sink;

const WIDTH: usize = 80;

/// Options of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  authtap demo
  authtap demo --capture demo.jsonl && authtap report demo.jsonl")]
pub struct Args {
    /// Leave the capture here; one that is there already is set aside
    #[arg(long, value_name = "FILE", default_value = "authtap-demo.jsonl")]
    capture: PathBuf,
}

/// Plays the stories and explains them.
pub fn run(args: &Args) -> Result<(), Failure> {
    runtime()?.block_on(play(args))
}

async fn play(args: &Args) -> Result<(), Failure> {
    let clock = Clock::start();
    let settings = Settings { clock: SimClock::new(move || clock.now()), ..Settings::default() };
    let iis = Iis::start(settings).await.map_err(|e| cannot("start the simulated IIS", &e))?;
    let seen = Seen::default();
    let tap = start(args, iis.address(), &seen).await?;
    output(&introduction(&tap, iis.address()))?;
    let mut logged = 0;
    for (number, story) in DEMO.iter().enumerate() {
        let outcome = story.run(tap.addresses()[0]).await.map_err(|e| cannot("play a story", &e))?;
        seen.all_closed(tap.feed().connections()).await;
        let log = iis.log();
        let lines: Vec<String> = log.iter().skip(logged).map(ToString::to_string).collect();
        logged = log.len();
        output(&chapter(number + 1, story, &outcome.lines, &lines, &seen.take()))?;
    }
    let view = tap.stop().await;
    iis.stop().await;
    let mut text = rule("In all: what authtap says at the end of a watch");
    text.push_str(&terminal::summary(&view));
    text.push('\n');
    paragraph(
        &mut text,
        &format!(
            "Every line above comes from the capture {0}. Read it again, with the evidence and what to change:",
            args.capture.display()
        ),
    );
    let _ = writeln!(text, "\n  authtap report {}", args.capture.display());
    output(&text)
}

async fn start(args: &Args, iis: SocketAddr, seen: &Seen) -> Result<Tap, Failure> {
    let wanted = file::File {
        site: vec![file::Site {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            upstream: format!("http://{iis}"),
            tls_cert: None,
            tls_key: None,
            upstream_ca: None,
            upstream_verify: None,
            alpn: None,
        }],
        capture: file::Capture { file: Some(args.capture.clone()), ..file::Capture::default() },
        observe: file::Observe {
            // The balancer of the stories is at this address, and its X-Forwarded-For is true.
            trusted_proxies: Some(vec!["127.0.0.1".to_owned()]),
            ..file::Observe::default()
        },
        ..file::File::default()
    };
    let config = resolve::resolve(&wanted, &Origin::default()).map_err(Failure::usage)?;
    Tap::start(&config, vec![Box::new(seen.clone())]).await.map_err(Failure::usage)
}

fn cannot(what: &str, error: &std::io::Error) -> Failure {
    Failure::ran(format_args!("cannot {what}: {error}"))
}

/// What the observer told since the last story.
#[derive(Debug, Default)]
struct Told {
    handshakes: Vec<Handshake>,
    findings: Vec<Finding>,
}

/// A sink that keeps handshakes and findings, and counts the connections that ended.
#[derive(Debug, Clone)]
struct Seen {
    told: Arc<Mutex<Told>>,
    closed: watch::Sender<u64>,
}

impl Default for Seen {
    fn default() -> Self {
        Self { told: Arc::default(), closed: watch::Sender::new(0) }
    }
}

impl Seen {
    /// Waits until so many connections have ended and all that follows from them is told.
    async fn all_closed(&self, connections: u64) {
        // The sender is in `self`, so this cannot fail.
        let _ = self.closed.subscribe().wait_for(|closed| *closed >= connections).await;
    }

    fn take(&self) -> Told {
        std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sink for Seen {
    fn name(&self) -> &'static str {
        "demo"
    }

    fn write(&mut self, event: &Event) -> Result<(), String> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match &event.what {
            What::Handshake(h) => told.handshakes.push((**h).clone()),
            What::Finding(f) => told.findings.push((**f).clone()),
            What::ConnectionClose(_) => self.closed.send_modify(|n| *n += 1),
            _ => {}
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), String> {
        Ok(())
    }
}

fn introduction(tap: &Tap, iis: SocketAddr) -> String {
    let mut text = rule("authtap demo");
    let here = tap.addresses().first().map(ToString::to_string).unwrap_or_default();
    paragraph(
        &mut text,
        &format!(
            "A simulated IIS listens on {iis} with Windows authentication (Negotiate, NTLM). authtap stands in front of \
             it on {here}, as it would stand in front of yours; it forwards every byte and watches. In two of the four \
             stories a load balancer stands before authtap and does what many do by default: it pools its connections."
        ),
    );
    text.push_str("\n  alice, bob, carol  ->  [ load balancer ]  ->  authtap  ->  IIS\n\n");
    paragraph(
        &mut text,
        "An NTLM logon takes three messages: NEGOTIATE, CHALLENGE, AUTHENTICATE. They belong to one connection. That is \
         why a healthy logon shows two 401s, and why a pool can break it with the right password.",
    );
    text
}

fn chapter(number: usize, story: &Scenario, happened: &[String], log: &[String], told: &Told) -> String {
    let mut text = rule(&format!("{number}. {}", story.title));
    text.push_str("What the clients did and got:\n");
    for line in happened {
        wrap(&mut text, line, WIDTH, "  ", "    ");
    }
    text.push_str("\nWhat IIS would log (method, path, user, status, substatus, win32 status):\n");
    for line in log {
        let _ = writeln!(text, "  {line}");
    }
    text.push_str("\nWhat authtap says:\n");
    let good = told.handshakes.iter().filter(|h| h.outcome == Outcome::Authenticated).count();
    if told.findings.is_empty() {
        let line = format!(
            "Nothing is wrong: {good} {} on one connection.",
            if good == 1 { "handshake came whole," } else { "handshakes came whole, each" }
        );
        wrap(&mut text, &line, WIDTH, "  ", "  ");
    }
    for finding in &told.findings {
        let head =
            format!("[{}, {}] {} ({})", finding.severity.name(), finding.basis.name(), finding.title, finding.slug);
        wrap(&mut text, &head, WIDTH, "  ", "  ");
        wrap(&mut text, &finding.summary, WIDTH, "    ", "    ");
        for piece in &finding.evidence {
            let place = match (piece.connection, piece.exchange) {
                (Some(c), Some(e)) => format!("connection {c}, exchange {e}: "),
                (Some(c), None) => format!("connection {c}: "),
                _ => String::new(),
            };
            let mark = if piece.primary { "proof: " } else { "also:  " };
            wrap(&mut text, &format!("{mark}{place}{}", piece.says), WIDTH, "    ", "           ");
        }
    }
    text
}

fn rule(title: &str) -> String {
    format!("\n{title}\n{}\n\n", "=".repeat(title.chars().count().min(WIDTH)))
}

fn paragraph(text: &mut String, words: &str) {
    wrap(text, words, WIDTH, "", "");
}
