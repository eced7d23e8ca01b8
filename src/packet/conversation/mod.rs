//! Which connections of a capture speak HTTP, which end is the server, and what a live tap would have told of them.

mod begin;
mod fails;
mod frames;
mod held;
mod http;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use begin::Looks;
pub use frames::Frames;
use http::{Beginning, Http, Told};

use super::When;
use super::tcp::{End, Ends, FlowId, Happening, Listen, Wanted};
use super::tls::{KeyLog, Reading, Session};
use crate::model::ConnectionId;
use crate::model::transport::{Certificate, Tls};
use crate::wire::observation::Observation;

/// Bytes of a connection that are held while they may be the beginning of a request; a method and a space are fewer.
const MOST_UNCLEAR: usize = 64;

/// What was seen of connections, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that speak HTTP.
    pub http: u64,
    /// Of those, the ones that TLS hid and a key log opened.
    pub opened: u64,
    /// Of those, the ones whose beginning is not in the capture.
    pub before: u64,
    /// TLS connections that stayed closed, by the reason.
    pub closed: BTreeMap<String, u64>,
    /// Connections that speak something else.
    pub other: u64,
    /// Connections without a byte, or in whose middle the capture begins and no message does.
    pub unknown: u64,
    /// Connections that are others under a translated address of the client: told once.
    pub twins: u64,
    /// Connections that speak HTTP of which only one end's bytes were captured, though the other one's were acknowledged.
    pub one_sided: u64,
    /// Bytes that the capture does not hold, of connections that speak HTTP.
    pub missing: u64,
}

/// All connections of a capture.
pub struct Conversations {
    flows: HashMap<FlowId, Conversation>,
    keys: KeyLog,
    certificate: fn(&[u8]) -> Option<Certificate>,
    next: u64,
    counts: Counts,
    told: Told,
    /// Memory that all take, about, in bytes.
    held: usize,
    /// Most of it.
    most_held: usize,
    /// The connection at work that is out of `flows`, should its framing fail.
    at_work: Option<ConnectionId>,
}

struct Conversation {
    ends: Ends,
    opened: When,
    /// Bytes of it came before those that are told.
    before: bool,
    /// Memory that it takes, as it was counted.
    held: usize,
    /// A part of it was told, before packets that are missing.
    told: bool,
    kind: Kind,
}

enum Kind {
    /// So much of the first end that speaks has come, and it may be the beginning of a request.
    Unclear(End, Vec<(When, Vec<u8>)>),
    /// In the middle of something: a message that begins is waited for.
    Middle,
    Http(Box<Http>),
    Tls(Box<Encrypted>),
}

struct Encrypted {
    session: Session,
    client: End,
    http: Option<Http>,
}

impl Conversation {
    /// What is told of it, where it speaks HTTP.
    fn http(&self) -> Option<&Http> {
        match &self.kind {
            Kind::Http(http) => Some(http),
            Kind::Tls(tls) => tls.http.as_ref(),
            Kind::Unclear(..) | Kind::Middle => None,
        }
    }
}

impl std::fmt::Debug for Conversations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conversations")
            .field("flows", &self.flows.len())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl Conversations {
    /// Nothing seen yet. `keys` open TLS; `certificate` reads a DER certificate's facts.
    pub fn new(keys: KeyLog, certificate: fn(&[u8]) -> Option<Certificate>) -> Self {
        Self {
            flows: HashMap::new(),
            keys,
            certificate,
            next: 1,
            counts: Counts::default(),
            told: Told::default(),
            held: 0,
            most_held: held::MOST,
            at_work: None,
        }
    }

    /// More secrets, as a file holds them.
    pub fn secrets(&mut self, text: &[u8]) {
        self.keys.read(text);
    }

    /// Takes out what was told since.
    pub fn observations(&mut self) -> std::vec::Drain<'_, Observation> {
        self.told.observations.drain(..)
    }

    /// In which packets what was told is.
    pub const fn frames(&self) -> &Frames {
        &self.told.frames
    }

    /// What was counted; connections that never became clear included.
    pub fn counts(&self) -> Counts {
        let mut counts = self.counts.clone();
        for conversation in self.flows.values() {
            count_unclear(conversation, &mut counts);
            let one_sided = conversation.http().is_some_and(Http::one_sided);
            counts.one_sided = counts.one_sided.saturating_add(u64::from(one_sided));
        }
        counts
    }

    /// Requests of connections that are still open: their ends, which tell of them, are not in the capture.
    pub fn open_exchanges(&self) -> u64 {
        self.flows.values().filter_map(Conversation::http).map(|http| u64::from(http.exchanges())).sum()
    }

    /// The next connection's number.
    fn beginning(&mut self, c: &Conversation, client: End, tls: Option<Tls>) -> Beginning {
        let id = ConnectionId(self.next);
        self.next = self.next.saturating_add(1);
        self.counts.http = self.counts.http.saturating_add(1);
        if tls.is_some() {
            self.counts.opened = self.counts.opened.saturating_add(1);
        }
        if c.before {
            self.counts.before = self.counts.before.saturating_add(1);
        }
        Beginning { id, opened: c.opened, ends: c.ends, client, before: c.before, tls }
    }

    /// Bytes of a connection; gives it back while more of it is wanted.
    fn bytes(&mut self, mut c: Conversation, end: End, when: When, bytes: &[u8]) -> Option<Conversation> {
        match &mut c.kind {
            Kind::Http(http) => http.bytes(end, when, bytes, &mut self.told),
            Kind::Unclear(speaker, held) => {
                if !held.is_empty() && *speaker != end {
                    return self.other();
                }
                let mut pieces = std::mem::take(held);
                let mut all: Vec<u8> = pieces.iter().flat_map(|(_, piece)| piece.iter().copied()).collect();
                let so_far = if pieces.is_empty() {
                    bytes
                } else {
                    all.extend_from_slice(bytes);
                    &all
                };
                let looks = begin::first(so_far);
                if looks == Looks::Unclear && so_far.len() < MOST_UNCLEAR {
                    pieces.push((when, bytes.to_vec()));
                    c.kind = Kind::Unclear(end, pieces);
                    return Some(c);
                }
                let client = match (looks, end) {
                    (Looks::Request | Looks::Tls, End::First) | (Looks::Response, End::Second) => End::First,
                    _ => return self.other(),
                };
                c = self.begun(c, client, looks == Looks::Tls);
                for (when, piece) in pieces {
                    c = self.bytes(c, end, when, &piece)?;
                }
                return self.bytes(c, end, when, bytes);
            }
            Kind::Middle => match begin::middle(bytes) {
                looks @ (Looks::Request | Looks::Tls) => {
                    if looks == Looks::Tls {
                        c.before = false;
                    }
                    c = self.begun(c, end, looks == Looks::Tls);
                    return self.bytes(c, end, when, bytes);
                }
                Looks::TlsRecord => return self.stays_closed("it began before the capture"),
                Looks::Response | Looks::Unclear | Looks::Other => {}
            },
            Kind::Tls(_) => return self.encrypted(c, end, when, bytes),
        }
        Some(c)
    }

    fn begun(&mut self, mut c: Conversation, client: End, tls: bool) -> Conversation {
        c.kind = if tls {
            let session = Session::new(self.certificate);
            Kind::Tls(Box::new(Encrypted { session, client, http: None }))
        } else {
            let beginning = self.beginning(&c, client, None);
            Kind::Http(Box::new(Http::new(beginning, &mut self.told)))
        };
        c
    }

    fn encrypted(&mut self, mut c: Conversation, end: End, when: When, bytes: &[u8]) -> Option<Conversation> {
        let Kind::Tls(tls) = &mut c.kind else { return Some(c) };
        let client = tls.client;
        let mut plain: Vec<(End, Vec<u8>)> = Vec::new();
        let reading = tls.session.bytes(end == client, bytes, &self.keys, &mut |from_client, piece| {
            let whose = if from_client { client } else { client.other() };
            match plain.last_mut() {
                Some((last, all)) if *last == whose => all.extend_from_slice(piece),
                _ => plain.push((whose, piece.to_vec())),
            }
        });
        if let (Some((_, first)), None) = (plain.first(), &tls.http) {
            let facts = tls.session.facts();
            if facts.alpn_chosen.is_none() && begin::first(first) == Looks::Other {
                return self.other();
            }
            let beginning = self.beginning(&c, client, Some(facts));
            let http = Http::new(beginning, &mut self.told);
            if let Kind::Tls(tls) = &mut c.kind {
                tls.http = Some(http);
            }
        }
        let Kind::Tls(tls) = &mut c.kind else { return Some(c) };
        if let Some(http) = &mut tls.http {
            for (whose, piece) in &plain {
                http.bytes(*whose, when, piece, &mut self.told);
            }
        }
        let Reading::Closed(why) = reading else { return Some(c) };
        let why = why.to_string();
        let Some(http) = tls.http.take() else { return self.stays_closed(&why) };
        http.given_up(when, &why, &mut self.told);
        None
    }

    fn stays_closed(&mut self, why: &str) -> Option<Conversation> {
        self.counts.stayed_closed(why);
        None
    }

    fn other(&mut self) -> Option<Conversation> {
        self.counts.other = self.counts.other.saturating_add(1);
        None
    }

    fn missing(&mut self, mut c: Conversation, end: End, when: When, bytes: u64) -> Option<Conversation> {
        match &mut c.kind {
            Kind::Unclear(..) => {
                c.before = true;
                c.kind = Kind::Middle;
            }
            Kind::Middle => {}
            Kind::Http(http) => {
                self.counts.missing = self.counts.missing.saturating_add(bytes);
                if !http.missing(end, when, bytes, &mut self.told) {
                    if let Kind::Http(http) = std::mem::replace(&mut c.kind, Kind::Middle) {
                        self.counts.one_sided = self.counts.one_sided.saturating_add(u64::from(http.one_sided()));
                        http.lost(when, "packets are missing from the capture", &mut self.told);
                    }
                    // What begins after it is told as a connection of its own, of which the beginning is not known.
                    c.before = true;
                    c.told = true;
                    c.opened = when;
                }
            }
            Kind::Tls(tls) => {
                let client = end == tls.client;
                let Reading::Closed(why) = tls.session.lost(client) else { return Some(c) };
                let why = why.to_string();
                let Some(mut http) = tls.http.take() else { return self.stays_closed(&why) };
                self.counts.missing = self.counts.missing.saturating_add(bytes);
                // How many bytes inside TLS are missing nobody knows, so a body of known length does not help.
                http.hole(end, when, bytes, &mut self.told);
                http.lost(when, &why, &mut self.told);
                return None;
            }
        }
        Some(c)
    }

    fn fin(&mut self, c: &mut Conversation, end: End, when: When) {
        match &mut c.kind {
            Kind::Http(http) => http.fin(end, when, &mut self.told),
            Kind::Tls(tls) => {
                if let Some(http) = &mut tls.http {
                    http.fin(end, when, &mut self.told);
                }
            }
            Kind::Unclear(..) | Kind::Middle => {}
        }
    }

    /// Nothing more comes of it.
    fn over(&mut self, c: Conversation, when: When, what: &Happening<'_>) {
        count_unclear(&c, &mut self.counts);
        let (http, clean) = match c.kind {
            Kind::Http(http) => (*http, false),
            Kind::Tls(tls) => {
                let clean = tls.session.ended(true) && tls.session.ended(false);
                let Some(http) = tls.http else { return };
                (http, clean)
            }
            Kind::Unclear(..) | Kind::Middle => return,
        };
        self.counts.one_sided = self.counts.one_sided.saturating_add(u64::from(http.one_sided()));
        match what {
            Happening::Reset(end) => http.reset(*end, when, &mut self.told),
            Happening::Closed => http.closed(when, clean, &mut self.told),
            _ => http.lost(when, "its end is not in the capture", &mut self.told),
        }
    }
}

/// A connection of which nothing is known at its end.
fn count_unclear(conversation: &Conversation, counts: &mut Counts) {
    match &conversation.kind {
        Kind::Unclear(..) | Kind::Middle if conversation.told => {}
        Kind::Unclear(..) | Kind::Middle => counts.unknown = counts.unknown.saturating_add(1),
        Kind::Tls(tls) if tls.http.is_none() => {
            counts.stayed_closed("nothing was sent after its handshake");
        }
        Kind::Http(_) | Kind::Tls(_) => {}
    }
}

impl Listen for Conversations {
    fn heard(&mut self, flow: FlowId, when: When, what: Happening<'_>) -> Wanted {
        self.guarded(flow, when, |all| all.happened(flow, when, what))
    }
}

impl Conversations {
    fn happened(&mut self, flow: FlowId, when: When, what: Happening<'_>) -> Wanted {
        if let Happening::Opened(ends) = what {
            let kind = if ends.whole { Kind::Unclear(End::First, Vec::new()) } else { Kind::Middle };
            self.flows
                .insert(flow, Conversation { ends, opened: when, before: !ends.whole, told: false, held: 0, kind });
            return Wanted::Bytes;
        }
        let bytes_of = |c: &Conversation| match &c.kind {
            Kind::Http(http) if !http.watching() => Wanted::Ends,
            _ => Wanted::Bytes,
        };
        // In its place, as most bytes are a plain connection's.
        if let (Happening::Bytes(end, bytes), Some(c)) = (what, self.flows.get_mut(&flow))
            && let Kind::Http(http) = &mut c.kind
        {
            http.bytes(end, when, bytes, &mut self.told);
            c.count(&mut self.held);
            let wanted = bytes_of(c);
            return self.hold_bound(flow, when, wanted);
        }
        let Some(mut c) = self.flows.remove(&flow) else { return Wanted::Ends };
        self.held = self.held.saturating_sub(std::mem::take(&mut c.held));
        self.at_work = c.http().map(Http::id);
        let rest = match what {
            Happening::Opened(_) => None,
            Happening::Twin => {
                self.counts.twins = self.counts.twins.saturating_add(1);
                None
            }
            Happening::Bytes(end, bytes) => self.bytes(c, end, when, bytes),
            Happening::Missing(end, bytes) => self.missing(c, end, when, bytes),
            Happening::Fin(end) => {
                self.fin(&mut c, end, when);
                Some(c)
            }
            Happening::Reset(_) | Happening::Closed | Happening::Forgotten => {
                self.over(c, when, &what);
                None
            }
        };
        match rest {
            Some(mut c) => {
                let wanted = bytes_of(&c);
                c.count(&mut self.held);
                self.flows.insert(flow, c);
                self.hold_bound(flow, when, wanted)
            }
            None => Wanted::Ends,
        }
    }
}
