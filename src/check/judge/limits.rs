//! The server's clock, and how large a head may be.

use crate::check::Line;
use crate::check::facts::{Answer, Facts};

const SECOND: i64 = 1_000_000;
/// Above this, lines of two logs are hard to put together.
const FAR: i64 = 30 * SECOND;
/// Kerberos' usual tolerance.
const KERBEROS: i64 = 300 * SECOND;
/// IIS's own limit, `MaxFieldLength` and `MaxRequestBytes`, where nobody changed it.
const STOCK: usize = 16_384;

/// By the CHALLENGE's timestamp where there is one, else by `Date`, which has whole seconds.
pub(super) fn clock(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "clock";
    if facts.reach.speaks_the_other {
        return None;
    }
    let answered = |answer: &Option<Result<Answer, _>>| answer.as_ref().and_then(|a| a.as_ref().ok()).cloned();
    let challenged = answered(&facts.challenge);
    let told = challenged.as_ref().and_then(|answer| {
        let time = answer.ntlm()?.target_info.as_ref()?.timestamp?.stamp()?;
        Some((answer.clone(), time.0, 0, "the CHALLENGE"))
    });
    // Half a second into the second that `Date` names is the best guess.
    let dated = || answered(&facts.first).and_then(|a| Some((a.clone(), a.date?.0 + SECOND / 2, SECOND / 2, "`Date`")));
    let (answer, time, unsure, by) = told.or_else(dated)?;
    let half = answer.got.0.saturating_sub(answer.sent.0) / 2;
    let offset = time.saturating_sub(answer.sent.0.saturating_add(half));
    let unsure = unsure + half;
    let size = offset.saturating_abs();
    let words = if size <= unsure {
        format!("the server's clock agrees with this machine's within {} (by {by})", time_span(unsure))
    } else {
        let way = if offset > 0 { "ahead of" } else { "behind" };
        format!(
            "the server's clock is {} {way} this machine's, give or take {} (by {by})",
            time_span(size),
            time_span(unsure)
        )
    };
    Some(if size.saturating_sub(unsure) > KERBEROS {
        Line::warning(
            CHECK,
            format!("{words}: more than the five minutes that Kerberos allows"),
            "One of the two clocks is wrong: compare both with the domain controller's (`w32tm /monitor`). If it is the \
             server's, Kerberos logons fail; if it is this machine's, the times in the capture are wrong.",
        )
    } else if size.saturating_sub(unsure) > FAR {
        Line::warning(CHECK, words, "Set the clock that is wrong, or remember the difference when you compare logs.")
    } else {
        Line::ok(CHECK, words)
    })
}

fn time_span(micros: i64) -> String {
    match micros {
        m if m < SECOND => format!("{} ms", (m / 1_000).max(1)),
        m if m < 120 * SECOND => format!("{}.{} s", m / SECOND, m % SECOND / (SECOND / 10)),
        m if m < 7_200 * SECOND => format!("{} min", m / (60 * SECOND)),
        m if m < 172_800 * SECOND => format!("{} h", m / (3_600 * SECOND)),
        m => format!("{} days", m / (86_400 * SECOND)),
    }
}

pub(super) fn header(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "header-limit";
    const FIX: &str = "A Kerberos ticket with many groups may be larger than this. For IIS see `MaxFieldLength` and \
                       `MaxRequestBytes` (HKLM\\System\\CurrentControlSet\\Services\\HTTP\\Parameters); for a hop between, \
                       its own limit of header size.";
    let large = facts.large.as_ref()?;
    let bytes = large.bytes;
    let answer = match &large.answer {
        Ok(answer) => answer,
        Err(ended) => {
            return Some(Line::warning(
                CHECK,
                format!("a request with a field of {bytes} bytes has no answer: {ended}"),
                FIX,
            ));
        }
    };
    let without = facts.first.as_ref().and_then(|f| f.as_ref().ok()).map(|a| a.status);
    if matches!(answer.status, 400 | 413 | 431 | 494) && without != Some(answer.status) {
        let says = format!("a field of {bytes} bytes is refused with {} {}", answer.status, answer.by());
        return Some(if bytes >= STOCK {
            Line::warning(CHECK, format!("{says}; IIS's own limit is {STOCK} where nobody raised it"), FIX)
        } else {
            Line::warning(CHECK, format!("{says}, which is less than the {STOCK} that IIS itself allows"), FIX)
        });
    }
    Some(Line::ok(CHECK, format!("a field of {bytes} bytes passes (answered {})", answer.status)))
}
