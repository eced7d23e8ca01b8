//! Whose fault a finding is: findings of one cause are told together.

/// What lies behind a group of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Something between the clients and authtap, or between authtap and IIS, mixes or cuts connections.
    Connections,
    /// authtap's own place in the path.
    Authtap,
    /// IIS's configuration.
    Server,
    /// The client, or what it is configured to do.
    Client,
    /// What the users typed or stored.
    Credentials,
    /// A finding that this table does not know.
    Other,
}

impl Cause {
    /// The cause behind a finding's slug.
    pub fn of(slug: &str) -> Self {
        match slug {
            "authenticated-connection-shared"
            | "authentication-not-persistent"
            | "connection-closed-mid-handshake"
            | "handshake-interleaved"
            | "handshake-split-across-connections"
            | "identity-changed-on-connection" => Self::Connections,
            "proxy-certificate-breaks-epa" => Self::Authtap,
            "challenge-missing" | "no-common-scheme" => Self::Server,
            "challenge-unanswered" => Self::Client,
            "credentials-rejected" | "lockout-risk" => Self::Credentials,
            _ => Self::Other,
        }
    }

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Authtap => "authtap",
            Self::Server => "server",
            Self::Client => "client",
            Self::Credentials => "credentials",
            Self::Other => "other",
        }
    }

    /// Where to look, for a verdict; `None` when only the finding itself knows.
    pub const fn place(self) -> Option<&'static str> {
        match self {
            Self::Connections => Some(
                "the way between clients and IIS (a load balancer, a proxy, or IIS's own connection settings), \
                 not the users' passwords",
            ),
            Self::Authtap => Some("authtap's own place in the path: its certificate is not IIS's"),
            Self::Server => Some("the site's authentication settings in IIS"),
            Self::Client => Some("the client or its configuration"),
            Self::Credentials => Some("the user's name or password; the connections carried the logon whole"),
            Self::Other => None,
        }
    }

    /// Whether findings of this cause deny that handshakes stay on their connections.
    pub fn breaks_pairing(slug: &str) -> bool {
        matches!(
            slug,
            "authenticated-connection-shared"
                | "connection-closed-mid-handshake"
                | "handshake-interleaved"
                | "handshake-split-across-connections"
                | "identity-changed-on-connection"
        )
    }
}
