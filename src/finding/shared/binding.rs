//! What NTLM logons bound themselves to, and what the accepted ones say of Extended Protection.
//!
//! A binding that does not fit is no defect in itself: a server whose `tokenChecking` is `None` never looks. So a
//! verdict is given of refused logons alone, and none where a logon that should have failed was accepted.

use super::refusal::{Refusal, may_be_credentials};
use super::scope::{application, host};
use crate::finding::{Place, View, memory::Memory};
use crate::model::auth::NtlmResponse;
use crate::model::finding::{Basis, Evidence};
use crate::model::transport::{Certificate, Tls};
use crate::token::channel_binding::{Binding, of_authenticate};
use crate::track::connection::Connection;
use crate::track::handshake::Event;
use crate::track::turn::Turn;

/// SEC_E_BAD_BINDINGS.
const BAD_BINDINGS: u32 = 0x8009_0346;

/// What a logon bound itself to, when it does not fit the server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::finding) enum Bound {
    /// authtap's certificate.
    Tap,
    /// A certificate that the server showed before, or on another connection; its subject.
    Other(String),
    /// A certificate that was never seen.
    Foreign,
    /// Sixteen zero bytes.
    Zero,
    /// No such AV pair.
    Absent,
    /// NTLMv1 or LM: there is no place for one.
    Unable,
}

/// What the accepted logons of one application say.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::finding) struct Known {
    /// One whose binding fits was accepted.
    pub(in crate::finding) fitting: bool,
    /// One whose binding is wrong or zero was accepted: nothing is checked.
    off: bool,
    /// One without a binding was accepted: none is required.
    without: bool,
    /// One whose binding is wrong or zero was accepted in another application of the host, or in this one.
    off_on_host: bool,
}

/// A refused logon whose binding does not fit.
#[derive(Debug)]
pub(in crate::finding) struct Case<'a> {
    /// To what it is bound.
    pub(in crate::finding) bound: Bound,
    /// The value, where there is one.
    pub(in crate::finding) value: &'a str,
    /// What is known of its application.
    pub(in crate::finding) known: Known,
    /// authtap's certificate, where it ends the client's TLS.
    pub(in crate::finding) tap: Option<&'a Certificate>,
    /// The server's.
    pub(in crate::finding) server: &'a Certificate,
    /// IIS's page names the binding as the reason.
    pub(in crate::finding) page_says_so: bool,
    /// It may as well be a permission: the user was accepted before, where nobody looks at bindings.
    pub(in crate::finding) doubtful: bool,
}

impl Case<'_> {
    /// `Observed`, or `Suspected` when it is [`doubtful`](Self::doubtful).
    pub(in crate::finding) const fn basis(&self) -> Basis {
        if self.doubtful { Basis::Suspected } else { Basis::Observed }
    }

    /// The AUTHENTICATE's place. A doubtful case explains nothing, and claims no exchange.
    pub(in crate::finding) fn place(&self, turn: &Turn) -> Place {
        let e = &turn.exchange;
        if self.doubtful {
            Place::new(e.connection, None, "AUTHENTICATE", e.times.request_head)
        } else {
            Place::request(turn)
        }
    }

    /// The server's half of the evidence.
    pub(in crate::finding) fn refusal(&self, turn: &Turn) -> Option<Evidence> {
        (!self.doubtful).then(|| refusal(turn, self))
    }
}

/// Watches all NTLM logons over TLS.
#[derive(Debug, Default)]
pub(in crate::finding) struct Bindings {
    /// The server's certificates, by the values that bind to them; their subjects.
    shown: Memory<String, String>,
    applications: Memory<u64, Known>,
}

impl Bindings {
    /// How much is remembered.
    pub(in crate::finding) fn entries(&self) -> usize {
        self.shown.len() + self.applications.len()
    }

    /// How much was pushed out.
    pub(in crate::finding) const fn forgotten(&self) -> u64 {
        self.shown.forgotten() + self.applications.forgotten()
    }

    /// Remembers a certificate of the server's.
    pub(in crate::finding) fn shows(
        &mut self,
        certificate: Option<&Certificate>,
        at: crate::model::Stamp,
        view: &View<'_>,
    ) {
        let Some(certificate) = certificate else { return };
        for value in &certificate.channel_bindings {
            if self.shown.get(value).is_none() {
                self.shown.entry(value.clone(), at, view, || certificate.subject.clone());
            }
        }
    }

    /// Learns from an accepted logon.
    pub(in crate::finding) fn learn(&mut self, turn: &Turn, view: &View<'_>) {
        if turn.request != Event::Authenticate || !matches!(turn.answer, Event::Accepted | Event::AcceptedOnce) {
            return;
        }
        let Some((bound, ..)) = self.bound(turn, view) else { return };
        let known = self.applications.entry(application(turn), turn.at(), view, Known::default);
        match bound {
            None => known.fitting = true,
            Some(Bound::Absent | Bound::Unable) => known.without = true,
            Some(_) => {
                known.off = true;
                self.applications.entry(host(turn), turn.at(), view, Known::default).off_on_host = true;
            }
        }
    }

    /// A refused logon whose binding may be the reason.
    pub(in crate::finding) fn refused<'a>(&self, turn: &'a Turn, view: &View<'a>) -> Option<Case<'a>> {
        if turn.request != Event::Authenticate || turn.answer != Event::Refused || !turn.came_whole() {
            return None;
        }
        if !may_be_credentials(turn) {
            return None;
        }
        let (bound, tap, server) = self.bound(turn, view)?;
        let bound = bound?;
        let mut known = self.applications.get(&application(turn)).copied().unwrap_or_default();
        known.off_on_host = self.applications.get(&host(turn)).is_some_and(|h| h.off_on_host);
        if known.off || (known.without && matches!(bound, Bound::Absent | Bound::Unable)) {
            return None;
        }
        let value = turn.authenticate()?.target_info.as_ref().and_then(|i| i.channel_binding.as_deref());
        let page_says_so = Refusal::of(turn).is_some_and(|page| page.is_code(BAD_BINDINGS));
        // Who got in elsewhere on the host with a binding that is looked at nowhere there may lack a permission here.
        let known_user = turn.user.as_ref().is_some_and(|u| view.site.was_accepted(u));
        let doubtful = known.off_on_host && known_user && !page_says_so;
        Some(Case { bound, value: value.unwrap_or_default(), known, tap, server, page_says_so, doubtful })
    }

    /// What a turn's logon is bound to (`None`: to the server's certificate), and the certificates of both sides. `None`
    /// when there is nothing to compare: the server speaks no TLS, or its certificate is not known.
    fn bound<'a>(
        &self,
        turn: &Turn,
        view: &View<'a>,
    ) -> Option<(Option<Bound>, Option<&'a Certificate>, &'a Certificate)> {
        let connection: &Connection = view.site.connection(turn.exchange.connection)?;
        let start = view.site.start();
        let of = |tls: &'a Tls, asked: Option<&'a Certificate>| tls.certificate.as_ref().or(asked);
        let server = of(connection.upstream_tls()?, start.and_then(|s| s.upstream_certificate.as_ref()))?;
        if server.channel_bindings.is_empty() {
            return None;
        }
        let tap = connection.tls().and_then(|tls| of(tls, start.and_then(|s| s.certificate.as_ref())));
        let message = turn.authenticate()?;
        let binding = of_authenticate(message, tap.map_or(&[], |c| &c.channel_bindings), &server.channel_bindings);
        let bound = match binding {
            Some(Binding::ToServer | Binding::ToBoth) => None,
            Some(Binding::ToTap) => Some(Bound::Tap),
            Some(Binding::Zero) => Some(Bound::Zero),
            Some(Binding::Absent) => Some(Bound::Absent),
            Some(Binding::Foreign) => {
                let value = message.target_info.as_ref().and_then(|i| i.channel_binding.as_deref()).unwrap_or_default();
                Some(self.shown.get(value).map_or(Bound::Foreign, |subject| Bound::Other(subject.clone())))
            }
            None if matches!(message.response, NtlmResponse::V1 | NtlmResponse::V1Ess | NtlmResponse::Lm) => {
                Some(Bound::Unable)
            }
            None => return None,
        };
        Some((bound, tap, server))
    }
}

/// `CN=app.example.test (SHA-256 0123456789abcdef…)`.
pub(in crate::finding) fn describe(certificate: &Certificate) -> String {
    let hash = &certificate.sha256;
    format!("{} (SHA-256 {}…)", certificate.subject, hash.get(..16).unwrap_or(hash))
}

/// The server's half of the evidence.
pub(in crate::finding) fn refusal(turn: &Turn, case: &Case<'_>) -> Evidence {
    Place::response(turn).says(if case.page_says_so {
        "401, and IIS's detailed page names SEC_E_BAD_BINDINGS (0x80090346)"
    } else {
        "401 with bare schemes: the server refused the whole logon"
    })
}

/// What the refusal proves: the server's own word, or only that it fits.
pub(in crate::finding) fn reason(case: &Case<'_>) -> &'static str {
    if case.doubtful {
        "which may be Extended Protection of this application alone, or a permission: the same user was accepted \
         before, where nobody looked at bindings"
    } else if case.page_says_so {
        "and IIS's page says that the binding is the reason"
    } else if case.known.fitting {
        "as Extended Protection does, while logons that are bound to the server's certificate were accepted; a wrong \
         password would look the same"
    } else {
        "as Extended Protection does when it is on; a wrong password would look the same"
    }
}
