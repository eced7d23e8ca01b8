//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::refusal::Refusal;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::{Basis, Evidence};
use crate::model::short::short;
use crate::model::user::UserKey;
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::token::channel_binding::{Binding, of_authenticate};
use crate::track::connection::Connection;
use crate::track::handshake::Event;
use crate::track::turn::Turn;
use std::net::IpAddr;

finding! {
    /// ## What it is
    /// The server knows who the user is, and refuses this resource all the same: a permission, and no password. The
    /// client hears 401 either way, so it prompts, and no password will ever be right.
    ///
    /// ## What authtap saw
    /// `observed`: the same user, from the same client, was accepted at another path within the last ten minutes, and is
    /// refused here with whole credentials; for Kerberos, whose user cannot be seen, the same ticket was accepted. Or the 401
    /// itself holds the server's last message of a successful logon (SPNEGO `accept-completed`, AP-REP). `inferred`:
    /// IIS's detailed page says 401.3, and no acceptance was seen; or the logon came over TLS, was accepted in another
    /// application only, and Extended Protection of this one may be the reason as well.
    ///
    /// ## Why it breaks
    /// After the logon IIS opens the file as that user, and NTFS says no (401.3, error 5); or the application refuses
    /// with 401 where 403 would be right. Browsers answer any 401 with a prompt.
    ///
    /// ## Fix
    /// - Files: give the user or group *Read* on the folder (*Explorer > Properties > Security*, or `icacls FOLDER /grant "DOMAIN\group:(OI)(CI)RX"`). With impersonation the user needs it, without it the application pool's account does.
    /// - *Edit Permissions > Effective access* for that user on that folder tells whether NTFS is the cause.
    /// - URL rules: *site > Authorization Rules* in IIS Manager, or `<authorization>` in web.config of that folder.
    /// - The application: look in its own log; an `[Authorize]` rule that answers 401 to a known user should answer 403.
    ///
    /// Afterwards the user gets 200 there, or an honest 403.
    ///
    /// ## Not this when
    /// The application asks for another user on purpose, as SharePoint's *Sign in as Different User* does. Or the user is
    /// accepted nowhere (`credentials-rejected`), the refused path was accepted before for the same user
    /// (then the password may have changed), or the page says 401.4 or 401.5 (`denied-by-filter-or-application`).
    ///
    /// ## References
    /// - KB 943891 (401.3); RFC 9110 sections 15.5.2 and 15.5.4
    slug: "access-denied-after-logon",
    title: "The user is logged on, and may not have this resource",
    severity: High,
    basis: Observed,
    schemes: [],
    cause: Permission,
    consequence_of: [],
    yields_to: ["channel-binding-mismatch", "channel-binding-foreign", "channel-binding-missing"],
    since: "0.1.0",
}

/// An acceptance so long ago proves nothing about the password of now.
const LATELY: std::time::Duration = std::time::Duration::from_mins(10);

/// Whom the server knows: by name, or by ticket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    User(UserKey),
    Ticket(String),
}

impl Who {
    fn of(turn: &Turn) -> Option<Self> {
        if let Some(user) = &turn.user {
            return Some(Self::User(UserKey::of(user)));
        }
        let kerberos = turn.exchange.authorization.as_ref()?.kerberos()?;
        kerberos.ticket.clone().map(Self::Ticket)
    }
}

/// Where somebody was accepted last.
#[derive(Debug)]
struct Accepted {
    /// Hash over the path.
    path: u64,
    /// The path, and the line of its request.
    shown: Shown,
    connection: ConnectionId,
    exchange: ExchangeNo,
    status: u16,
    at: Stamp,
}

#[derive(Debug)]
struct Shown {
    path: String,
    line: String,
}

impl Accepted {
    fn evidence(&self, name: &str) -> Evidence {
        let says = format!("{} to {}: {name} is known to the server", self.status, self.shown.line);
        Place::new(self.connection, Some(self.exchange), "response", self.at).says(says)
    }
}

/// Remembers who was accepted where.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    accepted: Memory<(Who, IpAddr), Vec<Accepted>>,
}

/// So many paths of one user are remembered.
const PATHS: usize = 8;

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.accepted.len()
    }

    fn forgotten(&self) -> u64 {
        self.accepted.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        if turn.request == Event::Bare
            || !matches!(turn.answer, Event::Accepted | Event::AcceptedOnce)
            || !(200..300).contains(&turn.status())
        {
            return;
        }
        let Some(who) = Who::of(turn) else { return };
        let (at, path) = (turn.at(), turn.path_hash());
        let list = self.accepted.entry((who, turn.party), at, view, Vec::new);
        let known = list.iter().position(|a| a.path == path).map(|at| list.remove(at).shown);
        if list.len() >= PATHS {
            list.remove(0);
        }
        let shown = known.unwrap_or_else(|| Shown { path: short(turn.path()).into_owned(), line: turn.request_line() });
        let e = &turn.exchange;
        let (connection, exchange, status) = (e.connection, e.exchange, turn.status());
        list.push(Accepted { path, shown, connection, exchange, status, at });
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if turn.status() != 401 || turn.answer == Event::Challenge {
            return;
        }
        let refusal = Refusal::of(turn);
        let said = refusal.filter(|r| r.pair() == (401, 3));
        // Another substatus is another defect.
        if refusal.is_some() && said.is_none() {
            return;
        }
        // The server's last message of the logon came in this 401.
        let completed = turn.answer == Event::AcceptedOnce && turn.request != Event::Bare;
        let whole = turn.answer == Event::Refused
            && (turn.came_whole() || (turn.request == Event::Token && turn.scheme == Some("kerberos")));
        // Without anybody logged on it is the anonymous account that may not have it: so a logon begins.
        let known = turn.logon_before.is_some() || turn.user_before.is_some();
        let named = said.and_then(|r| r.logon_user()).is_some_and(|user| user != "Anonymous");
        let bare = turn.request == Event::Bare && said.is_some() && (known || named);
        if !whole && !bare && !completed {
            return;
        }
        let (at, path) = (turn.at(), turn.path_hash());
        let logged_on = turn.user.clone().or_else(|| turn.user_before.clone());
        let who = Who::of(turn).or_else(|| logged_on.as_deref().map(|u| Who::User(UserKey::of(u))));
        let list = who.as_ref().and_then(|who| self.accepted.get(&(who.clone(), turn.party)));
        let list = list.map_or(&[][..], Vec::as_slice);
        if said.is_none() && !completed && list.iter().any(|a| a.path == path) {
            return;
        }
        let elsewhere = list.iter().rev().find(|a| a.path != path && at.since(a.at) <= LATELY);
        let basis = match (said, elsewhere) {
            (None, Some(a))
                if !completed && may_be_binding(turn, view) && !one_application(&a.shown.path, turn.path()) =>
            {
                Basis::Inferred
            }
            (_, Some(_)) => Basis::Observed,
            _ if completed => Basis::Observed,
            (Some(_), None) => Basis::Inferred,
            (None, None) => return,
        };
        let name = logged_on.as_deref().map(str::to_owned);
        let name = name.or_else(|| said.and_then(|r| r.logon_user()).map(str::to_owned));
        let name = name.unwrap_or_else(|| match &who {
            Some(Who::Ticket(_)) => "the owner of a Kerberos ticket".to_owned(),
            _ => "a user who is logged on".to_owned(),
        });
        let how = match (elsewhere, said) {
            (Some(a), Some(r)) => format!("{}, and the same user was accepted at {} before", r.says(), a.shown.path),
            (Some(a), None) => {
                format!("the same user was accepted at {} {} s before", a.shown.path, at.since(a.at).as_secs())
            }
            (None, Some(r)) => r.says(),
            (None, None) => "the message that completes the logon came in that very 401".to_owned(),
        };
        let so = if said.is_some() || completed {
            "It is a permission, and not the password"
        } else if basis == Basis::Inferred {
            "Most likely it is not the password but a permission, or else Extended Protection, which this application may \
             require and the other one not"
        } else {
            "Most likely it is not the password but a permission, unless the application asks for another user on purpose"
        };
        let draft = Draft::new(
            basis,
            format!(
                "{name} from {} may not have {} (connection {}): {how}. {so}.",
                turn.party,
                turn.request_line(),
                turn.exchange.connection
            ),
            Place::response(turn).says("401 to a user whom the server knows"),
        )
        .scheme(turn.scheme)
        .and_if(elsewhere.map(|a| a.evidence(turn.user.as_deref().unwrap_or("the ticket"))));
        out.raise(at, draft);
    }
}

/// Extended Protection may refuse it: it came over TLS without a binding to the server's certificate, or with one that
/// Kerberos hides.
fn may_be_binding(turn: &Turn, view: &View<'_>) -> bool {
    let Some(tls) = view.site.connection(turn.exchange.connection).and_then(Connection::upstream_tls) else {
        return false;
    };
    let start = view.site.start().and_then(|s| s.upstream_certificate.as_ref());
    let own = tls.certificate.as_ref().or(start).map_or(&[][..], |c| &c.channel_bindings);
    match turn.authenticate() {
        Some(a) => of_authenticate(a, &[], own) != Some(Binding::ToServer),
        None => turn.request == Event::Token,
    }
}

/// Two paths with the same first segment: settings of authentication are made per application.
fn one_application(a: &str, b: &str) -> bool {
    let first = |path: &str| path.split('/').find(|s| !s.is_empty()).unwrap_or_default().to_ascii_lowercase();
    first(a) == first(b)
}
