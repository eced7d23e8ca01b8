//! What a request and its line in a log have in common, as numbers: a capture's exchanges are looked up by them once a
//! line.

use std::hash::{DefaultHasher, Hasher as _};
use std::net::SocketAddr;

/// What is compared. `None` is what a log does not say, and then it is not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    /// sc-status.
    pub(super) status: u16,
    /// cs-method.
    pub(super) method: Option<u64>,
    /// cs-uri-stem.
    pub(super) path: Option<u64>,
    /// cs(User-Agent).
    pub(super) agent: Option<u64>,
    /// c-ip and c-port.
    pub(super) port: Option<u64>,
}

/// Which parts are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Mask(u8);

/// The parts in one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key(u64);

impl Parts {
    /// What is known.
    pub(super) fn mask(&self) -> Mask {
        let known = [self.method, self.path, self.agent, self.port].map(|part| u8::from(part.is_some()));
        Mask(known.into_iter().fold(0, |mask, bit| mask << 1 | bit))
    }

    /// The key under a mask.
    pub(super) fn key(&self, mask: Mask) -> Key {
        let mut hasher = DefaultHasher::new();
        hasher.write_u16(self.status);
        for (place, part) in [self.port, self.agent, self.path, self.method].into_iter().enumerate() {
            if mask.0 >> place & 1 == 1 {
                // What an exchange lacks is a value too: a line with a user agent is not one of a request without.
                hasher.write_u64(part.unwrap_or_default());
            }
        }
        Key(hasher.finish())
    }

    /// Whether the connection itself is compared.
    pub(super) const fn has_port(&self) -> bool {
        self.port.is_some()
    }
}

/// A method, as it is.
pub(super) fn method(text: &[u8]) -> u64 {
    hash(text.iter().copied())
}

/// A user agent: IIS writes `+` for a space and for what cannot be printed. What is not ASCII has passed through a code
/// page on one way and not on the other, so that only its place counts.
pub(super) fn agent(text: &[u8]) -> u64 {
    hash(printed(text.iter().copied()))
}

/// A path. Logs hold it with its percent-escapes or without.
pub(super) fn path(text: &[u8]) -> u64 {
    hash(printed(Decoded(text)))
}

/// The path of a request target, origin-form or absolute-form (RFC 9112 section 3.2).
pub(super) fn path_of_target(target: &str) -> &str {
    let target = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        _ => target,
    };
    target.split(['?', '#']).next().unwrap_or_default()
}

/// An address with its port.
pub(super) fn port(address: SocketAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    match address.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => hasher.write(&ip.octets()),
        std::net::IpAddr::V6(ip) => hasher.write(&ip.octets()),
    }
    hasher.write_u16(address.port());
    hasher.finish()
}

fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for byte in bytes {
        hasher.write_u8(byte);
    }
    hasher.finish()
}

/// Spaces and controls as `+`, and each run of what is not ASCII as one byte.
fn printed(bytes: impl Iterator<Item = u8>) -> impl Iterator<Item = u8> {
    let mut foreign = false;
    bytes.filter_map(move |byte| {
        let again = foreign && !byte.is_ascii();
        foreign = !byte.is_ascii();
        match byte {
            _ if again => None,
            0..=b' ' | 0x7F => Some(b'+'),
            0x80.. => Some(0xFF),
            _ => Some(byte),
        }
    })
}

/// Percent-decoding (RFC 3986 section 2.1); what is no escape stays.
struct Decoded<'a>(&'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let hex = |digit: u8| char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok());
        if let [b'%', high, low, rest @ ..] = self.0
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            self.0 = rest;
            return Some(high << 4 | low);
        }
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A browser's user agent has spaces, and IIS's has none: compared as they are, no line would ever fit.
    #[test]
    fn a_request_and_its_line_have_one_key() {
        assert_eq!(agent(b"Mozilla/5.0 (Windows NT 10.0)"), agent(b"Mozilla/5.0+(Windows+NT+10.0)"));
        assert_eq!(agent("Gerät/1".as_bytes()), agent(b"Ger\xE4t/1"));
        assert_ne!(agent(b"curl/8.5.0"), agent(b"curl/8.5.1"));
        for (wire, log) in [("/caf%C3%A9/a%20b", "/caf\u{e9}/a+b"), ("/a%zz", "/a%zz"), ("/100%", "/100%")] {
            assert_eq!(path(wire.as_bytes()), path(log.as_bytes()), "{wire}");
        }
        assert_eq!(path_of_target("http://iis.example.test/a/b?c=<1>"), "/a/b");
        assert_eq!(path_of_target("http://iis.example.test"), "/");
        assert_eq!(path_of_target("/a?u=http://x/y"), "/a");
        assert_eq!(path_of_target("*"), "*");
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:50000".parse().expect("an address");
        assert_eq!(port(mapped), port(([192, 0, 2, 1], 50_000).into()));
    }

    /// A log without user agents must still be compared by all that it has.
    #[test]
    fn what_a_log_does_not_say_is_not_compared() {
        let whole = Parts { status: 401, method: Some(1), path: Some(2), agent: Some(3), port: None };
        let less = Parts { agent: None, ..whole };
        assert_eq!(whole.key(less.mask()), less.key(less.mask()));
        assert_ne!(whole.key(whole.mask()), less.key(whole.mask()));
        let other = Parts { path: Some(9), ..whole };
        assert_ne!(other.key(less.mask()), less.key(less.mask()));
    }
}
