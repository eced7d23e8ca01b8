//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::refusal::Refusal;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::Basis;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// IIS refused the client's address: a deny list, or *Dynamic IP Restrictions* because too many requests came from it.
    ///
    /// ## What authtap saw
    /// IIS's detailed error page with 401.501 to 401.504, 403.501 to 403.504, or 403.6. Without a detailed page the substatus
    /// is in IIS's log only.
    ///
    /// ## Why it breaks
    /// IIS sees one address for everybody: that of the hop in front of it. While authtap is inserted, that is authtap's own.
    /// All users together then look like one client that asks too often (501: at the same time, 502: in a time), and a rule
    /// that allowed the users' addresses no longer fits.
    ///
    /// ## Fix
    /// - First see whether it began with authtap: IIS sees authtap's address now. Add it to *site > IP Address and Domain Restrictions > Add Allow Entry*, or take authtap out.
    /// - Dynamic rules: *IP Address and Domain Restrictions > Edit Dynamic Restriction Settings*; raise the limits, or set *Enable Proxy Mode*, which reads `X-Forwarded-For` of a load balancer that sends it.
    /// - A deny list: `appcmd list config "SITE" /section:system.webServer/security/ipSecurity`.
    ///
    /// ## Not this when
    /// The page says another substatus: 401.3 is a permission, 403.4 wants TLS, 403.7 a client certificate.
    ///
    /// ## References
    /// - KB 943891 (401.501 to 401.504, 403.6, 403.501 to 403.504); *ipSecurity* and *dynamicIpSecurity* of the IIS configuration reference
    slug: "ip-restricted",
    title: "IIS refuses the address that the requests come from",
    severity: High,
    basis: Observed,
    schemes: [],
    cause: Server,
    consequence_of: [],
    since: "0.1.0",
}

/// Tells once of each rule.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    told: Memory<(u16, u16), ()>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.told.len()
    }

    fn forgotten(&self) -> u64 {
        self.told.forgotten()
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(refusal) = Refusal::of(turn) else { return };
        let why = match refusal.pair() {
            (401 | 403, 501) => "too many requests at the same time",
            (401 | 403, 502) => "too many requests in a short time",
            (401 | 403, 503) | (403, 6) => "the address is on a deny list",
            (401 | 403, 504) => "the host name is on a deny list",
            _ => return,
        };
        if !self.told.is_first(refusal.pair(), turn.at(), view) {
            return;
        }
        let whose = if view.settings.of_packets {
            ""
        } else {
            " The address that IIS sees is authtap's, for all clients: this may be authtap's own doing."
        };
        out.raise(
            turn.at(),
            Draft::new(
                Basis::Observed,
                format!(
                    "IIS refused the address of {} on connection {}: {why} ({}).{whose}",
                    turn.request_line(),
                    turn.exchange.connection,
                    refusal.says(),
                ),
                Place::response(turn).says(refusal.says()),
            ),
        );
    }
}
