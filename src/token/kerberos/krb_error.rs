//! KRB-ERROR (RFC 4120 section 5.9.1): all of it is in clear.

use asn1_rs::Tag;

use super::super::Key;
use super::super::der::Element;
use super::super::fault::Faults;
use super::{each_field, error_name, int32, msg_type, principal, version};
use crate::model::Stamp;
use crate::model::auth::Kerberos;

/// Fills `message` from a KRB-ERROR's SEQUENCE.
pub(super) fn decode(sequence: &Element<'_>, message: &mut Kerberos, _key: &Key, faults: &mut Faults) {
    let mut stime = None;
    let mut micros = None;
    each_field(sequence, "krb_error", faults, &[0, 1, 4, 5, 6, 9, 10], |number, field, faults| {
        match number {
            0 => version(field, "krb_error.pvno", faults),
            1 => msg_type(field, "krb_error.msg_type", 30, faults),
            // ctime, cusec, crealm, cname, e-text, e-data.
            2 | 3 | 7 | 8 | 11 | 12 => {}
            4 => stime = time(field, "krb_error.stime", faults),
            5 => micros = field.integer("krb_error.susec", faults),
            6 => message.error_code = int32(field, "krb_error.error_code", faults),
            9 => message.realm = principal::string(field, "krb_error.realm", faults),
            10 => message.sname = principal::name(field, "krb_error.sname", faults),
            _ => return false,
        }
        true
    });
    message.error_name =
        message.error_code.map(|code| error_name::of(code).map_or_else(|| format!("error {code}"), ToOwned::to_owned));
    message.server_time = stime.map(|Stamp(seconds)| {
        let micros = micros.filter(|micros| (0..1_000_000).contains(micros));
        Stamp(seconds.saturating_add(micros.unwrap_or(0))).to_string()
    });
}

/// KerberosTime: `YYYYMMDDhhmmssZ` and nothing else (RFC 4120 section 5.2.3).
fn time(field: &Element<'_>, path: &str, faults: &mut Faults) -> Option<Stamp> {
    let element = field.explicit(Tag::GeneralizedTime, path, faults)?;
    let text = element.text();
    let stamp = match text.split_at_checked(8) {
        Some((date, time)) if text.len() == 15 => Stamp::parse(&format!("{date}T{time}")),
        _ => None,
    };
    if stamp.is_none() && !element.cut {
        faults.add(element.at, path, "YYYYMMDDhhmmssZ", format!("{} bytes that are none", element.content.len()));
    }
    stamp
}
