//! SPNEGO around NTLM (RFC 4178 section 4.2, MS-SPNG): DER by hand, as far as the simulator needs it.

/// NTLMSSP, 1.3.6.1.4.1.311.2.2.10, as DER's contents.
pub const NTLM: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 0x0a];
/// Kerberos 5, 1.2.840.113554.1.2.2.
pub const KERBEROS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2];
/// Kerberos 5 as Windows 2000 wrote it, 1.2.840.48018.1.2.2; still first in Windows' lists.
pub const MS_KERBEROS: &[u8] = &[0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 1, 2, 2];
/// NEGOEX, 1.3.6.1.4.1.311.2.2.30.
pub const NEGOEX: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 0x1e];

const SPNEGO: &[u8] = &[0x2b, 6, 1, 5, 5, 2];

/// negState (RFC 4178 section 4.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NegState {
    /// accept-completed.
    AcceptCompleted = 0,
    /// accept-incomplete.
    AcceptIncomplete = 1,
    /// reject.
    Reject = 2,
    /// request-mic.
    RequestMic = 3,
}

/// The GSS-API initial token with a NegTokenInit (RFC 4178 section 4.2.1).
pub fn init(mechs: &[&[u8]], mech_token: Option<&[u8]>) -> Vec<u8> {
    let mut fields = der(0xa0, &mech_list(mechs));
    if let Some(token) = mech_token {
        fields.extend(der(0xa2, &der(0x04, token)));
    }
    let token = der(0xa0, &der(0x30, &fields));
    der(0x60, &[der(0x06, SPNEGO), token].concat())
}

/// The mechTypes as DER: what a mechListMIC is over (RFC 4178 section 5).
pub fn mech_list(mechs: &[&[u8]]) -> Vec<u8> {
    let list: Vec<u8> = mechs.iter().flat_map(|mech| der(0x06, mech)).collect();
    der(0x30, &list)
}

/// A NegTokenResp (RFC 4178 section 4.2.2).
pub fn resp(state: Option<NegState>, mech: Option<&[u8]>, token: Option<&[u8]>, mic: Option<&[u8]>) -> Vec<u8> {
    let mut fields = Vec::new();
    if let Some(state) = state {
        fields.extend(der(0xa0, &[0x0a, 1, state as u8]));
    }
    if let Some(mech) = mech {
        fields.extend(der(0xa1, &der(0x06, mech)));
    }
    if let Some(token) = token {
        fields.extend(der(0xa2, &der(0x04, token)));
    }
    if let Some(mic) = mic {
        fields.extend(der(0xa3, &der(0x04, mic)));
    }
    der(0xa1, &der(0x30, &fields))
}

/// What an acceptor or an initiator needs of a peer's token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// The mechTypes' DER, of a NegTokenInit.
    pub mech_list: Option<Vec<u8>>,
    /// Whether NTLM is the first of the mechTypes.
    pub ntlm_first: bool,
    /// Whether NTLM is one of the mechTypes.
    pub ntlm_listed: bool,
    /// mechToken or responseToken.
    pub token: Option<Vec<u8>>,
    /// mechListMIC.
    pub mic: Option<Vec<u8>>,
}

/// Reads a NegTokenInit, bare or in its GSS-API frame, or a NegTokenResp; `None` for anything else.
pub fn read(bytes: &[u8]) -> Option<Read> {
    let (tag, mut contents, _) = element(bytes)?;
    let mut choice = tag;
    if tag == 0x60 {
        let (0x06, SPNEGO, rest) = element(contents)? else {
            return None;
        };
        (choice, contents, _) = element(rest)?;
    }
    let (0x30, mut fields, _) = element(contents)? else {
        return None;
    };
    let mut read = Read::default();
    while let Some((tag, value, rest)) = element(fields) {
        match (choice, tag) {
            (0xa0, 0xa0) => {
                let (_, mechs, _) = element(value)?;
                read.mech_list = Some(value.to_vec());
                read.ntlm_first = matches!(element(mechs), Some((0x06, NTLM, _)));
                read.ntlm_listed = listed(mechs, NTLM);
            }
            (0xa0 | 0xa1, 0xa2) => read.token = Some(element(value)?.1.to_vec()),
            (0xa0 | 0xa1, 0xa3) => read.mic = Some(element(value)?.1.to_vec()),
            _ => {}
        }
        fields = rest;
    }
    matches!(choice, 0xa0 | 0xa1).then_some(read)
}

fn listed(mut mechs: &[u8], wanted: &[u8]) -> bool {
    while let Some((_, mech, rest)) = element(mechs) {
        if mech == wanted {
            return true;
        }
        mechs = rest;
    }
    false
}

/// Tag, contents and what follows; definite lengths up to 65535 only.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        short if *short < 0x80 => (usize::from(*short), rest),
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((*tag, contents, rest))
}

fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = u16::try_from(contents.len()).unwrap_or(u16::MAX);
    match length.to_be_bytes() {
        [0, short] if short < 0x80 => out.push(short),
        [0, byte] => out.extend_from_slice(&[0x81, byte]),
        [high, low] => out.extend_from_slice(&[0x82, high, low]),
    }
    out.extend_from_slice(contents);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A known answer of another implementation (gokrb5's reject, quoted in many captures): a wrong DER length would
    /// make each simulated Negotiate look broken.
    #[test]
    fn a_reject_is_the_known_bytes() {
        assert_eq!(resp(Some(NegState::Reject), None, None, None), [0xa1, 7, 0x30, 5, 0xa0, 3, 0x0a, 1, 2]);
        assert_eq!(
            resp(Some(NegState::AcceptCompleted), Some(KERBEROS), None, None),
            [&[0xa1, 0x14, 0x30, 0x12, 0xa0, 3, 0x0a, 1, 0, 0xa1, 0x0b, 6, 9], KERBEROS].concat()
        );
    }

    /// Long tokens take the long form of the length; a Type 3 always does.
    #[test]
    fn long_tokens_come_back_whole() {
        for size in [0, 1, 127, 128, 255, 256, 5000] {
            let token = vec![0x4e; size];
            let read = read(&init(&[KERBEROS, NTLM], Some(&token))).expect("own token");
            assert_eq!(read.token, Some(token));
            assert!(read.ntlm_listed && !read.ntlm_first);
        }
    }
}
