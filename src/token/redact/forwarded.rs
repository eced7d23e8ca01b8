//! `Forwarded` (RFC 7239): who came through whom. Its other parameters are whatever a proxy thought of.

use super::credentials::{pair, split_once};
use super::shown;

/// The parameters of RFC 7239 section 5.
const KEPT: [&[u8]; 4] = [b"for", b"by", b"host", b"proto"];

/// An address or a name is not longer (RFC 1035 section 2.3.4, and a port).
const LONGEST: usize = 262;

/// The hops, each parameter but those of RFC 7239 by its size.
pub(super) fn hops(value: &[u8]) -> String {
    let hops = split(value, b',').into_iter().map(|hop| {
        let pairs: Vec<String> = split(hop, b';').into_iter().map(parameter).collect();
        pairs.join(";")
    });
    hops.collect::<Vec<_>>().join(", ")
}

fn parameter(text: &[u8]) -> String {
    let text = text.trim_ascii();
    let (name, value) = split_once(text, b'=');
    let kept = KEPT.iter().any(|k| name.eq_ignore_ascii_case(k)) && value.is_some_and(is_a_place);
    if kept { shown(text) } else { pair(text) }
}

/// An address, a name with a port, a scheme: bare or whole in quotes, and nothing beside it.
fn is_a_place(value: &[u8]) -> bool {
    let bare = match value {
        [b'"', inside @ .., b'"'] => inside,
        bare => bare,
    };
    let harmless = |b: &u8| b.is_ascii_alphanumeric() || b"._-:[]%+".contains(b);
    bare.len() <= LONGEST && bare.iter().all(harmless)
}

/// Splits outside of quotes.
fn split(value: &[u8], by: u8) -> Vec<&[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value
        .split(|b| {
            let here = *b == by && !quoted;
            match *b {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => {}
            }
            here
        })
        .collect()
}
