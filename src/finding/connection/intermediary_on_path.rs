//! See the page below.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::hops::crowd;
use crate::finding::shared::product;
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::finding::{Basis, Evidence};
use crate::model::short::short;
use crate::model::{ConnectionId, Stamp};
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// Clients do not reach authtap straight, or authtap does not reach the site straight: something stands in between.
    /// That is no failure. It is told because whatever tears handshakes apart is most often such a hop.
    ///
    /// ## What authtap saw
    /// Requests of one address that carry `Via`, `Forwarded`, `X-Forwarded-*` or another field that hops add, on at least
    /// two connections or in eight requests; cookies or fields that only one product uses; answers that a balancer has
    /// signed; or three machines and more (by their NTLM machine ids or workstations) behind one address. Told once for each
    /// address, a minute after the first sign or at the end of the watch. Several machines alone are `inferred`: a router
    /// that translates addresses looks the same.
    ///
    /// ## Why it breaks
    /// A hop that passes TCP through, or keeps one server connection for each client connection, breaks nothing. One that
    /// shares connections between clients, ends TLS with a certificate of its own, folds challenges into one field or
    /// limits header sizes does; the other findings tell.
    ///
    /// ## Fix
    /// Nothing has to be done for this alone. To see more:
    /// - Name the hop in `trusted-proxies` of the configuration: what it writes about its clients then counts.
    /// - When another finding blames a hop, put a second authtap on its other side, and compare the two captures.
    /// - Known not to pass Windows authentication through as it is: Azure Application Gateway v2, Service Fabric's reverse proxy, YARP and Envoy without their settings for it. A layer-4 load balancer does.
    ///
    /// Afterwards findings name the client, and not the hop, as whose logon it is.
    ///
    /// ## Not this when
    /// No field, cookie or name gives a hop away: a layer-4 balancer shows nothing. `Proxy-Support` in an answer is no
    /// sign, since IIS sends it too. A client may write any of these fields by itself.
    ///
    /// ## References
    /// - RFC 9110 section 7.6.3 (Via); RFC 7239 (Forwarded); RFC 4559 section 6
    slug: "intermediary-on-path",
    title: "Something stands between the clients, authtap and the site",
    severity: Info,
    basis: Observed,
    schemes: [],
    cause: Intermediary,
    consequence_of: [],
    since: "0.1.0",
}

/// So long after the first sign, what is known is told.
const GATHERED: Duration = Duration::from_mins(1);
/// One request may be written by hand: so many are a hop.
const REQUESTS: u32 = 8;
/// More signs than these make no clearer sentence.
const MOST_SIGNS: usize = 8;

/// Request fields that hops add, in lower case.
const FIELDS: [&str; 13] = [
    "via",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "x-originating-ip",
    "front-end-https",
];

/// What is known of one address.
#[derive(Debug, Default)]
struct Hop {
    since: Stamp,
    first: Option<Evidence>,
    /// Signs before authtap: fields, with what `Via` says.
    signs: Vec<String>,
    /// Products, and by what; `true` for those that answers name.
    products: Vec<(&'static str, String, bool)>,
    requests: u32,
    connection: Option<ConnectionId>,
    connections: u32,
    told: bool,
}

/// Gathers what each address shows of the hops before it.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    hops: Memory<IpAddr, Hop>,
    /// Addresses with signs that are not told yet, oldest first.
    due: VecDeque<(Stamp, IpAddr)>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.hops.len() + self.due.len()
    }

    fn forgotten(&self) -> u64 {
        self.hops.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, view: &View<'_>, _out: &mut Raise<'_>) {
        if self.hops.get(&turn.peer).is_some_and(|hop| hop.told) {
            return;
        }
        let e = &turn.exchange;
        let fields = e.request.headers.iter().any(|h| is_a_sign(&h.name));
        let mut products: Vec<(&'static str, String, bool)> = Vec::new();
        product::of_request(&e.request, |product, by| products.push((product, by, false)));
        if let Some(response) = turn.response() {
            product::of_response(response, |product, by| products.push((product, by, true)));
        }
        let crowded = turn.authenticate().is_some() && crowd(turn.peer, view).is_some();
        if !fields && products.is_empty() && !crowded {
            return;
        }
        let known = self.hops.get(&turn.peer).is_some();
        let hop = self.hops.entry(turn.peer, turn.at(), view, Hop::default);
        if !known {
            hop.since = turn.at();
            self.due.push_back((turn.at(), turn.peer));
            if self.due.len() > view.settings.limits.remembered {
                self.due.pop_front();
            }
        }
        hop.note(turn, fields, products);
    }

    fn on_time(&mut self, now: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        while let Some((since, peer)) = self.due.front().copied() {
            if now.since(since) < GATHERED {
                break;
            }
            self.due.pop_front();
            self.tell(peer, now, view, out);
        }
    }

    fn on_stop(&mut self, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        for (_, peer) in std::mem::take(&mut self.due) {
            self.tell(peer, at, view, out);
        }
    }
}

fn is_a_sign(name: &str) -> bool {
    FIELDS.iter().any(|f| f.len() == name.len() && name.eq_ignore_ascii_case(f))
}

impl Hop {
    fn note(&mut self, turn: &Turn, fields: bool, products: Vec<(&'static str, String, bool)>) {
        let e = &turn.exchange;
        for header in e.request.headers.iter().filter(|h| fields && is_a_sign(&h.name)) {
            let sign = if header.name.eq_ignore_ascii_case("via") {
                format!("`Via: {}`", short(&header.value))
            } else {
                format!("`{}`", header.name)
            };
            if self.signs.len() < MOST_SIGNS && !self.signs.contains(&sign) {
                self.signs.push(sign);
            }
        }
        for (product, by, answer) in products {
            if self.products.len() < MOST_SIGNS && !self.products.iter().any(|p| p.0 == product) {
                self.products.push((product, by, answer));
            }
        }
        self.requests += 1;
        if self.connection != Some(e.connection) {
            self.connection = Some(e.connection);
            self.connections += 1;
        }
        if self.first.is_none() {
            let says = match (self.signs.as_slice(), self.products.first()) {
                ([], Some((product, by, _))) => format!("{by}, which is {product}'s"),
                ([], None) => "a logon of one more machine behind this address".to_owned(),
                (signs, _) => format!("a request that carries {}", signs.join(", ")),
            };
            let place = if self.products.first().is_some_and(|p| p.2) && self.signs.is_empty() {
                Place::response(turn)
            } else {
                Place::request(turn)
            };
            self.first = Some(place.says(says));
        }
    }
}

impl Detector {
    fn tell(&mut self, peer: IpAddr, at: Stamp, view: &View<'_>, out: &mut Raise<'_>) {
        let Some(hop) = self.hops.get_mut(&peer) else { return };
        let crowd = crowd(peer, view);
        let shown = hop.connections > 1 || hop.requests >= REQUESTS;
        let (signs, products) = if shown { (&*hop.signs, &*hop.products) } else { (&[][..], &[][..]) };
        if signs.is_empty() && products.is_empty() && crowd.is_none() {
            // Not enough to tell; its next sign begins anew.
            self.hops.remove(&peer);
            return;
        }
        let Some(first) = hop.first.take() else { return };
        hop.told = true;
        let before = |answer: bool| -> Vec<String> {
            let list = products.iter().filter(|p| p.2 == answer);
            list.map(|(product, by, _)| format!("{product} (by {by})")).collect()
        };
        let mut parts: Vec<String> = Vec::new();
        if !signs.is_empty() {
            let named = view.site.peer(peer).map(|p| &p.clients).filter(|c| c.count() > 0);
            let clients = named.map(|c| format!(", and name {} client(s)", c.told())).unwrap_or_default();
            parts.push(format!("requests from {peer} carry {}{clients}", signs.join(", ")));
        }
        if !before(false).is_empty() {
            parts.push(format!("they name {}", before(false).join(" and ")));
        }
        if !before(true).is_empty() {
            parts.push(format!("answers to {peer} come through {}, behind authtap", before(true).join(" and ")));
        }
        let header_signs = !parts.is_empty();
        if let Some(crowd) = crowd {
            parts.push(format!("{crowd} log on from {peer}"));
        }
        let trusted = view.settings.trusted_proxies.iter().any(|n| n.contains(peer));
        let (basis, conclusion) = match (header_signs, trusted) {
            (true, true) => (Basis::Observed, "it is one of trusted-proxies"),
            (true, false) => {
                (Basis::Observed, "it is not among trusted-proxies, so its word about clients counts little")
            }
            (false, _) => (
                Basis::Inferred,
                "most likely a hop in front, or else a router that translates many addresses to this one",
            ),
        };
        out.raise(at, Draft::new(basis, format!("{}: {conclusion}.", capital(&parts.join("; "))), first));
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}
