//! Values of a line: numbers and times, without allocation.

use crate::model::Stamp;

/// An unsigned decimal number; `None` when it is not one or too great.
pub(super) fn number<T: TryFrom<u64>>(text: &[u8]) -> Option<T> {
    if text.is_empty() {
        return None;
    }
    let mut value = 0_u64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    T::try_from(value).ok()
}

/// sc-win32-status: unsigned, or negative from tools that read it as signed.
pub(super) fn win32(text: &[u8]) -> Option<u32> {
    match text {
        [b'-', rest @ ..] => {
            let value: i64 = number(rest)?;
            i32::try_from(value.checked_neg()?).ok().map(i32::cast_unsigned)
        }
        _ => number(text),
    }
}

/// Days of a log, remembered: they change once in a hundred thousand lines.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Day {
    text: [u8; 10],
    start: i64,
}

impl Day {
    /// The first microsecond of `YYYY-MM-DD`.
    fn start(&mut self, text: &[u8]) -> Option<i64> {
        if text == self.text {
            return Some(self.start);
        }
        let known: [u8; 10] = text.try_into().ok()?;
        let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = known else { return None };
        let year = number(&[y0, y1, y2, y3])?;
        let date = jiff::civil::Date::new(year, number(&[m0, m1])?, number(&[d0, d1])?).ok()?;
        let midnight = jiff::tz::Offset::UTC.to_timestamp(date.to_datetime(jiff::civil::Time::midnight())).ok()?;
        *self = Self { text: known, start: midnight.as_microsecond() };
        Some(self.start)
    }

    /// `YYYY-MM-DD` and `HH:MM:SS`, UTC.
    pub(super) fn stamp(&mut self, date: &[u8], time: &[u8]) -> Option<Stamp> {
        let start = self.start(date)?;
        let [h0, h1, b':', m0, m1, b':', s0, s1] = *time else { return None };
        let hours = number::<i64>(&[h0, h1]).filter(|h| *h < 24)?;
        let minutes = number::<i64>(&[m0, m1]).filter(|m| *m < 60)?;
        // 60 is a leap second.
        let seconds = number::<i64>(&[s0, s1]).filter(|s| *s <= 60)?;
        let seconds = hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds)?;
        Some(Stamp(start.checked_add(seconds.checked_mul(1_000_000)?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time that is off by a day pairs a line with the wrong handshake.
    #[test]
    fn times_are_utc() {
        let mut day = Day::default();
        let stamp = day.stamp(b"2026-02-28", b"23:59:59");
        assert_eq!(stamp, Stamp::parse("2026-02-28T23:59:59Z"));
        assert_eq!(day.stamp(b"2026-03-01", b"00:00:00"), Stamp::parse("2026-03-01T00:00:00Z"));
        for (date, time) in [("2026-02-29", "00:00:00"), ("2026-1-01", "00:00:00"), ("2026-01-01", "24:00:00")] {
            assert_eq!(day.stamp(date.as_bytes(), time.as_bytes()), None);
        }
    }

    /// A win32 status that wraps would be looked up as another code.
    #[test]
    fn numbers_are_whole() {
        assert_eq!(win32(b"2148074252"), Some(0x8009_030C));
        assert_eq!(win32(b"-2146893044"), Some(0x8009_030C));
        assert_eq!(win32(b"4294967296"), None);
        assert_eq!(win32(b"-"), None);
        assert_eq!(number::<u16>(b"70000"), None);
        assert_eq!(number::<u64>(b"99999999999999999999"), None);
    }
}
