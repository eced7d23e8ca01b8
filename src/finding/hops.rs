//! Who stands in front: what the evidence of a split says about whom to blame.

use std::net::IpAddr;

use crate::track::connection::Connection;

/// A sentence part that names the signs of an intermediary on these connections, or says that there is none.
pub(super) fn blame(connections: &[&Connection]) -> Blame {
    let mut signs = Vec::new();
    for c in connections {
        if let Some(via) = c.via() {
            push(&mut signs, format!("its requests carry `Via: {via}`"));
        }
        if let Some(client) = c.named_client() {
            push(&mut signs, format!("its requests carry `{}`", client.field));
        }
    }
    let mut named: Vec<IpAddr> = connections.iter().filter_map(|c| c.named_client()).map(|n| n.address).collect();
    named.sort_unstable();
    named.dedup();
    if named.len() > 1 {
        push(&mut signs, format!("they name {} different clients", named.len()));
    }
    let mut peers: Vec<IpAddr> = connections.iter().map(|c| c.client_ip()).collect();
    peers.dedup();
    Blame { signs, one_peer: (peers.len() == 1).then(|| peers.first().copied()).flatten() }
}

fn push(signs: &mut Vec<String>, sign: String) {
    if !signs.contains(&sign) {
        signs.push(sign);
    }
}

/// What is known about the peer.
pub(super) struct Blame {
    signs: Vec<String>,
    one_peer: Option<IpAddr>,
}

impl Blame {
    /// `most likely by an intermediary at 192.0.2.1 (…)` or `by the peer at 192.0.2.1, or a hop …`.
    pub(super) fn whom(&self) -> String {
        let at = self.one_peer.map(|ip| format!(" at {ip}")).unwrap_or_default();
        if self.signs.is_empty() {
            format!(
                "by the peer{at}: a client that mixes its connections, or an intermediary that pools them and shows no \
                 other sign"
            )
        } else {
            format!("most likely by an intermediary{at} that pools its connections ({})", self.signs.join("; "))
        }
    }
}
