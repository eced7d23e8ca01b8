//! Blocks of pcapng (draft-ietf-opsawg-pcapng section 4), little endian, and the packets in them: raw IP, TCP.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpNumber, Ipv4Header, Ipv6Header, TcpHeader};

use crate::model::Stamp;
use crate::model::frame::OWN_INTERFACE;

/// Options of all blocks, of section headers, and of interfaces (sections 3.5, 4.1, 4.2).
const COMMENT: u16 = 1;
const APPLICATION: u16 = 4;
const NAME: u16 = 2;
const DESCRIPTION: u16 = 3;

/// LINKTYPE_RAW: a packet begins with its IP header.
const RAW: u16 = 101;

/// No comment is longer; an option has 65,535 bytes at most.
const LONGEST_COMMENT: usize = 8192;

/// The protocol number "for experimentation and testing" (RFC 3692): what Wireshark takes for nothing else.
const EXPERIMENT: IpNumber = IpNumber(253);

/// More is in no packet: an IPv4 packet has 65,535 bytes with its headers.
pub(super) const MOST_PAYLOAD: usize = 65_000;

/// TCP's fields that change.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tcp {
    pub(super) sequence: u32,
    /// Set with ACK.
    pub(super) acknowledged: Option<u32>,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
}

/// A section's header and the description of its only interface.
pub(super) fn header(version: &str, comment: &str, out: &mut Vec<u8>) {
    block(0x0a0d_0d0a, out, |out| {
        out.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
        // Version 1.0, and a length of the section that is not told.
        out.extend_from_slice(&[1, 0, 0, 0]);
        out.extend_from_slice(&[0xff; 8]);
        option(COMMENT, comment, out);
        option(APPLICATION, &format!("authtap {version}"), out);
        out.extend_from_slice(&[0; 4]);
    });
    block(1, out, |out| {
        out.extend_from_slice(&RAW.to_le_bytes());
        // Reserved, and no snap length.
        out.extend_from_slice(&[0; 6]);
        option(NAME, OWN_INTERFACE, out);
        option(DESCRIPTION, "made of what authtap saw, without secrets", out);
        out.extend_from_slice(&[0; 4]);
    });
}

/// A TCP segment with a payload of at most [`MOST_PAYLOAD`] bytes, `cut` included: those were sent and are not there.
pub(super) fn segment(
    at: Stamp,
    [from, to]: [SocketAddr; 2],
    tcp: Tcp,
    payload: &[u8],
    cut: usize,
    comment: &str,
    out: &mut Vec<u8>,
) {
    let mut header = TcpHeader::new(from.port(), to.port(), tcp.sequence, 65_535);
    (header.syn, header.fin, header.rst) = (tcp.syn, tcp.fin, tcp.rst);
    header.psh = !payload.is_empty();
    header.ack = tcp.acknowledged.is_some();
    header.acknowledgment_number = tcp.acknowledged.unwrap_or_default();
    // Over bytes that are not there none can be computed; Wireshark looks at none by default.
    if cut == 0 {
        let sum = match ends(from, to) {
            Ends::V4(from, to) => header.calc_checksum_ipv4_raw(from, to, payload),
            Ends::V6(from, to) => header.calc_checksum_ipv6_raw(from, to, payload),
        };
        header.checksum = sum.unwrap_or_default();
    }
    let mut packet = ip(from, to, IpNumber::TCP, header.header_len() + payload.len() + cut);
    packet.extend_from_slice(&header.to_bytes());
    packet.extend_from_slice(payload);
    enhanced(at, &packet, cut, comment, out);
}

/// A packet that is no traffic: it carries authtap's own words between the ends that they are about.
pub(super) fn note(at: Stamp, [from, to]: [SocketAddr; 2], says: &str, out: &mut Vec<u8>) {
    let says = beginning(says);
    let mut packet = ip(from, to, EXPERIMENT, says.len());
    packet.extend_from_slice(says.as_bytes());
    enhanced(at, &packet, 0, says, out);
}

/// Addresses of one family.
enum Ends {
    V4([u8; 4], [u8; 4]),
    V6([u8; 16], [u8; 16]),
}

/// Client and upstream may be of two families; the IPv4 address then stands as IPv6 maps it (RFC 4291 section 2.5.5.2).
fn ends(from: SocketAddr, to: SocketAddr) -> Ends {
    let mapped = |address: IpAddr| match address {
        IpAddr::V4(four) => four.to_ipv6_mapped().octets(),
        IpAddr::V6(six) => six.octets(),
    };
    match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Ends::V4(from.octets(), to.octets()),
        (from, to) => Ends::V6(mapped(from), mapped(to)),
    }
}

/// An IP header.
fn ip(from: SocketAddr, to: SocketAddr, protocol: IpNumber, payload: usize) -> Vec<u8> {
    let payload = u16::try_from(payload).unwrap_or(u16::MAX);
    match ends(from, to) {
        Ends::V4(source, destination) => {
            let mut header = Ipv4Header::new(payload, 64, protocol, source, destination).unwrap_or_default();
            header.header_checksum = header.calc_header_checksum();
            header.to_bytes().to_vec()
        }
        Ends::V6(source, destination) => {
            let header = Ipv6Header {
                payload_length: payload,
                next_header: protocol,
                hop_limit: 64,
                source,
                destination,
                ..Ipv6Header::default()
            };
            header.to_bytes().to_vec()
        }
    }
}

/// An Enhanced Packet Block (section 4.3). Times are in microseconds, which is the default.
fn enhanced(at: Stamp, packet: &[u8], cut: usize, comment: &str, out: &mut Vec<u8>) {
    let time = u64::try_from(at.0).unwrap_or(0).to_le_bytes();
    block(6, out, |out| {
        out.extend_from_slice(&[0; 4]);
        // The high half goes first, whatever the byte order.
        out.extend(time.iter().skip(4));
        out.extend(time.iter().take(4));
        out.extend_from_slice(&size(packet.len()));
        out.extend_from_slice(&size(packet.len() + cut));
        out.extend_from_slice(packet);
        pad(out);
        if !comment.is_empty() {
            option(COMMENT, beginning(comment), out);
            out.extend_from_slice(&[0; 4]);
        }
    });
}

fn block(kind: u32, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let mut inside = Vec::with_capacity(512);
    body(&mut inside);
    let length = size(inside.len() + 12);
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&length);
    out.extend_from_slice(&inside);
    out.extend_from_slice(&length);
}

fn option(code: u16, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    pad(out);
}

/// To a multiple of four; all that stands before `out` in a block is one.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

fn size(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn beginning(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST_COMMENT)).unwrap_or_default()
}
