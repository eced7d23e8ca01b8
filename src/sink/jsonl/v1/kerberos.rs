//! Kerberos messages (RFC 4120) as a capture shows them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{self, Unfit};
use crate::model::auth;

/// A Kerberos message's cleartext (RFC 4120).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Kerberos {
    /// `ap-req`, `ap-rep`, `krb-error`; empty when it could not be told.
    pub message: String,
    /// The realm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// The service, such as `HTTP/intranet.corp.example`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sname: Option<String>,
    /// Type of that name: 1 an account, 2 a service instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sname_type: Option<i32>,
    /// Encryption type of the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_etype: Option<i32>,
    /// Key version of the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kvno: Option<i64>,
    /// Number of the read-only domain controller that issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rodc: Option<u16>,
    /// Length of the ticket's ciphertext.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_bytes: Option<usize>,
    /// Keyed fingerprint of the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Keyed fingerprint of the whole AP-REQ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Encryption type of the authenticator, or of an AP-REP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticator_etype: Option<i32>,
    /// Length of that ciphertext.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticator_bytes: Option<usize>,
    /// `use-session-key`, `mutual-required`.
    #[serde(default)]
    pub ap_options: Vec<String>,
    /// KRB-ERROR's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<i32>,
    /// KRB-ERROR's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_name: Option<String>,
    /// The server's clock in a KRB-ERROR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_time: Option<String>,
    /// The client's clock in a KRB-ERROR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_time: Option<String>,
    /// The client's realm in a KRB-ERROR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_realm: Option<String>,
    /// The client's name in a KRB-ERROR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// KRB-ERROR's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_text: Option<String>,
    /// Type of KRB-ERROR's data: 2 skew recovery, 3 extended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_data_type: Option<i32>,
    /// Length of KRB-ERROR's data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_data_bytes: Option<usize>,
    /// Windows' NTSTATUS in a KRB-ERROR, such as `0xc000005e`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_status: Option<String>,
}

impl From<&auth::Kerberos> for Kerberos {
    fn from(x: &auth::Kerberos) -> Self {
        Self {
            message: x.message.clone(),
            realm: x.realm.clone(),
            sname: x.sname.clone(),
            sname_type: x.sname_type,
            ticket_etype: x.ticket_etype,
            kvno: x.kvno,
            rodc: x.rodc,
            ticket_bytes: x.ticket_bytes,
            ticket: x.ticket.clone(),
            request: x.request.clone(),
            authenticator_etype: x.authenticator_etype,
            authenticator_bytes: x.authenticator_bytes,
            ap_options: x.ap_options.clone(),
            error_code: x.error_code,
            error_name: x.error_name.clone(),
            server_time: x.server_time.clone(),
            client_time: x.client_time.clone(),
            client_realm: x.client_realm.clone(),
            client_name: x.client_name.clone(),
            error_text: x.error_text.clone(),
            error_data_type: x.error_data_type,
            error_data_bytes: x.error_data_bytes,
            error_status: x.error_status.map(text::hex32),
        }
    }
}

impl TryFrom<Kerberos> for auth::Kerberos {
    type Error = Unfit;

    fn try_from(x: Kerberos) -> Result<Self, Unfit> {
        Ok(Self {
            message: x.message,
            realm: x.realm,
            sname: x.sname,
            sname_type: x.sname_type,
            ticket_etype: x.ticket_etype,
            kvno: x.kvno,
            rodc: x.rodc,
            ticket_bytes: x.ticket_bytes,
            ticket: x.ticket,
            request: x.request,
            authenticator_etype: x.authenticator_etype,
            authenticator_bytes: x.authenticator_bytes,
            ap_options: x.ap_options,
            error_code: x.error_code,
            error_name: x.error_name,
            server_time: x.server_time,
            client_time: x.client_time,
            client_realm: x.client_realm,
            client_name: x.client_name,
            error_text: x.error_text,
            error_data_type: x.error_data_type,
            error_data_bytes: x.error_data_bytes,
            error_status: x.error_status.map(|s| text::to_u32("error_status", &s)).transpose()?,
        })
    }
}
