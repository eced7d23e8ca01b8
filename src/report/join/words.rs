//! What the logs said, in words.

use super::view::{Found, IisLog, Kind, LogFile, Offset};
use crate::model::Stamp;
use crate::report::text::{counted, grouped};

/// Paragraphs and list items, in order.
pub fn paragraphs(x: &IisLog) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for file in &x.files {
        out.push(one_file(file));
        out.extend(file.damage.iter().map(|damage| format!("- {damage}")));
        let untold = file.damaged.saturating_sub(file.damage.len() as u64);
        if untold > 0 {
            out.push(format!("- {} more could not be read", grouped(untold)));
        }
        out.extend(file.remarks.iter().map(|remark| format!("- {remark}")));
        out.extend(file.offset.map(|offset| format!("- {}", clock(offset))));
    }
    out.push(refusals(x.refusals));
    if x.httperr > 0 {
        out.push(format!("HTTPERR has {} of these connections.", counted(x.httperr, "line", "lines")));
    }
    if !x.codes.is_empty() {
        out.push("What IIS logged for the refusals whose lines are sure:".to_owned());
        for (code, count) in &x.codes {
            let called = code.called().map(|name| format!(" ({name})")).unwrap_or_default();
            out.push(format!("- {} × {code}{called}", grouped(*count)));
        }
    }
    match (x.proved, x.corrected) {
        (0, 0) => {}
        (proved, 0) => out.push(format!("The logs prove {}.", counted(proved, "finding", "findings"))),
        (0, corrected) => out.push(format!("The logs correct {}.", counted(corrected, "finding", "findings"))),
        (proved, corrected) => out.push(format!(
            "The logs prove {} and correct {}.",
            counted(proved, "finding", "findings"),
            grouped(corrected)
        )),
    }
    out.extend(x.limits.iter().map(|limit| format!("Not all was compared: {limit}.")));
    out
}

fn one_file(file: &LogFile) -> String {
    let name = &file.name;
    let kind = match file.kind {
        Kind::Empty => return format!("{name}: the log is empty."),
        Kind::OnlyHeadings => {
            return format!(
                "{name}: the log has headings and no line: nothing was logged, or HTTP.sys has not written it yet."
            );
        }
        Kind::Foreign => return format!("{name}: nothing was read from it."),
        Kind::Repeated => return format!("{name}: named before."),
        Kind::W3c => "a site's log",
        Kind::HttpErr => "an HTTPERR log",
    };
    let covers = file
        .covers
        .map_or_else(String::new, |(first, last)| format!(" from {} to {} by its clock", second(first), second(last)));
    let damaged =
        if file.damaged > 0 { format!(", {} could not be read", grouped(file.damaged)) } else { String::new() };
    format!(
        "{name}: {kind}, {}{covers}{damaged}; {} within the time of the captures, {} matched.",
        counted(file.lines, "line", "lines"),
        grouped(file.in_period),
        grouped(file.matched),
    )
}

fn clock(offset: Offset) -> String {
    let size = if offset.ahead.abs() < 1_000_000 {
        "the server's clock agrees with authtap's to the second".to_owned()
    } else {
        let way = if offset.ahead < 0 { "behind" } else { "ahead of" };
        format!("the server's clock is {} {way} authtap's", duration(offset.ahead))
    };
    let zone = offset.zone.map_or_else(String::new, |minutes| {
        let sign = if minutes < 0 { '-' } else { '+' };
        let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
        format!(
            ": its times look like local time (UTC{sign}{hours:02}:{rest:02}). IIS writes UTC, so something else wrote or \
             changed this log"
        )
    });
    let by = match (offset.of_others, offset.sure) {
        (true, _) => "by the other logs; this one has too few lines of the captures".to_owned(),
        (false, true) => format!("by {}", counted(offset.requests, "request", "requests")),
        (false, false) => format!(
            "a guess, by {}: too few, or too much alike, to be sure, so no match with this log is",
            counted(offset.requests, "request", "requests")
        ),
    };
    format!("{size}{zone} ({by}, give or take {})", duration(offset.spread.max(500_000)))
}

fn refusals(found: Found) -> String {
    if found.total() == 0 {
        return "The captures hold no answer with status 401.".to_owned();
    }
    let parts: Vec<String> = [
        (found.exact, "by the port of the connection (certain)"),
        (found.unique, "as the only line that fits"),
        (found.agreed, "as one of several that say the same"),
        (found.ambiguous, "as one of several, which is not sure"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, how)| format!("{} {how}", grouped(n)))
    .collect();
    let mut text = format!(
        "Of {} with status 401, {} found in the logs",
        counted(found.total(), "answer", "answers"),
        match found.matched() {
            0 => "none was".to_owned(),
            1 => "1 was".to_owned(),
            n => format!("{} were", grouped(n)),
        }
    );
    if !parts.is_empty() {
        text = format!("{text}: {}", parts.join(", "));
    }
    if found.unmatched > 0 {
        let have = if found.unmatched == 1 { "has" } else { "have" };
        text = format!(
            "{text}. {} {have} no line: it may be in another file, or not yet written by HTTP.sys",
            grouped(found.unmatched)
        );
    }
    format!("{text}.")
}

fn duration(micros: i64) -> String {
    let tenths = micros.unsigned_abs() / 100_000;
    let seconds = tenths / 10;
    match seconds {
        0..120 => format!("{seconds}.{} s", tenths % 10),
        120..7_200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// To the second.
fn second(at: Stamp) -> String {
    let text = at.to_string();
    text.get(..19).map_or(text.clone(), |short| short.replace('T', " "))
}
