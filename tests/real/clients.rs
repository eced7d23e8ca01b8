//! The real clients. Each gives what it was answered; a client that could not even ask fails the test.

use std::process::Command;

use serde::Deserialize;

use crate::parts;
use crate::process::{command, run};
use crate::rig::{Account, Kdc, Rig, SITE};

/// curl with an authentication option (`--ntlm`, `--basic`), asking for each of `paths` in one go. Gives the final statuses.
pub(crate) fn curl(rig: &Rig, port: u16, option: &str, account: Account, paths: &[&str]) -> Vec<u16> {
    let mut command = curl_command(rig, port, option, paths);
    command.args(["--user", &format!("{}:{}", account.qualified(), account.password)]);
    statuses(command)
}

/// `curl --negotiate` with alice's Kerberos ticket.
pub(crate) fn curl_kerberos(rig: &Rig, port: u16, kdc: &Kdc, paths: &[&str]) -> Vec<u16> {
    let mut command = curl_command(rig, port, "--negotiate", paths);
    command.args(["--user", ":"]);
    kdc.give_ticket(&mut command);
    statuses(command)
}

/// `curl --negotiate` without any ticket: GSSAPI falls back to NTLM inside SPNEGO, by gss-ntlmssp and the accounts file.
pub(crate) fn curl_negotiate_ntlm(rig: &Rig, port: u16, paths: &[&str]) -> Vec<u16> {
    let mut command = curl_command(rig, port, "--negotiate", paths);
    command.args(["--user", ":"]);
    // A realm in which nobody has a ticket. (With an empty configuration MIT's library brings curl down now and then.)
    let configuration = rig.path("no-kerberos.conf");
    std::fs::write(
        &configuration,
        "[libdefaults]\ndefault_realm = EXAMPLE.TEST\ndns_lookup_kdc = false\ndns_canonicalize_hostname = false\nrdns = false\n",
    )
    .unwrap();
    command
        .env("NTLM_USER_FILE", rig.accounts())
        .env("KRB5_CONFIG", configuration)
        .env("KRB5CCNAME", format!("FILE:{}", rig.path("no-ticket").display()));
    statuses(command)
}

/// The ways in which curl sends a body while it logs on. Chunked with `Expect` goes by Basic: with NTLM, curl 7.88 itself gets stuck
/// there, for it announces a chunked body with the NEGOTIATE and then sends none.
pub(crate) const UPLOADS: [&[&str]; 4] = [
    &["--ntlm"],
    &["--ntlm", "--header", "Transfer-Encoding: chunked"],
    &["--ntlm", "--header", "Expect: 100-continue"],
    &["--basic", "--header", "Transfer-Encoding: chunked", "--header", "Expect: 100-continue"],
];

/// curl sending a body, in the way that `options` ask for. Gives what the server says that it received.
pub(crate) fn curl_post(rig: &Rig, port: u16, options: &[&str], account: Account, body: &[u8]) -> (u16, Received) {
    let file = rig.path("body");
    std::fs::write(&file, body).unwrap();
    let mut command = command("curl");
    command
        .args(["--disable", "--silent", "--show-error", "--max-time", "60", "--write-out", "\n%{http_code}\n"])
        .args(options);
    command.args(["--resolve", &format!("{SITE}:{port}:127.0.0.1")]);
    rig.tell_keys(&mut command);
    parts::asks(port, "curl");
    command.args(["--user", &format!("{}:{}", account.qualified(), account.password)]);
    command.arg("--data-binary").arg(format!("@{}", file.display()));
    if rig.tls() {
        command.arg("--cacert").arg(rig.authority());
    }
    command.arg(rig.url(port, "/upload"));
    let said = run("curl", command).stdout;
    let (answer, status) = said.trim_end().rsplit_once('\n').unwrap();
    (status.parse().unwrap(), serde_json::from_str(answer).unwrap())
}

/// What `ntlm_server` tells about a request with a body.
#[derive(Deserialize)]
pub(crate) struct Received {
    pub(crate) user: String,
    pub(crate) length: usize,
    pub(crate) sha256: String,
}

fn curl_command(rig: &Rig, port: u16, option: &str, paths: &[&str]) -> Command {
    let mut command = command("curl");
    command.args([
        "--disable",
        "--silent",
        "--show-error",
        "--max-time",
        "60",
        "--write-out",
        "%{http_code}\n",
        option,
    ]);
    command.args(["--resolve", &format!("{SITE}:{port}:127.0.0.1")]);
    rig.tell_keys(&mut command);
    parts::asks(port, "curl");
    if rig.tls() {
        command.arg("--cacert").arg(rig.authority());
    }
    for path in paths {
        command.args(["--output", "/dev/null", &rig.url(port, path)]);
    }
    command
}

fn statuses(command: Command) -> Vec<u16> {
    run("curl", command).stdout.lines().map(|status| status.parse().unwrap()).collect()
}

/// One answer that a Python client of the rig got. `peer` is the connection as `ntlm_server` saw it.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    #[serde(default)]
    pub(crate) client: serde_json::Value,
    #[serde(default)]
    pub(crate) leg: String,
    pub(crate) status: u16,
    pub(crate) peer: Option<String>,
}

/// requests-ntlm, with more options of `requests_ntlm_client.py`.
pub(crate) fn requests_ntlm(rig: &Rig, port: u16, path: &str, account: Account, options: &[&str]) -> Vec<Answer> {
    let mut command = rig.python("requests_ntlm_client.py");
    parts::asks(port, "requests-ntlm");
    command
        .arg(rig.url(port, path))
        .args(["--user", &account.qualified(), "--password", account.password])
        .args(options);
    answers("requests-ntlm", rig, command)
}

/// requests with its own Digest, `requests` times in one session.
pub(crate) fn requests_digest(rig: &Rig, port: u16, path: &str, account: Account, requests: u32) -> Vec<Answer> {
    let mut command = rig.python("requests_ntlm_client.py");
    parts::asks(port, "requests");
    command
        .arg(rig.url(port, path))
        .args(["--digest", "--user", account.user, "--password", account.password])
        .args(["--requests", &requests.to_string()]);
    answers("requests with Digest", rig, command)
}

/// requests-gssapi with alice's Kerberos ticket.
pub(crate) fn requests_gssapi(rig: &Rig, port: u16, path: &str, kdc: &Kdc, options: &[&str]) -> Vec<Answer> {
    let mut command = rig.python("requests_gssapi_client.py");
    parts::asks(port, "requests-gssapi");
    command.arg(rig.url(port, path)).args(options);
    kdc.give_ticket(&mut command);
    answers("requests-gssapi", rig, command)
}

/// NTLM clients whose legs meet in the given order; `server` is where the slow requests are steered from.
pub(crate) fn stepper(rig: &Rig, order: &str, port: u16, server: u16, accounts: &[Account]) -> Vec<Answer> {
    let mut command = rig.python("stepper.py");
    parts::asks(port, "pyspnego");
    command.args([order, "--url", &rig.url(port, "/page"), "--control", &rig.url(server, "/")]);
    for account in accounts {
        command.args(["--user", &account.qualified(), "--password", account.password]);
    }
    answers("stepper", rig, command)
}

fn answers(name: &str, rig: &Rig, mut command: Command) -> Vec<Answer> {
    if rig.tls() {
        command.arg("--ca").arg(rig.authority());
    }
    let said = run(name, command).stdout;
    said.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{name} said {line:?}: {error}")))
        .collect()
}

/// Just the statuses, for comparing.
pub(crate) fn statuses_of(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

/// The answer to one leg of one of the stepper's clients.
pub(crate) fn leg<'a>(answers: &'a [Answer], client: Account, leg: &str) -> &'a Answer {
    let mut found = answers.iter().filter(|answer| answer.client == client.user && answer.leg == leg);
    let (Some(answer), None) = (found.next(), found.next()) else {
        panic!("not one {leg} of {}: {answers:?}", client.user)
    };
    answer
}
