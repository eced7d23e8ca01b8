//! What the asking found, before anybody judges it.

use std::net::SocketAddr;

use crate::model::Stamp;
use crate::model::auth::{AuthField, Ntlm, NtlmChallenge};
use crate::model::page::Page;
use crate::model::transport::{Certificate, Tls};

/// Everything that is known of a server and of the place that authtap would take.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The server, as it is dialled.
    pub server: Place,
    /// `Host` of each request.
    pub host: String,
    /// The path that was asked for.
    pub path: String,
    /// How authtap would be inserted.
    pub insertion: Insertion,
    /// The first connection.
    pub reach: Reach,
    /// What the server chose when HTTP/2 and HTTP/1.1 were offered to it; `None` when that was not asked.
    pub alpn: Option<Result<Option<String>, String>>,
    /// A request without credentials.
    pub first: Option<Result<Answer, Ended>>,
    /// Whether the connection outlived the 401 to it.
    pub after_401: Option<Kept>,
    /// An NTLM NEGOTIATE, and what came back.
    pub challenge: Option<Result<Answer, Ended>>,
    /// Whether the connection outlived the CHALLENGE.
    pub after_challenge: Option<Kept>,
    /// A whole logon, when an account was given.
    pub logon: Option<Logon>,
    /// A request with one large field.
    pub large: Option<Large>,
    /// Connections opened.
    pub connections: u32,
    /// Requests sent.
    pub requests: u32,
}

/// Where something is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// `https`.
    pub tls: bool,
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// How authtap would be inserted, as far as it was said.
#[derive(Debug, Clone, Default)]
pub struct Insertion {
    /// Where it would listen.
    pub listen: Option<SocketAddr>,
    /// Where clients believe to be.
    pub public: Option<Place>,
    /// The certificate that it would show.
    pub certificate: Option<Certificate>,
    /// It would let clients and server agree on HTTP/2, as they do without it.
    pub mirrors_alpn: bool,
    /// It would forward although the server's certificate does not verify.
    pub lenient: bool,
}

/// How the first connection went.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// The address dialled.
    pub dialled: Option<SocketAddr>,
    /// The own end.
    pub local: Option<SocketAddr>,
    /// TLS, also when its handshake failed.
    pub tls: Option<Tls>,
    /// The error's name in `Proxy-Status`, and why, when no connection came about.
    pub error: Option<(&'static str, String)>,
    /// The port was found to speak the other scheme than the URL says.
    pub speaks_the_other: bool,
}

/// An answer, as far as a check needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// It is HTTP/1.0.
    pub old: bool,
    /// `Server`.
    pub server: Option<String>,
    /// `Via`, when a hop wrote one.
    pub via: Option<String>,
    /// `Location`, without its query.
    pub location: Option<String>,
    /// `Persistent-Auth`.
    pub persistent_auth: Option<String>,
    /// `Date`.
    pub date: Option<Stamp>,
    /// `WWW-Authenticate`, in order.
    pub offers: Vec<AuthField>,
    /// The bytes of an NTLM CHALLENGE, for an account's answer. No secret: it went over the wire in clear.
    pub challenge: Option<Vec<u8>>,
    /// It says that the connection ends with it.
    pub closes: bool,
    /// Who wrote its body.
    pub page: Page,
    /// The body says that HTTP.sys knows no site of this name.
    pub invalid_hostname: bool,
    /// The body did not end within bounds, and so the connection cannot go on.
    pub endless: bool,
    /// When the request was sent.
    pub sent: Stamp,
    /// When the head of the answer had come.
    pub got: Stamp,
}

impl Answer {
    /// The NTLM CHALLENGE in it.
    pub fn ntlm(&self) -> Option<&NtlmChallenge> {
        self.offers.iter().find_map(|field| match field.ntlm()? {
            Ntlm::Challenge(challenge) => Some(challenge),
            _ => None,
        })
    }

    /// Who sent it, in words: the `Server` field, or that there is none.
    pub fn by(&self) -> String {
        match &self.server {
            Some(server) => format!("by {server}"),
            None => "by a server that does not name itself".to_owned(),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The server ended the connection, or it was ended before the request went out.
    Closed,
    /// The server reset it.
    Reset,
    /// Nothing within so many seconds.
    Silent(u64),
    /// What came is TLS.
    IsTls,
    /// What came is not HTTP/1.
    NotHttp,
    /// No connection.
    NoConnection(String),
    /// Anything else.
    Other(String),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => f.write_str("the server ended the connection without an answer"),
            Self::Reset => f.write_str("the server reset the connection without an answer"),
            Self::Silent(seconds) => write!(f, "nothing came within {seconds} s"),
            Self::IsTls => f.write_str("what came is TLS, not HTTP"),
            Self::NotHttp => f.write_str("what came is not HTTP/1"),
            Self::NoConnection(why) | Self::Other(why) => f.write_str(why),
        }
    }
}

/// Whether a connection outlived an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// The next request on it was answered.
    Yes,
    /// The answer said that it ends.
    Announced,
    /// The next request on it was not answered.
    No(Ended),
}

/// A whole logon.
#[derive(Debug, Clone)]
pub struct Logon {
    /// Whose.
    pub user: String,
    /// The answer to the last leg.
    pub last: Result<Answer, Ended>,
    /// The answer to a request without credentials that followed on the same connection.
    pub next: Option<Result<Answer, Ended>>,
}

/// A request with one large field.
#[derive(Debug, Clone)]
pub struct Large {
    /// Bytes of the field's value.
    pub bytes: usize,
    /// What came back.
    pub answer: Result<Answer, Ended>,
}
