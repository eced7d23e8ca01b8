//! Strings of NTLM messages: UTF-16LE, or the OEM code page, which the message does not name.

use super::super::fault::Faults;

/// UTF-16LE of ASCII alone, as nearly all names are; `None` for others.
pub(super) fn plain_utf16(bytes: &[u8]) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() || !pairs.iter().all(|[low, high]| *high == 0 && low.is_ascii()) {
        return None;
    }
    String::from_utf8(pairs.iter().map(|[low, _]| *low).collect()).ok()
}

/// UTF-16LE, lossy, with a fault for half a character.
pub(super) fn utf16(bytes: &[u8], at: usize, field: &str, faults: &mut Faults) -> String {
    if let Some(text) = plain_utf16(bytes) {
        return text;
    }
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        faults.add(at, field, "UTF-16LE, an even number of bytes", format!("{} bytes", bytes.len()));
    }
    let units = pairs.iter().map(|pair| u16::from_le_bytes(*pair));
    let mut broken = false;
    let text = char::decode_utf16(units)
        .map(|unit| {
            unit.unwrap_or_else(|_| {
                broken = true;
                char::REPLACEMENT_CHARACTER
            })
        })
        .collect();
    if broken {
        faults.add(at, field, "UTF-16LE", "a surrogate without its pair");
    }
    text
}

/// An OEM string. Beyond ASCII its code page is unknown: read as Latin-1, with a fault.
pub(super) fn oem(bytes: &[u8], at: usize, field: &str, faults: &mut Faults) -> String {
    if !bytes.is_ascii() {
        faults.add(at, field, "ASCII, for the OEM code page is not known", "other characters, read as Latin-1");
    }
    bytes.iter().copied().map(char::from).collect()
}

/// By NTLMSSP_NEGOTIATE_UNICODE.
pub(super) fn by_flag(unicode: bool, bytes: &[u8], at: usize, field: &str, faults: &mut Faults) -> String {
    if unicode { utf16(bytes, at, field, faults) } else { oem(bytes, at, field, faults) }
}
