//! All findings, in the order of `failure modes`: connections first, then challenges, credentials, and authtap itself.

catalogue! {
    "connection/first_login_unpinned.rs" => first_login_unpinned,
    "connection/handshake_split_across_connections.rs" => handshake_split_across_connections,
    "connection/handshake_interleaved.rs" => handshake_interleaved,
    "connection/connection_closed_mid_handshake.rs" => connection_closed_mid_handshake,
    "connection/handshake_changed_node.rs" => handshake_changed_node,
    "connection/authentication_lost.rs" => authentication_lost,
    "connection/authentication_not_persistent.rs" => authentication_not_persistent,
    "connection/handshake_per_connection_wasted.rs" => handshake_per_connection_wasted,
    "connection/kerberos_per_request.rs" => kerberos_per_request,
    "connection/authenticated_connection_shared.rs" => authenticated_connection_shared,
    "connection/identity_changed_on_connection.rs" => identity_changed_on_connection,
    "connection/retry_loop.rs" => retry_loop,
    "connection/reauthenticated_per_application.rs" => reauthenticated_per_application,
    "connection/token_after_success.rs" => token_after_success,
    "connection/intermediary_on_path.rs" => intermediary_on_path,
    "challenge/challenge_missing.rs" => challenge_missing,
    "challenge/challenge_unanswered.rs" => challenge_unanswered,
    "challenge/no_common_scheme.rs" => no_common_scheme,
    "message/challenges_folded.rs" => challenges_folded,
    "message/header_names_lowercased.rs" => header_names_lowercased,
    "message/unauthorized_hidden.rs" => unauthorized_hidden,
    "message/authorization_dropped.rs" => authorization_dropped,
    "message/authorization_malformed.rs" => authorization_malformed,
    "message/token_family_mismatch.rs" => token_family_mismatch,
    "ntlm/challenge_incomplete.rs" => challenge_incomplete,
    "client/upgrade_unauthorized.rs" => upgrade_unauthorized,
    "client/cors_preflight_unauthorized.rs" => cors_preflight_unauthorized,
    "client/fetch_without_credentials.rs" => fetch_without_credentials,
    "client/health_probe_unauthorized.rs" => health_probe_unauthorized,
    "credential/credentials_rejected.rs" => credentials_rejected,
    "credential/lockout_risk.rs" => lockout_risk,
    "credential/basic_charset.rs" => basic_charset,
    "credential/digest_stale_loop.rs" => digest_stale_loop,
    "credential/digest_uri_mismatch.rs" => digest_uri_mismatch,
    "credential/bearer_rejected.rs" => bearer_rejected,
    "kerberos/kerberos_wrong_key.rs" => kerberos_wrong_key,
    "kerberos/kerberos_clock_skew.rs" => kerberos_clock_skew,
    "kerberos/kerberos_replay.rs" => kerberos_replay,
    "kerberos/kerberos_encryption_type.rs" => kerberos_encryption_type,
    "kerberos/kerberos_error.rs" => kerberos_error,
    "server/double_hop.rs" => double_hop,
    "server/access_denied_after_logon.rs" => access_denied_after_logon,
    "server/denied_by_filter_or_application.rs" => denied_by_filter_or_application,
    "server/ip_restricted.rs" => ip_restricted,
    "server/client_certificate_required.rs" => client_certificate_required,
    "ntlm/negotiate_refuses_ntlm.rs" => negotiate_refuses_ntlm,
    "ntlm/ntlm_fallback.rs" => ntlm_fallback,
    "ntlm/target_name_mismatch.rs" => target_name_mismatch,
    "ntlm/ntlmv1_client.rs" => ntlmv1_client,
    "ntlm/ntlm_session_security.rs" => ntlm_session_security,
    "ntlm/loopback_check.rs" => loopback_check,
    "ntlm/anonymous_logon.rs" => anonymous_logon,
    "tls/channel_binding_mismatch.rs" => channel_binding_mismatch,
    "tls/channel_binding_foreign.rs" => channel_binding_foreign,
    "tls/channel_binding_missing.rs" => channel_binding_missing,
    "insertion/proxy_certificate_breaks_epa.rs" => proxy_certificate_breaks_epa,
    "insertion/client_certificate_not_relayed.rs" => client_certificate_not_relayed,
    "insertion/proxy_on_server_host.rs" => proxy_on_server_host,
    "insertion/proxy_changes_host.rs" => proxy_changes_host,
}

/// Slugs of the findings that explain others, or say better what they say.
pub fn roots() -> impl Iterator<Item = &'static str> {
    ALL.iter().flat_map(|m| m.consequence_of.iter().chain(m.yields_to).copied())
}

/// One finding's identity by its slug.
pub fn by_slug(slug: &str) -> Option<&'static super::Meta> {
    ALL.iter().find(|m| m.slug == slug).copied()
}
