//! `authtap report`: one diagnosis from any number of captures.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::ValueEnum;

use super::packets::Input;
use super::{Failure, logs, output, packets, talk};
use crate::model::TapId;
use crate::model::event::{Event, What};
use crate::model::finding::Severity;
use crate::report::join::Joined;
use crate::report::view::{Builder, View};
use crate::report::{terminal, v1};
use crate::sink::jsonl::reader::{ReadError, read};
use crate::sink::trace::Colours;

/// Options of `report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  authtap report authtap.jsonl
  authtap report node1.jsonl node2.jsonl --format json
  authtap report authtap.jsonl --iis-log u_ex*.log --iis-log httperr*.log
  authtap report site.pcapng --keylog keys.log
  authtap report authtap.jsonl --fail-on high && echo 'nothing serious'")]
pub struct Args {
    /// Captures of authtap (.jsonl) and of packets (.pcap, .pcapng), in any order; the rotated files of one capture may
    /// all be named
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Logs of IIS (u_ex*.log) and of HTTP.sys (httperr*.log) of the same time, or folders of them; named after FILE
    #[arg(long, value_name = "LOG", num_args = 1..)]
    iis_log: Vec<PathBuf>,
    /// Secrets that open TLS in packet captures, as browsers, curl and Python write them to SSLKEYLOGFILE
    #[arg(long, value_name = "FILE")]
    keylog: Vec<PathBuf>,
    /// Peers whose X-Forwarded-For is believed in packet captures, such as a load balancer's address
    #[arg(long = "trusted-proxy", value_name = "CIDR")]
    trusted_proxies: Vec<String>,
    /// Text for people, or JSON for programs
    #[arg(long, default_value = "text")]
    format: Format,
    /// Write it to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Exit with 1 when a finding is at least this severe
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<SeverityArg>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SeverityArg {
    Critical,
    High,
    Medium,
    Low,
    Info,
}

impl From<SeverityArg> for Severity {
    fn from(severity: SeverityArg) -> Self {
        match severity {
            SeverityArg::Critical => Self::Critical,
            SeverityArg::High => Self::High,
            SeverityArg::Medium => Self::Medium,
            SeverityArg::Low => Self::Low,
            SeverityArg::Info => Self::Info,
        }
    }
}

/// Reads, joins, and prints.
pub fn run(args: &Args) -> Result<(), Failure> {
    let view = view(args)?;
    let colours = args.out.is_none() && Colours::Auto.on(std::io::stdout().is_terminal());
    let text = match args.format {
        Format::Text => terminal::report(&view, colours),
        Format::Json => {
            let mut json = serde_json::to_string_pretty(&v1::Report::from(&view)).map_err(Failure::ran)?;
            json.push('\n');
            json
        }
    };
    match &args.out {
        None => output(&text)?,
        Some(path) => std::fs::write(path, text)
            .map_err(|e| Failure::usage(format_args!("--out: cannot write {}: {e}", path.display())))?,
    }
    match args.fail_on {
        Some(least) if view.worst().is_some_and(|w| w >= least.into()) => Err(Failure::Ran(String::new())),
        _ => Ok(()),
    }
}

/// Reads all files; what is wrong with one is told and, where nothing can be read of it, ends the command.
fn view(args: &Args) -> Result<View, Failure> {
    let mut taps: BTreeMap<TapId, Vec<Event>> = BTreeMap::new();
    // Before captures are read: a mistyped name is told at once.
    let logs = logs::expand(&args.iis_log)?;
    let keys = packets::keys(&args.keylog)?;
    let trusted = packets::trusted(&args.trusted_proxies)?;
    let mut captures = Vec::new();
    for path in &args.files {
        let file =
            File::open(path).map_err(|e| Failure::usage(format_args!("{}: cannot open it: {e}", path.display())))?;
        let file = match packets::recognise(path, file)? {
            Input::Packets(capture) => {
                captures.push(capture);
                continue;
            }
            Input::Events(file) => file,
        };
        let summary = read(file, |tap, event| taps.entry(tap).or_default().push(event)).map_err(|e| match e {
            ReadError::Foreign { .. } => {
                Failure::usage(format_args!("{}: {e}; nor is it a packet capture (pcap, pcapng)", path.display()))
            }
            other => Failure::usage(format_args!("{}: {other}", path.display())),
        })?;
        for remark in summary.remarks() {
            talk(format_args!("authtap: {}: {remark}", path.display()));
        }
    }
    let mut builder = Builder::default();
    let tap = TapId(packets::TAP.to_owned());
    // Packets may make any number of events: they are kept only where logs are to be joined with them.
    let packets = packets::read(captures, keys, trusted, |event| {
        if logs.is_empty() {
            builder.take(&tap, &event);
        } else {
            taps.entry(tap.clone()).or_default().push(event);
        }
    })?;
    let mut joined = if logs.is_empty() { None } else { Some(logs::join(&taps, &logs)?) };
    for (tap, events) in &mut taps {
        for event in events {
            if let (Some(joined), What::Finding(finding)) = (&mut joined, &mut event.what)
                && let Some(corrected) = joined.correct(tap, event.seq, finding)
            {
                **finding = corrected;
            }
            builder.take(tap, event);
        }
    }
    Ok(View { iis_log: joined.map(Joined::facts), packets, ..builder.view() })
}
