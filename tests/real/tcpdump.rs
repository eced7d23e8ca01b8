//! tcpdump on the loopback interface, for the length of a scenario.

use std::fs::File;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::sync::mpsc::{Receiver, channel};

use crate::process::{DEADLINE, Process, command, is_root};

/// A capture that goes on until it is stopped. Dropped, as when a test panics, it ends as all programs of the rig do.
pub(crate) struct Tcpdump {
    process: Process,
    file: PathBuf,
    marker: Marker,
    /// Hears of it when the marker is on file.
    complete: Receiver<()>,
}

/// Bytes that fill the block of packets that the kernel is at.
const FILLING: usize = 600_000;

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
        // 64 MiB are more than any scenario sends. (With --immediate-mode each packet would take the place of the largest.)
        program.args(["-i", "lo", "-U", "-s", "0", "-B", "65536"]);
        // Without the user of its own that some distributions give it: ended with the test, it must not have changed.
        program.args(["-Z", "root", "-w", "-"]).arg(format!("{} or udp port {own}", filter(ports)));
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

    /// Ends it when all that was sent so far is on file, and insists that nothing is missing. The file ends with the datagrams
    /// that this takes; [`only`] leaves them out.
    pub(crate) fn stop(self) -> PathBuf {
        let Self { process, file, marker, complete } = self;
        let to = marker.socket.local_addr().unwrap();
        marker.socket.send_to(&marker.text, to).unwrap();
        // The kernel hands packets over in blocks of 256 KiB, or after a second: this fills the marker's block.
        for _ in 0..FILLING / 1_000 {
            marker.socket.send_to(&[0; 1_000], to).unwrap();
        }
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

fn filter(ports: &[u16]) -> String {
    ports.iter().map(|port| format!("tcp port {port}")).collect::<Vec<_>>().join(" or ")
}

/// What a capture holds of TCP connections to `port` from one of `clients`, in a capture of its own; without either, of all.
pub(crate) fn only(capture: &Path, port: Option<u16>, clients: &[u16], to: PathBuf) -> PathBuf {
    let mut tcpdump = command("tcpdump");
    tcpdump.arg("-r").arg(capture).args(["-w", "-"]);
    let wanted = port.map_or("tcp".to_owned(), |port| filter(&[port]));
    let clients = if clients.is_empty() { String::new() } else { format!(" and ({})", filter(clients)) };
    tcpdump.arg(format!("{wanted}{clients}"));
    let done = tcpdump.stdout(File::create(&to).unwrap()).output().unwrap();
    assert!(done.status.success(), "tcpdump -r: {}", String::from_utf8_lossy(&done.stderr));
    to
}
