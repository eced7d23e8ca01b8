//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::model::short::short;
use crate::model::user::UserKey;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// Two different users logged on, one after the other, on the same connection, with a scheme that belongs to the
    /// connection.
    ///
    /// ## What authtap saw
    /// A successful AUTHENTICATE of one user, and later a successful AUTHENTICATE of another one on the same connection.
    ///
    /// ## Why it breaks
    /// Between the two logons every request on that connection ran as the first user, whoever sent it. A connection
    /// that changes hands is the mark of a pool in front of the server.
    ///
    /// ## Fix
    /// See whether the two users share a machine: the AUTHENTICATE messages name the workstations. If they do not,
    /// something in front pools connections: give each client connection a server connection of its own (HAProxy
    /// `http-reuse never`; nginx without `keepalive` in that upstream; Envoy
    /// `connection_pool_per_downstream_connection: true`).
    ///
    /// ## Not this when
    /// One person typed other credentials in the same browser: then the workstation is the same, and nothing is wrong.
    /// Basic and Digest come with each request and may change freely.
    ///
    /// ## References
    /// - RFC 4559 section 6; MS-NLMP section 2.2.1.3
    slug: "identity-changed-on-connection",
    title: "A second, different user logged on on the same connection",
    severity: Medium,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm"],
    cause: Connections,
    consequence_of: ["authenticated-connection-shared"],
    denies_pairing: true,
    since: "0.1.0",
}

/// Compares each logon's user with the last one of the connection.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    last: Memory<crate::model::ConnectionId, Last>,
}

#[derive(Debug)]
struct Last {
    user: std::sync::Arc<str>,
    workstation: String,
    exchange: u32,
    at: crate::model::Stamp,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.last.len()
    }

    fn forgotten(&self) -> u64 {
        self.last.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let accepted = matches!(turn.answer, Event::Accepted | Event::AcceptedOnce);
        let (true, Some(message), Some(user)) = (accepted, turn.authenticate(), &turn.user) else { return };
        let id = turn.exchange.connection;
        let at = turn.exchange.times.response_head.unwrap_or_default();
        let now = Last {
            user: user.clone(),
            workstation: short(&message.workstation).into_owned(),
            exchange: turn.exchange.exchange,
            at,
        };
        let then = self.last.remove(&id);
        self.last.entry(id, at, view, || now);
        let Some(then) = then else { return };
        if UserKey::of(&then.user) == UserKey::of(user) {
            return;
        }
        let machines = match (then.workstation.as_str(), &*short(&message.workstation)) {
            ("", _) | (_, "") => "the messages do not name both workstations".to_owned(),
            (a, b) if a.eq_ignore_ascii_case(b) => {
                format!("both name the workstation {a}, so it may be one person with two accounts")
            }
            (a, b) => format!("they name different workstations, {a} and {b}, so the connection changed hands"),
        };
        out.raise(
            at,
            Draft::new(
                Basis::Observed,
                format!("Connection {id} was logged on as {} and then as {user}; {machines}.", then.user),
                Place::request(turn).says(format!("AUTHENTICATE of {user}, accepted")),
            )
            .scheme(turn.scheme)
            .and(
                Place::new(id, Some(then.exchange), "AUTHENTICATE", then.at)
                    .says(format!("AUTHENTICATE of {}, accepted before", then.user)),
            ),
        );
    }

    fn on_close(
        &mut self,
        closed: &crate::track::site::Closed,
        _at: crate::model::Stamp,
        _: &View<'_>,
        _: &mut Raise<'_>,
    ) {
        self.last.remove(&closed.close.connection);
    }
}
