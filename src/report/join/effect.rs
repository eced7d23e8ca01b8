//! What a line of IIS's log says about a finding. This table is data: `docs/iis-log.md` is made from it.

use std::fmt::Write as _;

/// A row: what was logged, and what follows.
#[derive(Debug)]
pub struct Effect {
    /// What was logged.
    pub logged: Logged,
    /// The finding that it is about.
    pub slug: &'static str,
    /// How far it goes.
    pub weight: Weight,
    /// What follows, as the end of a sentence that begins with the code.
    pub says: &'static str,
}

/// What was logged.
#[derive(Debug, Clone, Copy)]
pub enum Logged {
    /// sc-status, some of sc-substatus, some of sc-win32-status; an empty list stands for all.
    Code(u16, &'static [u16], &'static [u32]),
    /// s-reason of HTTPERR.
    Reason(&'static [&'static str]),
}

/// How far a row goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It proves the finding: its basis becomes `observed`, and another explanation of the same refusal becomes it.
    Proves,
    /// It speaks for the finding, and leaves room for another.
    Supports,
}

/// Findings that explain a refusal by what the wire alone shows: a log that proves another explanation corrects them.
pub const OVERRULED: &[&str] = &[
    "access-denied-after-logon",
    "anonymous-identity-broken",
    "credentials-rejected",
    "denied-by-filter-or-application",
    "double-hop",
    "ip-restricted",
    "loopback-check",
    "preauthentication-cold-start",
];

/// The same, but where the wire itself proves them (a KRB-ERROR, a channel binding) they stay.
pub const OVERRULED_UNLESS_OBSERVED: &[&str] = &[
    "channel-binding-foreign",
    "channel-binding-mismatch",
    "channel-binding-missing",
    "kerberos-clock-skew",
    "kerberos-encryption-type",
    "kerberos-error",
    "kerberos-wrong-key",
];

/// All rows; the first that fits counts.
pub const EFFECTS: &[Effect] = &[
    Effect {
        logged: Logged::Code(401, &[1], &[0x8009_030C]),
        slug: "credentials-rejected",
        weight: Weight::Proves,
        says: "Windows denied the logon: a wrong name or password, a restricted account, or a domain controller that \
               refuses NTLM; event 4625 on the server says which",
    },
    Effect {
        logged: Logged::Code(401, &[1], &[1326]),
        slug: "credentials-rejected",
        weight: Weight::Proves,
        says: "user name or password is wrong; Windows does not say which",
    },
    Effect {
        logged: Logged::Code(401, &[1], &[1317]),
        slug: "credentials-rejected",
        weight: Weight::Proves,
        says: "no account has this name",
    },
    Effect {
        logged: Logged::Code(401, &[1], &[1909]),
        slug: "credentials-rejected",
        weight: Weight::Proves,
        says: "the account is locked out",
    },
    Effect {
        logged: Logged::Code(401, &[1], &[1330, 1907]),
        slug: "credentials-rejected",
        weight: Weight::Proves,
        says: "the password has expired or must be changed",
    },
    Effect {
        logged: Logged::Code(401, &[1], &[1331, 1793]),
        slug: "credentials-rejected",
        weight: Weight::Proves,
        says: "the account is disabled or has expired",
    },
    Effect {
        logged: Logged::Code(401, &[1], &[1327, 1328, 1329, 1385]),
        slug: "credentials-rejected",
        weight: Weight::Proves,
        says: "the account may not log on in this way, at this time or from this computer",
    },
    Effect {
        logged: Logged::Code(401, &[1], &[0x8009_0346, 0xC000_035B]),
        slug: "channel-binding-mismatch",
        weight: Weight::Proves,
        says: "Extended Protection refused the logon, because the client is bound to another TLS channel than the \
               server's; the password is not the cause",
    },
    Effect {
        logged: Logged::Code(401, &[1], &[0x8009_0324, 1398]),
        slug: "kerberos-clock-skew",
        weight: Weight::Proves,
        says: "the clocks of client and server, or of one of them and the domain controller, are too far apart",
    },
    Effect {
        logged: Logged::Code(401, &[1], &[0x8009_0322, 1396]),
        slug: "kerberos-wrong-key",
        weight: Weight::Proves,
        says: "the ticket is for another account than the one that serves the site",
    },
    Effect {
        logged: Logged::Code(401, &[1], &[0x8009_0308]),
        slug: "handshake-split-across-connections",
        weight: Weight::Supports,
        says: "the token did not fit the state of IIS's connection. Where authtap saw the handshake whole, either Extended \
               Protection refused its binding (compare the certificates first), or something between authtap and IIS tears \
               handshakes apart",
    },
    Effect {
        logged: Logged::Code(401, &[1], &[0x8009_030E]),
        slug: "preauthentication-cold-start",
        weight: Weight::Supports,
        says: "no credentials were at hand. It is normal with a CHALLENGE; without one it fits a token on the first \
               request to an application with kernel-mode authentication",
    },
    Effect {
        logged: Logged::Code(401, &[3], &[]),
        slug: "access-denied-after-logon",
        weight: Weight::Proves,
        says: "the logon was accepted, and the permissions of the file or folder refused the user; the password is not the \
               cause",
    },
    Effect {
        logged: Logged::Code(401, &[4, 5], &[]),
        slug: "denied-by-filter-or-application",
        weight: Weight::Proves,
        says: "a filter, or an ISAPI or CGI application, refused the request; the password is not the cause",
    },
    Effect {
        logged: Logged::Code(401, &[501, 502, 503, 504], &[]),
        slug: "ip-restricted",
        weight: Weight::Proves,
        says: "IIS refused the address that it saw, and that is authtap's; the password is not the cause",
    },
    Effect {
        logged: Logged::Code(403, &[6, 501, 502, 503, 504], &[]),
        slug: "ip-restricted",
        weight: Weight::Proves,
        says: "IIS refused the address that it saw, and that is authtap's; the password is not the cause",
    },
    Effect {
        logged: Logged::Code(403, &[7], &[]),
        slug: "client-certificate-required",
        weight: Weight::Proves,
        says: "the site demands a client certificate, and none came",
    },
    Effect {
        logged: Logged::Code(403, &[12, 13, 16, 17], &[]),
        slug: "client-certificate-required",
        weight: Weight::Proves,
        says: "the server did not accept the client certificate: its account may not read this (12), it is revoked or \
               could not be checked (13), not trusted (16), or out of its time (17)",
    },
    Effect {
        logged: Logged::Reason(&["FieldLength", "RequestLength"]),
        slug: "request-headers-too-long",
        weight: Weight::Proves,
        says: "HTTP.sys refused the request because its headers are too long; IIS never saw it",
    },
    Effect {
        logged: Logged::Reason(&["Timer_SslRenegotiation"]),
        slug: "client-certificate-not-relayed",
        weight: Weight::Supports,
        says: "the server asked for a client certificate in the middle of the connection, and no answer came in time",
    },
];

impl Logged {
    /// Whether a line of a site's log is meant.
    pub fn is_code(self, status: u16, substatus: u16, win32: u32) -> bool {
        match self {
            Self::Code(of, substatuses, codes) => {
                of == status
                    && (substatuses.is_empty() || substatuses.contains(&substatus))
                    && (codes.is_empty() || codes.contains(&win32))
            }
            Self::Reason(_) => false,
        }
    }

    /// Whether a reason of HTTPERR is meant.
    pub fn is_reason(self, reason: &str) -> bool {
        matches!(self, Self::Reason(reasons) if reasons.contains(&reason))
    }
}

/// The row of a line in a site's log.
pub(super) fn of_code(status: u16, substatus: u16, win32: u32) -> Option<&'static Effect> {
    EFFECTS.iter().find(|row| row.logged.is_code(status, substatus, win32))
}

/// The row of a reason.
pub(super) fn of_reason(reason: &str) -> Option<&'static Effect> {
    EFFECTS.iter().find(|row| row.logged.is_reason(reason))
}

/// The table as Markdown.
pub fn document() -> String {
    let mut text = String::from("| the log says | finding | | which means |\n|---|---|---|---|\n");
    for row in EFFECTS {
        let logged = match row.logged {
            Logged::Code(status, substatuses, codes) => {
                let list =
                    |numbers: Vec<String>| if numbers.is_empty() { "any".to_owned() } else { numbers.join(" or ") };
                let substatuses = list(substatuses.iter().map(ToString::to_string).collect());
                let codes = list(codes.iter().map(ToString::to_string).collect());
                format!("{status}, {substatuses}, {codes}")
            }
            Logged::Reason(reasons) => reasons.join(" or "),
        };
        let weight = match row.weight {
            Weight::Proves => "proves",
            Weight::Supports => "supports",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {logged} | `{}` | {weight} | {} |", row.slug, row.says);
    }
    text
}
