//! Numbers and times of capture files.

use crate::model::Stamp;

/// The byte order of a file, or of a section of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    #[default]
    Little,
    Big,
}

impl Order {
    /// The number at `at`; zero where the bytes end before.
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let Some(bytes) = bytes.get(at..).and_then(<[u8]>::first_chunk) else { return 0 };
        if self == Self::Little { u32::from_le_bytes(*bytes) } else { u32::from_be_bytes(*bytes) }
    }

    /// The number at `at`; zero where the bytes end before.
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let Some(bytes) = bytes.get(at..).and_then(<[u8]>::first_chunk) else { return 0 };
        if self == Self::Little { u16::from_le_bytes(*bytes) } else { u16::from_be_bytes(*bytes) }
    }

    /// The signed number that these bytes are.
    pub(super) fn i64(self, bytes: &[u8]) -> Option<i64> {
        let bytes = bytes.try_into().ok()?;
        Some(if self == Self::Little { i64::from_le_bytes(bytes) } else { i64::from_be_bytes(bytes) })
    }
}

/// How an interface of a pcapng writes times: `if_tsresol` and `if_tsoffset`
/// (draft-ietf-opsawg-pcapng section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    units_per_second: u128,
    /// Seconds that are added.
    offset: i64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { units_per_second: 1_000_000, offset: 0 }
    }
}

impl Clock {
    /// The first microsecond that RFC 3339 cannot write: the year 10,000.
    const END: i128 = 253_402_300_800_000_000;

    /// `resolution`: a negative power of ten, or of two where the top bit is set. `None` where nobody can count so fine.
    pub(super) fn new(resolution: u8, offset: i64) -> Option<Self> {
        let exponent = u32::from(resolution & 0x7f);
        let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
        Some(Self { units_per_second: base.checked_pow(exponent)?, offset })
    }

    /// `None` for what is no date: before 1970 or after 9999.
    pub(super) fn stamp(self, units: u64) -> Option<Stamp> {
        // Dividing 128 bits costs as much as the rest of a packet; nearly every file is one of the first two.
        let micros = match self.units_per_second {
            1_000_000 => u128::from(units),
            1_000_000_000 => u128::from(units / 1000),
            per_second => u128::from(units) * 1_000_000 / per_second,
        };
        let micros = i128::try_from(micros).ok()? + i128::from(self.offset) * 1_000_000;
        if (0..Self::END).contains(&micros) { i64::try_from(micros).ok().map(Stamp) } else { None }
    }
}
