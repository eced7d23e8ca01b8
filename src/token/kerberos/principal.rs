//! PrincipalName (RFC 4120 section 5.2.2) and Realm.

use asn1_rs::Tag;

use super::super::der::Element;
use super::super::fault::Faults;
use super::{each_field, int32};

/// Names have two parts, seldom three.
const PARTS_LIMIT: usize = 16;

/// A PrincipalName.
#[derive(Default)]
pub(super) struct Name {
    /// Its parts, joined with `/`.
    pub(super) text: Option<String>,
    /// name-type.
    pub(super) kind: Option<i32>,
}

/// The name in an explicit tag.
pub(super) fn name(field: &Element<'_>, path: &'static str, faults: &mut Faults) -> Name {
    let mut name = Name::default();
    let Some(sequence) = field.explicit(Tag::Sequence, path, faults) else {
        return name;
    };
    each_field(&sequence, path, faults, &[0, 1], |number, field, faults| {
        match number {
            0 => name.kind = int32(field, (path, "name_type"), faults),
            1 => name.text = name_string(field, (path, "name_string"), faults),
            _ => return false,
        }
        true
    });
    name
}

fn name_string(field: &Element<'_>, path: (&'static str, &'static str), faults: &mut Faults) -> Option<String> {
    let list = field.explicit(Tag::Sequence, path, faults)?;
    let mut strings = list.inside();
    let mut name: Option<String> = None;
    let mut count = 0_usize;
    while let Some(part) = strings.next_if_any(path, faults) {
        if count >= PARTS_LIMIT {
            let expected = format!("at most {PARTS_LIMIT} parts");
            faults.add(part.at, path, expected, "more");
            break;
        }
        count = count.saturating_add(1);
        part.should_be(Tag::GeneralString, path, faults);
        let text = part.text();
        name = Some(match name {
            Some(before) => before + "/" + &text,
            None => text,
        });
    }
    name
}

/// A Realm or another KerberosString.
pub(super) fn string(field: &Element<'_>, path: &'static str, faults: &mut Faults) -> Option<String> {
    let element = field.explicit(Tag::GeneralString, path, faults)?;
    Some(element.text())
}
