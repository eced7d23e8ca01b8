//! See the page below.

use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::subject;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::event::Exchange;
use crate::model::finding::{Basis, Evidence};
use crate::model::http::Announced;
use crate::model::transport::By;
use crate::model::{ConnectionId, ExchangeNo, Stamp};
use crate::track::handshake::Event;
use crate::track::site::Closed;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A client sent a request with its body, was asked to log on, and sent the request again without it. The logon
    /// succeeds, and the server gets an empty form, file or message.
    ///
    /// ## What authtap saw
    /// A request of so many bytes that was answered by 401, and the last message of the handshake that followed for the
    /// same address: it was not refused, and it had no body (`observed` on one connection, `inferred` when the client
    /// came back on another one), or its body broke off when the client ended the connection. A shorter body is only
    /// `suspected`: it may be another message to the same address. Bytes are counted as decoded, so chunks or none make no
    /// difference. Messages without a body *before* the last one are normal.
    ///
    /// ## Why it breaks
    /// To repeat a request the client must still have its body. One that reads it from a file or a stream only once,
    /// and does not rewind it, has nothing left to send.
    ///
    /// ## Fix
    /// It is the client's to mend.
    /// - Programs: give the body as bytes or as a stream that can be rewound; or log on first with a small GET or HEAD on the same connection, and send the body afterwards.
    /// - .NET: `HttpWebRequest.AllowWriteStreamBuffering = true`, or `PreAuthenticate = true`; with `HttpClient` no one-shot `StreamContent`.
    /// - libcurl: set `CURLOPT_SEEKFUNCTION` (or `CURLOPT_IOCTLFUNCTION`) beside the read callback.
    /// - Java: no `setFixedLengthStreamingMode` or `setChunkedStreamingMode` where the server may ask for a logon.
    /// - A proxy in front that answers the challenge for its clients must keep the whole body: see its buffer for request bodies.
    ///
    /// Afterwards the first and the last request of the handshake have the same number of bytes.
    ///
    /// ## Not this when
    /// The body comes with the last message, or the last message is refused as well: then nothing was lost yet.
    ///
    /// ## References
    /// - RFC 9110 section 11.6.2; RFC 4559 section 6; MS-NTHT section 3
    slug: "body-lost-on-replay",
    title: "The request was repeated without its body after the 401",
    severity: High,
    basis: Observed,
    schemes: [],
    cause: Client,
    consequence_of: [],
    since: "0.1.0",
}

/// A client repeats its request at once; what comes later is another one.
const KEEP: Duration = Duration::from_secs(30);

/// A request with a body that was answered by 401.
#[derive(Debug)]
struct First {
    origin: ConnectionId,
    /// The last exchange of its handshake so far.
    last: (ConnectionId, ExchangeNo),
    /// All of it was on one connection, and nothing in between.
    together: bool,
    /// Method and target.
    what: u64,
    bytes: u64,
    at: Stamp,
    evidence: Evidence,
}

/// A last message whose body broke off.
#[derive(Debug)]
struct Cut {
    at: Stamp,
    summary: String,
    scheme: Option<&'static str>,
    evidence: [Evidence; 2],
}

/// Compares the first try with the last message.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    first: Memory<u64, First>,
    cut: Memory<ConnectionId, Cut>,
}

impl Detector {
    fn refused(&mut self, turn: &Turn, key: u64, view: &View<'_>) {
        let e = &turn.exchange;
        let what = what(turn);
        if let Some(first) = self.first.get_mut(&key).filter(|f| f.what == what) {
            // A further leg: with its body or, as most have it, without.
            first.together &= follows(first.last, e);
            first.last = (e.connection, e.exchange);
            return;
        }
        // What the client waited with (`Expect`) is a body as well.
        let bytes = match e.request.announced() {
            Announced::Length(n) if e.request.expects_continue() => n,
            _ => e.request_body,
        };
        if bytes == 0 || (e.times.request_end.is_none() && !e.request.expects_continue()) {
            return;
        }
        // An upload may go on for long after the 401.
        let at = e.times.end.map_or_else(|| turn.at(), |end| end.max(turn.at()));
        let says = format!("the first try of {bytes} bytes, answered by 401");
        let first = First {
            origin: e.connection,
            last: (e.connection, e.exchange),
            together: true,
            what,
            bytes,
            at,
            evidence: Place::request(turn).says(says),
        };
        self.first.remove(&key);
        self.first.entry(key, at, view, || first);
    }

    fn last(&mut self, turn: &Turn, key: u64, view: &View<'_>, out: &mut Raise<'_>) {
        let what = what(turn);
        if self.first.get(&key).is_none_or(|f| f.what != what) {
            return;
        }
        let Some(first) = self.first.remove(&key) else { return };
        let e = &turn.exchange;
        let sent = e.request_body;
        if sent >= first.bytes || turn.at().since(first.at) > KEEP {
            return;
        }
        let here = first.together && follows(first.last, e);
        // While the first connection lives, the other one may have a business of its own.
        let came_back = !here && view.site.connection(first.origin).is_none();
        let scheme = turn.scheme;
        let line = turn.request_line();
        let summary = |came: &str, comma: &str| {
            format!(
                "{line} from {} was sent with {} bytes, answered by 401, and repeated with its credentials on connection \
                 {}, where {came}{comma}.",
                turn.party, first.bytes, e.connection
            )
        };
        if e.times.request_end.is_none() {
            // A server that refuses an upload early is not the client's fault.
            if e.response.is_none() && here {
                let summary = summary(&format!("the client ended the connection after {sent} bytes"), "");
                let says = format!("the repetition, which broke off after {sent} bytes");
                let evidence = [Place::request(turn).says(says), first.evidence];
                let at = e.times.request_head;
                self.cut.entry(e.connection, at, view, || Cut { at, summary, scheme, evidence });
            }
            return;
        }
        let (basis, summary) = match (sent, here) {
            (0, true) => (Basis::Observed, summary("its body was empty", "")),
            (0, false) if came_back => {
                (Basis::Inferred, summary("its body was empty", ", which is another connection than the first try's"))
            }
            (_, true) => (
                Basis::Suspected,
                summary(
                    &format!("it had {sent} bytes"),
                    ": a part is lost, or it is another message to the same address",
                ),
            ),
            _ => return,
        };
        let says = format!("the last message of the handshake, with {sent} bytes");
        out.raise(
            e.times.end.unwrap_or(e.times.request_head),
            Draft::new(basis, summary, Place::request(turn).says(says))
                .scheme(scheme)
                .and(first.evidence)
                .and(Place::response(turn).says(format!("{}: the empty or shorter request was taken", turn.status()))),
        );
    }
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.first.len() + self.cut.len()
    }

    fn forgotten(&self) -> u64 {
        self.first.forgotten() + self.cut.forgotten()
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let method = turn.exchange.request.method.as_str();
        if matches!(method, "GET" | "HEAD" | "OPTIONS") {
            return;
        }
        let refused = turn.status() == 401;
        if self.first.len() == 0 && !refused {
            return;
        }
        let key = subject::client(turn);
        if refused {
            self.refused(turn, key, view);
        } else if turn.request != Event::Bare && turn.request != Event::Negotiate {
            self.last(turn, key, view, out);
        }
    }

    fn on_close(&mut self, closed: &Closed, _at: Stamp, _view: &View<'_>, out: &mut Raise<'_>) {
        let Some(cut) = self.cut.remove(&closed.close.connection) else { return };
        if closed.close.end.by == By::Client {
            let [primary, first] = cut.evidence;
            out.raise(cut.at, Draft::new(Basis::Observed, cut.summary, primary).scheme(cut.scheme).and(first));
        }
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.first.expire(now, KEEP);
    }
}

/// Whether an exchange is the next one on its connection.
fn follows((connection, last): (ConnectionId, ExchangeNo), e: &Exchange) -> bool {
    connection == e.connection && last.saturating_add(1) == e.exchange
}

fn what(turn: &Turn) -> u64 {
    let request = &turn.exchange.request;
    subject::key((&request.method, &request.target))
}
