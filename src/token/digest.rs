//! Digest credentials (RFC 7616 section 3.4): parameters without what proves knowledge of the password.

use super::fault::Faults;
use super::redact;
use super::scheme::is_word;

/// The parameters that RFC 7616 section 3.4 and MS-DPSP know, `response` left out.
const KNOWN: &[&str] = &[
    "algorithm",
    "channel-binding",
    "charset",
    "cnonce",
    "nc",
    "nonce",
    "opaque",
    "qop",
    "realm",
    "service-name",
    "uri",
    "userhash",
    "username",
    "username*",
];

fn is_known(name: &str) -> bool {
    KNOWN.binary_search(&name).is_ok()
}

/// Notes what every server needs and is not there (RFC 7616 section 3.4).
fn expect_whole(params: &[(String, String)], faults: &mut Faults) {
    let has = |wanted: &str| params.iter().any(|(name, _)| name == wanted);
    for name in ["realm", "nonce", "uri", "response"] {
        if !has(name) {
            faults.add(0, name, "one", "none");
        }
    }
    if !has("username") && !has("username*") {
        faults.add(0, "username", "one", "none");
    }
    // "MUST be present if a qop parameter is sent", and what the response is made of depends on it.
    if has("qop") {
        for name in ["nc", "cnonce"] {
            if !has(name) {
                faults.add(0, name, "one, as there is a qop", "none");
            }
        }
    }
    for (name, value) in params {
        let is_hex = value.len() == 8 && value.bytes().all(|b| b.is_ascii_hexdigit());
        if name == "nc" && !is_hex {
            faults.add(0, "nc", "8 hex digits", format!("{} bytes", value.len()));
        }
    }
}

/// Removes `response` and whatever might hold it. When the grammar was broken, a lost quote may have moved `response`
/// into a neighbour: then only known parameters stay, and none that speaks of a response. Of unknown parameters the name stays, without the value.
pub(super) fn withhold(params: &mut Vec<(String, String)>, faults: &mut Faults) {
    let broken = !faults.is_empty();
    expect_whole(params, faults);
    params.retain(|(name, _)| name != "response" && (is_known(name) || (!broken && is_word(name))));
    for (name, value) in params {
        if !is_known(name) || broken && value.to_ascii_lowercase().contains("response") {
            *value = format!("<{} bytes>", value.len());
        } else if name == "uri" {
            *value = redact::target(value.as_bytes());
        }
    }
}
