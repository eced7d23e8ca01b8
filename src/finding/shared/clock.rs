//! The server's clock, as its responses tell it.

use crate::model::Stamp;
use crate::track::turn::Turn;

/// What Kerberos allows clocks to differ, in seconds (RFC 4120 section 8.1's recommendation, and Windows' default).
pub(in crate::finding) const ALLOWED: u64 = 300;

/// The `Date` of the response (RFC 9110 section 6.6.1), to the second.
pub(in crate::finding) fn server_date(turn: &Turn) -> Option<Stamp> {
    date(turn.response_header("date")?)
}

/// An IMF-fixdate (RFC 9110 section 5.6.7).
fn date(text: &str) -> Option<Stamp> {
    let text = text.trim().replace(" GMT", " +0000");
    let zoned = jiff::fmt::rfc2822::parse(&text).ok()?;
    Some(Stamp(zoned.timestamp().as_microsecond()))
}

/// `4 min 12 s`, `3 h 2 min`: a difference of clocks, for a reader.
pub(in crate::finding) fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that is misread sends the administrator to the time service for nothing.
    #[test]
    fn dates_are_those_of_rfc_9110() {
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Stamp(784_111_777_000_000)));
        assert_eq!(date("yesterday"), None);
        assert_eq!((span(59), span(252), span(10_920)), ("59 s".into(), "4 min 12 s".into(), "3 h 2 min".into()));
    }
}
