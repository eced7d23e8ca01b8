//! Files of packets and their frames: any bytes.

use std::io::{self, Read};

use authtap::packet::Segment;
use authtap::packet::file::{Captured, Damage, Item, Reader, is_capture};
use authtap::packet::link::{Found, segment};

/// Gives pieces of sizes that no program would choose.
struct Odd<'a>(&'a [u8], usize);

impl Read for Odd<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.1 += 1;
        let length = out.len().min([1, 7, 3, 64, 11, 255][self.1 % 6]);
        self.0.read(&mut out[..length])
    }
}

/// What a file gave.
#[derive(Debug, Default, PartialEq)]
struct Told {
    /// Each item's text, and the offset behind it.
    items: Vec<(String, u64)>,
    damage: Option<Damage>,
    odd: u64,
}

fn read(input: impl Read, size: usize) -> Told {
    let mut told = Told::default();
    let mut reader = match Reader::new(input) {
        Ok(reader) => reader,
        Err(damage) => {
            told.damage = Some(damage);
            return told;
        }
    };
    let mut last = 0;
    loop {
        let item = match reader.next() {
            Ok(Some(Item::Packet(packet))) => {
                assert!(packet.number > last, "{} after {last}", packet.number);
                last = packet.number;
                assert!(packet.bytes.len() as u64 <= u64::from(packet.length));
                frame(&packet);
                format!("{packet:?}")
            }
            Ok(Some(Item::Secrets(lines))) => format!("{lines:?}"),
            Ok(None) => break,
            Err(damage) => {
                assert_eq!((damage.offset, damage.packets), (reader.offset(), reader.packets()));
                assert_eq!(reader.next(), Err(damage.clone()), "damage stays");
                told.damage = Some(damage);
                break;
            }
        };
        // The smallest record has twelve bytes, and deflate makes a thousand of one.
        assert!(told.items.len() <= size * 100, "an endless file");
        told.items.push((item, reader.offset()));
    }
    assert!(reader.packets() >= last);
    assert_eq!(reader.first_odd().is_some(), reader.odd() > 0);
    told.odd = reader.odd();
    told
}

/// A frame that was captured shorter gives the same segment with less of the payload, or none.
fn frame(packet: &Captured<'_>) {
    let whole = segment(packet);
    if let Found::Tcp(s) = whole {
        assert!(s.payload.len() <= packet.bytes.len() && s.from.is_ipv4() == s.to.is_ipv4());
    }
    let length = packet.bytes.len();
    for shorter in [length / 2, length.saturating_sub(9), length.saturating_sub(1), length.min(60)] {
        let cut = Captured { bytes: &packet.bytes[..shorter], ..*packet };
        if let Found::Tcp(less) = segment(&cut) {
            let Found::Tcp(whole) = whole else { panic!("{less:?} is nothing when whole: {packet:?}") };
            assert!(whole.payload.starts_with(less.payload));
            let sent = |s: &Segment<'_>| s.payload.len() as u64 + u64::from(s.cut);
            assert_eq!(sent(&whole), sent(&less));
            assert_eq!(whole, Segment { payload: whole.payload, cut: whole.cut, ..less });
        }
    }
}

/// What is told depends neither on the sizes in which a file comes, nor on what comes behind: cut anywhere, it is what was
/// whole before the cut.
pub fn packet_file(data: &[u8]) {
    let whole = read(data, data.len());
    assert_eq!(whole, read(Odd(data, 0), data.len()), "depends on the pieces");
    assert!(is_capture(data) || whole.items.is_empty());
    let packed = data.starts_with(&[0x1f, 0x8b]);
    let step = (data.len() / 16).max(1);
    for cut in (0..data.len()).step_by(step) {
        let some = read(&data[..cut], cut);
        assert!(whole.items.starts_with(&some.items), "other items before byte {cut}");
        if !packed {
            let before = whole.items.iter().take_while(|(_, end)| *end <= cut as u64).count();
            assert_eq!(some.items.len(), before, "cut at {cut}");
        }
    }
}
