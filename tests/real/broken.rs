//! Real servers and intermediaries with one thing wrong with them, and the clients that meet it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::process::Command;

use crate::authtap::loopback_ports;
use crate::parts;
use crate::process::{Process, command, run};
use crate::rig::{Kdc, Rig, SITE, free_port};

/// nginx with settings of one location that break something.
pub(crate) struct Nginx {
    process: Process,
    pub(crate) port: u16,
}

impl Nginx {
    pub(crate) fn start(name: &str, rig: &Rig, upstream: u16, settings: &str) -> Self {
        Self::start_before(name, rig, &format!("server 127.0.0.1:{upstream};"), settings)
    }

    /// The same with what the block `upstream` holds.
    pub(crate) fn start_before(name: &str, rig: &Rig, upstream: &str, settings: &str) -> Self {
        let port = free_port();
        let configuration = rig.fill_as(
            &format!("{name}.conf"),
            "nginx-breaks.conf",
            &[("NAME", name), ("PORT", &port.to_string()), ("UPSTREAM", upstream), ("SETTINGS", settings)],
        );
        let mut server = command("nginx");
        server.arg("-p").arg(rig.path("")).arg("-c").arg(configuration);
        let mut process = Process::spawn(name, server);
        process.stderr.wait_for(name, |line| line.contains("start worker processes"));
        parts::serves(port, "nginx", &loopback_ports(upstream).collect::<Vec<_>>());
        Self { process, port }
    }

    /// Ends it, and with it its connections.
    pub(crate) fn stop(self) {
        self.process.stop("TERM");
    }
}

/// OpenSSL's server, which insists on a client certificate.
pub(crate) struct SmartCardServer {
    _process: Process,
    pub(crate) port: u16,
}

impl SmartCardServer {
    pub(crate) fn start(rig: &Rig) -> Self {
        let port = free_port();
        let mut server = command("openssl");
        server.args([
            "s_server",
            "-www",
            "-Verify",
            "1",
            "-verify_return_error",
            "-accept",
            &format!("127.0.0.1:{port}"),
        ]);
        server.arg("-cert").arg(rig.certificate()).arg("-key").arg(rig.key()).arg("-CAfile").arg(rig.authority());
        server.arg("-keylogfile").arg(rig.keys());
        let mut process = Process::spawn("openssl s_server", server);
        process.stdout.wait_for("openssl s_server", |line| line.starts_with("ACCEPT"));
        parts::serves(port, "openssl s_server", &[]);
        Self { _process: process, port }
    }
}

/// A web API that takes bearer tokens, and tokens of each kind.
pub(crate) struct Api {
    _process: Process,
    pub(crate) port: u16,
    pub(crate) tokens: BTreeMap<String, String>,
}

impl Api {
    pub(crate) fn start(rig: &Rig) -> Self {
        let mut process = Process::spawn("bearer_server", rig.python("bearer_server.py"));
        let mut tokens = BTreeMap::new();
        loop {
            let line = process.stdout.wait_for("bearer_server", |_| true);
            let (kind, value) = line.split_once(' ').unwrap();
            if kind == "listening" {
                let port = value.rsplit(':').next().unwrap().parse().unwrap();
                parts::serves(port, "web API", &[]);
                return Self { _process: process, port, tokens };
            }
            tokens.insert(kind.to_owned(), value.to_owned());
        }
    }
}

/// curl as the test wishes it, asking for `path` once. Gives the status, 0 when there was no answer.
pub(crate) fn curl_with<S: Into<OsString>>(
    rig: &Rig,
    port: u16,
    path: &str,
    options: impl IntoIterator<Item = S>,
) -> u16 {
    asked(command("curl"), rig, port, path, options)
}

/// curl with alice's Kerberos ticket, and its clock set `ahead`, as faketime takes it.
pub(crate) fn curl_at(rig: &Rig, port: u16, path: &str, kdc: &Kdc, ahead: &str) -> u16 {
    let mut client = command("faketime");
    client.args(["-m", "-f", ahead, "curl"]);
    kdc.give_ticket(&mut client);
    asked(client, rig, port, path, ["--negotiate", "--user", ":"])
}

/// A client that is curl in the end, prepared as the test wishes it.
pub(crate) fn asked<S: Into<OsString>>(
    mut client: Command,
    rig: &Rig,
    port: u16,
    path: &str,
    options: impl IntoIterator<Item = S>,
) -> u16 {
    client.args([
        "--disable",
        "--silent",
        "--max-time",
        "60",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}\n",
    ]);
    client.args(["--resolve", &format!("{SITE}:{port}:127.0.0.1")]);
    rig.tell_keys(&mut client);
    parts::asks(port, "curl");
    client.args(options.into_iter().map(Into::into)).arg(rig.url(port, path));
    let ended = Process::spawn("curl", client).finish();
    ended.stdout.trim().parse().unwrap_or_else(|_| panic!("curl failed: {}", ended.stderr))
}

impl Kdc {
    /// A change to the realm's accounts, by `kadmin.local`.
    pub(crate) fn change(&self, query: &str) {
        let mut kadmin = command("kadmin.local");
        kadmin.env("KRB5_CONFIG", &self.configuration).env("KRB5_KDC_PROFILE", &self.profile).args(["-q", query]);
        run("kadmin.local", kadmin);
    }
}

/// Puts alice's service ticket into her cache, while clocks and keys are as they ought to be.
pub(crate) fn fetch_service_ticket(kdc: &Kdc) {
    let mut kvno = command("kvno");
    kvno.arg(format!("HTTP/{SITE}"));
    kdc.give_ticket(&mut kvno);
    run("kvno", kvno);
}

/// Forgets alice's service tickets: her cache is what it was at first.
pub(crate) fn with_fresh_ticket<T>(kdc: &Kdc, act: impl FnOnce() -> T) -> T {
    let first = fs::read(&kdc.ticket).unwrap();
    let result = act();
    fs::write(&kdc.ticket, first).unwrap();
    result
}
