//! From a captured frame to its TCP segment: link layers, tags, tunnels, IPv4 and IPv6.
//!
//! Nothing is copied, and no checksum is looked at: on the sending machine they are often not yet computed.

mod ip;
#[cfg(test)]
mod tests;
mod tunnel;

use super::Segment;
use super::file::{Captured, OWN};

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// TCP.
    Tcp(Segment<'a>),
    /// Something else than TCP over IP.
    Other,
    /// What authtap cannot read, for a reason that is counted: a link type that it does not know, an IP fragment, a
    /// header that was cut or lies.
    Unreadable(&'static str),
}

/// The capture ends before the headers do.
const CUT: Found<'static> = Found::Unreadable("a header that was cut");
/// Lengths that contradict each other.
const LIES: Found<'static> = Found::Unreadable("a header that lies about its length");
/// Tags of VLANs, MPLS labels or extension headers: more than these are nobody's network.
const MOST_TAGS: usize = 16;

/// Bytes of a layer.
#[derive(Debug, Clone, Copy)]
struct Rest<'a> {
    bytes: &'a [u8],
    /// How many more were on the wire and not captured.
    cut: u32,
    /// Tunnels around it.
    tunnels: u8,
}

impl Rest<'_> {
    /// What comes after a header of this length; `None` where the header was cut.
    fn after(self, header: usize) -> Option<Self> {
        Some(Self { bytes: self.bytes.get(header..)?, ..self })
    }

    /// What a header says that it contains: less than there is (padding follows), or more (that was cut).
    fn limit(self, length: usize) -> Self {
        match self.bytes.get(..length) {
            Some(bytes) => Self { bytes, cut: 0, ..self },
            None => Self { cut: u32::try_from(length - self.bytes.len()).unwrap_or(u32::MAX), ..self },
        }
    }

    /// The big-endian number at `at`.
    fn u16(self, at: usize) -> Option<u16> {
        self.bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
    }
}

/// Reads one frame. Addresses are the innermost ones, where tunnels or mirrors (GRE, ERSPAN, VXLAN, IP in IP) carry it.
pub fn segment<'a>(packet: &Captured<'a>) -> Found<'a> {
    let captured = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
    let rest = Rest { bytes: packet.bytes, cut: packet.length.saturating_sub(captured), tunnels: 0 };
    // The numbers: https://www.tcpdump.org/linktypes.html
    let found = match packet.link {
        1 => ethernet(rest),
        0 | 108 => loopback(rest),
        // Raw IP; 12 and 14 are its numbers on some systems.
        101 | 12 | 14 | 228 | 229 => ip::packet(rest),
        113 => cooked(rest),
        276 => cooked_v2(rest),
        9 | 50 => ppp(rest),
        51 => pppoe(rest),
        // Cisco HDLC: address, control, protocol.
        104 => tagged(rest, 2),
        105 | 119 | 127 | 163 | 192 => Some(Found::Unreadable("a link type that authtap does not know: Wi-Fi frames")),
        // Redacted, so that tokens of different clients may be equal there: nothing may be concluded from it.
        OWN => Some(Found::Unreadable(
            "authtap made them with `run --pcapng`, without secrets; report on the run's capture file (`--capture`)",
        )),
        _ => Some(Found::Unreadable("a link type that authtap does not know")),
    };
    found.unwrap_or(CUT)
}

/// Ethernet II and 802.3.
fn ethernet(rest: Rest<'_>) -> Option<Found<'_>> {
    tagged(rest, 12)
}

/// Reads what an EtherType at `at` says that follows it. `None`, as everywhere here: the capture ends before the headers do.
fn tagged(mut rest: Rest<'_>, at: usize) -> Option<Found<'_>> {
    let mut kind = rest.u16(at)?;
    rest = rest.after(at + 2)?;
    for _ in 0..MOST_TAGS {
        match kind {
            0x0800 | 0x86dd => return ip::packet(rest),
            // IEEE 802.1Q, and 802.1ad with the types that were used before it.
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                kind = rest.u16(2)?;
                rest = rest.after(4)?;
            }
            0x8864 => return pppoe(rest),
            0x8847 | 0x8848 => return mpls(rest),
            0x6558 => return ethernet(rest),
            0x88e5 => return Some(Found::Unreadable("a frame that MACsec encrypts")),
            // A length (IEEE 802.3), before LLC: only SNAP of the IETF's numbers (RFC 1042) carries IP.
            0..0x0600 => {
                if !rest.bytes.starts_with(&[0xaa, 0xaa, 3, 0, 0, 0]) {
                    return Some(Found::Other);
                }
                kind = rest.u16(6)?;
                rest = rest.after(8)?;
            }
            _ => return Some(Found::Other),
        }
    }
    Some(LIES)
}

/// Linux cooked, version 1 (LINKTYPE_LINUX_SLL).
fn cooked(rest: Rest<'_>) -> Option<Found<'_>> {
    // ARPHRD_NETLINK has other protocol numbers.
    if rest.u16(2)? == 824 {
        return Some(Found::Other);
    }
    tagged(rest, 14)
}

/// Linux cooked, version 2 (LINKTYPE_LINUX_SLL2): the protocol comes first.
fn cooked_v2(rest: Rest<'_>) -> Option<Found<'_>> {
    if rest.u16(8)? == 824 {
        return Some(Found::Other);
    }
    match rest.u16(0)? {
        0x0800 | 0x86dd => ip::packet(rest.after(20)?),
        // The tag's EtherType is gone, its content stands in the packet.
        0x8100 | 0x88a8 | 0x9100 => tagged(rest.after(20)?, 2),
        0x8864 => pppoe(rest.after(20)?),
        0x8847 | 0x8848 => mpls(rest.after(20)?),
        _ => Some(Found::Other),
    }
}

/// BSD loopback: the address family, in the byte order of the machine that captured (0) or of the network (108).
fn loopback(rest: Rest<'_>) -> Option<Found<'_>> {
    let family = *rest.bytes.first_chunk()?;
    let family = u32::from_le_bytes(family).min(u32::from_be_bytes(family));
    match family {
        // AF_INET, and AF_INET6 of Linux, Windows, NetBSD, FreeBSD and macOS.
        2 | 10 | 23 | 24 | 28 | 30 => ip::packet(rest.after(4)?),
        _ => Some(Found::Other),
    }
}

/// PPP (RFC 1661 section 2), in HDLC-like framing (RFC 1662 section 3.1) or without it.
fn ppp(mut rest: Rest<'_>) -> Option<Found<'_>> {
    if rest.bytes.starts_with(&[0xff, 3]) {
        rest = rest.after(2)?;
    }
    let first = *rest.bytes.first()?;
    // An odd first byte is the whole protocol, compressed (RFC 1661 section 6.5).
    let (protocol, length) = if first & 1 == 1 { (u16::from(first), 1) } else { (rest.u16(0)?, 2) };
    match protocol {
        0x0021 | 0x0057 => ip::packet(rest.after(length)?),
        _ => Some(Found::Other),
    }
}

/// PPPoE (RFC 2516 section 4), a session's packets.
fn pppoe(rest: Rest<'_>) -> Option<Found<'_>> {
    if rest.u16(0)? != 0x1100 {
        return Some(Found::Other);
    }
    ppp(rest.after(6)?)
}

/// MPLS (RFC 3032 section 2.1): labels down to the bottom of the stack, then what looks like IP.
fn mpls(mut rest: Rest<'_>) -> Option<Found<'_>> {
    for _ in 0..MOST_TAGS {
        let bottom = rest.bytes.get(2)? & 1 == 1;
        rest = rest.after(4)?;
        if bottom {
            return match rest.bytes.first()? >> 4 {
                4 | 6 => ip::packet(rest),
                _ => Some(Found::Other),
            };
        }
    }
    Some(LIES)
}
