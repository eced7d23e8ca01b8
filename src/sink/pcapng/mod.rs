//! What authtap saw as a packet capture that Wireshark opens: the payload inside TLS, in TCP that is made up.
//!
//! Made of events alone, so it holds no more than the capture file does. `docs/pcapng.md` tells users about it.

mod blocks;
mod file;
mod head;
#[cfg(test)]
mod tests;
mod token;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use self::blocks::{MOST_PAYLOAD, Tcp};
pub use self::file::OpenError;
use self::file::Output;
use crate::model::event::{ConnectionClose, ConnectionOpen, Event, Exchange, Gap, GapWhat, What};
use crate::model::finding::Finding;
use crate::model::http::Announced;
use crate::model::transport::{By, How};
use crate::model::{ConnectionId, ExchangeNo, Stamp, TapId};
use crate::sink::Sink;

/// Connections that are remembered; more are open at once at nobody's. The oldest is forgotten first.
const CONNECTIONS: usize = 65_536;

/// A head may be longer than a packet.
const SEGMENT: usize = MOST_PAYLOAD / 2;

/// The last chunk of a coded body (RFC 9112 section 7.1): it is there also where the body is empty, and Wireshark would take
/// the next head for it. So would it where an announced body never came: there a byte stands for it.
const LAST_CHUNK: u64 = 5;

const CLIENT: usize = 0;
const UPSTREAM: usize = 1;

/// One connection's state.
struct Connection {
    /// Client and upstream.
    ends: [SocketAddr; 2],
    /// The next sequence number of each.
    next: [u32; 2],
    finished: [bool; 2],
    /// The exchange that was told last.
    exchange: ExchangeNo,
}

/// The packet capture as a [`Sink`].
pub struct PacketFile {
    path: PathBuf,
    output: Output,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Somebody waits for what is not written yet.
    urgent: bool,
}

impl PacketFile {
    /// Begins a packet capture at `path`, mode 0600, of at most `limit` bytes. What is there already is refused.
    pub fn create(path: &Path, tap: &TapId, limit: u64) -> Result<Self, OpenError> {
        Ok(Self::onto(path, tap, Output::create(path, limit)?))
    }

    fn onto(path: &Path, tap: &TapId, mut output: Output) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let comment = format!(
            "What authtap {version} saw (tap {tap}), redacted: no bodies, no passwords; in NTLM tokens, which are made anew of \
             what was read of them, zeros stand for challenges, responses and keys. The payload is what is inside TLS. TCP is \
             made up, with the real addresses of clients and upstream; the times are those of the requests and responses. \
             Packets of IP protocol 253 are no traffic: they carry findings and gaps, which are also their comments."
        );
        let mut header = Vec::new();
        blocks::header(version, &comment, &mut header);
        // What fails here fails again, and is told, when it is flushed.
        let _ = output.take(&header);
        Self { path: path.to_owned(), output, connections: BTreeMap::new(), urgent: true }
    }

    fn open(&mut self, open: &ConnectionOpen, at: Stamp, out: &mut Vec<u8>) {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80));
        let ends = [open.addresses.client, open.addresses.upstream.unwrap_or(nowhere)];
        let mut connection = Connection { ends, next: [0; 2], finished: [false; 2], exchange: 0 };
        let tls = |side: &str, tls: &Option<crate::model::transport::Tls>| {
            let tls = tls.as_ref()?;
            Some(format!(", {} towards the {side}", tls.version.as_deref().unwrap_or("TLS")))
        };
        let comment = format!(
            "authtap connection {}{}{}{}",
            open.connection,
            tls("client", &open.tls).unwrap_or_default(),
            tls("upstream", &open.upstream_tls).unwrap_or_default(),
            if open.addresses.upstream.is_none() { ", without an upstream" } else { "" }
        );
        connection.bare(CLIENT, at, |tcp| tcp.syn = true, &comment, out);
        connection.bare(UPSTREAM, at, |tcp| tcp.syn = true, "", out);
        connection.bare(CLIENT, at, |_| {}, "", out);
        if self.connections.len() >= CONNECTIONS {
            self.connections.pop_first();
        }
        self.connections.insert(open.connection, connection);
    }

    fn exchange(&mut self, exchange: &Exchange, out: &mut Vec<u8>) {
        // One whose opening was lost, which is told as a gap.
        let Some(connection) = self.connections.get_mut(&exchange.connection) else { return };
        let mut comment = format!("authtap connection {}, exchange {}", exchange.connection, exchange.exchange);
        if let Some(leg) = &exchange.leg {
            comment = format!("{comment}: {leg}");
        }
        // Streams of HTTP/2 end in any order.
        if exchange.request.version != "HTTP/2" {
            let missing = exchange.exchange.saturating_sub(connection.exchange).saturating_sub(1);
            if missing > 0 {
                // Their sizes are not told; one byte shows that something is not there.
                connection.next = connection.next.map(|next| next.wrapping_add(1));
                comment = format!("{comment}; {missing} before it not recorded (--record all records them)");
            }
            connection.exchange = exchange.exchange;
        }
        let times = &exchange.times;
        let request = &exchange.request;
        let body = exchange.request_body;
        let not_kept = |body: u64| if body == 0 { String::new() } else { format!("; {body} bytes of body not kept") };
        let told = format!("{comment}{}", not_kept(body));
        let framed = match request.announced() {
            Announced::Nothing => body,
            Announced::Length(length) => body.max(length.min(1)),
            Announced::Coded => body.saturating_add(LAST_CHUNK),
        };
        connection.send(CLIENT, times.request_head, &head::request(exchange), framed, &told, out);
        for interim in &exchange.interim {
            let line = format!("HTTP/1.1 {} \r\n\r\n", interim.status);
            connection.send(UPSTREAM, interim.at.unwrap_or(times.request_head), &line, 0, "", out);
        }
        if let Some(response) = &exchange.response {
            let at = times.response_head.unwrap_or(times.request_head);
            let body = exchange.response_body;
            let told = format!("{comment}{}", not_kept(body));
            let bodiless = request.method == "HEAD" || response.status == 304;
            let coded = !bodiless && response.header("transfer-encoding").is_some();
            let framed = body.saturating_add(if coded { LAST_CHUNK } else { 0 });
            connection.send(UPSTREAM, at, &head::response(exchange, response), framed, &told, out);
        }
    }

    fn close(&mut self, close: &ConnectionClose, at: Stamp, out: &mut Vec<u8>) {
        let Some(mut connection) = self.connections.remove(&close.connection) else { return };
        let (by, other) = match close.end.by {
            By::Client => (CLIENT, UPSTREAM),
            By::Upstream | By::Tap => (UPSTREAM, CLIENT),
        };
        let detail = close.end.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
        let whose = if close.end.by == By::Tap { " by authtap" } else { "" };
        let told = format!("authtap connection {} ended{whose}{detail}", close.connection);
        if close.end.how == How::Fin {
            connection.finish(by, at, &told, out);
            connection.finish(other, at, "", out);
            connection.bare(by, at, |_| {}, "", out);
        } else {
            connection.bare(by, at, |tcp| tcp.rst = true, &told, out);
        }
    }

    /// authtap's own words, between the ends of the connection that they are about, as far as it is still open.
    fn note(&mut self, connection: Option<ConnectionId>, at: Stamp, says: &str, out: &mut Vec<u8>) {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let ends = connection.and_then(|id| self.connections.get(&id)).map_or([nowhere; 2], |c| c.ends);
        blocks::note(at, ends, says, out);
        self.urgent = true;
    }

    fn take(&mut self, event: &Event) -> std::io::Result<()> {
        let mut out = Vec::new();
        let at = event.at;
        match &event.what {
            What::ConnectionOpen(open) => self.open(open, at, &mut out),
            What::Exchange(exchange) => self.exchange(exchange, &mut out),
            What::ConnectionHalfClose(half) => {
                let side = if half.by == By::Client { CLIENT } else { UPSTREAM };
                if let Some(connection) = self.connections.get_mut(&half.connection) {
                    connection.finish(side, at, "", &mut out);
                }
            }
            What::ConnectionClose(close) => self.close(close, at, &mut out),
            What::Finding(finding) => {
                self.note(finding.connections.first().copied(), at, &finding_in_words(finding), &mut out);
            }
            What::Gap(gap) => self.note(gap.connection, at, &gap_in_words(gap), &mut out),
            What::Start(_) | What::Handshake(_) | What::Stop(_) => {}
        }
        if out.is_empty() { Ok(()) } else { self.output.take(&out) }
    }
}

impl Connection {
    /// A segment without payload.
    fn bare(&mut self, side: usize, at: Stamp, set: impl FnOnce(&mut Tcp), comment: &str, out: &mut Vec<u8>) {
        let mut tcp = self.tcp(side);
        set(&mut tcp);
        if tcp.syn && side == CLIENT {
            tcp.acknowledged = None;
        }
        blocks::segment(at, self.from(side), tcp, &[], 0, comment, out);
        self.pass(side, u32::from(tcp.syn || tcp.fin));
    }

    /// A FIN, unless that side has sent its own.
    fn finish(&mut self, side: usize, at: Stamp, comment: &str, out: &mut Vec<u8>) {
        let sent = self.finished.get_mut(side).is_some_and(|sent| std::mem::replace(sent, true));
        if !sent {
            self.bare(side, at, |tcp| tcp.fin = true, comment, out);
        }
    }

    /// A head, and a body of which only the length is known: as far as it fits, its packet is longer than what was captured
    /// of it; the rest is a jump of the sequence numbers.
    fn send(&mut self, side: usize, at: Stamp, head: &str, body: u64, comment: &str, out: &mut Vec<u8>) {
        let mut rest = head.as_bytes();
        let mut comment = comment;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(SEGMENT));
            let cut = if later.is_empty() { usize::try_from(body).unwrap_or(SEGMENT).min(SEGMENT) } else { 0 };
            blocks::segment(at, self.from(side), self.tcp(side), now, cut, comment, out);
            self.pass(side, u32::try_from(now.len()).unwrap_or_default());
            (rest, comment) = (later, "");
        }
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers go round (RFC 9293 section 3.4)")]
        self.pass(side, body as u32);
    }

    fn tcp(&self, side: usize) -> Tcp {
        let next = |side: usize| self.next.get(side).copied().unwrap_or_default();
        Tcp { sequence: next(side), acknowledged: Some(next(1 - side)), ..Tcp::default() }
    }

    fn from(&self, side: usize) -> [SocketAddr; 2] {
        let [client, upstream] = self.ends;
        if side == CLIENT { [client, upstream] } else { [upstream, client] }
    }

    fn pass(&mut self, side: usize, bytes: u32) {
        if let Some(next) = self.next.get_mut(side) {
            *next = next.wrapping_add(bytes);
        }
    }
}

fn finding_in_words(finding: &Finding) -> String {
    let Finding { slug, title, summary, fix, .. } = finding;
    let (severity, basis) = (finding.severity.name(), finding.basis.name());
    let root = finding.root.as_deref().map(|root| format!(", a consequence of {root}")).unwrap_or_default();
    let mut text = format!("finding {slug} ({severity}, {basis}{root}): {title}. {summary}\nFix: {fix}");
    for evidence in &finding.evidence {
        let place = match (evidence.connection, evidence.exchange) {
            (Some(connection), Some(exchange)) => format!("connection {connection}, exchange {exchange}: "),
            (Some(connection), None) => format!("connection {connection}: "),
            (None, _) => String::new(),
        };
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{place}{}", evidence.says);
    }
    text
}

fn gap_in_words(gap: &Gap) -> String {
    let what = match &gap.what {
        GapWhat::QueueFull { dropped } => format!("{dropped} observations dropped: the observer could not keep up"),
        GapWhat::Unparsable { from, offset, why } => {
            format!("the bytes of the {from} cannot be followed from {offset} on: {why}")
        }
        GapWhat::PacketsMissing { from, offset, bytes } => format!("{bytes} bytes of the {from} missing at {offset}"),
        GapWhat::ObserverLost { why } => format!("the observer failed and was started anew: {why}"),
        GapWhat::LimitReached { memory, most } => format!("the memory of {memory} is full ({most} entries)"),
        GapWhat::SinkFailed { sink, dropped, why } => format!("{dropped} events not written to {sink}: {why}"),
    };
    let connection = gap.connection.map(|id| format!(" on connection {id}")).unwrap_or_default();
    format!("gap{connection}: {what}")
}

impl std::fmt::Debug for PacketFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PacketFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Sink for PacketFile {
    fn name(&self) -> &'static str {
        "pcapng"
    }

    fn write(&mut self, event: &Event) -> Result<(), String> {
        self.take(event).map_err(|e| format!("{}: {e}", self.path.display()))
    }

    /// Findings are waited for. If writing them fails, `flush` tells it.
    fn settle(&mut self) -> Result<(), String> {
        if std::mem::take(&mut self.urgent) {
            let _ = self.output.drain();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), String> {
        self.output.drain().map_err(|e| format!("{}: {e}", self.path.display()))
    }
}

impl Drop for PacketFile {
    fn drop(&mut self) {
        let _ = self.output.drain();
    }
}
