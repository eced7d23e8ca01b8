//! `finding`: a defect with its evidence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mirror::{Basis, Severity};
use super::text::{self, Unfit};
use crate::model::{ConnectionId, finding};

/// A defect, drawn from events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The finding's one name; `authtap explain SLUG` tells more.
    pub slug: String,
    /// How bad.
    pub severity: Severity,
    /// How authtap knows.
    pub basis: Basis,
    /// The defect.
    #[serde(default)]
    pub title: String,
    /// One sentence with the facts of this case.
    #[serde(default)]
    pub summary: String,
    /// The authentication scheme, when the case has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// The slug of the finding whose consequence this one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The connections that the case is about, the primary evidence's first.
    #[serde(default)]
    pub connections: Vec<u64>,
    /// Exactly one is primary.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// What to change, and where.
    #[serde(default)]
    pub fix: String,
}

/// A place in the traffic, and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// The one that proves the case.
    #[serde(default)]
    pub primary: bool,
    /// The connection; absent for what was known at start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// The exchange on that connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<u32>,
    /// The message: `CHALLENGE`, `AUTHENTICATE`, `response`, `close` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Its own sentence.
    pub says: String,
}

impl From<&finding::Finding> for Finding {
    fn from(x: &finding::Finding) -> Self {
        Self {
            slug: x.slug.clone(),
            severity: x.severity.into(),
            basis: x.basis.into(),
            title: x.title.clone(),
            summary: x.summary.clone(),
            scheme: x.scheme.clone(),
            root: x.root.clone(),
            connections: x.connections.iter().map(|c| c.0).collect(),
            evidence: x.evidence.iter().map(Into::into).collect(),
            fix: x.fix.clone(),
        }
    }
}

impl TryFrom<Finding> for finding::Finding {
    type Error = Unfit;

    fn try_from(x: Finding) -> Result<Self, Unfit> {
        Ok(Self {
            slug: x.slug,
            severity: x.severity.into(),
            basis: x.basis.into(),
            title: x.title,
            summary: x.summary,
            scheme: x.scheme,
            root: x.root,
            connections: x.connections.into_iter().map(ConnectionId).collect(),
            evidence: x.evidence.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            fix: x.fix,
        })
    }
}

impl From<&finding::Evidence> for Evidence {
    fn from(x: &finding::Evidence) -> Self {
        Self {
            primary: x.primary,
            connection: x.connection.map(|c| c.0),
            exchange: x.exchange,
            message: x.message.clone(),
            at: x.at.map(text::stamp),
            says: x.says.clone(),
        }
    }
}

impl TryFrom<Evidence> for finding::Evidence {
    type Error = Unfit;

    fn try_from(x: Evidence) -> Result<Self, Unfit> {
        Ok(Self {
            primary: x.primary,
            connection: x.connection.map(ConnectionId),
            exchange: x.exchange,
            message: x.message,
            at: text::to_stamp_opt("evidence.at", x.at.as_deref())?,
            frame: None,
            says: x.says,
        })
    }
}
