//! The console: how `tracing` reaches stderr.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::lossy::Console;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Whether text has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colours {
    /// On a terminal, unless `NO_COLOR` is set to something.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colours {
    /// The decision for an output.
    pub fn on(self, is_terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            // https://no-color.org: present and not an empty string.
            Self::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        }
    }
}

/// The console could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The filter is not one.
    #[error("log filter {filter:?}: {why}")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong.
        why: String,
    },
    /// A thread cannot be made.
    #[error("cannot start the console: {0}")]
    Thread(#[source] io::Error),
    /// Somebody else did it before.
    #[error("the console is already set up")]
    Twice,
}

/// Sends this process's traces to stderr. `filter` is a level or a filter such as `authtap=debug`; `info` by default.
/// Whoever ends the process should [`flush`](Console::flush) the console that it returns.
pub fn init(format: LogFormat, colours: Colours, filter: Option<&str>) -> Result<Console, ConsoleError> {
    let colours = colours.on(io::stderr().is_terminal());
    let console = Console::start(io::stderr(), Box::new(move |n| missing(format, n))).map_err(ConsoleError::Thread)?;
    subscriber(format, colours, filter, console.clone())?.try_init().map_err(|_| ConsoleError::Twice)?;
    Ok(console)
}

/// The line that stands for lines that stderr did not take in time.
fn missing(format: LogFormat, lines: u64) -> String {
    let mut at = String::new();
    // Writing to a String cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut at));
    let text = format!("{lines} lines are missing here: stderr did not take them in time; a capture has all events");
    match format {
        LogFormat::Text => format!("{at}  WARN {text}\n"),
        LogFormat::Json => format!(
            "{{\"timestamp\":\"{at}\",\"level\":\"WARN\",\"message\":\"{text}\",\"authtap.console.dropped\":{lines}}}\n"
        ),
    }
}

/// What [`init`] sets up, with any writer.
pub fn subscriber<W>(
    format: LogFormat,
    colours: bool,
    filter: Option<&str>,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, ConsoleError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let text = filter.unwrap_or("info");
    let filter =
        EnvFilter::try_new(text).map_err(|e| ConsoleError::Filter { filter: text.to_owned(), why: e.to_string() })?;
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    Ok(match format {
        LogFormat::Text => Box::new(registry.with(layer.with_ansi(colours))),
        LogFormat::Json => {
            Box::new(registry.with(layer.json().flatten_event(true).with_current_span(true).with_span_list(false)))
        }
    })
}
