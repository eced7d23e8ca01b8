//! One thing broken at a time between real servers and real clients: authtap names it, in the place where it belongs, and accuses nobody
//! else.

use std::os::unix::ffi::OsStringExt as _;

use crate::authtap::Authtap;
use crate::broken::{Api, Nginx, curl_at, curl_with, fetch_service_ticket, with_fresh_ticket};
use crate::clients::{curl, curl_kerberos, curl_negotiate_ntlm, requests_gssapi, requests_ntlm, statuses_of};
use crate::ledger::{Ledger, between, told};
use crate::rig::{ALICE, Account, Apache, Kdc, NtlmServer, Recorder, Rig, SITE, Transport};

/// When this fails, whoever set the SPN on the wrong account is sent to look at passwords.
#[test]
fn breakage_a_key_that_does_not_open_the_ticket() {
    let rig = Rig::new(Transport::Plain);
    let kdc = Kdc::start(&rig);
    let mut ledger = Ledger::default();
    let service = format!("HTTP/{SITE}");
    let other = rig.path("keytab-of-another");
    kdc.change("addprinc -randkey HTTP/other.example.test");
    kdc.change(&format!("ktadd -k {} HTTP/other.example.test", other.display()));
    let twice = |port| {
        assert_eq!(curl_kerberos(&rig, port, &kdc, &["/page"]), [401]);
        assert_eq!(curl_kerberos(&rig, port, &kdc, &["/page"]), [401]);
    };
    with_fresh_ticket(&kdc, || {
        let apache_rig = Rig::new(Transport::Plain);
        let apache = Apache::start_with(&apache_rig, &kdc, &other, "+0");
        let diagnosis = between("other-account", &rig, apache.port, twice);
        ledger.judge("SPN on another account", &diagnosis, &[told("kerberos-wrong-key", "observed", &[1, 2])]);
    });
    // Another key under the number of the old one, then another one under the next number.
    for (name, queries) in [
        ("another key", vec![format!("cpw -randkey {service}"), format!("modprinc -kvno 2 {service}")]),
        ("a stale keytab", vec![format!("cpw -randkey {service}")]),
    ] {
        for query in queries {
            kdc.change(&query);
        }
        with_fresh_ticket(&kdc, || {
            let apache_rig = Rig::new(Transport::Plain);
            let apache = Apache::start(&apache_rig, &kdc);
            let diagnosis = between(&name.replace(' ', "-"), &rig, apache.port, twice);
            ledger.judge(name, &diagnosis, &[told("kerberos-wrong-key", "observed", &[1, 2])]);
            if name == "another key" {
                // As servers answer that do not say why.
                let settings = "proxy_pass http://site; proxy_hide_header WWW-Authenticate; \
                                add_header WWW-Authenticate Negotiate always;";
                let nginx = Nginx::start("bare", &rig, apache.port, settings);
                let diagnosis = between("no-reason", &rig, nginx.port, twice);
                let expected = [
                    told("kerberos-wrong-key", "suspected", &[2, 1]).explained_by_other_links(),
                    told("kerberos-wrong-key", "observed", &[]).by_other_links("Apache's KRB-ERROR is behind nginx"),
                ];
                ledger.short_of("only suspected: without a KRB-ERROR the wire does not say why a ticket is refused");
                ledger.judge("another key, and a bare 401", &diagnosis, &expected);
            }
        });
    }
    ledger.close();
}

/// When this fails, clocks that differ are laid to the SPN or the password.
#[test]
fn breakage_clocks_that_differ() {
    let rig = Rig::new(Transport::Plain);
    let kdc = Kdc::start(&rig);
    let mut ledger = Ledger::default();
    fetch_service_ticket(&kdc);
    let apache = Apache::start(&rig, &kdc);
    let diagnosis = between("client-ahead", &rig, apache.port, |port| {
        assert_eq!(curl_at(&rig, port, "/page", &kdc, "+12m"), 401);
    });
    ledger.judge("a client whose clock is ahead", &diagnosis, &[told("kerberos-clock-skew", "observed", &[1])]);
    let apache_rig = Rig::new(Transport::Plain);
    let apache = Apache::start_with(&apache_rig, &kdc, &kdc.keytab, "+12m");
    let diagnosis = between("server-ahead", &rig, apache.port, |port| {
        assert_eq!(curl_kerberos(&rig, port, &kdc, &["/page"]), [401]);
    });
    ledger.judge("a server whose clock is ahead", &diagnosis, &[told("kerberos-clock-skew", "observed", &[1])]);
    let apache_rig = Rig::new(Transport::Plain);
    let apache = Apache::start_with(&apache_rig, &kdc, &kdc.keytab, "+3h");
    let diagnosis = between("server-far-ahead", &rig, apache.port, |port| {
        assert_eq!(curl_kerberos(&rig, port, &kdc, &["/page"]), [401]);
    });
    ledger.judge(
        "a server whose clock is past the ticket's end",
        &diagnosis,
        &[told("kerberos-error", "observed", &[1])],
    );
    let summary = diagnosis.finding("kerberos-error")["summary"].as_str().unwrap();
    assert!(
        summary.contains("`Date` is 2 h 59 min ahead") || summary.contains("`Date` is 3 h 0 min ahead"),
        "{summary}"
    );
    ledger.close();
}

/// When this fails, nobody learns that something sends Kerberos messages twice.
#[test]
fn breakage_a_message_that_comes_twice() {
    let rig = Rig::new(Transport::Plain);
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    let mut ledger = Ledger::default();
    let authtap = Authtap::start(&rig, apache.port);
    let recorder = Recorder::start(&rig, "recorder", authtap.port);
    assert_eq!(curl_kerberos(&rig, recorder.port, &kdc, &["/page"]), [200]);
    let wire = recorder.stop();
    let sent = String::from_utf8_lossy(&wire[0].to_server);
    let authorization = sent.lines().find(|line| line.starts_with("Authorization: Negotiate ")).unwrap();
    assert_eq!(curl_with(&rig, authtap.port, "/page", ["--header", authorization]), 401);
    ledger.judge("a replayed AP-REQ", &authtap.stop(), &[told("kerberos-replay", "observed", &[2, 1])]);
    ledger.close();
}

/// When this fails, a client without a ticket for the name is called something that authtap cannot know.
#[test]
fn breakage_a_name_without_an_spn() {
    let rig = Rig::new(Transport::Plain);
    let kdc = Kdc::start(&rig);
    kdc.change(&format!("delprinc -force HTTP/{SITE}"));
    let apache = Apache::start(&rig, &kdc);
    let mut ledger = Ledger::default();
    let diagnosis = between("no-spn", &rig, apache.port, |port| {
        assert_eq!(curl_kerberos(&rig, port, &kdc, &["/page"]), [401]);
        assert_eq!(statuses_of(&requests_gssapi(&rig, port, "/page", &kdc, &[])), [401]);
    });
    ledger.short_of(
        "that the KDC knows no such SPN: its answer does not come by, and a client without a ticket sends none",
    );
    ledger.judge("a name without an SPN", &diagnosis, &[]);
    ledger.close();
}

const ONLY_A_401: &str = "only suspected: a bare 401 after AUTHENTICATE does not say why; IIS's log (`--iis-log`) does";

/// When this fails, a mistyped password is called something else, or a locked account comes as a surprise.
#[test]
fn breakage_wrong_passwords() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start(&rig);
    let mut ledger = Ledger::default();
    let mistyped = ALICE.with_wrong_password();
    let diagnosis = between("ntlm", &rig, server.port, |port| {
        assert_eq!(statuses_of(&requests_ntlm(&rig, port, "/", mistyped, &[])), [401]);
    });
    ledger.short_of(ONLY_A_401);
    ledger.judge("requests-ntlm, wrong password", &diagnosis, &[told("credentials-rejected", "suspected", &[1])]);
    let diagnosis = between("ntlm-again", &rig, server.port, |port| {
        for _ in 0..5 {
            assert_eq!(statuses_of(&requests_ntlm(&rig, port, "/", mistyped, &[])), [401]);
        }
    });
    ledger.short_of(ONLY_A_401);
    ledger.judge(
        "requests-ntlm, wrong password five times",
        &diagnosis,
        &[
            told("credentials-rejected", "suspected", &[1, 2, 3, 4, 5]),
            told("lockout-risk", "observed", &[4, 3, 2, 1]).under("credentials-rejected"),
        ],
    );
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    for (name, path) in [("basic", "/basic/page"), ("digest", "/digest/page")] {
        let diagnosis = between(name, &rig, apache.port, |port| {
            assert_eq!(by(&rig, port, name, path, mistyped), 401);
        });
        ledger.judge(
            &format!("curl --{name}, wrong password"),
            &diagnosis,
            &[told("credentials-rejected", "inferred", &[1])],
        );
        let diagnosis = between(&format!("{name}-again"), &rig, apache.port, |port| {
            for _ in 0..5 {
                assert_eq!(by(&rig, port, name, path, mistyped), 401);
            }
        });
        ledger.judge(
            &format!("curl --{name}, wrong password five times"),
            &diagnosis,
            &[
                told("credentials-rejected", "inferred", &[1, 2, 3, 4, 5]),
                told("lockout-risk", "observed", &[4, 3, 2, 1]).under("credentials-rejected"),
            ],
        );
    }
    let diagnosis = between("latin-1", &rig, apache.port, |port| {
        let user = std::ffi::OsString::from_vec(b"EXAMPLE\\alice:p\xe4ssword-test".to_vec());
        let options = ["--basic".into(), "--user".into(), user];
        assert_eq!(curl_with(&rig, port, "/basic/page", options), 401);
    });
    ledger.judge(
        "Basic in ISO-8859-1",
        &diagnosis,
        &[told("credentials-rejected", "inferred", &[1]), told("basic-charset", "observed", &[1])],
    );
    ledger.close();
}

pub(crate) fn by(rig: &Rig, port: u16, scheme: &str, path: &str, account: Account) -> u16 {
    // Digest's users are known without their domain.
    let name = if scheme == "digest" { account.user.to_owned() } else { account.qualified() };
    let options = [format!("--{scheme}"), "--user".to_owned(), format!("{name}:{}", account.password)];
    curl_with(rig, port, path, options)
}

/// When this fails, a missing permission is hunted as a wrong password.
#[test]
fn breakage_a_resource_that_the_user_may_not_have() {
    let rig = Rig::new(Transport::Plain);
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    let mut ledger = Ledger::default();
    for scheme in ["basic", "digest"] {
        let diagnosis = between(scheme, &rig, apache.port, |port| {
            assert_eq!(by(&rig, port, scheme, &format!("/{scheme}/page"), ALICE), 200);
            assert_eq!(by(&rig, port, scheme, &format!("/{scheme}/private"), ALICE), 401);
        });
        ledger.judge(
            &format!("curl --{scheme}, Require user"),
            &diagnosis,
            &[told("access-denied-after-logon", "observed", &[2, 1])],
        );
    }
    let diagnosis = between("kerberos", &rig, apache.port, |port| {
        assert_eq!(curl_kerberos(&rig, port, &kdc, &["/page"]), [200]);
        assert_eq!(curl_kerberos(&rig, port, &kdc, &["/private"]), [401]);
    });
    ledger.judge("Kerberos, Require user", &diagnosis, &[told("access-denied-after-logon", "observed", &[2, 1])]);
    let diagnosis = between("ntlm", &rig, apache.port, |port| {
        assert_eq!(statuses_of(&requests_ntlm(&rig, port, "/page", ALICE, &[])), [200]);
        assert_eq!(statuses_of(&requests_ntlm(&rig, port, "/private", ALICE, &[])), [401]);
    });
    // Apache's 401 offers nothing there, which is true as well.
    ledger.judge(
        "requests-ntlm, Require user",
        &diagnosis,
        &[
            told("access-denied-after-logon", "observed", &[2, 1]),
            told("challenge-missing", "observed", &[2]).under("access-denied-after-logon"),
        ],
    );
    let diagnosis = between("negotiate-ntlm", &rig, apache.port, |port| {
        assert_eq!(curl_negotiate_ntlm(&rig, port, &["/page"]), [200]);
        assert_eq!(curl_negotiate_ntlm(&rig, port, &["/private"]), [401]);
    });
    ledger.judge(
        "NTLM in Negotiate, Require user",
        &diagnosis,
        &[told("access-denied-after-logon", "observed", &[2, 1])],
    );
    ledger.close();
}

/// When this fails, a client is sent for a new password where its token is expired, or for another service.
#[test]
fn breakage_bearer_tokens() {
    let rig = Rig::new(Transport::Plain);
    let api = Api::start(&rig);
    let mut ledger = Ledger::default();
    for (kind, path, status) in [
        ("good", "/page", 200),
        ("expired", "/page", 401),
        ("elsewhere", "/page", 401),
        ("forged", "/page", 401),
        ("good", "/other", 403),
    ] {
        let name = format!("{kind}-{status}");
        let diagnosis = between(&name, &rig, api.port, |port| {
            assert_eq!(curl_with(&rig, port, path, ["--oauth2-bearer", &api.tokens[kind]]), status);
        });
        let expected = told("bearer-rejected", "observed", &[1]);
        let expected = if status == 200 { vec![] } else { vec![expected] };
        ledger.judge(&format!("a bearer token that is {kind}, for {path}"), &diagnosis, &expected);
        assert!(!diagnosis.report.to_string().contains(&api.tokens[kind]), "a token is in the report");
    }
    ledger.close();
}

/// When this fails, a client that asks by a scheme that is switched off is told to mind its password.
#[test]
fn breakage_a_scheme_that_is_not_offered() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start(&rig);
    let mut ledger = Ledger::default();
    let diagnosis = between("basic", &rig, server.port, |port| {
        assert_eq!(curl(&rig, port, "--basic", ALICE, &["/"]), [401]);
    });
    ledger.judge("curl --basic where only NTLM is offered", &diagnosis, &[told("no-common-scheme", "observed", &[1])]);
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    let diagnosis = between("kerberos-alone", &rig, apache.port, |port| {
        assert_eq!(curl_kerberos(&rig, port, &kdc, &["/kerberos/page"]), [200]);
        assert_eq!(curl_negotiate_ntlm(&rig, port, &["/kerberos/page"]), [401]);
    });
    let expected = told("negotiate-refuses-ntlm", "observed", &[2]);
    ledger.judge("NTLM in Negotiate where it takes Kerberos alone", &diagnosis, &[expected]);
    ledger.close();
}

/// When this fails, a field that nobody can read is taken for a wrong password, or the report holds what was in it.
#[test]
fn breakage_credentials_that_cannot_be_read() {
    let rig = Rig::new(Transport::Plain);
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    let mut ledger = Ledger::default();
    let diagnosis = between("plain-text", &rig, apache.port, |port| {
        let field = format!("Authorization: Basic {}:{}", ALICE.qualified(), ALICE.password);
        assert_eq!(curl_with(&rig, port, "/basic/page", ["--header", &field]), 401);
    });
    let malformed = told("authorization-malformed", "observed", &[1]);
    ledger.judge("curl, Basic without base64", &diagnosis, &[malformed]);
    assert!(!diagnosis.report.to_string().contains(ALICE.password), "a password is in the report");
    ledger.close();
}
