//! `gap`: what was not seen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{ConnectionId, event};

/// Something was not seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// The connection; absent when all may be concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// Why.
    #[serde(flatten)]
    pub what: GapWhat,
}

/// Why something was not seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum GapWhat {
    /// The queue to the observer was full.
    QueueFull {
        /// Observations that were dropped.
        dropped: u64,
    },
    /// The bytes could not be followed; the connection is blind from here.
    Unparsable {
        /// Whose bytes.
        from: Sender,
        /// Bytes of that direction before the place.
        offset: u64,
        /// What was expected and what came.
        why: String,
    },
    /// Packets are missing from a packet capture; the connection is blind from here.
    PacketsMissing {
        /// Whose bytes.
        from: Sender,
        /// Bytes of that direction before the place.
        offset: u64,
        /// So many bytes are missing.
        bytes: u64,
    },
    /// The observer failed and was started anew.
    ObserverLost {
        /// The failure, in words.
        why: String,
    },
    /// A memory is full, and its oldest entries are forgotten.
    LimitReached {
        /// What was remembered, such as a finding's slug.
        memory: String,
        /// So many entries are kept.
        most: u64,
    },
    /// A sink could not write.
    SinkFailed {
        /// The sink's name.
        sink: String,
        /// Events that it did not write.
        dropped: u64,
        /// The error.
        why: String,
    },
}

/// A direction, by its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sender {
    /// The client.
    Client,
    /// The server behind authtap.
    Upstream,
}

impl Sender {
    fn of(name: &str) -> Self {
        if name == "client" { Self::Client } else { Self::Upstream }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
        }
    }
}

impl From<&event::Gap> for Gap {
    fn from(x: &event::Gap) -> Self {
        Self {
            connection: x.connection.map(|c| c.0),
            what: match &x.what {
                event::GapWhat::QueueFull { dropped } => GapWhat::QueueFull { dropped: *dropped },
                event::GapWhat::Unparsable { from, offset, why } => {
                    GapWhat::Unparsable { from: Sender::of(from), offset: *offset, why: why.clone() }
                }
                event::GapWhat::PacketsMissing { from, offset, bytes } => {
                    GapWhat::PacketsMissing { from: Sender::of(from), offset: *offset, bytes: *bytes }
                }
                event::GapWhat::ObserverLost { why } => GapWhat::ObserverLost { why: why.clone() },
                event::GapWhat::LimitReached { memory, most } => {
                    GapWhat::LimitReached { memory: memory.clone(), most: *most }
                }
                event::GapWhat::SinkFailed { sink, dropped, why } => {
                    GapWhat::SinkFailed { sink: sink.clone(), dropped: *dropped, why: why.clone() }
                }
            },
        }
    }
}

impl From<Gap> for event::Gap {
    fn from(x: Gap) -> Self {
        Self {
            connection: x.connection.map(ConnectionId),
            what: match x.what {
                GapWhat::QueueFull { dropped } => event::GapWhat::QueueFull { dropped },
                GapWhat::Unparsable { from, offset, why } => {
                    event::GapWhat::Unparsable { from: from.name(), offset, why }
                }
                GapWhat::PacketsMissing { from, offset, bytes } => {
                    event::GapWhat::PacketsMissing { from: from.name(), offset, bytes }
                }
                GapWhat::ObserverLost { why } => event::GapWhat::ObserverLost { why },
                GapWhat::LimitReached { memory, most } => event::GapWhat::LimitReached { memory, most },
                GapWhat::SinkFailed { sink, dropped, why } => event::GapWhat::SinkFailed { sink, dropped, why },
            },
        }
    }
}
