//! See the page below.

use std::net::IpAddr;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::subject;
use crate::finding::shared::subject::{Often, times};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::finding::Basis;
use crate::model::page::PageAuthor;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// Something between authtap and the application that is not IIS refused a request because its header is too long for
    /// it. Users in many groups, or with many cookies, cannot log on; others can.
    ///
    /// ## What authtap saw
    /// A 400 or 431 of another server than HTTP.sys and IIS. Words that nginx, Apache and others use for this, or a 431 with
    /// a `Server` field, make it `observed`. A 400 without words is `inferred` when a server named itself, ended the
    /// connection and the head had 8000 bytes or more, and `suspected` when nobody named himself: then it may be the
    /// application's own answer.
    ///
    /// ## Why it breaks
    /// Windows allows 16 KiB in one header field, and more when it is told to. Many proxies allow 8 KiB. A Kerberos token
    /// of a user in many groups passes the one and not the other.
    ///
    /// ## Fix
    /// Raise the limit of the server that the summary names, to at least that of IIS (16 KiB a field, 64 KiB in all).
    /// - nginx: `large_client_header_buffers 4 64k;` in `http` or in the default `server`.
    /// - HAProxy: `tune.bufsize 65536` in `global`.
    /// - Apache: `LimitRequestFieldSize 65536`, also in the first virtual host of the address.
    /// - Kestrel: `options.Limits.MaxRequestHeadersTotalSize = 65536`; Node.js: `--max-http-header-size=65536`; Tomcat: `maxHttpRequestHeaderSize`; Jetty: `requestHeaderSize`; Envoy: `max_request_headers_kb`.
    /// - F5: the HTTP profile's *Maximum Header Size*; NetScaler: the HTTP profile's *Max Header Length*.
    /// - Cloud balancers have fixed limits: there only shorter headers help, which means fewer groups or cookies.
    ///
    /// Afterwards a request with a head of that size gets its answer from IIS.
    ///
    /// ## Not this when
    /// HTTP.sys refuses (`request-headers-too-long`). A hop in *front* of authtap that refuses is not seen here at all: its
    /// requests never arrive.
    ///
    /// ## References
    /// - RFC 6585 section 5 (431); KB 2020943; nginx *large_client_header_buffers*; Apache *LimitRequestFieldSize*
    slug: "intermediate-header-limit",
    title: "Something that is not IIS refused a request because its headers are too long",
    severity: High,
    basis: Observed,
    schemes: [],
    cause: Intermediary,
    consequence_of: [],
    since: "0.1.0",
}

/// The lowest of the usual limits.
const USUAL_LIMIT: u64 = 8_000;
/// A client that was quiet for so long begins anew.
const KEEP: Duration = Duration::from_hours(1);

/// Looks at each 400 and 431.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    seen: Memory<(IpAddr, u64), Often>,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.seen.len()
    }

    fn forgotten(&self) -> u64 {
        self.seen.forgotten()
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        let status = turn.status();
        if !matches!(status, 400 | 431) {
            return;
        }
        let Some((basis, how)) = verdict(turn) else { return };
        let server = turn.response_header("server");
        let at = turn.exchange.times.end.unwrap_or(turn.at());
        let seen = self.seen.entry((turn.party, subject::key(server)), at, view, Often::default);
        let Some(count) = seen.again() else { return };
        let name = server.map_or_else(|| "A server that does not name itself".to_owned(), |s| format!("`{s}`"));
        let head = turn.exchange.request.long_head.as_deref();
        let sizes = head.map_or_else(
            || "its head has less than 4 KiB".to_owned(),
            |h| {
                let came = if h.whole { "its head has" } else { "of its head had come" };
                format!("{came} {} bytes, of which `{}` {}", h.bytes, h.field, h.field_bytes)
            },
        );
        let doubt =
            if basis == Basis::Suspected { "; or the application does not like something else of it" } else { "" };
        out.raise(
            at,
            Draft::new(
                basis,
                format!(
                    "{name} and not IIS refused {} from {} on connection {} with {status}{how}: {sizes}{doubt}{}.",
                    turn.request_line(),
                    turn.party,
                    turn.exchange.connection,
                    times(count),
                ),
                Place::response(turn).says(format!("{status}{how}")),
            )
            .scheme(turn.scheme)
            .and(Place::request(turn).says(sizes)),
        );
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.seen.expire(now, KEEP);
    }
}

/// How sure it is that something else than IIS found the headers too long, and its words.
fn verdict(turn: &Turn) -> Option<(Basis, String)> {
    let response = turn.response()?;
    let server = response.header("server").map(str::trim);
    let windows = |s: &str| s.starts_with("Microsoft-HTTPAPI/") || s.starts_with("Microsoft-IIS/");
    let page = response.page.as_ref();
    let iis = |author| matches!(author, PageAuthor::HttpSys | PageAuthor::IisCustom | PageAuthor::IisDetailed);
    if server.is_some_and(windows) || page.is_some_and(|p| iis(p.author)) {
        return None;
    }
    match page.and_then(|p| p.says.as_deref()) {
        Some(
            says @ ("Request Header Or Cookie Too Large"
            | "Size of a request header field exceeds server limit"
            | "The number of request header fields exceeds this server's limit"
            | "Request Header Fields Too Large"
            | "Request header is too large"),
        ) => return Some((Basis::Observed, format!(" \"{says}\""))),
        Some(_) => return None,
        None => {}
    }
    if response.status == 431 {
        let basis = if server.is_some() { Basis::Observed } else { Basis::Inferred };
        return Some((basis, " (Request Header Fields Too Large)".to_owned()));
    }
    let head = turn.exchange.request.long_head.as_deref()?;
    let long = head.bytes >= USUAL_LIMIT || !head.whole;
    // An application's own 400 keeps the connection, mostly.
    if !long || !response.ends_connection() {
        return None;
    }
    Some((if server.is_some() { Basis::Inferred } else { Basis::Suspected }, String::new()))
}
