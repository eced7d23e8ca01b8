//! See the page below.

use std::net::IpAddr;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::subject;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::{Basis, Evidence};
use crate::model::http::Announced;
use crate::model::transport::By;
use crate::model::{ConnectionId, Stamp};
use crate::track::handshake::Event;
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A client waits for *100 Continue* before it sends a body. The server answers 401 instead, and the client ends the
    /// connection rather than send the body. An NTLM handshake ends with it; or the client never tries again.
    ///
    /// ## What authtap saw
    /// A request with `Expect: 100-continue`, no 100, a 401, and the end of the connection before the body had come
    /// whole: the order and the times of each are in the evidence. When the 401 carried a CHALLENGE, the handshake was
    /// lost with the connection (`observed`). Otherwise it is told when a client that logs on elsewhere did not come back
    /// within 30 seconds (`inferred`: its user may also have given up).
    ///
    /// ## Why it breaks
    /// After the 401 the server still waits for the bytes that the head has announced, and would take the next request
    /// for them. So the client must send a body that nobody wants, or end the connection. During an NTLM handshake it may
    /// not end it. Clients that end it all the same start over, and meet the same 401 again.
    ///
    /// ## Fix
    /// - .NET: `ServicePointManager.Expect100Continue = false`, or `client.DefaultRequestHeaders.ExpectContinue = false`; in `app.config` `<servicePointManager expect100Continue="false" />` below `system.net/settings`.
    /// - curl: `-H "Expect:"`; libcurl sends it by itself with bodies over 1 MiB (over 1 KiB in old versions).
    /// - Or let the client log on first with a small GET on the same connection, and send the upload on it afterwards.
    /// - A proxy in front must pass 1xx answers through (HAProxy and nginx do); one that makes up its own `100 Continue` hides this.
    ///
    /// Afterwards the handshake of an upload ends with its answer on one connection.
    ///
    /// ## Not this when
    /// The client sends the body after the 401, or comes back with credentials: both are as they should be.
    ///
    /// ## References
    /// - RFC 9110 section 10.1.1; RFC 4559 section 6; dotnet/corefx issue 30760
    slug: "expect-continue-stall",
    title: "A 401 crossed with Expect: 100-continue, and the upload was lost",
    severity: Medium,
    basis: Observed,
    schemes: [],
    cause: Client,
    consequence_of: [],
    since: "0.1.0",
}

/// So long a client may take to come back.
const PATIENCE: Duration = Duration::from_secs(30);
/// At the watch's end, a client that has been away for so long does not come back.
const SETTLED: Duration = Duration::from_secs(5);
/// Clients that were not seen for so long are forgotten.
const KEEP: Duration = Duration::from_hours(1);

/// An upload whose connection ended, or is about to, before its body had come.
#[derive(Debug)]
struct Lost {
    at: Stamp,
    peer: IpAddr,
    client: u64,
    /// When its body was whole after all.
    done: Option<Stamp>,
    /// The 401 carried a challenge.
    challenged: bool,
    scheme: Option<&'static str>,
    upload: String,
    refusal: Evidence,
    request: Evidence,
}

/// Follows uploads that wait for `100 Continue`.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    ending: Memory<ConnectionId, Lost>,
    /// Clients that did not come back yet.
    away: Memory<u64, Lost>,
    /// Clients that have sent credentials.
    known: Memory<u64, ()>,
}

impl Detector {
    /// The client did not come back.
    fn judge(lost: Lost, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        if view.site.gaps().client_since(lost.peer, lost.at) {
            return;
        }
        let after = at.since(lost.at).as_secs();
        out.raise(
            at,
            Draft::new(
                Basis::Inferred,
                format!(
                    "{}; the client, which logs on elsewhere, ended the connection and sent no credentials in the {after} s \
                     that followed.",
                    lost.upload
                ),
                lost.refusal,
            )
            .and(lost.request),
        );
    }
}

/// What waits, when this is an upload that waits; the body's end has not come until then, or until the response's head.
fn upload(turn: &Turn, until_head: bool) -> Option<Lost> {
    let e = &turn.exchange;
    if turn.status() != 401 || !e.request.expects_continue() {
        return None;
    }
    let head = e.times.response_head?;
    if e.times.request_end.is_some_and(|end| !until_head || end <= head) {
        return None;
    }
    let announced = match e.request.announced() {
        Announced::Length(0) | Announced::Nothing => return None,
        Announced::Length(n) => format!("{n} bytes"),
        Announced::Coded => "a body of unknown length".to_owned(),
    };
    if e.interim.iter().any(|i| i.status == 100) {
        return None;
    }
    let at = turn.at();
    let waited = at.since(e.times.request_head).as_millis();
    let challenged = matches!(turn.answer, Event::Challenge | Event::Continue);
    let what = if challenged { "a 401 with its challenge" } else { "a 401" };
    let came = match e.times.request_body {
        _ if until_head => "its end had not come".to_owned(),
        None => "none of it came".to_owned(),
        Some(first) => {
            let after = first.since(e.times.request_head).as_millis();
            format!("{} bytes of it came, the first {after} ms after the head", e.request_body)
        }
    };
    Some(Lost {
        at,
        peer: turn.peer,
        client: subject::client(turn),
        done: e.times.request_end,
        challenged,
        scheme: turn.scheme,
        upload: format!(
            "{} from {} on connection {} waited for 100 Continue with {announced}, got {what} after {waited} ms, and {came}",
            turn.request_line(),
            turn.party,
            e.connection
        ),
        refusal: Place::response(turn).says(format!("{what}, and no 100 Continue before it")),
        request: Place::request(turn).says("`Expect: 100-continue`: the body is held back"),
    })
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.ending.len() + self.away.len() + self.known.len()
    }

    fn forgotten(&self) -> u64 {
        self.ending.forgotten() + self.away.forgotten() + self.known.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if turn.request != Event::Bare {
            let client = subject::client(turn);
            self.away.remove(&client);
            self.known.entry(client, turn.at(), view, || ());
        }
        // The server ends the connection with this very answer: nothing will come of it.
        if turn.challenge.as_ref().is_some_and(|c| c.announced_close)
            && let Some(lost) = upload(turn, true)
        {
            raise(lost, "the server ended the connection with that answer", out);
        }
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        // Told before its body's end only when the connection is over.
        if turn.challenge.as_ref().is_none_or(|c| !c.announced_close)
            && let Some(lost) = upload(turn, false)
        {
            self.ending.entry(turn.exchange.connection, lost.at, view, || lost);
        }
    }

    fn on_close(&mut self, closed: &Closed, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(lost) = self.ending.remove(&closed.close.connection) else { return };
        // A capture that ends, or lacks packets, tells nothing of how the connection went on.
        if view.settings.of_packets && closed.close.end.by == By::Tap {
            return;
        }
        // By the times of the traffic: an upload may go on for long after the 401, and no tick comes in between.
        if lost.done.is_some_and(|done| closed.ended_at.since(done) >= PATIENCE) {
            return;
        }
        if !lost.challenged {
            if self.known.get(&lost.client).is_some() {
                self.away.entry(lost.client, at, view, || lost);
            }
            return;
        }
        let after = closed.ended_at.since(lost.at).as_millis();
        let who = match closed.close.end.by {
            By::Client => "the client",
            By::Upstream => "the server",
            By::Tap => "authtap",
        };
        raise(lost, &format!("{who} ended the connection {after} ms later"), out);
    }

    fn on_time(&mut self, now: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        while let Some((_, lost)) = self.away.pop_unused(now, PATIENCE) {
            Self::judge(lost, now, view, out);
        }
        self.known.expire(now, KEEP);
    }

    fn on_stop(&mut self, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        for (_, lost) in self.away.drain() {
            if at.since(lost.at) >= SETTLED {
                Self::judge(lost, at, view, out);
            }
        }
    }
}

/// The handshake was lost with its connection.
fn raise(lost: Lost, end: &str, out: &mut Raise<'_>) {
    let draft =
        Draft::new(Basis::Observed, format!("{}; {end}, and the handshake with it.", lost.upload), lost.refusal);
    out.raise(lost.at, draft.scheme(lost.scheme).and(lost.request));
}
