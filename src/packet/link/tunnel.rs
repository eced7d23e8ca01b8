//! What carries frames inside IP packets: GRE, and with it the mirror ports of switches (ERSPAN); VXLAN, and with it the
//! mirrors of clouds; IP in IP.

use etherparse::UdpHeaderSlice;

use super::{Found, Rest, ethernet, tagged};

/// Tunnels that are looked into, one in another.
const MOST: u8 = 2;

/// What a tunnel carries; `Err` where there are too many.
fn enter(rest: Rest<'_>) -> Result<Rest<'_>, Found<'static>> {
    if rest.tunnels >= MOST {
        return Err(Found::Unreadable("a tunnel in a tunnel"));
    }
    Ok(Rest { tunnels: rest.tunnels + 1, ..rest })
}

/// IP in IP (RFC 2003; RFC 4213 section 3).
pub(super) fn ip(rest: Rest<'_>) -> Option<Found<'_>> {
    match enter(rest) {
        Ok(rest) => super::ip::packet(rest),
        Err(found) => Some(found),
    }
}

/// GRE (RFC 2784 section 2, RFC 2890 section 2) with ERSPAN (draft-foschiano-erspan sections 4.1 to 4.3).
pub(super) fn gre(rest: Rest<'_>) -> Option<Found<'_>> {
    let (flags, protocol) = (rest.u16(0)?, rest.u16(2)?);
    let rest = match enter(rest) {
        Ok(rest) => rest,
        Err(found) => return Some(found),
    };
    // Source routes, and version 1, which carries PPP for PPTP.
    if flags & 0x4007 != 0 {
        return Some(Found::Other);
    }
    let [checksum, key, sequence] = [0x8000, 0x2000, 0x1000].map(|flag| usize::from(flags & flag != 0) * 4);
    let length = 4 + checksum + key + sequence;
    match protocol {
        // Type II has a sequence number in GRE and a header of its own; type I has neither.
        0x88be => ethernet(rest.after(if sequence == 0 { length } else { length + 8 })?),
        0x22eb => {
            let platform = rest.bytes.get(length + 11)? & 1 == 1;
            ethernet(rest.after(length + if platform { 20 } else { 12 })?)
        }
        // The protocol is an EtherType, and with a key or the like it does not stand before what it tells.
        0x0800 | 0x86dd => super::ip::packet(rest.after(length)?),
        0x6558 => ethernet(rest.after(length)?),
        _ if length == 4 => tagged(rest, 2),
        _ => Some(Found::Other),
    }
}

/// VXLAN (RFC 7348 section 5), on its port or that of Linux before it had one. Other UDP is no TCP.
pub(super) fn udp(rest: Rest<'_>) -> Option<Found<'_>> {
    // A cut header cannot be that of a frame with TCP in it.
    let Ok(header) = UdpHeaderSlice::from_slice(rest.bytes) else { return Some(Found::Other) };
    if !matches!(header.destination_port(), 4789 | 8472) || rest.bytes.get(8).is_none_or(|flags| flags & 8 == 0) {
        return Some(Found::Other);
    }
    match enter(rest) {
        Ok(rest) => ethernet(rest.after(16)?),
        Err(found) => Some(found),
    }
}
