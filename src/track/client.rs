//! Which client a request's own fields name, and how far that can be believed.

use std::net::{IpAddr, SocketAddr};

use crate::model::http::{Header, Request};
use crate::model::network::Network;

/// The client that a request's own fields name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedClient {
    /// The field's name as sent.
    pub field: String,
    /// The address it gives.
    pub address: IpAddr,
    /// A trusted peer vouches for it: it is the last address that is not a trusted proxy's own. Otherwise it is the
    /// first one, which anybody may have written.
    pub trusted: bool,
}

/// The fields that name a client; those with a list of hops first.
const FIELDS: [&str; 5] = ["x-forwarded-for", "forwarded", "true-client-ip", "x-real-ip", "x-client-ip"];

/// The client that `request` names, as `peer` sent it.
pub fn named(request: &Request, peer: IpAddr, trusted: &[Network]) -> Option<NamedClient> {
    let trusts = |address: IpAddr| trusted.iter().any(|n| n.contains(address));
    let believed = trusts(peer);
    FIELDS.iter().find_map(|name| {
        let lines: Vec<&Header> = request.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name)).collect();
        let field = lines.first()?.name.clone();
        // Several lines are one list (RFC 9110 section 5.3).
        let hops = lines.iter().flat_map(|h| h.value.split(','));
        let hops: Vec<Option<IpAddr>> =
            if *name == "forwarded" { hops.map(forwarded_for).collect() } else { hops.map(address).collect() };
        let (address, trusted) = if believed {
            // From the end: each trusted proxy wrote down whom it got the request from. What stands before the first
            // address that is not a trusted proxy was written by somebody unknown.
            let last = hops.iter().rev().take_while(|h| h.is_some()).flatten().find(|h| !trusts(**h));
            (*last.or_else(|| hops.iter().flatten().next())?, last.is_some())
        } else {
            (*hops.iter().flatten().next()?, false)
        };
        Some(NamedClient { field, address: address.to_canonical(), trusted })
    })
}

/// An address, with or without a port; `None` for `unknown`, `_hidden` and the like (RFC 7239 section 6).
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

/// `for=` of one element (RFC 7239 section 4).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| address(value))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(fields: &[(&str, &str)], peer: &str, trusted: &[&str]) -> Option<(String, bool)> {
        let headers = fields.iter().map(|(n, v)| Header { name: (*n).to_owned(), value: (*v).to_owned() }).collect();
        let request = Request { headers, ..Request::default() };
        let trusted: Vec<Network> = trusted.iter().filter_map(|t| Network::parse(t)).collect();
        named(&request, peer.parse().expect("an address"), &trusted).map(|c| (c.address.to_string(), c.trusted))
    }

    /// A critical finding must not rest on what the client itself may write.
    #[test]
    fn only_what_a_trusted_proxy_wrote_is_believed() {
        let xff = |v| [("X-Forwarded-For", v)];
        let lb = ["192.0.2.0/24"];
        let says = |c: Option<(String, bool)>| c.map(|(a, t)| format!("{a} {t}"));
        assert_eq!(says(client(&xff("198.51.100.1"), "192.0.2.1", &lb)).as_deref(), Some("198.51.100.1 true"));
        assert_eq!(says(client(&xff("6.6.6.6, 198.51.100.1"), "192.0.2.1", &lb)).as_deref(), Some("198.51.100.1 true"));
        assert_eq!(
            says(client(&xff("198.51.100.1, 192.0.2.9"), "192.0.2.1", &lb)).as_deref(),
            Some("198.51.100.1 true"),
            "a second trusted proxy is passed over"
        );
        assert_eq!(says(client(&xff("198.51.100.1"), "203.0.113.1", &lb)).as_deref(), Some("198.51.100.1 false"));
        assert_eq!(
            says(client(&xff("198.51.100.1, unknown"), "192.0.2.1", &lb)).as_deref(),
            Some("198.51.100.1 false")
        );
        assert_eq!(client(&xff("_hidden"), "192.0.2.1", &lb), None);
    }

    /// One client in two spellings would look like two.
    #[test]
    fn addresses_are_compared_and_not_their_spelling() {
        let one = |v| client(&[("X-Forwarded-For", v)], "192.0.2.1", &[]).map(|c| c.0);
        assert_eq!(one("2001:db8:0:0::1"), one("[2001:db8::1]:4711"));
        assert_eq!(one("::ffff:198.51.100.7"), one("198.51.100.7:1234"));
        let forwarded = client(&[("Forwarded", "proto=https;for=\"[2001:db8::1]:1\", for=1.2.3.4")], "192.0.2.1", &[]);
        assert_eq!(forwarded.map(|c| c.0).as_deref(), Some("2001:db8::1"));
    }
}
