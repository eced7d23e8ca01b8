//! `handshake`: the authentication of one client, its legs and their links.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mirror::{Outcome, Proof};
use super::text::{self, Unfit};
use crate::model::{ConnectionId, ExchangeNo, HandshakeId, event};

/// The authentication of one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Handshake {
    /// Its number within the tap.
    pub handshake: u64,
    /// `ntlm`, `negotiate-ntlm`, `kerberos`, `basic`, `digest`, `bearer`.
    pub scheme: String,
    /// Its end.
    pub outcome: Outcome,
    /// `DOMAIN\user` as the client named it; absent where it cannot be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The server that answered, by the names in its challenge, or the ticket's service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Its messages in order.
    #[serde(default)]
    pub legs: Vec<Leg>,
    /// Which message answers which, and how that is known.
    #[serde(default)]
    pub links: Vec<Link>,
}

/// One message of a handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Leg {
    /// The connection.
    pub connection: u64,
    /// The exchange on that connection.
    pub exchange: u32,
    /// `NEGOTIATE`, `CHALLENGE`, `AUTHENTICATE`, `AP-REQ`, `AP-REP`, `CREDENTIALS` …
    pub message: String,
    /// When.
    pub at: String,
}

/// The proof that a message answers another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// Where the challenge was.
    pub challenge: Place,
    /// Where its answer was.
    pub authenticate: Place,
    /// How it is known.
    pub proof: Proof,
}

/// An exchange on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The connection.
    pub connection: u64,
    /// The exchange on that connection.
    pub exchange: u32,
}

impl From<(ConnectionId, ExchangeNo)> for Place {
    fn from((connection, exchange): (ConnectionId, ExchangeNo)) -> Self {
        Self { connection: connection.0, exchange }
    }
}

impl From<Place> for (ConnectionId, ExchangeNo) {
    fn from(x: Place) -> Self {
        (ConnectionId(x.connection), x.exchange)
    }
}

impl From<&event::Handshake> for Handshake {
    fn from(x: &event::Handshake) -> Self {
        Self {
            handshake: x.handshake.0,
            scheme: x.scheme.clone(),
            outcome: x.outcome.into(),
            user: x.user.clone(),
            server: x.server.clone(),
            legs: x
                .legs
                .iter()
                .map(|l| Leg {
                    connection: l.connection.0,
                    exchange: l.exchange,
                    message: l.message.clone(),
                    at: text::stamp(l.at),
                })
                .collect(),
            links: x
                .links
                .iter()
                .map(|l| Link {
                    challenge: l.challenge.into(),
                    authenticate: l.authenticate.into(),
                    proof: l.proof.into(),
                })
                .collect(),
        }
    }
}

impl TryFrom<Handshake> for event::Handshake {
    type Error = Unfit;

    fn try_from(x: Handshake) -> Result<Self, Unfit> {
        let leg = |l: Leg| {
            Ok(event::Leg {
                connection: ConnectionId(l.connection),
                exchange: l.exchange,
                at: text::to_stamp("legs.at", &l.at)?,
                message: l.message,
            })
        };
        Ok(Self {
            handshake: HandshakeId(x.handshake),
            scheme: x.scheme,
            outcome: x.outcome.into(),
            user: x.user,
            server: x.server,
            legs: x.legs.into_iter().map(leg).collect::<Result<_, Unfit>>()?,
            links: x
                .links
                .into_iter()
                .map(|l| event::Link {
                    challenge: l.challenge.into(),
                    authenticate: l.authenticate.into(),
                    proof: l.proof.into(),
                })
                .collect(),
        })
    }
}
