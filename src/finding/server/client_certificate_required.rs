//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::refusal::Refusal;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::{Basis, Evidence};
use crate::model::page::PageAuthor;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// IIS wants a client certificate, and did not get one, or does not accept the one it got.
    ///
    /// ## What authtap saw
    /// `observed`: IIS's detailed error page with 403.7 (none came), 403.12 (not mapped to an account), 403.13 (revoked, or its
    /// revocation could not be checked), 403.16 (not trusted) or 403.17 (expired, or not yet valid). `inferred`: 413 from IIS over TLS to an upload of
    /// more than 48 KB; IIS reads that much before it asks for a certificate in the middle of a request.
    ///
    /// ## Why it breaks
    /// *SSL Settings* of the site or folder demand a certificate. A hop that ends TLS cannot hand on the client's: its
    /// private key stays with the client. **authtap is such a hop when it serves TLS**: while it is inserted, nobody's
    /// certificate reaches IIS.
    ///
    /// ## Fix
    /// - First: with TLS served by authtap, these refusals are its own doing. Take it out, or watch such a site from a place behind the logon.
    /// - 403.7: *site or folder > SSL Settings > Client certificates: Ignore* or *Accept* where none is needed.
    /// - 403.16: the issuing CA must be in the server's *Trusted Root Certification Authorities*, and only self-signed certificates may be there (KB 2802568).
    /// - 403.13: the server must reach the CRL or OCSP address in the certificate (`certutil -url CERT.cer`).
    /// - 413: raise `uploadReadAheadSize` (`appcmd set config "SITE" /section:serverRuntime /uploadReadAheadSize:10485760 /commit:apphost`), or negotiate the certificate at the start (`netsh http update sslcert … clientcertnegotiation=enable`).
    ///
    /// ## Not this when
    /// The page says 403.4 or 403.5 (TLS itself is missing or too weak), 403.6 (the address, `ip-restricted`), or the upload
    /// is larger than request filtering allows (404.13).
    ///
    /// ## References
    /// - KB 943891 (403.7, 403.12, 403.13, 403.16, 403.17); *serverRuntime* of the IIS configuration reference
    slug: "client-certificate-required",
    title: "IIS wants a client certificate that it does not get",
    severity: High,
    basis: Observed,
    schemes: [],
    cause: Server,
    consequence_of: ["client-certificate-not-relayed"],
    since: "0.1.0",
}

/// What IIS reads of a body before it asks for a certificate, unless configured (`uploadReadAheadSize`).
const READ_AHEAD: u64 = 49_152;

/// Tells once of each kind and path.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    told: Memory<(u16, u64), ()>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.told.len()
    }

    fn forgotten(&self) -> u64 {
        self.told.forgotten()
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let (basis, kind, how) = match (turn.status(), Refusal::of(turn)) {
            (403, Some(r)) => {
                let why = match r.pair().1 {
                    7 => "none came",
                    12 => "it is mapped to no account",
                    13 => "it is revoked, or that could not be checked",
                    16 => "it is not trusted",
                    17 => "it has expired, or is not yet valid",
                    _ => return,
                };
                (Basis::Observed, r.pair().1, format!("{why} ({})", r.says()))
            }
            (413, refusal) => {
                let page = turn.response().and_then(|r| r.page.as_ref()).map(|p| p.author);
                let iis = turn.response_header("server").is_some_and(|s| s.starts_with("Microsoft-"))
                    || matches!(page, Some(PageAuthor::HttpSys | PageAuthor::IisCustom | PageAuthor::IisDetailed));
                let tls = view.site.connection(turn.exchange.connection).is_some_and(|c| c.upstream_tls().is_some());
                let declared = turn.header("content-length").and_then(|l| l.trim().parse::<u64>().ok()).unwrap_or(0);
                let body = declared.max(turn.exchange.request_body);
                if refusal.is_some() || !iis || !tls || body <= READ_AHEAD {
                    return;
                }
                let how = format!(
                    "413 over TLS to an upload of {body} bytes: most likely it asks for a certificate after it has read its \
                     48 KB of the body"
                );
                (Basis::Inferred, 413, how)
            }
            _ => return,
        };
        let key = (kind, turn.path_hash());
        if !self.told.is_first(key, turn.at(), view) {
            return;
        }
        let connection = view.site.connection(turn.exchange.connection);
        // In packets, opened TLS is the client's own with the server.
        let ours = !view.settings.of_packets && connection.is_some_and(|c| c.tls().is_some());
        let whose = if ours {
            " authtap ends the clients' TLS here, so no client certificate can reach IIS while it is inserted."
        } else {
            ""
        };
        let asked = connection.and_then(|c| c.upstream_tls()).filter(|t| t.client_certificate_requested);
        // It was asked for in the handshake with authtap, which has none to give.
        let root =
            (asked.is_some() && kind == 7 && !view.settings.of_packets).then_some("client-certificate-not-relayed");
        out.raise(
            turn.at(),
            Draft::new(
                basis,
                format!(
                    "IIS wants a client certificate for {} on connection {}: {how}.{whose}",
                    turn.request_line(),
                    turn.exchange.connection
                ),
                Place::response(turn).says(format!("{} for want of a client certificate", turn.status())),
            )
            .and_if(asked.map(|_| asked_for(turn)))
            .because_if(root),
        );
    }
}

fn asked_for(turn: &Turn) -> Evidence {
    Place::new(turn.exchange.connection, None, "TLS", turn.exchange.times.request)
        .says("IIS asked for a client certificate in its TLS handshake")
}
