//! Finding a byte, eight at a time: most of what reading a log costs is looking for spaces and line ends.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Where `wanted` first stands.
pub(super) fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    let pattern = LOW.wrapping_mul(u64::from(wanted));
    let mut at = 0_usize;
    for word in words {
        // A byte that is wanted becomes zero; the lowest bit set belongs to the first zero byte.
        let zero = u64::from_le_bytes(*word) ^ pattern;
        let hit = zero.wrapping_sub(LOW) & !zero & HIGH;
        if hit != 0 {
            let place = usize::try_from(hit.trailing_zeros()).unwrap_or(0).wrapping_shr(3);
            return Some(at.wrapping_add(place));
        }
        at = at.wrapping_add(8);
    }
    rest.iter().position(|b| *b == wanted).map(|place| at.wrapping_add(place))
}

/// What stands before the first `end`, and what after it; all and nothing when there is none.
pub(super) fn split(bytes: &[u8], end: u8) -> (&[u8], Option<&[u8]>) {
    let Some(at) = find(bytes, end) else { return (bytes, None) };
    let (before, after) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
    (before, after.get(1..))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place that is off by one cuts the first letter of a name.
    #[test]
    fn finds_what_position_finds() {
        let plain = [b'x', 0x81, b'!', 0x7F, 0xFE];
        let wanted = [b' ', 0, 0x80, 0xFF, 1];
        let mut bytes = Vec::new();
        for (n, (before, after)) in (0..64).zip(plain.into_iter().zip(wanted).cycle()) {
            for byte in wanted {
                assert_eq!(find(&bytes, byte), bytes.iter().position(|b| *b == byte), "{bytes:?}");
            }
            bytes.insert(0, before);
            if n % 7 == 0 {
                bytes.push(after);
            }
        }
    }
}
