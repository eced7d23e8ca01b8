//! Any segments at all, and random streams that a capture reorders, repeats, overlaps and loses.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{End, FlowId, Happening, Listen, MAX_WAITING, Tcp, Wanted};
use super::plain;
use crate::model::Stamp;
use crate::model::frame::Frame;
use crate::packet::{Segment, When};

/// Each direction as a picture of what was told: bytes, and zeros for what is missing.
#[derive(Default)]
struct Picture {
    told: [Vec<u8>; 2],
    ended: [bool; 2],
    closed: bool,
}

impl Listen for Picture {
    fn heard(&mut self, flow: FlowId, _when: When, what: Happening<'_>) -> Wanted {
        assert_eq!(flow, FlowId(0), "one connection became two");
        assert!(!self.closed, "after the end: {what:?}");
        let index = |end| usize::from(end == End::Second);
        match what {
            Happening::Opened(ends) => assert!(ends.whole),
            Happening::Bytes(end, bytes) => {
                assert!(!bytes.is_empty() && !self.ended[index(end)]);
                self.told[index(end)].extend_from_slice(bytes);
            }
            Happening::Missing(end, n) => {
                assert!(n > 0 && !self.ended[index(end)]);
                let length = self.told[index(end)].len() + usize::try_from(n).unwrap();
                self.told[index(end)].resize(length, 0);
            }
            Happening::Fin(end) => self.ended[index(end)] = true,
            Happening::Closed => self.closed = true,
            Happening::Reset(_) | Happening::Twin | Happening::Forgotten => panic!("{what:?}"),
        }
        Wanted::Bytes
    }
}

/// What happens to a segment on its way into the capture.
#[derive(Debug, Clone, Copy)]
struct Fate {
    length: usize,
    /// Sent so many bytes earlier as well: an overlap with what came before.
    overlap: usize,
    delay: usize,
    twice: Option<usize>,
    lost: bool,
}

fn fate() -> impl Strategy<Value = Fate> {
    let lost = prop_oneof![9 => Just(false), 1 => Just(true)];
    (1..40_usize, prop_oneof![3 => Just(0), 1 => 0..30_usize], 0..6_usize, prop::option::of(0..6_usize), lost)
        .prop_map(|(length, overlap, delay, twice, lost)| Fate { length, overlap, delay, twice, lost })
}

/// The bytes of a stream: never zero, and each tells its place.
fn stream(length: usize, side: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 7 + at / 255 + side * 100) % 255).unwrap() + 1).collect()
}

/// A packet of the capture: when, whose, from where to where, with the FIN; an acknowledgement of `to` has no `from`.
type Packet = (usize, usize, Option<usize>, usize, bool);

/// After so many turns a packet has come, if it does.
const LATEST: usize = 7;

fn run(fates: &[Vec<Fate>; 2], starts: [u32; 2], lossless: bool, acknowledged: bool) -> Result<(), TestCaseError> {
    let mut packets: Vec<Packet> = Vec::new();
    let mut expected = [Vec::new(), Vec::new()];
    for (side, fates) in fates.iter().enumerate() {
        let bytes = stream(fates.iter().map(|fate| fate.length).sum(), side);
        let mut here = vec![0; bytes.len()];
        let mut at = 0;
        for (turn, fate) in fates.iter().enumerate() {
            let from = at - fate.overlap.min(at);
            let to = at + fate.length;
            // The last is never lost: that is another test.
            let gone = fate.lost && !lossless && turn + 1 < fates.len();
            if !gone {
                here[from..to].copy_from_slice(&bytes[from..to]);
                let last = turn + 1 == fates.len();
                packets.push((turn + fate.delay, side, Some(from), to, last));
                if let Some(later) = fate.twice {
                    packets.push((turn + fate.delay + later, side, Some(from), to, last));
                }
            }
            if acknowledged {
                packets.push((turn + LATEST, side, None, to, false));
            }
            at = to;
        }
        expected[side] = here;
    }
    packets.sort_by_key(|packet| packet.0);
    let (mut tcp, mut picture) = (Tcp::default(), Picture::default());
    let mut number = 0;
    let mut when = || {
        number += 1;
        When { at: Stamp(i64::try_from(number).unwrap() * 1000), frame: Frame { file: 0, number } }
    };
    let [up, down] = starts;
    tcp.segment(when(), &Segment { syn: true, ..plain(true, up, b"") }, &mut picture);
    let answer = Segment { syn: true, acknowledged: Some(up.wrapping_add(1)), ..plain(false, down, b"") };
    tcp.segment(when(), &answer, &mut picture);
    let streams = [stream(expected[0].len(), 0), stream(expected[1].len(), 1)];
    for (_, side, from, to, fin) in packets {
        let number = |place: usize| starts[side].wrapping_add(1).wrapping_add(u32::try_from(place).unwrap());
        let segment = match from {
            Some(from) => Segment { fin, ..plain(side == 0, number(from), &streams[side][from..to]) },
            None => Segment { acknowledged: Some(number(to)), ..plain(side == 1, 0, b"") },
        };
        tcp.segment(when(), &segment, &mut picture);
        prop_assert!(tcp.buffered() <= MAX_WAITING);
    }
    tcp.finish(when(), &mut picture);
    for side in [0, 1] {
        prop_assert_eq!(&picture.told[side], &expected[side]);
        prop_assert!(picture.ended[side] || fates[side].is_empty());
        if lossless {
            prop_assert!(!picture.told[side].contains(&0));
        }
    }
    Ok(())
}

/// Any segment of three connections, near and far.
fn any_segment() -> impl Strategy<Value = (u8, u32, Option<u32>, u8, usize, u32)> {
    let number = prop_oneof![4 => 0..300_u32, 1 => any::<u32>()];
    let acknowledged = prop::option::of(prop_oneof![4 => 0..300_u32, 1 => any::<u32>()]);
    (
        0..6_u8,
        number,
        acknowledged,
        any::<u8>(),
        0..40_usize,
        prop_oneof![5 => Just(0), 1 => 0..9_u32, 1 => any::<u32>()],
    )
}

/// What must hold for any segments: in order of the flows, nothing after an end, no byte more than came.
#[derive(Default)]
struct Sound {
    flows: Vec<[bool; 3]>,
    bytes: usize,
    ends_only: bool,
}

impl Listen for Sound {
    fn heard(&mut self, flow: FlowId, _when: When, what: Happening<'_>) -> Wanted {
        let place = usize::try_from(flow.0).unwrap();
        if let Happening::Opened(_) = what {
            assert_eq!(place, self.flows.len());
            self.flows.push([false; 3]);
        }
        let state = &mut self.flows[place];
        assert!(!state[2], "after the end: {what:?}");
        let fin = |end| usize::from(end == End::Second);
        match what {
            Happening::Bytes(end, bytes) => {
                assert!(!bytes.is_empty() && !state[fin(end)] && !self.ends_only);
                self.bytes += bytes.len();
            }
            Happening::Missing(end, n) => assert!(n > 0 && !state[fin(end)] && !self.ends_only),
            Happening::Fin(end) => assert!(!std::mem::replace(&mut state[fin(end)], true)),
            Happening::Closed => {
                assert!(state[0] && state[1]);
                state[2] = true;
            }
            Happening::Reset(_) | Happening::Forgotten => state[2] = true,
            Happening::Opened(_) | Happening::Twin => {}
        }
        if self.ends_only { Wanted::Ends } else { Wanted::Bytes }
    }
}

proptest! {
    /// A report that rests on bytes in a wrong order, twice, or silently not there accuses the innocent.
    #[test]
    fn streams_survive_the_capture(
        up in vec(fate(), 0..40), down in vec(fate(), 0..40), starts in any::<[u32; 2]>(),
        lossless in any::<bool>(), acknowledged in any::<bool>()
    ) {
        run(&[up, down], starts, lossless, acknowledged)?;
    }

    /// A capture is any bytes: it must not stop the program, nor fill the memory.
    #[test]
    fn any_segments_are_sound(segments in vec(any_segment(), 0..200), ends_only in prop::bool::weighted(0.2)) {
        let (mut tcp, mut sound) = (Tcp::default(), Sound { ends_only, ..Sound::default() });
        let mut sent = 0;
        let payload = [b'x'; 40];
        for (number, (which, sequence, acknowledged, flags, length, cut)) in (1..).zip(segments) {
            sent += length;
            let mut segment = plain(which & 1 == 0, sequence, &payload[..length]);
            if which & 1 == 0 { segment.from.set_port(50_000 + u16::from(which / 2)) } else { segment.to.set_port(50_000 + u16::from(which / 2)) }
            segment.acknowledged = acknowledged;
            (segment.syn, segment.fin, segment.rst) = (flags % 5 == 0, flags % 7 == 0, flags % 23 == 0);
            segment.cut = cut;
            let when = When { at: Stamp(i64::from(flags) * 100_000), frame: Frame { file: 0, number } };
            tcp.segment(when, &segment, &mut sound);
            prop_assert!(tcp.flows() <= 3 && tcp.buffered() <= 3 * MAX_WAITING);
        }
        tcp.finish(When { at: Stamp(i64::MAX), frame: Frame { file: 0, number: 1 } }, &mut sound);
        prop_assert!(sound.bytes <= sent, "{} told of {sent}", sound.bytes);
        prop_assert_eq!((tcp.flows(), tcp.buffered()), (0, 0));
    }
}
