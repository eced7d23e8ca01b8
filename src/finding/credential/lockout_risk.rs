//! See the page below.

use std::collections::VecDeque;

use crate::finding::memory::Memory;
use crate::finding::shared::refusal::may_be_credentials;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::model::user::UserKey;
use crate::model::{ConnectionId, Stamp};
use crate::track::connection::Connection;
use crate::track::handshake::{Event, Meaning};
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// One user's logons are refused again and again in a short time. A domain that locks accounts after so many
    /// failures will soon lock this one.
    ///
    /// ## What authtap saw
    /// At least `lockout-threshold` refused logons of one user within `lockout-window` (4 in 10 minutes by default),
    /// with none accepted in between. It is told at the threshold and each time the number doubles.
    ///
    /// ## Why it breaks
    /// Every refused response that reaches a domain controller counts. A pool that mixes handshakes makes refusals
    /// though nobody typed a wrong password; the summary says how many of them were torn apart.
    ///
    /// ## Fix
    /// - When the handshakes were torn apart or interleaved: mend that first (see those findings); a right password is refused that way as well.
    /// - Otherwise find the client that repeats an old password: the evidence names the connections and their addresses. A service, a mapped drive or a phone keeps trying (*Services > Log On*, Credential Manager, scheduled tasks).
    /// - A locked account: *Active Directory Users and Computers > Account > Unlock account*, or `Unlock-ADAccount`; event 4740 on the domain controller names the machine that caused it.
    ///
    /// ## Not this when
    /// The user mistyped and then got in: an accepted logon starts the count anew. Credentials of a scheme that the server
    /// does not offer are never checked, and a user who was accepted before and is refused one resource lacks a permission.
    ///
    /// ## References
    /// - Windows *Account lockout policy*
    slug: "lockout-risk",
    title: "Repeated refused logons may lock an account",
    severity: High,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm", "basic", "digest"],
    cause: Credentials,
    consequence_of: ["handshake-split-across-connections", "handshake-interleaved", "handshake-changed-node", "credentials-rejected"],
    since: "0.1.0",
}

/// So many refusals are kept for each of them.
const MOST_REFUSALS: usize = 256;

/// One refusal.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    at: Stamp,
    connection: ConnectionId,
    exchange: u32,
    torn: bool,
}

/// One user's refusals.
#[derive(Debug, Default)]
struct User {
    refusals: VecDeque<Refusal>,
    told_at: usize,
}

/// Counts each user's refusals.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    users: Memory<UserKey, User>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.users.len()
    }

    fn forgotten(&self) -> u64 {
        self.users.forgotten()
    }

    fn on_time(&mut self, now: Stamp, view: &View<'_>, _out: &mut Raise<'_>) {
        self.users.expire(now, view.settings.lockout_window);
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(name) = &turn.user else { return };
        if matches!(turn.meaning(), Meaning::Logon | Meaning::LogonOnce) {
            if self.users.len() > 0 {
                self.users.remove(&UserKey::of(name));
            }
            return;
        }
        let apart = turn.request == Event::Authenticate && !turn.in_sequence();
        if turn.answer != Event::Refused || !(apart || turn.came_whole()) || !may_be_credentials(turn) {
            return;
        }
        // Who got in before and is refused now is known to the server: that is a permission, and locks nothing.
        if !apart && view.site.was_accepted(name) {
            return;
        }
        let at = turn.exchange.times.response_head.unwrap_or_default();
        let window = view.settings.lockout_window;
        let user = self.users.entry(UserKey::of(name), at, view, User::default);
        user.refusals.push_back(Refusal {
            at,
            connection: turn.exchange.connection,
            exchange: turn.exchange.exchange,
            torn: apart,
        });
        while user.refusals.len() > MOST_REFUSALS || user.refusals.front().is_some_and(|r| at.since(r.at) > window) {
            user.refusals.pop_front();
        }
        let count = user.refusals.len();
        if count < user.told_at {
            user.told_at = 0;
        }
        let threshold = usize::try_from(view.settings.lockout_threshold).unwrap_or(usize::MAX).max(1);
        let next = if user.told_at == 0 { threshold } else { user.told_at * 2 };
        if count < next {
            return;
        }
        user.told_at = count;
        let own_certificate =
            view.site.connection(turn.exchange.connection).and_then(Connection::certificates_differ) == Some(true);
        let count_torn = user.refusals.iter().filter(|r| r.torn).count();
        let cause = match count_torn {
            0 if own_certificate => {
                "each came whole, and authtap shows clients another certificate than the server's: with Extended \
                 Protection that alone is the cause"
                    .to_owned()
            }
            0 => "each came whole, so it is most likely the account or its password".to_owned(),
            n if n == count => {
                "all of them were torn apart on the way, which refuses a right password as well".to_owned()
            }
            n => format!("{n} of them were torn apart on the way, and the others came whole"),
        };
        let span = user.refusals.front().map_or(0, |r| at.since(r.at).as_secs());
        let mut draft = Draft::new(
            Basis::Observed,
            format!("{count} logons of {name} were refused within {span} s and none was accepted; {cause}."),
            Place::response(turn).says(format!("refusal number {count} of {name}")),
        )
        .scheme(turn.scheme);
        for r in user.refusals.iter().rev().skip(1).take(4) {
            draft = draft.and(
                Place::new(r.connection, Some(r.exchange), "response", r.at)
                    .says("an earlier refusal of the same user"),
            );
        }
        out.raise(at, draft);
    }
}
