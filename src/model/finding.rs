//! The record of a finding. The catalogue that makes them is in [`crate::finding`].

use super::frame::Frame;
use super::{ConnectionId, ExchangeNo, Stamp};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Costs something.
    Low,
    /// Some users are hurt.
    Medium,
    /// Users cannot log on.
    High,
    /// Identities leak, or everybody is refused.
    Critical,
}

/// How authtap knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Basis {
    /// A pattern; the summary names the alternatives.
    Suspected,
    /// The fact is certain, the cause is the likeliest of several.
    Inferred,
    /// The bytes and connection events themselves prove it.
    Observed,
}

impl Severity {
    /// The name in captures and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// All, from the worst.
    pub const ALL: [Self; 5] = [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Info];

    /// The inverse of [`name`](Self::name).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
}

impl Basis {
    /// The name in captures and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Suspected => "suspected",
            Self::Inferred => "inferred",
            Self::Observed => "observed",
        }
    }

    /// The inverse of [`name`](Self::name).
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Observed, Self::Inferred, Self::Suspected].into_iter().find(|b| b.name() == name)
    }
}

/// A defect, drawn from events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The finding's one name.
    pub slug: String,
    /// How bad.
    pub severity: Severity,
    /// How authtap knows; never stronger than the catalogue's best basis.
    pub basis: Basis,
    /// The defect's title.
    pub title: String,
    /// One sentence with the facts of this case.
    pub summary: String,
    /// `ntlm`, `kerberos`, `basic` …, when the case has one.
    pub scheme: Option<String>,
    /// The slug of the finding whose consequence this one is: mending that one mends this one.
    pub root: Option<String>,
    /// The connections that the case is about, the primary evidence's first.
    pub connections: Vec<ConnectionId>,
    /// Exactly one primary, and it comes first.
    pub evidence: Vec<Evidence>,
    /// What to change, and where.
    pub fix: String,
}

/// One piece of evidence: a place in the traffic, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The one that proves the case.
    pub primary: bool,
    /// `None` for what was known at start (certificates).
    pub connection: Option<ConnectionId>,
    /// The exchange on that connection.
    pub exchange: Option<ExchangeNo>,
    /// `CHALLENGE`, `AUTHENTICATE`, `response`, `close` …
    pub message: Option<String>,
    /// When it happened.
    pub at: Option<Stamp>,
    /// The packet that it is in, or that completes it, where it was read from a packet capture.
    pub frame: Option<Frame>,
    /// Its own sentence.
    pub says: String,
}
