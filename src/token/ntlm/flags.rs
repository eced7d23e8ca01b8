//! NegotiateFlags (MS-NLMP section 2.2.2.5 "NEGOTIATE").

/// Strings are UTF-16LE.
pub(super) const NEGOTIATE_UNICODE: u32 = 0x0000_0001;
/// Strings are in the OEM code page.
pub(super) const NEGOTIATE_OEM: u32 = 0x0000_0002;
/// A domain name is in the NEGOTIATE_MESSAGE.
pub(super) const OEM_DOMAIN_SUPPLIED: u32 = 0x0000_1000;
/// A workstation name is in the NEGOTIATE_MESSAGE.
pub(super) const OEM_WORKSTATION_SUPPLIED: u32 = 0x0000_2000;
/// Extended session security.
pub(super) const EXTENDED_SESSIONSECURITY: u32 = 0x0008_0000;
/// TargetInfo is in the CHALLENGE_MESSAGE.
pub(super) const NEGOTIATE_TARGET_INFO: u32 = 0x0080_0000;
/// VERSION is filled in.
pub(super) const NEGOTIATE_VERSION: u32 = 0x0200_0000;

/// Every bit, highest first. Bits that the specification leaves unused are named by their value. LOCAL_CALL is not in
/// it: Windows sets that bit when client and server are the same machine.
const NAMES: [(u32, &str); 32] = [
    (0x8000_0000, "NTLMSSP_NEGOTIATE_56"),
    (0x4000_0000, "NTLMSSP_NEGOTIATE_KEY_EXCH"),
    (0x2000_0000, "NTLMSSP_NEGOTIATE_128"),
    (0x1000_0000, "0x10000000"),
    (0x0800_0000, "0x08000000"),
    (0x0400_0000, "0x04000000"),
    (0x0200_0000, "NTLMSSP_NEGOTIATE_VERSION"),
    (0x0100_0000, "0x01000000"),
    (0x0080_0000, "NTLMSSP_NEGOTIATE_TARGET_INFO"),
    (0x0040_0000, "NTLMSSP_REQUEST_NON_NT_SESSION_KEY"),
    (0x0020_0000, "0x00200000"),
    (0x0010_0000, "NTLMSSP_NEGOTIATE_IDENTIFY"),
    (0x0008_0000, "NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY"),
    (0x0004_0000, "NTLMSSP_TARGET_TYPE_SHARE"),
    (0x0002_0000, "NTLMSSP_TARGET_TYPE_SERVER"),
    (0x0001_0000, "NTLMSSP_TARGET_TYPE_DOMAIN"),
    (0x0000_8000, "NTLMSSP_NEGOTIATE_ALWAYS_SIGN"),
    (0x0000_4000, "NTLMSSP_NEGOTIATE_LOCAL_CALL"),
    (0x0000_2000, "NTLMSSP_NEGOTIATE_OEM_WORKSTATION_SUPPLIED"),
    (0x0000_1000, "NTLMSSP_NEGOTIATE_OEM_DOMAIN_SUPPLIED"),
    (0x0000_0800, "NTLMSSP_NEGOTIATE_ANONYMOUS"),
    (0x0000_0400, "NTLMSSP_NEGOTIATE_NT_ONLY"),
    (0x0000_0200, "NTLMSSP_NEGOTIATE_NTLM"),
    (0x0000_0100, "0x00000100"),
    (0x0000_0080, "NTLMSSP_NEGOTIATE_LM_KEY"),
    (0x0000_0040, "NTLMSSP_NEGOTIATE_DATAGRAM"),
    (0x0000_0020, "NTLMSSP_NEGOTIATE_SEAL"),
    (0x0000_0010, "NTLMSSP_NEGOTIATE_SIGN"),
    (0x0000_0008, "0x00000008"),
    (0x0000_0004, "NTLMSSP_REQUEST_TARGET"),
    (0x0000_0002, "NTLM_NEGOTIATE_OEM"),
    (0x0000_0001, "NTLMSSP_NEGOTIATE_UNICODE"),
];

/// A flag's name without the prefix that nearly all of them share.
pub fn short_name(name: &'static str) -> &'static str {
    name.strip_prefix("NTLMSSP_NEGOTIATE_")
        .or_else(|| name.strip_prefix("NTLMSSP_"))
        .or_else(|| name.strip_prefix("NTLM_NEGOTIATE_"))
        .unwrap_or(name)
}

/// The names of the bits that are set, highest first; an unknown bit by its value.
pub fn flag_names(flags: u32) -> Vec<&'static str> {
    NAMES.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bit that is in the table twice or not at all would be shown wrongly or lost.
    #[test]
    fn every_bit_has_one_row_and_unknown_ones_their_value() {
        for (place, (bit, name)) in NAMES.iter().rev().enumerate() {
            assert_eq!(*bit, 1 << place, "{name}");
            if name.starts_with("0x") {
                assert_eq!(*name, format!("{bit:#010x}"));
            }
        }
        assert_eq!(flag_names(u32::MAX).len(), 32);
        assert_eq!(flag_names(0x0800_0001), ["0x08000000", "NTLMSSP_NEGOTIATE_UNICODE"]);
    }
}
