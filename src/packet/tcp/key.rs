//! What a connection is found by: its two addresses and ports, whoever sent the packet.

use std::net::{IpAddr, SocketAddr};

/// The two ends of a connection, the lower one first. Hashed with the standard library's keyed hash: whoever is captured
/// chooses the ports, and must not choose where they collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    low: u128,
    high: u128,
    /// Both ports, and whether the addresses are of IPv6.
    ports: u64,
}

impl Pair {
    /// The pair of a packet, and whether its sender is the lower end; `None` when both ends are the same.
    pub(super) fn of(from: SocketAddr, to: SocketAddr) -> Option<(Self, bool)> {
        let (a, b) = ((number(from.ip()), from.port()), (number(to.ip()), to.port()));
        if a == b {
            return None;
        }
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        let ports = u64::from(from.is_ipv6()) << 32 | u64::from(low.1) << 16 | u64::from(high.1);
        Some((Self { low: low.0, high: high.0, ports }, a < b))
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}
