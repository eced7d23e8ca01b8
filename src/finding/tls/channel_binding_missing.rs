//! See the page below.

use crate::finding::memory::Memory;
use crate::finding::shared::binding::{Bindings, Bound, Case, reason, refusal};
use crate::finding::shared::scope::{application, key};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::finding::Basis;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// A client logged on by NTLM over TLS without saying to which certificate, and the server refused it. A site that
    /// requires Extended Protection refuses such a logon, however right the password is.
    ///
    /// ## What authtap saw
    /// A whole NTLM logon over TLS, answered by 401, whose MsvAvChannelBindings is absent or all zero; or an NTLMv1
    /// response, which has no place for one. What is missing is certain. That it is the reason is `observed` where IIS's
    /// page says so, `inferred` where the same user was accepted and no logon without a binding was, and otherwise only
    /// `suspected`: it is then told under the refused logon.
    ///
    /// ## Why it breaks
    /// It depends on the site's `tokenChecking`. All zero fails with *Allow* (*Accept*) and with *Require*: the client
    /// says that it saw no TLS. Absent passes with *Allow* and fails with *Require*: the client knows no bindings. NTLMv1
    /// cannot carry one and fails with *Require*. With *None*, the default, nothing is looked at.
    ///
    /// ## Fix
    /// - A client library without bindings: a version that has them, and its option (requests-ntlm and pywinrm: `send_cbt=True`). curl's own NTLM sends none: use Kerberos (`--negotiate`) with a current curl, or let the site accept it.
    /// - All zero from a Windows client: it spoke plain HTTP to somebody in front. When authtap itself listens without TLS in front of an `https` server, start it with the server's certificate and key (`--tls-cert`, `--tls-key`).
    /// - NTLMv1: see `ntlmv1-client`.
    /// - A site that must serve such clients: *IIS Manager > site > Authentication > Windows Authentication > Advanced Settings > Extended Protection: Accept*, or `appcmd set config "SITE" /section:windowsAuthentication /extendedProtection.tokenChecking:Allow /commit:apphost`. It helps clients that send none at all; those that send zeros need *Off*.
    /// - Or Kerberos; it has the same check, and authtap cannot see its binding.
    ///
    /// Afterwards the same user gets in with the same password.
    ///
    /// ## Not this when
    /// A logon without a binding was accepted in the same application: then none is required, and the refusal has another
    /// reason. A logon that is accepted is never reported.
    ///
    /// ## References
    /// - MS-NLMP section 2.2.2.1 (MsvAvChannelBindings); RFC 5929 section 4
    /// - IIS configuration reference: *extendedProtection*
    slug: "channel-binding-missing",
    title: "A refused logon over TLS carries no channel binding",
    severity: Medium,
    basis: Observed,
    schemes: ["ntlm", "negotiate-ntlm"],
    cause: Client,
    consequence_of: [],
    since: "0.1.0",
}

/// Looks at each refused NTLM logon over TLS.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    bindings: Bindings,
    /// Suspicions of one client in one application.
    suspected: Memory<u64, u64>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.bindings.entries() + self.suspected.len()
    }

    fn forgotten(&self) -> u64 {
        self.bindings.forgotten() + self.suspected.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        self.bindings.learn(turn, view);
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(case) = self.bindings.refused(turn, view) else { return };
        if !matches!(case.bound, Bound::Zero | Bound::Absent | Bound::Unable) {
            return;
        }
        let known_user = turn.user.as_ref().is_some_and(|u| view.site.was_accepted(u));
        let basis = match (case.page_says_so, known_user && case.known.fitting) {
            (true, _) => Basis::Observed,
            (_, true) => Basis::Inferred,
            _ => Basis::Suspected,
        };
        if basis != Basis::Suspected {
            out.raise_with(turn.at(), turn.exchange.connection, || draft(turn, &case, basis));
            return;
        }
        let subject = key((turn.party, turn.header("user-agent"), application(turn)));
        let count = self.suspected.entry(subject, turn.at(), view, || 0);
        *count += 1;
        if count.is_power_of_two() {
            out.raise(turn.at(), draft(turn, &case, basis));
        }
    }

    fn on_time(&mut self, now: Stamp, view: &View<'_>, _out: &mut Raise<'_>) {
        self.suspected.expire(now, view.settings.limits.challenge_memory);
    }
}

fn draft(turn: &Turn, case: &Case<'_>, basis: Basis) -> Draft {
    let e = &turn.exchange;
    let (what, when) = match case.bound {
        Bound::Zero if case.tap.is_none() => (
            "an all-zero channel binding, for authtap takes its connections without TLS while the server speaks TLS",
            "Extended Protection, where it is on, refuses that",
        ),
        Bound::Zero => ("an all-zero channel binding", "Extended Protection, where it is on, refuses that"),
        Bound::Absent => ("no channel binding", "Extended Protection refuses that where the site requires it"),
        _ => (
            "an NTLMv1 response, which cannot carry a channel binding",
            "Extended Protection refuses that where the site requires it",
        ),
    };
    let why = match basis {
        Basis::Observed => reason(case).to_owned(),
        Basis::Inferred => {
            format!("{when}, and the same user was accepted before, while nobody was without one")
        }
        Basis::Suspected => format!("{when}; it may as well be the password or a permission"),
    };
    let says = format!("AUTHENTICATE with {what}");
    // A mere suspicion explains nothing: it is told under the refused logon, and claims no exchange of it.
    let place = match basis {
        Basis::Suspected => Place::new(e.connection, None, "AUTHENTICATE", e.times.request_head),
        _ => Place::request(turn),
    };
    let draft = Draft::new(
        basis,
        format!(
            "The server refused {} from {} for {} on connection {}, which came over TLS with {what}: {why}.",
            turn.whose_logon(),
            turn.party,
            turn.request_line(),
            e.connection
        ),
        place.says(says),
    )
    .scheme(turn.scheme);
    match (basis, &case.bound) {
        (Basis::Suspected, Bound::Unable) => draft.because("ntlmv1-client"),
        (Basis::Suspected, _) => draft.because("credentials-rejected"),
        _ => draft.and(refusal(turn, case)),
    }
}
