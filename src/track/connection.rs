//! What is remembered of one connection while it lives.

use std::net::IpAddr;
use std::sync::Arc;

use super::client::NamedClient;
use super::handshake::State;
use crate::model::event::{ConnectionOpen, Handshake};
use crate::model::http::Request;
use crate::model::short::short;
use crate::model::transport::{Addresses, By, Tls};
use crate::model::{ConnectionId, ExchangeNo, HandshakeId, Stamp};

/// One client connection and its upstream connection.
///
/// There may be many thousands, and most never log on: what only some have is behind a pointer.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// The peer's address.
    client: IpAddr,
    /// The upstream's port, as dialled.
    upstream_port: Option<u16>,
    /// See [`Connection::seems_local`].
    seems_local: bool,
    /// See [`Connection::from_the_server`].
    from_the_server: bool,
    /// TLS of both sides, when there is any.
    tls: Option<Box<BothTls>>,
    /// When it opened.
    pub opened_at: Stamp,
    /// Its beginning was not seen, and nothing of it was told yet.
    pub begun_before: bool,
    /// Where its handshake machine stands.
    pub state: State,
    /// The last CHALLENGE on it that no AUTHENTICATE has answered here.
    pub challenge: Option<HandshakeId>,
    /// The challenge whose AUTHENTICATE is on its way and was never answered: the connection is ending.
    pub unanswered: Option<HandshakeId>,
    /// Who is logged on, while [`State::Authenticated`].
    pub logon: Option<Arc<Logon>>,
    /// The last user that logged on, also after the server forgot it.
    pub last_user: Option<Arc<str>>,
    /// Since when something on it was not seen.
    pub gap: Option<Stamp>,
    /// Which side ended first, and when, while the other one goes on.
    pub half_closed: Option<(By, Stamp)>,
    /// A handshake that the server wants one more token for.
    pub pending: Option<Box<Handshake>>,
    /// Exchanges that were told of it.
    pub told: u32,
    /// Signs of an intermediary in front, as seen in its requests.
    hops: Option<Box<Hops>>,
}

/// TLS towards the client and towards IIS.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BothTls {
    client: Option<Tls>,
    upstream: Option<Tls>,
}

/// Somebody is logged on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logon {
    /// The exchange whose answer said so.
    pub exchange: ExchangeNo,
    /// When.
    pub at: Stamp,
    /// `DOMAIN\user`; `None` with Kerberos.
    pub user: Option<Arc<str>>,
    /// Scheme of the handshake.
    pub scheme: &'static str,
    /// The client that the request named (`X-Forwarded-For` and its like).
    pub client: Option<NamedClient>,
}

/// Signs of an intermediary.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Hops {
    via: Option<String>,
    named_client: Option<NamedClient>,
}

impl Connection {
    /// A connection that just opened.
    pub fn new(open: &ConnectionOpen, at: Stamp) -> Self {
        let tls = (open.tls.is_some() || open.upstream_tls.is_some())
            .then(|| Box::new(BothTls { client: open.tls.clone(), upstream: open.upstream_tls.clone() }));
        Self {
            id: open.connection,
            client: open.addresses.client.ip(),
            upstream_port: open.addresses.upstream.map(|a| a.port()),
            seems_local: seems_local(&open.addresses),
            from_the_server: from_the_server(&open.addresses),
            tls,
            opened_at: at,
            begun_before: open.begun_before,
            state: State::default(),
            challenge: None,
            unanswered: None,
            logon: None,
            last_user: None,
            gap: None,
            half_closed: None,
            pending: None,
            told: 0,
            hops: None,
        }
    }

    /// The peer's address.
    pub const fn client_ip(&self) -> IpAddr {
        self.client
    }

    /// The upstream's port, as dialled.
    pub const fn upstream_port(&self) -> Option<u16> {
        self.upstream_port
    }

    /// The server sees a client of its own machine, though the client is on another: authtap stands on the server's
    /// host.
    pub const fn seems_local(&self) -> bool {
        self.seems_local
    }

    /// The client has the address of the server that is dialled: it runs on the server's machine.
    pub const fn from_the_server(&self) -> bool {
        self.from_the_server
    }

    /// TLS towards the client.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()?.client.as_ref()
    }

    /// TLS towards IIS.
    pub fn upstream_tls(&self) -> Option<&Tls> {
        self.tls.as_ref()?.upstream.as_ref()
    }

    /// Whether authtap shows this client another certificate than the server's own; `None` when not both are known.
    pub fn certificates_differ(&self) -> Option<bool> {
        let end_point = |tls: Option<&Tls>| tls.and_then(|t| t.certificate.as_ref()).map(|c| c.end_point.clone());
        Some(end_point(self.tls())? != end_point(self.upstream_tls())?)
    }

    /// The first `Via` value.
    pub fn via(&self) -> Option<&str> {
        self.hops.as_ref()?.via.as_deref()
    }

    /// The first field that named a client.
    pub fn named_client(&self) -> Option<&NamedClient> {
        self.hops.as_ref()?.named_client.as_ref()
    }

    /// Remembers the first sign of an intermediary of each kind.
    pub(super) fn note_hops(&mut self, request: &Request, client: Option<&NamedClient>) {
        let via = request.header("via");
        if via.is_none() && client.is_none() {
            return;
        }
        let hops = self.hops.get_or_insert_default();
        if hops.via.is_none() {
            hops.via = via.map(|v| short(v).into_owned());
        }
        if hops.named_client.is_none() {
            hops.named_client = client.cloned();
        }
    }
}

fn seems_local(addresses: &Addresses) -> bool {
    let (Some(server), Some(seen)) = (addresses.upstream, addresses.upstream_local) else { return false };
    let (server, seen, client) =
        (server.ip().to_canonical(), seen.ip().to_canonical(), addresses.client.ip().to_canonical());
    server == seen && client != server && !client.is_loopback()
}

fn from_the_server(addresses: &Addresses) -> bool {
    let client = addresses.client.ip().to_canonical();
    addresses.upstream.is_some_and(|server| {
        let server = server.ip().to_canonical();
        server == client || (server.is_loopback() && client.is_loopback())
    })
}
