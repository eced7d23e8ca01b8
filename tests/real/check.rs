//! `authtap check` against servers that other people wrote: what it says must be what is so.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::process::{Process, command, run};
use crate::rig::{ALICE, Account, Apache, Kdc, NtlmServer, Rig, SITE, Transport};

/// What `check --format json` said.
struct Said {
    code: Option<i32>,
    report: Value,
}

impl Said {
    fn has(&self, check: &str, verdict: &str, words: &[&str]) {
        let lines = self.report["lines"].as_array().unwrap();
        let line =
            lines.iter().find(|l| l["check"] == check).unwrap_or_else(|| panic!("no {check}: {:#}", self.report));
        assert_eq!(line["verdict"], verdict, "{line:#}");
        let says = line["says"].as_str().unwrap();
        for word in words {
            assert!(says.contains(word), "`{word}` is not in: {says}");
        }
    }
}

fn check(scheme: &str, port: u16) -> Command {
    let mut check = command(env!("CARGO_BIN_EXE_authtap"));
    check.args(["check", "--format", "json", "--path", "/page", "--upstream", &format!("{scheme}://127.0.0.1:{port}")]);
    check
}

fn by(check: &mut Command, account: Account) {
    check.args(["--user", &account.qualified()]).env("AUTHTAP_PASSWORD", account.password);
}

fn showing<'a>(check: &'a mut Command, certificate: &Path, key: &Path) -> &'a mut Command {
    check.arg("--tls-cert").arg(certificate).arg("--tls-key").arg(key)
}

fn said(check: Command) -> Said {
    let ended = Process::spawn("authtap check", check).finish();
    assert!(ended.stderr.is_empty(), "{}", ended.stderr);
    Said { code: ended.status.code(), report: serde_json::from_str(&ended.stdout).unwrap() }
}

/// A healthy server that is called broken, or a limit of Apache's that is called IIS's, costs the trust in all else.
#[test]
fn apache_is_described_as_it_is() {
    let rig = Rig::new(Transport::Plain);
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    let mut healthy = check("http", apache.port);
    by(&mut healthy, ALICE);
    let healthy = said(healthy);
    assert_eq!(healthy.code, Some(0), "{:#}", healthy.report);
    healthy.has("answer", "ok", &["GET /page", "401", "Apache"]);
    healthy.has("schemes", "ok", &["Negotiate", "NTLM"]);
    healthy.has("connection-after-401", "ok", &[]);
    healthy.has("challenge", "ok", &["EXAMPLE"]);
    healthy.has("connection-after-challenge", "ok", &[]);
    healthy.has("persistent-auth", "ok", &["EXAMPLE\\alice is logged on", "needs no logon"]);
    healthy.has("clock", "ok", &["agrees"]);
    // LimitRequestFieldSize is 8190 where nobody changed it.
    healthy.has("header-limit", "warning", &["12288", "400", "Apache"]);
    healthy.has("own-host", "warning", &["127.0.0.1"]);

    let mut small = check("http", apache.port);
    small.args(["--header-bytes", "8000"]);
    said(small).has("header-limit", "ok", &["8000"]);
    // It answers a ClientHello with 400 in plain HTTP.
    let other = said(check("https", apache.port));
    assert_eq!(other.code, Some(1));
    other.has("reachable", "problem", &["plain HTTP"]);
}

/// Over TLS the certificate decides: the same is well, another one refuses everybody with Extended Protection.
#[test]
fn apache_over_tls_with_the_same_and_another_certificate() {
    let rig = Rig::new(Transport::Tls);
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    let public = format!("https://{SITE}");
    let tls = || {
        let mut tls = check("https", apache.port);
        tls.arg("--upstream-ca").arg(rig.authority()).args(["--public", &public]);
        tls
    };
    let mut same = tls();
    showing(&mut same, &rig.certificate(), &rig.key());
    let same = said(same);
    assert_eq!(same.code, Some(0), "{:#}", same.report);
    same.has("tls", "ok", &["TLS1.3"]);
    same.has("certificate", "ok", &["verifies", SITE]);
    same.has("extended-protection", "ok", &["own certificate"]);
    same.has("client-certificate", "ok", &[]);
    same.has("http-version", "ok", &["HTTP/1.1"]);
    same.has("host", "ok", &[SITE]);
    same.has("challenge", "ok", &[]);

    let mut make = command("openssl");
    make.args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]);
    make.args(["-subj", "/CN=www.example.test", "-addext", "subjectAltName=DNS:www.example.test"]);
    make.arg("-keyout").arg(rig.path("other.key")).arg("-out").arg(rig.path("other.pem"));
    run("openssl", make);
    let mut other = tls();
    showing(&mut other, &rig.path("other.pem"), &rig.path("other.key"));
    let other = said(other);
    assert_eq!(other.code, Some(1));
    other.has("extended-protection", "problem", &["refuse every Windows logon"]);
    other.has("certificate", "ok", &[]);

    // It answers a plain request with 400 and a page about it.
    let plain = said(check("http", apache.port));
    assert_eq!(plain.code, Some(1));
    plain.has("reachable", "problem", &["speaks TLS"]);
}

/// The logon of a check is bound to the certificate, or a site with Extended Protection would refuse it and a right
/// password be called wrong; and what ends a connection after its challenge is told before anybody is sent there.
#[test]
fn a_logon_under_extended_protection_and_a_server_that_drops_the_connection() {
    let rig = Rig::new(Transport::Tls);
    let server = NtlmServer::start_with(&rig, &["--epa"]);
    let logon = |account: Account| {
        let mut logon = check("https", server.port);
        logon.arg("--upstream-ca").arg(rig.authority()).args(["--public", &format!("https://{SITE}")]);
        showing(&mut logon, &rig.certificate(), &rig.key());
        by(&mut logon, account);
        said(logon)
    };
    let right = logon(ALICE);
    assert_eq!(right.code, Some(0), "{:#}", right.report);
    right.has("persistent-auth", "ok", &["is logged on", "needs no logon"]);
    let wrong = logon(ALICE.with_wrong_password());
    assert_eq!(wrong.code, Some(1));
    wrong.has("persistent-auth", "problem", &["refused with 401"]);

    let plain = Rig::new(Transport::Plain);
    for (option, words) in [("--announce-close", "Connection: close"), ("--drop-after-challenge", "")] {
        let server = NtlmServer::start_with(&plain, &[option]);
        let said = said(check("http", server.port));
        assert_eq!(said.code, Some(1), "{:#}", said.report);
        said.has("connection-after-challenge", "problem", &[words]);
    }
}
