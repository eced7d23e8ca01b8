//! One connection that speaks HTTP: what a live tap tells of it, out of a capture.

use super::frames::{Frames, Pending};
use crate::model::ConnectionId;
use crate::model::event::{ConnectionClose, ConnectionOpen, Gap, GapWhat, HalfClose};
use crate::model::frame::Frame;
use crate::model::transport::{Addresses, By, End as HowEnded, How, Tls};
use crate::packet::When;
use crate::packet::conversation::begin::{self, Looks};
use crate::packet::tcp::{End, Ends};
use crate::wire::follow::Follow;
use crate::wire::http1::{Out, Pool};
use crate::wire::observation::{Ended, Observation, RawExchange, Seen};

/// Where what is told goes.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) observations: Vec<Observation>,
    pub(super) frames: Frames,
    pub(super) pool: Pool,
}

/// The framing of one connection and what was counted of it.
#[derive(Debug)]
pub(super) struct Http {
    id: ConnectionId,
    client: End,
    opened: When,
    follow: Follow,
    pending: Pending,
    /// The client's last packet.
    asked: Frame,
    bytes: [u64; 2],
    /// The server's bytes are part of an answer to what was not seen, until one begins.
    answers_before: bool,
    ended: Option<By>,
    /// Bytes of the client were captured, and of the server.
    heard: [bool; 2],
    /// See [`Http::one_sided`].
    one_sided: bool,
    /// Both sides are encrypted: an end without a close_notify is told.
    tls: bool,
}

/// How a connection begins to be told.
pub(super) struct Beginning {
    pub(super) id: ConnectionId,
    /// Its first packet.
    pub(super) opened: When,
    pub(super) ends: Ends,
    pub(super) client: End,
    /// Something came before.
    pub(super) before: bool,
    pub(super) tls: Option<Tls>,
}

impl Http {
    pub(super) fn new(beginning: Beginning, told: &mut Told) -> Self {
        let Beginning { id, opened, ends, client, before, tls } = beginning;
        let (client_address, server) = match client {
            End::First => (ends.first, ends.second),
            End::Second => (ends.second, ends.first),
        };
        let agreed = tls.as_ref().is_some_and(|t| t.alpn_chosen.as_deref() == Some("h2"));
        let encrypted = tls.is_some();
        told.frames.connection(id, opened.frame, opened.frame);
        told.observations.push(Observation {
            at: opened.at,
            what: Seen::Opened(Box::new(ConnectionOpen {
                connection: id,
                addresses: Addresses {
                    client: client_address,
                    upstream: Some(server),
                    upstream_local: Some(client_address),
                },
                // Nothing stands between: both ends have the same session.
                tls: tls.clone(),
                upstream_tls: tls,
                begun_before: before,
            })),
        });
        Self {
            id,
            client,
            opened,
            follow: if agreed { Follow::http2(false) } else { Follow::new(false) },
            pending: Pending::default(),
            asked: opened.frame,
            bytes: [0; 2],
            answers_before: before,
            ended: None,
            heard: [false; 2],
            one_sided: false,
            tls: encrypted,
        }
    }

    /// Whether its bytes still tell anything.
    pub(super) fn watching(&self) -> bool {
        self.follow.watching()
    }

    /// Its number.
    pub(super) const fn id(&self) -> ConnectionId {
        self.id
    }

    /// Memory that it takes beside its own, about, in bytes.
    pub(super) fn footprint(&self) -> usize {
        self.follow.footprint().saturating_add(self.pending.footprint())
    }

    /// Requests so far.
    pub(super) const fn exchanges(&self) -> u32 {
        self.follow.exchanges()
    }

    /// The packets of one direction were captured, and none with bytes of the other.
    pub(super) const fn one_sided(&self) -> bool {
        self.one_sided
    }

    const fn by(&self, end: End) -> By {
        if matches!((self.client, end), (End::First, End::First) | (End::Second, End::Second)) {
            By::Client
        } else {
            By::Upstream
        }
    }

    /// Bytes of a side were captured.
    fn heard(&mut self, by: By, bytes: &[u8]) {
        match (by, self.heard) {
            (By::Client, [false, _]) => (self.heard[0], self.one_sided) = (true, false),
            (By::Client, _) => {}
            // A server that waited in vain for a request says so (408).
            (_, [asked, false]) => {
                self.heard[1] = true;
                self.one_sided = !asked && bytes.get(9..12) != Some(b"408");
            }
            _ => {}
        }
    }

    /// The next bytes of a side, decrypted.
    pub(super) fn bytes(&mut self, end: End, when: When, bytes: &[u8], told: &mut Told) {
        let by = self.by(end);
        self.heard(by, bytes);
        if self.answers_before && by == By::Upstream {
            if begin::middle(bytes) != Looks::Response {
                return;
            }
            self.answers_before = false;
        }
        if by == By::Client && self.follow.between_messages() {
            self.pending.clear();
        }
        if by == By::Client {
            self.asked = when.frame;
        }
        let (follow, mut teller, pool) = self.parts(when, told);
        match by {
            By::Client => follow.client(when.at, bytes, pool, &mut teller),
            _ => follow.upstream(when.at, bytes, pool, &mut teller),
        }
        if let Some(count) = self.bytes.get_mut(usize::from(by == By::Upstream)) {
            *count = count.saturating_add(bytes.len() as u64);
        }
    }

    /// Bytes of a side that the capture does not hold. Whether they do no harm; otherwise the connection is over for us.
    pub(super) fn missing(&mut self, end: End, when: When, bytes: u64, told: &mut Told) -> bool {
        let by = self.by(end);
        let (follow, mut teller, pool) = self.parts(when, told);
        if follow.skip(by == By::Client, when.at, bytes, pool, &mut teller) {
            return true;
        }
        self.hole(end, when, bytes, told);
        false
    }

    /// Tells that bytes of a side are not in the capture.
    pub(super) fn hole(&mut self, end: End, when: When, bytes: u64, told: &mut Told) {
        let by = self.by(end);
        let upstream = usize::from(by == By::Upstream);
        let offset = self.bytes.get(upstream).copied().unwrap_or_default();
        self.one_sided |= by == By::Upstream && self.heard == [true, false];
        let from = if upstream == 1 { "upstream" } else { "client" };
        let what = GapWhat::PacketsMissing { from, offset, bytes };
        told.observations.push(Observation { at: when.at, what: Seen::Gap(Gap { connection: Some(self.id), what }) });
    }

    /// A side's orderly end.
    pub(super) fn fin(&mut self, end: End, when: When, told: &mut Told) {
        let by = self.by(end);
        let (follow, mut teller, pool) = self.parts(when, told);
        match by {
            By::Client => follow.client_end(when.at, pool, &mut teller),
            _ => follow.upstream_end(when.at, pool, &mut teller),
        }
        if self.ended.is_none() {
            self.ended = Some(by);
            told.frames.connection(self.id, self.opened.frame, when.frame);
            let half = HalfClose { connection: self.id, by };
            told.observations.push(Observation { at: when.at, what: Seen::HalfClosed(half) });
        }
    }

    /// A reset by a side.
    pub(super) fn reset(self, end: End, when: When, told: &mut Told) {
        let by = self.by(end);
        let by = self.ended.unwrap_or(by);
        let how = if self.ended.is_some() { How::Fin } else { How::Reset };
        self.over(when, HowEnded { by, how, errno: None, detail: None }, told);
    }

    /// Both sides have ended. `clean`: each said so inside TLS as well.
    pub(super) fn closed(self, when: When, clean: bool, told: &mut Told) {
        let by = self.ended.unwrap_or(By::Client);
        let detail = (self.tls && !clean).then(|| "TCP FIN without a TLS close_notify".to_owned());
        self.over(when, HowEnded { by, how: How::Fin, errno: None, detail }, told);
    }

    /// Its end is not in the capture, or it cannot be followed to it.
    pub(super) fn lost(self, when: When, why: &str, told: &mut Told) {
        let end = HowEnded { by: By::Tap, how: How::Error, errno: None, detail: Some(why.to_owned()) };
        self.over(when, end, told);
    }

    /// It is not followed to its end, for this reason.
    pub(super) fn given_up(self, when: When, why: &str, told: &mut Told) {
        let [offset, _] = self.bytes;
        told.observations.push(not_followed(self.id, when, why, offset));
        self.lost(when, why, told);
    }

    fn over(mut self, when: When, end: HowEnded, told: &mut Told) {
        if self.ended.is_none() {
            told.frames.connection(self.id, self.opened.frame, when.frame);
        }
        let (follow, mut teller, pool) = self.parts(when, told);
        follow.closed(when.at, pool, &mut teller);
        let [client_bytes, upstream_bytes] = self.bytes;
        told.observations.push(Observation {
            at: when.at,
            what: Seen::Closed(Box::new(ConnectionClose {
                connection: self.id,
                end,
                mid_handshake: false,
                client_bytes,
                upstream_bytes,
                exchanges: self.follow.exchanges(),
                duration: when.at.since(self.opened.at),
            })),
        });
    }

    fn parts<'a>(&'a mut self, when: When, told: &'a mut Told) -> (&'a mut Follow, Teller<'a>, &'a mut Pool) {
        let Told { observations, frames, pool } = told;
        let teller = Teller { id: self.id, when, asked: self.asked, pending: &mut self.pending, frames, observations };
        (&mut self.follow, teller, pool)
    }
}

/// A connection is not followed behind so many of the client's bytes.
pub(super) fn not_followed(id: ConnectionId, when: When, why: &str, offset: u64) -> Observation {
    let what = GapWhat::Unparsable { from: "client", offset, why: why.to_owned() };
    Observation { at: when.at, what: Seen::Gap(Gap { connection: Some(id), what }) }
}

/// Tells what the framing says, and notes in which packet it was.
struct Teller<'a> {
    id: ConnectionId,
    when: When,
    asked: Frame,
    pending: &'a mut Pending,
    frames: &'a mut Frames,
    observations: &'a mut Vec<Observation>,
}

impl Teller<'_> {
    fn tell(&mut self, what: Seen) {
        self.observations.push(Observation { at: self.when.at, what });
    }
}

impl Out for Teller<'_> {
    fn request(&mut self, exchange: u32) {
        self.pending.request(exchange, self.when.frame);
    }

    fn exchange(&mut self, exchange: RawExchange) {
        let number = exchange.exchange;
        let response = exchange.response.is_some().then_some(self.when.frame);
        // A head that is refused before its end is in no packet as a whole.
        let request = self.pending.take(number).unwrap_or(self.asked);
        self.frames.exchange(self.id, number, request, response);
        self.tell(Seen::Exchange(self.id, Box::new(exchange)));
    }

    fn ended(&mut self, ended: Ended) {
        self.tell(Seen::Ended(self.id, ended));
    }

    fn unparsable(&mut self, from: &'static str, offset: u64, why: String) {
        // What a live tap can exclude.
        let why = format!("{why}; or packets before it are not in the capture, or come after it");
        self.tell(Seen::Gap(Gap { connection: Some(self.id), what: GapWhat::Unparsable { from, offset, why } }));
    }
}
