//! See the page below.

use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::event::Start;
use crate::model::finding::Basis;
use crate::track::connection::Connection;

finding! {
    /// ## What it is
    /// The server asks for a client certificate, and authtap ends TLS: the certificate of the client's browser or smart
    /// card stays with authtap, and the server gets none. Whoever logs on by certificate cannot do so while authtap
    /// stands there, and authtap is the cause.
    ///
    /// ## What authtap saw
    /// A CertificateRequest of the server in a TLS handshake: in the one that authtap makes at start, or in that of a
    /// client's connection. authtap answers it with an empty list, as a client without a certificate does. A server that
    /// asks later, for single paths (TLS 1.2 renegotiation, TLS 1.3 post-handshake authentication), is not seen.
    ///
    /// ## Why it breaks
    /// A client proves by signing the handshake that it holds the certificate's key (RFC 8446 section 4.4.3). That
    /// handshake is the one with authtap; nobody can sign the other one, between authtap and the server, for it. A site
    /// that requires certificates answers 403.7 or ends the handshake; one that accepts them maps no user and asks for
    /// another logon.
    ///
    /// ## Fix
    /// - See who needs it: *site > SSL Settings > Client certificates*, and `netsh http show sslcert` (`Negotiate Client Certificate`) for the binding. Where it is at `Accept` and nobody has a certificate, nothing breaks.
    /// - For a site that needs certificates, do not end TLS at authtap: forward TCP, and take authtap out of the way of those users.
    /// - Or watch behind what ends TLS today: a load balancer that checks the certificate and passes it on in a header.
    ///
    /// ## Not this when
    /// The server does not ask in its handshakes, or authtap forwards without TLS.
    ///
    /// ## References
    /// - RFC 8446 section 4.3.2 (Certificate Request), section 4.4.2.4; RFC 5246 section 7.4.4
    slug: "client-certificate-not-relayed",
    title: "The server asks for a client certificate, which cannot pass authtap",
    severity: High,
    basis: Observed,
    schemes: [],
    cause: Authtap,
    consequence_of: [],
    since: "0.1.0",
}

/// Looks at the handshakes with the server until one asks.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    told: bool,
}

impl Detector {
    fn tell(&mut self, at: Stamp, place: Place, out: &mut Raise<'_>) {
        self.told = true;
        let draft = Draft::new(
            Basis::Observed,
            "The server asks for a client certificate in its TLS handshake, and authtap, which ends TLS, has none to \
             give: whoever logs on by certificate is refused or asked for another logon while authtap stands there.",
            place.says("CertificateRequest from the server; authtap answered without a certificate"),
        );
        out.raise(at, draft);
    }
}

impl Detect for Detector {
    fn on_start(&mut self, start: &Start, at: Stamp, _view: &View<'_>, out: &mut Raise<'_>) {
        if !self.told && start.self_checks.iter().any(|(name, _)| name == Start::ASKED) {
            self.tell(at, Place::nowhere(), out);
        }
    }

    fn on_open(&mut self, connection: &Connection, view: &View<'_>, out: &mut Raise<'_>) {
        // In packets it was the client that was asked, and nobody ends its TLS.
        if !self.told
            && !view.settings.of_packets
            && connection.upstream_tls().is_some_and(|tls| tls.client_certificate_requested)
        {
            let place = Place::new(connection.id, None, "tls", connection.opened_at);
            self.tell(connection.opened_at, place, out);
        }
    }
}
