//! Intermediaries that break something on the way: authtap names it, and accuses neither user nor server.

use crate::authtap::Authtap;
use crate::breakages::by;
use crate::broken::{Nginx, SmartCardServer, curl_with};
use crate::clients::{curl, requests_digest, statuses_of};
use crate::haproxy::Haproxy;
use crate::ledger::{Expected, Ledger, between, told};
use crate::rig::{ALICE, Account, Apache, BOB, Kdc, NtlmServer, Rig, Transport};

const NGINX_REWRITES: Expected = told("digest-uri-mismatch", "observed", &[2]);
const REWRITTEN_BEHIND: Expected =
    told("digest-uri-mismatch", "observed", &[]).by_other_links("the rewritten path is behind nginx");

/// When this fails, what an intermediary does to messages is laid to the user or the server.
#[test]
fn breakage_intermediaries_that_change_messages() {
    let rig = Rig::new(Transport::Plain);
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    let mut ledger = Ledger::default();
    for behind in [false, true] {
        let place = if behind { "behind" } else { "in front" };
        let name = format!("rewrites-{behind}");
        let rewrites = "proxy_pass http://site/digest/; proxy_http_version 1.1;";
        let ask = |port| assert_eq!(by(&rig, port, "digest", "/page", ALICE), 400);
        let diagnosis = if behind {
            let nginx = Nginx::start(&name, &rig, apache.port, rewrites);
            between(&name, &rig, nginx.port, ask)
        } else {
            let authtap = Authtap::start_as(&name, &rig, apache.port);
            let nginx = Nginx::start(&name, &rig, authtap.port, rewrites);
            ask(nginx.port);
            nginx.stop();
            authtap.stop()
        };
        if behind {
            ledger.short_of("the rewritten path: authtap sees the client's side alone, and Apache answers 400");
        }
        ledger.judge(
            &format!("nginx {place} rewrites the path of Digest"),
            &diagnosis,
            // What comes behind authtap is not seen, and Apache's 400 blames nobody.
            if behind { &[REWRITTEN_BEHIND] } else { &[NGINX_REWRITES] },
        );
    }
    let nginx = Nginx::start("hides", &rig, apache.port, "proxy_pass http://site; proxy_hide_header WWW-Authenticate;");
    let diagnosis = between("hides", &rig, nginx.port, |port| {
        assert_eq!(by(&rig, port, "basic", "/basic/page", ALICE), 200);
        assert_eq!(curl_with(&rig, port, "/basic/page", ["--basic"]), 401);
    });
    ledger.judge("nginx hides WWW-Authenticate", &diagnosis, &[told("challenge-missing", "observed", &[2])]);
    // Only the refusals are restated: who is let in sees nothing of it.
    for (name, settings, expected) in [
        (
            "nginx answers a 401 with a redirect to a login page",
            "proxy_intercept_errors on; error_page 401 =302 http://www.example.test/login?returnUrl=/;",
            told("unauthorized-hidden", "observed", &[1]),
        ),
        (
            "nginx answers a 401 with a page of its own",
            "proxy_intercept_errors on; error_page 401 =200 /nobody; location = /nobody { return 200 nobody; } \
             add_header WWW-Authenticate \"Basic realm=www.example.test\" always;",
            told("unauthorized-hidden", "suspected", &[1]),
        ),
    ] {
        let slug = name.replace(' ', "-");
        let nginx = Nginx::start(&slug, &rig, apache.port, &format!("proxy_pass http://site; {settings}"));
        let diagnosis = between(&slug, &rig, nginx.port, |port| {
            assert_ne!(by(&rig, port, "basic", "/basic/page", ALICE.with_wrong_password()), 401);
        });
        if name.contains("page of its own") {
            ledger.short_of("only suspected: a 200 with a challenge may be meant so");
        }
        let refused = told("credentials-rejected", "inferred", &[]);
        ledger.judge(name, &diagnosis, &[expected, refused.by_other_links("behind nginx Apache's 401 is what it is")]);
    }
    ledger.close();
}

const CUT_OFF: &str = "connection-closed-mid-handshake";
const CLIENT_SIDE: &str = "in front of the hop the client's own handshake looks whole";

/// When this fails, an NTLM handshake that is cut off looks like a password prompt without end.
#[test]
fn breakage_intermediaries_that_end_connections() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start(&rig);
    let mut ledger = Ledger::default();
    // As nginx comes: HTTP/1.0 towards the server.
    let default = "proxy_pass http://site;";
    let authtap = Authtap::start_as("nginx-front", &rig, server.port);
    let nginx = Nginx::start("nginx-front", &rig, authtap.port, default);
    assert_eq!(curl(&rig, nginx.port, "--ntlm", ALICE, &["/"]), [401]);
    nginx.stop();
    ledger.judge(
        "nginx in front, HTTP/1.0",
        &authtap.stop(),
        &[
            told("connection-closed-mid-handshake", "observed", &[1]),
            told("credentials-rejected", "suspected", &[]).under(CUT_OFF).by_other_links(CLIENT_SIDE),
            told("ntlm-session-security", "observed", &[]).under(CUT_OFF).by_other_links(CLIENT_SIDE),
        ],
    );
    let nginx = Nginx::start("nginx-behind", &rig, server.port, default);
    let diagnosis = between("nginx-behind", &rig, nginx.port, |port| {
        assert_eq!(curl(&rig, port, "--ntlm", ALICE, &["/"]), [401]);
        assert_eq!(curl(&rig, port, "--ntlm", BOB, &["/"]), [401]);
    });
    ledger.short_of(
        "the connections that nginx ends behind authtap; what is suspected names that hop, and the password first",
    );
    ledger.judge(
        "nginx behind, HTTP/1.0",
        &diagnosis,
        &[
            told("credentials-rejected", "suspected", &[1, 2]).explained_by_other_links(),
            told(CUT_OFF, "observed", &[]).by_other_links("nginx ends its connections behind authtap"),
            // curl offers no 128-bit keys.
            told("ntlm-session-security", "observed", &[1]).under("credentials-rejected"),
        ],
    );
    let authtap = Authtap::start_as("haproxy", &rig, server.port);
    let haproxy = Haproxy::start_with("haproxy", &rig, authtap.port, "option httpclose");
    assert_eq!(curl(&rig, haproxy.port, "--ntlm", ALICE, &["/"]), [401]);
    haproxy.stop();
    ledger.judge(
        "HAProxy in front, option httpclose",
        &authtap.stop(),
        &[told("connection-closed-mid-handshake", "observed", &[1])],
    );
    ledger.close();
}

/// What one client asks nginx for, from an address of its own.
fn from(rig: &Rig, port: u16, address: &str, account: Option<Account>) -> u16 {
    let mut options = vec!["--interface".to_owned(), address.to_owned()];
    if let Some(account) = account {
        options
            .extend(["--ntlm", "--user", &format!("{}:{}", account.qualified(), account.password)].map(str::to_owned));
    }
    curl_with(rig, port, "/", options)
}

/// When this fails, nobody learns that people get other people's data, for no 401 shows it.
#[test]
fn breakage_a_pool_that_hands_over_who_is_logged_on() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start(&rig);
    let mut ledger = Ledger::default();
    for (name, trusted, then, expected) in [
        ("pool-trusted", true, None, told("authenticated-connection-shared", "observed", &[1])),
        ("pool", false, None, told("authenticated-connection-shared", "suspected", &[1])),
        ("pool-two-users", true, Some(BOB), told("identity-changed-on-connection", "observed", &[1])),
    ] {
        let options: &[&str] = if trusted { &["--trusted-proxy", "127.0.0.1/32"] } else { &[] };
        let authtap = Authtap::start_with(name, &rig, server.port, options);
        let pool = format!("server 127.0.0.1:{}; keepalive 4;", authtap.port);
        let settings = "proxy_pass http://site; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
                        proxy_set_header X-Forwarded-For $remote_addr;";
        let nginx = Nginx::start_before(name, &rig, &pool, settings);
        assert_eq!(from(&rig, nginx.port, "127.0.0.2", Some(ALICE)), 200);
        assert_eq!(from(&rig, nginx.port, "127.0.0.3", then), 200, "a pool logs nobody on");
        nginx.stop();
        if !trusted {
            ledger
                .short_of("only suspected: whose X-Forwarded-For may be believed is not known without --trusted-proxy");
        }
        let with = if then.is_some() { "another user" } else { "nobody" };
        ledger.judge(&format!("{name}: alice's connection for {with}"), &authtap.stop(), &[expected]);
    }
    ledger.close();
}

/// When this fails, a farm whose nodes do not know each other's nonces looks like a wrong password.
#[test]
fn breakage_a_farm_without_affinity() {
    let rig = Rig::new(Transport::Plain);
    let kdc = Kdc::start(&rig);
    // requests tries each request twice: with two nodes every second one would get in.
    let others = [Rig::new(Transport::Plain), Rig::new(Transport::Plain)];
    let nodes = [&rig, &others[0], &others[1]].map(|rig| Apache::start(rig, &kdc));
    let farm = nodes.each_ref().map(|node| format!("server 127.0.0.1:{};", node.port)).concat();
    let mut ledger = Ledger::default();
    let nginx = Nginx::start_before("farm", &rig, &farm, "proxy_pass http://site;");
    let diagnosis = between("digest", &rig, nginx.port, |port| {
        assert!(statuses_of(&requests_digest(&rig, port, "/digest/page", ALICE, 5)).contains(&401));
    });
    ledger.judge("Digest at three nodes in turn", &diagnosis, &[told("digest-stale-loop", "observed", &[1])]);
    ledger.close();
}

/// When this fails, whoever puts authtap in front of a site for smart cards looks for the fault at the site.
#[test]
fn breakage_a_certificate_that_cannot_pass() {
    let rig = Rig::new(Transport::Tls);
    let server = SmartCardServer::start(&rig);
    let mut ledger = Ledger::default();
    let diagnosis = between("certificate", &rig, server.port, |port| {
        let options = ["--cacert".to_owned(), rig.authority().display().to_string()];
        assert_ne!(curl_with(&rig, port, "/", options), 200);
    });
    let expected = told("client-certificate-not-relayed", "observed", &[])
        .live_alone("the server asked authtap for a certificate at its start; a capture shows handshakes that failed");
    ledger.judge("a server that insists on a client certificate", &diagnosis, &[expected]);
    ledger.close();
}

/// When this fails, the user with many groups or cookies who is refused by a hop's limit is told to mind the password.
#[test]
fn breakage_heads_that_are_too_long_for_a_hop() {
    let rig = Rig::new(Transport::Plain);
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    let nginx = Nginx::start("limited", &rig, apache.port, "proxy_pass http://site;");
    let haproxy = Haproxy::start("haproxy-limited", &rig, apache.port, false);
    let mut ledger = Ledger::default();
    for (name, port, bytes, expected) in [
        ("apache", apache.port, 9_000, told("intermediate-header-limit", "observed", &[1])),
        ("nginx", nginx.port, 9_000, told("intermediate-header-limit", "observed", &[1])),
        ("haproxy", haproxy.port, 20_000, told("intermediate-header-limit", "suspected", &[1])),
    ] {
        let diagnosis = between(&format!("{name}-limit"), &rig, port, |port| {
            let cookie = format!("Cookie: groups={}", "g".repeat(bytes));
            assert_eq!(curl_with(&rig, port, "/page", ["--header", &cookie]), 400);
        });
        if name == "haproxy" {
            ledger.short_of("only suspected: HAProxy's 400 does not say what is wrong with the request");
        }
        ledger.judge(&format!("{bytes} bytes of cookies at {name} as it comes"), &diagnosis, &[expected]);
    }
    ledger.close();
}
