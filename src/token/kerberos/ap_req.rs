//! AP-REQ (RFC 4120 section 5.5.1) and the ticket in it (section 5.3).

use asn1_rs::Tag;

use super::super::der::Element;
use super::super::fault::Faults;
use super::super::{Key, fingerprint};
use super::{each_field, encrypted, msg_type, principal, rodc, seal, version};
use crate::model::auth::Kerberos;

/// Bits of ap-options, counted from the first byte's highest (RFC 4120 section 5.5.1).
const OPTIONS: [(u8, &str); 3] = [(0x80, "reserved"), (0x40, "use-session-key"), (0x20, "mutual-required")];

/// Fills `message` from an AP-REQ's SEQUENCE, and gives the ticket's ciphertext when it is whole.
pub(super) fn decode<'a>(
    sequence: &Element<'a>,
    message: &mut Kerberos,
    key: &Key,
    faults: &mut Faults,
) -> Option<Element<'a>> {
    let mut sealed = None;
    each_field(sequence, "ap_req", faults, &[0, 1, 2, 3, 4], |number, field, faults| {
        match number {
            0 => version(field, "ap_req.pvno", faults),
            1 => msg_type(field, "ap_req.msg_type", 14, faults),
            2 => message.ap_options = options(field, faults),
            3 => sealed = ticket(field, message, key, faults),
            4 => seal(field, "ap_req.authenticator", message, faults),
            _ => return false,
        }
        true
    });
    sealed
}

/// KerberosFlags: a BIT STRING, whose first byte counts unused bits.
fn options(field: &Element<'_>, faults: &mut Faults) -> Vec<String> {
    let path = "ap_req.ap_options";
    let Some(bits) = field.explicit(Tag::BitString, path, faults) else {
        return Vec::new();
    };
    let [_, first, ..] = bits.content else {
        if !bits.cut {
            faults.add(bits.at, path, "32 bits", "none");
        }
        return Vec::new();
    };
    OPTIONS.iter().filter(|(bit, _)| first & bit != 0).map(|(_, name)| (*name).to_owned()).collect()
}

fn ticket<'a>(field: &Element<'a>, message: &mut Kerberos, key: &Key, faults: &mut Faults) -> Option<Element<'a>> {
    let ticket = field.inside().next("ticket", faults)?;
    if ticket.application() != Some(1) {
        faults.add(ticket.at, "ticket", "[APPLICATION 1]", ticket.describe());
    }
    let sequence = ticket.explicit(Tag::Sequence, "ticket", faults)?;
    let mut whole = None;
    each_field(&sequence, "ticket", faults, &[0, 1, 2, 3], |number, field, faults| {
        match number {
            0 => version(field, "ticket.tkt_vno", faults),
            1 => message.realm = principal::string(field, "ticket.realm", faults),
            2 => {
                let name = principal::name(field, "ticket.sname", faults);
                (message.sname, message.sname_type) = (name.text, name.kind);
            }
            3 => {
                if let Some(sealed) = encrypted(field, "ticket.enc_part", faults) {
                    message.ticket_etype = sealed.etype;
                    message.kvno = sealed.kvno;
                    message.rodc = sealed.kvno.and_then(rodc);
                    whole = sealed.cipher.filter(|cipher| !cipher.cut);
                }
            }
            _ => return false,
        }
        true
    });
    if let Some(cipher) = &whole {
        message.ticket_bytes = Some(cipher.content.len());
        message.ticket = Some(fingerprint::of(fingerprint::Kind::Ticket, cipher.content, key));
    }
    whole
}
