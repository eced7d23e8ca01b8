//! The capture files of `make bench`: `captures KIND MEGABYTES FILE`.
//!
//! Conversations of one kind, sixty-four at a time, as a classic capture of Ethernet frames. What each kind holds is
//! said where it is made. The bytes are the same in each run.
#![allow(clippy::print_stderr, reason = "a command-line program talks to its terminal")]

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

mod kinds;
#[path = "../../tests/it/packets/made.rs"]
mod made;
#[allow(dead_code, clippy::unwrap_used, reason = "a test's helper, of which a part is used")]
#[path = "../../tests/it/packet_tls/pair.rs"]
mod pair;

use made::{Order, Packet};

/// So many conversations go on at once.
const AT_ONCE: usize = 64;
/// Microseconds from one packet to the next.
const STEP: i64 = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, megabytes, path] = arguments.as_slice() else {
        return usage();
    };
    let (Some(kind), Ok(megabytes)) = (kinds::named(kind), megabytes.parse::<u64>()) else {
        return usage();
    };
    match write(kind, megabytes.saturating_mul(1_000_000), path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("captures: {path}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: captures KIND MEGABYTES FILE, where KIND is one of {}", kinds::names().join(", "));
    ExitCode::from(2)
}

fn write(kind: kinds::Kind, bytes: u64, path: &str) -> io::Result<()> {
    let mut file =
        Writer { file: BufWriter::with_capacity(1 << 20, File::create(path)?), at: 1_700_000_000_000_000, bytes: 0 };
    file.file.write_all(&made::pcap(&[]))?;
    let source = kinds::Source::new(kind);
    let mut number = 0;
    let mut open: VecDeque<std::vec::IntoIter<Packet>> = VecDeque::new();
    while file.bytes < bytes {
        while open.len() < AT_ONCE {
            open.push_back(source.conversation(number).into_iter());
            number += 1;
        }
        if let Some(mut one) = open.pop_front()
            && let Some(packet) = one.next()
        {
            file.packet(&packet)?;
            open.push_back(one);
        }
    }
    file.file.flush()
}

struct Writer {
    file: BufWriter<File>,
    at: i64,
    bytes: u64,
}

impl Writer {
    /// Writes a packet at the next time, whatever its own is.
    fn packet(&mut self, packet: &Packet) -> io::Result<()> {
        let (second, fraction) = (self.at.div_euclid(1_000_000), self.at.rem_euclid(1_000_000));
        let captured = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
        for number in [low(second), low(fraction), captured, packet.length] {
            self.file.write_all(&Order::Little.u32(number))?;
        }
        self.file.write_all(&packet.bytes)?;
        self.at += STEP;
        self.bytes += 16 + u64::from(captured);
        Ok(())
    }
}

fn low(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
