//! One connection: how it begins, which end a segment is of, and how it ends (RFC 9293 section 3.6).

use super::pieces::{Part, wide};
use super::stream::{Place, Stream};
use super::tell::Tell;
use super::{End, Ends, FlowId, Happening, Listen, Wanted};
use crate::model::Stamp;
use crate::model::frame::Frame;
use crate::packet::{Segment, When};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// So long an ended connection is remembered, in the capture's time: what comes late is of it and of no new one. It is
/// twice the longest life of a segment (RFC 9293 section 3.4.1), as systems have it in practice.
const REMEMBERED: Duration = Duration::from_mins(2);

/// What a segment did to its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// It goes on.
    Stays,
    /// It has ended just now.
    Ended,
    /// The segment belongs to another connection with the same ports.
    Anew,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Flow {
    id: FlowId,
    /// The lower end of its pair is [`End::First`].
    first_is_low: bool,
    /// The server and the number that the client began with, where the beginning was captured.
    begun: Option<(SocketAddr, u32)>,
    client: IpAddr,
    first: Stream,
    second: Stream,
    wanted: Wanted,
    /// Segments so far, wrapping.
    segments: u32,
    /// Its last segment.
    frame: Frame,
    /// When it ended.
    ended: Option<Stamp>,
    /// It is among those that are looked at when their time has come.
    pub(super) timed: bool,
}

impl Flow {
    /// The connection that a segment begins, with what it tells of its beginning; `None` when the segment is none that
    /// may: it resets, or carries nothing that would be missed (an empty one, or the one byte of a probe).
    pub(super) fn open(id: FlowId, from_low: bool, when: When, segment: &Segment<'_>) -> Option<(Self, Ends)> {
        if segment.rst {
            return None;
        }
        let mut flow = Self {
            id,
            first_is_low: from_low,
            begun: None,
            client: segment.from.ip(),
            first: Stream::new(End::First),
            second: Stream::new(End::Second),
            wanted: Wanted::Bytes,
            segments: 0,
            frame: when.frame,
            ended: None,
            timed: false,
        };
        let mut ends = Ends { first: segment.from, second: segment.to, whole: segment.syn };
        match (segment.syn, segment.acknowledged) {
            (true, Some(acknowledged)) => {
                flow.first_is_low = !from_low;
                (ends.first, ends.second) = (segment.to, segment.from);
                flow.first.syn = Some(acknowledged.wrapping_sub(1));
                flow.first.begin(acknowledged);
                flow.second.syn = Some(segment.sequence);
                flow.second.begin(segment.sequence.wrapping_add(1));
            }
            (true, None) => {
                flow.first.syn = Some(segment.sequence);
                flow.first.begin(segment.sequence.wrapping_add(1));
            }
            (false, _) if length(segment) > 1 => flow.first.begin(segment.sequence),
            (false, _) => return None,
        }
        flow.begun = flow.first.syn.map(|number| (ends.second, number));
        flow.client = ends.first.ip();
        Some((flow, ends))
    }

    /// Tells that it is there.
    pub(super) fn opened(&mut self, ends: Ends, when: When, to: &mut impl Listen) {
        self.telling(when, to, |_, tell| tell.happened(Happening::Opened(ends)));
    }

    pub(super) const fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    pub(super) const fn id(&self) -> FlowId {
        self.id
    }

    /// What it is known by when it comes a second time.
    pub(super) const fn begun(&self) -> Option<(SocketAddr, u32)> {
        self.begun
    }

    /// Both ends began with the same numbers as those of `other`, which has another client's address.
    pub(super) fn has_numbers_of(&self, other: &Self) -> bool {
        self.client != other.client
            && self.first.syn == other.first.syn
            && self.second.syn.is_some()
            && self.second.syn == other.second.syn
    }

    /// None of its bytes was told, and they are wanted.
    pub(super) const fn untold(&self) -> bool {
        self.first.untold() && self.second.untold() && matches!(self.wanted, Wanted::Bytes)
    }

    /// It is another one under another address: nothing of it is told.
    pub(super) fn is_twin(&mut self, when: When, to: &mut impl Listen) -> After {
        self.telling(when, to, |_, tell| tell.happened(Happening::Twin));
        self.wanted = Wanted::Ends;
        After::Stays
    }

    /// Memory that waiting bytes take.
    pub(super) const fn cost(&self) -> usize {
        self.first.cost().saturating_add(self.second.cost())
    }

    fn end(&self, from_low: bool) -> End {
        if from_low == self.first_is_low { End::First } else { End::Second }
    }

    /// The direction of an end, and the other one.
    const fn streams(&mut self, end: End) -> (&mut Stream, &mut Stream) {
        match end {
            End::First => (&mut self.first, &mut self.second),
            End::Second => (&mut self.second, &mut self.first),
        }
    }

    /// Tells as of `when`, and remembers what the listener wants.
    fn telling<L: Listen, T>(&mut self, when: When, to: &mut L, f: impl FnOnce(&mut Self, &mut Tell<'_, L>) -> T) -> T {
        let mut tell = Tell::new(self.id, when, self.wanted, to);
        let result = f(self, &mut tell);
        self.wanted = tell.wanted();
        result
    }

    /// Takes in a segment of this connection.
    pub(super) fn segment(&mut self, from_low: bool, when: When, segment: &Segment<'_>, to: &mut impl Listen) -> After {
        let end = self.end(from_low);
        if let Some(ended) = self.ended {
            return self.straggler(end, ended, when.at, segment);
        }
        self.frame = when.frame;
        self.segments = self.segments.wrapping_add(1);
        if segment.rst {
            return self.reset(end, when, segment, to);
        }
        if segment.syn {
            match self.handshake(end, segment) {
                Syn::Same => {}
                Syn::Stray => return After::Stays,
                Syn::Anew => return After::Anew,
            }
        }
        self.telling(when, to, |flow, tell| {
            let segments = flow.segments;
            let wanted = tell.bytes_wanted();
            let (own, other) = flow.streams(end);
            if let Some(acknowledged) = segment.acknowledged {
                other.acknowledge(acknowledged);
                if wanted {
                    other.settle(when.at, segments, tell);
                }
            }
            if (!segment.payload.is_empty() || segment.fin || segment.cut > 0)
                && let Err(after) = data(own, segment, tell)
            {
                return after;
            }
            if wanted {
                own.settle(when.at, segments, tell);
            }
            flow.closed(when.at, tell)
        })
    }

    /// Its time has come: what certainly is lost is told, as of `now`.
    pub(super) fn late(&mut self, now: Stamp, to: &mut impl Listen) -> After {
        if self.ended.is_some() {
            return After::Stays;
        }
        self.telling(When { at: now, frame: self.frame }, to, |flow, tell| {
            flow.first.settle(now, flow.segments, tell);
            flow.second.settle(now, flow.segments, tell);
            flow.closed(now, tell)
        })
    }

    /// When to look at it again, if bytes wait behind a hole that is certain.
    pub(super) fn deadline(&self) -> Option<Stamp> {
        if self.ended.is_some() || self.wanted == Wanted::Ends {
            return None;
        }
        let (first, second) = (self.first.deadline(), self.second.deadline());
        first.into_iter().chain(second).min()
    }

    /// Lets what waits through until it costs at most `most`, whatever may still come before it.
    pub(super) fn give_way(&mut self, most: usize, when: When, to: &mut impl Listen) -> After {
        self.telling(when, to, |flow, tell| {
            let mut before = usize::MAX;
            while flow.cost() > most && flow.cost() < before {
                before = flow.cost();
                if flow.first.cost() > flow.second.cost() {
                    flow.first.give_way(tell);
                } else {
                    flow.second.give_way(tell);
                }
            }
            flow.closed(when.at, tell)
        })
    }

    /// Nothing more comes: tells all that waits.
    pub(super) fn flush(&mut self, when: When, to: &mut impl Listen) {
        if self.ended.is_none() {
            self.telling(when, to, |flow, tell| {
                flow.first.flush(tell);
                flow.second.flush(tell);
                flow.closed(when.at, tell);
            });
        }
    }

    /// Nothing more comes, since it is forgotten.
    pub(super) fn forget(&mut self, when: When, to: &mut impl Listen) {
        self.flush(when, to);
        if self.ended.is_none() {
            self.ended = Some(when.at);
            to.heard(self.id, when, Happening::Forgotten);
        }
    }

    /// After something was told: lets go of what is no longer wanted, and tells when both directions have ended.
    fn closed(&mut self, at: Stamp, tell: &mut Tell<'_, impl Listen>) -> After {
        if !tell.bytes_wanted() {
            self.first.close(tell);
            self.second.close(tell);
        }
        if self.ended.is_none() && self.first.ended() && self.second.ended() {
            self.ended = Some(at);
            tell.happened(Happening::Closed);
            return After::Ended;
        }
        After::Stays
    }

    /// A reset ends the connection where its number is near what that end sent, or it answers what the other end sent
    /// (RFC 9293 section 3.5.2). A receiver would be stricter (section 3.5.3); it also knows its own window.
    fn reset(&mut self, end: End, when: When, segment: &Segment<'_>, to: &mut impl Listen) -> After {
        let (own, other) = self.streams(end);
        let answers = segment.acknowledged.is_some_and(|number| other.spans(number));
        let fits = if own.begun { own.near(segment.sequence) } else { segment.acknowledged.is_none() };
        if !fits && !answers {
            return After::Stays;
        }
        self.flush(when, to);
        if self.ended.is_none() {
            self.ended = Some(when.at);
            self.telling(when, to, |_, tell| tell.happened(Happening::Reset(end)));
        }
        After::Ended
    }

    /// Whether a SYN is one of this connection.
    fn handshake(&mut self, end: End, segment: &Segment<'_>) -> Syn {
        let (own, other) = self.streams(end);
        let number = segment.sequence;
        let first_byte = number.wrapping_add(1);
        if own.syn == Some(number) {
            return Syn::Same;
        }
        if own.syn.is_none() && own.begun && own.number(super::stream::START) == first_byte {
            own.syn = Some(number);
            return Syn::Same;
        }
        let answers = other.syn.is_some()
            && match segment.acknowledged {
                Some(acknowledged) => other.spans(acknowledged),
                // Both ends may send a SYN at once (RFC 9293 section 3.5, figure 7).
                None => own.syn.is_none() && own.untold() && other.untold(),
            };
        if !answers {
            return Syn::Anew;
        }
        if own.untold() {
            // The first, or another answer to a SYN that was sent again: a server with SYN cookies has a new number each
            // time.
            own.syn = Some(number);
            own.begin(first_byte);
            return Syn::Same;
        }
        Syn::Stray
    }

    /// A segment after the end: nearly always one of the ended connection.
    fn straggler(&mut self, end: End, ended: Stamp, at: Stamp, segment: &Segment<'_>) -> After {
        let (own, _) = self.streams(end);
        let anew = if segment.rst {
            false
        } else if segment.syn {
            own.syn != Some(segment.sequence)
        } else if length(segment) <= 1 {
            false
        } else {
            at.since(ended) > REMEMBERED
                || own.begun && own.locate(segment.sequence, length(segment)) == Place::Elsewhere
        };
        if anew { After::Anew } else { After::Stays }
    }
}

/// What a SYN is to a connection that there is.
enum Syn {
    Same,
    Stray,
    Anew,
}

/// What was sent of payload, captured or not.
fn length(segment: &Segment<'_>) -> u64 {
    wide(segment.payload.len()).saturating_add(u64::from(segment.cut))
}

/// Payload and FIN of a segment.
fn data(own: &mut Stream, segment: &Segment<'_>, tell: &mut Tell<'_, impl Listen>) -> Result<(), After> {
    let number = segment.sequence.wrapping_add(u32::from(segment.syn));
    let length = length(segment);
    if !own.begun {
        if length <= 1 && !segment.fin {
            return Ok(());
        }
        own.begin(number);
    }
    let place = match own.locate(number, length) {
        Place::At(place) => place,
        Place::Stray => return Err(After::Stays),
        Place::Elsewhere => return Err(After::Anew),
    };
    let end = place.saturating_add(length);
    if !tell.bytes_wanted() {
        own.pass(place, length);
    } else if !own.is_probe(place, segment.payload) {
        own.take(place, Part::Bytes(segment.payload), tell);
        if segment.cut > 0 {
            own.take(place.saturating_add(wide(segment.payload.len())), Part::Cut(u64::from(segment.cut)), tell);
        }
    }
    if segment.fin {
        own.finish_at(end, tell.bytes_wanted());
    }
    own.close(tell);
    Ok(())
}
