//! What is remembered of one connection while it lives.

use std::net::IpAddr;

use super::handshake::State;
use crate::model::event::ConnectionOpen;
use crate::model::{ConnectionId, ExchangeNo, HandshakeId, Stamp};

/// One client connection and its upstream connection.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// Its opening, as told.
    pub open: ConnectionOpen,
    /// When it opened.
    pub opened_at: Stamp,
    /// Where its handshake machine stands.
    pub state: State,
    /// The last CHALLENGE on it that no AUTHENTICATE has answered here.
    pub challenge: Option<HandshakeId>,
    /// The challenge whose AUTHENTICATE is on its way and was never answered: the connection is ending.
    pub unanswered: Option<HandshakeId>,
    /// Who is logged on, while [`State::Authenticated`].
    pub logon: Option<Logon>,
    /// The last user that logged on, also after the server forgot it.
    pub last_user: Option<(String, ExchangeNo, Stamp)>,
    /// How often the server forgot a logon for the next bare request.
    pub dropped: u32,
    /// Since when something on it was not seen.
    pub gap: Option<Stamp>,
    /// Exchanges that were told of it.
    pub told: u32,
    /// Signs of an intermediary in front, as seen in its requests.
    pub hops: Hops,
}

/// Somebody is logged on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logon {
    /// The exchange whose answer said so.
    pub exchange: ExchangeNo,
    /// When.
    pub at: Stamp,
    /// `DOMAIN\user`; `None` with Kerberos.
    pub user: Option<String>,
    /// Scheme of the handshake.
    pub scheme: &'static str,
    /// The client that the request named (`X-Forwarded-For` and its like).
    pub client: Option<NamedClient>,
}

/// The client that a request's own fields name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedClient {
    /// The field's name as sent.
    pub field: String,
    /// The address it gives, without a port.
    pub address: String,
}

/// Signs of an intermediary.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hops {
    /// The first `Via` value.
    pub via: Option<String>,
    /// The first field that named a client.
    pub named_client: Option<NamedClient>,
}

impl Connection {
    /// A connection that just opened.
    pub fn new(open: ConnectionOpen, at: Stamp) -> Self {
        Self {
            id: open.connection,
            open,
            opened_at: at,
            state: State::default(),
            challenge: None,
            unanswered: None,
            logon: None,
            last_user: None,
            dropped: 0,
            gap: None,
            told: 0,
            hops: Hops::default(),
        }
    }

    /// The peer's address.
    pub fn client_ip(&self) -> IpAddr {
        self.open.addresses.client.ip()
    }
}
