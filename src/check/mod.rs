//! The preflight: what a server offers now, and what putting authtap in front of it would change.
//!
//! [`ask`](mod@ask) makes a few requests on connections of its own, [`facts`] is what came of them, and
//! [`judge`](mod@judge) makes a line of each. No logon is tried unless somebody gives an account: a wrong password
//! counts towards a lockout.

pub mod ask;
pub mod facts;
pub mod judge;
mod peer;
pub mod v1;

pub use ask::{Account, Question, ask};
pub use facts::Facts;
pub use judge::judge;

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing to do.
    Ok,
    /// Something to know before authtap is inserted.
    Warning,
    /// Something that does not work, or will not once authtap is inserted.
    Problem,
}

impl Verdict {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How it stands.
    pub verdict: Verdict,
    /// What was looked at: the line's name.
    pub check: &'static str,
    /// What was found, in a sentence.
    pub says: String,
    /// What to do about it; always there unless it is ok.
    pub fix: Option<String>,
}

impl Line {
    fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, check, says: says.into(), fix: None }
    }

    fn warning(check: &'static str, says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, check, says: says.into(), fix: Some(fix.into()) }
    }

    fn problem(check: &'static str, says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Problem, check, says: says.into(), fix: Some(fix.into()) }
    }
}
