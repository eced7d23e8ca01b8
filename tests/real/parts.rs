//! What a scenario is made of, and how it stands: each program that listens says so, each client says whom it asks.
//!
//! A new part of the rig calls [`serves`] as soon as it listens (before it returns to the test), a new client [`asks`]
//! before it starts. That is all: captures then hold the part's links too, the table names it, and its version is in
//! [`versions`](crate::versions).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, Weak};

use crate::packets::Links;

/// A program that listens.
struct Server {
    part: &'static str,
    /// Where it sends on what it is asked; empty for a server in the narrow sense.
    upstreams: Vec<u16>,
}

/// Ports belong to one program at a time, so one stage is enough for all tests of the process.
struct Stage {
    servers: BTreeMap<u16, Server>,
    clients: BTreeMap<u16, BTreeSet<&'static str>>,
    watched: BTreeMap<u16, Weak<Links>>,
}

static STAGE: Mutex<Stage> =
    Mutex::new(Stage { servers: BTreeMap::new(), clients: BTreeMap::new(), watched: BTreeMap::new() });

fn stage() -> MutexGuard<'static, Stage> {
    // Another test's panic says nothing about what stands here.
    STAGE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The part `name` listens on `port` from now on, and sends on to `upstreams`. Where one of those is an authtap that is captured, the
/// new link is captured as well.
pub(crate) fn serves(port: u16, name: &'static str, upstreams: &[u16]) {
    let mut stage = stage();
    // Whoever had this port before is gone, and so is who sent something there.
    stage.servers.retain(|_, server| !server.upstreams.contains(&port));
    stage.clients.remove(&port);
    stage.watched.remove(&port);
    stage.servers.insert(port, Server { part: name, upstreams: upstreams.to_vec() });
    let links = upstreams.iter().find_map(|upstream| stage.watched.get(upstream).and_then(Weak::upgrade));
    if let Some(links) = links {
        stage.watched.insert(port, std::sync::Arc::downgrade(&links));
        drop(stage);
        links.watch(&[port]);
    }
}

/// The links of what sends on to `port` from now on belong to this capture.
pub(crate) fn watched(port: u16, links: &Weak<Links>) {
    stage().watched.insert(port, links.clone());
}

/// The client `name` asks `port`.
pub(crate) fn asks(port: u16, name: &'static str) {
    stage().clients.entry(port).or_default().insert(name);
}

/// `port` and all ports that what comes to it is sent on to.
pub(crate) fn behind(port: u16) -> BTreeSet<u16> {
    let stage = stage();
    let (mut found, mut open) = (BTreeSet::new(), vec![port]);
    while let Some(port) = open.pop() {
        if found.insert(port) {
            open.extend(stage.servers.get(&port).into_iter().flat_map(|server| &server.upstreams));
        }
    }
    found
}

/// The part that listens on `port`.
pub(crate) fn at(port: u16) -> Option<&'static str> {
    stage().servers.get(&port).map(|server| server.part)
}

/// The parts that ask `port` directly: clients, and what sends on to it.
pub(crate) fn before(port: u16) -> BTreeSet<&'static str> {
    let stage = stage();
    let hops = stage.servers.values().filter(|server| server.upstreams.contains(&port)).map(|server| server.part);
    hops.chain(stage.clients.get(&port).into_iter().flatten().copied()).collect()
}

/// The whole way by its parts: `curl → nginx → authtap → Apache`.
pub(crate) fn way(listen: u16) -> String {
    let stage = stage();
    let mut front = ways_to(&stage, listen);
    front.sort();
    let front = if front.is_empty() { "nobody".to_owned() } else { front.join(" and ") };
    let name = |port: &u16| -> &'static str { stage.servers.get(port).map_or("?", |server| server.part) };
    let mut way = vec![front, name(&listen).to_owned()];
    let mut at = BTreeSet::from([listen]);
    loop {
        at = at.iter().filter_map(|port| stage.servers.get(port)).flat_map(|s| s.upstreams.clone()).collect();
        if at.is_empty() {
            return way.join(" → ");
        }
        let names: BTreeSet<&str> = at.iter().map(name).collect();
        let times = if at.len() > 1 && names.len() == 1 { format!("{} × ", at.len()) } else { String::new() };
        way.push(format!("{times}{}", names.into_iter().collect::<Vec<_>>().join(" or ")));
    }
}

/// The ways of clients to what listens on `port`, without it.
fn ways_to(stage: &Stage, port: u16) -> Vec<String> {
    let clients = stage.clients.get(&port).map(|clients| clients.iter().copied().collect::<Vec<_>>().join(", "));
    let hops = stage.servers.iter().filter(|(_, server)| server.upstreams.contains(&port));
    let through =
        hops.flat_map(|(hop, server)| ways_to(stage, *hop).into_iter().map(|way| format!("{way} → {}", server.part)));
    clients.into_iter().chain(through).collect()
}
