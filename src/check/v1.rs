//! `check --format json`, version 1: these structs are the format. `docs/check-v1.schema.json` describes it.

use serde::Serialize;

use super::{Facts, Line};

/// A check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Report {
    /// Version of the format.
    #[schemars(extend("const" = 1))]
    pub v: u32,
    /// URL of the server.
    pub upstream: String,
    /// `Host` of the requests.
    pub host: String,
    /// What was asked for.
    pub path: String,
    /// Connections that were opened.
    pub connections: u32,
    /// Requests that were sent.
    pub requests: u32,
    /// One a thing that was looked at; what could not be asked has none.
    pub lines: Vec<LineFacts>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct LineFacts {
    /// How it stands.
    #[schemars(extend("enum" = ["ok", "warning", "problem"]))]
    pub verdict: String,
    /// The line's name, such as `schemes`; `docs/check.md` lists them.
    pub check: String,
    /// What was found, in a sentence.
    pub says: String,
    /// What to do; absent when the verdict is `ok`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Report {
    /// Facts and lines of one check.
    pub fn new(upstream: String, facts: &Facts, lines: &[Line]) -> Self {
        Self {
            v: 1,
            upstream,
            host: facts.host.clone(),
            path: facts.path.clone(),
            connections: facts.connections,
            requests: facts.requests,
            lines: lines.iter().map(LineFacts::from).collect(),
        }
    }
}

impl From<&Line> for LineFacts {
    fn from(line: &Line) -> Self {
        Self {
            verdict: line.verdict.name().to_owned(),
            check: line.check.to_owned(),
            says: line.says.clone(),
            fix: line.fix.clone(),
        }
    }
}

/// The JSON Schema of [`Report`], as `docs/check-v1.schema.json` holds it.
pub fn schema() -> Result<String, serde_json::Error> {
    let schema = schemars::generate::SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<Report>();
    serde_json::to_string_pretty(&schema).map(|text| text + "\n")
}
