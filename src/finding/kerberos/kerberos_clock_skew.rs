//! See the page below.

use std::net::IpAddr;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::clock::{ALLOWED, server_date, span};
use crate::finding::shared::subject::key;
use crate::finding::shared::ticket::{SKEW, ap_req, krb_error, spn};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::finding::{Basis, Evidence};
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The clocks of the client and the server differ by more than Kerberos allows (five minutes unless configured).
    ///
    /// ## What authtap saw
    /// `observed`: a KRB-ERROR in the 401 that says KRB_AP_ERR_SKEW (37), and the client did not get in with a corrected time within
    /// half a minute. The error carries the server's time; the client's is encrypted. `suspected`: a ticket was refused without a
    /// reason, and the server's `Date` is more than five minutes off authtap's clock; then authtap's own clock may be the wrong one.
    ///
    /// ## Why it breaks
    /// The client's message holds its time, and the server refuses what is too old or too new, so that it cannot be replayed.
    ///
    /// ## Fix
    /// - On both: `w32tm /query /status` and `w32tm /stripchart /computer:DC /samples:3`; then `w32tm /resync`.
    /// - Domain members take their time from the domain (`w32tm /config /syncfromflags:domhier /update`); a virtual machine must not take it from its host as well.
    /// - The domain controller that holds the PDC emulator role needs a reliable source of its own.
    /// - Machines that are not in the domain: NTP from a domain controller.
    ///
    /// Afterwards the first AP-REQ is answered with 200.
    ///
    /// ## Not this when
    /// The client corrects its time and gets in at once, which Windows does by itself: then only the first 401 says so.
    ///
    /// ## References
    /// - RFC 4120 sections 3.2.3 and 5.9.1; MS-KILE section 2.2.2 (skew recovery)
    slug: "kerberos-clock-skew",
    title: "The clocks differ by more than Kerberos allows",
    severity: High,
    basis: Observed,
    schemes: ["kerberos"],
    cause: Directory,
    consequence_of: [],
    yields_to: ["access-denied-after-logon"],
    since: "0.1.0",
}

/// A client that corrects its time comes back within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client that was told of its clock.
#[derive(Debug)]
struct Waiting {
    at: Stamp,
    times: u32,
    summary: String,
    evidence: Evidence,
}

/// Waits for each such client's next try.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    waiting: Memory<(IpAddr, u64), Waiting>,
    suspected: Memory<u64, ()>,
}

impl Detector {
    fn tell(waiting: Waiting, at: Stamp, out: &mut Raise<'_>) {
        let times = if waiting.times > 1 { format!(" {} times", waiting.times) } else { String::new() };
        let summary = waiting.summary.replacen("{times}", &times, 1);
        out.raise(at, Draft::new(Basis::Observed, summary, waiting.evidence).scheme(Some("kerberos")));
    }
}

fn offset(server: Stamp, here: Stamp) -> (u64, &'static str) {
    if server >= here { (server.since(here).as_secs(), "ahead of") } else { (here.since(server).as_secs(), "behind") }
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.waiting.len() + self.suspected.len()
    }

    fn forgotten(&self) -> u64 {
        self.waiting.forgotten() + self.suspected.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(ticket) = ap_req(turn) else { return };
        let key = (turn.party, key(spn(ticket)));
        if matches!(turn.answer, Event::Accepted | Event::AcceptedOnce) {
            self.waiting.remove(&key);
            return;
        }
        if turn.answer != Event::Refused {
            return;
        }
        let at = turn.at();
        let Some(error) = krb_error(turn) else { return self.suspect(turn, ticket, view, out) };
        if error.error_code != Some(SKEW) {
            return;
        }
        if let Some(w) = self.waiting.get_mut(&key) {
            w.times += 1;
            return;
        }
        let server = error.server_time.as_deref().and_then(|t| t.parse::<jiff::Timestamp>().ok());
        let clock = server.map_or_else(String::new, |server| {
            let (seconds, where_) = offset(Stamp(server.as_microsecond()), at);
            format!(" The server's clock is {} {where_} authtap's; the client's time is encrypted.", span(seconds))
        });
        let summary = format!(
            "The server answered KRB_AP_ERR_SKEW (37){{times}} to the ticket of {} for {} on connection {}: the clocks of \
             client and server differ by more than the server allows (five minutes unless configured).{clock}",
            turn.party,
            spn(ticket),
            turn.exchange.connection
        );
        let evidence = Place::response(turn).says("KRB-ERROR KRB_AP_ERR_SKEW");
        self.waiting.entry(key, at, view, || Waiting { at, times: 1, summary, evidence });
    }

    fn on_time(&mut self, now: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        while let Some(((client, _), waiting)) = self.waiting.pop_unused(now, PATIENCE) {
            // What was not seen may be the corrected try.
            if !view.site.gaps().client_since(client, waiting.at) {
                Self::tell(waiting, now, out);
            }
        }
    }

    fn on_stop(&mut self, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        for ((client, _), waiting) in self.waiting.drain() {
            if !view.site.gaps().client_since(client, waiting.at) {
                Self::tell(waiting, at, out);
            }
        }
    }
}

impl Detector {
    /// A refusal without a reason, from a server whose clock is off.
    fn suspect(&mut self, turn: &Turn, ticket: &crate::model::auth::Kerberos, view: &View<'_>, out: &mut Raise<'_>) {
        if !turn.offers_windows() {
            return;
        }
        let at = turn.at();
        let Some(server) = server_date(turn) else { return };
        let (seconds, where_) = offset(server, at);
        if seconds <= ALLOWED || self.suspected.get(&key(spn(ticket))).is_some() {
            return;
        }
        self.suspected.entry(key(spn(ticket)), at, view, || ());
        out.raise(
            at,
            Draft::new(
                Basis::Suspected,
                format!(
                    "A ticket of {} for {} was refused on connection {}, and the server's `Date` is {} {where_} authtap's clock: \
                     the server's clock may be wrong, or authtap's; a wrong key or a permission would be refused alike.",
                    turn.party,
                    spn(ticket),
                    turn.exchange.connection,
                    span(seconds)
                ),
                Place::response(turn).says(format!("401 to an AP-REQ, with a `Date` that is {} off", span(seconds))),
            )
            .scheme(Some("kerberos")),
        );
    }
}
