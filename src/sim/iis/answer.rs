//! The shapes of IIS's answers. Titles are IIS's own fixed strings, by which a page is recognised; the rest of a page
//! is ours, filled up to the length that the real one has.

use super::settings::Settings;
use crate::sim::http::Head;

/// Length of IIS's English custom error page for 401, and of HTTP.sys's page.
const CUSTOM_ERROR_BYTES: usize = 1293;
const HTTP_SYS_BYTES: usize = 341;

/// A refusal by IIS itself, for a remote client: the custom error page, the same for each substatus.
pub(super) fn refusal(settings: &Settings) -> (Head, Vec<u8>) {
    let mut head =
        Head::new("HTTP/1.1 401 Unauthorized").with("Content-Type", "text/html").with("Server", "Microsoft-IIS/10.0");
    if !settings.hide_challenges {
        for offer in &settings.offers {
            head = head.with("WWW-Authenticate", offer);
        }
        if settings.offers.iter().any(|offer| offer == "Negotiate") {
            head = head.with("Proxy-Support", "Session-Based-Authentication");
        }
    }
    head = head.with("X-Powered-By", "ASP.NET");
    let title = "401 - Unauthorized: Access is denied due to invalid credentials.";
    let page = filled(
        &format!(
            "<!DOCTYPE html>\r\n<html>\r\n<head>\r\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=iso-8859-1\"/>\r\n\
             <title>{title}</title>\r\n</head>\r\n<body>\r\n<h1>Server Error</h1>\r\n<h2>{title}</h2>\r\n\
             <h3>The simulated site does not know you.</h3>\r\n"
        ),
        "</body>\r\n</html>\r\n",
        CUSTOM_ERROR_BYTES,
    );
    dated(head, settings, page)
}

/// A challenge in the middle of a handshake: HTTP.sys answers, in kernel mode.
pub(super) fn challenge(settings: &Settings, scheme: &str, token: &str) -> (Head, Vec<u8>) {
    let head = Head::new("HTTP/1.1 401 Unauthorized")
        .with("Content-Type", "text/html; charset=us-ascii")
        .with("Server", "Microsoft-HTTPAPI/2.0")
        .with("WWW-Authenticate", format!("{scheme} {token}"));
    let page = filled(
        "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\"\"http://www.w3.org/TR/html4/strict.dtd\">\r\n\
         <HTML><HEAD><TITLE>Not Authorized</TITLE></HEAD>\r\n<BODY><h2>Not Authorized</h2>\r\n\
         <hr><p>HTTP Error 401. The requested resource requires user authentication.</p>\r\n",
        "</BODY></HTML>\r\n",
        HTTP_SYS_BYTES,
    );
    dated(head, settings, page)
}

/// What the application says to somebody who is logged on.
pub(super) fn welcome(settings: &Settings, user: &str) -> (Head, Vec<u8>) {
    let head = Head::new("HTTP/1.1 200 OK")
        .with("Content-Type", "text/plain; charset=utf-8")
        .with("Server", "Microsoft-IIS/10.0")
        .with("X-Powered-By", "ASP.NET");
    let page = format!("You are {user} on {}.\n", settings.node).into_bytes();
    dated(head, settings, page)
}

/// What a request that cannot be read gets, from HTTP.sys.
pub(super) fn bad_request(settings: &Settings) -> (Head, Vec<u8>) {
    let head = Head::new("HTTP/1.1 400 Bad Request")
        .with("Content-Type", "text/html; charset=us-ascii")
        .with("Server", "Microsoft-HTTPAPI/2.0")
        .with("Connection", "close");
    dated(head, settings, b"<h2>Bad Request</h2>\r\n".to_vec())
}

fn dated(head: Head, settings: &Settings, page: Vec<u8>) -> (Head, Vec<u8>) {
    let date = jiff::Timestamp::from_microsecond(settings.clock.now().0)
        .map(|time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default();
    let head = head.with("Date", date).with("Content-Length", page.len().to_string());
    (head, page)
}

/// `begin`, spaces, `end`: exactly `size` bytes.
fn filled(begin: &str, end: &str, size: usize) -> Vec<u8> {
    let spaces = size.saturating_sub(begin.len() + end.len());
    format!("{begin}{}{end}", " ".repeat(spaces)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// authtap tells who answered by length and title; pages of another length would teach it wrong.
    #[test]
    fn pages_have_the_lengths_of_the_real_ones() {
        let settings = Settings::default();
        assert_eq!(refusal(&settings).1.len(), 1293);
        let (head, page) = challenge(&settings, "NTLM", "TlRM");
        assert_eq!(page.len(), 341);
        assert_eq!(head.get("Content-Length"), Some("341"));
        assert_eq!(head.get("Date"), Some("Thu, 01 Jan 2026 00:00:00 GMT"));
    }
}
