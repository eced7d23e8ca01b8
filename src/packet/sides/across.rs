//! What a defect behind a hop looks like from before it.

use crate::finding::{Meta, catalogue};

/// Findings that are drawn where the connections themselves break: when the inner side has one and the outer has not, it
/// is the hop that broke them.
pub(super) const BROKEN_BY_HOP: &[&str] = &[
    "handshake-split-across-connections",
    "handshake-interleaved",
    "first-login-unpinned",
    "handshake-changed-node",
    "connection-closed-mid-handshake",
    "authenticated-connection-shared",
    "identity-changed-on-connection",
    "authentication-lost",
    "authentication-not-persistent",
];

/// Those of them that requests bring along: every side from there inwards shows them, and the hop in front of the
/// outermost of those sides is the one that mixed.
pub(super) const MIXED_BY_HOP: &[&str] = &[
    "handshake-split-across-connections",
    "handshake-interleaved",
    "first-login-unpinned",
    "authenticated-connection-shared",
    "identity-changed-on-connection",
];

/// What the inner side has, and what the outer side sees of it: a logon that fails though the client did all right.
const SEEN_BEFORE: &[(&[&str], &[&str])] = &[
    (
        // The handshake is torn behind the hop: the server refuses it, or drops it.
        &[
            "first-login-unpinned",
            "handshake-split-across-connections",
            "handshake-interleaved",
            "connection-closed-mid-handshake",
            "handshake-changed-node",
        ],
        &[
            "credentials-rejected",
            "retry-loop",
            "lockout-risk",
            "connection-closed-mid-handshake",
            "handshake-changed-node",
            "loopback-check",
            "challenge-missing",
            "access-denied-after-logon",
        ],
    ),
    (
        // Behind the hop several users have one logon: they get what another one may have.
        &["authenticated-connection-shared", "identity-changed-on-connection"],
        &["access-denied-after-logon", "identity-changed-on-connection", "credentials-rejected", "authentication-lost"],
    ),
    (
        // Behind the hop the logon is on another connection, or gone.
        &["authentication-lost", "authentication-not-persistent"],
        &["retry-loop", "authentication-lost", "authentication-not-persistent", "reauthenticated-per-application"],
    ),
];

/// Slugs that explain a finding of the same exchanges on any side, strongest first: what the catalogue says, and what
/// explains that.
pub(super) fn explaining(slug: &str) -> Vec<&'static str> {
    let mut list: Vec<&'static str> = Vec::new();
    let more = |meta: &Meta| meta.consequence_of.iter().chain(meta.yields_to).copied();
    list.extend(catalogue::by_slug(slug).into_iter().flat_map(more));
    let mut at = 0;
    while let Some(next) = list.get(at).copied() {
        for root in catalogue::by_slug(next).into_iter().flat_map(more) {
            if root != slug && !list.contains(&root) {
                list.push(root);
            }
        }
        at += 1;
    }
    list
}

/// Slugs that explain a finding when they are found of the same exchanges further in, strongest first.
pub(super) fn explaining_from_behind(slug: &str) -> impl Iterator<Item = &'static str> + '_ {
    let rows = SEEN_BEFORE.iter().filter(move |(_, seen)| seen.contains(&slug));
    rows.flat_map(|(causes, _)| causes.iter().copied()).filter(move |cause| *cause != slug)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slug that was renamed would explain nothing any more, and nobody would notice.
    #[test]
    fn all_slugs_are_findings() {
        let rows = SEEN_BEFORE.iter().flat_map(|(a, b)| a.iter().chain(*b));
        for slug in rows.chain(BROKEN_BY_HOP).chain(MIXED_BY_HOP) {
            assert!(catalogue::by_slug(slug).is_some(), "{slug}");
        }
    }

    /// Two findings that each explain the other would both be told as consequences, and no cause at all.
    #[test]
    fn nothing_explains_what_explains_it() {
        for meta in catalogue::ALL {
            let all = explaining(meta.slug);
            assert!(!all.contains(&meta.slug), "{}", meta.slug);
            for root in explaining_from_behind(meta.slug) {
                let back = explaining(root);
                assert!(!back.contains(&meta.slug), "{root} explains {}, and the other way", meta.slug);
            }
        }
    }
}
