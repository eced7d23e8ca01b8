//! What a report says of packet captures: how much was in them, what stayed closed, where they are damaged, and how their
//! packets are found in Wireshark.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::text::counted;
use crate::model::finding::Evidence;
use crate::model::frame::Frame;
use crate::packet::diagnose::{Facts, FileFacts};
use crate::packet::sides::HopFacts;

/// So many frames a display filter names.
const MOST_FRAMES: usize = 24;

/// So many servers behind a hop are named.
const MOST_NAMED: usize = 4;

/// One sentence for each file.
pub fn heads(facts: &Facts) -> Vec<String> {
    let head = |f: &FileFacts| format!("packet capture {}: {}", f.name, counted(f.packets, "packet", "packets"));
    facts.files.iter().map(head).collect()
}

/// What the captures hold besides the connections that were followed.
pub fn seen(facts: &Facts) -> Vec<String> {
    let c = &facts.connections;
    let mut lines = Vec::new();
    lines.extend(facts.sides.hops.iter().map(hop));
    if facts.sides.settled_early {
        lines.push(
            "So much was told that which connections stand before a hop was settled by the first part of it."
                .to_owned(),
        );
    }
    for (one, other) in &facts.sides.contradictions {
        lines.push(format!(
            "Later traffic says that {one} and {other} stand in front of each other otherwise than was taken: what is \
             told of their connections may be told twice, or not."
        ));
    }
    if c.twins > 0 {
        lines.push(format!(
            "{} in the capture twice, before and after an address was translated, and told once, under the address that \
             was seen first.",
            counted(c.twins, "connection is", "connections are")
        ));
    }
    if c.before > 0 {
        lines.push(format!(
            "{} began before the capture, or before packets that it lacks: what was agreed there before is not known.",
            counted(c.before, "connection", "connections")
        ));
    }
    if c.opened > 0 {
        lines.push(format!(
            "{} opened with the key log.",
            counted(c.opened, "TLS connection was", "TLS connections were")
        ));
    }
    for (why, count) in &c.closed {
        lines.push(format!(
            "{} closed: {why}. Nothing is said of what is inside.",
            counted(*count, "TLS connection stayed", "TLS connections stayed")
        ));
    }
    if !c.closed.is_empty() {
        lines.push(
            "TLS that was captured from its beginning opens with the secrets of its sessions: `--keylog FILE`, as clients write it that \
             SSLKEYLOGFILE is set for, or put into the capture with `editcap --inject-secrets tls,FILE`."
                .to_owned(),
        );
    }
    if c.other > 0 {
        lines.push(format!("{} not HTTP.", counted(c.other, "connection is", "connections are")));
    }
    if c.unknown > 0 {
        lines.push(format!(
            "{} no message that begins in the capture.",
            counted(c.unknown, "connection has", "connections have")
        ));
    }
    lines
}

/// Where a hop stands that both sides of are in the capture.
fn hop(hop: &HopFacts) -> String {
    let to: Vec<String> = hop.to.iter().take(MOST_NAMED).map(ToString::to_string).collect();
    let more = if hop.to.len() > MOST_NAMED { " and others" } else { "" };
    let clocks = if hop.clocks_differ { "; the clocks of the two captures differ" } else { "" };
    format!(
        "Both sides of {} are in the capture: what comes in there goes on to {}{more}{clocks}. Connections, requests \
         and handshakes of both are counted.",
        hop.at,
        to.join(", ")
    )
}

/// What is missing or damaged.
pub fn not_seen(facts: &Facts) -> Vec<String> {
    let mut lines: Vec<String> = facts
        .files
        .iter()
        .filter_map(|f| Some(format!("{} is {}. What came before it is reported.", f.name, f.damage.as_ref()?)))
        .collect();
    if facts.connections.one_sided > 0 {
        lines.push(format!(
            "{} in the capture with the packets of one direction only. Capture where both directions pass: a mirror port \
             may copy one, and routes may differ.",
            counted(facts.connections.one_sided, "connection is", "connections are")
        ));
    }
    if facts.connections.missing > 0 {
        lines.push(format!(
            "{} of connections that speak HTTP are missing from the capture. Capture with a full snap length \
             (`-s 0`) and a larger buffer (`-B`).",
            counted(facts.connections.missing, "byte", "bytes")
        ));
    }
    for (why, count) in &facts.unreadable {
        lines.push(format!("{} could not be read: {why}.", counted(*count, "packet", "packets")));
    }
    lines
}

/// `frame 117`, with the file when there are several. No thousands separators: Wireshark takes none.
pub fn frame(facts: &Facts, frame: Frame) -> String {
    match facts.files.get(usize::from(frame.file)) {
        Some(file) if facts.files.len() > 1 => format!("frame {} of {}", frame.number, file.name),
        _ => format!("frame {}", frame.number),
    }
}

/// The display filters that show the packets of some evidence, one for each file.
pub fn filters<'a>(facts: &Facts, evidence: impl Iterator<Item = &'a Evidence>) -> Vec<String> {
    let mut files: BTreeMap<u16, BTreeSet<u64>> = BTreeMap::new();
    for frame in evidence.filter_map(|e| e.frame) {
        files.entry(frame.file).or_default().insert(frame.number);
    }
    let filter = |(file, numbers): (&u16, &BTreeSet<u64>)| {
        let list: Vec<String> = numbers.iter().take(MOST_FRAMES).map(ToString::to_string).collect();
        let filter = match list.as_slice() {
            [only] => format!("frame.number == {only}"),
            several => format!("frame.number in {{{}}}", several.join(", ")),
        };
        match facts.files.get(usize::from(*file)) {
            Some(file) if facts.files.len() > 1 => format!("{filter} ({})", file.name),
            _ => filter,
        }
    };
    files.iter().map(filter).collect()
}

/// What was read of packet captures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct PacketFacts {
    /// The files.
    pub files: Vec<PacketFile>,
    /// Packets that are TCP segments.
    pub segments: u64,
    /// Packets that could not be read, by the reason.
    pub unreadable: BTreeMap<String, u64>,
    /// Connections that speak HTTP.
    pub http: u64,
    /// Of those, the ones that a key log opened.
    pub opened: u64,
    /// Of those, the ones whose beginning is not in the capture.
    pub begun_before: u64,
    /// TLS connections that stayed closed, by the reason.
    pub closed: BTreeMap<String, u64>,
    /// Connections that speak something else.
    pub other: u64,
    /// Connections of which no message begins in the capture.
    pub unknown: u64,
    /// Connections that are others under a translated address, and are told once.
    pub translated: u64,
    /// Connections that speak HTTP of which one direction was captured.
    pub one_sided: u64,
    /// Bytes of connections that speak HTTP which are missing.
    pub missing_bytes: u64,
    /// Hops that both sides of are in the captures.
    pub hops: Vec<Hop>,
}

/// A hop: what comes in at one address goes on to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct Hop {
    /// Where it listens.
    pub at: String,
    /// The servers behind it.
    pub to: Vec<String>,
    /// Its clock and theirs differ by more than a request takes.
    pub clocks_differ: bool,
}

/// One packet capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct PacketFile {
    /// Its name.
    pub name: String,
    /// Packets in it.
    pub packets: u64,
    /// Its first packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_at: Option<String>,
    /// Its last packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<String>,
    /// Why it could not be read to its end, and where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

impl From<&Facts> for PacketFacts {
    fn from(x: &Facts) -> Self {
        let c = &x.connections;
        Self {
            files: x.files.iter().map(Into::into).collect(),
            segments: x.segments,
            unreadable: x.unreadable.iter().map(|(why, n)| ((*why).to_owned(), *n)).collect(),
            http: c.http,
            opened: c.opened,
            begun_before: c.before,
            closed: c.closed.clone(),
            other: c.other,
            unknown: c.unknown,
            translated: c.twins,
            one_sided: c.one_sided,
            missing_bytes: c.missing,
            hops: x.sides.hops.iter().map(Into::into).collect(),
        }
    }
}

impl From<&FileFacts> for PacketFile {
    fn from(x: &FileFacts) -> Self {
        Self {
            name: x.name.clone(),
            packets: x.packets,
            first_at: x.period.map(|(first, _)| first.to_string()),
            last_at: x.period.map(|(_, last)| last.to_string()),
            damage: x.damage.as_ref().map(ToString::to_string),
        }
    }
}

impl From<&HopFacts> for Hop {
    fn from(x: &HopFacts) -> Self {
        Self {
            at: x.at.to_string(),
            to: x.to.iter().map(ToString::to_string).collect(),
            clocks_differ: x.clocks_differ,
        }
    }
}
