//! Decoded challenges and credentials, without secrets.

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::jwt::Jwt;
use super::kerberos::Kerberos;
use super::ntlm::Ntlm;
use super::text::Unfit;
use crate::model::auth;

/// One challenge, or one set of credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AuthField {
    /// The scheme in lower case.
    pub scheme: String,
    /// The scheme as sent.
    pub scheme_as_sent: String,
    /// Bytes of the token after base64 decoding; 0 for a bare scheme.
    pub token_bytes: usize,
    /// Name and value of each parameter, such as `realm`; no secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<(String, String)>,
    /// What could not be read as it should be.
    pub faults: Vec<Fault>,
    /// What the token is: `family` and its fields; absent for a bare scheme.
    #[serde(flatten)]
    pub token: Option<Token>,
}

/// A place where bytes were not what the specification says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// Byte offset in the decoded token, or in the header's value.
    pub offset: usize,
    /// The field that was being read.
    pub field: String,
    /// What the specification asks for.
    pub expected: String,
    /// What was there.
    pub got: String,
}

/// A token, by its bytes and not by its scheme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "family", rename_all = "lowercase")]
pub enum Token {
    /// NTLMSSP.
    Ntlm(Ntlm),
    /// SPNEGO, with what it carries.
    Spnego(Spnego),
    /// Kerberos, raw or GSS-wrapped.
    Kerberos(Kerberos),
    /// `user:password`, the password left out.
    Basic(Basic),
    /// Digest parameters, `response` left out.
    Digest(Digest),
    /// A bearer token.
    Bearer(Bearer),
    /// Bytes of no known family.
    #[serde(other)]
    Unknown,
}

/// A SPNEGO token (RFC 4178).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spnego {
    /// `neg-token-init`, `neg-token-init2`, `neg-token-resp`; empty when it could not be told.
    pub message: String,
    /// Mechanisms offered, OIDs in order.
    #[serde(default)]
    pub mechs: Vec<String>,
    /// `accept-completed`, `accept-incomplete`, `reject`, `request-mic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neg_state: Option<String>,
    /// The mechanism chosen, an OID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supported_mech: Option<String>,
    /// The token inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner: Option<Box<Token>>,
    /// Whether a mechListMIC is there.
    #[serde(default)]
    pub mech_list_mic: bool,
    /// reqFlags by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub req_flags: Vec<String>,
    /// hintName of a NegTokenInit2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint_name: Option<String>,
    /// NEGOEX messages of the inner token, such as `initiator-nego`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub negoex: Vec<String>,
}

/// Basic (RFC 7617); the password is never here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Basic {
    /// The user; absent in a challenge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `ascii`, `utf-8` or `neither`; absent in a challenge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charset: Option<String>,
}

/// A bearer token; its signature is never here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bearer {
    /// It has the shape of a JWT.
    #[serde(default)]
    pub is_jwt: bool,
    /// Header and claims of a JWT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
}

/// Declares [`Digest`]: its parameters by name, taken from `params`.
macro_rules! digest {
    ($($(#[doc = $doc:literal])* $field:ident),+ $(,)?) => {
        /// Digest (RFC 7616) parameters by name; `response` is never here. On reading, `params` counts.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(default)]
        pub struct Digest {
            $($(#[doc = $doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<String>,)+
        }

        impl Digest {
            fn of(x: &auth::AuthField) -> Self {
                Self { $($field: x.param(stringify!($field)).map(str::to_owned),)+ }
            }
        }
    };
}

digest! {
    /// Hash function.
    algorithm,
    /// Character set of the user's name.
    charset,
    /// The client's own number.
    cnonce,
    /// URIs that share the realm.
    domain,
    /// Count of uses of the nonce.
    nc,
    /// The server's number.
    nonce,
    /// Handed back by the client.
    opaque,
    /// Quality of protection.
    qop,
    /// Realm.
    realm,
    /// Whether only the nonce was too old.
    stale,
    /// Request target as the client hashed it.
    uri,
    /// Whether the user's name is hashed.
    userhash,
    /// The user.
    username,
}

impl<'de> Deserialize<'de> for AuthField {
    /// By hand, because a flattened `Option` swallows errors: a token that cannot be read would pass as a bare scheme.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            scheme: String,
            scheme_as_sent: Option<String>,
            #[serde(default)]
            token_bytes: usize,
            #[serde(default)]
            params: Vec<(String, String)>,
            #[serde(default)]
            faults: Vec<Fault>,
            #[serde(flatten)]
            rest: serde_json::Map<String, serde_json::Value>,
        }
        let fields = Fields::deserialize(deserializer)?;
        let token = if fields.rest.contains_key("family") {
            Some(Token::deserialize(serde_json::Value::Object(fields.rest)).map_err(D::Error::custom)?)
        } else {
            None
        };
        Ok(Self {
            scheme_as_sent: fields.scheme_as_sent.unwrap_or_else(|| fields.scheme.clone()),
            scheme: fields.scheme,
            token_bytes: fields.token_bytes,
            params: fields.params,
            faults: fields.faults,
            token,
        })
    }
}

impl From<&auth::AuthField> for AuthField {
    fn from(x: &auth::AuthField) -> Self {
        Self {
            scheme: x.scheme.name().to_owned(),
            scheme_as_sent: x.scheme_as_sent.clone(),
            token_bytes: x.token_bytes,
            params: x.params.clone(),
            faults: x
                .faults
                .iter()
                .map(|f| Fault {
                    offset: f.offset,
                    field: f.field.clone(),
                    expected: f.expected.clone(),
                    got: f.got.clone(),
                })
                .collect(),
            token: match &x.token {
                auth::Token::Digest => Some(Token::Digest(Digest::of(x))),
                other => token_of(other),
            },
        }
    }
}

impl TryFrom<AuthField> for auth::AuthField {
    type Error = Unfit;

    fn try_from(x: AuthField) -> Result<Self, Unfit> {
        Ok(Self {
            scheme: auth::Scheme::of(&x.scheme),
            scheme_as_sent: x.scheme_as_sent,
            token: x.token.map_or(Ok(auth::Token::None), TryInto::try_into)?,
            token_bytes: x.token_bytes,
            params: x.params,
            faults: x
                .faults
                .into_iter()
                .map(|f| auth::Fault { offset: f.offset, field: f.field, expected: f.expected, got: f.got })
                .collect(),
        })
    }
}

fn token_of(x: &auth::Token) -> Option<Token> {
    Some(match x {
        auth::Token::None => return None,
        auth::Token::Ntlm(n) => Token::Ntlm(n.as_ref().into()),
        auth::Token::Spnego(s) => Token::Spnego(Spnego {
            message: s.message.clone(),
            mechs: s.mechs.clone(),
            neg_state: s.neg_state.clone(),
            supported_mech: s.supported_mech.clone(),
            inner: s.inner.as_deref().and_then(token_of).map(Box::new),
            mech_list_mic: s.mech_list_mic,
            req_flags: s.req_flags.clone(),
            hint_name: s.hint_name.clone(),
            negoex: s.negoex.clone(),
        }),
        auth::Token::Kerberos(k) => Token::Kerberos(k.as_ref().into()),
        auth::Token::Basic(b) => Token::Basic(Basic { user: b.user.clone(), charset: b.charset.clone() }),
        auth::Token::Digest => Token::Digest(Digest::default()),
        auth::Token::Bearer(b) => Token::Bearer(Bearer { is_jwt: b.is_jwt, jwt: b.jwt.as_deref().map(Into::into) }),
        auth::Token::Unknown => Token::Unknown,
    })
}

impl TryFrom<Token> for auth::Token {
    type Error = Unfit;

    fn try_from(x: Token) -> Result<Self, Unfit> {
        Ok(match x {
            Token::Ntlm(n) => Self::Ntlm(Box::new(n.try_into()?)),
            Token::Spnego(s) => Self::Spnego(Box::new(auth::Spnego {
                message: s.message,
                mechs: s.mechs,
                neg_state: s.neg_state,
                supported_mech: s.supported_mech,
                inner: s.inner.map(|t| (*t).try_into()).transpose()?.map(Box::new),
                mech_list_mic: s.mech_list_mic,
                req_flags: s.req_flags,
                hint_name: s.hint_name,
                negoex: s.negoex,
            })),
            Token::Kerberos(k) => Self::Kerberos(Box::new(k.try_into()?)),
            Token::Basic(b) => Self::Basic(auth::Basic { user: b.user, charset: b.charset }),
            Token::Digest(_) => Self::Digest,
            Token::Bearer(b) => Self::Bearer(auth::Bearer {
                is_jwt: b.is_jwt,
                jwt: b.jwt.map(TryInto::try_into).transpose()?.map(Box::new),
            }),
            Token::Unknown => Self::Unknown,
        })
    }
}
