//! Who stands in front: what the evidence of a case says about whom to blame.

use std::net::IpAddr;

use crate::finding::View;
use crate::model::ConnectionId;
use crate::track::connection::Connection;
use crate::track::turn::Turn;

/// What is known about whoever sent the messages of a case.
pub(in crate::finding) struct Blame {
    signs: Vec<String>,
    one_peer: Option<IpAddr>,
}

/// The signs of an intermediary on these connections.
///
/// `one_story` says that one party's messages are proved to have come on all of them: then several addresses are a sign
/// as well.
pub(in crate::finding) fn blame(ids: &[ConnectionId], one_story: bool, view: &View<'_>) -> Blame {
    let connections: Vec<&Connection> = ids.iter().filter_map(|id| view.site.connection(*id)).collect();
    let mut signs = Vec::new();
    for c in &connections {
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
    peers.sort_unstable();
    peers.dedup();
    if one_story && let [first, .., last] = peers.as_slice() {
        push(&mut signs, format!("one logon's messages came from {first} and {last}"));
    }
    for address in &peers {
        if let Some(many) = machines(*address, view) {
            push(&mut signs, format!("{many} log on from {address}"));
        }
    }
    Blame { signs, one_peer: (peers.len() == 1).then(|| peers.first().copied()).flatten() }
}

/// `2 different machines`, where more than one is behind an address.
fn machines(address: IpAddr, view: &View<'_>) -> Option<String> {
    several(address, 2, view)
}

/// `3 different machines`, where more than two are behind an address: no person has so many at once.
pub(in crate::finding) fn crowd(address: IpAddr, view: &View<'_>) -> Option<String> {
    several(address, 3, view)
}

fn several(address: IpAddr, least: usize, view: &View<'_>) -> Option<String> {
    let peer = view.site.peer(address)?;
    if peer.machines.count() >= least {
        return Some(format!("{} different machines (by their NTLM machine ids)", peer.machines.told()));
    }
    // A program may call its workstation what it likes: only with users of their own are they different machines.
    let own_users = peer.workstations.count() >= least && peer.users.count() >= least;
    own_users.then(|| format!("{} different workstations, with {} users,", peer.workstations.told(), peer.users.told()))
}

/// What an answer calls itself when that is neither IIS nor its kernel part: ``, which names itself `nginx` ``.
pub(in crate::finding) fn not_iis(turn: &Turn) -> String {
    match turn.response_header("server") {
        Some(s) if !s.is_empty() && !s.starts_with("Microsoft-IIS") && !s.starts_with("Microsoft-HTTPAPI") => {
            format!(" (the answer names itself `{s}`, so look at that hop)")
        }
        _ => String::new(),
    }
}

fn push(signs: &mut Vec<String>, sign: String) {
    if !signs.contains(&sign) {
        signs.push(sign);
    }
}

impl Blame {
    /// Something says that an intermediary is there.
    pub(in crate::finding) const fn is_hop(&self) -> bool {
        !self.signs.is_empty()
    }

    /// ` at 192.0.2.1`, where it is one address.
    pub(in crate::finding) fn at(&self) -> String {
        self.one_peer.map(|ip| format!(" at {ip}")).unwrap_or_default()
    }

    /// The signs, as they follow each other in a sentence.
    pub(in crate::finding) fn signs(&self) -> String {
        self.signs.join("; ")
    }

    /// `most likely by an intermediary at 192.0.2.1 (…)` or `by the peer at 192.0.2.1, or a hop …`.
    pub(in crate::finding) fn whom(&self) -> String {
        let at = self.at();
        if self.is_hop() {
            format!("most likely by an intermediary{at} that pools its connections ({})", self.signs())
        } else {
            format!(
                "by the peer{at}: a client that mixes its connections, or an intermediary that pools them and shows no \
                 other sign"
            )
        }
    }
}
