//! What was asked for, in whatever form it was copied from a log, a page or a tool.

use super::{Family, Row, all, httperr, kerberos, substatus, triple, win32};

/// A row that fits the query, and how it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The row.
    pub row: Row,
    /// In which sense the query names it, such as `as a Kerberos error code`.
    pub read_as: &'static str,
}

/// Prefixes that people leave out.
const PREFIXES: &[&str] =
    &["KRB_AP_ERR_", "KDC_ERR_", "KRB_ERR_", "SEC_E_", "ERROR_", "STATUS_", "CERT_E_", "CRYPT_E_"];

/// All rows that a query can mean, likeliest first; empty when none fits (then [`suggest`](super::suggest()) may help).
///
/// Understood: `401.1`; `401 1 2148074252` as IIS logs it; `401,2,0x80070005,17763` as a detailed page links it; `401` for
/// all its substatus; codes in decimal, signed, or hex; symbolic names and HTTPERR reasons in any case, also without
/// their prefix. A number that is several things answers with all of them.
pub fn lookup(query: &str) -> Vec<Answer> {
    let query = query.trim().trim_matches(['"', '\'', '`']);
    let mut found = Vec::new();
    let words: Vec<&str> = query.split([' ', '\t', ',', ';', '/', ':']).filter(|w| !w.is_empty()).collect();
    by_name(query, &mut found);
    by_status(&words, &mut found);
    if let [word] = words.as_slice() {
        by_number(word, &mut found);
    }
    if found.is_empty() && words.len() > 1 {
        // `HTTP Error 401.2 - Unauthorized`, `sc-win32-status 2148074252`: whatever of it is a code.
        for word in words.iter().take(16) {
            let word = word.trim_matches(['"', '\'', '(', ')', '.', '-']);
            by_name(word, &mut found);
            if word.contains('.') {
                by_status(&[word], &mut found);
            }
            if word.len() > 3 {
                by_number(word, &mut found);
            }
        }
    }
    found
}

fn add(found: &mut Vec<Answer>, row: Option<Row>, read_as: &'static str) {
    if let Some(row) = row
        && !found.iter().any(|a| a.row == row)
    {
        found.push(Answer { row, read_as });
    }
}

fn by_name(query: &str, found: &mut Vec<Answer>) {
    add(found, httperr(query).map(Row::HttpErr), "as a reason of the HTTPERR log");
    for row in all() {
        for name in row.names() {
            if name.eq_ignore_ascii_case(query) {
                add(found, Some(row), "by its name");
            } else if query.len() > 3 && bare(name).eq_ignore_ascii_case(query) {
                add(found, Some(row), "by its name without the prefix");
            }
        }
    }
}

/// A name without its family's prefix.
pub(super) fn bare(name: &str) -> &str {
    PREFIXES.iter().find_map(|p| name.strip_prefix(p)).unwrap_or(name)
}

/// `401`, `401.2`, `401 2`, `401.2 5`, `401 2 5`, and more behind it.
fn by_status(words: &[&str], found: &mut Vec<Answer>) {
    let Some((first, rest)) = words.split_first() else { return };
    let (status, sub, rest) = match first.split_once('.') {
        Some((status, sub)) => (status, Some(sub), rest),
        None => match rest.split_first() {
            Some((sub, rest)) => (*first, Some(*sub), rest),
            None => (*first, None, rest),
        },
    };
    let Some(status) = digits::<u16>(status).filter(|s| (100..600).contains(s)) else { return };
    let Some(sub) = sub else {
        for row in all() {
            match row {
                Row::Substatus(r) if r.status == status => add(found, Some(row), "as an HTTP status"),
                _ => {}
            }
        }
        return;
    };
    let Some(sub) = digits::<u16>(sub) else { return };
    let code = rest.first().and_then(|w| number(w));
    if let Some(code) = code {
        add(found, triple(status, sub, code).map(Row::Triple), "as status, substatus and win32 status");
        add(found, win32(code).map(Row::Win32), "as a win32 status");
    }
    add(found, substatus(status, sub).map(Row::Substatus), "as status and substatus");
}

fn by_number(word: &str, found: &mut Vec<Answer>) {
    if let Some(code) = number(word) {
        if let Some(row) = win32(code) {
            let read_as = match row.family {
                _ if row.code != code => "as the code inside of an HRESULT",
                Family::Win32 => "as a Win32 error",
                Family::HResult | Family::Sspi | Family::Certificate => "as an HRESULT",
                Family::NtStatus => "as an NTSTATUS",
            };
            add(found, Some(Row::Win32(row)), read_as);
        }
        if let Ok(code) = i32::try_from(code) {
            add(found, kerberos(code).map(Row::Kerberos), "as a Kerberos error code");
        }
    } else if word.len() == 8
        && word.starts_with(['8', 'c', 'C', 'd', 'D'])
        && let Ok(code) = u32::from_str_radix(word, 16)
    {
        add(found, win32(code).map(Row::Win32), "as hex");
    }
}

fn digits<T: std::str::FromStr>(word: &str) -> Option<T> {
    word.bytes().all(|b| b.is_ascii_digit()).then(|| word.parse().ok()).flatten()
}

/// Decimal, negative decimal as signed 32 bit, or hex with its prefix.
fn number(word: &str) -> Option<u32> {
    if let Some(hex) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        u32::from_str_radix(hex, 16).ok()
    } else if word.starts_with('-') {
        word.parse::<i32>().ok().map(i32::cast_unsigned)
    } else {
        digits(word)
    }
}
