//! BER/DER elements over a maintained layer (asn1-rs), made tolerant: an element that claims more bytes than there are
//! is read as far as it goes, and the fault says where and how much is missing.

use asn1_rs::{Any, Class, FromBer as _, Header, Length, Oid, Tag};

use super::fault::{Faults, Field};

/// An OID's encoding longer than this is no mechanism's.
const OID_LIMIT: usize = 64;

/// Reads elements one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    data: &'a [u8],
    at: usize,
    cut: bool,
}

/// One element: identifier, and as much of its content as there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    class: Class,
    tag: Tag,
    /// The content that is there.
    pub(super) content: &'a [u8],
    /// Offset of the identifier in the whole token.
    pub(super) at: usize,
    /// Offset of the content in the whole token.
    pub(super) content_at: usize,
    /// Whether the content is shorter than the length says.
    pub(super) cut: bool,
}

impl<'a> Reader<'a> {
    /// Reads `data`, which begins at offset `at` of the whole token.
    pub(super) const fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at, cut: false }
    }

    /// The bytes that were not read yet, and their offset.
    pub(super) const fn rest(&self) -> (&'a [u8], usize) {
        (self.data, self.at)
    }

    /// Whether the bytes ended before their element did, here or in what contains it.
    pub(super) const fn is_cut(&self) -> bool {
        self.cut
    }

    /// The next element, with a fault when there is none or it is not whole.
    pub(super) fn next(&mut self, field: impl Field + Copy, faults: &mut Faults) -> Option<Element<'a>> {
        if self.data.is_empty() {
            faults.add(self.at, field, "an element", "the end");
            return None;
        }
        self.next_if_any(field, faults)
    }

    /// The next element, or `None` without a fault at the end.
    pub(super) fn next_if_any(&mut self, field: impl Field + Copy, faults: &mut Faults) -> Option<Element<'a>> {
        if self.data.is_empty() {
            return None;
        }
        let Ok((after, header)) = Header::from_ber(self.data) else {
            faults.add(self.at, field, "identifier and length", format!("{} bytes that hold none", self.data.len()));
            self.skip_all();
            return None;
        };
        let header_bytes = self.data.len().saturating_sub(after.len());
        let content_at = self.at.saturating_add(header_bytes);
        let (length, cut) = match header.length() {
            Length::Definite(length) => {
                if length > after.len() {
                    faults.add(self.at, field, format!("{length} bytes of content"), format!("{}", after.len()));
                }
                (length.min(after.len()), length > after.len())
            }
            Length::Indefinite => {
                faults.add(self.at, field, "a definite length (DER)", "an indefinite one");
                (after.len(), false)
            }
        };
        let (content, rest) = after.split_at_checked(length).unwrap_or((after, &[]));
        self.data = rest;
        self.at = content_at.saturating_add(length);
        self.cut |= cut;
        Some(Element {
            class: header.class(),
            tag: header.tag(),
            content,
            at: content_at.saturating_sub(header_bytes),
            content_at,
            cut,
        })
    }

    fn skip_all(&mut self) {
        self.at = self.at.saturating_add(self.data.len());
        self.data = &[];
        self.cut = true;
    }

    /// Notes a fault when bytes are left.
    pub(super) fn expect_end(&self, field: impl Field, faults: &mut Faults) {
        if !self.data.is_empty() {
            faults.add(self.at, field, "the end", format!("{} more bytes", self.data.len()));
        }
    }
}

impl<'a> Element<'a> {
    /// A reader of the content.
    pub(super) const fn inside(&self) -> Reader<'a> {
        Reader { data: self.content, at: self.content_at, cut: self.cut }
    }

    /// The number of a context-specific tag.
    pub(super) const fn context(&self) -> Option<u32> {
        match self.class {
            Class::ContextSpecific => Some(self.tag.0),
            _ => None,
        }
    }

    /// The number of an application tag.
    pub(super) const fn application(&self) -> Option<u32> {
        match self.class {
            Class::Application => Some(self.tag.0),
            _ => None,
        }
    }

    /// Whether this is the universal type `tag`.
    pub(super) fn is(&self, tag: Tag) -> bool {
        self.class == Class::Universal && self.tag == tag
    }

    /// The element inside an explicit tag, which should be of type `tag`. Of another type it comes with a fault.
    pub(super) fn explicit(&self, tag: Tag, field: impl Field + Copy, faults: &mut Faults) -> Option<Self> {
        let mut inside = self.inside();
        let element = inside.next(field, faults)?;
        element.should_be(tag, field, faults);
        Some(element)
    }

    /// Notes a fault when this is not of type `tag`.
    pub(super) fn should_be(&self, tag: Tag, field: impl Field, faults: &mut Faults) {
        if !self.is(tag) {
            faults.add(self.at, field, tag.to_string(), self.describe());
        }
    }

    /// Class and tag in words.
    pub(super) fn describe(&self) -> String {
        match self.class {
            Class::Universal => self.tag.to_string(),
            Class::Application => format!("[APPLICATION {}]", self.tag.0),
            Class::ContextSpecific => format!("[{}]", self.tag.0),
            Class::Private => format!("[PRIVATE {}]", self.tag.0),
        }
    }

    /// The INTEGER or ENUMERATED in this explicit tag.
    pub(super) fn integer(&self, field: impl Field + Copy, faults: &mut Faults) -> Option<i64> {
        let mut inside = self.inside();
        let element = inside.next(field, faults)?;
        if !element.is(Tag::Integer) && !element.is(Tag::Enumerated) {
            faults.add(element.at, field, "INTEGER", element.describe());
            return None;
        }
        if element.cut {
            return None;
        }
        if element.content.is_empty() {
            faults.add(element.at, field, "an integer", "no bytes");
            return None;
        }
        let any = Any::from_tag_and_data(Tag::Integer, element.content);
        let value = i64::try_from(any).ok();
        if value.is_none() {
            faults.add(element.at, field, "an integer of 64 bits", format!("{} bytes", element.content.len()));
        }
        value
    }

    /// This element as a dotted OID.
    pub(super) fn oid(&self, field: impl Field + Copy, faults: &mut Faults) -> Option<String> {
        if !self.is(Tag::Oid) {
            faults.add(self.at, field, "OBJECT IDENTIFIER", self.describe());
            return None;
        }
        if self.cut {
            return None;
        }
        let ends = self.content.last().is_some_and(|b| b & 0x80 == 0);
        if !ends || self.content.len() > OID_LIMIT {
            faults.add(
                self.at,
                field,
                format!("an OID of 1 to {OID_LIMIT} bytes"),
                format!("{} bytes that are none", self.content.len()),
            );
            return None;
        }
        Some(Oid::new(self.content.into()).to_id_string())
    }

    /// The content as text: UTF-8 as Windows has it, else Latin-1.
    pub(super) fn text(&self) -> String {
        std::str::from_utf8(self.content)
            .map_or_else(|_| self.content.iter().copied().map(char::from).collect(), ToOwned::to_owned)
    }
}
