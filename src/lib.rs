//! authtap: a transparent reverse proxy in front of an IIS site that finds out why people get 401.
//!
//! # The map
//!
//! The pure core: no I/O, no clock, no runtime. Time comes in as an argument.
//!
//! - [`model`]: identities, times, events, evidence, findings.
//! - [`wire`]: passive framing: bytes become heads, body lengths and ends.
//! - [`token`]: header values become typed, redacted facts.
//! - [`iis`]: what IIS says in its own words: codes, error pages, log lines.
//! - [`track`]: exchanges become handshakes; links across connections.
//! - [`finding`]: the catalogue: what is wrong, and how authtap knows.
//! - [`packet`]: packet captures become the same observations as live traffic.
//! - [`report`]: what a report says, as text.
//!
//! The shell (feature `shell`): [`net`] relays, [`sink`] writes, [`config`] and [`cli`] speak with the operator,
//! [`check`] asks a server before authtap stands in front of it, [`sim`] plays IIS, [`app`] puts it together.
//!
//! # The import rule
//!
//! Left may use right:
//! `app, cli → check → net, admin, sink, sim, report, config → packet → finding → track → {wire, token, iis} → model`.
//! `docs/architecture.md` holds the table, and a test reads the imports against it.

pub mod finding;
pub mod iis;
pub mod model;
pub mod packet;
pub mod report;
pub mod token;
pub mod track;
pub mod wire;

#[cfg(feature = "shell")]
pub mod app;
#[cfg(feature = "shell")]
pub mod check;
#[cfg(feature = "shell")]
pub mod cli;
#[cfg(feature = "shell")]
pub mod config;
#[cfg(feature = "shell")]
pub mod net;
#[cfg(feature = "shell")]
pub mod sim;
#[cfg(feature = "shell")]
pub mod sink;
