//! A hop's other side, made of what came in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use authtap::model::event::{ConnectionClose, ConnectionOpen};
use authtap::model::transport::{Addresses, By, End, How};
use authtap::model::{ConnectionId, Stamp};
use authtap::wire::observation::{Observation, Seen};

use super::{address, again};

/// Where a hop sends a request: its own connection, from where, to where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Onward {
    pub(super) connection: u64,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
}

/// On connection `connection`, from the hop at `ip` to a server.
pub(super) fn onward(connection: u64, ip: &str, to: &str) -> Onward {
    let port = 40_000 + u16::try_from(connection % 20_000).expect("small");
    Onward { connection, from: SocketAddr::new(ip.parse().expect("an address"), port), to: address(to) }
}

/// What a hop sends on of what came in: each request a little later, each answer a little earlier; `clock` is what the
/// clock there is ahead, in microseconds. Requests that it keeps for itself go nowhere.
pub(super) fn behind(
    before: &[Observation],
    clock: i64,
    mut route: impl FnMut(u64, u32) -> Option<Onward>,
) -> Vec<Observation> {
    let shift = |stamp: Stamp| Stamp(stamp.0 + clock);
    let mut out: Vec<Observation> = Vec::new();
    let mut open: BTreeMap<u64, u32> = BTreeMap::new();
    let mut places: BTreeMap<(u64, u32), (u64, u32)> = BTreeMap::new();
    let last = before.last().map_or(Stamp(0), |o| o.at);
    for observation in before {
        let mut made = again(observation);
        match &mut made.what {
            Seen::Exchange(id, raw) => {
                let Some(to) = route(id.0, raw.exchange) else { continue };
                let number = open.entry(to.connection).or_insert_with(|| {
                    let addresses = Addresses { client: to.from, upstream: Some(to.to), upstream_local: Some(to.from) };
                    let connection = ConnectionId(to.connection);
                    let opened =
                        ConnectionOpen { connection, addresses, tls: None, upstream_tls: None, begun_before: false };
                    let at = Stamp(raw.times.request.0 + 1 + clock);
                    out.push(Observation { at, what: Seen::Opened(Box::new(opened)) });
                    0
                });
                *number += 1;
                places.insert((id.0, raw.exchange), (to.connection, *number));
                *id = ConnectionId(to.connection);
                raw.exchange = *number;
                raw.times.request.0 += 1 + clock;
                raw.times.request_head.0 += 1 + clock;
                raw.times.response_head = raw.times.response_head.map(|at| Stamp(at.0 - 1 + clock));
                made.at.0 -= 1;
            }
            Seen::Ended(id, ended) => {
                let Some((connection, number)) = places.get(&(id.0, ended.exchange)) else { continue };
                *id = ConnectionId(*connection);
                ended.exchange = *number;
                ended.end = shift(ended.end);
                for at in [&mut ended.request_body_at, &mut ended.request_end, &mut ended.response_body_at] {
                    *at = at.map(shift);
                }
            }
            _ => continue,
        }
        made.at = shift(made.at);
        out.push(made);
    }
    for (connection, exchanges) in open {
        let close = ConnectionClose {
            connection: ConnectionId(connection),
            end: End { by: By::Client, how: How::Fin, errno: None, detail: None },
            mid_handshake: false,
            client_bytes: 1,
            upstream_bytes: 1,
            exchanges,
            duration: Duration::from_secs(1),
        };
        out.push(Observation { at: shift(last), what: Seen::Closed(Box::new(close)) });
    }
    out
}

/// All in the order of time, as a capture has it.
pub(super) fn merged(parts: Vec<Vec<Observation>>) -> Vec<Observation> {
    let mut all: Vec<Observation> = parts.into_iter().flatten().collect();
    all.sort_by_key(|o| o.at);
    all
}
