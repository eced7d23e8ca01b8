//! The real servers and intermediaries, each on a loopback port and with its files in the test's own directory.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use md5::{Digest as _, Md5};
use tempfile::TempDir;

use crate::parts;
use crate::process::{Process, command, command_without_root, python, run};
pub(crate) use crate::recorder::{Recorder, Recording};

/// How openssl is told to make a key, and a request or a certificate for it.
const NEW_KEY: &str = "req -config openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

/// The name everything is asked by; every client maps it to loopback by itself.
pub(crate) const SITE: &str = "www.example.test";

/// An account that exists on every server of the rig.
#[derive(Clone, Copy)]
pub(crate) struct Account {
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
}

impl Account {
    pub(crate) fn with_wrong_password(self) -> Self {
        Self { password: "not-the-test-password", ..self }
    }

    /// `DOMAIN\user`.
    pub(crate) fn qualified(self) -> String {
        format!("EXAMPLE\\{}", self.user)
    }
}

pub(crate) const ALICE: Account = Account { user: "alice", password: "alice-test-password" };
pub(crate) const BOB: Account = Account { user: "bob", password: "bob-test-password" };

/// Whether a leg of the path is plain or TLS. In a test all of them are the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Plain,
    Tls,
}

impl Transport {
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::Plain => "http",
            Self::Tls => "https",
        }
    }
}

/// What the servers of one test share: a directory, the accounts, and with TLS an authority and a certificate.
pub(crate) struct Rig {
    dir: TempDir,
    programs: PathBuf,
    pub(crate) transport: Transport,
}

impl Rig {
    pub(crate) fn new(transport: Transport) -> Self {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rig");
        assert!(
            programs.join(".venv/installed-for").exists(),
            "the real servers and clients are not installed: run `make test`, or tests/rig/install.sh once"
        );
        let rig = Self { dir: tempfile::tempdir().unwrap(), programs, transport };
        let accounts = [ALICE, BOB].map(|account| format!("EXAMPLE:{}:{}\n", account.user, account.password)).concat();
        fs::write(rig.accounts(), accounts).unwrap();
        if transport == Transport::Tls {
            rig.make_certificates();
            fs::write(rig.keys(), "").unwrap();
        }
        rig
    }

    /// A file of this run.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        path
    }

    pub(crate) fn accounts(&self) -> PathBuf {
        self.path("accounts")
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.path("authority.pem")
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.path("site.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.path("site.key")
    }

    /// Where parts write their TLS secrets, for whoever reads the captures.
    pub(crate) fn keys(&self) -> PathBuf {
        self.path("keys.log")
    }

    /// Makes a client or a server write its TLS secrets, where there is TLS.
    pub(crate) fn tell_keys(&self, command: &mut Command) {
        if self.tls() {
            command.env("SSLKEYLOGFILE", self.keys());
        }
    }

    pub(crate) fn tls(&self) -> bool {
        self.transport == Transport::Tls
    }

    /// How clients are told to ask for `path` on `port`.
    pub(crate) fn url(&self, port: u16, path: &str) -> String {
        format!("{}://{SITE}:{port}{path}", self.transport.scheme())
    }

    pub(crate) fn python(&self, program: &str) -> Command {
        let mut command = python(&self.programs, program);
        self.tell_keys(&mut command);
        command
    }

    fn make_certificates(&self) {
        fs::copy(self.programs.join("openssl.cnf"), self.path("openssl.cnf")).unwrap();
        self.openssl(&format!("{NEW_KEY} -x509 -days 2 -keyout authority.key -out authority.pem"));
        self.renew_certificate();
    }

    fn openssl(&self, arguments: &str) {
        let mut command = command("openssl");
        command.args(arguments.split(' ')).current_dir(self.path(""));
        run("openssl", command);
    }

    /// Gives the site another certificate and key. Whoever runs already goes on with the old one; whoever starts from now on shows
    /// the new one.
    pub(crate) fn renew_certificate(&self) {
        self.openssl(&format!("{NEW_KEY} -subj /CN={SITE} -keyout site.key -out site.csr"));
        self.openssl(
            "x509 -req -in site.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile openssl.cnf -extensions site \
             -out site.pem",
        );
    }

    /// A file that belongs to the rig and not to this run.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Fills the `@NAME@`s of a template of the rig, and puts the result into the run's directory.
    fn fill(&self, template: &str, values: &[(&str, &str)]) -> PathBuf {
        self.fill_as(template, template, values)
    }

    /// The same under another name, for what there may be several of.
    pub(crate) fn fill_as(&self, name: &str, template: &str, values: &[(&str, &str)]) -> PathBuf {
        let mut text = fs::read_to_string(self.program(template)).unwrap();
        let places = [("DIR", self.dir.path().to_str().unwrap()), ("PROGRAMS", self.programs.to_str().unwrap())];
        for (place, value) in values.iter().copied().chain(places) {
            text = text.replace(&format!("@{place}@"), value);
        }
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

/// A port that was free a moment ago, for programs that cannot pick one themselves.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// The server that authenticates as IIS does, over pyspnego: NTLM and Negotiate for every client.
pub(crate) struct NtlmServer {
    _process: Process,
    pub(crate) port: u16,
}

impl NtlmServer {
    pub(crate) fn start(rig: &Rig) -> Self {
        Self::start_with(rig, &[])
    }

    pub(crate) fn start_with(rig: &Rig, options: &[&str]) -> Self {
        let mut command = rig.python("ntlm_server.py");
        command.arg("--accounts").arg(rig.accounts()).arg("--persistent-auth").args(options);
        command.arg("--html").arg(rig.program("soak.html"));
        if rig.tls() {
            command.arg("--tls-cert").arg(rig.certificate()).arg("--tls-key").arg(rig.key());
        }
        let mut process = Process::spawn("ntlm_server", command);
        let port = process.listening_port();
        parts::serves(port, "NTLM server", &[]);
        Self { _process: process, port }
    }
}

/// A Kerberos realm of the run's own, with `HTTP/www.example.test` in a keytab and a ticket for alice.
pub(crate) struct Kdc {
    _process: Process,
    pub(crate) configuration: PathBuf,
    pub(crate) profile: PathBuf,
    pub(crate) keytab: PathBuf,
    pub(crate) ticket: PathBuf,
}

impl Kdc {
    pub(crate) fn start(rig: &Rig) -> Self {
        let port = free_port().to_string();
        let configuration = rig.fill("krb5.conf", &[("PORT", &port)]);
        let profile = rig.fill("kdc.conf", &[("PORT", &port)]);
        let (keytab, ticket) = (rig.path("keytab"), rig.path("ticket"));
        let kerberos = |program: &str| {
            let mut command = command(program);
            command.env("KRB5_CONFIG", &configuration).env("KRB5_KDC_PROFILE", &profile);
            command
        };
        let mut create = kerberos("kdb5_util");
        create.args(["create", "-s", "-r", "EXAMPLE.TEST", "-P", "master-test-password"]);
        run("kdb5_util", create);
        let service = format!("HTTP/{SITE}");
        for query in [
            format!("addprinc -pw {} {}", ALICE.password, ALICE.user),
            format!("addprinc -randkey {service}"),
            format!("ktadd -k {} {service}", keytab.display()),
        ] {
            let mut kadmin = kerberos("kadmin.local");
            kadmin.args(["-q", &query]);
            run("kadmin.local", kadmin);
        }

        let mut server = kerberos("krb5kdc");
        server.arg("-n");
        let mut process = Process::spawn("krb5kdc", server);
        process.stderr.wait_for("krb5kdc", |line| line.contains("commencing operation"));

        // kinit reads the password from its standard input, which the harness leaves empty; so through a shell.
        let mut kinit = kerberos("sh");
        kinit.args(["-c", "echo \"$1\" | kinit \"$2\"", "sh", ALICE.password, ALICE.user]);
        kinit.env("KRB5CCNAME", format!("FILE:{}", ticket.display()));
        run("kinit", kinit);
        Self { _process: process, configuration, profile, keytab, ticket }
    }

    /// Makes a client use alice's ticket.
    pub(crate) fn give_ticket(&self, client: &mut Command) {
        client.env("KRB5_CONFIG", &self.configuration).env("KRB5CCNAME", format!("FILE:{}", self.ticket.display()));
    }
}

/// Apache with mod_auth_gssapi: Kerberos and NTLM, by MIT's library and gss-ntlmssp; and Basic and Digest in `/basic/`
/// and `/digest/`.
/// It serves `page` and `soak.html`, `private` to bob alone, and counts the bytes that `upload` is sent.
pub(crate) struct Apache {
    _process: Process,
    pub(crate) port: u16,
}

impl Apache {
    pub(crate) fn start(rig: &Rig, kdc: &Kdc) -> Self {
        Self::start_with(rig, kdc, &kdc.keytab, "+0")
    }

    /// The same with the keys of another keytab, and with its clock set `ahead` (`+10m`, as faketime takes it).
    pub(crate) fn start_with(rig: &Rig, kdc: &Kdc, keytab: &Path, ahead: &str) -> Self {
        let port = free_port();
        let modules = "/usr/lib/apache2/modules";
        let (mut load_tls, mut tls) = (String::new(), String::new());
        if rig.tls() {
            load_tls = format!("LoadModule ssl_module {modules}/mod_ssl.so");
            tls = format!(
                "SSLEngine on\nSSLCertificateFile {}\nSSLCertificateKeyFile {}",
                rig.certificate().display(),
                rig.key().display()
            );
        }
        let configuration = rig.fill(
            "apache.conf",
            &[("PORT", &port.to_string()), ("MODULES", modules), ("LOAD_TLS", &load_tls), ("TLS", &tls)],
        );
        let pages = rig.directory("htdocs");
        fs::write(pages.join("page"), "you are in\n").unwrap();
        fs::write(pages.join("private"), "you are bob\n").unwrap();
        fs::copy(rig.program("soak.html"), pages.join("soak.html")).unwrap();
        make_users(rig);
        let replays = rig.directory("replays");

        let mut server = command_without_root(if ahead == "+0" { "apache2" } else { "faketime" });
        if ahead != "+0" {
            server.args(["-m", "-f", ahead, "apache2"]);
        }
        server.arg("-D").arg("FOREGROUND").arg("-f").arg(configuration);
        server.env("KRB5_CONFIG", &kdc.configuration).env("KRB5_KTNAME", format!("FILE:{}", keytab.display()));
        server.env("KRB5RCACHENAME", format!("file2:{}/seen", replays.display()));
        server.env("NTLM_USER_FILE", rig.accounts());
        rig.tell_keys(&mut server);
        server.envs([("NETBIOS_COMPUTER_NAME", "APACHE1"), ("NETBIOS_DOMAIN_NAME", "EXAMPLE")]);
        let mut process = Process::spawn("apache", server);
        process.stderr.wait_for("apache", |line| line.contains("resuming normal operations"));
        parts::serves(port, "Apache", &[]);
        Self { _process: process, port }
    }
}

/// The accounts for Basic, as `DOMAIN\user`, and for Digest, as the bare user: clients differ on a backslash in a quoted
/// string.
fn make_users(rig: &Rig) {
    let digest = [ALICE, BOB].map(|account| {
        let mut basic = command("htpasswd");
        basic.args(["-b", if account.user == ALICE.user { "-c" } else { "-m" }]).arg(rig.path("basic-users"));
        basic.args([&account.qualified(), account.password]);
        run("htpasswd", basic);
        let known = format!("{}:{SITE}", account.user);
        let hash = Md5::digest(format!("{known}:{}", account.password));
        format!("{known}:{}\n", hash.iter().fold(String::new(), |hash, byte| hash + &format!("{byte:02x}")))
    });
    fs::write(rig.path("digest-users"), digest.concat()).unwrap();
}

/// nginx with one pool of upstream connections for all clients: what breaks connection-bound logons.
pub(crate) struct NginxPool {
    process: Process,
    pub(crate) port: u16,
}

impl NginxPool {
    pub(crate) fn start(rig: &Rig, upstream: u16) -> Self {
        let port = free_port();
        let (mut listen_tls, mut tls) = ("", String::new());
        if rig.tls() {
            listen_tls = " ssl";
            tls = format!(
                "ssl_certificate {cert}; ssl_certificate_key {key};\n\
                 proxy_ssl_server_name on; proxy_ssl_name {SITE}; proxy_ssl_verify on; proxy_ssl_trusted_certificate {authority};",
                cert = rig.certificate().display(),
                key = rig.key().display(),
                authority = rig.authority().display(),
            );
        }
        let configuration = rig.fill(
            "nginx-pool.conf",
            &[
                ("PORT", &port.to_string()),
                ("UPSTREAM", &format!("127.0.0.1:{upstream}")),
                ("SCHEME", rig.transport.scheme()),
                ("LISTEN_TLS", listen_tls),
                ("TLS", &tls),
            ],
        );
        let mut server = command("nginx");
        server.arg("-p").arg(rig.path("")).arg("-c").arg(configuration);
        let mut process = Process::spawn("nginx", server);
        process.stderr.wait_for("nginx", |line| line.contains("start worker processes"));
        parts::serves(port, "nginx", &[upstream]);
        Self { process, port }
    }

    /// Ends it, and with it the pooled connections: nobody has to wait for those.
    pub(crate) fn stop(self) {
        self.process.stop("TERM");
    }
}

/// nginx with files behind Basic authentication; over TLS it takes HTTP/2.
pub(crate) struct NginxFiles {
    _process: Process,
    pub(crate) port: u16,
}

impl NginxFiles {
    pub(crate) fn start(rig: &Rig, name: &str, content: &[u8]) -> Self {
        let port = free_port();
        fs::write(rig.directory("pages").join(name), content).unwrap();
        fs::write(rig.path("passwords"), format!("{}:{{PLAIN}}{}\n", ALICE.user, ALICE.password)).unwrap();
        let configuration = rig.fill("nginx-http2.conf", &[("PORT", &port.to_string())]);
        let mut server = command("nginx");
        server.arg("-p").arg(rig.path("")).arg("-c").arg(configuration);
        let mut process = Process::spawn("nginx", server);
        process.stderr.wait_for("nginx", |line| line.contains("start worker processes"));
        parts::serves(port, "nginx", &[]);
        Self { _process: process, port }
    }
}
