//! authtap itself, run as a user runs it: the program, its options, its capture, its report.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::packets::{FromPackets, Links};
use crate::parts;
use crate::process::{Process, command, run};
use crate::rig::Rig;

const PROGRAM: &str = env!("CARGO_BIN_EXE_authtap");

/// A running authtap.
pub(crate) struct Authtap {
    process: Process,
    pub(crate) port: u16,
    upstream: u16,
    capture: PathBuf,
    /// The same traffic by tcpdump, from authtap's start to its end.
    links: Arc<Links>,
    reading: Reading,
}

impl Authtap {
    /// Puts authtap in front of `upstream`; with TLS, with the site's own certificate as the documentation asks for.
    pub(crate) fn start(rig: &Rig, upstream: u16) -> Self {
        Self::start_with("capture", rig, upstream, &[])
    }

    /// The same for one of several authtaps of a rig; `name` is that of its capture file.
    pub(crate) fn start_as(name: &str, rig: &Rig, upstream: u16) -> Self {
        Self::start_with(name, rig, upstream, &[])
    }

    /// The same with more options.
    pub(crate) fn start_with(name: &str, rig: &Rig, upstream: u16, options: &[&str]) -> Self {
        let capture = rig.path(&format!("{name}.jsonl"));
        let mut command = command(PROGRAM);
        command.args([
            "run",
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            &format!("{}://127.0.0.1:{upstream}", rig.transport.scheme()),
        ]);
        command.arg("--capture").arg(&capture);
        if rig.tls() {
            command
                .arg("--tls-cert")
                .arg(rig.certificate())
                .arg("--tls-key")
                .arg(rig.key())
                .arg("--upstream-ca")
                .arg(rig.authority());
        }
        command.args(options);
        let mut process = Process::spawn("authtap", command);
        let listens = |line: &str| loopback_ports(line).find(|port| *port != upstream);
        let line = process.stderr.wait_for("authtap", |line| listens(line).is_some());
        let port = listens(&line).unwrap();
        parts::serves(port, "authtap", &[upstream]);
        let links = Links::start(rig.path(name), port);
        let trusted = options.windows(2).filter(|pair| pair[0] == "--trusted-proxy").map(|pair| pair[1].to_owned());
        let reading = Reading { keys: rig.tls().then(|| rig.keys()), trusted: trusted.collect() };
        Self { process, port, upstream, capture, links, reading }
    }

    /// Ends it with Ctrl-C, as a user does, and gives what it found.
    pub(crate) fn stop(self) -> Diagnosis {
        let ended = self.process.stop("INT");
        assert!(ended.status.success(), "authtap ended with {}:\n{}", ended.status, ended.stderr);
        let report = report(&self.capture, &Reading::default());
        let events = fs::read_to_string(&self.capture).unwrap();
        let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let from_packets = self.links.diagnose(self.port, self.upstream, &self.reading, &events);
        Diagnosis { summary: ended.stdout + &ended.stderr, report, events, from_packets, way: parts::way(self.port) }
    }
}

/// What `report` is told of a capture of packets.
#[derive(Clone, Default)]
pub(crate) struct Reading {
    /// The TLS secrets.
    pub(crate) keys: Option<PathBuf>,
    /// `--trusted-proxy`, as authtap had it.
    pub(crate) trusted: Vec<String>,
}

/// `authtap report` on a capture, its own or one of packets.
pub(crate) fn report(capture: &Path, reading: &Reading) -> Value {
    let mut command = command(PROGRAM);
    command.arg("report").arg(capture).args(["--format", "json"]);
    if let Some(keys) = &reading.keys {
        command.arg("--keylog").arg(keys);
    }
    for proxy in &reading.trusted {
        command.args(["--trusted-proxy", proxy]);
    }
    let report = run("authtap report", command).stdout;
    serde_json::from_str(&report).unwrap_or_else(|error| panic!("the report is not JSON ({error}):\n{report}"))
}

/// The ports of all `127.0.0.1:PORT`s in a line.
pub(crate) fn loopback_ports(line: &str) -> impl Iterator<Item = u16> + '_ {
    line.split("127.0.0.1:").skip(1).filter_map(|rest| {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse().ok()
    })
}

/// What authtap made of a run.
pub(crate) struct Diagnosis {
    /// What it printed to the person who ran it.
    pub(crate) summary: String,
    /// `report --format json`.
    pub(crate) report: Value,
    /// The capture file's lines.
    pub(crate) events: Vec<Value>,
    /// The same reports from the packets of the run.
    pub(crate) from_packets: FromPackets,
    /// The parts of the run, from the client to the server.
    pub(crate) way: String,
}

impl Diagnosis {
    /// The slugs of what it found.
    pub(crate) fn found(&self) -> BTreeSet<&str> {
        self.findings().iter().map(|finding| finding["slug"].as_str().unwrap()).collect()
    }

    pub(crate) fn finding(&self, slug: &str) -> &Value {
        let found = self.findings().iter().find(|finding| finding["slug"] == slug);
        found.unwrap_or_else(|| panic!("{slug} was not found; the report:\n{:#}", self.report))
    }

    pub(crate) fn findings(&self) -> &Vec<Value> {
        self.report["findings"].as_array().unwrap_or_else(|| panic!("no findings in the report:\n{:#}", self.report))
    }

    /// How many handshakes ended so.
    pub(crate) fn handshakes(&self, outcome: &str) -> u64 {
        self.report["handshakes"][outcome]
            .as_u64()
            .unwrap_or_else(|| panic!("no handshakes.{outcome} in the report:\n{:#}", self.report))
    }

    /// authtap's number of the connection that the server saw as `peer`.
    pub(crate) fn connection(&self, peer: &str) -> u64 {
        let opened =
            self.events.iter().find(|event| event["type"] == "connection_open" && event["upstream_local"] == peer);
        opened
            .and_then(|event| event["connection"].as_u64())
            .unwrap_or_else(|| panic!("no connection_open has upstream_local {peer}"))
    }

    /// Nothing wrong was found, every handshake held together, and authtap says so.
    pub(crate) fn assert_healthy(&self) {
        assert_eq!(self.found(), BTreeSet::new(), "a healthy logon was called broken; the report:\n{:#}", self.report);
        assert_eq!(
            self.report["pairing"]["verified"], true,
            "whole handshakes were not vouched for; the report:\n{:#}",
            self.report
        );
        assert!(self.handshakes("authenticated") >= 1, "the logon was not seen; the report:\n{:#}", self.report);
        for outcome in ["rejected", "broken", "abandoned"] {
            assert_eq!(self.handshakes(outcome), 0, "a handshake counts as {outcome}; the report:\n{:#}", self.report);
        }
        self.from_packets.assert_healthy(&self.report);
    }
}
