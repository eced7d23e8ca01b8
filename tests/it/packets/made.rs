//! Packets and files of packets, made in memory: for tests, benches and the fuzzer's seeds.
//!
//! Nothing here knows authtap. A file is included with `#[path = "…/tests/it/packets/made.rs"] mod made;`.
//! Times are microseconds since 1970. Checksums stay zero, as offloading leaves them.
//!
//! ```text
//! let mut c = Connection::new("192.0.2.1:40000", "192.0.2.80:80", 1_700_000_000_000_000);
//! let mut packets = c.open();
//! packets.push(c.client(b"GET / HTTP/1.1\r\n\r\n"));
//! packets.push(c.server(b"HTTP/1.1 200 OK\r\n\r\n"));
//! packets.extend(c.close());
//! let file = pcap(&packets);
//! ```
#![allow(dead_code, reason = "each of those that include it uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test that fails is a test that fails")]

use std::net::{IpAddr, SocketAddr};

/// LINKTYPE_ETHERNET.
pub(crate) const ETHERNET: u16 = 1;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

/// A packet of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Microseconds since 1970.
    pub(crate) at: i64,
    /// What was captured.
    pub(crate) bytes: Vec<u8>,
    /// Its length on the wire.
    pub(crate) length: u32,
}

impl Packet {
    /// A packet that was captured whole.
    pub(crate) fn new(at: i64, bytes: Vec<u8>) -> Self {
        let length = u32::try_from(bytes.len()).unwrap();
        Self { at, bytes, length }
    }

    /// The same packet, cut by a snap length.
    pub(crate) fn cut(mut self, snap: usize) -> Self {
        self.bytes.truncate(snap);
        self
    }
}

/// An Ethernet II frame, with the padding to 60 bytes that a short one has on the wire.
pub(crate) fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    frame.extend(ether_type.to_be_bytes());
    frame.extend(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}

/// An IP packet without options: IPv4 (RFC 791 section 3.1) or IPv6 (RFC 8200 section 3), as the addresses are.
pub(crate) fn ip(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40 + payload.len());
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            bytes.extend([0x45, 0]);
            bytes.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
            bytes.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            bytes.extend(from.octets());
            bytes.extend(to.octets());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            bytes.extend([0x60, 0, 0, 0]);
            bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            bytes.extend([protocol, 64]);
            bytes.extend(from.octets());
            bytes.extend(to.octets());
        }
        _ => panic!("{from} and {to} are not of one family"),
    }
    bytes.extend(payload);
    bytes
}

/// A TCP segment (RFC 9293 section 3.1).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tcp<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
    pub(crate) flags: u8,
    /// A multiple of four bytes.
    pub(crate) options: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl Tcp<'_> {
    /// Header and payload.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = [self.from.port().to_be_bytes(), self.to.port().to_be_bytes()].concat();
        bytes.extend([self.sequence.to_be_bytes(), self.acknowledged.to_be_bytes()].concat());
        let words = u8::try_from(5 + self.options.len() / 4).unwrap();
        bytes.extend([words << 4, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        bytes.extend(self.options);
        bytes.extend(self.payload);
        bytes
    }

    /// In an IP packet.
    pub(crate) fn in_ip(&self) -> Vec<u8> {
        ip(self.from.ip(), self.to.ip(), 6, &self.bytes())
    }

    /// In an Ethernet frame.
    pub(crate) fn in_ethernet(&self) -> Vec<u8> {
        ethernet(if self.from.is_ipv4() { 0x0800 } else { 0x86dd }, &self.in_ip())
    }
}

/// Both ends of a TCP connection: each call is a packet, with the next sequence numbers and a later time. What is not
/// called in order, or is left out of the file, is a capture with that fault.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    /// The sequence number of the client's next byte.
    pub(crate) client_next: u32,
    /// The sequence number of the server's next byte.
    pub(crate) server_next: u32,
    /// When the next packet is.
    pub(crate) at: i64,
    /// From one packet to the next, in microseconds.
    pub(crate) step: i64,
}

impl Connection {
    /// Not yet open. Sequence numbers begin at 1000 (client) and 5000 (server).
    pub(crate) fn new(client: &str, server: &str, at: i64) -> Self {
        let (client, server) = (client.parse().expect("an address"), server.parse().expect("an address"));
        Self { client, server, client_next: 1000, server_next: 5000, at, step: 1000 }
    }

    /// SYN, SYN-ACK, ACK.
    pub(crate) fn open(&mut self) -> Vec<Packet> {
        vec![self.send(true, SYN, b""), self.send(false, SYN | ACK, b""), self.send(true, ACK, b"")]
    }

    /// Bytes of the client.
    pub(crate) fn client(&mut self, payload: &[u8]) -> Packet {
        self.send(true, PSH | ACK, payload)
    }

    /// Bytes of the server.
    pub(crate) fn server(&mut self, payload: &[u8]) -> Packet {
        self.send(false, PSH | ACK, payload)
    }

    /// FIN of the client, FIN of the server, and the last ACK.
    pub(crate) fn close(&mut self) -> Vec<Packet> {
        vec![self.send(true, FIN | ACK, b""), self.send(false, FIN | ACK, b""), self.send(true, ACK, b"")]
    }

    /// A packet with these flags; SYN and FIN count as a byte.
    pub(crate) fn send(&mut self, from_client: bool, flags: u8, payload: &[u8]) -> Packet {
        let (client, server) = ((self.client, self.client_next), (self.server, self.server_next));
        let ((from, sequence), (to, next)) = if from_client { (client, server) } else { (server, client) };
        let acknowledged = if flags & ACK == 0 { 0 } else { next };
        let segment = Tcp { from, to, sequence, acknowledged, flags, options: b"", payload };
        let counted = u32::try_from(payload.len()).unwrap() + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        let next = if from_client { &mut self.client_next } else { &mut self.server_next };
        *next = next.wrapping_add(counted);
        let at = self.at;
        self.at += self.step;
        Packet::new(at, segment.in_ethernet())
    }
}

/// The byte order of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    pub(crate) fn u16(self, number: u16) -> [u8; 2] {
        if self == Self::Little { number.to_le_bytes() } else { number.to_be_bytes() }
    }

    pub(crate) fn u32(self, number: u32) -> [u8; 4] {
        if self == Self::Little { number.to_le_bytes() } else { number.to_be_bytes() }
    }
}

/// A classic capture file of Ethernet frames, as most programs write it.
pub(crate) fn pcap(packets: &[Packet]) -> Vec<u8> {
    classic(Order::Little, 1_000_000, u32::from(ETHERNET), packets)
}

/// A classic capture file. `per_second`: 1,000,000 or 1,000,000,000.
pub(crate) fn classic(order: Order, per_second: i64, link: u32, packets: &[Packet]) -> Vec<u8> {
    let magic = if per_second == 1_000_000 { 0xa1b2_c3d4 } else { 0xa1b2_3c4d };
    let mut file = order.u32(magic).to_vec();
    file.extend([order.u16(2), order.u16(4)].concat());
    file.extend([0, 0, 262_144, link].map(|n| order.u32(n)).concat());
    for packet in packets {
        let fraction = packet.at.rem_euclid(1_000_000) * (per_second / 1_000_000);
        let (second, fraction) = (u32::try_from(packet.at.div_euclid(1_000_000)).unwrap(), u32::try_from(fraction));
        let captured = u32::try_from(packet.bytes.len()).unwrap();
        file.extend([second, fraction.unwrap(), captured, packet.length].map(|n| order.u32(n)).concat());
        file.extend(&packet.bytes);
    }
    file
}

/// A pcapng file of Ethernet frames, as Wireshark writes it; `secrets` are lines of a TLS key log.
pub(crate) fn pcapng(packets: &[Packet], secrets: Option<&[u8]>) -> Vec<u8> {
    let mut blocks = Blocks::new(Order::Little);
    blocks.section();
    blocks.interface(ETHERNET, 262_144, &[]);
    if let Some(secrets) = secrets {
        blocks.tls_secrets(secrets);
    }
    for packet in packets {
        blocks.enhanced(0, u64::try_from(packet.at).unwrap(), packet, &[]);
    }
    blocks.file
}

/// A pcapng file (draft-ietf-opsawg-pcapng), block by block.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    pub(crate) order: Order,
    pub(crate) file: Vec<u8>,
}

impl Blocks {
    pub(crate) fn new(order: Order) -> Self {
        Self { order, file: Vec::new() }
    }

    /// Any block: type, length, body with its padding, length.
    pub(crate) fn block(&mut self, kind: u32, body: &[u8]) {
        let padded = body.len().next_multiple_of(4);
        let length = self.order.u32(u32::try_from(12 + padded).unwrap());
        self.file.extend(self.order.u32(kind));
        self.file.extend(length);
        self.file.extend(body);
        self.file.resize(self.file.len() + padded - body.len(), 0);
        self.file.extend(length);
    }

    /// Options (section 3.5) with their end; nothing where there are none.
    pub(crate) fn options(&self, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (code, value) in options {
            bytes.extend(self.order.u16(*code));
            bytes.extend(self.order.u16(u16::try_from(value.len()).unwrap()));
            bytes.extend(*value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        if !options.is_empty() {
            bytes.extend([0; 4]);
        }
        bytes
    }

    /// A Section Header Block (section 4.1) of unknown length.
    pub(crate) fn section(&mut self) {
        let body = [&self.order.u32(0x1a2b_3c4d)[..], &self.order.u16(1), &self.order.u16(0), &[0xff; 8]].concat();
        self.block(0x0a0d_0d0a, &body);
    }

    /// An Interface Description Block (section 4.2). Options: 9 is if_tsresol, 14 is if_tsoffset.
    pub(crate) fn interface(&mut self, link: u16, snap: u32, options: &[(u16, &[u8])]) {
        let body = [&self.order.u16(link)[..], &[0, 0], &self.order.u32(snap), &self.options(options)].concat();
        self.block(1, &body);
    }

    /// An Enhanced Packet Block (section 4.3); `time` is in the interface's units.
    pub(crate) fn enhanced(&mut self, interface: u32, time: u64, packet: &Packet, options: &[(u16, &[u8])]) {
        let (high, low) = (u32::try_from(time >> 32).unwrap(), u32::try_from(time & 0xffff_ffff).unwrap());
        let captured = u32::try_from(packet.bytes.len()).unwrap();
        let mut body = [interface, high, low, captured, packet.length].map(|n| self.order.u32(n)).concat();
        body.extend(&packet.bytes);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(self.options(options));
        self.block(6, &body);
    }

    /// A Simple Packet Block (section 4.4).
    pub(crate) fn simple(&mut self, packet: &Packet) {
        let body = [&self.order.u32(packet.length)[..], &packet.bytes].concat();
        self.block(3, &body);
    }

    /// A Decryption Secrets Block (section 4.7) with lines of a TLS key log.
    pub(crate) fn tls_secrets(&mut self, lines: &[u8]) {
        let length = u32::try_from(lines.len()).unwrap();
        let body = [&self.order.u32(0x544c_534b)[..], &self.order.u32(length), lines].concat();
        self.block(0xa, &body);
    }
}
