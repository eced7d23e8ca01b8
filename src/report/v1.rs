//! `report --format json`, version 1: these structs are the format. `docs/report-v1.schema.json` describes it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::join::v1::IisLogFacts;
use super::packets::PacketFacts;
use super::view::{Group, Outcomes, OwnAnswers, Tap, View};
use crate::model::finding::Evidence as Piece;
use crate::model::{ConnectionId, Stamp, TapId};

/// The format's version.
pub const VERSION: u32 = 1;

/// A report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct Report {
    /// Version of the format.
    #[cfg_attr(feature = "shell", schemars(extend("const" = 1)))]
    pub v: u32,
    /// The running authtaps whose captures were read.
    pub taps: Vec<TapFacts>,
    /// First event; absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_at: Option<String>,
    /// Last event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<String>,
    /// Client connections.
    pub connections: u64,
    /// Requests, the unrecorded ones included.
    pub exchanges: u64,
    /// Responses with status 401 among the recorded ones.
    pub refusals: u64,
    /// Distinct client addresses.
    pub clients: u64,
    /// Handshakes by outcome.
    pub handshakes: Counts,
    /// Handshakes by scheme and outcome.
    pub schemes: BTreeMap<String, Counts>,
    /// Findings, the worst first; each is followed by those that it explains, which name it as their `root`.
    pub findings: Vec<FindingFacts>,
    /// Whether handshakes stayed on their connections.
    pub pairing: PairingFacts,
    /// Clients that authtap itself answered, because the upstream could not be reached (502) or because authtap had no
    /// room (503).
    pub own_answers: Vec<OwnAnswerFacts>,
    /// What authtap did not see.
    pub unseen: Unseen,
    /// What IIS's logs said; absent when none was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iis_log: Option<IisLogFacts>,
    /// What was read of packet captures; absent when none was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<PacketFacts>,
}

/// A running authtap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct TapFacts {
    /// Its id.
    pub tap: String,
    /// Its version, when its start was captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where it listened.
    pub listen: Vec<String>,
    /// What it stood in front of.
    pub upstream: Vec<String>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it stopped; absent while it runs, or when it was killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<String>,
}

/// Handshakes by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct Counts {
    /// Accepted.
    pub authenticated: u64,
    /// Refused whole.
    pub rejected: u64,
    /// Not come together.
    pub broken: u64,
    /// Not gone on with by the client.
    pub abandoned: u64,
}

/// All cases of one finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct FindingFacts {
    /// The finding's name; `authtap explain SLUG` tells more.
    pub slug: String,
    /// How bad.
    #[cfg_attr(feature = "shell", schemars(extend("enum" = ["critical", "high", "medium", "low", "info"])))]
    pub severity: &'static str,
    /// How authtap knows.
    #[cfg_attr(feature = "shell", schemars(extend("enum" = ["observed", "inferred", "suspected"])))]
    pub basis: &'static str,
    /// Where the fault lies: `connections` (what is between clients and IIS mixes or cuts them), `intermediary` (a hop
    /// that changes messages), `server`, `permission`, `directory`, `client`, `credentials`, `authtap`, `other`.
    pub cause: &'static str,
    /// The slug of the finding that explains this one: mending that one mends this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The defect.
    pub title: String,
    /// How often.
    pub count: u64,
    /// The first case.
    pub first_at: String,
    /// The last case.
    pub last_at: String,
    /// Numbers of the connections concerned; with several taps, `places` tells them apart.
    pub connections: Vec<u64>,
    /// The same with their taps.
    pub places: Vec<Place>,
    /// One sentence with the facts of the clearest case.
    pub summary: String,
    /// The authentication scheme of that case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// What to change, and where.
    pub fix: String,
    /// That case's evidence, the primary one first, then the primary evidence of some other cases.
    pub evidence: Vec<EvidenceFacts>,
}

/// A connection of a tap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct Place {
    /// The tap.
    pub tap: String,
    /// The connection.
    pub connection: u64,
}

/// A place in the traffic, and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct EvidenceFacts {
    /// The one that proves the case.
    pub primary: bool,
    /// The tap that saw it.
    pub tap: String,
    /// The connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// The exchange on that connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<u32>,
    /// The message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The packet's number in a packet capture, as Wireshark shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<u64>,
    /// Which of `packets.files` the packet is in, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<u16>,
    /// Its own sentence.
    pub says: String,
}

/// Whether handshakes stayed on their connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct PairingFacts {
    /// Logons succeeded whole, and nothing speaks against it.
    pub verified: bool,
    /// Why not: `no-logon`, `broken-handshakes`, `findings`, `gaps`; empty when verified.
    pub because: Vec<&'static str>,
    /// NTLM handshakes that came as far as an answer.
    pub checked: u64,
    /// NTLM logons whose answer is proved to answer the challenge of its own connection.
    pub paired: u64,
    /// NTLM logons on one connection whose client left nothing to compare.
    pub unproved: u64,
    /// Answers that are proved to answer another connection's challenge.
    pub crossed: u64,
    /// Kerberos logons, each whole on one connection.
    pub kerberos: u64,
    /// Basic, Digest and bearer logons: nothing to pair.
    pub single: u64,
}

/// Clients that got an answer of authtap's own, and not the site's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct OwnAnswerFacts {
    /// The status code.
    pub status: u16,
    /// The error's name in `Proxy-Status` (RFC 9209).
    pub error: String,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first_at: String,
    /// Why, in the words of the first.
    pub says: String,
}

/// What authtap did not see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct Unseen {
    /// Gaps in all.
    pub gaps: u64,
    /// Connections that could not be followed to their end.
    pub blind_connections: u64,
    /// Observations dropped.
    pub dropped: u64,
    /// The first gaps.
    pub told: Vec<GapFacts>,
}

/// One gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub struct GapFacts {
    /// The tap.
    pub tap: String,
    /// The connection; absent when all may be concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// When.
    pub at: String,
    /// What was not seen.
    pub says: String,
}

/// The JSON Schema of [`Report`], as `docs/report-v1.schema.json` holds it.
#[cfg(feature = "shell")]
pub fn schema() -> Result<String, serde_json::Error> {
    let schema = schemars::generate::SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<Report>();
    serde_json::to_string_pretty(&schema).map(|text| text + "\n")
}

impl From<&View> for Report {
    fn from(x: &View) -> Self {
        let told = |(tap, connection, at, says): &(TapId, Option<ConnectionId>, Stamp, String)| GapFacts {
            tap: tap.0.clone(),
            connection: connection.map(|c| c.0),
            at: at.to_string(),
            says: says.clone(),
        };
        Self {
            v: VERSION,
            taps: x.taps.iter().map(Into::into).collect(),
            first_at: x.period.map(|(first, _)| first.to_string()),
            last_at: x.period.map(|(_, last)| last.to_string()),
            connections: x.connections,
            exchanges: x.exchanges,
            refusals: x.refusals,
            clients: x.clients,
            handshakes: x.handshakes.into(),
            schemes: x.schemes.iter().map(|(scheme, outcomes)| (scheme.clone(), (*outcomes).into())).collect(),
            findings: x.findings.iter().flat_map(|g| [g].into_iter().chain(&g.consequences)).map(Into::into).collect(),
            pairing: PairingFacts {
                verified: x.pairing.verified,
                because: x.pairing.because.clone(),
                checked: x.pairing.checked,
                paired: x.pairing.paired,
                unproved: x.pairing.unproved,
                crossed: x.pairing.crossed,
                kerberos: x.pairing.kerberos,
                single: x.pairing.single,
            },
            own_answers: x.own_answers.iter().map(Into::into).collect(),
            unseen: Unseen {
                gaps: x.blind.gaps,
                blind_connections: x.blind.connections,
                dropped: x.blind.dropped,
                told: x.blind.told.iter().map(told).collect(),
            },
            iis_log: x.iis_log.as_ref().map(Into::into),
            packets: x.packets.as_ref().map(Into::into),
        }
    }
}

impl From<&Tap> for TapFacts {
    fn from(x: &Tap) -> Self {
        let start = x.start.as_ref().map(|(_, start)| start);
        Self {
            tap: x.tap.0.clone(),
            version: start.map(|s| s.version.clone()),
            listen: start.map_or_else(Vec::new, |s| s.listen.iter().map(ToString::to_string).collect()),
            upstream: start.map_or_else(Vec::new, |s| s.upstream.clone()),
            started_at: x.start.as_ref().map(|(at, _)| at.to_string()),
            stopped_at: x.stopped_at.map(|at| at.to_string()),
        }
    }
}

impl From<Outcomes> for Counts {
    fn from(x: Outcomes) -> Self {
        Self { authenticated: x.authenticated, rejected: x.rejected, broken: x.broken, abandoned: x.abandoned }
    }
}

impl From<&OwnAnswers> for OwnAnswerFacts {
    fn from(x: &OwnAnswers) -> Self {
        Self {
            status: x.status,
            error: x.error.clone(),
            count: x.count,
            first_at: x.first_at.to_string(),
            says: x.why.clone(),
        }
    }
}

impl From<&Group> for FindingFacts {
    fn from(x: &Group) -> Self {
        let mut connections: Vec<u64> = Vec::new();
        for (_, connection) in &x.connections {
            if !connections.contains(&connection.0) {
                connections.push(connection.0);
            }
        }
        Self {
            slug: x.slug.clone(),
            severity: x.severity.name(),
            basis: x.basis.name(),
            cause: x.cause.name(),
            root: x.root.clone(),
            title: x.title.clone(),
            count: x.count,
            first_at: x.first_at.to_string(),
            last_at: x.last_at.to_string(),
            connections,
            places: x
                .connections
                .iter()
                .map(|(tap, connection)| Place { tap: tap.0.clone(), connection: connection.0 })
                .collect(),
            summary: x.summary.clone(),
            scheme: x.scheme.clone(),
            fix: x.fix.clone(),
            evidence: x.evidence.iter().map(|(tap, e)| piece(tap, e)).collect(),
        }
    }
}

fn piece(tap: &TapId, e: &Piece) -> EvidenceFacts {
    EvidenceFacts {
        primary: e.primary,
        tap: tap.0.clone(),
        connection: e.connection.map(|c| c.0),
        exchange: e.exchange,
        message: e.message.clone(),
        at: e.at.map(|at| at.to_string()),
        frame: e.frame.map(|f| f.number),
        file: e.frame.map(|f| f.file),
        says: e.says.clone(),
    }
}
