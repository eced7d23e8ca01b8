//! Which part of a site a request is for: settings of Windows authentication are made per site and application.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::track::turn::Turn;

pub(in crate::finding) use super::subject::key;

/// A part of a [`key`] whose case does not matter (ASCII).
#[derive(Debug, Clone, Copy)]
pub(in crate::finding) struct AnyCase<'a>(pub(in crate::finding) &'a str);

impl Hash for AnyCase<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut lower = [0; 64];
        for part in self.0.as_bytes().chunks(lower.len()) {
            if let Some(lower) = lower.get_mut(..part.len()) {
                lower.copy_from_slice(part);
                lower.make_ascii_lowercase();
                state.write(lower);
            }
        }
        state.write_u8(0xff);
    }
}

/// The application that a request is for, as far as the wire tells: its host and the first segment of its path.
pub(in crate::finding) fn application(turn: &Turn) -> u64 {
    let first = turn.path().split('/').find(|s| !s.is_empty()).unwrap_or_default();
    key((AnyCase(name_of(turn).unwrap_or_default()), AnyCase(first)))
}

/// The host that a request is for.
pub(in crate::finding) fn host(turn: &Turn) -> u64 {
    key(AnyCase(name_of(turn).unwrap_or_default()))
}

/// The name in `Host`.
pub(in crate::finding) fn name_of(turn: &Turn) -> Option<&str> {
    turn.header("host").map(without_port).filter(|name| !name.is_empty())
}

/// A host without its port, an IPv6 address without its brackets, a name without its last dot.
pub(in crate::finding) fn without_port(host: &str) -> &str {
    let host = host.trim();
    if let Some((inside, _)) = host.strip_prefix('[').and_then(|h| h.split_once(']')) {
        return inside;
    }
    let name = match host.split_once(':') {
        // More than one colon is an IPv6 address without brackets.
        Some((name, port)) if !port.contains(':') => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

/// Whether a host is an address and no name.
pub(in crate::finding) fn is_address(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

/// Whether two names may be one host's: equal in any case, or the short form of one another.
pub(in crate::finding) fn one_host(a: &str, b: &str) -> bool {
    let short_of = |short: &str, long: &str| {
        !short.contains('.') && long.split('.').next().is_some_and(|first| first.eq_ignore_ascii_case(short))
    };
    a.eq_ignore_ascii_case(b) || (!is_address(a) && !is_address(b) && (short_of(a, b) || short_of(b, a)))
}

/// The host in a service principal name: `HTTP/app.example.test:8080` or `HTTP/app.example.test@EXAMPLE.TEST`.
pub(in crate::finding) fn host_of_spn(spn: &str) -> Option<&str> {
    let rest = spn.split('/').nth(1)?;
    let host = without_port(rest.split('@').next().unwrap_or(rest));
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that only looks different would be told as a wrong one.
    #[test]
    fn names_are_compared_without_what_does_not_matter() {
        assert_eq!(without_port("app.example.test:8080"), "app.example.test");
        assert_eq!(without_port("[2001:db8::1]:443"), "2001:db8::1");
        assert_eq!(without_port("2001:db8::1"), "2001:db8::1");
        assert_eq!(without_port("app.example.test."), "app.example.test");
        assert_eq!(host_of_spn("HTTP/App.example.test:8080"), Some("App.example.test"));
        assert_eq!(host_of_spn("HTTP/app.example.test@EXAMPLE.TEST"), Some("app.example.test"));
        assert_eq!(host_of_spn("svc-app"), None);
        assert!(one_host("APP", "app.example.test") && one_host("app.example.test", "App.Example.Test"));
        assert!(!one_host("app.example.test", "app.corp.example.test"));
        assert!(!one_host("192", "192.0.2.1"));
    }
}
