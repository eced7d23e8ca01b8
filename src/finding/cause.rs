//! Whose fault a finding is: findings of one cause are told together.

/// What lies behind a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Something between the clients and authtap, or between authtap and IIS, mixes or cuts connections.
    Connections,
    /// A hop in front rewrites, limits or withholds messages.
    Intermediary,
    /// authtap's own place in the path.
    Authtap,
    /// IIS's configuration.
    Server,
    /// The application, or permissions on its resources: the logon itself succeeded.
    Permission,
    /// The directory: service principal names, keys, tickets, clocks.
    Directory,
    /// The client, or what it is configured to do.
    Client,
    /// What the users typed or stored.
    Credentials,
    /// A finding that this version does not know.
    Other,
}

impl Cause {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Intermediary => "intermediary",
            Self::Authtap => "authtap",
            Self::Server => "server",
            Self::Permission => "permission",
            Self::Directory => "directory",
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
            Self::Intermediary => Some("a hop between clients and IIS that does not pass messages on as they came"),
            Self::Authtap => Some("authtap's own place in the path"),
            Self::Server => Some("the site's settings in IIS"),
            Self::Permission => Some("the permissions on the resource, or the application: the logon itself succeeded"),
            Self::Directory => Some("Active Directory: service principal names, keys, tickets or clocks"),
            Self::Client => Some("the client or its configuration"),
            Self::Credentials => Some("the user's name or password; the connections carried the logon whole"),
            Self::Other => None,
        }
    }
}
