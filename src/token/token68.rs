//! Base64 of a token68 (RFC 9110 section 11.2, RFC 4648 section 4), tolerant of what clients really send.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::fault::Faults;
use super::field::Text;

/// Padding may be missing or too long, and the last bits need not be zero.
const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The decoded bytes, as far as they can be read. Missing padding is no fault; any other departure is one, at its
/// offset in the header value, without the bytes that are there (they may be a password that somebody did not encode).
pub(super) fn decode(text: Text<'_>, faults: &mut Faults) -> Vec<u8> {
    let body = text.bytes.trim_ascii_end();
    let unpadded = body.iter().rposition(|b| *b != b'=').map_or(0, |last| last.saturating_add(1));
    let body = body.get(..unpadded).unwrap_or_default();
    if body.len() % 4 != 1
        && let Ok(decoded) = TOLERANT.decode(body)
    {
        return decoded;
    }
    let good = body.iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))).unwrap_or(body.len());
    if good < body.len() {
        faults.add(
            text.offset.saturating_add(good),
            "base64",
            "A-Z a-z 0-9 + / and padding",
            "another byte; decoded up to here",
        );
    }
    // A single last character holds six bits and so no byte.
    let whole = if good % 4 == 1 {
        if good == body.len() {
            faults.add(
                text.offset.saturating_add(good),
                "base64",
                "groups of two to four characters",
                "one character left over",
            );
        }
        good.saturating_sub(1)
    } else {
        good
    };
    TOLERANT.decode(body.get(..whole).unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<u8>, Vec<(usize, String)>) {
        let mut faults = Faults::default();
        let bytes = decode(Text { bytes: text.as_bytes(), offset: 10 }, &mut faults);
        let faults = faults.into_list();
        (bytes, faults.into_iter().map(|f| (f.offset, f.got)).collect())
    }

    /// Some clients leave the padding out; calling that a defect would send an administrator after nothing.
    #[test]
    fn padding_is_not_judged() {
        for text in ["TlRMTQ==", "TlRMTQ", "TlRMTQ=", "TlRMTQ== ", "TlRMTQ===="] {
            assert_eq!(read(text), (b"NTLM".to_vec(), vec![]), "{text}");
        }
        assert_eq!(read(""), (vec![], vec![]));
    }

    /// A token that was cut or mangled must still show its readable part, and where the damage is.
    #[test]
    fn reads_up_to_the_damage() {
        let (bytes, faults) = read("TlRMTVNT*UAA");
        assert_eq!(bytes, b"NTLMSS");
        assert_eq!(faults, [(18, "another byte; decoded up to here".to_owned())]);
        let (bytes, faults) = read("TlRMT");
        assert_eq!(bytes, b"NTL");
        assert_eq!(faults.first().map(|f| f.0), Some(15));
    }
}
