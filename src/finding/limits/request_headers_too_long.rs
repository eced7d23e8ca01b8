//! See the page below.

use std::net::IpAddr;
use std::time::Duration;

use crate::finding::memory::Memory;
use crate::finding::shared::subject;
use crate::finding::shared::subject::{Often, times};
use crate::finding::{Detect, Draft, Place, Raise, View};
use crate::model::Stamp;
use crate::model::finding::Basis;
use crate::model::http::LongHead;
use crate::model::page::PageAuthor;
use crate::track::turn::Turn;

finding! {
    /// ## What it is
    /// HTTP.sys, the part of Windows in front of IIS, refused a request because its header is too long. Most often it is the
    /// `Authorization` field of a user in many groups, or a heap of cookies: some users are hurt, and others are not.
    ///
    /// ## What authtap saw
    /// A 400 with HTTP.sys's own page, which says *Request Too Long* or *Header Field Too Long*, and the size of the
    /// head and of its longest field. When the server answers before the head has come whole, the sizes are what had come
    /// until then. Without the page's words the length of the page or of the head decides, and it is `inferred`. The
    /// summary also names the longest credentials that passed in this watch, to compare.
    ///
    /// ## Why it breaks
    /// HTTP.sys takes at most `MaxFieldLength` bytes in one header field and `MaxRequestBytes` in the request line and all
    /// fields together; both are 16384 unless set. A Kerberos ticket grows with each group, and base64 makes it a third
    /// longer. The request never reaches IIS: its log has no line for it, the HTTPERR log has one with `FieldLength` or
    /// `RequestLength`.
    ///
    /// ## Fix
    /// On the server, under `HKLM\System\CurrentControlSet\Services\HTTP\Parameters`, set the DWORDs `MaxFieldLength` (at most 65534) and
    /// `MaxRequestBytes` (at most 16777216), then restart the HTTP service (`net stop http /y`, start IIS again) or the machine.
    /// - Microsoft's rule for both: 4/3 of the ticket's bytes, and 200.
    /// - Fewer groups: *Active Directory Users and Computers > the user > Member Of*; nested groups and SID history count as well.
    /// - Kerberos once a connection and not with each request: `authPersistNonNTLM` (`appcmd set config "SITE" /section:windowsAuthentication /authPersistNonNTLM:true /commit:apphost`).
    /// - Cookies: clear the site's cookies on the client, and let the application set fewer or smaller ones.
    /// - Proxies on the way have limits of their own, which must be raised as well.
    ///
    /// Afterwards a request with a head of that size is answered by IIS.
    ///
    /// ## Not this when
    /// HTTP.sys refuses for another reason, such as *Invalid Hostname*; or the 400 or 431 comes from something that is
    /// not HTTP.sys (`intermediate-header-limit`).
    ///
    /// ## References
    /// - KB 2020943, KB 820129 (Http.sys registry settings), KB 327825 (MaxTokenSize)
    slug: "request-headers-too-long",
    title: "HTTP.sys refused a request because its headers are too long",
    severity: High,
    basis: Observed,
    schemes: [],
    cause: Server,
    consequence_of: [],
    since: "0.1.0",
}

/// HTTP.sys's default for `MaxFieldLength` and `MaxRequestBytes`.
const DEFAULT_LIMIT: u64 = 16_384;
/// Length of its page for a request that is too long.
const PAGE_BYTES: &str = "346";
/// A client that was quiet for so long begins anew.
const KEEP: Duration = Duration::from_hours(1);

/// Looks at each 400 of HTTP.sys.
#[derive(Debug, Default)]
pub(in crate::finding) struct Detector {
    seen: Memory<(IpAddr, u64), Often>,
    /// Bytes of the longest credentials that were not refused as too long.
    longest: usize,
}

impl Detect for Detector {
    fn entries(&self) -> usize {
        self.seen.len()
    }

    fn forgotten(&self) -> u64 {
        self.seen.forgotten()
    }

    fn on_turn(&mut self, turn: &Turn, _view: &View<'_>, _out: &mut Raise<'_>) {
        if let Some(field) = &turn.exchange.authorization
            && (200..=401).contains(&turn.status())
            && turn.status() != 400
        {
            self.longest = self.longest.max(field.token_bytes);
        }
    }

    fn on_end(&mut self, turn: &Turn, view: &View<'_>, out: &mut Raise<'_>) {
        if turn.status() != 400 {
            return;
        }
        let Some((basis, says)) = verdict(turn) else { return };
        let head = turn.exchange.request.long_head.as_deref();
        let field = head.map_or("", |h| h.field.as_str());
        let at = turn.exchange.times.end.unwrap_or(turn.at());
        let seen = self.seen.entry((turn.party, subject::key(field.to_ascii_lowercase())), at, view, Often::default);
        let Some(count) = seen.again() else { return };
        let sizes = sizes(head);
        let compare = match &turn.exchange.authorization {
            Some(field) if self.longest > 0 && field.token_bytes > self.longest => format!(
                "; its token has {} bytes, the longest that passed in this watch {}",
                field.token_bytes, self.longest
            ),
            None if self.longest > 0 && field.eq_ignore_ascii_case("authorization") => {
                format!("; the longest token that passed in this watch has {} bytes", self.longest)
            }
            _ => String::new(),
        };
        out.raise(
            at,
            Draft::new(
                basis,
                format!(
                    "HTTP.sys refused {} from {} on connection {} with 400{says}: {sizes}{compare}{}.",
                    turn.request_line(),
                    turn.party,
                    turn.exchange.connection,
                    times(count),
                ),
                Place::response(turn).says(format!("HTTP.sys's own 400{says}")),
            )
            .scheme(turn.scheme)
            .and(Place::request(turn).says(sizes)),
        );
    }

    fn on_time(&mut self, now: Stamp, _view: &View<'_>, _out: &mut Raise<'_>) {
        self.seen.expire(now, KEEP);
    }
}

/// How sure it is that HTTP.sys found the headers too long, and its words.
fn verdict(turn: &Turn) -> Option<(Basis, String)> {
    let page = turn.response()?.page.as_ref();
    let long = turn.exchange.request.long_head.as_deref();
    let own = page.is_some_and(|p| p.author == PageAuthor::HttpSys);
    match page.and_then(|p| p.says.as_deref()) {
        Some(says @ ("Request Too Long" | "Header Field Too Long")) if own => {
            return Some((Basis::Observed, format!(" \"{says}\"")));
        }
        Some(_) => return None,
        None => {}
    }
    let banner = turn.response_header("server").is_some_and(|s| s.trim_start().starts_with("Microsoft-HTTPAPI/"));
    let by_length = turn.response_header("content-length").is_some_and(|l| l.trim() == PAGE_BYTES);
    let over = long.is_some_and(|h| h.bytes > DEFAULT_LIMIT || !h.whole);
    (banner && (by_length || over)).then(|| (Basis::Inferred, String::new()))
}

/// The sizes in words, and which limit they meet.
pub(super) fn sizes(head: Option<&LongHead>) -> String {
    let Some(head) = head else {
        return "its head has less than 4 KiB, so the limits (MaxFieldLength, MaxRequestBytes) must have been lowered"
            .to_owned();
    };
    let (has, of) = if head.whole { ("its head has", "") } else { ("of its head had come", " so far") };
    let limit = if head.field_bytes > DEFAULT_LIMIT {
        ", more than the 16384 that MaxFieldLength allows unless set"
    } else if head.bytes > DEFAULT_LIMIT {
        "; together more than the 16384 that MaxRequestBytes allows unless set"
    } else {
        ""
    };
    format!("{has} {} bytes{of}, of which `{}` {}{limit}", head.bytes, head.field, head.field_bytes)
}
