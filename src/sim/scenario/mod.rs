//! Named stories: scripted clients against the address of whatever stands before a simulated IIS.
//!
//! Each says what it does in plain words, for `demo`, and which finding it should raise, for tests. A story that needs
//! a load balancer starts a fresh one before the address that it is given: clients → balancer → authtap → IIS. Each
//! step waits for the answer of the step before, so a story goes the same way each time, and no story sleeps.

mod actor;
pub mod ends;
pub mod logons;
pub mod pools;
pub mod refusals;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use super::iis::settings::Settings;

/// What happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// A sentence a step.
    pub lines: Vec<String>,
    /// The status of each answer, in order.
    pub statuses: Vec<u16>,
}

/// A story under way.
pub type Story = Pin<Box<dyn Future<Output = io::Result<Outcome>> + Send>>;

/// A named story, the server that it needs, and what authtap should make of it.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its one name, in kebab case.
    pub name: &'static str,
    /// What a user would say happened.
    pub title: &'static str,
    /// Slugs of the findings that authtap should raise; none for a healthy story.
    pub findings: &'static [&'static str],
    /// How the simulated IIS must be set up.
    pub server: fn() -> Settings,
    run: fn(SocketAddr) -> Story,
}

impl Scenario {
    /// Plays it against what listens at `to`: authtap, or a simulated IIS directly.
    pub async fn run(&self, to: SocketAddr) -> io::Result<Outcome> {
        (self.run)(to).await
    }

    /// By name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|scenario| scenario.name == name)
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scenario").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The stories of `demo`, in its order. They need one server with the default settings.
pub const DEMO: &[Scenario] = &[logons::HEALTHY, pools::SPLIT, logons::WRONG_PASSWORD, pools::SHARED];

/// All stories, `demo`'s first.
pub const ALL: &[Scenario] = &[
    logons::HEALTHY,
    pools::SPLIT,
    logons::WRONG_PASSWORD,
    pools::SHARED,
    logons::HEALTHY_NEGOTIATE,
    logons::HEALTHY_PINNED,
    logons::IDENTITY_CHANGED,
    logons::LOCKOUT,
    logons::NOT_PERSISTENT,
    pools::INTERLEAVED,
    pools::ANONYMOUS_BETWEEN,
    ends::ANNOUNCED,
    ends::FIN,
    ends::RESET,
    ends::UNANSWERED,
    refusals::CHALLENGE_MISSING,
    refusals::NO_COMMON_SCHEME,
];
