//! Who may log on, and how often they were wrong.

use std::collections::HashMap;

use super::log::win32;
use super::settings::{Account, Settings};
use crate::model::Secret;
use crate::sim::ntlm::read::Authenticate;
use crate::sim::ntlm::verify::{Refusal, verify};

/// The accounts of a server.
#[derive(Debug)]
pub struct Accounts {
    known: Vec<Account>,
    dns_domain: String,
    lockout_after: Option<u32>,
    wrong: HashMap<String, u32>,
}

impl Accounts {
    /// Those of the settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            known: settings.accounts.clone(),
            dns_domain: settings.dns_domain.clone(),
            lockout_after: settings.lockout_after,
            wrong: HashMap::new(),
        }
    }

    /// The user that a Type 3 proves, with the session's key; or the win32 status of the refusal.
    pub fn prove(
        &mut self,
        answer: &Authenticate,
        server_challenge: &[u8; 8],
        type1: &[u8],
        type2: &[u8],
    ) -> Result<(String, Secret<[u8; 16]>), u32> {
        // An unknown user, a locked account and a wrong password look alike from outside, by design.
        let account = self.find(&answer.domain, &answer.user).ok_or(win32::LOGON_DENIED)?;
        let name = name(account);
        let verdict = verify(answer, &account.password, server_challenge, type1, type2);
        if self.locked(&name) {
            return Err(win32::LOGON_DENIED);
        }
        match verdict {
            Ok(key) => {
                self.wrong.remove(&name);
                Ok((name, key))
            }
            Err(Refusal::Denied) => {
                *self.wrong.entry(name).or_default() += 1;
                Err(win32::LOGON_DENIED)
            }
            Err(Refusal::Altered) => Err(win32::MESSAGE_ALTERED),
        }
    }

    /// The user that a name and a password prove; or the win32 status of the refusal.
    pub fn check(&mut self, user: &str, password: &str) -> Result<String, u32> {
        let (domain, user) = user.split_once('\\').unwrap_or(("", user));
        let account = self.find(domain, user).ok_or(win32::LOGON_FAILURE)?;
        let name = name(account);
        let right = account.password.expose() == password;
        if self.locked(&name) {
            return Err(win32::ACCOUNT_LOCKED_OUT);
        }
        if right {
            self.wrong.remove(&name);
            return Ok(name);
        }
        *self.wrong.entry(name).or_default() += 1;
        Err(win32::LOGON_FAILURE)
    }

    fn locked(&self, name: &str) -> bool {
        let wrong = self.wrong.get(name).copied().unwrap_or(0);
        self.lockout_after.is_some_and(|limit| wrong >= limit)
    }

    /// By `DOMAIN\user`, `user` alone, or `user@dns.domain`; case does not count.
    fn find(&self, domain: &str, user: &str) -> Option<&Account> {
        let (user, suffix) = user.split_once('@').unwrap_or((user, ""));
        self.known.iter().find(|account| {
            let is = |domain: &str| {
                domain.is_empty()
                    || domain.eq_ignore_ascii_case(&account.domain)
                    || domain.eq_ignore_ascii_case(&self.dns_domain)
            };
            account.user.eq_ignore_ascii_case(user) && is(domain) && is(suffix)
        })
    }
}

fn name(account: &Account) -> String {
    format!("{}\\{}", account.domain, account.user)
}
