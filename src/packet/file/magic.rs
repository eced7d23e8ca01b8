//! What a file is, by its first bytes.

use super::clock::Order;

/// How a classic capture file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) order: Order,
    /// Fractions of a second are nanoseconds, else microseconds.
    pub(super) nanoseconds: bool,
    /// Bytes before each packet.
    pub(super) header: usize,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Classic pcap.
    Classic(Shape),
    /// A Section Header Block.
    Pcapng,
    /// Packed with gzip, whatever is in it.
    Gzip,
    /// A packet capture that authtap does not read: what it is, and what helps.
    Foreign(&'static str, &'static str),
    /// No packet capture, though it is clear what it is instead.
    Other(&'static str),
    /// Anything else.
    Unknown,
}

impl Kind {
    /// Whether it holds packets.
    pub(super) fn is_capture(self) -> bool {
        matches!(self, Self::Classic(_) | Self::Pcapng | Self::Foreign(..))
    }
}

const EDITCAP: &str = "convert it with `editcap -F pcapng IN OUT`";
const AGAIN: &str = "save the packets themselves, as pcapng";

/// Packet captures of other programs, by their first bytes.
const FOREIGN: [(&[u8], &str, &str); 10] = [
    (b"snoop\0\0\0", "a snoop capture", EDITCAP),
    (b"RTSS", "a capture of Network Monitor 1", EDITCAP),
    (b"GMBU", "a capture of Network Monitor", EDITCAP),
    (b"TRSNIFF data    \x1a", "a Sniffer capture", EDITCAP),
    (b"XCP\0", "a NetXRay capture", EDITCAP),
    (b"iptrace ", "an iptrace capture", EDITCAP),
    (b"\x7fver", "an OmniPeek capture", EDITCAP),
    (&[0xab, 0x01, 0x00, 0x1c], "a capture of an IXIA device", EDITCAP),
    (&[0xac, 0x01, 0x00, 0x1c], "a capture of an IXIA device", EDITCAP),
    (&[0x12, 0xcb, 0xe2, 0xa1], "a Navtel capture", EDITCAP),
];

/// What else may come by mistake.
const OTHER: [(&[u8], &str); 6] = [
    (&[0x28, 0xb5, 0x2f, 0xfd], "a file packed with zstd: unpack it first"),
    (&[0x04, 0x22, 0x4d, 0x18], "a file packed with lz4: unpack it first"),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "a file packed with xz: unpack it first"),
    (b"BZh", "a file packed with bzip2: unpack it first"),
    (b"PK\x03\x04", "a ZIP archive: unpack it first"),
    (b"MDMP", "a memory dump"),
];

/// What a file that begins with these bytes is.
pub(super) fn kind(first: &[u8]) -> Kind {
    let classic = |order, nanoseconds, header| Kind::Classic(Shape { order, nanoseconds, header });
    match first {
        [0xd4, 0xc3, 0xb2, 0xa1, ..] => return classic(Order::Little, false, 16),
        [0xa1, 0xb2, 0xc3, 0xd4, ..] => return classic(Order::Big, false, 16),
        [0x4d, 0x3c, 0xb2, 0xa1, ..] => return classic(Order::Little, true, 16),
        [0xa1, 0xb2, 0x3c, 0x4d, ..] => return classic(Order::Big, true, 16),
        // Linux of the nineties: interface, protocol and packet type stand between the header and the packet.
        [0x34, 0xcd, 0xb2, 0xa1, ..] => return classic(Order::Little, false, 24),
        [0xa1, 0xb2, 0xcd, 0x34, ..] => return classic(Order::Big, false, 24),
        [0x0a, 0x0d, 0x0d, 0x0a, ..] => return Kind::Pcapng,
        [0x1f, 0x8b, ..] => return Kind::Gzip,
        _ => {}
    }
    if let Some((_, what, advice)) = FOREIGN.iter().find(|(magic, ..)| first.starts_with(magic)) {
        return Kind::Foreign(what, advice);
    }
    if is_etl(first) {
        return Kind::Foreign("an ETL trace (netsh, pktmon)", "convert it with `etl2pcapng IN OUT`");
    }
    match first.trim_ascii_start() {
        [b'[' | b'{', ..] if holds(first, b"\"_index\": \"packets-") || holds(first, b"\"_index\":\"packets-") => {
            Kind::Foreign("Wireshark's JSON export", AGAIN)
        }
        [b'<', ..] if holds(first, b"<pdml") || holds(first, b"<psml") => {
            Kind::Foreign("Wireshark's XML export", AGAIN)
        }
        _ => OTHER
            .iter()
            .find(|(magic, _)| first.starts_with(magic))
            .map_or(Kind::Unknown, |(_, what)| Kind::Other(what)),
    }
}

fn holds(text: &[u8], what: &[u8]) -> bool {
    memchr::memmem::find(text, what).is_some()
}

/// Event Tracing for Windows has no magic number. Its file begins with a buffer's header (72 bytes, its size first), then
/// a SYSTEM_TRACE_HEADER (type 1 or 2, flags 0xc0), 32 bytes, and a TRACE_LOGFILE_HEADER that says the size again.
fn is_etl(first: &[u8]) -> bool {
    let size = Order::Little.u32(first, 0);
    size != 0
        && size == Order::Little.u32(first, 72 + 32)
        && first.get(72 + 2).is_some_and(|kind| matches!(kind, 1 | 2))
        && first.get(72 + 3) == Some(&0xc0)
}

/// Why a file cannot be read that is neither a classic capture nor a pcapng.
pub(super) fn refusal(kind: Kind, first: &[u8]) -> String {
    let expected = "a packet capture (pcap or pcapng) was expected";
    match kind {
        Kind::Foreign(what, advice) => format!("{expected}; this looks like {what}: {advice}"),
        Kind::Other(what) => format!("{expected}; this looks like {what}"),
        Kind::Gzip => format!("{expected}; this is packed with gzip twice"),
        Kind::Classic(_) | Kind::Pcapng | Kind::Unknown if first.is_empty() => format!("{expected}; the file is empty"),
        Kind::Classic(_) | Kind::Pcapng | Kind::Unknown => {
            let bytes: Vec<String> = first.iter().take(8).map(|b| format!("{b:02x}")).collect();
            format!("{expected}; the file begins with {} ({})", bytes.join(" "), printable(first))
        }
    }
}

/// The beginning as text, with dots for what cannot be printed.
fn printable(first: &[u8]) -> String {
    let dot = |b: &u8| if b.is_ascii_graphic() || *b == b' ' { char::from(*b) } else { '.' };
    first.iter().take(8).map(dot).collect()
}
