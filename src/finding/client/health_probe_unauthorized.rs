//! See the page below.

use std::collections::VecDeque;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::track::asker;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A load balancer or a monitor asks for a protected page in a regular rhythm, has no credentials, and gets 401 each
    /// time. Most balancers take that for a dead server and send users elsewhere, or nowhere (502, 503).
    ///
    /// ## What authtap saw
    /// At least five requests of one address, `User-Agent` and path, in steps that differ from their mean by a fifth at
    /// most; without cookies and without any sign of a browser; each answered by 401; and never any credentials from that
    /// address and `User-Agent`.
    ///
    /// ## Why it breaks
    /// The probe asks for a path that needs a logon, and a probe cannot log on. IIS logs `401 2 5` for each of them; they
    /// fill the log and hide those that matter.
    ///
    /// ## Fix
    /// - Give the probe a page of its own, and let anybody read it: a folder `health` with a static file, *Anonymous Authentication* enabled and *Windows Authentication* disabled for it (`appcmd set config "SITE/health" /section:anonymousAuthentication /enabled:true /commit:apphost`, likewise `windowsAuthentication /enabled:false`).
    /// - Or let the probe take 401 for a sign of life: HAProxy `http-check expect status 401`; F5 BIG-IP monitor receive string `401`; NetScaler monitor `-respCode 401`; Azure Application Gateway, custom probe with *match* status `200-399,401`; AWS target group *Success codes* `200,401`.
    /// - ARR: *Server Farms > farm > Health Test*, with the URL of the open page.
    ///
    /// Afterwards that path answers 200 without a challenge.
    ///
    /// ## Not this when
    /// The sender is no probe but a program that asks regularly and lacks its credentials: the wire looks the same, hence
    /// `inferred`. A rhythm of a person or a browser is not that even; both are not reported.
    ///
    /// ## References
    /// - RFC 9110 section 15.5.2
    /// - Microsoft, *Troubleshoot backend health issues in Application Gateway*
    slug: "health-probe-unauthorized",
    title: "A regular probe asks for a protected page, and is refused each time",
    severity: Low,
    basis: Inferred,
    schemes: [],
    cause: Client,
    consequence_of: [],
    since: "0.1.0",
}

/// So many requests make four steps.
const REQUESTS: usize = 5;
/// Faster than that is no probe, but something that hammers.
const FASTEST: Duration = Duration::from_millis(500);
/// Slower than that cannot be told from chance in an hour.
const SLOWEST: Duration = Duration::from_mins(15);
/// So many paths of one sender are looked at.
const MOST_PATHS: usize = 4;
/// A sender that was quiet for so long is forgotten.
const MEMORY: Duration = Duration::from_hours(1);

/// One sender: an address and a `User-Agent`.
#[derive(Debug, Default)]
struct Sender {
    /// It sent credentials once: no probe.
    has_credentials: bool,
    probes: Vec<Probe>,
}

/// One path that a sender asks for again and again.
#[derive(Debug)]
struct Probe {
    /// Hash over the path.
    path: u64,
    times: VecDeque<Stamp>,
    count: u32,
    first: (ConnectionId, ExchangeNo, Stamp),
    told: bool,
}

/// Looks at the rhythm of those who never send credentials.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    senders: Memory<asker::Sender, Sender>,
}

/// Fields that browsers send and probes do not.
fn is_a_persons(turn: &Turn) -> bool {
    ["cookie", "origin", "referer", "sec-fetch-mode", "accept-language"].iter().any(|f| turn.header(f).is_some())
}

/// The mean step, when all of them are near it.
fn rhythm(times: &VecDeque<Stamp>) -> Option<Duration> {
    let (first, last) = (times.front()?, times.back()?);
    if times.len() < REQUESTS {
        return None;
    }
    let mean = last.since(*first) / u32::try_from(times.len() - 1).ok()?;
    let even = times.iter().zip(times.iter().skip(1)).all(|(a, b)| b.since(*a).abs_diff(mean) * 5 <= mean);
    (even && (FASTEST..=SLOWEST).contains(&mean)).then_some(mean)
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.senders.len()
    }

    fn forgotten(&self) -> u64 {
        self.senders.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let bare = turn.is_asked();
        if !bare && !turn.brings_credentials() {
            return;
        }
        let sender = turn.sender();
        if !bare {
            let sender = self.senders.entry(sender, turn.at(), view, Sender::default);
            sender.has_credentials = true;
            sender.probes = Vec::new();
            return;
        }
        if is_a_persons(turn) || turn.opens_websocket() {
            return;
        }
        let sender = self.senders.entry(sender, turn.at(), view, Sender::default);
        if sender.has_credentials {
            return;
        }
        let path = turn.path_hash();
        let probe = match sender.probes.iter_mut().position(|p| p.path == path) {
            Some(at) => sender.probes.get_mut(at),
            None if sender.probes.len() < MOST_PATHS => {
                sender.probes.push(Probe {
                    path,
                    times: VecDeque::with_capacity(REQUESTS),
                    count: 0,
                    first: (turn.exchange.connection, turn.exchange.exchange, turn.at()),
                    told: false,
                });
                sender.probes.last_mut()
            }
            None => None,
        };
        let Some(probe) = probe.filter(|p| !p.told) else { return };
        if probe.times.len() == REQUESTS {
            probe.times.pop_front();
        }
        probe.times.push_back(turn.exchange.times.request_head);
        probe.count += 1;
        let Some(step) = rhythm(&probe.times) else { return };
        let since = probe.times.front().copied().unwrap_or_default();
        if view.site.gaps().client_since(turn.peer, since) {
            return;
        }
        probe.told = true;
        let summary = format!(
            "{} from {}{} comes every {:.1} s without credentials and is refused with 401 each time ({} times so far): \
             most likely a health probe or a monitor.",
            turn.request_line(),
            turn.party,
            match turn.user_agent() {
                "" => " (no `User-Agent`)".to_owned(),
                name => format!(" (`{name}`)"),
            },
            step.as_secs_f64(),
            probe.count
        );
        let (connection, exchange, at) = probe.first;
        let first = Place::new(connection, Some(exchange), "response", at).says("the first refusal of this probe");
        let primary = Place::response(turn).says(format!("401 number {} to this request", probe.count));
        out.raise(turn.at(), Draft::new(Basis::Inferred, summary, primary).and(first));
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.senders.expire(now, MEMORY);
    }
}
