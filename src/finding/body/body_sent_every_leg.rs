//! See the page below.

use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::subject;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::track::handshake::Event;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A client sends its whole upload with each message of the handshake. All but the last copy are thrown away.
    ///
    /// ## What authtap saw
    /// Messages of a handshake (NTLM's NEGOTIATE, or a token that the server answered by asking for more) with a body,
    /// each answered by 401. The summary counts the bytes that were sent for nothing by one client. It is told from 64 KiB on, and
    /// each time the sum has doubled.
    ///
    /// ## Why it breaks
    /// It mostly works and takes three times as long. It breaks where the server or a hop closes the connection without
    /// reading the body of a request that it has refused: the client sees a reset in the middle of its upload, and the
    /// handshake is gone with the connection.
    ///
    /// ## Fix
    /// The client should log on before it sends the body.
    /// - Programs: one small GET or HEAD with credentials on the same connection first, then the upload.
    /// - Python `requests-ntlm`: use a `Session`, and send a GET to the same host before the upload.
    /// - .NET: `PreAuthenticate = true`; curl: `--ntlm` instead of `--anyauth` holds the body back by itself.
    /// - Clients that know `Expect: 100-continue` may use it (but see `expect-continue-stall`).
    /// - Or Kerberos, which needs no challenge.
    ///
    /// Afterwards only the last request of each handshake has a body.
    ///
    /// ## Not this when
    /// Only the very first try without credentials had a body: no client can know before that it will be asked.
    ///
    /// ## References
    /// - RFC 4559 section 6; MS-NTHT section 3
    slug: "body-sent-every-leg",
    title: "The whole upload is sent again on each leg of the handshake",
    severity: Low,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm", "negotiate"],
    cause: Client,
    consequence_of: [],
    since: "0.1.0",
}

/// So many wasted bytes are worth a word.
const WORTH_TELLING: u64 = 64 * 1024;
/// A client that wasted nothing for so long begins anew.
const KEEP: Duration = Duration::from_hours(1);

/// What one client sent for nothing.
#[derive(Debug, Default)]
struct Wasted {
    bytes: u64,
    legs: u64,
    told: u64,
    /// Its last try without credentials, which counts when the next leg has a body as well.
    bare: Option<(ConnectionId, ExchangeNo, u64)>,
}

/// Sums up the bodies of refused legs.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    clients: Memory<u64, Wasted>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.clients.len()
    }

    fn forgotten(&self) -> u64 {
        self.clients.forgotten()
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let e = &turn.exchange;
        if e.request_body == 0 || turn.status() != 401 {
            return;
        }
        let leg = matches!(turn.request, Event::Negotiate | Event::Token)
            && matches!(turn.answer, Event::Challenge | Event::Continue);
        if !leg && turn.request != Event::Bare {
            return;
        }
        let at = turn.at();
        let wasted = self.clients.entry(subject::client(turn), at, view, Wasted::default);
        if !leg {
            wasted.bare = Some((e.connection, e.exchange, e.request_body));
            return;
        }
        if let Some((connection, exchange, bytes)) = wasted.bare.take()
            && connection == e.connection
            && exchange.saturating_add(1) == e.exchange
        {
            wasted.bytes = wasted.bytes.saturating_add(bytes);
            wasted.legs += 1;
        }
        wasted.bytes = wasted.bytes.saturating_add(e.request_body);
        wasted.legs += 1;
        if wasted.bytes < WORTH_TELLING || wasted.bytes < wasted.told.saturating_mul(2) {
            return;
        }
        wasted.told = wasted.bytes;
        let (bytes, legs) = (wasted.bytes, wasted.legs);
        let client = turn.header("user-agent").map_or_else(String::new, |a| format!(" ({a})"));
        out.raise_with(at, e.connection, || {
            Draft::new(
                Basis::Observed,
                format!(
                    "{}{client} sent {bytes} bytes for nothing in {legs} requests that were answered by 401, the last of them \
                     {} with {} bytes on connection {}: it sends the whole body before the server has let it in.",
                    turn.party,
                    turn.request_line(),
                    e.request_body,
                    e.connection,
                ),
                Place::request(turn).says(format!("a message of the handshake with a body of {} bytes", e.request_body)),
            )
            .scheme(turn.scheme)
            .and(Place::response(turn).says("401: the body was sent for nothing"))
        });
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.clients.expire(now, KEEP);
    }
}
