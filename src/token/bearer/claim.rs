//! One value of a JWT's JSON, in bounded memory: what no claim of interest can be is passed over without being kept.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::Stamp;

/// Longer strings than this are cut: they are shown, not compared.
const TEXT_LIMIT: usize = 512;

/// Entries of a list that are kept.
pub(super) const LIST_LIMIT: usize = 64;

/// A claim's value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Claim {
    /// A string.
    Text(String),
    /// A number.
    Number(f64),
    /// The strings of an array.
    List(Vec<String>),
    /// Anything else.
    Other,
}

impl Claim {
    /// A StringOrURI (RFC 7519 section 2).
    pub(super) fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// One string or several, as `aud` may be (RFC 7519 section 4.1.3).
    pub(super) fn list(self) -> Vec<String> {
        match self {
            Self::Text(text) => vec![text],
            Self::List(list) => list,
            _ => Vec::new(),
        }
    }

    /// Strings between spaces, as `scope` has them (RFC 6749 section 3.3), or an array.
    pub(super) fn words(self) -> Vec<String> {
        match self {
            Self::Text(text) => text.split_ascii_whitespace().take(LIST_LIMIT).map(ToOwned::to_owned).collect(),
            other => other.list(),
        }
    }

    /// A NumericDate: seconds since 1970, a fraction allowed (RFC 7519 section 2).
    pub(super) fn time(&self) -> Option<Stamp> {
        let Self::Number(seconds) = self else { return None };
        // By way of its text: the conversion that Rust has saturates and is forbidden here. Past any calendar: no time.
        let micros: i128 = format!("{:.0}", seconds * 1e6).parse().ok()?;
        i64::try_from(micros).ok().map(Stamp)
    }
}

/// As much of a string as is kept.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(TEXT_LIMIT).collect()
}

impl<'de> Deserialize<'de> for Claim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Value)
    }
}

struct Value;

impl<'de> Visitor<'de> for Value {
    type Value = Claim;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a claim")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Claim, E> {
        Ok(Claim::Other)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Claim, E> {
        Ok(number.to_string().parse().map_or(Claim::Other, Claim::Number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Claim, E> {
        Ok(number.to_string().parse().map_or(Claim::Other, Claim::Number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Claim, E> {
        Ok(Claim::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Claim, E> {
        Ok(Claim::Text(cut(text)))
    }

    fn visit_unit<E>(self) -> Result<Claim, E> {
        Ok(Claim::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Claim, A::Error> {
        let mut list = Vec::new();
        while list.len() < LIST_LIMIT {
            match entries.next_element::<Entry>()? {
                Some(Entry(Some(text))) => list.push(text),
                Some(Entry(None)) => {}
                None => return Ok(Claim::List(list)),
            }
        }
        while entries.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Claim::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Claim, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Claim::Other)
    }
}

/// A string in an array; other entries are passed over without their own being kept.
struct Entry(Option<String>);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An inner array is kept for a moment, no longer than its bytes are in the input.
        Claim::deserialize(deserializer).map(|claim| Self(claim.text()))
    }
}
