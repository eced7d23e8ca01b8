//! Which fields' values are kept. Sorted, in lower case.

/// Fields whose values say how the message travelled, what it is, or which server answered, and hold no secret.
const KEPT: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-patch",
    "accept-post",
    "accept-ranges",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "access-control-request-headers",
    "access-control-request-method",
    "age",
    "allow",
    "alt-svc",
    "alternates",
    "cache-control",
    "cache-status",
    "cdn-loop",
    "cf-connecting-ip",
    "cf-ray",
    "client-ip",
    "client-request-id",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "dav",
    "depth",
    "dnt",
    "etag",
    "expect",
    "expires",
    "fastly-client-ip",
    "front-end-https",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "last-modified",
    "max-forwards",
    "microsoftsharepointteamservices",
    "ms-author-via",
    "persistent-auth",
    "pragma",
    "priority",
    "proxy-connection",
    "proxy-status",
    "proxy-support",
    "public",
    "range",
    "request-id",
    "retry-after",
    "save-data",
    "server",
    "server-timing",
    "spiislatency",
    "sprequestduration",
    "sprequestguid",
    "strict-transport-security",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "translate",
    "true-client-ip",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "vary",
    "via",
    "warning",
    "x-arr-log-id",
    "x-aspnet-version",
    "x-aspnetmvc-version",
    "x-azure-ref",
    "x-backendhttpstatus",
    "x-beserver",
    "x-cache",
    "x-calculatedbetarget",
    "x-calculatedfetarget",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-content-type-options",
    "x-correlation-id",
    "x-diaginfo",
    "x-feserver",
    "x-forms_based_auth_required",
    "x-forwarded",
    "x-forwarded-by",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-frame-options",
    "x-idcrl_accepted",
    "x-ms-proxy",
    "x-msdavext",
    "x-msdavext_error",
    "x-originating-ip",
    "x-owa-version",
    "x-powered-by",
    "x-real-ip",
    "x-request-id",
    "x-requested-with",
    "x-served-by",
    "x-sharepointhealthscore",
    "x-ua-compatible",
];

/// Families of fields that browsers fill and no application does.
const KEPT_PREFIXES: &[&str] = &["sec-ch-ua", "sec-fetch-"];

/// Fields that hold a URL or a path, which may hold a token.
const URLS: &[&str] = &[
    "content-location",
    "destination",
    "location",
    "origin",
    "referer",
    "x-forms_based_auth_return_url",
    "x-forwarded-path",
    "x-forwarded-uri",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
];

/// Whether the values of this field are kept as they are. `X-Forwarded-*` is not a family: some proxies put access
/// tokens and client certificates under it.
pub(super) fn is_kept(name: &str) -> bool {
    KEPT.binary_search(&name).is_ok() || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether the values of this field are URLs.
pub(super) fn is_url(name: &str) -> bool {
    URLS.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An unsorted table hides harmless values from the reader.
    #[test]
    fn tables_are_sorted_lower_case_and_disjoint() {
        for table in [KEPT, URLS] {
            assert!(table.is_sorted());
            assert!(table.iter().all(|name| *name == name.to_ascii_lowercase()));
        }
        assert!(!URLS.iter().any(|name| is_kept(name)));
    }
}
