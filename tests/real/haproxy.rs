//! HAProxy as the intermediary that does everything right.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::parts;
use crate::process::{DEADLINE, Process, command};
use crate::rig::{Rig, SITE, free_port};

/// A load balancer that keeps a server connection for each client connection.
pub(crate) struct Haproxy {
    process: Process,
    pub(crate) port: u16,
}

impl Haproxy {
    /// Puts it in front of `upstream`; `forwarded` makes it tell the client's address in `X-Forwarded-For`.
    pub(crate) fn start(name: &str, rig: &Rig, upstream: u16, forwarded: bool) -> Self {
        Self::start_with(name, rig, upstream, if forwarded { "option forwardfor" } else { "" })
    }

    /// The same with an option that takes the place of those that it ought to have.
    pub(crate) fn start_with(name: &str, rig: &Rig, upstream: u16, option: &str) -> Self {
        let port = free_port();
        let (mut listen_tls, mut tls) = (String::new(), String::new());
        if rig.tls() {
            let both = rig.path(&format!("{name}.pem"));
            fs::write(&both, [fs::read(rig.certificate()).unwrap(), fs::read(rig.key()).unwrap()].concat()).unwrap();
            listen_tls = format!(" ssl crt {} alpn http/1.1", both.display());
            tls = format!(" ssl verify required ca-file {} sni str({SITE}) alpn http/1.1", rig.authority().display());
        }
        let configuration = rig.fill_as(
            &format!("{name}.cfg"),
            "haproxy.cfg",
            &[
                ("PORT", &port.to_string()),
                ("UPSTREAM", &upstream.to_string()),
                ("LISTEN_TLS", &listen_tls),
                ("TLS", &tls),
                ("OPTION", option),
            ],
        );
        Self::launch(name, rig, &configuration, port, &[upstream])
    }

    /// Starts it with a configuration that makes it listen on `port` and send on to `upstreams`.
    pub(crate) fn launch(name: &str, rig: &Rig, configuration: &Path, port: u16, upstreams: &[u16]) -> Self {
        // It tells a service manager when it accepts connections; here the test is that manager.
        let manager = rig.path(&format!("{name}.ready"));
        let ready = UnixDatagram::bind(&manager).unwrap();
        ready.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut server = command("haproxy");
        server.arg("-Ws").arg("-f").arg(configuration).env("NOTIFY_SOCKET", manager);
        let process = Process::spawn(name, server);
        let mut said = [0; 1024];
        loop {
            let length = ready.recv(&mut said).unwrap_or_else(|error| panic!("{name} did not get ready: {error}"));
            if said[..length].starts_with(b"READY=1") {
                parts::serves(port, "HAProxy", upstreams);
                return Self { process, port };
            }
        }
    }

    /// Ends it, and with it its connections.
    pub(crate) fn stop(self) {
        self.process.stop("TERM");
    }
}
