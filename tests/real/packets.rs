//! The same run from its packets: what `authtap report` makes of a capture that tcpdump took meanwhile.
//!
//! Two views are compared with what authtap told live. The *link* is the one in front of authtap alone, which is what authtap
//! saw. *All* is every link of the scenario: authtap itself is then a hop that is seen from both sides, and so are the hops
//! before and behind it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::authtap::report;
use crate::parts;
use crate::process::{command, run};
use crate::tcpdump::{Tcpdump, begun, only};

/// `authtap report` reads packet captures.
const READS_PACKETS: bool = false;

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
            parts.iter().for_each(|part| fs::remove_file(part).unwrap());
            parts = vec![merged];
        }
        let all = only(&parts[0], &[], self.file("all"));
        fs::remove_file(&parts[0]).unwrap();
        all
    }

    /// Ends the captures, and has them diagnosed; `keys` holds the TLS secrets, where there is TLS.
    pub(crate) fn diagnose(&self, listen: u16, upstream: u16, keys: Option<&Path>) -> FromPackets {
        let all = self.stop();
        // Each connection of a client is one to the server, so where the keys of the link in front are not to be had, the
        // link behind tells the same.
        let tells = |parts: Vec<&str>| keys.is_none() || parts.iter().all(|part| TELLS_KEYS.contains(part));
        let port = if tells(parts::before(listen).into_iter().collect()) {
            Some(listen)
        } else {
            tells(parts::at(upstream).into_iter().collect()).then_some(upstream)
        };
        let link_file = only(&all, &[port.unwrap_or(listen)], self.file("link"));
        let order = begun(&link_file, port.unwrap_or(listen));
        let numbers = order.into_iter().zip(1..).collect();
        let (port, readable) = (port.unwrap_or(listen), port.is_some());
        let read = |capture: &Path| if READS_PACKETS { report(capture, keys) } else { Value::Null };
        let (link, of_all) = (read(&link_file), read(&all));
        FromPackets { link, all: of_all, files: [link_file, all], numbers, behind: port != listen, readable }
    }
}

/// What `authtap report` makes of the packets.
pub(crate) struct FromPackets {
    /// From the link alone.
    pub(crate) link: Value,
    /// From all links.
    pub(crate) all: Value,
    /// The captures of the link and of all links.
    pub(crate) files: [PathBuf; 2],
    /// The number of each connection of the link, by the port that it came from.
    numbers: BTreeMap<u16, u64>,
    /// The link is the one behind authtap.
    behind: bool,
    /// Whether the link could be opened, where it is TLS.
    pub(crate) readable: bool,
}

impl FromPackets {
    /// For as long as `authtap report` reads no packets there is nothing to compare.
    pub(crate) fn read(&self) -> bool {
        READS_PACKETS
    }

    /// The number that a connection has in the link, by its `connection_open` of the live capture.
    pub(crate) fn number(&self, opened: &Value) -> u64 {
        let end = &opened[if self.behind { "upstream_local" } else { "client" }];
        let port = end.as_str().and_then(|end| end.rsplit(':').next()?.parse().ok());
        *port.and_then(|port: u16| self.numbers.get(&port)).unwrap_or_else(|| panic!("not in the capture: {opened:#}"))
    }
}
