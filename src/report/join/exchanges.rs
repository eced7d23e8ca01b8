//! The capture's side of the join: its exchanges, by what a log can say of them.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use super::key::{self, Key, Mask, Parts};
use super::view::Code;
use crate::model::auth::{AuthField, Ntlm, Token};
use crate::model::event::{Event, Exchange, What};
use crate::model::short::one_line;
use crate::model::{Stamp, TapId};

/// Exchanges with a refusal or with authentication that are kept.
pub const MAX_EXCHANGES: usize = 400_000;
/// Others that are kept: they only help to tell the offset of the clocks.
const MAX_OTHERS: usize = 50_000;
/// Connections that are kept.
const MAX_CONNECTIONS: usize = 1_000_000;
/// Characters of a method, a target or a user that are kept for a sentence.
const MAX_SHOWN: usize = 200;

/// Where an exchange is: the tap's place in the list of taps, the connection, the exchange.
pub(super) type Place = (usize, u64, u32);

/// What a request brought and what became of it, as far as it limits what IIS can have logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A 401 to a request without credentials.
    Anonymous,
    /// A 401 with a CHALLENGE.
    Challenge,
    /// Another 401, to credentials of a scheme that was offered.
    Refused,
    /// Anything else.
    Other,
}

/// An exchange.
#[derive(Debug, Clone)]
pub(super) struct Ex {
    pub(super) place: Place,
    /// When its last byte passed.
    pub(super) end: Stamp,
    pub(super) class: Class,
    pub(super) parts: Parts,
    /// The substatus that a detailed page told.
    pub(super) substatus: Option<u16>,
    /// The address that IIS sees.
    pub(super) local: Option<SocketAddr>,
    /// IIS's address, as dialled.
    pub(super) upstream: Option<IpAddr>,
    /// Of refusals, for a sentence.
    pub(super) shown: Option<Box<Shown>>,
}

/// What a sentence about an exchange needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) request: String,
    pub(super) user: Option<String>,
}

impl Ex {
    /// Whether IIS can have logged this code for it.
    pub(super) fn fits(&self, code: Code) -> bool {
        if self.parts.status != code.status {
            return false;
        }
        let (Some(substatus), Some(win32)) = (code.substatus, code.win32) else { return true };
        if self.substatus.is_some_and(|page| page != substatus) {
            return false;
        }
        // An error of a security package: it was given a token.
        let package = win32 >> 16 == 0x8009;
        match self.class {
            Class::Anonymous => !(substatus == 1 && package),
            // Which of these three a CHALLENGE is logged as depends on the version (KB 907273).
            Class::Challenge => matches!((substatus, win32), (1, 0 | NO_CREDENTIALS) | (2, NO_CREDENTIALS)),
            Class::Refused => (substatus, win32) != (2, 5),
            Class::Other => true,
        }
    }
}

/// SEC_E_NO_CREDENTIALS.
pub(super) const NO_CREDENTIALS: u32 = 0x8009_030E;

/// A connection, as HTTP.sys sees it.
#[derive(Debug, Clone)]
pub(super) struct Conn {
    pub(super) tap: usize,
    pub(super) id: u64,
    pub(super) open: Stamp,
    pub(super) close: Option<Stamp>,
    local: Option<SocketAddr>,
    upstream: Option<IpAddr>,
}

/// Takes events, of any tap and in any order.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) taps: Vec<TapId>,
    connections: HashMap<(usize, u64), Conn>,
    exchanges: Vec<Ex>,
    wanted: usize,
    others: usize,
    /// Exchanges and connections that were too many.
    pub(super) dropped: u64,
}

impl Collected {
    pub(super) fn take(&mut self, tap: &TapId, event: &Event) {
        let tap = self.taps.iter().position(|known| known == tap).unwrap_or_else(|| {
            self.taps.push(tap.clone());
            self.taps.len() - 1
        });
        match &event.what {
            What::ConnectionOpen(x) => {
                let conn = self.connection(tap, x.connection.0, event.at);
                if let Some(conn) = conn {
                    conn.open = conn.open.min(event.at);
                    conn.local = x.addresses.upstream_local;
                    conn.upstream = x.addresses.upstream.map(|a| a.ip().to_canonical());
                }
            }
            What::ConnectionClose(x) => {
                if let Some(conn) = self.connection(tap, x.connection.0, event.at) {
                    conn.close = Some(event.at);
                }
            }
            What::Exchange(x) => self.exchange(tap, x),
            _ => {}
        }
    }

    fn connection(&mut self, tap: usize, id: u64, at: Stamp) -> Option<&mut Conn> {
        if self.connections.len() >= MAX_CONNECTIONS && !self.connections.contains_key(&(tap, id)) {
            self.dropped += 1;
            return None;
        }
        let conn = Conn { tap, id, open: at, close: None, local: None, upstream: None };
        Some(self.connections.entry((tap, id)).or_insert(conn))
    }

    fn exchange(&mut self, tap: usize, x: &Exchange) {
        let Some(response) = &x.response else { return };
        let Some(end) = x.times.end.or(x.times.response_head) else { return };
        let wanted = response.status >= 400 || x.authorization.is_some() || !x.challenges.is_empty();
        let (count, most) = if wanted { (&mut self.wanted, MAX_EXCHANGES) } else { (&mut self.others, MAX_OTHERS) };
        if *count >= most {
            // Others that are too many lose nothing.
            self.dropped += u64::from(wanted);
            return;
        }
        *count += 1;
        let detail = response.page.as_ref().and_then(|page| page.detail.as_deref());
        self.exchanges.push(Ex {
            place: (tap, x.connection.0, x.exchange),
            end,
            class: class(x, response.status),
            parts: Parts {
                status: response.status,
                method: Some(key::method(x.request.method.as_bytes())),
                path: Some(key::path(key::path_of_target(&x.request.target).as_bytes())),
                agent: x.request.header("user-agent").map(|agent| key::agent(agent.as_bytes())),
                port: None,
            },
            substatus: detail.filter(|d| d.status == Some(response.status)).and_then(|d| d.substatus),
            local: None,
            upstream: None,
            shown: (response.status >= 400).then(|| {
                let request = format!("{} {}", x.request.method, key::path_of_target(&x.request.target));
                Box::new(Shown { request: cut(&request), user: x.authorization.as_ref().and_then(user) })
            }),
        });
    }

    /// All events are in: puts them in order.
    pub(super) fn index(mut self) -> Index {
        self.exchanges.sort_by_key(|ex| ex.place);
        // The same capture given twice.
        self.exchanges.dedup_by_key(|ex| ex.place);
        for ex in &mut self.exchanges {
            if let Some(conn) = self.connections.get(&(ex.place.0, ex.place.1)) {
                ex.local = conn.local.map(|a| SocketAddr::new(a.ip().to_canonical(), a.port()));
                ex.parts.port = conn.local.map(key::port);
                ex.upstream = conn.upstream;
            }
        }
        self.exchanges.sort_by_key(|ex| (ex.end, ex.place));
        let mut index = Index { exchanges: self.exchanges, taps: self.taps, ..Index::default() };
        let mut connections: Vec<Conn> = self.connections.into_values().collect();
        connections.sort_by_key(|c| (c.tap, c.id));
        for (place, conn) in connections.iter().enumerate() {
            index.upstreams.extend(conn.upstream);
            if let Some(local) = conn.local {
                index.locals.insert(local.ip().to_canonical());
                index.ports.entry(key::port(local)).or_default().push(place);
            }
        }
        index.connections = connections;
        for (place, ex) in index.exchanges.iter().enumerate() {
            index.statuses.insert(ex.parts.status);
            index.on_connection.entry((ex.place.0, ex.place.1)).or_default().push(place);
        }
        index
    }
}

/// The exchanges in the order of their ends, and the ways to find them.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) taps: Vec<TapId>,
    pub(super) exchanges: Vec<Ex>,
    pub(super) connections: Vec<Conn>,
    /// Addresses that IIS saw connections from.
    pub(super) locals: BTreeSet<IpAddr>,
    /// Addresses of IIS.
    pub(super) upstreams: BTreeSet<IpAddr>,
    statuses: BTreeSet<u16>,
    ports: HashMap<u64, Vec<usize>>,
    on_connection: HashMap<(usize, u64), Vec<usize>>,
    by_key: HashMap<Mask, HashMap<Key, Vec<usize>>>,
}

impl Index {
    /// Whether any exchange has this status.
    pub(super) fn has_status(&self, status: u16) -> bool {
        self.statuses.contains(&status)
    }

    /// Makes the parts of this mask searchable; a log uses few masks.
    pub(super) fn prepare(&mut self, mask: Mask) {
        if self.by_key.contains_key(&mask) {
            return;
        }
        let mut by_key: HashMap<Key, Vec<usize>> = HashMap::new();
        for (place, ex) in self.exchanges.iter().enumerate() {
            by_key.entry(ex.parts.key(mask)).or_default().push(place);
        }
        self.by_key.insert(mask, by_key);
    }

    /// Exchanges with this key, in the order of their ends; nothing for a mask that was not prepared.
    pub(super) fn with_key(&self, mask: Mask, key: Key) -> &[usize] {
        self.by_key.get(&mask).and_then(|keys| keys.get(&key)).map_or(&[], Vec::as_slice)
    }

    /// Connections from this address and port.
    pub(super) fn of_port(&self, address: SocketAddr) -> &[usize] {
        self.ports.get(&key::port(address)).map_or(&[], Vec::as_slice)
    }

    /// Exchanges of a connection.
    pub(super) fn on(&self, conn: &Conn) -> impl DoubleEndedIterator<Item = usize> + '_ {
        self.on_connection.get(&(conn.tap, conn.id)).into_iter().flatten().copied()
    }

    /// First and last moment.
    pub(super) fn period(&self) -> Option<(Stamp, Stamp)> {
        let ends = self.exchanges.iter().map(|ex| ex.end);
        let conns = self.connections.iter().flat_map(|c| [c.open, c.close.unwrap_or(c.open)]);
        ends.chain(conns).fold(None, |period, at| match period {
            None => Some((at, at)),
            Some((first, last)) => Some((at.min(first), at.max(last))),
        })
    }
}

fn class(x: &Exchange, status: u16) -> Class {
    let Some(sent) = &x.authorization else {
        return if status == 401 { Class::Anonymous } else { Class::Other };
    };
    if status != 401 {
        Class::Other
    } else if x.challenges.iter().any(|c| matches!(ntlm(&c.token), Some(Ntlm::Challenge(_)))) {
        Class::Challenge
    } else if x.challenges.iter().any(|c| c.scheme == sent.scheme) {
        Class::Refused
    } else {
        Class::Other
    }
}

fn ntlm(token: &Token) -> Option<&Ntlm> {
    match token {
        Token::Ntlm(ntlm) => Some(ntlm),
        Token::Spnego(spnego) => match spnego.inner.as_deref() {
            Some(Token::Ntlm(ntlm)) => Some(ntlm),
            _ => None,
        },
        _ => None,
    }
}

fn user(sent: &AuthField) -> Option<String> {
    let name = match (ntlm(&sent.token), &sent.token) {
        (Some(Ntlm::Authenticate(m)), _) if m.domain.is_empty() => m.user.clone(),
        (Some(Ntlm::Authenticate(m)), _) => format!("{}\\{}", m.domain, m.user),
        (_, Token::Basic(basic)) => basic.user.clone()?,
        (_, Token::Digest) => sent.params.iter().find(|(name, _)| name == "username")?.1.clone(),
        _ => return None,
    };
    (!name.is_empty()).then(|| cut(&name))
}

fn cut(text: &str) -> String {
    one_line(text).chars().take(MAX_SHOWN).collect()
}
