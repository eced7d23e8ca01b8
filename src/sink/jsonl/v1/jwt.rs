//! JSON Web Tokens (RFC 7519) as a capture shows them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{self, Unfit};
use crate::model::auth;

/// Header and claims of a JWT; the signature is never here, nor the values of claims that say who somebody is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Jwt {
    /// Algorithm of the signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// Type of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typ: Option<String>,
    /// Which key of the issuer signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The claims are encrypted.
    pub encrypted: bool,
    /// `iss`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// `aud`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    /// `exp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// `nbf`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// `iat`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued: Option<String>,
    /// `azp` or `appid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// `scp` or `scope`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// `roles`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Names of the other claims; their values are not kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_claims: Vec<String>,
}

impl From<&auth::Jwt> for Jwt {
    fn from(x: &auth::Jwt) -> Self {
        Self {
            alg: x.alg.clone(),
            typ: x.typ.clone(),
            kid: x.kid.clone(),
            encrypted: x.encrypted,
            issuer: x.issuer.clone(),
            audience: x.audience.clone(),
            expires: x.expires.map(text::stamp),
            not_before: x.not_before.map(text::stamp),
            issued: x.issued.map(text::stamp),
            client: x.client.clone(),
            scopes: x.scopes.clone(),
            roles: x.roles.clone(),
            other_claims: x.other_claims.clone(),
        }
    }
}

impl TryFrom<Jwt> for auth::Jwt {
    type Error = Unfit;

    fn try_from(x: Jwt) -> Result<Self, Unfit> {
        Ok(Self {
            alg: x.alg,
            typ: x.typ,
            kid: x.kid,
            encrypted: x.encrypted,
            issuer: x.issuer,
            audience: x.audience,
            expires: text::to_stamp_opt("jwt.expires", x.expires.as_deref())?,
            not_before: text::to_stamp_opt("jwt.not_before", x.not_before.as_deref())?,
            issued: text::to_stamp_opt("jwt.issued", x.issued.as_deref())?,
            client: x.client,
            scopes: x.scopes,
            roles: x.roles,
            other_claims: x.other_claims,
        })
    }
}
