//! Packet captures of Wireshark's programs, and tshark's reading of them against ours: frame numbers, times, lengths,
//! addresses, sequence numbers and payloads.
//!
//! text2pcap, editcap and mergecap make the files, in every format that they can write; what they cannot write (the other
//! byte order, tunnels) is made here and judged by tshark.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use authtap::packet::file::{Damage, Item, Reader};
use authtap::packet::link::{Found, segment};
use tempfile::TempDir;

use crate::packets_made::{ACK, Blocks, Connection, ETHERNET, Order, Packet, Tcp, classic, ethernet, ip, pcapng};
use crate::process::{Process, command, run};

/// From, to, sequence, acknowledged, flags (SYN, FIN, RST), length of the payload, and what was captured of it.
type Fields = (String, String, u32, u32, [bool; 3], u32, String);

/// What a frame is to tshark and to us, in one form.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    number: u64,
    /// Microseconds; `None` where tshark has no time.
    at: Option<i64>,
    captured: u64,
    length: u64,
    tcp: Option<Fields>,
}

const FIELDS: [&str; 17] = [
    "frame.number",
    "frame.time_epoch",
    "frame.cap_len",
    "frame.len",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.flags.syn",
    "tcp.flags.fin",
    "tcp.flags.reset",
    "tcp.len",
    "tcp.payload",
];

/// tshark's reading, and what it says of damage. Of tunnels, the innermost fields.
fn theirs(dir: &Path, file: &Path) -> (Vec<Frame>, String) {
    let mut tshark = command("tshark");
    tshark.env("HOME", dir).arg("-n").arg("-r").arg(file);
    for preference in ["ip.defragment:FALSE", "ipv6.defragment:FALSE", "tcp.desegment_tcp_streams:FALSE"] {
        tshark.args(["-o", preference]);
    }
    tshark.args(["-T", "fields", "-E", "separator=|", "-E", "occurrence=l"]);
    for field in FIELDS {
        tshark.args(["-e", field]);
    }
    let said = Process::spawn("tshark", tshark).finish();
    let frames = said.stdout.lines().map(|line| {
        let field: Vec<&str> = line.split('|').collect();
        assert_eq!(field.len(), FIELDS.len(), "{line}");
        let number = |at: usize| field[at].parse::<u64>().unwrap_or_else(|e| panic!("{}: {e}: {line}", FIELDS[at]));
        let at = field[1]
            .split_once('.')
            .map(|(s, f)| s.parse::<i64>().unwrap() * 1_000_000 + f[..6].parse::<i64>().unwrap());
        // Of a fragment it tells the header without a length; we leave fragments.
        let tcp = (!field[15].is_empty()).then(|| {
            let small = |at: usize| u32::try_from(number(at)).unwrap();
            let flags = [12, 13, 14].map(|at| field[at] == "1" || field[at] == "True");
            // Both where one is carried in the other; those of ours are then compared by the port alone, see `alike`.
            let end = |four: usize, six: usize, port: usize| match (field[four], field[six]) {
                (four, "") => format!("{four}:{}", field[port]),
                ("", six) => format!("[{six}]:{}", field[port]),
                (four, six) => format!("{four} or {six}:{}", field[port]),
            };
            let payload = field[16].replace(':', "");
            (end(4, 6, 8), end(5, 7, 9), small(10), small(11), flags, small(15), payload)
        });
        Frame { number: number(0), at, captured: number(2), length: number(3), tcp }
    });
    (frames.collect(), said.stderr)
}

/// Our reading. What holds no packet is a frame to tshark alone.
fn ours(file: &Path) -> (Vec<Frame>, Option<Damage>, u64) {
    let mut frames = Vec::new();
    let mut reader = match Reader::new(fs::File::open(file).unwrap()) {
        Ok(reader) => reader,
        Err(damage) => return (frames, Some(damage), 0),
    };
    loop {
        match reader.next() {
            Ok(Some(Item::Packet(packet))) => {
                let tcp = match segment(&packet) {
                    Found::Tcp(s) => {
                        let payload: String = s.payload.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().concat();
                        let length = u32::try_from(s.payload.len()).unwrap() + s.cut;
                        let acknowledged = s.acknowledged.unwrap_or(0);
                        let (from, to) = (s.from.to_string(), s.to.to_string());
                        Some((from, to, s.sequence, acknowledged, [s.syn, s.fin, s.rst], length, payload))
                    }
                    Found::Other | Found::Unreadable(_) => None,
                };
                let (captured, length) = (packet.bytes.len() as u64, u64::from(packet.length));
                frames.push(Frame { number: packet.number, at: Some(packet.at.0), captured, length, tcp });
            }
            Ok(Some(Item::Secrets(_))) => {}
            Ok(None) => return (frames, None, reader.packets()),
            Err(damage) => return (frames, Some(damage), reader.packets()),
        }
    }
}

/// Both read the same; gives how many frames, and how many with TCP.
fn compare(dir: &Path, file: &Path) -> (usize, usize) {
    let name = file.file_name().unwrap().to_string_lossy();
    let (mut theirs, said) = theirs(dir, file);
    let (ours, damage, packets) = ours(file);
    assert_eq!(damage, None, "{name}; tshark: {said}");
    assert_eq!(packets, theirs.len() as u64, "{name}");
    theirs.retain(|frame| ours.iter().any(|ours| ours.number == frame.number));
    assert_eq!(theirs.len(), ours.len(), "{name}");
    for (theirs, ours) in theirs.iter_mut().zip(&ours) {
        alike(theirs, ours);
        assert_eq!(theirs, ours, "{name}");
    }
    (ours.len(), ours.iter().filter(|frame| frame.tcp.is_some()).count())
}

/// Leaves to `theirs` what it does not say: the time of a packet that has none, and which of two families is inside.
fn alike(theirs: &mut Frame, ours: &Frame) {
    theirs.at = theirs.at.or(ours.at);
    if let (Some(theirs), Some(ours)) = (&mut theirs.tcp, &ours.tcp) {
        for (theirs, ours) in [(&mut theirs.0, &ours.0), (&mut theirs.1, &ours.1)] {
            let address = ours.rsplit_once(':').unwrap().0.trim_matches(['[', ']']);
            if theirs.contains(" or ") && theirs.contains(address) {
                theirs.clone_from(ours);
            }
        }
    }
}

struct Made(TempDir);

impl Made {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// Runs one of Wireshark's programs, whose last argument is the file that it makes.
    fn by(&self, program: &str, arguments: &[&str], inputs: &[&Path], name: &str) -> PathBuf {
        let mut program_ = command(program);
        program_.env("HOME", self.0.path()).args(arguments);
        let out = self.path(name);
        if program == "mergecap" {
            program_.arg("-w").arg(&out).args(inputs);
        } else {
            program_.args(inputs).arg(&out);
        }
        run(program, program_);
        out
    }

    fn compare(&self, file: &Path) -> (usize, usize) {
        compare(self.0.path(), file)
    }
}

/// A hex dump with times for text2pcap, which puts headers of its own around it.
fn dump(lines: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for line in 0..lines {
        let payload = format!("GET /{} HTTP/1.1\r\nHost: www.example.test\r\n\r\n", "x".repeat(line * 37 % 900));
        let side = if line % 3 == 2 { 'I' } else { 'O' };
        writeln!(out, "{side} 2026-01-02 03:04:{:02}.{:09}", line % 60, line * 1001).unwrap();
        for (at, bytes) in payload.as_bytes().chunks(16).enumerate() {
            let bytes: String = bytes.iter().map(|b| format!(" {b:02x}")).collect::<Vec<_>>().concat();
            writeln!(out, "{:06x}{bytes}", at * 16).unwrap();
        }
    }
    out
}

/// text2pcap's files of one TCP conversation, IPv4 and IPv6.
fn text2pcap(made: &Made, format: &str) -> [PathBuf; 2] {
    let dump = made.file("dump", &dump(60));
    let common = ["-q", "-F", format, "-D", "-t", "%Y-%m-%d %H:%M:%S.%f", "-T", "40000,80"];
    [("-4", "192.0.2.1,192.0.2.80"), ("-6", "2001:db8::1,2001:db8::80")].map(|(family, addresses)| {
        let arguments = [&common[..], &[family, addresses]].concat();
        made.by("text2pcap", &arguments, &[&dump], &format!("text{family}.{format}"))
    })
}

/// Frames of all kinds that text2pcap does not make.
fn frames() -> Vec<Packet> {
    let mut four = Connection::new("192.0.2.1:40000", "192.0.2.80:80", 1_700_000_000_123_456);
    let mut six = Connection::new("[2001:db8::1]:40000", "[2001:db8::80]:80", 1_700_000_001_000_000);
    let mut packets = Vec::new();
    for c in [&mut four, &mut six] {
        packets.extend(c.open());
        packets.extend([c.client(b"GET / HTTP/1.1\r\n\r\n"), c.client(b"x"), c.server(&[b'y'; 1400])]);
        packets.extend(c.close());
        packets.push(c.send(true, 4, b""));
    }
    let (a, b) = ("198.51.100.1".parse().unwrap(), "198.51.100.2".parse().unwrap());
    let (c, d) = ("2001:db8::a".parse().unwrap(), "2001:db8::b".parse().unwrap());
    let options = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    let (from, to) = (four.client, four.server);
    let tcp = Tcp { from, to, sequence: 77, acknowledged: 99, flags: ACK, options: &options, payload: b"hello" };
    let (inner, whole) = (tcp.in_ip(), tcp.in_ethernet());
    let joined = |head: &[u8], rest: &[u8]| [head, rest].concat();
    let mut no_length = inner.clone();
    no_length[2..4].fill(0);
    let hop = joined(&[6, 0, 1, 4, 0, 0, 0, 0], &Tcp { from: six.client, to: six.server, ..tcp }.bytes());
    let port = 4789_u16.to_be_bytes();
    let udp =
        joined(&[0xc0, 0, port[0], port[1]], &joined(&u16::try_from(16 + whole.len()).unwrap().to_be_bytes(), &[0, 0]));
    let vxlan = joined(&joined(&udp, &[8, 0, 0, 0, 0, 0, 1, 0]), &whole);
    let mut fragment = inner.clone();
    fragment[6] = 0x20;
    let frames = [
        ethernet(0x8100, &joined(&[0, 7, 8, 0], &inner)),
        ethernet(0x88a8, &joined(&[0, 7, 0x81, 0, 0, 8, 8, 0], &inner)),
        ethernet(0x9100, &joined(&[0, 7, 0x81, 0, 0, 8, 8, 0], &inner)),
        ethernet(0x8847, &joined(&[0, 1, 1, 64], &inner)),
        ethernet(0x8864, &joined(&[0x11, 0, 0, 1, 0, u8::try_from(2 + inner.len()).unwrap(), 0, 0x21], &inner)),
        ethernet(0x0800, &ip(a, b, 4, &inner)),
        ethernet(0x86dd, &ip(c, d, 4, &inner)),
        ethernet(0x0800, &ip(a, b, 47, &joined(&[0, 0, 8, 0], &inner))),
        ethernet(0x0800, &ip(a, b, 47, &joined(&[0, 0, 0x65, 0x58], &whole))),
        ethernet(0x0800, &ip(a, b, 47, &joined(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 1, 0, 0, 0, 0], &whole))),
        ethernet(0x0800, &ip(a, b, 17, &vxlan)),
        ethernet(0x0800, &no_length),
        ethernet(0x86dd, &ip(six.client.ip(), six.server.ip(), 0, &hop)),
        ethernet(0x0800, &fragment),
        ethernet(0x0806, &[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 2]),
        ethernet(0x0800, &ip(a, b, 17, &[0, 123, 0, 123, 0, 8, 0, 0])),
    ];
    packets.extend((1_700_000_002_000_000..).zip(frames).map(|(at, frame)| Packet::new(at, frame)));
    packets
}

/// A frame number that is not Wireshark's sends the reader to another packet.
#[test]
fn packet_files_of_wireshark_are_read_as_tshark_reads_them() {
    let made = Made::new();
    for format in ["pcapng", "pcap", "nsecpcap"] {
        for file in text2pcap(&made, format) {
            assert_eq!(made.compare(&file), (60, 60), "{}", file.display());
        }
    }
    let frames = made.file("frames.pcapng", &pcapng(&frames(), None));
    let (all, tcp) = made.compare(&frames);
    assert!(all == 36 && tcp == 33, "{all} frames, {tcp} with TCP");
    for format in ["pcap", "nsecpcap", "modpcap", "pcapng"] {
        for (snap, with_tcp) in [("262144", 33), ("120", 33), ("90", 31), ("60", 16), ("20", 0)] {
            let file = made.by("editcap", &["-F", format, "-s", snap, "-t", "-0.5"], &[&frames], "edited");
            let (all, tcp) = made.compare(&file);
            assert_eq!((all, tcp), (36, with_tcp), "{format} -s {snap}");
        }
    }
    let pack = made.by("editcap", &["-F", "pcap"], &[&frames], "packed");
    let mut gzip = command("gzip");
    gzip.arg(&pack);
    run("gzip", gzip);
    assert_eq!(made.compare(&made.path("packed.gz")), (36, 33));
}

/// Captures of two machines, joined: several interfaces with times of their own in one file.
#[test]
fn packet_files_that_were_merged_are_read_as_tshark_reads_them() {
    let made = Made::new();
    let [four, _] = text2pcap(&made, "nsecpcap");
    let [_, six] = text2pcap(&made, "pcapng");
    let frames = frames();
    let raw: Vec<Packet> = frames.iter().take(6).map(|p| Packet::new(p.at, p.bytes[14..].to_vec())).collect();
    let raw = made.file("raw.pcap", &classic(Order::Big, 1_000_000_000, 101, &raw));
    let frames = made.file("frames.pcap", &classic(Order::Big, 1_000_000, u32::from(ETHERNET), &frames));
    for arguments in [&["-I", "none"][..], &["-I", "all"], &["-a"]] {
        let merged = made.by("mergecap", arguments, &[&four, &six, &raw, &frames], "merged.pcapng");
        assert_eq!(made.compare(&merged), (162, 159), "{arguments:?}");
    }
    let secrets = made.file("keys", b"CLIENT_RANDOM 00 11\n");
    let inject = format!("tls,{}", secrets.display());
    let with_secrets = made.by("editcap", &["--inject-secrets", &inject], &[&frames], "with-secrets.pcapng");
    assert_eq!(made.compare(&with_secrets), (36, 33));
    let mut reader = Reader::new(fs::File::open(&with_secrets).unwrap()).unwrap();
    assert_eq!(reader.next(), Ok(Some(Item::Secrets(b"CLIENT_RANDOM 00 11\n"))));
}

/// The other byte order, several sections, times in odd parts, and blocks that hold no packet but count as frames.
#[test]
fn packet_files_made_here_are_read_as_tshark_reads_them() {
    let made = Made::new();
    let frames = frames();
    let mut file = Vec::new();
    for order in [Order::Big, Order::Little] {
        for per_second in [1_000_000, 1_000_000_000] {
            let classic = made.file("classic", &classic(order, per_second, u32::from(ETHERNET), &frames));
            assert_eq!(made.compare(&classic), (36, 33), "{order:?} {per_second}");
        }
        let mut blocks = Blocks::new(order);
        blocks.section();
        let late = if order == Order::Big { 3600_i64.to_be_bytes() } else { 3600_i64.to_le_bytes() };
        blocks.interface(ETHERNET, 0, &[(9, &[0x80 | 0x14]), (14, &late)]);
        blocks.interface(ETHERNET, 0, &[(9, &[3])]);
        for (at, frame) in (1_700_000_000_000_u64..).zip(&frames) {
            blocks.enhanced(1, at, frame, &[(1, b"a comment")]);
            blocks.enhanced(0, (at << 20) / 1000, frame, &[(2, &[0; 4])]);
            blocks.simple(frame);
        }
        blocks.block(9, b"__REALTIME_TIMESTAMP=1700000000000000\n");
        for kind in [4, 5, 11, 0x204, 0x216, 0x221, 0xbad, 0x4000_0bad, 0x8000_0001, 0xdead_beef] {
            blocks.block(kind, &[0; 64]);
            blocks.enhanced(1, 1_700_000_000_000, &frames[0], &[]);
        }
        file.extend(blocks.file);
    }
    let file = made.file("blocks.pcapng", &file);
    assert_eq!(made.compare(&file), (2 * (3 * 36 + 10), 2 * (3 * 33 + 10)));
}

/// A capture that was cut off: what both could read before the place is the same.
#[test]
fn packet_files_that_end_early_are_read_as_far_as_tshark_reads_them() {
    let made = Made::new();
    let [classic, _] = text2pcap(&made, "pcap");
    let [_, blocks] = text2pcap(&made, "pcapng");
    for file in [classic, blocks] {
        let bytes = fs::read(&file).unwrap();
        for length in [1, 2, 3, 5, 17, 100, 1001].map(|part| bytes.len() - part) {
            let cut = made.file("cut", &bytes[..length]);
            let (theirs, said) = theirs(made.0.path(), &cut);
            let (ours, damage, _) = ours(&cut);
            assert!(said.contains("cut short"), "{said}");
            assert!(damage.is_some_and(|damage| damage.why.contains("the file ends after")));
            assert_eq!(theirs, ours, "{length} of {}", bytes.len());
        }
    }
}
