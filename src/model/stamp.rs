//! Points in time. The core reads no clock: time comes in as an argument.

use std::fmt;
use std::time::Duration;

/// Microseconds since 1970-01-01T00:00:00Z. Displays as RFC 3339, UTC, with microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Stamp(pub i64);

impl Stamp {
    /// The time from `earlier` to this; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This moment and `by` more, saturating.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Reads RFC 3339; `None` when it is not that.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|t| Self(t.as_microsecond()))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(t) => write!(f, "{t:.6}"),
            // Out of jiff's range (before the year -9999 or after 9999): the number, so that nothing is lost.
            Err(_) => write!(f, "@{}us", self.0),
        }
    }
}

/// 100 ns steps since 1601-01-01T00:00:00Z: a Windows `FILETIME`, as NTLM carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FileTime(pub u64);

impl FileTime {
    /// Steps between 1601 and 1970.
    const EPOCH_1970: i128 = 116_444_736_000_000_000;

    /// The same moment in microseconds since 1970 (loses the last digit); `None` out of range.
    pub fn stamp(self) -> Option<Stamp> {
        i64::try_from((i128::from(self.0) - Self::EPOCH_1970).div_euclid(10)).ok().map(Stamp)
    }

    /// The FILETIME of a [`Stamp`]; saturates at 1601.
    pub fn of(stamp: Stamp) -> Self {
        Self(u64::try_from(i128::from(stamp.0) * 10 + Self::EPOCH_1970).unwrap_or(0))
    }
}

impl fmt::Display for FileTime {
    /// RFC 3339 with seven decimals (100 ns), or `filetime:N` for what no calendar holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = (i128::from(self.0) - Self::EPOCH_1970) * 100;
        match jiff::Timestamp::from_nanosecond(nanos) {
            Ok(t) => write!(f, "{t:.7}"),
            Err(_) => write!(f, "filetime:{}", self.0),
        }
    }
}

impl FileTime {
    /// Reads what [`FileTime`]'s `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(number) = text.strip_prefix("filetime:") {
            return number.parse().ok().map(Self);
        }
        let t = text.parse::<jiff::Timestamp>().ok()?;
        u64::try_from(t.as_nanosecond().div_euclid(100) + Self::EPOCH_1970).ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times that do not survive a capture file would make old captures link wrongly.
    #[test]
    fn times_survive_their_text() {
        let s = Stamp(1_551_841_537_320_697);
        assert_eq!(s.to_string(), "2019-03-06T03:05:37.320697Z");
        assert_eq!(Stamp::parse(&s.to_string()), Some(s));
        let f = FileTime(131_963_151_373_206_976);
        assert_eq!(f.to_string(), "2019-03-06T03:05:37.3206976Z");
        assert_eq!(FileTime::parse(&f.to_string()), Some(f));
        for odd in [FileTime(0), FileTime(u64::MAX), FileTime(1)] {
            assert_eq!(FileTime::parse(&odd.to_string()), Some(odd), "{odd}");
        }
        assert_eq!(FileTime::of(s).stamp(), Some(s));
    }
}
