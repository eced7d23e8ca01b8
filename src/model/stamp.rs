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

    /// What `Display` writes, without its ways; `None` for years that need them.
    pub fn rfc3339(self) -> Option<Rfc3339> {
        Rfc3339::of(i128::from(self.0), 6)
    }

    /// Reads RFC 3339; `None` when it is not that.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|t| Self(t.as_microsecond()))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(digits) = self.rfc3339() {
            return f.write_str(digits.as_str());
        }
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
        let steps = i128::from(self.0) - Self::EPOCH_1970;
        if let Some(digits) = Rfc3339::of(steps, 7) {
            return f.write_str(digits.as_str());
        }
        match jiff::Timestamp::from_nanosecond(steps * 100) {
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

/// A time as text, for years 1970 to 9998: every line of a capture holds six of them, and the general way costs a
/// microsecond for each.
#[derive(Debug, Clone, Copy)]
pub struct Rfc3339 {
    text: [u8; 28],
    length: usize,
}

impl Rfc3339 {
    /// 9999-01-01T00:00:00Z. Later ones are left to the calendar's own limits.
    const END: i128 = 253_370_764_800;

    /// `units` since 1970, of which ten to the power of `digits` make a second.
    fn of(units: i128, digits: u32) -> Option<Self> {
        let units = u64::try_from(units).ok()?;
        let a_second = 10_u64.pow(digits);
        let seconds = units / a_second;
        if i128::from(seconds) >= Self::END {
            return None;
        }
        let (year, month, day) = civil(seconds / 86_400);
        let of_day = seconds % 86_400;
        let mut made = Self { text: *b"0000-00-00T00:00:00.0000000Z", length: 0 };
        made.number(year, 4, 0);
        made.number(month, 2, 5);
        made.number(day, 2, 8);
        made.number(of_day / 3_600, 2, 11);
        made.number(of_day / 60 % 60, 2, 14);
        made.number(of_day % 60, 2, 17);
        let digits = usize::try_from(digits).ok()?;
        made.number(units % a_second, digits, 20);
        *made.text.get_mut(20 + digits)? = b'Z';
        made.length = 21 + digits;
        Some(made)
    }

    fn number(&mut self, mut value: u64, digits: usize, at: usize) {
        for place in self.text[at..at + digits].iter_mut().rev() {
            *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
            value /= 10;
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.text.get(..self.length).and_then(|t| std::str::from_utf8(t).ok()).unwrap_or_default()
    }
}

/// Year, month and day of a day since 1970-01-01. In years that begin in March, leap days come last, and five months
/// always have 153 days.
const fn civil(day: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    // Days from 0000-03-01 to 1970-01-01.
    let day = day + 719_468;
    let (era, of_era) = (day / DAYS_IN_400_YEARS, day % DAYS_IN_400_YEARS);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let january_or_february = if month <= 2 { 1 } else { 0 };
    (era * 400 + year + january_or_february, month, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our own calendar must be the world's.
    #[test]
    fn times_are_those_of_the_calendar() {
        let day = 86_400_000_000_i64;
        let odd = [0, 1, day - 1, day * 58, day * 59, day * 11_016, 951_782_399_999_999, 253_370_764_799_999_999];
        // A step that is no multiple of anything, from 1970 to 9999.
        let steps = (0..20_000).map(|n| n * 12_668_538_239_987);
        for micros in odd.into_iter().chain(steps) {
            let jiff = jiff::Timestamp::from_microsecond(micros).expect("in range");
            assert_eq!(Stamp(micros).to_string(), format!("{jiff:.6}"));
            assert_eq!(FileTime::of(Stamp(micros)).to_string(), format!("{jiff:.7}"));
        }
        for micros in [-1, i64::MIN, i64::MAX, 253_370_764_800_000_000] {
            let text = match jiff::Timestamp::from_microsecond(micros) {
                Ok(t) => format!("{t:.6}"),
                Err(_) => format!("@{micros}us"),
            };
            assert_eq!(Stamp(micros).to_string(), text);
        }
    }

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
