//! From facts to lines, one a thing: what is so, how it stands, and what to do.

mod limits;
mod logon;
mod place;
mod tls;

use super::Line;
use super::facts::Facts;

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
    lines
}

#[cfg(test)]
mod tests;
