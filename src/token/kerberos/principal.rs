//! PrincipalName (RFC 4120 section 5.2.2) and Realm.

use asn1_rs::Tag;

use super::super::der::Element;
use super::super::fault::Faults;
use super::each_field;

/// Names have two parts, seldom three.
const PARTS_LIMIT: usize = 16;

/// The parts of the name, joined with `/`.
pub(super) fn name(field: &Element<'_>, path: &str, faults: &mut Faults) -> Option<String> {
    let sequence = field.explicit(Tag::Sequence, path, faults)?;
    let mut parts = Vec::new();
    each_field(&sequence, path, faults, &[0, 1], |number, field, faults| {
        match number {
            0 => {
                field.integer(&format!("{path}.name_type"), faults);
            }
            1 => parts = name_string(field, &format!("{path}.name_string"), faults),
            _ => return false,
        }
        true
    });
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn name_string(field: &Element<'_>, path: &str, faults: &mut Faults) -> Vec<String> {
    let mut parts = Vec::new();
    let Some(list) = field.explicit(Tag::Sequence, path, faults) else {
        return parts;
    };
    let mut strings = list.inside();
    while let Some(part) = strings.next_if_any(path, faults) {
        if parts.len() >= PARTS_LIMIT {
            let expected = format!("at most {PARTS_LIMIT} parts");
            faults.add(part.at, path, expected, "more");
            break;
        }
        part.should_be(Tag::GeneralString, path, faults);
        parts.push(part.text());
    }
    parts
}

/// A Realm or another KerberosString.
pub(super) fn string(field: &Element<'_>, path: &str, faults: &mut Faults) -> Option<String> {
    let element = field.explicit(Tag::GeneralString, path, faults)?;
    Some(element.text())
}
