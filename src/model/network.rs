//! Ranges of addresses.

use std::fmt;
use std::net::IpAddr;

/// A range of addresses, `10.0.0.0/8` or `2001:db8::/32`, or a single one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads CIDR notation; `None` when it is not that.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = if let Some((a, b)) = text.split_once('/') {
            (a.parse::<IpAddr>().ok()?, b.parse::<u8>().ok()?)
        } else {
            let a = text.parse::<IpAddr>().ok()?;
            (a, if a.is_ipv4() { 32 } else { 128 })
        };
        (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some(Self { address, bits })
    }

    /// Whether the address is in the range. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let top = |value: u128, width: u32| value.checked_shr(width.saturating_sub(u32::from(self.bits))).unwrap_or(0);
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => top(u128::from(u32::from(a)), 32) == top(u128::from(u32::from(b)), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => top(u128::from(a), 128) == top(u128::from(b), 128),
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trusted proxy that is not recognised turns proofs into suspicions, and one too many lets anybody lie.
    #[test]
    fn networks_contain_what_they_say() {
        let n = |t: &str| Network::parse(t).expect(t);
        let a = |t: &str| t.parse::<IpAddr>().expect(t);
        assert!(n("10.0.0.0/8").contains(a("10.255.0.1")) && !n("10.0.0.0/8").contains(a("11.0.0.1")));
        assert!(n("0.0.0.0/0").contains(a("203.0.113.9")) && !n("0.0.0.0/0").contains(a("2001:db8::1")));
        assert!(n("192.0.2.7").contains(a("192.0.2.7")) && !n("192.0.2.7").contains(a("192.0.2.8")));
        assert!(n("192.0.2.0/24").contains(a("::ffff:192.0.2.9")));
        assert!(n("2001:db8::/32").contains(a("2001:db8:1::1")) && !n("2001:db8::/32").contains(a("2001:db9::1")));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "x", "::/129", "10.0.0.0/"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
