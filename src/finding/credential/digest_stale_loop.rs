//! See the page below.

use std::net::IpAddr;

use crate::finding::memory::Memory;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::{Basis, Evidence};
use crate::model::user::UserKey;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The server calls each nonce stale, again and again: the client answers the new one, and is told the same.
    ///
    /// ## What authtap saw
    /// Three or more refusals in a row with `stale=true` for one user of one client, and no acceptance between them.
    ///
    /// ## Why it breaks
    /// `stale=true` says that the credentials were right and only the nonce too old. When the next nonce is stale as well,
    /// nobody remembers the nonces: several servers behind one name, each with its own; an application pool that recycles; or a
    /// client that goes on using the first nonce.
    ///
    /// ## Fix
    /// - A farm: keep a client on one server for as long as its nonce lives (source address or cookie affinity in the load balancer), or use Windows authentication.
    /// - One server: *Event Viewer > System* for recycling of the application pool; a web garden (`processModel.maxProcesses` above 1) has one memory for each process.
    /// - Client: a newer version, which uses the nonce of the last challenge and counts `nc` up.
    ///
    /// ## Not this when
    /// One stale nonce is answered and accepted: that is how Digest renews them.
    ///
    /// ## References
    /// - RFC 7616 sections 3.3 (`stale`) and 3.4 (`nc`)
    slug: "digest-stale-loop",
    title: "Every Digest nonce is called stale",
    severity: Medium,
    basis: Observed,
    schemes: ["digest"],
    cause: Server,
    consequence_of: [],
    since: "0.1.0",
}

/// So many in a row are no renewal any more.
const ENOUGH: u32 = 3;

/// Stale answers in a row.
#[derive(Debug, Default)]
struct Run {
    count: u32,
    before: Option<Evidence>,
}

/// Counts each user's stale answers.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    runs: Memory<(IpAddr, UserKey), Run>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.runs.len()
    }

    fn forgotten(&self) -> u64 {
        self.runs.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if turn.scheme != Some("digest") || turn.request != Event::Credentials {
            return;
        }
        let Some(user) = &turn.user else { return };
        let key = (turn.party, UserKey::of(user));
        if turn.answer != Event::Refused || !turn.is_stale() {
            self.runs.remove(&key);
            return;
        }
        let run = self.runs.entry(key, turn.at(), view, Run::default);
        run.count += 1;
        let here = Place::response(turn).says("401 with `stale=true`");
        if run.count < ENOUGH || (run.count > ENOUGH && !run.count.is_power_of_two()) {
            run.before = Some(here);
            return;
        }
        let servers = turn.response_header("server").map(|s| format!(" (`Server: {s}`)")).unwrap_or_default();
        out.raise(
            turn.at(),
            Draft::new(
                Basis::Observed,
                format!(
                    "The server{servers} called {} nonces in a row stale for {user} from {}, the last on connection {}: \
                     either nobody remembers its nonces, or the client goes on using an old one.",
                    run.count, turn.party, turn.exchange.connection
                ),
                here,
            )
            .scheme(Some("digest"))
            .and_if(run.before.clone()),
        );
    }
}
