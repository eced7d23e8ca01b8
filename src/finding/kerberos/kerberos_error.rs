//! See the page below.

use std::net::IpAddr;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::clock::{ALLOWED, server_date, span};
use crate::finding::shared::ticket::{ETYPE_NOSUPP, SKEW, WRONG_KEY, ap_req, described, error_name, krb_error};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::iis::code;
use crate::model::Stamp;
use crate::model::finding::Basis;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The server refused a Kerberos ticket and said why: a KRB-ERROR in the 401.
    ///
    /// ## What authtap saw
    /// The KRB-ERROR itself, whose text is not encrypted: its code, the server's time, and the name that the server used.
    ///
    /// ## Why it breaks
    /// That depends on the code; `authtap explain KRB_AP_ERR_…` tells what each means in front of a web server. Frequent ones:
    /// KRB_AP_ERR_TKT_EXPIRED (32), an expired ticket that the client did not renew; KRB_AP_ERR_TKT_NYV (33), a ticket from
    /// the future, that is, clocks; KRB_AP_ERR_REPEAT (34), a message that was used before.
    ///
    /// ## Fix
    /// - 32: on the client `klist purge`, or log on again; a service that runs for long must renew its tickets. Where the summary says that the server's `Date` is off, mend the server's clock first.
    /// - 33: compare the clocks (`w32tm /stripchart /computer:DC /samples:3`).
    /// - 34: something repeats requests; see `kerberos-replay`.
    /// - Others: `authtap explain CODE`, and *Event Viewer > Windows Logs > System*, source *Security-Kerberos*, on the server.
    ///
    /// ## Not this when
    /// The code says that the key is wrong (`kerberos-wrong-key`), that clocks differ (`kerberos-clock-skew`), or that the
    /// encryption type is not taken (`kerberos-encryption-type`): these have pages of their own. Or an expired ticket (32) was
    /// renewed, and its client let in within ten seconds.
    ///
    /// ## References
    /// - RFC 4120 sections 5.9.1 and 7.5.9
    slug: "kerberos-error",
    title: "The server refused a Kerberos ticket with an error of its own",
    severity: High,
    basis: Observed,
    schemes: ["kerberos"],
    cause: Directory,
    consequence_of: [],
    yields_to: ["kerberos-replay"],
    since: "0.1.0",
}

/// KRB_AP_ERR_TKT_EXPIRED.
const EXPIRED: i32 = 32;
/// A client that renews an expired ticket is let in with the new one within this time.
const RENEWED: Duration = Duration::from_secs(10);

/// Counts each client's errors.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    seen: Memory<(IpAddr, i32), u32>,
    /// First expired tickets, which their clients may renew.
    held: Memory<IpAddr, Draft>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.seen.len() + self.held.len()
    }

    fn forgotten(&self) -> u64 {
        self.seen.forgotten() + self.held.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if self.held.len() > 0 && turn.is_accepted() && ap_req(turn).is_some() {
            if self.held.remove(&turn.party).is_some() {
                self.seen.remove(&(turn.party, EXPIRED));
            }
            return;
        }
        let Some((error, number)) = krb_error(turn).and_then(|e| Some((e, e.error_code?))) else { return };
        if turn.status() != 401 || number == SKEW || number == ETYPE_NOSUPP || WRONG_KEY.contains(&number) {
            return;
        }
        let count = self.seen.entry((turn.party, number), turn.at(), view, || 0);
        *count += 1;
        if !count.is_power_of_two() {
            return;
        }
        let times = if *count > 1 { format!(" ({count} times so far)") } else { String::new() };
        let clock = clock(number, turn).unwrap_or_default();
        let means = code::kerberos(number).map(|row| format!(": {}", row.text.means.trim_end_matches('.')));
        let ticket = ap_req(turn).map(|t| format!("the ticket for {}", described(t)));
        let draft = Draft::new(
            Basis::Observed,
            format!(
                "The server answered {} to {} from {} on connection {}{times}{}.{clock}",
                error_name(error),
                ticket.unwrap_or_else(|| "a token".to_owned()),
                turn.party,
                turn.exchange.connection,
                means.unwrap_or_default()
            ),
            Place::response(turn).says(format!("KRB-ERROR {}", error_name(error))),
        )
        .scheme(Some("kerberos"))
        .and(Place::request(turn).says("the message that it answers"));
        if number == EXPIRED && *count == 1 {
            self.held.entry(turn.party, turn.at(), view, || draft);
        } else {
            if number == EXPIRED {
                // The second says it too.
                self.held.remove(&turn.party);
            }
            out.raise(turn.at(), draft);
        }
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, out: &mut Raise<'_>) {
        while let Some((_, draft)) = self.held.pop_unused(now, RENEWED) {
            out.raise(now, draft);
        }
    }

    fn on_stop(&mut self, at: Stamp, _view: &View<'_>, out: &mut Raise<'_>) {
        for (_, draft) in self.held.drain() {
            out.raise(at, draft);
        }
    }
}

/// A ticket looks expired, or not yet valid, to a server whose own clock is wrong.
fn clock(error: i32, turn: &Turn) -> Option<String> {
    if !matches!(error, 32 | 33) {
        return None;
    }
    let (server, here) = (server_date(turn)?, turn.at());
    let ahead = server >= here;
    let seconds = if ahead { server.since(here) } else { here.since(server) }.as_secs();
    let which = if ahead { "ahead of" } else { "behind" };
    let told = format!(
        " The server's `Date` is {} {which} authtap's clock: the server's clock may be the cause.",
        span(seconds)
    );
    (seconds > ALLOWED).then_some(told)
}
