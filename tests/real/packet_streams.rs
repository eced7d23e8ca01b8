//! TCP reassembly against Wireshark's (`tshark -z follow,tcp,raw`): the same bytes in the same order, the same holes, of
//! captures that are reordered, repeated, merged, cut and lossy, made with Wireshark's own tools where it has one.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::packets_made::{ACK, Connection, PSH, Packet};
use authtap::packet::file::{Item, Reader};
use authtap::packet::link::{Found, segment};
use authtap::packet::tcp::{End, Ends, FlowId, Happening, Listen, Tcp, Wanted};
use authtap::packet::{When, file};
use tempfile::TempDir;

use crate::process::{command, run};

/// One connection: its ends, and what each sent; a hole as Wireshark writes it.
#[derive(Debug, PartialEq, Eq)]
struct Stream {
    ends: [SocketAddr; 2],
    sent: [Vec<u8>; 2],
}

/// How Wireshark writes that bytes are missing: with a zero behind.
fn hole(length: u64) -> Vec<u8> {
    format!("[{length} bytes missing in capture file]\0").into_bytes()
}

impl Stream {
    /// The same whichever end is named first.
    fn in_order(mut self) -> Self {
        if self.ends[0] > self.ends[1] {
            self.ends.swap(0, 1);
            self.sent.swap(0, 1);
        }
        self
    }
}

#[derive(Default)]
struct Streams(Vec<Stream>);

impl Listen for Streams {
    fn heard(&mut self, flow: FlowId, _when: When, what: Happening<'_>) -> Wanted {
        let place = usize::try_from(flow.0).unwrap();
        match what {
            Happening::Opened(Ends { first, second, .. }) => {
                assert_eq!(place, self.0.len());
                self.0.push(Stream { ends: [first, second], sent: [Vec::new(), Vec::new()] });
            }
            Happening::Bytes(end, bytes) => self.0[place].sent[usize::from(end == End::Second)].extend(bytes),
            Happening::Missing(end, n) => {
                self.0[place].sent[usize::from(end == End::Second)].extend(hole(n));
            }
            Happening::Fin(_) | Happening::Reset(_) | Happening::Closed | Happening::Twin | Happening::Forgotten => {}
        }
        Wanted::Bytes
    }
}

/// What authtap makes of a file.
fn ours(path: &Path) -> Vec<Stream> {
    let bytes = fs::read(path).unwrap();
    assert!(file::is_capture(&bytes));
    let (mut reader, mut tcp, mut streams) = (Reader::new(&bytes[..]).unwrap(), Tcp::default(), Streams::default());
    let mut last = None;
    while let Some(item) = reader.next().unwrap() {
        let Item::Packet(packet) = item else { continue };
        let when = When { at: packet.at, frame: authtap::model::frame::Frame { file: 0, number: packet.number } };
        let Found::Tcp(segment) = segment(&packet) else { panic!("{packet:?}") };
        tcp.segment(when, &segment, &mut streams);
        last = Some(when);
    }
    tcp.finish(last.expect("a packet"), &mut streams);
    streams.0.into_iter().map(Stream::in_order).collect()
}

/// What Wireshark makes of it: a line of hexadecimal a piece, those of the second node after a tab.
fn theirs(dir: &TempDir, path: &Path, streams: usize) -> Vec<Stream> {
    let mut tshark = command("tshark");
    tshark.env("HOME", dir.path()).args(["-n", "-q", "-r"]).arg(path);
    for stream in 0..streams {
        tshark.args(["-z", &format!("follow,tcp,raw,{stream}")]);
    }
    let said = run("tshark", tshark).stdout;
    let mut all = std::collections::BTreeMap::new();
    for part in said.split("Follow: tcp,raw").skip(1) {
        let mut stream = Stream { ends: [([0, 0, 0, 0], 0).into(); 2], sent: [Vec::new(), Vec::new()] };
        for line in part.lines() {
            if let Some(address) = line.strip_prefix("Node 0: ") {
                stream.ends[0] = address.parse().unwrap();
            } else if let Some(address) = line.strip_prefix("Node 1: ") {
                stream.ends[1] = address.parse().unwrap();
            } else if !line.is_empty() && line.trim().bytes().all(|byte| byte.is_ascii_hexdigit()) {
                let digits: Vec<u8> = line.trim().bytes().collect();
                let bytes = digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap());
                stream.sent[usize::from(line.starts_with('\t'))].extend(bytes);
            }
        }
        let number: u32 = part.split_once("tcp.stream eq ").unwrap().1.lines().next().unwrap().parse().unwrap();
        all.insert(number, stream.in_order());
    }
    assert_eq!(all.len(), streams, "{said}");
    all.into_values().collect()
}

/// A folder with captures.
struct Captures(TempDir);

impl Captures {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, packets: &[Packet]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, crate::packets_made::pcap(packets)).unwrap();
        path
    }

    /// A file that one of Wireshark's tools makes of others.
    fn make(&self, name: &str, program: &str, arguments: impl FnOnce(&mut std::process::Command, &Path)) -> PathBuf {
        let path = self.0.path().join(name);
        let mut command = command(program);
        command.env("HOME", self.0.path());
        arguments(&mut command, &path);
        run(program, command);
        path
    }

    #[track_caller]
    fn compare(&self, path: &Path, connections: usize) -> Vec<Stream> {
        let ours = ours(path);
        assert_eq!(ours.len(), connections);
        let theirs = theirs(&self.0, path, connections);
        for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert_eq!(ours, theirs, "connection {number} of {}", path.display());
        }
        ours
    }
}

/// Numbers that look random, the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.below(at + 1));
        }
    }
}

/// What happens to the packets of a burst. Acknowledgements stay in order: of one before its bytes Wireshark says at once
/// that they are missing, and authtap waits a moment.
#[derive(Clone, Copy, Default)]
struct Faults {
    reordered: bool,
    repeated: bool,
    /// Sent again with what comes before or after, and with other content that came too late.
    overlapping: bool,
    lost: bool,
}

/// Bursts of both ends in turn, of one connection.
fn bursts(connection: &mut Connection, dice: &mut Dice, faults: Faults) -> Vec<Packet> {
    let mut packets = connection.open();
    for turn in 0..24 {
        let from_client = turn % 2 == 0;
        let (mut burst, mut late) = (Vec::new(), Vec::new());
        for _ in 0..=dice.below(8) {
            let payload: Vec<u8> = (0..=dice.below(200)).map(|_| u8::try_from(dice.below(256)).unwrap()).collect();
            let before = connection.clone();
            let packet = connection.send(from_client, PSH | ACK, &payload);
            // The last ones of each end stay, so that it is not the end that is lost.
            if faults.lost && turn < 20 && dice.below(5) == 0 {
                continue;
            }
            if faults.repeated && dice.below(3) == 0 {
                burst.push(packet.clone());
            }
            if faults.overlapping {
                let cut = dice.below(payload.len());
                let mut part = before.clone();
                let next = if from_client { &mut part.client_next } else { &mut part.server_next };
                *next = next.wrapping_add(u32::try_from(cut).unwrap());
                burst.push(part.send(from_client, ACK, &payload[cut..]));
                late.push(before.clone().send(from_client, ACK, &vec![b'X'; payload.len()]));
            }
            burst.push(packet);
        }
        if faults.reordered {
            dice.shuffle(&mut burst);
        }
        packets.extend(burst);
        packets.extend(late);
    }
    packets.extend(connection.close());
    for (at, packet) in (connection.at..).step_by(1000).zip(&mut packets) {
        packet.at = at;
    }
    connection.at += 1_000_000;
    packets
}

fn connection() -> Connection {
    Connection::new("192.0.2.1:40000", "198.51.100.7:80", 1_700_000_000_000_000)
}

fn holes(streams: &[Stream]) -> usize {
    let sent = streams.iter().flat_map(|stream| &stream.sent);
    sent.map(|bytes| bytes.windows(15).filter(|part| part == b" bytes missing ").count()).sum()
}

/// Who looks at a capture with Wireshark must find what authtap speaks of.
#[test]
fn reordered_repeated_and_overlapping() {
    let captures = Captures::new();
    for seed in 0..8 {
        let dice = &mut Dice(seed);
        let faults =
            Faults { reordered: seed % 2 == 0, repeated: seed % 3 != 0, overlapping: seed % 4 > 1, lost: false };
        let file = captures.write("faults.pcap", &bursts(&mut connection(), dice, faults));
        let streams = captures.compare(&file, 1);
        assert_eq!(holes(&streams), 0, "seed {seed}");
        assert!(streams[0].sent.iter().all(|sent| sent.len() > 1000 && !sent.windows(9).any(|part| part == [b'X'; 9])));
    }
}

/// What the capture lost is as long as Wireshark says, and at the same place.
#[test]
fn lost_packets() {
    let captures = Captures::new();
    let mut seen = 0;
    for seed in 100..106 {
        let faults = Faults { lost: true, reordered: seed % 2 == 0, ..Faults::default() };
        let file = captures.write("lost.pcap", &bursts(&mut connection(), &mut Dice(seed), faults));
        seen += holes(&captures.compare(&file, 1));
    }
    assert!(seen > 30, "{seen}");
}

/// Two machines captured the same connection, or one did in parts; somebody merged the files.
#[test]
fn merged_files() {
    let captures = Captures::new();
    let packets = bursts(&mut connection(), &mut Dice(7), Faults::default());
    let whole = captures.write("whole.pcap", &packets);
    let expected = captures.compare(&whole, 1);
    let twice = captures.make("twice.pcap", "mergecap", |c, out| {
        c.arg("-w").arg(out).args([&whole, &whole]);
    });
    assert_eq!(captures.compare(&twice, 1), expected);
    let appended = captures.make("appended.pcap", "mergecap", |c, out| {
        c.arg("-a").arg("-w").arg(out).args([&whole, &whole]);
    });
    assert_eq!(captures.compare(&appended, 1), expected);
    // Each end's packets in a file of its own.
    let (up, down): (Vec<Packet>, Vec<Packet>) = packets.iter().cloned().partition(|packet| packet.bytes[29] == 1);
    let (up, down) = (captures.write("up.pcap", &up), captures.write("down.pcap", &down));
    let merged = captures.make("merged.pcap", "mergecap", |c, out| {
        c.arg("-w").arg(out).args([&up, &down]);
    });
    assert_eq!(captures.compare(&merged, 1), expected);
    // Packets that were written as they came, put in order by their times.
    let mut packets = packets;
    Dice(8).shuffle(&mut packets);
    let shuffled = captures.write("shuffled.pcap", &packets);
    let ordered = captures.make("ordered.pcap", "reordercap", |c, out| {
        c.arg(&shuffled).arg(out);
    });
    assert_eq!(captures.compare(&ordered, 1), expected);
}

/// A short snap length leaves holes of a known length. Wireshark puts what was captured side by side and tells no hole
/// there, so it vouches for the captured bytes, and the uncut file for the lengths.
#[test]
fn cut_packets() {
    let captures = Captures::new();
    let whole = captures.write("whole.pcap", &bursts(&mut connection(), &mut Dice(9), Faults::default()));
    let cut = captures.make("cut.pcap", "editcap", |c, out| {
        c.args(["-s", "120", "-F", "pcap"]).arg(&whole).arg(out);
    });
    let (whole, mine) = (captures.compare(&whole, 1), ours(&cut));
    assert!(holes(&mine) > 20);
    let wireshark = theirs(&captures.0, &cut, 1);
    for side in 0..2 {
        let (mut bytes, mut length) = (mine[0].sent[side].clone(), 0);
        for n in 1..200 {
            while let Some(at) = bytes.windows(hole(n).len()).position(|part| part == hole(n)) {
                bytes.drain(at..at + hole(n).len());
                length += usize::try_from(n).unwrap();
            }
        }
        length += bytes.len();
        assert_eq!((bytes, length), (wireshark[0].sent[side].clone(), whole[0].sent[side].len()));
    }
}

/// A port pair that is used again, in time and out of it, and connections side by side: as many as Wireshark counts.
#[test]
fn ports_used_again() {
    let captures = Captures::new();
    let (mut again, mut other) = (connection(), Connection::new("[2001:db8::1]:40000", "[2001:db8::7]:443", 0));
    other.at = again.at + 500;
    let (dice, faults) = (&mut Dice(10), Faults { reordered: true, repeated: true, ..Faults::default() });
    let first = bursts(&mut again, dice, faults);
    let beside = bursts(&mut other, dice, faults);
    (again.client_next, again.server_next) = (2_000_000, 0xffff_ff00);
    let mut second = bursts(&mut again, dice, faults);
    // Its end is not captured; the third begins all the same.
    second.truncate(second.len() - 3);
    (again.client_next, again.server_next) = (7, 9);
    let third = bursts(&mut again, dice, faults);
    let files = [("1.pcap", first), ("2.pcap", beside), ("3.pcap", second), ("4.pcap", third)];
    let files = files.map(|(name, packets)| captures.write(name, &packets));
    let merged = captures.make("all.pcap", "mergecap", |c, out| {
        c.arg("-w").arg(out).args(&files);
    });
    captures.compare(&merged, 4);
}
