//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::subject::key;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::event::Start;
use crate::model::finding::Basis;
use crate::model::transport::Certificate;
use crate::track::connection::Connection;

finding! {
    /// ## What it is
    /// authtap shows its clients another certificate than the server's own. With Extended Protection on, the server
    /// will refuse every Windows logon that passes here, and authtap is the cause.
    ///
    /// ## What authtap saw
    /// Both certificates: the one it was started with, and the one that the server presents. Their
    /// `tls-server-end-point` hashes differ.
    ///
    /// ## Why it breaks
    /// With Extended Protection a client puts a hash of the certificate it sees into its logon (in NTLM as
    /// MsvAvChannelBindings, in Kerberos inside the encrypted authenticator). The server compares it with its own
    /// certificate's and answers 401 when they differ. Whether the site has Extended Protection on cannot be seen from
    /// here: with `tokenChecking` at `None`, its default, nothing is refused.
    ///
    /// ## Fix
    /// - Start authtap with the server's own certificate and key (`--tls-cert`, `--tls-key`): with the same certificate on both sides the hash fits, for NTLM and Kerberos.
    /// - Or see that the site does not check: *site > Authentication > Windows Authentication > Advanced Settings > Extended Protection: Off* (`appcmd list config "SITE" /section:windowsAuthentication`, attribute `extendedProtection.tokenChecking`).
    /// - Or forward TCP without TLS of authtap's own: it then sees the connections but not what is inside.
    ///
    /// ## Not this when
    /// The two hashes are the same, or one side is not TLS.
    ///
    /// ## References
    /// - RFC 5929 section 4; MS-NLMP section 2.2.2.1 (MsvAvChannelBindings)
    slug: "proxy-certificate-breaks-epa",
    title: "authtap's certificate is not the server's: Extended Protection would refuse every client",
    severity: High,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm", "kerberos"],
    cause: Authtap,
    consequence_of: [],
    since: "0.1.0",
}

/// Compares the certificates at start, and again when a connection shows another one.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    told: Memory<u64, ()>,
}

impl Detector {
    fn compare(
        &mut self,
        ours: Option<&Certificate>,
        theirs: Option<&Certificate>,
        at: Stamp,
        place: Place,
        view: &View<'_>,
        out: &mut Raise<'_>,
    ) {
        let (Some(ours), Some(theirs)) = (ours, theirs) else { return };
        if ours.end_point == theirs.end_point {
            return;
        }
        let pair = key((&ours.sha256, &theirs.sha256));
        if !self.told.is_first(pair, at, view) {
            return;
        }
        out.raise(
            at,
            Draft::new(
                Basis::Observed,
                format!(
                    "authtap shows clients the certificate of {} (SHA-256 {}…), but the server's is that of {} ({}…): \
                     if the site checks Extended Protection, authtap itself makes every Windows logon fail.",
                    ours.subject,
                    short(&ours.sha256),
                    theirs.subject,
                    short(&theirs.sha256)
                ),
                place.says(format!(
                    "tls-server-end-point towards clients {}, of the server {}",
                    ours.end_point, theirs.end_point
                )),
            ),
        );
    }
}

fn short(hex: &str) -> &str {
    hex.get(..16).unwrap_or(hex)
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.told.len()
    }

    fn forgotten(&self) -> u64 {
        self.told.forgotten()
    }

    fn on_start(&mut self, start: &Start, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        self.compare(start.certificate.as_ref(), start.upstream_certificate.as_ref(), at, Place::nowhere(), view, out);
    }

    fn on_open(&mut self, connection: &Connection, view: &View<'_>, out: &mut Raise<'_>) {
        let (Some(tls), Some(upstream)) = (connection.tls(), connection.upstream_tls()) else { return };
        let ours = tls.certificate.as_ref().or_else(|| view.site.start().and_then(|s| s.certificate.as_ref()));
        let theirs = upstream.certificate.as_ref();
        let place = Place::new(connection.id, None, "tls", connection.opened_at);
        self.compare(ours, theirs, connection.opened_at, place, view, out);
    }
}
