//! How handshakes end: what becomes of the legs, and what is told.

use super::challenges::{Challenge, OwnLeg, Verdict};
use super::handshake::Event;
use super::leg;
use super::site::Site;
use super::turn::Turn;
use crate::model::event::{Exchange, Handshake, Leg, Link, LinkProof, Outcome};

impl Site {
    /// Whether a handshake ended with this exchange, and how.
    pub(super) fn concluded(&mut self, turn: &Turn) -> Option<Handshake> {
        let pending = self.take_pending(turn.exchange.connection);
        match (turn.request, pending) {
            (Event::Token, Some(mut handshake)) => {
                handshake.legs.push(request_leg(&turn.exchange, "TOKEN"));
                handshake.outcome = outcome(turn.answer, true);
                self.unless_more_is_wanted(turn, *handshake)
            }
            (Event::Bare, pending) => pending.map(|h| Handshake { outcome: Outcome::Abandoned, ..*h }),
            (Event::Authenticate, _) => {
                let handshake = self.authenticate_concluded(turn);
                self.unless_more_is_wanted(turn, handshake)
            }
            (Event::Negotiate, _) if turn.answer != Event::Refused => None,
            (Event::Token, _) if turn.answer == Event::Continue => None,
            _ => self.single_leg_concluded(turn),
        }
    }

    /// SPNEGO may want one more round (request-mic): the handshake then waits for it.
    fn unless_more_is_wanted(&mut self, turn: &Turn, handshake: Handshake) -> Option<Handshake> {
        if turn.answer != Event::Continue {
            return Some(handshake);
        }
        self.keep_pending(turn.exchange.connection, handshake);
        None
    }

    /// A ticket, or credentials that come whole in one request.
    fn single_leg_concluded(&mut self, turn: &Turn) -> Option<Handshake> {
        let accepted = matches!(turn.answer, Event::Accepted | Event::AcceptedOnce);
        let again = accepted && turn.user.is_some() && turn.user == turn.user_before;
        if turn.request == Event::Credentials && (again || turn.is_stale()) {
            // Basic and its like come with each request: once a user and connection is enough.
            return None;
        }
        let field = turn.exchange.authorization.as_ref()?;
        let name = if field.kerberos().is_some() { "AP-REQ" } else { leg::request_name(turn.request) };
        Some(Handshake {
            handshake: self.next_handshake(),
            scheme: leg::scheme(field).to_owned(),
            outcome: outcome(turn.answer, true),
            user: turn.user.as_deref().map(str::to_owned),
            server: field.kerberos().and_then(|k| k.sname.clone()),
            legs: vec![request_leg(&turn.exchange, name)],
            links: Vec::new(),
        })
    }

    fn authenticate_concluded(&mut self, turn: &Turn) -> Handshake {
        let exchange = &turn.exchange;
        let here = (exchange.connection, exchange.exchange);
        let (linked, whole) = match &turn.verdict {
            Some(Verdict::Here(c, proof)) => (Some((c, *proof)), c.interrupted_by.is_none()),
            // A repetition of an answer that came where it belongs is nobody's torn handshake.
            Some(Verdict::Earlier(c, proof) | Verdict::Elsewhere(c, proof)) => (Some((c, *proof)), c.answered_here),
            _ => (None, false),
        };
        let handshake = match linked {
            Some((c, _)) if !c.concluded => c.handshake,
            _ => self.next_handshake(),
        };
        self.challenges_mut().conclude(handshake);
        let mut legs: Vec<Leg> = Vec::with_capacity(3);
        legs.extend(linked.iter().flat_map(|(c, _)| c.legs.iter()).map(OwnLeg::told));
        legs.push(request_leg(exchange, "AUTHENTICATE"));
        Handshake {
            handshake,
            scheme: linked.map(|(c, _)| c.scheme).or(turn.scheme).unwrap_or("ntlm").to_owned(),
            outcome: outcome(turn.answer, whole),
            user: turn.user.as_deref().map(str::to_owned),
            server: match (&linked, &turn.verdict) {
                (Some((c, _)), _) => c.names.server().map(str::to_owned),
                (None, Some(Verdict::Unseen { server, .. })) => server.clone(),
                _ => None,
            },
            legs,
            links: linked
                .map(|(c, proof)| Link { challenge: (c.connection, c.exchange), authenticate: here, proof })
                .into_iter()
                .collect(),
        }
    }
}

/// How a handshake ended, by its last answer. `whole`: its legs came together, in order.
const fn outcome(answer: Event, whole: bool) -> Outcome {
    match (answer, whole) {
        (Event::Accepted | Event::AcceptedOnce, _) => Outcome::Authenticated,
        (Event::Refused, true) => Outcome::Rejected,
        (Event::Refused | Event::Undecided, false) => Outcome::Broken,
        // An error that says nothing about the logon, or no answer at all: nobody knows.
        _ => Outcome::Abandoned,
    }
}

/// Whether a link on one connection proves the pairing of a handshake.
pub(super) fn is_paired(handshake: &Handshake) -> bool {
    handshake
        .links
        .iter()
        .any(|l| l.challenge.0 == l.authenticate.0 && matches!(l.proof, LinkProof::Timestamp | LinkProof::ResponseTime))
}

/// A challenge that nobody will answer any more. `seen_all`: its connection has no gap, in which an answer may have been.
pub(super) fn abandoned(challenge: &Challenge, seen_all: bool) -> Handshake {
    Handshake {
        handshake: challenge.handshake,
        scheme: challenge.scheme.to_owned(),
        outcome: if challenge.cut_by_server && seen_all { Outcome::Broken } else { Outcome::Abandoned },
        user: None,
        server: challenge.names.server().map(str::to_owned),
        legs: challenge.legs.iter().map(OwnLeg::told).collect(),
        links: Vec::new(),
    }
}

fn request_leg(exchange: &Exchange, message: &str) -> Leg {
    Leg {
        connection: exchange.connection,
        exchange: exchange.exchange,
        message: message.to_owned(),
        at: exchange.times.request_head,
    }
}
