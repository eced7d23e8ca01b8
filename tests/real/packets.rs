//! The same run from its packets: what `authtap report` makes of a capture that tcpdump took meanwhile.
//!
//! Two views are compared with what authtap told live. The *link* is the one in front of authtap alone, which is what authtap
//! saw. *All* is every link of the scenario: authtap itself is then a hop that is seen from both sides, and so are the hops
//! before and behind it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::authtap::{Reading, report};
use crate::parts;
use crate::process::{command, run};
use crate::soak::worries;
use crate::tcpdump::{Tcpdump, only};
use crate::tshark::{ntlm, requests};

/// The parts that write their TLS secrets into the file that `SSLKEYLOGFILE` names. Java, nginx and HAProxy do not.
const TELLS_KEYS: [&str; 11] = [
    "curl",
    "requests-ntlm",
    "requests-gssapi",
    "requests",
    "pyspnego",
    "Chromium",
    "relay",
    "NTLM server",
    "Apache",
    "openssl s_server",
    "Negotiate server",
];

/// The captures of one run: tcpdump for what stood when authtap started, and one more for each hop put in front of it later.
pub(crate) struct Links {
    stem: PathBuf,
    running: Mutex<Vec<Tcpdump>>,
}

impl Links {
    /// Captures what comes to authtap on `listen`, and all links behind it. Files begin with `stem`.
    pub(crate) fn start(stem: PathBuf, listen: u16) -> Arc<Self> {
        let links = Arc::new(Self { stem, running: Mutex::default() });
        links.watch(&parts::behind(listen).into_iter().collect::<Vec<_>>());
        parts::watched(listen, &Arc::downgrade(&links));
        links
    }

    /// Captures these ports too.
    pub(crate) fn watch(&self, ports: &[u16]) {
        let mut running = self.running.lock().unwrap();
        let file = self.file(&format!("part{}", running.len()));
        running.push(Tcpdump::start(file, ports));
    }

    fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("{}.{name}.pcap", self.stem.display()))
    }

    /// Ends the captures, and makes one file of them.
    fn stop(&self) -> PathBuf {
        let mut parts: Vec<PathBuf> = self.running.lock().unwrap().drain(..).map(Tcpdump::stop).collect();
        if parts.len() > 1 {
            let merged = self.file("merged");
            let mut mergecap = command("mergecap");
            mergecap.args(["-F", "pcap", "-w"]).arg(&merged).args(&parts);
            run("mergecap", mergecap);
            for part in &parts {
                fs::remove_file(part).unwrap();
            }
            parts = vec![merged];
        }
        let all = only(&parts[0], None, &[], self.file("all"));
        fs::remove_file(&parts[0]).unwrap();
        all
    }

    /// Ends the captures, and has them diagnosed.
    /// `events` are authtap's own of the same run.
    pub(crate) fn diagnose(&self, listen: u16, upstream: u16, reading: &Reading, events: &[Value]) -> FromPackets {
        let all = self.stop();
        // Each connection of a client is one to the server, so where the keys of the link in front are not to be had, the
        // link behind tells the same.
        let tells = |parts: Vec<&str>| reading.keys.is_none() || parts.iter().all(|part| TELLS_KEYS.contains(part));
        let in_front = tells(parts::before(listen).into_iter().collect());
        let behind = !in_front && tells(parts::at(upstream).into_iter().collect());
        let readable = in_front || behind;
        let port = if behind { upstream } else { listen };
        // Others may ask the server meanwhile, authtap's self-checks among them.
        let clients: Vec<u16> =
            if behind { connections(events, behind).map(|(port, _)| port).collect() } else { Vec::new() };
        let link_file = only(&all, Some(port), &clients, self.file("link"));
        let (link, of_all) = (report(&link_file, reading), report(&all, reading));
        let keys = reading.keys.clone();
        FromPackets { link, all: of_all, files: [link_file, all], port, behind, keys, readable }
    }
}

/// The port that each of authtap's connections comes from, before or behind authtap, and its number.
fn connections(events: &[Value], behind: bool) -> impl Iterator<Item = (u16, u64)> {
    let opened = events.iter().filter(|event| event["type"] == "connection_open");
    opened.filter_map(move |opened| {
        let from = opened[if behind { "upstream_local" } else { "client" }].as_str()?;
        Some((from.rsplit(':').next()?.parse().ok()?, opened["connection"].as_u64()?))
    })
}

/// What `authtap report` makes of the packets.
pub(crate) struct FromPackets {
    /// From the link alone.
    pub(crate) link: Value,
    /// From all links.
    pub(crate) all: Value,
    /// The captures of the link and of all links.
    pub(crate) files: [PathBuf; 2],
    /// Where the link's connections go to.
    port: u16,
    /// The link is the one behind authtap.
    behind: bool,
    keys: Option<PathBuf>,
    /// Whether the link could be opened, where it is TLS.
    pub(crate) readable: bool,
}

impl FromPackets {
    /// The link tells as many requests and logons as authtap did live, and neither capture anything to worry about.
    pub(crate) fn assert_healthy(&self, live: &Value) {
        for report in [&self.link, &self.all] {
            assert_eq!(worries(report).count(), 0, "packets of a healthy logon were called broken: {report:#}");
        }
        assert!(self.readable, "nobody tells the keys of this link");
        let of =
            |report: &Value| [&report["connections"], &report["exchanges"], &report["handshakes"]].map(Clone::clone);
        assert_eq!(of(&self.link), of(live), "{:#}", self.link);
    }

    /// The frames that a finding of the link names hold the messages of NTLM that it says, in tshark's eyes.
    pub(crate) fn assert_frames(&self, slug: &str) {
        let found = self.link["findings"].as_array().unwrap().iter().find(|f| f["slug"] == slug);
        let evidence = found.unwrap_or_else(|| panic!("no {slug} in {:#}", self.link))["evidence"].as_array().unwrap();
        let seen = ntlm(&self.files[0], &[self.port], self.keys.as_deref());
        let messages = ["NEGOTIATE", "CHALLENGE", "AUTHENTICATE"];
        let named: Vec<_> = evidence.iter().filter(|e| messages.iter().any(|m| e["message"] == *m)).collect();
        assert!(named.len() >= 2, "{evidence:#?}");
        for piece in named {
            let frame = piece["frame"].as_u64().unwrap_or_else(|| panic!("no frame: {piece:#}"));
            assert_eq!(Some(&piece["message"]), seen.get(&frame).map(|m| Value::from(*m)).as_ref(), "{piece:#}");
        }
    }

    /// The number that each connection of the live capture has in that of the link: they are numbered by their first requests,
    /// and of clients that come at once another one may have been accepted first.
    pub(crate) fn numbers(&self, events: &[Value]) -> BTreeMap<u64, u64> {
        let mut order: Vec<u16> = Vec::new();
        for (from, _) in requests(&self.files[0], &[self.port], self.keys.as_deref()) {
            if !order.contains(&from) {
                order.push(from);
            }
        }
        let places = connections(events, self.behind).filter_map(|(port, number)| {
            let place = order.iter().position(|from| *from == port)?;
            Some((number, place as u64 + 1))
        });
        places.collect()
    }
}
