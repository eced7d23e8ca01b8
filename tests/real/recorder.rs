//! The witness: what went over a connection, byte by byte.

use std::fs;
use std::path::PathBuf;

use crate::parts;
use crate::process::Process;
use crate::rig::Rig;

/// A relay that writes down every byte of every connection: the witness that authtap changes none.
pub(crate) struct Recorder {
    process: Process,
    pub(crate) port: u16,
    dir: PathBuf,
}

/// What one connection carried.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Recording {
    pub(crate) to_server: Vec<u8>,
    pub(crate) to_client: Vec<u8>,
}

impl Recorder {
    pub(crate) fn start(rig: &Rig, name: &str, upstream: u16) -> Self {
        let dir = rig.directory(name);
        let mut command = rig.python("recorder.py");
        command.arg("--upstream").arg(format!("localhost:{upstream}")).arg("--dir").arg(&dir);
        if rig.tls() {
            command
                .arg("--tls-cert")
                .arg(rig.certificate())
                .arg("--tls-key")
                .arg(rig.key())
                .arg("--upstream-ca")
                .arg(rig.authority());
        }
        let mut process = Process::spawn(name, command);
        let port = process.listening_port();
        parts::serves(port, "relay", &[upstream]);
        Self { process, port, dir }
    }

    /// Ends it and gives its connections, sorted, so that two witnesses can be compared whichever accepted first.
    pub(crate) fn stop(self) -> Vec<Recording> {
        self.process.stop("TERM");
        let mut recordings = Vec::new();
        while let Ok(to_server) = fs::read(self.dir.join(format!("{}.c2s", recordings.len() + 1))) {
            let to_client = fs::read(self.dir.join(format!("{}.s2c", recordings.len() + 1))).unwrap();
            recordings.push(Recording { to_server, to_client });
        }
        recordings.sort();
        recordings
    }
}
