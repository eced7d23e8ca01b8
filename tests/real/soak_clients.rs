//! Real clients that ask for hundreds of pages at once, keep their connections, and upload now and then. Each gives the
//! statuses that it says it got.
//!
//! curl and Chromium are alice, requests-ntlm and Java are bob; the ticket is alice's. Bodies are only sent where a plain
//! request has logged on before: a body on the first leg is a waste that authtap may tell.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::clients::{requests_gssapi, requests_ntlm, statuses_of};
use crate::parts;
use crate::process::{command, run};
use crate::rig::{ALICE, Account, BOB, Kdc, Rig, SITE};

/// Where a client goes, and what it may need there.
pub(crate) struct Target<'a> {
    pub(crate) rig: &'a Rig,
    pub(crate) kdc: &'a Kdc,
    pub(crate) port: u16,
    /// The directory with `page`, `upload` and `soak.html`.
    pub(crate) directory: &'static str,
    /// Where `javac` put the Java client.
    pub(crate) classes: &'a Path,
    /// A directory of this client's own.
    pub(crate) scratch: PathBuf,
}

impl Target<'_> {
    fn url(&self, name: &str) -> String {
        self.rig.url(self.port, &format!("{}{name}", self.directory))
    }
}

/// The account by the name that Digest has for it.
fn bare(account: Account) -> String {
    account.user.to_owned()
}

/// curl one request after the other on one connection, uploads with `Expect: 100-continue` between them, and then six
/// connections at once.
fn curl(target: &Target, option: &str, user: &str) -> Vec<u16> {
    let upload = vec![b'x'; 300_000];
    let body = target.scratch.join("body");
    std::fs::write(&body, upload).unwrap();
    let body = format!("@{}", body.display());
    let page = target.url("page");
    let in_a_row = [
        vec![format!("{page}?[1-20]")],
        vec![
            "--header".into(),
            "Expect: 100-continue".into(),
            "--data-binary".into(),
            body,
            target.url("upload?[1-10]"),
        ],
        vec![format!("{page}?[21-30]")],
    ];
    let mut serial = command("curl");
    for (part, arguments) in in_a_row.iter().enumerate() {
        if part > 0 {
            serial.arg("--next");
        }
        curl_options(&mut serial, target, option, user);
        serial.args(arguments);
    }
    let mut parallel = command("curl");
    parallel.args(["--parallel", "--parallel-immediate", "--parallel-max", "6"]);
    curl_options(&mut parallel, target, option, user);
    parallel.arg(format!("{page}?[31-120]"));
    [serial, parallel]
        .into_iter()
        .flat_map(|mut command| {
            target.kdc.give_ticket(&mut command);
            let said = run("curl", command).stdout;
            said.lines().map(|status| status.parse().unwrap()).collect::<Vec<u16>>()
        })
        .collect()
}

fn curl_options(command: &mut Command, target: &Target, option: &str, user: &str) {
    command.args(["--disable", "--silent", "--show-error", "--max-time", "60", "--output", "/dev/null"]);
    command.args(["--write-out", "%{http_code}\n", option, "--user", user]);
    command.args(["--resolve", &format!("{SITE}:{}:127.0.0.1", target.port)]);
    target.rig.tell_keys(command);
    parts::asks(target.port, "curl");
    if target.rig.tls() {
        command.arg("--cacert").arg(target.rig.authority());
    }
}

pub(crate) fn curl_ntlm(target: &Target) -> Vec<u16> {
    curl(target, "--ntlm", &format!("{}:{}", ALICE.qualified(), ALICE.password))
}

pub(crate) fn curl_negotiate(target: &Target) -> Vec<u16> {
    curl(target, "--negotiate", ":")
}

/// curl may take what it likes best of what is offered.
pub(crate) fn curl_anyauth(target: &Target) -> Vec<u16> {
    curl(target, "--anyauth", &format!("{}:{}", bare(ALICE), ALICE.password))
}

pub(crate) fn curl_basic(target: &Target) -> Vec<u16> {
    curl(target, "--basic", &format!("{}:{}", ALICE.qualified(), ALICE.password))
}

pub(crate) fn curl_digest(target: &Target) -> Vec<u16> {
    curl(target, "--digest", &format!("{}:{}", bare(ALICE), ALICE.password))
}

/// Sessions of requests-ntlm, each in a thread of its own.
pub(crate) fn python_ntlm(target: &Target) -> Vec<u16> {
    let (page, upload) = (format!("{}page", target.directory), target.url("upload"));
    let options = ["--clients", "4", "--requests", "40", "--upload", &upload];
    statuses_of(&requests_ntlm(target.rig, target.port, &page, BOB, &options))
}

/// Sessions of requests-gssapi, each in a thread of its own.
pub(crate) fn python_gssapi(target: &Target) -> Vec<u16> {
    let (page, upload) = (format!("{}page", target.directory), target.url("upload"));
    let options = ["--clients", "4", "--requests", "40", "--upload", &upload];
    statuses_of(&requests_gssapi(target.rig, target.port, &page, target.kdc, &options))
}

/// The same with the ticket in each request, which is allowed and wasteful.
pub(crate) fn python_gssapi_preemptive(target: &Target) -> Vec<u16> {
    let (page, upload) = (format!("{}page", target.directory), target.url("upload"));
    let options = ["--preemptive", "--clients", "4", "--requests", "20", "--upload", &upload];
    statuses_of(&requests_gssapi(target.rig, target.port, &page, target.kdc, &options))
}

/// Where `javac` puts the Java client, once for all.
pub(crate) fn compile_java(rig: &Rig) -> PathBuf {
    let classes = rig.directory("classes");
    let mut compiler = command("javac");
    compiler.arg("-d").arg(&classes).arg(rig.program("Soak.java"));
    run("javac", compiler);
    classes
}

/// HttpURLConnection in six threads.
fn java(target: &Target, scheme: &str, user: &str) -> Vec<u16> {
    let hosts = target.scratch.join("hosts");
    std::fs::write(&hosts, format!("127.0.0.1 {SITE}\n")).unwrap();
    let mut command = command("java");
    command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dhttp.maxConnections=6"]);
    command.arg(format!("-Djdk.net.hosts.file={}", hosts.display())).arg(format!("-Dhttp.auth.preference={scheme}"));
    command.arg("-cp").arg(target.classes).args(["Soak", &target.url(""), user, BOB.password, "6", "40"]);
    if target.rig.tls() {
        command.arg(target.rig.authority());
    }
    parts::asks(target.port, "Java");
    run("java", command).stdout.lines().map(|status| status.parse().unwrap()).collect()
}

pub(crate) fn java_ntlm(target: &Target) -> Vec<u16> {
    java(target, "NTLM", &BOB.qualified())
}

pub(crate) fn java_basic(target: &Target) -> Vec<u16> {
    java(target, "Basic", &BOB.qualified())
}

pub(crate) fn java_digest(target: &Target) -> Vec<u16> {
    java(target, "Digest", &bare(BOB))
}

/// What Chromium remembers in its profile. The ticket that it asks for is for the name in the address, and not for what
/// `--host-resolver-rules` makes of it. And it has met Negotiate before: the first time it restarts the process that
/// would load GSSAPI.
const WITH_TICKET: &str = r#"{
    "auth": { "disable_negotiate_cname_lookup": true },
    "net": { "received_http_auth_negotiate_headers": true }
}"#;
/// Without a ticket it would use up the account on Negotiate, which it likes best of all.
const WITH_ACCOUNT: &str = r#"{ "auth": { "schemes": "basic,digest,ntlm" } }"#;

/// Runs the first browser of the family that is there; `install.sh` looks for the same.
const BROWSER: &str =
    "exec \"$(command -v chromium || command -v google-chrome || command -v google-chrome-stable)\" \"$@\"";

/// Headless Chromium on a page that asks for more, twelve at a time, over the six connections that it makes to a server.
/// Without an `account` it has alice's ticket.
///
/// The time that a page sees stands still while an answer is awaited, so a budget of an hour only says: until all is
/// quiet.
fn chromium(target: &Target, account: &str) -> Vec<u16> {
    let asked = 240;
    let mut command = command("sh");
    command.args(["-c", BROWSER, "sh"]);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
    ]);
    command.args([
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-extensions",
    ]);
    command.args(["--no-proxy-server", "--auth-server-allowlist=*.example.test"]);
    // Nothing but the site has an address, so nothing of what a browser likes to ask by itself leaves this machine.
    command.arg(format!("--host-resolver-rules=MAP {SITE} 127.0.0.1, MAP * ~NOTFOUND"));
    if target.rig.tls() {
        command.arg("--ignore-certificate-errors");
    }
    let profile = &target.scratch;
    std::fs::write(profile.join("Local State"), if account.is_empty() { WITH_TICKET } else { WITH_ACCOUNT }).unwrap();
    command.arg(format!("--user-data-dir={}", profile.display())).env("HOME", profile);
    command.args(["--virtual-time-budget=3600000", "--dump-dom"]);
    command
        .arg(target.url(&format!("soak.html?requests={asked}&parallel=12")).replace("://", &format!("://{account}")));
    target.kdc.give_ticket(&mut command);
    target.rig.tell_keys(&mut command);
    parts::asks(target.port, "Chromium");
    let ended = run("chromium", command);
    let said = ended.stdout.split_once("<p id=\"said\">").and_then(|(_, said)| said.split_once("</p>"));
    let statuses = said.and_then(|(said, _)| said.strip_prefix("statuses "));
    let Some(statuses) = statuses else { panic!("chromium did not get through:\n{}{}", ended.stdout, ended.stderr) };
    let statuses: Value = serde_json::from_str(statuses).unwrap();
    let of_pages = statuses.as_object().unwrap().iter().flat_map(|(status, times)| {
        std::iter::repeat_n(status.parse().unwrap(), usize::try_from(times.as_u64().unwrap()).unwrap())
    });
    of_pages.chain([200]).collect() // The last is the page itself, which is what said all that.
}

pub(crate) fn chromium_ntlm(target: &Target) -> Vec<u16> {
    chromium(target, &format!("EXAMPLE%5C{}:{}@", ALICE.user, ALICE.password))
}

pub(crate) fn chromium_negotiate(target: &Target) -> Vec<u16> {
    chromium(target, "")
}

pub(crate) fn chromium_basic(target: &Target) -> Vec<u16> {
    chromium_ntlm(target)
}

pub(crate) fn chromium_digest(target: &Target) -> Vec<u16> {
    chromium(target, &format!("{}:{}@", ALICE.user, ALICE.password))
}
