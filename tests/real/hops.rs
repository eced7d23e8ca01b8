//! Intermediaries of which a test writes what it is about. Each may stand in front of authtap or behind it.

use std::path::PathBuf;

use crate::authtap::{Authtap, Diagnosis};
use crate::haproxy::Haproxy;
use crate::parts;
use crate::process::{Process, command, command_without_root, run};
use crate::rig::{Kdc, Rig, SITE, free_port};

/// A running intermediary.
pub(crate) struct Hop {
    running: Running,
    pub(crate) port: u16,
}

enum Running {
    Program(Process),
    Haproxy(Haproxy),
}

impl Hop {
    /// nginx in front of the nodes on `upstreams`. `pool` connections to each are kept for whoever comes; `server` and `location` are
    /// settings of those blocks.
    pub(crate) fn nginx(name: &str, rig: &Rig, upstreams: &[u16], pool: u8, server: &str, location: &str) -> Self {
        let port = free_port();
        let nodes: Vec<String> =
            upstreams.iter().map(|port| format!("server 127.0.0.1:{port} max_fails=0; ")).collect();
        let keepalive = if pool > 0 { format!("keepalive {pool};") } else { String::new() };
        let (mut listen, mut server, mut location) = ("", server.to_owned(), location.to_owned());
        if rig.tls() {
            listen = " ssl";
            let (certificate, key) = (rig.certificate(), rig.key());
            let (certificate, key) = (certificate.display(), key.display());
            server = format!("{server} ssl_certificate {certificate}; ssl_certificate_key {key};");
            location = format!("{location} proxy_ssl_server_name on; proxy_ssl_name {SITE};");
        }
        let configuration = rig.fill_as(
            &format!("{name}.conf"),
            "nginx-hop.conf",
            &[
                ("NAME", name),
                ("PORT", &port.to_string()),
                ("LISTEN", listen),
                ("SCHEME", rig.transport.scheme()),
                ("UPSTREAM", &(nodes.concat() + &keepalive)),
                ("SERVER", &server),
                ("LOCATION", &location),
            ],
        );
        let mut program = command("nginx");
        program.arg("-p").arg(rig.path("")).arg("-c").arg(configuration);
        let mut process = Process::spawn(name, program);
        process.stderr.wait_for(name, |line| line.contains("start worker processes"));
        parts::serves(port, "nginx", upstreams);
        Self { running: Running::Program(process), port }
    }

    /// HAProxy in front of the nodes on `upstreams`, with lines of its `global` section and of the one for the site.
    pub(crate) fn haproxy(name: &str, rig: &Rig, upstreams: &[u16], global: &str, settings: &str) -> Self {
        let port = free_port();
        let nodes = upstreams.iter().enumerate();
        let nodes: Vec<String> = nodes.map(|(n, port)| format!("server node{n} 127.0.0.1:{port}")).collect();
        let configuration = rig.fill_as(
            &format!("{name}.cfg"),
            "haproxy-farm.cfg",
            &[
                ("PORT", &port.to_string()),
                ("GLOBAL", global),
                ("SETTINGS", settings),
                ("SERVERS", &nodes.join("\n    ")),
            ],
        );
        Self { running: Running::Haproxy(Haproxy::launch(name, rig, &configuration, port, upstreams)), port }
    }

    /// Apache's mod_proxy, with parameters of `ProxyPass` and settings of the server.
    pub(crate) fn apache(name: &str, rig: &Rig, upstream: u16, parameters: &str, settings: &str) -> Self {
        let port = free_port();
        let configuration = rig.fill_as(
            &format!("{name}.conf"),
            "apache-proxy.conf",
            &[
                ("NAME", name),
                ("PORT", &port.to_string()),
                ("MODULES", "/usr/lib/apache2/modules"),
                ("UPSTREAM", &upstream.to_string()),
                ("PARAMETERS", parameters),
                ("SETTINGS", settings),
            ],
        );
        let mut program = command_without_root("apache2");
        program.arg("-D").arg("FOREGROUND").arg("-f").arg(configuration);
        let mut process = Process::spawn(name, program);
        process.stderr.wait_for(name, |line| line.contains("resuming normal operations"));
        parts::serves(port, "Apache mod_proxy", &[upstream]);
        Self { running: Running::Program(process), port }
    }

    /// Ends it, and with it its connections: nobody has to wait for those of a pool.
    pub(crate) fn stop(self) {
        match self.running {
            Running::Program(process) => drop(process.stop("TERM")),
            Running::Haproxy(haproxy) => haproxy.stop(),
        }
    }
}

/// clients → hop → authtap → server: where authtap sees what the hop makes of its clients.
pub(crate) fn hop_in_front(
    name: &str,
    rig: &Rig,
    server: u16,
    hop: impl FnOnce(u16) -> Hop,
    clients: impl FnOnce(u16),
) -> Diagnosis {
    let authtap = Authtap::start_as(name, rig, server);
    through(authtap, hop, clients)
}

/// The same where authtap believes what the hop says about its clients.
pub(crate) fn hop_in_front_trusted(
    name: &str,
    rig: &Rig,
    server: u16,
    hop: impl FnOnce(u16) -> Hop,
    clients: impl FnOnce(u16),
) -> Diagnosis {
    through(Authtap::start_with(name, rig, server, &["--trusted-proxy", "127.0.0.1/32"]), hop, clients)
}

fn through(authtap: Authtap, hop: impl FnOnce(u16) -> Hop, clients: impl FnOnce(u16)) -> Diagnosis {
    let hop = hop(authtap.port);
    clients(hop.port);
    hop.stop();
    authtap.stop()
}

/// clients → authtap → hop → server: where authtap sees what the clients are told.
pub(crate) fn hop_behind(name: &str, rig: &Rig, hop: Hop, clients: impl FnOnce(u16)) -> Diagnosis {
    let authtap = Authtap::start_as(name, rig, hop.port);
    clients(authtap.port);
    let diagnosis = authtap.stop();
    hop.stop();
    diagnosis
}

/// Gets a user's own ticket for the realm, into a file of its own.
pub(crate) fn ticket_of(kdc: &Kdc, rig: &Rig, user: &str, password: &str) -> PathBuf {
    let ticket = rig.path("another-ticket");
    let mut kinit = command("sh");
    kinit.args(["-c", "echo \"$1\" | kinit \"$2\"", "sh", password, user]);
    kdc.give_ticket(&mut kinit);
    kinit.env("KRB5CCNAME", format!("FILE:{}", ticket.display()));
    run("kinit", kinit);
    ticket
}
