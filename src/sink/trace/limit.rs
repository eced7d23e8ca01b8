//! Some lines a second of each kind: a console in a storm of refusals must stay readable, and cheap. The capture has all.

use std::time::Duration;

use tracing::{Level, error, info, warn};

use crate::model::Stamp;

/// Lines of one kind that are told within a second.
pub const A_SECOND: u32 = 20;

const SECOND: Duration = Duration::from_secs(1);

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Refusal,
    Unanswered,
    Handshake(&'static str),
    Finding(&'a str),
    Gap(&'static str),
    CloseMidHandshake,
    CloseAbnormal,
    Tls,
    Certificate,
}

/// Counts of this second. A kind for each finding and a dozen more, so a list is searched fastest.
#[derive(Debug, Default)]
pub(super) struct Limit(Vec<Window>);

#[derive(Debug)]
struct Window {
    kind: Name,
    level: Level,
    since: Stamp,
    told: u32,
    held: u64,
}

/// A [`Kind`] that owns its words.
#[derive(Debug)]
enum Name {
    Plain(Kind<'static>),
    Finding(String),
}

impl Name {
    fn of(kind: &Kind<'_>) -> Self {
        match *kind {
            Kind::Finding(slug) => Self::Finding(slug.to_owned()),
            Kind::Refusal => Self::Plain(Kind::Refusal),
            Kind::Unanswered => Self::Plain(Kind::Unanswered),
            Kind::Handshake(outcome) => Self::Plain(Kind::Handshake(outcome)),
            Kind::Gap(what) => Self::Plain(Kind::Gap(what)),
            Kind::CloseMidHandshake => Self::Plain(Kind::CloseMidHandshake),
            Kind::CloseAbnormal => Self::Plain(Kind::CloseAbnormal),
            Kind::Tls => Self::Plain(Kind::Tls),
            Kind::Certificate => Self::Plain(Kind::Certificate),
        }
    }

    fn as_kind(&self) -> Kind<'_> {
        match self {
            Self::Plain(kind) => *kind,
            Self::Finding(slug) => Kind::Finding(slug),
        }
    }
}

impl Limit {
    /// Whether one more of this kind may be told at `at`.
    pub(super) fn lets(&mut self, kind: &Kind<'_>, level: Level, at: Stamp) -> bool {
        let known = self.0.iter().position(|w| w.kind.as_kind() == *kind);
        let index = known.unwrap_or_else(|| {
            self.0.push(Window { kind: Name::of(kind), level, since: at, told: 0, held: 0 });
            self.0.len() - 1
        });
        let window = &mut self.0[index];
        // An exchange is told under the time of its response's head, so time may step back a little.
        if at.since(window.since) >= SECOND {
            window.tell_held();
            window.since = at;
            window.told = 0;
        }
        let lets = window.told < A_SECOND;
        if lets {
            window.told += 1;
        } else {
            window.held += 1;
        }
        lets
    }

    /// Tells what was held back so far.
    pub(super) fn tell_held(&mut self) {
        self.0.iter_mut().for_each(Window::tell_held);
    }
}

impl Window {
    fn tell_held(&mut self) {
        let held = std::mem::take(&mut self.held);
        if held == 0 {
            return;
        }
        let what = match self.kind.as_kind() {
            Kind::Refusal => "401s".to_owned(),
            Kind::Unanswered => "requests without a response".to_owned(),
            Kind::Handshake(outcome) => format!("handshakes {outcome}"),
            Kind::Finding(slug) => format!("findings {slug}"),
            Kind::Gap(gap) => format!("gaps {gap}"),
            Kind::CloseMidHandshake => "connections closed in the middle of a handshake".to_owned(),
            Kind::CloseAbnormal => "connections that ended abnormally".to_owned(),
            Kind::Tls => "failed TLS handshakes".to_owned(),
            Kind::Certificate => "certificates that do not verify".to_owned(),
        };
        macro_rules! tell {
            ($level:ident) => {
                $level!(authtap.held_back = held, "{held} more {what}, not shown one by one; a capture has them all")
            };
        }
        match self.level {
            Level::ERROR => tell!(error),
            Level::WARN => tell!(warn),
            _ => tell!(info),
        }
    }
}
