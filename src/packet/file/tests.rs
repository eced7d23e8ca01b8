//! Files with bytes made here; `tests/real/packet_files.rs` has those of other programs.

#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of a test are small")]

use std::io::{self, Write as _};

use super::*;

use crate::packet::made::{Blocks, Order, Packet, classic, pcap, pcapng};

/// A [`Captured`] or secrets that are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kept {
    Packet(u64, i64, u16, Vec<u8>, u32),
    Secrets(Vec<u8>),
}

/// Gives at most so many bytes at a time.
struct Drip<'a>(&'a [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = out.len().min(self.1);
        self.0.read(&mut out[..length])
    }
}

fn drain<R: Read>(reader: &mut Reader<R>) -> (Vec<Kept>, Option<Damage>) {
    let mut kept = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(Item::Packet(p))) => kept.push(Kept::Packet(p.number, p.at.0, p.link, p.bytes.to_vec(), p.length)),
            Ok(Some(Item::Secrets(lines))) => kept.push(Kept::Secrets(lines.to_vec())),
            Ok(None) => return (kept, None),
            Err(damage) => {
                assert_eq!(reader.next(), Err(damage.clone()), "damage stays");
                return (kept, Some(damage));
            }
        }
    }
}

/// Reads it all at once and in sevens: what is told must be the same.
fn read(file: &[u8]) -> (Vec<Kept>, Option<Damage>) {
    let all = |size| match Reader::new(Drip(file, size)) {
        Ok(mut reader) => drain(&mut reader),
        Err(damage) => (Vec::new(), Some(damage)),
    };
    let whole = all(usize::MAX);
    assert_eq!(whole, all(7));
    whole
}

fn whole(file: &[u8]) -> Vec<Kept> {
    let (kept, damage) = read(file);
    assert_eq!(damage, None);
    kept
}

fn why(file: &[u8]) -> String {
    read(file).1.expect("damage").to_string()
}

fn packets() -> Vec<Packet> {
    let mut c = crate::packet::made::Connection::new("192.0.2.1:40000", "192.0.2.80:80", 1_700_000_000_123_456);
    let mut packets = c.open();
    packets.push(c.client(b"GET / HTTP/1.1\r\n\r\n").cut(57));
    packets
}

fn kept(packets: &[Packet], link: u16) -> Vec<Kept> {
    let keep = |(number, p): (usize, &Packet)| Kept::Packet(number as u64 + 1, p.at, link, p.bytes.clone(), p.length);
    packets.iter().enumerate().map(keep).collect()
}

/// Who captured on another machine or with another program would be told that the file is damaged, or wrong times.
#[test]
fn classic_files_of_every_kind_are_read() {
    let packets = packets();
    for order in [Order::Little, Order::Big] {
        for per_second in [1_000_000, 1_000_000_000] {
            // The upper bits of the link type: frames end with a checksum of four bytes.
            for link in [1, 0x4400_0001] {
                let file = classic(order, per_second, link, &packets);
                assert_eq!(whole(&file), kept(&packets, 1));
                assert!(is_capture(&file));
            }
        }
        // The variant with 24 bytes before each packet.
        let mut file = classic(order, 1_000_000, 113, &[]);
        file[..4].copy_from_slice(&order.u32(0xa1b2_cd34));
        let p = &packets[3];
        let length = u32::try_from(p.bytes.len()).unwrap();
        file.extend([1, 2, length, length, 7, 8].map(|n| order.u32(n)).concat());
        file.extend(&p.bytes);
        assert_eq!(whole(&file), [Kept::Packet(1, 1_000_002, 113, p.bytes.clone(), length)]);
    }
    assert_eq!(whole(&pcap(&[])), []);
}

/// Wireshark's own files; several sections, interfaces and byte orders come from mergecap and from phones.
#[test]
fn pcapng_of_every_kind_is_read() {
    let packets = packets();
    assert_eq!(whole(&pcapng(&packets, None)), kept(&packets, 1));
    let mut file = Vec::new();
    for order in [Order::Little, Order::Big] {
        let mut blocks = Blocks::new(order);
        blocks.section();
        blocks.interface(1, 57, &[(1, b"a comment"), (2, b"eth0")]);
        // Nanoseconds, an hour late; then 2^-20 seconds.
        let late = if order == Order::Little { 3600_i64.to_le_bytes() } else { 3600_i64.to_be_bytes() };
        blocks.interface(113, 0, &[(9, &[9]), (14, &late)]);
        blocks.interface(276, 0, &[(9, &[0x80 | 0x14])]);
        blocks.block(0x0bae, b"unknown");
        blocks.tls_secrets(b"CLIENT_RANDOM 00 11");
        blocks.enhanced(0, 5, &packets[0], &[(1, b"a comment of a packet"), (2, &[0; 4])]);
        blocks.enhanced(1, 7_000_001_999, &packets[1], &[]);
        blocks.enhanced(2, 3 << 19, &packets[2], &[]);
        // Name resolution, statistics.
        blocks.block(4, &[0; 4]);
        blocks.simple(&packets[3]);
        // The obsolete Packet Block: interface and drops have 16 bits each.
        let p = &packets[3];
        let length = u32::try_from(p.bytes.len()).unwrap();
        let mut body = [order.u16(1), order.u16(9)].concat();
        body.extend([0, 9_000, length, p.length].map(|n| order.u32(n)).concat());
        body.extend(&p.bytes);
        blocks.block(2, &body);
        file.extend(blocks.file);
    }
    let packet = |number, at, link, p: &Packet| Kept::Packet(number, at, link, p.bytes.clone(), p.length);
    let section = |n| {
        vec![
            Kept::Secrets(b"CLIENT_RANDOM 00 11".to_vec()),
            packet(n, 5, 1, &packets[0]),
            packet(n + 1, 3_607_000_001, 113, &packets[1]),
            packet(n + 2, 1_500_000, 276, &packets[2]),
            packet(n + 3, 1_500_000, 1, &packets[3]),
            packet(n + 4, 3_600_000_009, 113, &packets[3]),
        ]
    };
    assert_eq!(whole(&file), [section(1), section(6)].concat());
}

/// A simple packet has no captured length: where the snap length cut it, the padding would become payload.
#[test]
fn simple_packets_are_cut_by_the_snap_length() {
    let packet = Packet { at: 0, bytes: vec![7; 5], length: 9 };
    let mut blocks = Blocks::new(Order::Little);
    blocks.section();
    blocks.interface(1, 5, &[]);
    blocks.simple(&packet);
    assert_eq!(whole(&blocks.file), [Kept::Packet(1, 0, 1, vec![7; 5], 9)]);
}

/// Captures are handed over packed; unpacking each by hand is one more step that somebody gets wrong.
#[test]
fn files_packed_with_gzip_are_read() {
    let packets = packets();
    for file in [pcap(&packets), pcapng(&packets, None)] {
        let zipped = gzip(&file);
        assert!(is_capture(&zipped) && is_capture(&zipped[..zipped.len() - 20]));
        assert_eq!(whole(&zipped), kept(&packets, 1));
        let (some, damage) = read(&zipped[..zipped.len() - 12]);
        let damage = damage.expect("damage");
        assert!(kept(&packets, 1).starts_with(&some), "{some:?}");
        assert!(damage.why.contains("gzip data cannot be unpacked"), "{damage}");
    }
    let log = gzip(b"#Software: Microsoft Internet Information Services 10.0\r\n");
    assert!(!is_capture(&log), "a packed log is none");
}

fn gzip(file: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(file).unwrap();
    packer.finish().unwrap()
}

/// A capture that ended with the disk's space: what was written before is as good as ever, and the place is named.
#[test]
fn a_file_that_ends_early_gives_what_is_whole() {
    let packets = packets();
    for (file, heads) in [(pcap(&packets), 24), (pcapng(&packets, None), 28 + 20)] {
        for length in heads..file.len() {
            let (some, damage) = read(&file[..length]);
            assert_eq!(some, kept(&packets, 1)[..some.len()]);
            if let Some(damage) = damage {
                assert_eq!(damage.packets, some.len() as u64);
                assert!((damage.offset as usize) < length && damage.why.contains("the file ends after"), "{damage}");
            } else {
                assert!(length == heads || some.len() < packets.len());
            }
        }
    }
    assert!(why(&[]).contains("the file is empty"));
    assert!(why(&[0xd4, 0xc3, 0xb2, 0xa1, 2]).contains("24 bytes, and the file ends after 5"));
    assert!(why(&[0x0a, 0x0d, 0x0d, 0x0a, 2]).contains("12 bytes at least, and the file ends after 5"));
}

/// A length that lies must not take memory, nor be followed into nonsense that then counts as traffic.
#[test]
fn lengths_that_lie_are_damage() {
    let packets = packets();
    let good = pcap(&packets);
    let second = 24 + 16 + packets[0].bytes.len();
    for claim in [u32::MAX, 0x0010_0000] {
        let mut file = good.clone();
        file[second + 8..second + 12].copy_from_slice(&claim.to_le_bytes());
        let damage = read(&file).1.expect("damage");
        assert_eq!((damage.offset, damage.packets), (second as u64, 1));
        assert!(damage.why.contains(&claim.to_string()), "{damage}");
    }
    let mut file = good.clone();
    file[second + 4..second + 12].fill(0x02);
    file[second + 10..second + 12].fill(0);
    assert!(why(&file).contains("makes no sense"), "{}", why(&file));

    let good = pcapng(&packets, None);
    let first = 28 + 20;
    let length = u32::from_le_bytes(*good[first + 4..].first_chunk().unwrap());
    for (at, claim, said) in [
        (4, length + 2, "a multiple of 4"),
        (4, 8, "at least 12"),
        (4, u32::MAX - 3, "more than 16777216"),
        (length - 4, length + 4, "at its end"),
        (4, length + 4, "at its end"),
    ] {
        let at = first + at as usize;
        let mut file = good.clone();
        file[at..at + 4].copy_from_slice(&claim.to_le_bytes());
        let damage = read(&file).1.expect("damage");
        assert_eq!((damage.offset, damage.packets), (first as u64, 0));
        assert!(damage.why.contains(said), "{damage}");
    }
    let mut file = good.clone();
    file[8] = 0;
    assert!(why(&file).contains("byte-order magic"));
    let mut file = good;
    file[12] = 2;
    assert!(why(&file).contains("and 2.0 came"));
}

/// A block that does not make sense costs itself, and frame numbers stay those of Wireshark.
#[test]
fn odd_blocks_are_counted_and_passed_over() {
    let packets = packets();
    let mut blocks = Blocks::new(Order::Little);
    blocks.section();
    blocks.interface(1, 0, &[]);
    blocks.enhanced(0, 5, &packets[0], &[]);
    let place = blocks.file.len() as u64;
    blocks.enhanced(7, 6, &packets[1], &[]);
    // Shorter than its own header; longer than its block; a time in the year 584,000; secrets longer than their block.
    blocks.block(6, &[0; 8]);
    blocks.block(6, &[[0; 12].as_slice(), &[0xff; 4], &[0; 4]].concat());
    blocks.enhanced(0, u64::MAX, &packets[2], &[]);
    blocks.block(10, &[b"KSLT".as_slice(), &[0xff; 4]].concat());
    let mut reader = Reader::new(blocks.file.as_slice()).unwrap();
    let (kept, damage) = drain(&mut reader);
    let packet = |number, p: &Packet| Kept::Packet(number, 5, 1, p.bytes.clone(), p.length);
    assert_eq!((kept, damage), (vec![packet(1, &packets[0]), packet(5, &packets[2])], None));
    assert_eq!((reader.odd(), reader.packets(), reader.offset()), (5, 5, blocks.file.len() as u64));
    let first = reader.first_odd().unwrap();
    assert_eq!((first.offset, first.packets), (place, 1));
    assert!(first.why.contains("interface 7"), "{first}");

    // Each alone is the habit of some program.
    let mut file = pcap(&packets);
    file[24 + 4..24 + 8].copy_from_slice(&1_500_000_u32.to_le_bytes());
    file[24 + 12..24 + 16].copy_from_slice(&60_u32.to_le_bytes());
    let mut reader = Reader::new(file.as_slice()).unwrap();
    assert_eq!((drain(&mut reader).0.len(), reader.odd()), (4, 1));
}

/// "Unknown file" sends nobody on; "convert it with etl2pcapng" does.
#[test]
fn other_files_are_named() {
    let mut etl = vec![0; 1024];
    for at in [0, 72 + 32] {
        etl[at..at + 4].copy_from_slice(&65536_u32.to_le_bytes());
    }
    etl[72..76].copy_from_slice(&[2, 0, 2, 0xc0]);
    for (file, said) in [
        (etl.as_slice(), "etl2pcapng"),
        (b"GMBU\0\x02", "Network Monitor: convert it with `editcap"),
        (b"snoop\0\0\0\0\0\0\x02", "snoop"),
        (b"[\n  {\n    \"_index\": \"packets-2024-01-01\",", "Wireshark's JSON export"),
        (b"<?xml version=\"1.0\"?>\n<pdml version=\"0\">", "Wireshark's XML export"),
    ] {
        assert!(is_capture(file), "{said}");
        assert!(why(file).contains(said), "{}", why(file));
    }
    for (file, said) in [
        (&[0x28, 0xb5, 0x2f, 0xfd, 0][..], "zstd"),
        (b"{\"v\":1,\"what\":\"start\"}\n", "7b 22 76 22 3a 31 2c 22 ({\"v\":1,\")"),
        (b"#Software: Microsoft", "(#Softwar)"),
        (b"\0", "begins with 00 (.)"),
    ] {
        assert!(!is_capture(file), "{said}");
        assert!(why(file).contains(said), "{}", why(file));
    }
    assert!(!is_capture(b""));
}

/// A disk that fails in the middle is no reason to lose what was read before it.
#[test]
fn a_read_error_is_damage_where_it_came() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let packets = packets();
    // More than is looked at before the first packet.
    let many: Vec<Packet> = packets.iter().cycle().take(64).cloned().collect();
    let file = pcap(&many);
    let (some, damage) = drain(&mut Reader::new(file.chain(Failing)).unwrap());
    assert_eq!(some.len(), 64);
    let damage = damage.expect("damage");
    assert_eq!((damage.offset, damage.packets), (file.len() as u64, 64));
    assert!(damage.why.contains("the disk is gone"));
    // Less than that, as it is and packed.
    for file in [pcap(&packets), gzip(&pcap(&packets))] {
        let (some, damage) = drain(&mut Reader::new(file.chain(Failing)).unwrap());
        let damage = damage.expect("damage");
        assert_eq!((some, damage.packets), (kept(&packets, 1), packets.len() as u64));
        assert!(damage.why.contains("the disk is gone"), "{damage}");
    }
}

/// Records larger than the buffer, and records across its end.
#[test]
fn large_records_are_read() {
    let secrets = vec![b'#'; 3 << 20];
    let large: Vec<Packet> = (0..40).map(|n| Packet::new(n, vec![n as u8; 100_000 + n as usize])).collect();
    let file = pcapng(&large, Some(&secrets));
    let (all, damage) = drain(&mut Reader::new(file.as_slice()).unwrap());
    assert_eq!((all.len(), damage), (41, None));
    assert_eq!(all[0], Kept::Secrets(secrets));
    assert_eq!(all[1..], kept(&large, 1));
}
