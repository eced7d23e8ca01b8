//! Capture format, version 1.
//!
//! These structs *are* the format. They are apart from [`crate::model`] on purpose: the model may change with the code,
//! the format may only grow. Each struct is made from its model type and turned back into it; nothing is lost on the
//! way, so a capture can be diagnosed anew.
//!
//! Growing: a new field is optional on reading (`#[serde(default)]`); a reader ignores fields and types that it does
//! not know. Anything else is version 2.

mod borrowed;
mod exchange;
mod finding;
mod gap;
mod handshake;
mod jwt;
mod kerberos;
mod mirror;
mod ntlm;
mod page;
mod text;
mod token;
mod transport;

pub use borrowed::write;
pub use exchange::{Exchange, Request, Response, Times};
pub use finding::{Evidence, Finding};
pub use gap::{Gap, GapWhat, Sender};
pub use handshake::{Handshake, Leg, Link, Place};
pub use jwt::Jwt;
pub use kerberos::Kerberos;
pub use mirror::{Basis, By, How, Outcome, PageAuthor, Proof, Severity};
pub use ntlm::{Ntlm, NtlmAuthenticate, NtlmChallenge, NtlmNegotiate, TargetInfo, Version};
pub use page::{Page, PageDetail};
pub use text::Unfit;
pub use token::{AuthField, Basic, Bearer, Digest, Fault, Spnego, Token};
pub use transport::{Certificate, ConnectionClose, ConnectionHalfClose, ConnectionOpen, SelfCheck, Start, Stop, Tls};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};

use crate::model::TapId;
use crate::model::event;

/// The format's version.
pub const VERSION: u32 = 1;

/// One line of a capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// Version of the format.
    #[schemars(extend("const" = 1))]
    pub v: u32,
    /// When it happened: RFC 3339, UTC, microseconds.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// The running authtap that saw it.
    pub tap: String,
    /// Order in which that tap took it in, from 1.
    #[serde(default)]
    pub seq: u64,
    /// What happened; `type` says which kind.
    #[serde(flatten)]
    pub body: Body,
}

/// The kinds of line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Body {
    /// A tap started. Repeated at the head of each rotated file, so that each can be read alone.
    Start(Box<Start>),
    /// A client connection and its upstream connection.
    ConnectionOpen(Box<ConnectionOpen>),
    /// A request and its response.
    Exchange(Box<Exchange>),
    /// A handshake came to its end.
    Handshake(Box<Handshake>),
    /// Something was not seen.
    Gap(Box<Gap>),
    /// One side of a connection ended in the middle of a handshake, while the other went on.
    ConnectionHalfClose(Box<ConnectionHalfClose>),
    /// A connection ended.
    ConnectionClose(Box<ConnectionClose>),
    /// A defect.
    Finding(Box<Finding>),
    /// A tap stopped: its totals.
    Stop(Box<Stop>),
}

impl Body {
    /// The values of `type` that this version knows.
    pub const TYPES: [&'static str; 9] = [
        "start",
        "connection_open",
        "exchange",
        "handshake",
        "gap",
        "connection_half_close",
        "connection_close",
        "finding",
        "stop",
    ];
}

impl Line {
    /// The line of an event. The same event gives the same line, byte for byte.
    pub fn of(tap: &TapId, event: &event::Event) -> Self {
        Self {
            v: VERSION,
            at: text::stamp(event.at),
            tap: tap.0.clone(),
            seq: event.seq,
            body: match &event.what {
                event::What::Start(x) => Body::Start(Box::new(x.as_ref().into())),
                event::What::ConnectionOpen(x) => Body::ConnectionOpen(Box::new(x.as_ref().into())),
                event::What::Exchange(x) => Body::Exchange(Box::new(x.as_ref().into())),
                event::What::Handshake(x) => Body::Handshake(Box::new(x.as_ref().into())),
                event::What::Gap(x) => Body::Gap(Box::new(x.into())),
                event::What::ConnectionHalfClose(x) => Body::ConnectionHalfClose(Box::new(x.into())),
                event::What::ConnectionClose(x) => Body::ConnectionClose(Box::new(x.as_ref().into())),
                event::What::Finding(x) => Body::Finding(Box::new(x.as_ref().into())),
                event::What::Stop(x) => Body::Stop(Box::new(x.into())),
            },
        }
    }

    /// Its JSON text, without the newline.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Back to the event and the tap that saw it.
    pub fn into_event(self) -> Result<(TapId, event::Event), Unfit> {
        let what = match self.body {
            Body::Start(x) => event::What::Start(Box::new((*x).try_into()?)),
            Body::ConnectionOpen(x) => event::What::ConnectionOpen(Box::new((*x).try_into()?)),
            Body::Exchange(x) => event::What::Exchange(Box::new((*x).try_into()?)),
            Body::Handshake(x) => event::What::Handshake(Box::new((*x).try_into()?)),
            Body::Gap(x) => event::What::Gap((*x).into()),
            Body::ConnectionHalfClose(x) => event::What::ConnectionHalfClose((*x).into()),
            Body::ConnectionClose(x) => event::What::ConnectionClose(Box::new((*x).into())),
            Body::Finding(x) => event::What::Finding(Box::new((*x).try_into()?)),
            Body::Stop(x) => event::What::Stop((*x).into()),
        };
        let event = event::Event { seq: self.seq, at: text::to_stamp("at", &self.at)?, what };
        Ok((TapId(self.tap), event))
    }
}

/// The JSON Schema of [`Line`], as `docs/capture-v1.schema.json` holds it.
pub fn schema() -> Result<String, serde_json::Error> {
    let schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<Line>();
    serde_json::to_string_pretty(&schema).map(|text| text + "\n")
}
