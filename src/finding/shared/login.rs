//! Whether a target or a `Location` is a login page, by the names that sites give them.

/// In the name of a path's segment.
const WORDS: &[&str] = &["login", "logon", "signin", "sign-in", "sign_in", "log-in", "log-on", "log_in", "log_on"];
/// Segments that are a login only together with an address to return to.
const WEAK: &[&str] = &["account", "auth", "oauth2", "sso"];
/// Parameters with an address to return to.
const RETURNS: &[&str] =
    &["returnurl", "return_url", "returnto", "return_to", "redirecturi", "redirect_uri", "redirecturl", "rd", "next"];
/// Parameters that bring the result of a login back.
const RESULTS: &[&str] = &["code", "id_token", "access_token", "ticket", "samlresponse", "samlart", "wresult", "token"];
/// Segments that take such a result.
const CALLBACKS: &[&str] = &["callback", "complete", "success", "done"];

/// Whether a request target, or a URL of `Location`, is a login page or an identity provider's door. Values of parameters
/// are not looked at.
pub(in crate::finding) fn is_page(target: &str) -> bool {
    let rest = target
        .split_once("://")
        .map_or(target, |(_, rest)| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default());
    let rest = rest.split('#').next().unwrap_or_default().to_ascii_lowercase();
    let (path, query) = rest.split_once('?').unwrap_or((&rest, ""));
    let params: Vec<&str> = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default()).collect();
    let has = |name: &str| params.contains(&name);
    let any = |names: &[&str]| names.iter().any(|name| params.contains(name));
    let segments = || path.split('/').map(|s| s.split('.').next().unwrap_or_default());
    // `signin-oidc`, `/login/callback`: there the user comes back from somewhere else.
    if any(RESULTS) || segments().any(|s| CALLBACKS.contains(&s) || s.starts_with("signin-")) {
        return false;
    }
    segments().any(|s| WORDS.iter().any(|word| s.contains(word)))
        || (segments().any(|s| WEAK.contains(&s)) && any(RETURNS))
        || (has("wa") && has("wtrealm"))
        || has("samlrequest")
        || (has("client_id") && has("response_type"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A redirect that brings a logon's result back would be told as a refusal.
    #[test]
    fn doors_are_told_from_ways_back() {
        for page in [
            "/Account/Login?ReturnUrl=<5 bytes>",
            "https://app.example.test/login.aspx",
            "/owa/auth/logon.aspx?url=<9 bytes>&reason=<1 bytes>",
            "https://sts.example.test/adfs/ls/?wa=<11 bytes>&wtrealm=<20 bytes>",
            "https://idp.example.test/authorize?client_id=<3 bytes>&response_type=<4 bytes>&redirect_uri=<9 bytes>",
            "/oauth2/start?rd=<3 bytes>",
            "/_login/default.aspx?ReturnUrl=<9 bytes>",
        ] {
            assert!(is_page(page), "{page}");
        }
        for other in [
            "/",
            "/app?id=<2 bytes>",
            "https://login.example.test/",
            "https://app.example.test/signin-oidc?code=<30 bytes>&state=<9 bytes>",
            "/login/callback?code=<30 bytes>",
            "/account/orders",
            "/auth/session",
            "/External/Callback?returnUrl=<9 bytes>",
            "/_layouts/15/Authenticate.aspx?Source=<9 bytes>",
        ] {
            assert!(!is_page(other), "{other}");
        }
    }
}
