//! Which node of a farm answered, as far as a response tells.

use crate::model::http::Response;

/// One sign of a node: where it stands, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::finding) struct Node {
    /// `X-FEServer`, or a cookie's name.
    sign: String,
    value: String,
    cookie: bool,
}

/// The name of a node is no longer than a host's.
const MOST: usize = 255;

/// Fields in which a server or a balancer names the node.
const FIELDS: [&str; 3] = ["x-feserver", "x-beserver", "x-served-by"];

/// Cookies that a balancer sets to the node that it chose, one value for each node. Those whose value changes with each
/// response (AWSALB) or may be encrypted anew (F5, `NetScaler`) say nothing here.
const COOKIES: [&str; 5] =
    ["SERVERID", "ARRAffinity", "ARRAffinitySameSite", "ApplicationGatewayAffinity", "ApplicationGatewayAffinityCORS"];

/// The signs that a response carries.
pub(in crate::finding) fn nodes(response: &Response) -> Vec<Node> {
    let mut out = Vec::new();
    for header in &response.headers {
        match header.name.len() {
            10 if header.name.eq_ignore_ascii_case("set-cookie") => out.extend(cookie(&header.value)),
            // A list is a chain of caches, and no node.
            10 | 11
                if FIELDS.iter().any(|f| header.name.eq_ignore_ascii_case(f))
                    && !header.value.is_empty()
                    && header.value.len() <= MOST
                    && !header.value.contains(',') =>
            {
                out.push(Node { sign: header.name.clone(), value: header.value.clone(), cookie: false });
            }
            _ => {}
        }
    }
    out
}

/// `SERVERID=<4 bytes, …>; Path=/`: the fingerprint tells one value from another.
fn cookie(line: &str) -> Option<Node> {
    let (sign, rest) = line.split_once('=')?;
    let value = rest.split(';').next()?;
    let known = COOKIES.contains(&sign) && value.contains(", ");
    known.then(|| Node { sign: sign.to_owned(), value: value.to_owned(), cookie: true })
}

/// The same sign with another value, told as a sentence part; `None` when nothing contradicts.
pub(in crate::finding) fn changed(before: &[Node], after: &[Node]) -> Option<String> {
    let (a, b) = before.iter().find_map(|a| {
        let b = after.iter().find(|b| b.sign.eq_ignore_ascii_case(&a.sign))?;
        (!a.value.eq_ignore_ascii_case(&b.value)).then_some((a, b))
    })?;
    Some(if a.cookie {
        format!(
            "the affinity cookie `{}` was set to one node with the CHALLENGE and to another one with this answer",
            a.sign
        )
    } else {
        format!("`{}` was {} with the CHALLENGE and is {} with this answer", a.sign, a.value, b.value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::http::Header;

    fn of(fields: &[(&str, &str)]) -> Vec<Node> {
        let headers = fields.iter().map(|(n, v)| Header { name: (*n).to_owned(), value: (*v).to_owned() }).collect();
        nodes(&Response { headers, ..Response::default() })
    }

    /// A cookie that changes with each answer, taken for a node, accuses a farm that does its work.
    #[test]
    fn only_signs_that_stay_with_a_node_count() {
        let a = of(&[("X-FEServer", "EX01"), ("Set-Cookie", "SERVERID=<4 bytes, aa>; Path=/")]);
        let b = of(&[("x-feserver", "EX02")]);
        assert!(changed(&a, &b).is_some_and(|t| t.contains("EX01") && t.contains("EX02")));
        assert!(changed(&a, &of(&[("X-FEServer", "ex01")])).is_none());
        let c = of(&[("Set-Cookie", "SERVERID=<4 bytes, bb>; Path=/")]);
        assert!(changed(&a, &c).is_some_and(|t| t.contains("SERVERID")));
        assert!(of(&[("Set-Cookie", "AWSALB=<9 bytes, aa>"), ("X-Served-By", "cache-a, cache-b")]).is_empty());
        assert!(of(&[("Set-Cookie", "SERVERID=<0 bytes>")]).is_empty());
    }
}
