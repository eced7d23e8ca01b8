//! IIS's detailed error page, in any language. What is translated is not read: ids, the order of rows and numbers stay.

use super::html;
use crate::model::finding::Basis;
use crate::model::page::PageDetail;

/// Longest value that is kept of a cell.
const VALUE_BYTES: usize = 256;

/// Reads a page as a detailed one; `None` when it is not, or when that cannot be seen yet.
pub(super) fn read(text: &str, status: u16) -> Option<(Basis, &'static str, PageDetail)> {
    let mut detail = PageDetail::default();
    let linked = link(text, &mut detail);
    let tables = tables(text, &mut detail);
    let titled = titles(text, status, &mut detail);
    // An application may show a page of its own that quotes one of these; not two.
    let found = match (linked, tables, titled) {
        (true, true, _) | (true, _, true) | (_, true, true) => {
            (Basis::Observed, "the tables, title or link of IIS's detailed error page")
        }
        (true, _, _) => (Basis::Inferred, "the link of IIS's detailed error page"),
        (_, true, _) => (Basis::Inferred, "the tables of IIS's detailed error page"),
        (_, _, true) if detail.iis_version.is_some() => {
            (Basis::Inferred, "the title of IIS's detailed error page, before the copy ends")
        }
        _ => return None,
    };
    Some((found.0, found.1, detail))
}

/// `IIS70Error=401,2,0x80070005,17763` in the link for more information, on every version since 7.0.
fn link(text: &str, detail: &mut PageDetail) -> bool {
    const MARK: &str = "IIS70Error=";
    let Some(at) = text.find(MARK) else { return false };
    let mut rest = text.get(at.saturating_add(MARK.len())..).unwrap_or_default();
    let Some(status) = number(&mut rest, 10, 3) else { return false };
    let Some(substatus) = number(&mut rest, 10, 5) else { return false };
    let (Ok(status), Ok(substatus)) = (u16::try_from(status), u16::try_from(substatus)) else { return false };
    detail.status = Some(status);
    detail.substatus = Some(substatus);
    if let Some(hex) = rest.strip_prefix("0x") {
        rest = hex;
        detail.hresult = number(&mut rest, 16, 8);
        detail.build = number(&mut rest, 10, 9);
    }
    true
}

/// A number that is whole: something else follows it. A comma is taken with it.
fn number(rest: &mut &str, radix: u32, longest: usize) -> Option<u32> {
    let length = rest.find(|c: char| !c.is_digit(radix)).filter(|l| *l <= longest)?;
    let value = u32::from_str_radix(rest.get(..length)?, radix).ok()?;
    let after = rest.get(length..)?;
    *rest = after.strip_prefix(',').unwrap_or(after);
    Some(value)
}

fn tables(text: &str, detail: &mut PageDetail) -> bool {
    let Some(left) = text.find("details-left\"") else { return false };
    let after = text.get(left..).unwrap_or_default();
    let (left, right) = match after.find("details-right\"") {
        Some(at) => after.split_at_checked(at).unwrap_or((after, "")),
        None => (after, ""),
    };
    let mut cells = html::elements(table(left), "td").map(html::text);
    detail.module = cells.next().and_then(kept);
    detail.notification = cells.next().and_then(kept);
    detail.handler = cells.next().and_then(kept);
    // The fourth; rows about configuration may follow it.
    for cell in cells.take(8) {
        if detail.hresult.is_none()
            && let Some(hex) = cell.strip_prefix("0x")
        {
            detail.hresult = u32::from_str_radix(hex, 16).ok();
        }
    }
    let mut cells = html::elements(table(right), "td").map(html::text);
    detail.shows_url = cells.next().is_some_and(|c| !c.is_empty());
    detail.shows_physical_path = cells.next().is_some_and(|c| !c.is_empty());
    detail.logon_method = cells.next().and_then(kept);
    detail.logon_user = cells.next().and_then(kept);
    detail.logged_on = logged_on(detail);
    true
}

/// The table that begins here, to its end or the copy's.
fn table(text: &str) -> &str {
    text.find("</table").or_else(|| text.find("</TABLE")).and_then(|end| text.get(..end)).unwrap_or(text)
}

/// Before anybody is logged on IIS writes the same words for method and user: English ones, or the language's.
fn logged_on(detail: &PageDetail) -> Option<bool> {
    let (method, user) = (detail.logon_method.as_deref()?, detail.logon_user.as_deref()?);
    if method == "Not yet determined" || user == "Not yet determined" {
        return Some(false);
    }
    if method != user {
        return Some(true);
    }
    // Anonymous is a logon as well; in other languages the two cannot be told apart.
    (method == "Anonymous").then_some(true)
}

fn kept(mut value: String) -> Option<String> {
    if value.is_empty() {
        return None;
    }
    if value.len() > VALUE_BYTES {
        let end = (0..=VALUE_BYTES).rev().find(|at| value.is_char_boundary(*at)).unwrap_or(0);
        value.truncate(end);
    }
    Some(value)
}

/// `IIS 10.0 Detailed Error - 401.2 - Unauthorized` and `HTTP Error 401.2 - Unauthorized`, in any language.
fn titles(text: &str, status: u16, detail: &mut PageDetail) -> bool {
    let mut found = false;
    for name in ["title", "h2", "h3"] {
        let Some(line) = html::element(text, name).map(html::text) else { continue };
        if let Some((_, after)) = line.split_once("IIS ") {
            let version = after.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
            if version.contains('.') && detail.iis_version.is_none() && name == "title" {
                detail.iis_version = Some(version.to_owned());
            }
        }
        let numbers = line.split(|c: char| !c.is_ascii_digit() && c != '.').filter_map(|word| {
            let (status, sub) = word.trim_end_matches('.').split_once('.')?;
            Some((status.parse::<u16>().ok()?, sub.parse::<u16>().ok()?))
        });
        for (whole, sub) in numbers.filter(|(s, _)| *s == status) {
            found = true;
            detail.status = detail.status.or(Some(whole));
            detail.substatus = detail.substatus.or(Some(sub));
        }
    }
    found
}
