//! See the page below.

use std::net::IpAddr;

use crate::finding::memory::Memory;
use crate::finding::shared::binding::{Bindings, Bound, describe, reason};
use crate::finding::{Detect, Draft, Raise, View};
use crate::model::Stamp;
use crate::model::event::Start;
use crate::track::connection::Connection;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The client bound its NTLM logon to a certificate that is neither authtap's nor the server's, and the server refused
    /// it. Somebody in front of authtap ends the client's TLS with a certificate of their own.
    ///
    /// ## What authtap saw
    /// A whole NTLMv2 logon over TLS, answered by 401. Its MsvAvChannelBindings is neither zero nor the value of any
    /// certificate that authtap shows or that the server has shown in this watch. The value is a hash: it does not tell
    /// whose certificate it is. Several clients with one value have a hop in common; a value that one client alone has
    /// speaks for something on or near that machine.
    ///
    /// ## Why it breaks
    /// The server compares the hash with its own certificate's (Extended Protection). A hop that ends TLS with another
    /// certificate makes every logon through it fail: a balancer, a TLS-inspecting proxy, an antivirus program. That the
    /// server compares at all is likely after the refusal, and certain only where IIS's page or log says so.
    ///
    /// ## Fix
    /// - Find the hop: look at the certificate that the client sees (in the browser's address bar, or `openssl s_client -connect HOST:443 -servername HOST`) and compare it with the server's (`netsh http show sslcert`, *IIS Manager > site > Bindings*).
    /// - A TLS-inspecting proxy or antivirus: exempt the site from inspection (*SSL/TLS inspection bypass*, *decryption exclusion*).
    /// - A balancer: the server's own certificate and key on it, or TLS passed through (HAProxy `mode tcp`, nginx `stream`, F5 without client SSL profile, NetScaler *SSL_BRIDGE*).
    /// - A client that computes the hash wrongly (seen in a version of .NET): a newer version of it.
    /// - Or let IIS not check: *site > Authentication > Windows Authentication > Advanced Settings > Extended Protection: Off*.
    ///
    /// Afterwards the logons carry the server's value, and this finding stays away.
    ///
    /// ## Not this when
    /// The value belongs to authtap's certificate, or to an older one of the server's (`channel-binding-mismatch`). When a
    /// logon with a binding that does not fit was accepted in the same application, the server does not check, and nothing
    /// is reported. Kerberos carries the hash encrypted: nothing can be said of it.
    ///
    /// ## References
    /// - RFC 5929 section 4; MS-NLMP section 2.2.2.1 (MsvAvChannelBindings)
    /// - IIS configuration reference: *extendedProtection*
    slug: "channel-binding-foreign",
    title: "The logon is bound to a certificate that nobody here shows",
    severity: High,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm"],
    cause: Intermediary,
    consequence_of: [],
    since: "0.1.0",
}

/// Who came with one value.
#[derive(Debug, Clone, Copy)]
struct Seen {
    first: IpAddr,
    several: bool,
}

/// Looks at each refused NTLM logon over TLS.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    bindings: Bindings,
    by_value: Memory<String, Seen>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.bindings.entries() + self.by_value.len()
    }

    fn forgotten(&self) -> u64 {
        self.bindings.forgotten() + self.by_value.forgotten()
    }

    fn on_start(&mut self, start: &Start, at: Stamp, view: &View<'_>, _out: &mut Raise<'_>) {
        self.bindings.shows(start.upstream_certificate.as_ref(), at, view);
    }

    fn on_open(&mut self, connection: &Connection, view: &View<'_>, _out: &mut Raise<'_>) {
        let certificate = connection.upstream_tls().and_then(|t| t.certificate.as_ref());
        self.bindings.shows(certificate, connection.opened_at, view);
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        self.bindings.learn(turn, view);
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(case) = self.bindings.refused(turn, view).filter(|c| c.bound == Bound::Foreign) else { return };
        let new = || Seen { first: turn.party, several: false };
        let seen = self.by_value.entry(case.value.to_owned(), turn.at(), view, new);
        seen.several |= seen.first != turn.party;
        let whose = if seen.several {
            "several clients came with the same value: a hop in front of authtap that they share ends their TLS"
        } else {
            "no other client came with this value: most likely something on that machine or near it (an inspecting \
             proxy, an antivirus program) ends its TLS, or a client that computes the hash wrongly"
        };
        let e = &turn.exchange;
        out.raise_with(turn.at(), e.connection, || {
            let via = view.site.connection(e.connection).and_then(Connection::via);
            let via = via.map(|v| format!(" (its requests carry `Via: {v}`)")).unwrap_or_default();
            // In packets there is one TLS session, and one certificate.
            let whose_else = if view.settings.of_packets {
                "not the server's".to_owned()
            } else {
                let ours = case.tap.map_or_else(|| "no TLS".to_owned(), describe);
                format!("neither authtap's ({ours}) nor the server's")
            };
            Draft::new(
                case.basis(),
                format!(
                    "The server refused {} from {} on connection {}, {}: it is bound to a certificate that is \
                     {whose_else} ({}); {whose}{via}.",
                    turn.whose_logon(),
                    turn.party,
                    e.connection,
                    reason(&case),
                    describe(case.server),
                ),
                case.place(turn).says(format!("MsvAvChannelBindings {}: of no certificate seen here", case.value)),
            )
            .scheme(turn.scheme)
            .and_if(case.refusal(turn))
        });
    }
}
