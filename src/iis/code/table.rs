//! The data files, read once.

use std::sync::LazyLock;

use super::{Confidence, Family, HttpErr, Kerberos, Row, Substatus, Text, Triple, Win32};

const TRIPLES: &str = include_str!("../data/triples.tsv");
const SUBSTATUS: &str = include_str!("../data/substatus.tsv");
const WIN32: &str = include_str!("../data/win32.tsv");
const KERBEROS: &str = include_str!("../data/kerberos.tsv");
const HTTPERR: &str = include_str!("../data/httperr.tsv");

static TRIPLE_ROWS: LazyLock<Vec<Triple>> = LazyLock::new(|| rows(TRIPLES, triple_row));
static SUBSTATUS_ROWS: LazyLock<Vec<Substatus>> = LazyLock::new(|| rows(SUBSTATUS, substatus_row));
static WIN32_ROWS: LazyLock<Vec<Win32>> = LazyLock::new(|| rows(WIN32, win32_row));
static KERBEROS_ROWS: LazyLock<Vec<Kerberos>> = LazyLock::new(|| rows(KERBEROS, kerberos_row));
static HTTPERR_ROWS: LazyLock<Vec<HttpErr>> = LazyLock::new(|| rows(HTTPERR, httperr_row));

/// The row of a status with its substatus.
pub fn substatus(status: u16, substatus: u16) -> Option<&'static Substatus> {
    SUBSTATUS_ROWS.iter().find(|r| r.status == status && r.substatus == substatus)
}

/// The row of a code as IIS logs it. A Win32 error in the form of an HRESULT, and an NTSTATUS in that form
/// (MS-ERREF section 2.1, bits N and facility 7), finds the row of the code inside.
pub fn win32(code: u32) -> Option<&'static Win32> {
    let exact = |code| WIN32_ROWS.iter().find(|r| r.code == code);
    exact(code).or_else(|| match code.to_be_bytes() {
        [0x80, 0x07, high, low] => exact(u32::from(u16::from_be_bytes([high, low]))),
        [first, second, high, low] if first & 0xF0 == 0xD0 => {
            exact(u32::from_be_bytes([first & 0xEF, second, high, low]))
        }
        _ => None,
    })
}

/// The row of a Kerberos error code.
pub fn kerberos(code: i32) -> Option<&'static Kerberos> {
    KERBEROS_ROWS.iter().find(|r| r.code == code)
}

/// The row of a reason of the HTTPERR log, in any case.
pub fn httperr(reason: &str) -> Option<&'static HttpErr> {
    HTTPERR_ROWS.iter().find(|r| r.reason.eq_ignore_ascii_case(reason))
}

/// The row of status, substatus and win32 status together.
pub fn triple(status: u16, substatus: u16, win32: u32) -> Option<&'static Triple> {
    TRIPLE_ROWS.iter().find(|r| (r.status, r.substatus, r.win32) == (status, substatus, win32))
}

/// Every row, list by list, for `--list`.
pub fn all() -> impl Iterator<Item = Row> {
    TRIPLE_ROWS
        .iter()
        .map(Row::Triple)
        .chain(SUBSTATUS_ROWS.iter().map(Row::Substatus))
        .chain(WIN32_ROWS.iter().map(Row::Win32))
        .chain(KERBEROS_ROWS.iter().map(Row::Kerberos))
        .chain(HTTPERR_ROWS.iter().map(Row::HttpErr))
}

/// Lines of a file, its heading left out. A row that cannot be read is left out as well: a test counts them.
fn rows<T>(file: &'static str, read: impl Fn(&'static str) -> Option<T>) -> Vec<T> {
    file.lines().skip(1).filter_map(read).collect()
}

/// Exactly `N` cells, none empty.
fn cells<const N: usize>(line: &'static str) -> Option<[&'static str; N]> {
    let mut cells = [""; N];
    let mut rest = line.split('\t');
    for cell in &mut cells {
        *cell = rest.next().filter(|c| !c.trim().is_empty())?;
    }
    rest.next().is_none().then_some(cells)
}

fn text([means, here, advice, confidence, here_confidence, source]: [&'static str; 6]) -> Option<Text> {
    Some(Text {
        means,
        here,
        advice,
        confidence: Confidence::of(confidence)?,
        here_confidence: Confidence::of(here_confidence)?,
        source,
    })
}

fn aliases(cell: &'static str) -> Vec<&'static str> {
    cell.split(' ').filter(|a| *a != "-").collect()
}

fn triple_row(line: &'static str) -> Option<Triple> {
    let [status, substatus, win32, name, rest @ ..] = cells::<10>(line)?;
    Some(Triple {
        status: status.parse().ok()?,
        substatus: substatus.parse().ok()?,
        win32: win32.parse().ok()?,
        name,
        text: text(rest)?,
    })
}

fn substatus_row(line: &'static str) -> Option<Substatus> {
    let [status, substatus, name, rest @ ..] = cells::<9>(line)?;
    Some(Substatus { status: status.parse().ok()?, substatus: substatus.parse().ok()?, name, text: text(rest)? })
}

fn win32_row(line: &'static str) -> Option<Win32> {
    let [code, hex, name, other, family, rest @ ..] = cells::<11>(line)?;
    let code = code.parse().ok()?;
    if u32::from_str_radix(hex.strip_prefix("0x")?, 16).ok()? != code {
        return None;
    }
    let family = match family {
        "win32" => Family::Win32,
        "hresult" => Family::HResult,
        "sspi" => Family::Sspi,
        "cert" => Family::Certificate,
        "ntstatus" => Family::NtStatus,
        _ => return None,
    };
    Some(Win32 { code, name, aliases: aliases(other), family, text: text(rest)? })
}

fn kerberos_row(line: &'static str) -> Option<Kerberos> {
    let [code, name, other, side, rest @ ..] = cells::<10>(line)?;
    let at_server = match side {
        "ap" => true,
        "kdc" => false,
        _ => return None,
    };
    Some(Kerberos { code: code.parse().ok()?, name, aliases: aliases(other), at_server, text: text(rest)? })
}

fn httperr_row(line: &'static str) -> Option<HttpErr> {
    let [reason, status, rest @ ..] = cells::<8>(line)?;
    let status = if status == "-" { None } else { Some(status.parse().ok()?) };
    Some(HttpErr { reason, status, text: text(rest)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A row that does not parse would vanish from `explain` without a word.
    #[test]
    fn every_line_of_the_data_files_is_a_row() {
        for (file, read) in [
            (TRIPLES, TRIPLE_ROWS.len()),
            (SUBSTATUS, SUBSTATUS_ROWS.len()),
            (WIN32, WIN32_ROWS.len()),
            (KERBEROS, KERBEROS_ROWS.len()),
            (HTTPERR, HTTPERR_ROWS.len()),
        ] {
            assert_eq!(file.lines().skip(1).count(), read, "of {:?}", file.lines().next());
        }
    }

    /// Two rows for one code would answer by chance; an unnamed source cannot be checked.
    #[test]
    fn keys_are_unique_and_every_row_is_sourced() {
        let mut keys = BTreeSet::new();
        for row in all() {
            assert!(keys.insert((row.list(), row.key())), "{} twice", row.key());
            let text = row.text();
            assert!(text.source.len() > 5, "{}", row.key());
            for sentence in [text.means, text.here, text.advice] {
                assert!(sentence.ends_with('.') && sentence.is_ascii(), "{}: {sentence}", row.key());
            }
        }
        let mut names = BTreeSet::new();
        for row in all() {
            for name in row.names() {
                assert!(names.insert(name.to_ascii_lowercase()), "{name} twice");
            }
        }
    }
}
