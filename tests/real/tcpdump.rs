//! tcpdump on the loopback interface, for the length of a scenario.

use std::fs::File;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command};
use std::sync::mpsc::{Receiver, channel};

use crate::process::{DEADLINE, Process, command, is_root, run};

/// A capture that goes on until it is stopped. Dropped, as when a test panics, it ends as all programs of the rig do.
pub(crate) struct Tcpdump {
    process: Process,
    file: PathBuf,
    marker: Marker,
    /// Hears of it when the marker is on file.
    complete: Receiver<()>,
}

/// A datagram that goes out last: once tcpdump has written it, it has written everything before it.
struct Marker {
    socket: UdpSocket,
    text: Vec<u8>,
}

impl Tcpdump {
    /// Captures these TCP ports into `file`, and gives it once tcpdump listens. Needs root, or `sudo` without a password.
    pub(crate) fn start(file: PathBuf, ports: &[u16]) -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let own = socket.local_addr().unwrap().port();
        let marker = Marker { socket, text: format!("the capture of {own} ends here").into_bytes() };
        let mut program = if is_root() { command("tcpdump") } else { command("sudo") };
        if !is_root() {
            program.args(["-n", "tcpdump"]);
        }
        // Each packet is delivered, and written, as soon as it comes; the ring has place for a thousand of the largest.
        program.args(["-i", "lo", "--immediate-mode", "-U", "-s", "0", "-B", "65536"]);
        // Without the user of its own that some distributions give it: ended with the test, it must not have changed.
        program.args(["-Z", "root", "-w", "-"]).arg(filter(ports, Some(own)));
        let (sender, complete) = channel();
        let (out, text) = (File::create(&file).unwrap(), marker.text.clone());
        // What goes wrong there the test hears of by the marker that never comes.
        let mut process = Process::spawn_taking("tcpdump", program, move |stdout| {
            let _ = copy_until(stdout, out, &text, || {
                let _ = sender.send(());
            });
        });
        if !is_root() {
            process = process.of_root();
        }
        process
            .stderr
            .wait_for("tcpdump (it needs root, or sudo without a password)", |line| line.contains("listening on lo"));
        Self { process, file, marker, complete }
    }

    /// Ends it when all that was sent so far is on file, and insists that nothing is missing.
    pub(crate) fn stop(self) -> PathBuf {
        let Self { process, file, marker, complete } = self;
        marker.socket.send_to(&marker.text, marker.socket.local_addr().unwrap()).unwrap();
        complete.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("tcpdump did not write its marker"));
        let ended = process.stop("INT");
        let dropped = ended.stderr.lines().filter(|line| line.contains("dropped by"));
        let dropped: Vec<_> = dropped.filter(|line| !line.starts_with("0 ")).collect();
        assert!(
            ended.status.success() && ended.stderr.contains("0 packets dropped by kernel") && dropped.is_empty(),
            "the capture is not whole:\n{}",
            ended.stderr
        );
        file
    }
}

/// Writes what comes to `file`; calls `found` when `text` has been written.
fn copy_until(mut from: ChildStdout, mut file: File, text: &[u8], found: impl FnOnce()) -> std::io::Result<()> {
    let (mut chunk, mut seen, mut found) = (vec![0; 1 << 16], Vec::<u8>::new(), Some(found));
    loop {
        let length = from.read(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        file.write_all(&chunk[..length])?;
        if found.is_some() {
            seen.extend(&chunk[..length]);
            if seen.windows(text.len()).any(|window| window == text) {
                found.take().unwrap()();
            }
            let keep = seen.len().saturating_sub(text.len());
            seen.drain(..keep);
        }
    }
}

fn filter(ports: &[u16], marker: Option<u16>) -> String {
    let ports = ports.iter().map(|port| format!("tcp port {port}"));
    ports.chain(marker.map(|port| format!("udp port {port}"))).collect::<Vec<_>>().join(" or ")
}

/// What a capture holds of some TCP ports, in a capture of its own.
pub(crate) fn only(capture: &Path, ports: &[u16], to: PathBuf) -> PathBuf {
    let mut tcpdump = Command::new("tcpdump");
    tcpdump.arg("-r").arg(capture).args(["-w", "-"]).arg(filter(ports, None));
    let done = tcpdump.stdout(File::create(&to).unwrap()).output().unwrap();
    assert!(done.status.success(), "tcpdump -r: {}", String::from_utf8_lossy(&done.stderr));
    to
}

/// The client's port of each connection to `port`, in the order in which they were begun.
pub(crate) fn begun(capture: &Path, port: u16) -> Vec<u16> {
    let mut tcpdump = command("tcpdump");
    tcpdump.args(["-n", "-q", "-r"]).arg(capture);
    tcpdump.arg(format!("tcp dst port {port} and tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn"));
    let said = run("tcpdump -r", tcpdump).stdout;
    // 12:00:00.000000 IP 127.0.0.1.40000 > 127.0.0.1.8080: tcp 0
    let ports = said.lines().map(|line| {
        let from = line.split(" > ").next().and_then(|from| from.rsplit('.').next());
        from.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("no port in {line:?}"))
    });
    ports.collect()
}
