//! From capture files to events: the files are read side by side in the order of their packets' times, and everything of
//! them goes through the same catalogue as live traffic.

use std::collections::BTreeMap;
use std::io::Read;

use super::conversation::{Conversations, Counts};
use super::file::{Captured, Damage, Item, Reader};
use super::link::{self, Found};
use super::sides::{self, Sides};
use super::tcp::Tcp;
use super::tls::KeyLog;
use super::{Segment, When};
use crate::finding::Settings;
use crate::model::Stamp;
use crate::model::event::{Event, What};
use crate::model::frame::Frame;
use crate::model::transport::Certificate;

/// What was read of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileFacts {
    /// The file's name.
    pub name: String,
    /// Packets in it.
    pub packets: u64,
    /// The times of its first and its last packet.
    pub period: Option<(Stamp, Stamp)>,
    /// Why it could not be read to its end, and where.
    pub damage: Option<Damage>,
}

/// What was seen in the captures besides events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The files, in the order in which they were named.
    pub files: Vec<FileFacts>,
    /// Packets that are TCP segments.
    pub segments: u64,
    /// Packets that could not be read, by the reason.
    pub unreadable: BTreeMap<&'static str, u64>,
    /// Connections.
    pub connections: Counts,
    /// Which of them stand before a hop and which behind it.
    pub sides: sides::Facts,
}

/// So many bytes are read at once of all files together, and of one at least and at most: a ring of tcpdump may have a
/// thousand files.
const AT_ONCE: usize = 16 * 1024 * 1024;
const LEAST_AT_ONCE: usize = 32 * 1024;
const MOST_AT_ONCE: usize = 1024 * 1024;

/// Before any packet.
const NEVER: Stamp = Stamp(i64::MIN);

/// One file that is being read.
struct Source<R> {
    facts: FileFacts,
    /// `None` when it came to its end.
    reader: Option<Reader<R>>,
    /// Its next packet, while several files are read side by side.
    next: Option<Kept>,
}

/// A packet that waits for those of other files.
struct Kept {
    number: u64,
    at: Stamp,
    link: u16,
    length: u32,
    bytes: Vec<u8>,
}

/// What a diagnosis needs to know.
#[derive(Debug)]
pub struct Options {
    /// Of the catalogue.
    pub settings: Settings,
    /// Secrets that open TLS.
    pub keys: KeyLog,
    /// Reads the facts of a certificate (DER).
    pub certificate: fn(&[u8]) -> Option<Certificate>,
}

struct Work<'a, O> {
    tcp: Tcp,
    conversations: Conversations,
    sides: Sides,
    facts: Facts,
    last: When,
    out: &'a mut O,
}

/// Reads all captures, named and opened, and hands their events on, findings last.
///
/// Several files are one capture: their packets are taken in the order of their times, and what two of them hold of the
/// same connection counts once. Damage ends the reading of its file and is told in the facts.
pub fn diagnose<R: Read>(inputs: Vec<(String, R)>, options: Options, mut out: impl FnMut(Event)) -> Facts {
    let size = (AT_ONCE / inputs.len().max(1)).clamp(LEAST_AT_ONCE, MOST_AT_ONCE);
    let mut sources: Vec<Source<R>> = inputs.into_iter().map(|(name, input)| Source::open(name, input, size)).collect();
    let mut work = Work {
        tcp: Tcp::default(),
        conversations: Conversations::new(options.keys, options.certificate),
        sides: Sides::new(options.settings),
        facts: Facts::default(),
        last: When { at: NEVER, frame: Frame { file: 0, number: 0 } },
        out: &mut out,
    };
    if let [only] = sources.as_mut_slice() {
        only.read_through(&mut work);
    } else {
        side_by_side(&mut sources, &mut work);
    }
    work.facts.files = sources.into_iter().map(|s| s.facts).collect();
    work.finish()
}

fn side_by_side<R: Read, O: FnMut(Event)>(sources: &mut [Source<R>], work: &mut Work<'_, O>) {
    for source in &mut *sources {
        source.advance(work);
    }
    loop {
        let first = sources.iter().enumerate().filter_map(|(i, s)| Some((s.next.as_ref()?.at, i))).min();
        let Some((_, index)) = first else { return };
        let Some(source) = sources.get_mut(index) else { return };
        if let Some(kept) = source.next.take() {
            let packet =
                Captured { number: kept.number, at: kept.at, link: kept.link, bytes: &kept.bytes, length: kept.length };
            work.packet(index, &packet);
            source.next = Some(kept);
        }
        source.advance(work);
    }
}

impl<R: Read> Source<R> {
    fn open(name: String, input: R, size: usize) -> Self {
        let mut facts = FileFacts { name, ..FileFacts::default() };
        let reader = match Reader::reading(input, size) {
            Ok(reader) => Some(reader),
            Err(damage) => {
                facts.damage = Some(damage);
                None
            }
        };
        Self { facts, reader, next: None }
    }

    /// Reads the whole file, with no other beside it.
    fn read_through<O: FnMut(Event)>(&mut self, work: &mut Work<'_, O>) {
        let Some(reader) = &mut self.reader else { return };
        loop {
            match reader.next() {
                Ok(Some(Item::Packet(packet))) => {
                    self.facts.note(&packet);
                    work.packet(0, &packet);
                }
                Ok(Some(Item::Secrets(text))) => work.conversations.secrets(text),
                Ok(None) => return,
                Err(damage) => {
                    self.facts.damage = Some(damage);
                    return;
                }
            }
        }
    }

    /// Fetches the next packet.
    fn advance<O: FnMut(Event)>(&mut self, work: &mut Work<'_, O>) {
        let mut bytes = self.next.take().map(|kept| kept.bytes).unwrap_or_default();
        let Some(reader) = &mut self.reader else { return };
        loop {
            match reader.next() {
                Ok(Some(Item::Packet(packet))) => {
                    self.facts.note(&packet);
                    bytes.clear();
                    bytes.extend_from_slice(packet.bytes);
                    let Captured { number, at, link, length, .. } = packet;
                    self.next = Some(Kept { number, at, link, length, bytes });
                    return;
                }
                Ok(Some(Item::Secrets(text))) => work.conversations.secrets(text),
                Ok(None) => break,
                Err(damage) => {
                    self.facts.damage = Some(damage);
                    break;
                }
            }
        }
        self.reader = None;
    }
}

impl FileFacts {
    fn note(&mut self, packet: &Captured<'_>) {
        self.packets = packet.number;
        self.period = Some(match self.period {
            None => (packet.at, packet.at),
            Some((first, last)) => (first.min(packet.at), last.max(packet.at)),
        });
    }
}

impl<O: FnMut(Event)> Work<'_, O> {
    fn packet(&mut self, file: usize, packet: &Captured<'_>) {
        let file = u16::try_from(file).unwrap_or(u16::MAX);
        let when = When { at: packet.at, frame: Frame { file, number: packet.number } };
        match link::segment(packet) {
            Found::Tcp(segment) => self.segment(when, &segment),
            Found::Other => {}
            Found::Unreadable(why) => {
                let count = self.facts.unreadable.entry(why).or_default();
                *count = count.saturating_add(1);
            }
        }
        if when.at >= self.last.at {
            self.last = when;
        }
    }

    fn segment(&mut self, when: When, segment: &Segment<'_>) {
        self.facts.segments = self.facts.segments.saturating_add(1);
        self.tcp.segment(when, segment, &mut self.conversations);
        self.hand_on();
    }

    fn hand_on(&mut self) {
        for observation in self.conversations.observations() {
            self.sides.observe(observation, self.out);
        }
    }

    fn finish(mut self) -> Facts {
        let last = self.last;
        if last.at == NEVER {
            // Not a packet: no time is known, and nothing is to be told.
            return self.facts;
        }
        self.tcp.finish(last, &mut self.conversations);
        self.hand_on();
        self.facts.connections = self.conversations.counts();
        let frames = self.conversations.frames();
        let open = self.conversations.open_exchanges();
        let out = self.out;
        self.facts.sides = self.sides.finish(last.at, &mut |mut event: Event| {
            match &mut event.what {
                What::Finding(finding) => {
                    for evidence in &mut finding.evidence {
                        evidence.frame = frames.of(evidence);
                    }
                }
                What::Stop(totals) => totals.exchanges = totals.exchanges.saturating_add(open),
                _ => {}
            }
            out(event);
        });
        self.facts
    }
}
