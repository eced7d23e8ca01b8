//! See the page below.

use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::event::Start;
use crate::model::finding::Basis;
use crate::track::connection::Connection;

finding! {
    /// ## What it is
    /// authtap was told to offer HTTP/1.1 only, while clients and the server both speak HTTP/2. Without authtap they
    /// would use it, so what goes wrong there cannot be seen now.
    ///
    /// ## What authtap saw
    /// `--alpn http1` (or the key `alpn` of the site); at start, a server that chose HTTP/2 when it was offered; and a
    /// client that offered HTTP/2 in its TLS handshake.
    ///
    /// ## Why it breaks
    /// It breaks nothing. Windows authentication does not work over HTTP/2, and a client that does not fall back to
    /// HTTP/1.1 fails only where HTTP/2 is offered: with authtap in this mode it logs on.
    ///
    /// ## Fix
    /// - Start authtap without `--alpn http1`: then client and server agree as they would without it.
    /// - When logons work through authtap like this and fail without it, HTTP/2 is the cause: see `windows-auth-over-http2`.
    ///
    /// ## Not this when
    /// The server does not speak HTTP/2, or no client offers it.
    ///
    /// ## References
    /// - RFC 7301 (ALPN); RFC 9113 section 3.2
    slug: "proxy-hides-http2",
    title: "authtap keeps clients and the server from HTTP/2",
    severity: Info,
    basis: Observed,
    schemes: [],
    cause: Authtap,
    consequence_of: [],
    since: "0.1.0",
}

/// Remembers from the start whether a site is kept from HTTP/2.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    hidden: bool,
}

impl Detect for Detector {
    fn on_start(&mut self, start: &Start, _at: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        // With several sites the URL stands before: the same of both checks is the same site.
        let sites = |name: &'static str, value: &'static str| {
            let checks = start.self_checks.iter().filter(move |(check, _)| check == name);
            checks.filter_map(move |(_, found)| found.strip_suffix(value))
        };
        self.hidden = sites("alpn", "http1").any(|told| sites("upstream-alpn", "h2").any(|speaks| speaks == told));
    }

    fn on_open(&mut self, connection: &Connection, _view: &View<'_>, out: &mut Raise<'_>) {
        let Some(tls) = connection.tls().filter(|_| self.hidden) else { return };
        if !tls.alpn_offered.iter().any(|p| p == "h2") || tls.alpn_chosen.as_deref() == Some("h2") {
            return;
        }
        self.hidden = false;
        let place = Place::new(connection.id, None, "tls", connection.opened_at);
        out.raise(
            connection.opened_at,
            Draft::new(
                Basis::Observed,
                format!(
                    "The client {} offered HTTP/2 on connection {} and the server speaks it, but authtap was told to \
                     offer HTTP/1.1 only: what goes wrong over HTTP/2 does not show here.",
                    connection.client_ip(),
                    connection.id
                ),
                place.says(format!("the client offered {}", tls.alpn_offered.join(", "))),
            ),
        );
    }
}
