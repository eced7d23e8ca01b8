//! Heads as events may hold them.

use authtap::token::redact;

/// What an event shows of a head: enough to diagnose, nothing to log on with.
#[test]
fn headers_are_redacted_by_kind() {
    for (name, value, expected) in [
        ("Host", "web01.example.test:8080", "web01.example.test:8080"),
        ("User-Agent", "curl/8.0\x1b[31m", "curl/8.0\\x1b[31m"),
        ("X-Forwarded-For", "192.0.2.1", "192.0.2.1"),
        ("X-Forwarded-Access-Token", "secret", "<6 bytes>"),
        (
            "Forwarded",
            "For=\"[2001:db8::1]:4711\";proto=https;token=Hunter2, for=192.0.2.1;by=_lb;host=a.example.test:8080",
            "For=\"[2001:db8::1]:4711\";proto=https;token=<7 bytes>, for=192.0.2.1;by=_lb;host=a.example.test:8080",
        ),
        // A quote that hides a separator, is lost, or is followed by something.
        ("Forwarded", "secret=\"a;for=b,c\\\";host=d\";for=x", "secret=<20 bytes>;for=x"),
        ("Forwarded", "for=\"192.0.2.1;secret=Hunter2", "for=<25 bytes>"),
        ("Forwarded", "for=\"192.0.2.1\"Hunter2, Hunter2", "for=<18 bytes>, <7 bytes>"),
        ("Forwarded", "for=Bearer Hunter2", "for=<14 bytes>"),
        ("X-Api-Key", "secret", "<6 bytes>"),
        ("Persistent-Auth", "true", "true"),
        ("Authorization", "NTLM TlRMTVNTUAAB", "NTLM <token, 12 bytes>"),
        ("authorization", "Bearer abc.def.ghi", "Bearer <token, 11 bytes>"),
        (
            "Authorization",
            "Digest username=\"alice\", response=\"abc\"",
            "Digest username=<5 bytes>, response=<3 bytes>",
        ),
        ("WWW-Authenticate", "Negotiate oQcwBaADCgEC", "Negotiate <token, 12 bytes>"),
        ("WWW-Authenticate", "Negotiate, NTLM", "Negotiate, NTLM"),
        ("WWW-Authenticate", "Basic realm=\"a \\\"b\\\"\"", "Basic realm=\"a \\\"b\\\"\""),
        ("WWW-Authenticate", "Digest qop=\"auth\", nonce=\"12345\"", "Digest qop=\"auth\", nonce=<5 bytes>"),
        ("Authentication-Info", "qop=auth, rspauth=\"abcd\"", "qop=\"auth\", rspauth=<4 bytes>"),
        ("Cookie", "a=12345; sid=x; bare", "a=<5 bytes, 5471afdc97b2fda9>; sid=<1 bytes, 4a413a44187dbc2f>; <4 bytes>"),
        (
            "Set-Cookie",
            "FedAuth=77u/PD94; expires=Thu, 01 Jan 2026 00:00:00 GMT; path=/; HttpOnly; x=y",
            "FedAuth=<8 bytes, a7136f96fc51e81a>; expires=Thu, 01 Jan 2026 00:00:00 GMT; Path=/; HttpOnly; x=<1 bytes>",
        ),
        (
            "Referer",
            "https://u:p@h.example.test/a?token=abc#frag",
            "https://<userinfo>@h.example.test/a?token=<3 bytes>#<4 bytes>",
        ),
        ("Location", "/login?ReturnUrl=%2fapp", "/login?ReturnUrl=<6 bytes>"),
        ("Origin", "https://a.example.test", "https://a.example.test"),
    ] {
        assert_eq!(redact::header(name, value.as_bytes(), &authtap::token::Key([0; 16])), expected, "{name}: {value}");
    }
}

/// Tokens travel in URLs; a capture that keeps them is a logon.
#[test]
fn targets_keep_their_path_and_names_only() {
    let hex64 = "0123456789abcdef".repeat(4);
    for (target, expected) in [
        ("/", "/".to_owned()),
        ("*", "*".to_owned()),
        ("/app/Default.aspx", "/app/Default.aspx".to_owned()),
        ("/a?b=c&d=&e&=f", "/a?b=<1 bytes>&d=&<1 bytes>&=<1 bytes>".to_owned()),
        ("/a?", "/a?".to_owned()),
        ("/a?dG9rZW4gd2l0aCBwYWRkaW5n==", "/a?<26 bytes>".to_owned()),
        ("http://user:pw@host/a?t=1", "http://<userinfo>@host/a?t=<1 bytes>".to_owned()),
        ("host.example.test:443", "host.example.test:443".to_owned()),
        ("user:pw@host:443", "<userinfo>@host:443".to_owned()),
        ("/(S(lit3py55t21z5v55vlm25s55))/a.aspx", "/<29 bytes>/a.aspx".to_owned()),
        ("/(A(x)F(y))/a", "/<10 bytes>/a".to_owned()),
        ("/%28S%28abc%29%29/a", "/<16 bytes>/a".to_owned()),
        ("/eyJhbGciOiJub25lIn0.e30.c2ln/x", "/<28 bytes>/x".to_owned()),
        ("/a;jsessionid=123/b", "/a;jsessionid=<3 bytes>/b".to_owned()),
        ("/a#frag", "/a#<4 bytes>".to_owned()),
    ] {
        assert_eq!(redact::target(target.as_bytes()), expected, "{target}");
    }
    assert_eq!(redact::target(format!("/x/{hex64}").as_bytes()), "/x/<64 bytes>");
    assert_eq!(redact::target(b"/a\xff\x00"), "/a\u{fffd}\\x00");
}
