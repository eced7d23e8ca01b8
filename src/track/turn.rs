//! One exchange as the findings see it: what it was, what it did, and what it answers.

use std::sync::Arc;

use super::challenges::{Challenge, Verdict};
use super::connection::{Logon, NamedClient};
use super::handshake::{Event, Meaning, Transition};
use crate::model::auth::{AuthField, Ntlm, NtlmAuthenticate};
use crate::model::event::{Exchange, Handshake};
use crate::model::http::Response;

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
    pub logon_before: Option<Logon>,
    /// The last user that had logged on before it, also when the server has forgotten.
    pub user_before: Option<String>,
    /// The user of its own credentials.
    pub user: Option<String>,
    /// The scheme of its own credentials, or of the handshake it goes on with.
    pub scheme: Option<&'static str>,
    /// The client that its fields name.
    pub client: Option<NamedClient>,
    /// `Persistent-Auth` of its response.
    pub persistent_auth: Option<bool>,
}

impl Turn {
    /// What it meant.
    pub const fn meaning(&self) -> Meaning {
        self.answered.meaning
    }

    /// The AUTHENTICATE that it carries.
    pub fn authenticate(&self) -> Option<&NtlmAuthenticate> {
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

    /// An AUTHENTICATE was refused.
    pub const fn authenticate_refused(&self) -> bool {
        matches!((self.request, self.answer), (Event::Authenticate, Event::Refused))
    }
}
