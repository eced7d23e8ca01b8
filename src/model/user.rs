//! Whether two user names mean one account.

/// A user's name in a form that can be compared: `EXAMPLE\alice`, `example\ALICE` and `alice@example.test` are one.
///
/// A NetBIOS domain name is, nearly always, the first label of the DNS domain name; where it is not, one account looks
/// like two. The name without a domain is its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserKey {
    user: String,
    domain: String,
}

impl UserKey {
    /// The key of a name as a client sent it.
    pub fn of(name: &str) -> Self {
        let (domain, user) = name.split_once('\\').unwrap_or(("", name));
        // A UPN names its own domain, whatever stands before it.
        let (user, domain) = user.rsplit_once('@').unwrap_or((user, domain));
        let domain = domain.split('.').next().unwrap_or_default();
        Self { user: user.to_lowercase(), domain: domain.to_lowercase() }
    }
}

#[cfg(test)]
mod tests {
    use super::UserKey;

    /// A user who is counted twice is locked out before anybody was told.
    #[test]
    fn one_account_in_three_spellings_is_one() {
        let alice = UserKey::of("EXAMPLE\\alice");
        assert_eq!(alice, UserKey::of("example\\ALICE"));
        assert_eq!(alice, UserKey::of("alice@example.test"));
        assert_eq!(alice, UserKey::of("EXAMPLE.TEST\\alice"));
        assert_eq!(alice, UserKey::of("EXAMPLE\\alice@example.test"));
        assert_ne!(alice, UserKey::of("OTHER\\alice"));
        assert_ne!(alice, UserKey::of("alice"));
    }
}
