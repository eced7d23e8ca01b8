//! See the page below.

use crate::finding::shared::binding::{Bindings, Bound, describe, reason};
use crate::finding::{Detect, Draft, Raise, View};
use crate::model::Stamp;
use crate::model::event::Start;
use crate::model::transport::Tls;
use crate::track::connection::Connection;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The client bound its NTLM logon to another certificate than the one that the server serves, and the server refused
    /// it. With Extended Protection on, every Windows logon on this way is refused, however right the password is.
    ///
    /// ## What authtap saw
    /// A whole NTLMv2 logon over TLS, answered by 401. Its MsvAvChannelBindings is the value of the certificate that
    /// authtap shows, or of one that the server showed before or on another connection; it is not that of the certificate
    /// which the server showed on this connection. That the values differ is certain. That the server looks at them is
    /// likely: it is certain only where IIS's page or log says so.
    ///
    /// ## Why it breaks
    /// With Extended Protection a client puts a hash of the certificate it sees into its logon, and the server compares it
    /// with its own certificate's (`tls-server-end-point`). Another certificate on the way, or a renewed one on one side
    /// only, makes them differ, and the answer is a 401; the server's Security log has event 4625 (its status was seen as
    /// 0xC000035B for Kerberos on Server 2022; what IIS's own log says is not verified). With
    /// `tokenChecking` at `None`, the default, nothing is compared. Kerberos carries the same hash, but encrypted: what
    /// holds for NTLM here holds for Kerberos clients on the same way, and authtap cannot see it.
    ///
    /// ## Fix
    /// - When the summary names authtap's certificate: start authtap with the server's own certificate and key (`--tls-cert`, `--tls-key`).
    /// - The same on a balancer in front (HAProxy `bind … ssl crt`, nginx `ssl_certificate`, F5 *Client SSL profile*, NetScaler *SSL > Certificates* bound to the virtual server): it must show the certificate that IIS shows, or pass TLS through (HAProxy `mode tcp`, nginx `stream`). TLS offloading to plain HTTP cannot be mended this way.
    /// - A certificate that was renewed: install it on every node and on every hop (*IIS Manager > site > Bindings > https > Edit*; `netsh http show sslcert`).
    /// - Or let IIS not check: *IIS Manager > site > Authentication > Windows Authentication > Advanced Settings > Extended Protection: Off*, or `appcmd set config "SITE" /section:windowsAuthentication /extendedProtection.tokenChecking:None /commit:apphost`. That gives up the protection against relayed logons.
    ///
    /// Afterwards the same user gets in with the same password.
    ///
    /// ## Not this when
    /// The server accepted a logon whose binding does not fit in the same application: then it does not check, and nothing
    /// is reported. A binding to a certificate that authtap has never seen is `channel-binding-foreign`; none at all is
    /// `channel-binding-missing`. If what authtap dials is itself a hop, the server's certificate is that hop's, and what
    /// happens behind it cannot be seen from here.
    ///
    /// ## References
    /// - RFC 5929 section 4; MS-NLMP section 2.2.2.1 (MsvAvChannelBindings)
    /// - IIS configuration reference: *extendedProtection*
    slug: "channel-binding-mismatch",
    title: "The logon is bound to another certificate than the server's",
    severity: Critical,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm"],
    cause: Intermediary,
    consequence_of: ["proxy-certificate-breaks-epa"],
    since: "0.1.0",
}

/// Looks at each refused NTLM logon over TLS.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    bindings: Bindings,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.bindings.entries()
    }

    fn forgotten(&self) -> u64 {
        self.bindings.forgotten()
    }

    fn on_start(&mut self, start: &Start, at: Stamp, view: &View<'_>, _out: &mut Raise<'_>) {
        self.bindings.shows(start.upstream_certificate.as_ref(), at, view);
    }

    fn on_open(&mut self, connection: &Connection, view: &View<'_>, _out: &mut Raise<'_>) {
        let certificate = connection.upstream_tls().and_then(|t: &Tls| t.certificate.as_ref());
        self.bindings.shows(certificate, connection.opened_at, view);
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        self.bindings.learn(turn, view);
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(case) = self.bindings.refused(turn, view) else { return };
        let e = &turn.exchange;
        let server = describe(case.server);
        let (whose, sign) = match (&case.bound, case.tap) {
            (Bound::Tap, Some(tap)) => (
                format!("authtap's own certificate, {} (so authtap is the likely cause)", describe(tap)),
                "bound to authtap's certificate",
            ),
            (Bound::Other(subject), _) => (
                format!("a certificate that the server showed before or on another connection ({subject})"),
                "bound to another certificate of the server's",
            ),
            _ => return,
        };
        out.raise_with(turn.at(), e.connection, || {
            let draft = Draft::new(
                case.basis(),
                format!(
                    "The server refused {} from {} on connection {}, {}: it is bound to {whose}, and not to the \
                     server's, {server}.",
                    turn.whose_logon(),
                    turn.party,
                    e.connection,
                    reason(&case)
                ),
                case.place(turn).says(format!("MsvAvChannelBindings {}: {sign}, not to {server}", case.value)),
            )
            .scheme(turn.scheme)
            .and_if(case.refusal(turn));
            // authtap blames itself first.
            let own = case.bound == Bound::Tap && !case.doubtful;
            if own { draft.because("proxy-certificate-breaks-epa") } else { draft }
        });
    }
}
