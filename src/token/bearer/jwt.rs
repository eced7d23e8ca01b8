//! JWT (RFC 7519) in JWS compact form (RFC 7515 section 3.1), or JWE (RFC 7516 section 3.1).

use std::fmt;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::super::fault::Faults;
use super::super::field::Text;
use super::claim::{Claim, LIST_LIMIT, cut};
use crate::model::Stamp;
use crate::model::auth::Jwt;

/// Longer than any real part; keeps a hostile one from being decoded for nothing.
const PART_LIMIT: usize = 64 * 1024;

/// Padding is forbidden (RFC 7515 section 2); some send it all the same.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What the token says of itself; `None` when it has not the shape of a JWT. The last parts are never decoded.
pub(super) fn decode(text: Text<'_>, faults: &mut Faults) -> Option<Jwt> {
    let mut parts = text.bytes.split(|b| *b == b'.');
    let (header, claims) = (parts.next()?, parts.next()?);
    let encrypted = match parts.count() {
        1 => false,
        3 => true,
        _ => return None,
    };
    let header_json = part(header)?;
    if !is_object(&header_json) {
        return None;
    }
    let mut jwt = Jwt { encrypted, ..Jwt::default() };
    let mut told = Told { faults, at: text.offset };
    told.read(&header_json, "jwt.header", Header(&mut jwt));
    if !encrypted {
        told.at = text.offset.saturating_add(header.len()).saturating_add(1);
        match part(claims) {
            Some(json) if is_object(&json) => told.read(&json, "jwt.claims", Claims(&mut jwt)),
            _ => told.add("jwt.claims", "a JSON object in base64url", "something else"),
        }
        for (field, name) in [("jwt.claims.exp", "exp"), ("jwt.claims.nbf", "nbf"), ("jwt.claims.iat", "iat")] {
            // A time that is none stands among the other claims.
            if jwt.other_claims.iter().any(|other| other == name) {
                told.add(field, "seconds since 1970", "something else");
            }
        }
    }
    Some(jwt)
}

fn part(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() > PART_LIMIT {
        return None;
    }
    BASE64URL.decode(text).ok()
}

fn is_object(json: &[u8]) -> bool {
    let json = json.trim_ascii();
    json.starts_with(b"{") && json.ends_with(b"}")
}

struct Told<'a> {
    faults: &'a mut Faults,
    at: usize,
}

impl Told<'_> {
    fn add(&mut self, field: &str, expected: &str, got: &str) {
        self.faults.add(self.at, field, expected, got);
    }

    fn read<'de>(&mut self, json: &'de [u8], field: &str, into: impl Visitor<'de, Value = ()>) {
        let mut reader = serde_json::Deserializer::from_slice(json);
        // serde_json's own words would quote what is there.
        if reader.deserialize_map(into).is_err() {
            self.add(field, "a JSON object", "one that is broken; read up to the break");
        }
    }
}

/// Reads a JOSE header (RFC 7515 section 4.1) into a [`Jwt`].
struct Header<'a>(&'a mut Jwt);

impl<'de> Visitor<'de> for Header<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JOSE header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(name) = entries.next_key::<Name>()? {
            let slot = match name.0.as_str() {
                "alg" => &mut self.0.alg,
                "typ" => &mut self.0.typ,
                "kid" => &mut self.0.kid,
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *slot = entries.next_value::<Claim>()?.text();
        }
        Ok(())
    }
}

/// Reads a claims set (RFC 7519 section 4) into a [`Jwt`].
struct Claims<'a>(&'a mut Jwt);

impl<'de> Visitor<'de> for Claims<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a claims set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let jwt = self.0;
        while let Some(Name(name)) = entries.next_key::<Name>()? {
            let known = matches!(
                name.as_str(),
                "iss" | "aud" | "exp" | "nbf" | "iat" | "azp" | "appid" | "scp" | "scope" | "roles"
            );
            if !known {
                entries.next_value::<IgnoredAny>()?;
                if jwt.other_claims.len() < LIST_LIMIT {
                    jwt.other_claims.push(name);
                }
                continue;
            }
            let claim = entries.next_value::<Claim>()?;
            let time = |slot: &mut Option<Stamp>, others: &mut Vec<String>, claim: &Claim, name: &str| {
                *slot = claim.time();
                if slot.is_none() && others.len() < LIST_LIMIT {
                    others.push(name.to_owned());
                }
            };
            match name.as_str() {
                "iss" => jwt.issuer = claim.text(),
                "aud" => jwt.audience = claim.list(),
                "exp" => time(&mut jwt.expires, &mut jwt.other_claims, &claim, "exp"),
                "nbf" => time(&mut jwt.not_before, &mut jwt.other_claims, &claim, "nbf"),
                "iat" => time(&mut jwt.issued, &mut jwt.other_claims, &claim, "iat"),
                "scp" | "scope" => jwt.scopes = claim.words(),
                "roles" => jwt.roles = claim.list(),
                _ => jwt.client = claim.text(),
            }
        }
        Ok(())
    }
}

/// A name in an object, cut.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                Ok(Name(cut(text)))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
