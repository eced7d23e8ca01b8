//! IPv4 and IPv6 with their extension headers, and the TCP header.

use std::net::{IpAddr, SocketAddr};

use etherparse::err::{ipv4, tcp};
use etherparse::{
    IpAuthHeaderSlice, IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice,
    TcpHeader, TcpHeaderSlice,
};

use super::{Found, LIES, MOST_TAGS, Rest, tunnel};
use crate::packet::Segment;

/// Where the flags of a TCP header stand, the last that is needed of it.
const FLAGS: usize = 13;
const FRAGMENT: Found<'static> = Found::Unreadable("an IP fragment");

/// An IP packet, whose version its first four bits tell.
pub(super) fn packet(rest: Rest<'_>) -> Option<Found<'_>> {
    match rest.bytes.first()? >> 4 {
        4 => version4(rest),
        6 => version6(rest),
        _ => Some(Found::Unreadable("an IP header of no version that exists")),
    }
}

/// RFC 791 section 3.1.
fn version4(rest: Rest<'_>) -> Option<Found<'_>> {
    let header = match Ipv4HeaderSlice::from_slice(rest.bytes) {
        Ok(header) => header,
        Err(ipv4::HeaderSliceError::Len(_)) => return None,
        Err(ipv4::HeaderSliceError::Content(_)) => return Some(LIES),
    };
    let (head, total) = (header.slice().len(), usize::from(header.total_len()));
    let rest = match total {
        // What a network card is given to cut into packets itself may be longer than the field can say.
        0 => rest,
        _ if total < head => return Some(LIES),
        _ => rest.limit(total),
    };
    let (from, to) = (header.source_addr().into(), header.destination_addr().into());
    inside(
        Inside { protocol: header.protocol(), from, to, fragment: header.is_fragmenting_payload() },
        rest.after(head)?,
    )
}

/// RFC 8200 section 3.
fn version6(rest: Rest<'_>) -> Option<Found<'_>> {
    let header = Ipv6HeaderSlice::from_slice(rest.bytes).ok()?;
    let rest = rest.after(header.slice().len())?;
    let rest = match usize::from(header.payload_length()) {
        // The same, or a jumbogram (RFC 2675 section 3).
        0 => rest,
        length => rest.limit(length),
    };
    let (from, to) = (header.source_addr().into(), header.destination_addr().into());
    inside(Inside { protocol: header.next_header(), from, to, fragment: false }, rest)
}

/// What an IP header says of its content.
#[derive(Clone, Copy)]
struct Inside {
    protocol: IpNumber,
    from: IpAddr,
    to: IpAddr,
    /// A part only of what was sent.
    fragment: bool,
}

/// Passes extension headers (RFC 8200 section 4; RFC 4302 section 2) to what they are before.
fn inside(mut ip: Inside, mut rest: Rest<'_>) -> Option<Found<'_>> {
    for _ in 0..MOST_TAGS {
        let (next, length) = match ip.protocol {
            IpNumber::TCP | IpNumber::IPV4 | IpNumber::IPV6 | IpNumber::GRE | IpNumber::AUTHENTICATION_HEADER
                if ip.fragment =>
            {
                return Some(FRAGMENT);
            }
            IpNumber::TCP => return tcp(ip, rest),
            IpNumber::IPV4 | IpNumber::IPV6 => return tunnel::ip(rest),
            IpNumber::GRE => return tunnel::gre(rest),
            IpNumber::UDP if !ip.fragment => return tunnel::udp(rest),
            IpNumber::ENCAPSULATING_SECURITY_PAYLOAD => return Some(Found::Unreadable("a packet that IPsec encrypts")),
            IpNumber::AUTHENTICATION_HEADER => {
                let header = IpAuthHeaderSlice::from_slice(rest.bytes).ok()?;
                (header.next_header(), header.slice().len())
            }
            IpNumber::IPV6_HEADER_HOP_BY_HOP | IpNumber::IPV6_ROUTE_HEADER | IpNumber::IPV6_DESTINATION_OPTIONS
                if ip.from.is_ipv6() =>
            {
                // In a fragment they may be incomplete, and in a later one they are not there.
                if ip.fragment {
                    return Some(FRAGMENT);
                }
                let header = Ipv6RawExtHeaderSlice::from_slice(rest.bytes).ok()?;
                (header.next_header(), header.slice().len())
            }
            IpNumber::IPV6_FRAGMENTATION_HEADER if ip.from.is_ipv6() => {
                let header = Ipv6FragmentHeaderSlice::from_slice(rest.bytes).ok()?;
                // An atomic fragment (RFC 6946) is whole.
                ip.fragment = header.is_fragmenting_payload();
                (header.next_header(), header.slice().len())
            }
            _ => return Some(Found::Other),
        };
        ip.protocol = next;
        rest = rest.after(length)?;
    }
    Some(LIES)
}

/// RFC 9293 section 3.1.
fn tcp(ip: Inside, rest: Rest<'_>) -> Option<Found<'_>> {
    let length = usize::from(rest.bytes.get(12)? >> 4) * 4;
    if length < TcpHeader::MIN_LEN {
        return Some(LIES);
    }
    let fixed;
    let header = match TcpHeaderSlice::from_slice(rest.bytes) {
        Ok(header) => header,
        Err(tcp::HeaderSliceError::Content(_)) => return Some(LIES),
        // A short snap length may cut the options, the checksum and the window, which are not needed: what stands before
        // them is a header too.
        Err(tcp::HeaderSliceError::Len(_)) => {
            let mut bytes = [0; TcpHeader::MIN_LEN];
            let some = rest.bytes.get(..rest.bytes.len().min(bytes.len()))?;
            bytes.get_mut(..some.len())?.copy_from_slice(some);
            rest.bytes.get(FLAGS)?;
            bytes[12] = 5 << 4;
            fixed = bytes;
            TcpHeaderSlice::from_slice(&fixed).ok()?
        }
    };
    let payload = rest.bytes.get(length..).unwrap_or_default();
    let missing = u32::try_from(length.saturating_sub(rest.bytes.len())).unwrap_or(u32::MAX);
    let Some(cut) = rest.cut.checked_sub(missing) else { return Some(LIES) };
    Some(Found::Tcp(Segment {
        from: SocketAddr::new(ip.from, header.source_port()),
        to: SocketAddr::new(ip.to, header.destination_port()),
        sequence: header.sequence_number(),
        acknowledged: header.ack().then(|| header.acknowledgment_number()),
        syn: header.syn(),
        fin: header.fin(),
        rst: header.rst(),
        payload,
        cut,
    }))
}
