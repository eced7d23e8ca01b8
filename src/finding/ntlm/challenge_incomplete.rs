//! See the page below.

use std::net::IpAddr;

use crate::finding::shared::stops::Stops;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::auth::{AuthField, Ntlm, NtlmChallenge};
use crate::model::event::Handshake;
use crate::model::finding::{Basis, Evidence};
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// The server's CHALLENGE (Type 2) does not say whose it is: the names of the server and its domain are missing from
    /// it. The client stops there, and sends no AUTHENTICATE.
    ///
    /// ## What authtap saw
    /// A CHALLENGE without TargetInfo, or whose TargetInfo lacks the server's or its domain's NetBIOS name, and then no
    /// AUTHENTICATE for it until the handshake was given up. A client that answered such a challenge before is not
    /// reported.
    ///
    /// ## Why it breaks
    /// A server must put both names into TargetInfo (MsvAvNbComputerName and MsvAvNbDomainName). NTLMv2 computes its
    /// response over TargetInfo. Clients that are strict, or built on a library that expects the names, stop without a
    /// word. Windows always sends them; other makers of challenges (Java and Node.js filters, appliances, Samba without a
    /// domain) may not.
    ///
    /// ## Fix
    /// - Find out who made this challenge: `Server` of that response, and whether `Authorization` reaches IIS at all. If it is a module or an appliance in front, give it its NetBIOS names (Samba: `workgroup` and `netbios name` in `smb.conf`; an appliance: the page where it joins the domain), or a newer version.
    /// - IIS itself: the machine's NetBIOS name and domain (`nbtstat -n`, `systeminfo`); a broken domain join shows here (`Test-ComputerSecureChannel`).
    /// - Let the client use Kerberos, which has no such message.
    ///
    /// Afterwards `authtap decode` shows the NetBIOS names in the challenge, and an AUTHENTICATE follows.
    ///
    /// ## Not this when
    /// Browsers also leave a challenge unanswered when they open more connections than they need; then another of the same
    /// client's goes on, and nothing is reported. That the names are the reason is likely, not proved: the client does not
    /// say why it stops. With `NTLM` forbidden by policy a client most often does not even begin.
    ///
    /// ## References
    /// - MS-NLMP sections 2.2.1.2 (CHALLENGE_MESSAGE), 2.2.2.1 (AV_PAIR), 3.1.5.1.2
    slug: "challenge-incomplete",
    title: "An NTLM challenge lacks the server's names, and the client stops",
    severity: Medium,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm"],
    cause: Server,
    consequence_of: [],
    since: "0.1.0",
}

/// A challenge without names.
#[derive(Debug)]
struct Incomplete {
    client: IpAddr,
    lacks: &'static str,
    scheme: &'static str,
    server: Option<String>,
    evidence: Evidence,
}

/// Remembers each challenge without names until it is answered.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    stops: Stops<Incomplete>,
}

/// What a challenge lacks.
fn lacks(challenge: &NtlmChallenge) -> Option<&'static str> {
    let Some(info) = &challenge.target_info else { return Some("TargetInfo, and with it every name") };
    let has = |name: &Option<String>| name.as_ref().is_some_and(|n| !n.is_empty());
    match (has(&info.nb_computer_name), has(&info.nb_domain_name)) {
        (true, true) => None,
        (false, true) => Some("the server's NetBIOS name"),
        (true, false) => Some("the domain's NetBIOS name"),
        (false, false) => Some("the NetBIOS names of the server and its domain"),
    }
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.stops.len()
    }

    fn forgotten(&self) -> u64 {
        self.stops.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        self.stops.look(turn, view);
        let Some(challenge) = &turn.challenge else { return };
        let message = turn.exchange.challenges.iter().find_map(|c| match AuthField::ntlm(c) {
            Some(Ntlm::Challenge(message)) => Some(message),
            _ => None,
        });
        let Some(lacks) = message.and_then(lacks) else { return };
        self.stops.flawed(turn, view, || Incomplete {
            client: turn.party,
            lacks,
            scheme: challenge.scheme,
            server: turn.response_header("server").map(str::to_owned),
            evidence: Place::new(challenge.connection, Some(challenge.exchange), "CHALLENGE", challenge.at)
                .says(format!("a CHALLENGE that lacks {lacks}")),
        });
    }

    fn on_given_up(&mut self, handshake: &Handshake, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(stopped) = self.stops.given_up(handshake, at, view) else { return };
        let of = stopped.of;
        let server = of.server.map(|s| format!(" by `{s}`")).unwrap_or_default();
        let summary = format!(
            "The CHALLENGE{server} to {} lacks {}, and the client sent no AUTHENTICATE for it.",
            of.client, of.lacks
        );
        out.raise(at, Draft::new(Basis::Observed, summary, of.evidence).scheme(Some(of.scheme)));
    }
}
