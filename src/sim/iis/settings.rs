//! How a simulated IIS is set up.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::model::{Secret, Stamp};

/// A site's configuration. The default is a stock site with Windows authentication: `Negotiate`, then `NTLM`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// NetBIOS name of the machine.
    pub node: String,
    /// NetBIOS name of the domain.
    pub domain: String,
    /// DNS name of the domain, and of its tree.
    pub dns_domain: String,
    /// Who may log on.
    pub accounts: Vec<Account>,
    /// `WWW-Authenticate` fields of a refusal, in order: `Negotiate`, `NTLM`, `Basic realm="…"`.
    pub offers: Vec<String>,
    /// Whether an authenticated connection stays so (`authPersistSingleRequest="false"`).
    pub persistent: bool,
    /// How the connection ends once a challenge is out; `None` leaves it open, as IIS does.
    pub after_challenge: Option<End>,
    /// Whether refusals carry no `WWW-Authenticate`, as behind a module or hop that takes it out.
    pub hide_challenges: bool,
    /// Paths that begin like this may be read by nobody, whoever is logged on (401.3).
    pub unreadable: Option<String>,
    /// Wrong passwords until an account is locked; `None` never locks.
    pub lockout_after: Option<u32>,
    /// Its clock.
    pub clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            node: "WEB01".to_owned(),
            domain: "EXAMPLE".to_owned(),
            dns_domain: "example.test".to_owned(),
            accounts: ["alice", "bob", "carol"].map(|user| Account::new("EXAMPLE", user, PASSWORD)).to_vec(),
            offers: vec!["Negotiate".to_owned(), "NTLM".to_owned()],
            persistent: true,
            after_challenge: None,
            hide_challenges: false,
            unreadable: None,
            lockout_after: None,
            clock: Clock::default(),
        }
    }
}

/// The password of each default account; not one that anybody may use.
pub const PASSWORD: &str = "Password1-test";

/// Somebody who may log on.
#[derive(Debug, Clone)]
pub struct Account {
    /// NetBIOS domain.
    pub domain: String,
    /// Name.
    pub user: String,
    /// Password.
    pub password: Secret<String>,
}

impl Account {
    /// `domain\user` with a password.
    pub fn new(domain: &str, user: &str, password: &str) -> Self {
        Self { domain: domain.to_owned(), user: user.to_owned(), password: Secret::new(password.to_owned()) }
    }
}

/// How a connection is ended after a challenge, so that its answer has nowhere to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With `Connection: close` on the challenge, and a FIN behind it.
    Announced,
    /// With a FIN behind the challenge, unannounced.
    Fin,
    /// With a RST once the answer begins to arrive: the challenge itself is sure to have been read.
    Reset,
}

/// A clock that the simulator is given, since it reads none of its own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Stamp + Send + Sync>);

impl Clock {
    /// From a function that tells the time, such as the real clock's.
    pub fn new(now: impl Fn() -> Stamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub fn now(&self) -> Stamp {
        (self.0)()
    }
}

impl Default for Clock {
    /// Made-up time, a millisecond a reading from 2026-01-01T00:00:00Z: each run of a test has the same.
    fn default() -> Self {
        let micros = AtomicI64::new(1_767_225_600_000_000);
        Self::new(move || Stamp(micros.fetch_add(1_000, Ordering::Relaxed)))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock(…)")
    }
}
