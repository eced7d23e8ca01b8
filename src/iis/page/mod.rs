//! Error pages: which layer wrote one, and what a detailed one tells.
//!
//! HTTP.sys, IIS's custom page, IIS's detailed page and the application write bodies that differ in fixed places, also in
//! other languages. Two 401s that look alike in a browser can so be told apart, and a detailed page holds the substatus,
//! which no header has.

mod body;
mod detailed;
mod html;
mod words;

use std::borrow::Cow;

use crate::model::finding::Basis;
use crate::model::page::{Page, PageAuthor, PageDetail};
use body::Body;

/// A response, as far as its page is concerned.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// `Server`.
    pub server: Option<&'a [u8]>,
    /// `Content-Type`.
    pub content_type: Option<&'a [u8]>,
    /// `Content-Encoding`.
    pub content_encoding: Option<&'a [u8]>,
    /// `Content-Length`.
    pub content_length: Option<u64>,
    /// The request was HEAD: there is no body, whatever the length says.
    pub to_head: bool,
    /// The first bytes of the body, chunked coding taken off.
    pub body: &'a [u8],
    /// These are all bytes of the body.
    pub whole: bool,
}

/// Length of IIS's English custom page for 401, the same in captures from 2012 to 2026.
const CUSTOM_401_BYTES: u64 = 1293;
/// Length of HTTP.sys's pages for 401 and for 400 `Request Too Long`.
const HTTP_SYS_BYTES: [(u16, u64); 2] = [(401, 341), (400, 346)];
/// The title of IIS's English custom page for 401.
const CUSTOM_401_TITLE: &str = "401 - Unauthorized: Access is denied due to invalid credentials.";
/// A copy shorter than this may have been cut before the page shows what it is.
const TELLING_BYTES: usize = 1024;

/// Tells who wrote an answer's body.
pub fn classify(answer: &Answer<'_>) -> Page {
    let says_http_sys = answer.server.is_some_and(|s| starts_with_ignoring_case(s, b"Microsoft-HTTPAPI/"));
    if answer.to_head || (answer.body.is_empty() && (answer.whole || answer.content_length == Some(0))) {
        return without_body(answer, says_http_sys);
    }
    if answer.body.is_empty() {
        return page(PageAuthor::Unread, Basis::Observed, "no byte of the body was copied");
    }
    let Some(body) = body::read(answer) else {
        return page(PageAuthor::Unread, Basis::Observed, "its Content-Encoding is not one that authtap reads");
    };
    if body.text.is_empty() {
        return page(PageAuthor::Unread, Basis::Observed, "its compressed body could not be read");
    }
    let mut page = of_text(answer, &body, says_http_sys);
    // Pages of HTTP.sys and IIS come with each leg of a logon, and quote nobody.
    if page.author == PageAuthor::Application || answer.status >= 500 {
        let text = body.text.as_bytes();
        let found = BACK_END.iter().find(|words| memchr::memmem::find(text, words.as_bytes()).is_some());
        page.back_end = found.map(|words| Cow::Borrowed(*words));
    }
    // Words about the request itself.
    if matches!(answer.status, 400 | 411 | 431) {
        page.says = words::known(&body.text).map(Cow::Borrowed);
    }
    page
}

/// What the messages of databases, shares and services say when the server that called them came as nobody.
const BACK_END: [&str; 3] = ["ANONYMOUS LOGON", "Login failed for user", "The remote server returned an error: (401)"];

fn of_text(answer: &Answer<'_>, body: &Body, says_http_sys: bool) -> Page {
    let text = body.text.as_str();
    let found = detailed::read(text, answer.status);
    if let Some((basis, sign, detail)) = found {
        return detailed_page(basis, sign, detail);
    }
    if text.contains("4.01//EN\"\"http") && text.contains("<hr><p>HTTP Error ") {
        let basis = if says_http_sys { Basis::Observed } else { Basis::Inferred };
        return page(PageAuthor::HttpSys, basis, "the document type and error line of HTTP.sys's own page");
    }
    let title = html::element(text, "title").map(html::text);
    let heading = html::element(text, "h2").map(html::text);
    if let Some(title) = &title {
        if title == CUSTOM_401_TITLE {
            return page(PageAuthor::IisCustom, Basis::Observed, "the title of IIS's custom error page");
        }
        // In each language: status, dash, reason; the heading repeats the title.
        let numbered = is_numbered(title, answer.status);
        if numbered && heading.as_ref() == Some(title) {
            return page(PageAuthor::IisCustom, Basis::Inferred, "title and heading both begin with the status");
        }
        if numbered && heading.is_none() && !body.whole {
            return page(PageAuthor::IisCustom, Basis::Suspected, "its title begins with the status");
        }
    }
    let is_html = answer.content_type.is_none_or(|t| starts_with_ignoring_case(t, b"text/html"));
    if !is_html {
        return page(PageAuthor::Application, Basis::Inferred, "IIS writes its own pages as text/html");
    }
    if body.whole || text.len() >= TELLING_BYTES {
        return page(PageAuthor::Application, Basis::Inferred, "it is built as none of the pages of HTTP.sys and IIS");
    }
    if says_http_sys && has_own_length(answer) {
        return page(PageAuthor::HttpSys, Basis::Inferred, "the Server header and the length of HTTP.sys's own page");
    }
    page(PageAuthor::Unread, Basis::Observed, "the copy ends before the page shows what it is")
}

/// By the head alone.
fn without_body(answer: &Answer<'_>, says_http_sys: bool) -> Page {
    if says_http_sys && has_own_length(answer) {
        return page(PageAuthor::HttpSys, Basis::Inferred, "the Server header and the length of HTTP.sys's own page");
    }
    let says_iis = answer.server.is_some_and(|s| starts_with_ignoring_case(s, b"Microsoft-IIS/"));
    if says_iis && answer.status == 401 && answer.content_length == Some(CUSTOM_401_BYTES) {
        return page(PageAuthor::IisCustom, Basis::Suspected, "the length of IIS's English custom page");
    }
    page(PageAuthor::Nobody, Basis::Observed, "there is no body")
}

fn has_own_length(answer: &Answer<'_>) -> bool {
    HTTP_SYS_BYTES.iter().any(|(status, length)| *status == answer.status && answer.content_length == Some(*length))
}

/// `401 - …` or `401 — …`.
fn is_numbered(title: &str, status: u16) -> bool {
    let mut number = [0_u8; 3];
    for (digit, place) in number.iter_mut().zip(title.bytes()) {
        *digit = place;
    }
    std::str::from_utf8(&number).ok().and_then(|n| n.parse::<u16>().ok()) == Some(status)
        && title.get(3..).is_some_and(|rest| rest.trim_start().starts_with(['-', '–', '—']))
}

fn detailed_page(basis: Basis, sign: &'static str, detail: PageDetail) -> Page {
    Page {
        author: PageAuthor::IisDetailed,
        basis,
        sign: Cow::Borrowed(sign),
        back_end: None,
        says: None,
        detail: Some(Box::new(detail)),
    }
}

const fn page(author: PageAuthor, basis: Basis, sign: &'static str) -> Page {
    Page { author, basis, sign: Cow::Borrowed(sign), says: None, back_end: None, detail: None }
}

fn starts_with_ignoring_case(value: &[u8], prefix: &[u8]) -> bool {
    value.trim_ascii_start().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Bytes as text, whatever they are.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
