//! See the page below.

use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// Clients reach authtap under another name or port than the server believes to have, and the server sends them to
    /// its own: past authtap.
    ///
    /// ## What authtap saw
    /// A redirect whose `Location` has another authority than the `Host` of its request: the same name with the
    /// server's own port (observed), or the very name that authtap was given as upstream (inferred, because that name
    /// may lead clients to authtap as well). authtap changes neither field; at start it says, as a self-check, when its
    /// port is not the server's.
    ///
    /// ## Why it breaks
    /// `Host` is what the client's URL says. When clients are sent to a port of authtap's own, they name that port; a
    /// server that builds redirects from its own port leads them around authtap, so that the rest of their logon is not
    /// seen, or fails where that port is closed to them. Cookies, SPNs that hold a port and bindings with a host name can
    /// depend on the same difference.
    ///
    /// ## Fix
    /// - Let authtap take over the site's name and port, and bind the site to another port or address for the hour (*site > Bindings*): clients then notice nothing.
    /// - Or keep the port and correct what builds the redirect: the application's base URL, a URL Rewrite rule (*site > URL Rewrite*), or forwarded headers that it trusts.
    /// - For one test client: map the site's name to authtap's address in its hosts file, and use the site's own port.
    ///
    /// ## Not this when
    /// The redirect leads to another service on purpose (a logon page of another host, http to https): then its
    /// authority is neither the client's name with the server's port nor the upstream. Or `Host` has a port that is not
    /// authtap's: then a hop in front has it, and the same redirect comes without authtap.
    ///
    /// ## References
    /// - RFC 9110 section 7.2 (Host), section 10.2.2 (Location)
    slug: "proxy-changes-host",
    title: "Clients reach authtap under another name or port than the server's, and are sent past it",
    severity: Low,
    basis: Observed,
    schemes: [],
    cause: Authtap,
    consequence_of: [],
    since: "0.1.0",
}

/// Looks at redirects until one leads past authtap.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    told: bool,
}

impl Detect for Detector {
    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if self.told || !matches!(turn.status(), 301 | 302 | 303 | 307 | 308) {
            return;
        }
        let (Some(host), Some(location)) = (turn.header("host"), turn.response_header("location")) else { return };
        let Some(connection) = view.site.connection(turn.exchange.connection) else { return };
        let Some(to) = Authority::of_url(location) else { return };
        let Some(asked) = Authority::of_host(host, connection.tls().is_some()) else { return };
        let server_tls = connection.upstream_tls().is_some();
        if to.is(&asked) || Some(to.port) != connection.upstream_port() || to.tls != server_tls {
            return;
        }
        let Some(start) = view.site.start() else { return };
        let ours = start.listen.iter().any(|address| address.port() == asked.port);
        let basis = if to.name.eq_ignore_ascii_case(asked.name) {
            // A port that is neither's is that of a hop in front, which authtap's place did not change.
            if !ours {
                return;
            }
            Basis::Observed
        } else if start.upstream.iter().any(|url| Authority::of_url(url).is_some_and(|up| up.is(&to))) {
            Basis::Inferred
        } else {
            return;
        };
        self.told = true;
        let draft = Draft::new(
            basis,
            format!(
                "The client at {} asked for {} at {host}, and the server sent it to {}: its own {}, past authtap.",
                turn.peer,
                turn.path(),
                to.text(),
                if basis == Basis::Observed { "port" } else { "name" }
            ),
            Place::response(turn).says(format!("{} to {location}", turn.status())),
        );
        out.raise(turn.at(), draft.and(Place::request(turn).says(format!("Host: {host}"))));
    }
}

/// Where a URL or a `Host` leads.
#[derive(Debug, PartialEq, Eq)]
struct Authority<'a> {
    tls: bool,
    name: &'a str,
    port: u16,
}

impl<'a> Authority<'a> {
    /// Of an absolute URL.
    fn of_url(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let tls = scheme.eq_ignore_ascii_case("https");
        if !tls && !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        Self::of_host(rest.split(['/', '?', '#', '\\']).next()?, tls)
    }

    /// Of a `Host` field.
    fn of_host(host: &'a str, tls: bool) -> Option<Self> {
        let usual = if tls { 443 } else { 80 };
        // The colons of an IPv6 address are inside brackets.
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()?),
            _ => (host, usual),
        };
        (!name.is_empty()).then_some(Self { tls, name, port })
    }

    fn is(&self, other: &Self) -> bool {
        self.tls == other.tls && self.port == other.port && self.name.eq_ignore_ascii_case(other.name)
    }

    fn text(&self) -> String {
        format!("{}://{}:{}", if self.tls { "https" } else { "http" }, self.name, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::Authority;

    /// A port that is read wrong would accuse every redirect of a site, or none.
    #[test]
    fn authorities_are_read_as_urls_have_them() {
        let read = |url| Authority::of_url(url).map(|a| (a.tls, a.name, a.port));
        assert_eq!(read("http://app.example.test/x?y=<3 bytes>"), Some((false, "app.example.test", 80)));
        assert_eq!(read("HTTPS://app.example.test:8443"), Some((true, "app.example.test", 8443)));
        assert_eq!(read("http://[2001:db8::1]/"), Some((false, "[2001:db8::1]", 80)));
        assert_eq!(read("http://[2001:db8::1]:81/"), Some((false, "[2001:db8::1]", 81)));
        for none in ["/app", "//app.example.test/", "ftp://app.example.test/", "http://", "http://a:b/"] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
