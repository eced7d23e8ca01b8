//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::scope::{AnyCase, is_address, key, name_of};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::auth::{NtlmAuthenticate, NtlmResponse, Scheme};
use crate::model::finding::Basis;
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A Windows client logged on by NTLM inside `Negotiate`, where it could have used Kerberos: it got no ticket for this
    /// host. NTLM is weaker, costs the domain controllers a call for each logon, cannot be passed on to a back end, and
    /// depends on the connection.
    ///
    /// ## What authtap saw
    /// An AUTHENTICATE under the scheme `Negotiate` from a Windows client (only its messages carry a machine id), and a
    /// reason to expect Kerberos: `Host` is an address, for which there is no ticket; or others log on to the same host by
    /// Kerberos; or the user is of the server's own domain. It is told once for each client and host.
    ///
    /// ## Why it breaks
    /// Kerberos needs a service principal name for what the user typed. For an address there is none by default; for an
    /// alias, a new name or a name with a port there may be none yet. Without a domain controller in reach, or with the site
    /// outside the *Local intranet* zone, no ticket is asked for. Windows then turns to NTLM without a word.
    ///
    /// ## Fix
    /// - An address: ask by the host's name.
    /// - A name without SPN: `setspn -Q HTTP/HOST`; register it with `setspn -S HTTP/HOST ACCOUNT`, the account that the application pool runs as (with kernel-mode authentication: the computer, unless `useAppPoolCredentials` is on).
    /// - An alias (CNAME): browsers ask for the canonical name's ticket; register the SPN for that name, or make the alias an A record with an SPN of its own.
    /// - One client alone: `klist get HTTP/HOST` on it says why it gets no ticket; look at its domain membership, DNS, clock, and its zone (*Site to Zone Assignment List*).
    ///
    /// Afterwards the client's first token is a Kerberos AP-REQ.
    ///
    /// ## Not this when
    /// The client is no Windows, or came with typed credentials of another domain: programs that were given a name and a
    /// password use NTLM on purpose. A client on the server's own machine uses NTLM by design. The scheme `NTLM` is no
    /// fallback: there the client was never asked for Kerberos.
    ///
    /// ## References
    /// - RFC 4559; MS-SPNG (product notes: an NTLM token instead of a SPNEGO token)
    /// - Microsoft: *Troubleshoot Kerberos failures in Internet Explorer*
    slug: "ntlm-fallback",
    title: "A client fell back from Kerberos to NTLM inside Negotiate",
    severity: Low,
    basis: Observed,
    schemes: ["negotiate-ntlm"],
    cause: Directory,
    consequence_of: [],
    since: "0.1.0",
}

/// Somebody's Kerberos logon that was accepted on a host.
#[derive(Debug, Clone, Copy)]
struct Sibling {
    connection: ConnectionId,
    exchange: ExchangeNo,
    at: Stamp,
}

/// Looks at each NTLM logon inside `Negotiate`.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    /// The last accepted Kerberos logon on each host.
    kerberos: Memory<u64, Sibling>,
    told: Memory<u64, ()>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.kerberos.len() + self.told.len()
    }

    fn forgotten(&self) -> u64 {
        self.kerberos.forgotten() + self.told.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let e = &turn.exchange;
        let accepted = matches!(turn.answer, Event::Accepted | Event::AcceptedOnce);
        match turn.request {
            Event::Token if accepted && turn.scheme == Some("kerberos") => {
                let Some(host) = name_of(turn) else { return };
                let sibling = Sibling { connection: e.connection, exchange: e.exchange, at: turn.at() };
                *self.kerberos.entry(key(AnyCase(host)), turn.at(), view, || sibling) = sibling;
            }
            Event::Authenticate if accepted || turn.answer == Event::Refused => self.logon(turn, view, out),
            _ => {}
        }
    }
}

impl Detector {
    fn logon(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let e = &turn.exchange;
        if e.authorization.as_ref().is_none_or(|field| field.scheme != Scheme::Negotiate) || turn.peer.is_loopback() {
            return;
        }
        let (Some(message), Some(host)) = (turn.authenticate(), name_of(turn)) else { return };
        if !is_windows(message) || !turn.in_sequence() {
            return;
        }
        let subject = key((turn.party, AnyCase(&message.workstation), AnyCase(host)));
        if self.told.get(&subject).is_some() {
            return;
        }
        let sibling = self.kerberos.get(&key(AnyCase(host))).copied();
        let reason = if is_address(host) {
            format!("{host} is an address, and Kerberos has no ticket for addresses by default")
        } else if let Some(s) = sibling {
            format!(
                "others log on to {host} by Kerberos (connection {}), so the name has its SPN and this client gets no \
                 ticket",
                s.connection
            )
        } else if of_the_servers_domain(message) {
            format!(
                "the user is of the server's own domain; nobody has logged on to {host} by Kerberos in this watch, so \
                 that name may have no SPN"
            )
        } else {
            return;
        };
        self.told.entry(subject, turn.at(), view, || ());
        out.raise(
            turn.at(),
            Draft::new(
                Basis::Observed,
                format!(
                    "The Windows client {} ({}) used NTLM inside Negotiate for {} on {host}, connection {}: {reason}.",
                    turn.party,
                    if message.workstation.is_empty() { "without a name" } else { &message.workstation },
                    turn.user.as_deref().unwrap_or("a user without a name"),
                    e.connection
                ),
                Place::request(turn)
                    .says(format!("Authorization: Negotiate with NTLM's AUTHENTICATE, for Host {host}")),
            )
            .scheme(turn.scheme)
            .and_if(sibling.map(|s| {
                Place::new(s.connection, Some(s.exchange), "response", s.at).says("a Kerberos logon on the same host")
            })),
        );
    }
}

/// Only Windows' own messages carry the machine's id beside VERSION (MsvAvSingleHost).
fn is_windows(message: &NtlmAuthenticate) -> bool {
    let machine = message.target_info.as_ref().is_some_and(|i| i.machine.is_some());
    machine && message.version.is_some() && message.response == NtlmResponse::V2 && !message.user.is_empty()
}

fn of_the_servers_domain(message: &NtlmAuthenticate) -> bool {
    let Some(info) = &message.target_info else { return false };
    let domains = [&info.nb_domain_name, &info.dns_domain_name];
    !message.domain.is_empty() && domains.into_iter().flatten().any(|d| d.eq_ignore_ascii_case(&message.domain))
}
