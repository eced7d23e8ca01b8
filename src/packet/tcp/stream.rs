//! One direction of a connection: from sequence numbers (RFC 9293 section 3.4) to bytes in order.
//!
//! Sequence numbers wrap, so a place is counted in 64 bits, from [`START`], and a number means the place that is nearest
//! to the newest one.

use std::time::Duration;

use super::pieces::{Part, Pieces};
use super::tell::Tell;
use super::{End, Happening, Listen};
use crate::model::Stamp;

/// Place of a direction's first byte; numbers may mean places before it.
pub(super) const START: u64 = 1 << 32;

/// So far from the newest place a segment may be, in bytes: the largest window that systems grow to by themselves.
pub(super) const WINDOW: u64 = 16 * 1024 * 1024;

/// So large a jump ahead may be, in bytes, where the capture paused: the largest window that TCP has (RFC 7323 section
/// 2.2). What is farther is another connection.
const JUMP: i32 = 1 << 30;

/// So many segments, each at or after the end of the one before, must agree on a place that is far away.
const AGREED: u8 = 4;

/// Bytes that were acknowledged and not captured may still come, for so many segments of the connection: packets of
/// several interfaces or files are not always in order.
const SLACK_SEGMENTS: u32 = 16;

/// And for so long.
pub(super) const SLACK: Duration = Duration::from_secs(1);

/// Where no acknowledgement is captured at all, a hole may be filled for so long: retransmissions take a while.
pub(super) const BLIND_SLACK: Duration = Duration::from_secs(3);

/// Numbers far from where a direction is: one is a stray, several that agree are not.
#[derive(Debug, Default)]
struct Odd {
    next: u32,
    seen: u8,
}

impl Odd {
    /// One more; whether enough agree.
    fn again(&mut self, sequence: u32, length: u64) -> bool {
        let ahead = u64::from(sequence.wrapping_sub(self.next));
        let end = sequence.wrapping_add(low(length));
        if self.seen > 0 && ahead > u64::from(u32::MAX) - WINDOW {
            // A copy of what was counted.
            return false;
        }
        self.seen = if self.seen > 0 && ahead <= WINDOW { self.seen.saturating_add(1) } else { 1 };
        self.next = end;
        self.seen >= AGREED
    }
}

/// Places up to `upto` were acknowledged and are not all here.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    upto: u64,
    at: Stamp,
    segments: u32,
}

/// Where a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    At(u64),
    /// Nowhere near.
    Stray,
    /// Nowhere near, like others before it.
    Elsewhere,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Stream {
    end: End,
    /// Sequence number of its SYN.
    pub(super) syn: Option<u32>,
    /// Where it begins is known.
    pub(super) begun: bool,
    /// The newest place that was sent or acknowledged, and its number.
    top: u64,
    top_number: u32,
    /// Everything before was told.
    next: u64,
    /// Everything before was acknowledged; `None` when no acknowledgement was captured.
    acknowledged: Option<u64>,
    fin: Option<u64>,
    ended: bool,
    doubt: Option<Doubt>,
    odd: Odd,
    odd_acknowledged: Odd,
    pieces: Pieces,
}

impl Stream {
    pub(super) fn new(end: End) -> Self {
        Self {
            end,
            syn: None,
            begun: false,
            top: START,
            top_number: 0,
            next: START,
            acknowledged: None,
            fin: None,
            ended: false,
            doubt: None,
            odd: Odd::default(),
            odd_acknowledged: Odd::default(),
            pieces: Pieces::default(),
        }
    }

    /// The first byte has this number.
    pub(super) fn begin(&mut self, number: u32) {
        if self.begun && self.next == START && self.number(START) == number {
            return;
        }
        self.begun = true;
        (self.top, self.top_number) = (START, number);
        self.next = START;
        self.acknowledged = None;
        self.fin = None;
        self.doubt = None;
        self.pieces.clear();
    }

    /// Nothing of it was told.
    pub(super) const fn untold(&self) -> bool {
        self.next == START && !self.ended
    }

    /// FIN was told.
    pub(super) const fn ended(&self) -> bool {
        self.ended
    }

    /// Memory that waiting bytes take.
    pub(super) const fn cost(&self) -> usize {
        self.pieces.cost()
    }

    /// The number of a place.
    pub(super) fn number(&self, place: u64) -> u32 {
        self.top_number.wrapping_sub(low(self.top.wrapping_sub(place)))
    }

    fn place(&self, number: u32) -> u64 {
        self.top.saturating_add_signed(i64::from(number.wrapping_sub(self.top_number).cast_signed()))
    }

    /// Whether a number is within the window around the newest place.
    pub(super) fn near(&self, number: u32) -> bool {
        !self.begun || self.place(number).abs_diff(self.top) <= WINDOW
    }

    /// Whether a number is one that an acknowledgement of this direction may have.
    pub(super) fn spans(&self, number: u32) -> bool {
        self.begun && (START..=self.top).contains(&self.place(number))
    }

    /// Where a segment of this direction is; what is far away is believed when several agree on it.
    pub(super) fn locate(&mut self, number: u32, length: u64) -> Place {
        let place = self.place(number);
        if place <= self.top.saturating_add(WINDOW) && place >= START.saturating_sub(WINDOW) {
            self.odd.seen = 0;
            return Place::At(place);
        }
        if !self.odd.again(number, length) {
            return Place::Stray;
        }
        self.odd.seen = 0;
        if place > self.top && number.wrapping_sub(self.top_number).cast_signed() <= JUMP {
            Place::At(place)
        } else {
            Place::Elsewhere
        }
    }

    /// The other end expects this number next.
    pub(super) fn acknowledge(&mut self, number: u32) {
        if !self.begun {
            // What came before was received before anything here was captured.
            self.begin(number);
        }
        let place = self.place(number);
        if self.acknowledged.is_some_and(|before| place <= before) || place < START {
            return;
        }
        if place > self.top.saturating_add(WINDOW) {
            let far = number.wrapping_sub(self.top_number).cast_signed() > JUMP;
            if !self.odd_acknowledged.again(number, 0) || far {
                return;
            }
        }
        self.odd_acknowledged.seen = 0;
        if self.acknowledged.is_none() {
            self.doubt = None;
        }
        self.acknowledged = Some(place);
        self.reach(place, number);
    }

    fn reach(&mut self, place: u64, number: u32) {
        if place > self.top {
            (self.top, self.top_number) = (place, number);
        }
    }

    /// Whether this is the probe of a connection that is kept alive, with a byte that means nothing (RFC 9293 section
    /// 3.8.4): one zero byte right before what the other end expects.
    pub(super) fn is_probe(&self, place: u64, payload: &[u8]) -> bool {
        payload == [0] && self.acknowledged == Some(place.saturating_add(1))
    }

    /// Only ends are wanted: notes how far it is.
    pub(super) fn pass(&mut self, place: u64, length: u64) {
        let end = place.saturating_add(length);
        self.reach(end, self.number(end));
    }

    /// A stretch of a segment: tells it if it is next, keeps it if not.
    pub(super) fn take(&mut self, place: u64, part: Part<'_>, tell: &mut Tell<'_, impl Listen>) {
        let end = place.saturating_add(part.len());
        self.reach(end, self.number(end));
        let stop = self.fin.unwrap_or(u64::MAX);
        let (mut part, _) = part.split(stop.saturating_sub(place));
        let mut at = place;
        loop {
            if at < self.next {
                (_, part) = part.split(self.next.saturating_sub(at));
                at = self.next;
            }
            if part.len() == 0 {
                return;
            }
            if at > self.next {
                return self.pieces.keep(at, part);
            }
            let room = self.pieces.start().map_or(u64::MAX, |start| start.saturating_sub(at));
            let (now, rest) = part.split(room);
            tell.part(self.end, now);
            self.next = self.next.saturating_add(now.len());
            at = self.next;
            part = rest;
            self.drain(tell);
        }
    }

    /// Tells the pieces that are next, as far as the FIN.
    fn drain(&mut self, tell: &mut Tell<'_, impl Listen>) {
        let stop = self.fin.unwrap_or(u64::MAX);
        let (end, next) = (self.end, &mut self.next);
        while let Some(length) = self.pieces.take(*next, |part| {
            let (part, _) = part.split(stop.saturating_sub(*next));
            tell.part(end, part);
            part.len()
        }) {
            *next = next.saturating_add(length);
        }
    }

    /// FIN comes at this place. One before what was told contradicts it, and is nothing.
    pub(super) fn finish_at(&mut self, place: u64, bytes_wanted: bool) {
        if self.fin.is_none() && (place >= self.next || !bytes_wanted) {
            self.fin = Some(place);
        }
    }

    /// Tells the direction's end when everything before it was told, or is not wanted.
    pub(super) fn close(&mut self, tell: &mut Tell<'_, impl Listen>) {
        let wanted = tell.bytes_wanted();
        if !wanted && !self.pieces.is_empty() {
            self.pieces.clear();
        }
        if let Some(fin) = self.fin
            && !self.ended
            && (fin == self.next || !wanted)
        {
            self.ended = true;
            self.pieces.clear();
            tell.happened(Happening::Fin(self.end));
        }
    }

    /// Place of the first thing that waits: a piece, or the FIN.
    fn waiting(&self) -> Option<u64> {
        let fin = self.fin.filter(|_| !self.ended);
        let piece = self.pieces.start();
        fin.map_or(piece, |fin| Some(piece.map_or(fin, |piece| piece.min(fin)))).filter(|place| *place > self.next)
    }

    /// When what waits is let through at the latest, if it is certain that what comes before is lost.
    pub(super) fn deadline(&self) -> Option<Stamp> {
        let doubt = self.doubt?;
        let certain = self.waiting().is_some_and(|start| start <= doubt.upto);
        certain.then(|| doubt.at.after(self.slack()))
    }

    const fn slack(&self) -> Duration {
        if self.acknowledged.is_some() { SLACK } else { BLIND_SLACK }
    }

    /// Looks whether bytes are certainly not in the capture, and goes on behind them.
    pub(super) fn settle(&mut self, now: Stamp, segments: u32, tell: &mut Tell<'_, impl Listen>) {
        let certain = match self.acknowledged {
            Some(place) => place.min(self.fin.unwrap_or(place)),
            None => self.pieces.end().or(self.fin).unwrap_or(self.next),
        };
        if let Some(doubt) = self.doubt {
            if self.next >= doubt.upto {
                self.doubt = None;
            } else if self.waiting().is_some_and(|start| start <= doubt.upto) {
                let many = self.acknowledged.is_some() && segments.wrapping_sub(doubt.segments) >= SLACK_SEGMENTS;
                if many || now.since(doubt.at) >= self.slack() {
                    self.give_up(doubt.upto, tell);
                    self.doubt = None;
                }
            } else if certain > doubt.upto {
                // Nothing waits for it yet: the newest counts.
                self.doubt = None;
            }
        }
        if self.doubt.is_none() && certain > self.next && !self.ended {
            self.doubt = Some(Doubt { upto: certain, at: now, segments });
        }
    }

    /// Tells holes that end at or before `upto` as missing, and what waited behind them.
    pub(super) fn give_up(&mut self, upto: u64, tell: &mut Tell<'_, impl Listen>) {
        while let Some(start) = self.waiting().filter(|start| *start <= upto) {
            self.skip_to(start, tell);
            self.drain(tell);
        }
        self.close(tell);
    }

    /// Tells the first hole as missing, whether or not that is certain.
    pub(super) fn give_way(&mut self, tell: &mut Tell<'_, impl Listen>) {
        if let Some(start) = self.waiting() {
            self.give_up(start, tell);
        }
    }

    /// Nothing more comes: tells all that waits, and what was acknowledged behind it.
    pub(super) fn flush(&mut self, tell: &mut Tell<'_, impl Listen>) {
        self.give_up(u64::MAX, tell);
        // One more may be the FIN's own number.
        let end = self.acknowledged.unwrap_or(0);
        if !self.ended && end > self.next.saturating_add(1) {
            self.skip_to(end, tell);
        }
    }

    fn skip_to(&mut self, place: u64, tell: &mut Tell<'_, impl Listen>) {
        tell.part(self.end, Part::Cut(place.saturating_sub(self.next)));
        self.next = place;
    }
}

/// The low half: sequence numbers count modulo 2^32.
fn low(number: u64) -> u32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
