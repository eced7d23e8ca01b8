//! Kerberos messages as HTTP carries them (RFC 4120 sections 5.5.1, 5.5.2, 5.9.1; RFC 4121 section 4.1): what is in
//! clear. Ciphertext is measured and fingerprinted, never kept.

mod ap_req;
mod error_name;
mod etype;
mod krb_error;
mod principal;

pub use error_name::of as error_name;
pub use etype::etype_name;

use asn1_rs::Tag;

use super::der::{Element, Reader};
use super::fault::{Faults, Field};
use super::{Key, fingerprint};
use crate::model::auth::Kerberos;

/// What follows the mechanism's OID: a two-byte TOK_ID (RFC 4121 section 4.1), then the message.
pub(super) fn wrapped(bytes: &[u8], base: usize, key: &Key, faults: &mut Faults) -> Kerberos {
    let Some((id, rest)) = bytes.split_first_chunk::<2>() else {
        let got = bytes.len().to_string();
        faults.add(base, "kerberos.tok_id", "2 bytes", got);
        return Kerberos::default();
    };
    let rest_at = base.saturating_add(2);
    let expected = match id {
        [1, 0] => "ap-req",
        [2, 0] => "ap-rep",
        [3, 0] => "krb-error",
        // User-to-user asks for the service's TGT; its messages are not RFC 4120's.
        [4, 0] => return named("tgt-req"),
        [4, 1] => return named("tgt-rep"),
        [a, b] => {
            let got = format!("{a:02x} {b:02x}");
            faults.add(base, "kerberos.tok_id", "01 00, 02 00 or 03 00", got);
            ""
        }
    };
    let mut message = decode(rest, rest_at, key, faults);
    if message.message.is_empty() {
        expected.clone_into(&mut message.message);
    } else if !expected.is_empty() && message.message != expected {
        let got = message.message.clone();
        faults.add(rest_at, "kerberos.message", expected, got);
    }
    message
}

fn named(message: &str) -> Kerberos {
    Kerberos { message: message.to_owned(), ..Kerberos::default() }
}

/// A bare message, told by its application tag.
pub(super) fn decode(bytes: &[u8], base: usize, key: &Key, faults: &mut Faults) -> Kerberos {
    let mut reader = Reader::new(bytes, base);
    let Some(outer) = reader.next("kerberos.message", faults) else {
        return Kerberos::default();
    };
    reader.expect_end("kerberos.message", faults);
    let (name, number) = match outer.application() {
        Some(14) => ("ap-req", 14),
        Some(15) => ("ap-rep", 15),
        Some(30) => ("krb-error", 30),
        _ => {
            faults.add(outer.at, "kerberos.message", "AP-REQ, AP-REP or KRB-ERROR", outer.describe());
            return Kerberos::default();
        }
    };
    let mut message = named(name);
    if let Some(sequence) = outer.explicit(Tag::Sequence, "kerberos.message", faults) {
        match number {
            14 => {
                let ticket = ap_req::decode(&sequence, &mut message, key, faults);
                if !sequence.cut {
                    message.request = Some(request(&sequence, ticket.as_ref(), message.ticket.as_deref(), key));
                }
            }
            15 => ap_rep(&sequence, &mut message, faults),
            _ => krb_error::decode(&sequence, &mut message, faults),
        }
    }
    message
}

/// The fingerprint of a whole AP-REQ. The ticket's ciphertext, which is most of it, stands in it by its own fingerprint:
/// hashing it once is half the cost of decoding.
fn request(sequence: &Element<'_>, cipher: Option<&Element<'_>>, ticket: Option<&str>, key: &Key) -> String {
    let all = sequence.content;
    let parts = cipher.zip(ticket).and_then(|(cipher, ticket)| {
        let (before, rest) = all.split_at_checked(cipher.content_at.checked_sub(sequence.content_at)?)?;
        let after = rest.get(cipher.content.len()..)?;
        Some([before, ticket.as_bytes(), after])
    });
    match parts {
        Some(parts) => fingerprint::of_all(fingerprint::Kind::Request, &parts, key),
        None => fingerprint::of_all(fingerprint::Kind::Request, &[all], key),
    }
}

/// AP-REP (RFC 4120 section 5.5.2): all but the encryption type is ciphertext.
fn ap_rep(sequence: &Element<'_>, message: &mut Kerberos, faults: &mut Faults) {
    each_field(sequence, "ap_rep", faults, &[0, 1, 2], |number, field, faults| {
        match number {
            0 => version(field, "ap_rep.pvno", faults),
            1 => msg_type(field, "ap_rep.msg_type", 15, faults),
            2 => seal(field, "ap_rep.enc_part", message, faults),
            _ => return false,
        }
        true
    });
}

/// The ciphertext by which an AP-REQ or an AP-REP is proved.
fn seal(field: &Element<'_>, path: &'static str, message: &mut Kerberos, faults: &mut Faults) {
    if let Some(sealed) = encrypted(field, path, faults) {
        message.authenticator_etype = sealed.etype;
        message.authenticator_bytes = sealed.cipher.filter(|cipher| !cipher.cut).map(|cipher| cipher.content.len());
    }
}

/// Calls `read` with each `[n]` field of a SEQUENCE; it answers whether it knows the number. Fields of `required` that
/// a whole sequence does not have are faults.
fn each_field<'a>(
    sequence: &Element<'a>,
    path: impl Field + Copy,
    faults: &mut Faults,
    required: &[u32],
    mut read: impl FnMut(u32, &Element<'a>, &mut Faults) -> bool,
) {
    let mut fields = sequence.inside();
    let mut seen = 0_u64;
    while let Some(field) = fields.next_if_any(path, faults) {
        let number = field.context().filter(|number| *number < u64::BITS);
        if let Some(number) = number
            && read(number, &field, faults)
        {
            seen |= 1_u64.checked_shl(number).unwrap_or(0);
        } else {
            faults.add(field.at, path, "a field of RFC 4120", field.describe());
        }
    }
    if fields.is_cut() {
        return;
    }
    for number in required {
        if seen & 1_u64.checked_shl(*number).unwrap_or(0) == 0 {
            faults.add(sequence.at, path, format!("field [{number}]"), "none");
        }
    }
}

/// pvno or tkt-vno: 5.
fn version(field: &Element<'_>, path: impl Field + Copy, faults: &mut Faults) {
    constant(field, path, 5, faults);
}

fn msg_type(field: &Element<'_>, path: impl Field + Copy, expected: i64, faults: &mut Faults) {
    constant(field, path, expected, faults);
}

fn constant(field: &Element<'_>, path: impl Field + Copy, expected: i64, faults: &mut Faults) {
    if let Some(value) = field.integer(path, faults)
        && value != expected
    {
        faults.add(field.at, path, expected.to_string(), value.to_string());
    }
}

/// A signed 32-bit integer, as most of Kerberos' numbers are (RFC 4120 section 5.2.4).
fn int32(field: &Element<'_>, path: impl Field + Copy, faults: &mut Faults) -> Option<i32> {
    let value = field.integer(path, faults)?;
    let small = i32::try_from(value).ok();
    if small.is_none() {
        faults.add(field.at, path, "a 32-bit integer", value.to_string());
    }
    small
}

/// EncryptedData (RFC 4120 section 5.2.9).
struct Encrypted<'a> {
    etype: Option<i32>,
    kvno: Option<i64>,
    cipher: Option<Element<'a>>,
}

fn encrypted<'a>(field: &Element<'a>, path: &'static str, faults: &mut Faults) -> Option<Encrypted<'a>> {
    let sequence = field.explicit(Tag::Sequence, path, faults)?;
    let mut data = Encrypted { etype: None, kvno: None, cipher: None };
    each_field(&sequence, path, faults, &[0, 2], |number, field, faults| {
        match number {
            0 => data.etype = int32(field, (path, "etype"), faults),
            1 => data.kvno = kvno(field, (path, "kvno"), faults),
            2 => {
                data.cipher = field.explicit(Tag::OctetString, (path, "cipher"), faults);
            }
            _ => return false,
        }
        true
    });
    Some(data)
}

/// Signed 32 bits (MS-KILE section 3.1.5.8): Windows' high numbers may come as large positive ones (UInt32 of RFC 4120).
fn kvno(field: &Element<'_>, path: impl Field + Copy, faults: &mut Faults) -> Option<i64> {
    let value = field.integer(path, faults)?;
    let signed = u32::try_from(value).map_or(value, |unsigned| i64::from(unsigned.cast_signed()));
    if i32::try_from(signed).is_err() {
        faults.add(field.at, path, "a 32-bit integer", value.to_string());
    }
    Some(signed)
}

/// The number of a read-only domain controller, in the high 16 bits (MS-KILE section 3.1.5.8).
fn rodc(kvno: i64) -> Option<u16> {
    let bits = i32::try_from(kvno).ok()?.cast_unsigned() >> 16;
    u16::try_from(bits).ok().filter(|number| *number != 0)
}
