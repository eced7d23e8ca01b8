//! From facts to lines, one a thing: what is so, how it stands, and what to do.

mod limits;
mod logon;
mod place;
mod tls;

use super::Line;
use super::facts::Facts;

/// The names of all lines.
pub const NAMES: [&str; 16] = [
    "reachable",
    "tls",
    "http-version",
    "certificate",
    "extended-protection",
    "client-certificate",
    "own-host",
    "host",
    "answer",
    "schemes",
    "connection-after-401",
    "challenge",
    "connection-after-challenge",
    "persistent-auth",
    "clock",
    "header-limit",
];

/// All lines, in the order in which an insertion would meet them. What could not be asked has none.
pub fn judge(facts: &Facts) -> Vec<Line> {
    let mut lines = vec![place::reachable(facts)];
    if facts.reach.error.is_none() {
        lines.extend(tls::session(facts));
        lines.extend(tls::http_version(facts));
    }
    lines.extend(tls::certificate(facts));
    lines.extend(tls::extended_protection(facts));
    lines.extend(tls::client_certificate(facts));
    lines.extend(place::own_host(facts));
    lines.push(place::host(facts));
    lines.extend(logon::answer(facts));
    lines.extend(logon::schemes(facts));
    lines.extend(logon::after_401(facts));
    lines.extend(logon::challenge(facts));
    lines.extend(logon::after_challenge(facts));
    lines.extend(logon::persistent_auth(facts));
    lines.extend(limits::clock(facts));
    lines.extend(limits::header(facts));
    debug_assert!(lines.iter().all(|line| NAMES.contains(&line.check)), "a line that is in no list");
    lines
}

#[cfg(test)]
mod tests;
