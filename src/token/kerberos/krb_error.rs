//! KRB-ERROR (RFC 4120 section 5.9.1): all of it is in clear.

use asn1_rs::Tag;

use super::super::bytes::u32_le;
use super::super::der::{Element, Reader};
use super::super::fault::Faults;
use super::{each_field, error_name, int32, msg_type, principal, version};
use crate::model::Stamp;
use crate::model::auth::Kerberos;

/// data-type of KERB-ERROR-DATA (MS-KILE section 2.2.2): data-value is a KERB-EXT-ERROR.
const EXTENDED: i32 = 3;

/// KERB-EXT-ERROR (MS-KILE section 2.2.1): status, reserved, flags.
const EXT_ERROR: usize = 12;

/// Fills `message` from a KRB-ERROR's SEQUENCE.
pub(super) fn decode(sequence: &Element<'_>, message: &mut Kerberos, faults: &mut Faults) {
    let (mut stime, mut susec, mut ctime, mut cusec) = (None, None, None, None);
    let required = &[0, 1, 4, 5, 6, 9, 10];
    each_field(sequence, "krb_error", faults, required, |number, field, faults| {
        match number {
            0 => version(field, "krb_error.pvno", faults),
            1 => msg_type(field, "krb_error.msg_type", 30, faults),
            2 => ctime = time(field, "krb_error.ctime", faults),
            3 => cusec = micros(field, "krb_error.cusec", faults),
            4 => stime = time(field, "krb_error.stime", faults),
            5 => susec = micros(field, "krb_error.susec", faults),
            6 => message.error_code = int32(field, "krb_error.error_code", faults),
            7 => message.client_realm = principal::string(field, "krb_error.crealm", faults),
            8 => message.client_name = principal::name(field, "krb_error.cname", faults).text,
            9 => message.realm = principal::string(field, "krb_error.realm", faults),
            10 => {
                let name = principal::name(field, "krb_error.sname", faults);
                (message.sname, message.sname_type) = (name.text, name.kind);
            }
            11 => message.error_text = principal::string(field, "krb_error.e_text", faults),
            12 => error_data(field, message, faults),
            _ => return false,
        }
        true
    });
    message.error_name =
        message.error_code.map(|code| error_name::of(code).map_or_else(|| format!("error {code}"), ToOwned::to_owned));
    message.server_time = together(stime, susec);
    message.client_time = together(ctime, cusec);
}

fn together(seconds: Option<Stamp>, micros: Option<i64>) -> Option<String> {
    seconds.map(|Stamp(seconds)| Stamp(seconds.saturating_add(micros.unwrap_or(0))).to_string())
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

/// Microseconds (RFC 4120 section 5.2.4).
fn micros(field: &Element<'_>, path: &str, faults: &mut Faults) -> Option<i64> {
    let value = field.integer(path, faults)?;
    let sane = (0..1_000_000).contains(&value);
    if !sane {
        faults.add(field.at, path, "0 to 999999", value.to_string());
    }
    sane.then_some(value)
}

/// e-data: free by RFC 4120. Windows puts a KERB-ERROR-DATA there (MS-KILE section 2.2.2); a KDC's METHOD-DATA, or what
/// else others send, is only measured.
fn error_data(field: &Element<'_>, message: &mut Kerberos, faults: &mut Faults) {
    let Some(octets) = field.explicit(Tag::OctetString, "krb_error.e_data", faults) else {
        return;
    };
    message.error_data_bytes = Some(octets.content.len());
    // Faults of what is not known to be a KERB-ERROR-DATA would blame the peer for a choice that is free.
    let mut unsaid = Faults::default();
    let Some(sequence) = Reader::new(octets.content, octets.content_at).next("e_data", &mut unsaid) else {
        return;
    };
    let mut fields = sequence.inside();
    let kind = match fields.next("e_data", &mut unsaid) {
        Some(kind) if sequence.is(Tag::Sequence) && kind.context() == Some(1) => kind,
        _ => return,
    };
    message.error_data_type = int32(&kind, "krb_error.e_data.data_type", faults);
    if message.error_data_type != Some(EXTENDED) {
        return;
    }
    let value = fields
        .next("krb_error.e_data.data_value", faults)
        .filter(|value| value.context() == Some(2))
        .and_then(|value| value.explicit(Tag::OctetString, "krb_error.e_data.data_value", faults));
    if let Some(value) = value {
        message.error_status = u32_le(value.content, 0);
        if value.content.len() < EXT_ERROR {
            let got = value.content.len().to_string();
            faults.add(value.content_at, "krb_error.e_data.ext_error", format!("{EXT_ERROR} bytes"), got);
        }
    }
}
