//! One exchange as the findings see it: what it was, what it did, and what it answers.

use std::net::IpAddr;
use std::sync::Arc;

use super::challenges::{Challenge, Verdict};
use super::client::NamedClient;
use super::connection::Logon;
use super::handshake::{Event, Meaning, Transition};
use crate::model::Stamp;
use crate::model::auth::{AuthField, Ntlm, NtlmAuthenticate, NtlmResponse, Scheme};
use crate::model::event::{Exchange, Handshake};
use crate::model::http::Response;
use crate::model::short::short;

/// One exchange, told when its response's head was complete or its connection ended.
#[derive(Debug, Clone)]
pub struct Turn {
    /// The exchange.
    pub exchange: Arc<Exchange>,
    /// What its request is to the machine.
    pub request: Event,
    /// What its response is.
    pub answer: Event,
    /// What the request did.
    pub sent: Transition,
    /// What the response did.
    pub answered: Transition,
    /// Which challenge its AUTHENTICATE answers; `None` for other requests.
    pub verdict: Option<Verdict>,
    /// The challenge that this request came in between of.
    pub interrupts: Option<Challenge>,
    /// The challenge that this response carries.
    pub challenge: Option<Challenge>,
    /// The handshake that ended with it.
    pub handshake: Option<Handshake>,
    /// Who was logged on before it.
    pub logon_before: Option<Arc<Logon>>,
    /// The last user that had logged on before it, also when the server has forgotten.
    pub user_before: Option<Arc<str>>,
    /// The user of its own credentials.
    pub user: Option<Arc<str>>,
    /// The scheme of its own credentials, or of the handshake it goes on with.
    pub scheme: Option<&'static str>,
    /// The peer's address.
    pub peer: IpAddr,
    /// Who it comes from: the client that a trusted peer names, else the peer itself.
    pub party: IpAddr,
    /// The client that its fields name.
    pub client: Option<NamedClient>,
    /// `Persistent-Auth` of its response.
    pub persistent_auth: Option<bool>,
}

impl Turn {
    /// When the response's head was complete; of an exchange without a response, when the request's was.
    pub fn at(&self) -> Stamp {
        self.exchange.times.response_head.unwrap_or(self.exchange.times.request_head)
    }

    /// The first value of a field of the request.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.exchange.request.header(name)
    }

    /// The first value of a field of the response.
    pub fn response_header(&self, name: &str) -> Option<&str> {
        self.response()?.header(name)
    }

    /// The request's target up to its query.
    pub fn path(&self) -> &str {
        let target = &self.exchange.request.target;
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// `GET /app?id=<2 bytes>`; of a long target, its beginning.
    pub fn request_line(&self) -> String {
        format!("{} {}", short(&self.exchange.request.method), short(&self.exchange.request.target))
    }

    /// `the logon of EXAMPLE\\alice`, or `a logon`.
    pub fn whose_logon(&self) -> String {
        self.user.as_ref().map_or_else(|| "a logon".to_owned(), |u| format!("the logon of {u}"))
    }

    /// The response offers a scheme.
    pub fn offers(&self, scheme: &Scheme) -> bool {
        self.exchange.challenges.iter().any(|c| c.scheme == *scheme)
    }

    /// The response offers `Negotiate` or `NTLM`.
    pub fn offers_windows(&self) -> bool {
        self.offers(&Scheme::Negotiate) || self.offers(&Scheme::Ntlm)
    }

    /// What it meant.
    pub const fn meaning(&self) -> Meaning {
        self.answered.meaning
    }

    /// Whether its connection speaks HTTP/2. There each exchange is taken alone: nobody is logged on to a connection that
    /// many requests share, so what NTLM needs of it cannot be judged.
    pub fn is_http2(&self) -> bool {
        self.exchange.request.version == "HTTP/2"
    }

    /// The AUTHENTICATE that it carries; `None` on HTTP/2, where it can belong to no connection.
    pub fn authenticate(&self) -> Option<&NtlmAuthenticate> {
        if self.is_http2() {
            return None;
        }
        match self.exchange.authorization.as_ref().and_then(AuthField::ntlm) {
            Some(Ntlm::Authenticate(a)) => Some(a),
            _ => None,
        }
    }

    /// The response.
    pub fn response(&self) -> Option<&Response> {
        self.exchange.response.as_ref()
    }

    /// The response's status; 0 when there is none.
    pub fn status(&self) -> u16 {
        self.response().map_or(0, |r| r.status)
    }

    /// The schemes that the response offers, as sent.
    pub fn offered(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for c in &self.exchange.challenges {
            if !names.contains(&c.scheme_as_sent.as_str()) {
                names.push(&c.scheme_as_sent);
            }
        }
        names
    }

    /// An AUTHENTICATE was refused, or answered by an error that may be a refusal.
    pub const fn authenticate_failed(&self) -> bool {
        matches!((self.request, self.answer), (Event::Authenticate, Event::Refused | Event::Undecided))
    }

    /// Everything that the server needs to judge the credentials had come, in order, and is looked at.
    pub fn came_whole(&self) -> bool {
        match self.request {
            Event::Authenticate => {
                let somebody = self.authenticate().is_some_and(|a| a.response != NtlmResponse::Anonymous);
                somebody && self.user.is_some() && self.in_sequence()
            }
            // Credentials of a scheme that is not offered are never looked at.
            Event::Credentials => {
                matches!(self.scheme, Some("basic" | "digest"))
                    && self.user.is_some()
                    && self.scheme_offered()
                    && !self.is_stale()
            }
            _ => false,
        }
    }

    /// Its AUTHENTICATE answers the challenge that waits on its own connection, and nothing came in between.
    pub const fn in_sequence(&self) -> bool {
        matches!(&self.verdict, Some(Verdict::Here(c, _)) if c.interrupted_by.is_none())
    }

    /// The response says that the nonce was too old, and not that the credentials are wrong (RFC 7616 section 3.3).
    pub fn is_stale(&self) -> bool {
        let mut challenges = self.exchange.challenges.iter();
        challenges.any(|c| c.param("stale").is_some_and(|v| v.eq_ignore_ascii_case("true")))
    }

    /// The server offers the scheme of this request's credentials.
    pub fn scheme_offered(&self) -> bool {
        let scheme = self.exchange.authorization.as_ref().map(|a| &a.scheme);
        self.exchange.challenges.iter().any(|c| Some(&c.scheme) == scheme)
    }
}
