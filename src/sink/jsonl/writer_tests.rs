//! Rotation, and disks with faults.

use std::sync::{Arc, Mutex};

use super::*;
use crate::model::Stamp;
use crate::model::event::{Gap, GapWhat, Start};
use crate::sink::jsonl::reader::read;

fn tap() -> TapId {
    TapId("tap-test".to_owned())
}

fn start() -> Event {
    Event {
        seq: 1,
        at: Stamp(1),
        what: What::Start(Box::new(Start { version: "0.1.0".to_owned(), ..Start::default() })),
    }
}

fn lost(seq: u64) -> Event {
    Event {
        seq,
        at: Stamp(i64::try_from(seq).unwrap() * 1_000_000),
        what: What::Gap(Gap { connection: None, what: GapWhat::ObserverLost { why: "x".repeat(100) } }),
    }
}

fn sequence(path: &Path) -> Vec<u64> {
    let mut seqs = Vec::new();
    let summary = read(File::open(path).unwrap(), |_, e| seqs.push(e.seq)).unwrap();
    assert!(summary.remarks().is_empty(), "{:?}", summary.remarks());
    seqs
}

/// A capture that grows without end fills the server's disk; one that rotates badly cannot be read.
#[test]
fn files_rotate_are_readable_alone_and_bounded_in_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.jsonl");
    let stranger = dir.path().join("c.jsonl.2");
    std::fs::write(&stranger, "not a capture").unwrap();
    let limits = Limits { file: 1_000, total: 4_000 };
    let mut capture = CaptureFile::create(&path, tap(), limits).unwrap();
    capture.write(&start()).unwrap();
    for seq in 2..100 {
        capture.write(&lost(seq)).unwrap();
    }
    capture.flush().unwrap();
    let mut files: Vec<PathBuf> = capture.older().map(Path::to_owned).collect();
    assert!(files.len() >= 2, "{files:?}");
    files.push(path);
    let mut all = Vec::new();
    let mut bytes = 0;
    for file in &files {
        bytes += std::fs::metadata(file).unwrap().len();
        let seqs = sequence(file);
        assert_eq!(seqs[0], 1, "each file begins with the start");
        all.extend_from_slice(&seqs[1..]);
    }
    assert!(bytes <= 4_000, "{bytes}");
    assert_eq!(all.last(), Some(&99));
    assert!(all.windows(2).all(|w| w[1] == w[0] + 1), "{all:?}");
    assert_eq!(std::fs::read(&stranger).unwrap(), b"not a capture");
    let here = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(here, files.len() + 1, "the oldest ones are deleted");
}

/// A disk that takes so many bytes and no more, until it is given more.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.0.lock().unwrap();
        let n = bytes.len().min(disk.1);
        if n == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.1 -= n;
        disk.0.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A full disk must neither stop authtap nor leave half a line that spoils the capture when there is space again.
#[test]
fn a_full_disk_is_told_and_what_comes_after_is_readable() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    disk.0.lock().unwrap().1 = 1_234;
    let opener = disk.clone();
    let mut capture = CaptureFile::with_opener(
        &dir.path().join("c.jsonl"),
        tap(),
        Limits::default(),
        Box::new(move |_| Ok((Box::new(opener.clone()), None))),
    )
    .unwrap();
    capture.write(&start()).unwrap();
    let mut refused = 0;
    for seq in 2..20_000 {
        refused += u64::from(capture.write(&lost(seq)).is_err());
    }
    assert!(refused > 0, "what can neither be written nor kept is refused");
    let told = capture.flush().unwrap_err();
    assert!(told.contains("c.jsonl"), "{told}");
    assert!(capture.waiting.len() <= BACKLOG + 1_000);

    disk.0.lock().unwrap().1 = usize::MAX;
    capture.write(&lost(20_000)).unwrap();
    capture.flush().unwrap();
    let bytes = disk.0.lock().unwrap().0.clone();
    let mut seqs = Vec::new();
    let summary = read(bytes.as_slice(), |_, e| seqs.push(e.seq)).unwrap();
    assert!(summary.remarks().is_empty(), "{:?}", summary.remarks());
    assert_eq!(seqs.last(), Some(&20_000));
    assert_eq!(seqs.len() as u64, 20_000 - refused);
}

/// The same against the operating system's own full device.
#[cfg(target_os = "linux")]
#[test]
fn dev_full_gives_an_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let mut capture = CaptureFile::with_opener(
        &dir.path().join("c.jsonl"),
        tap(),
        Limits::default(),
        Box::new(|_| Ok((Box::new(OpenOptions::new().write(true).open("/dev/full")?), None))),
    )
    .unwrap();
    capture.write(&start()).unwrap();
    let told = capture.flush().unwrap_err();
    assert!(told.contains("No space left"), "{told}");
}

/// A folder that vanished must not end the capture for good.
#[test]
fn a_rotation_that_fails_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.jsonl");
    let fails = Arc::new(Mutex::new(false));
    let flag = fails.clone();
    let limits = Limits { file: 400, ..Limits::default() };
    let opener = move |path: &Path| {
        if *flag.lock().unwrap() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        open_private(path)
    };
    let mut capture = CaptureFile::with_opener(&path, tap(), limits, Box::new(opener)).unwrap();
    capture.write(&start()).unwrap();
    capture.write(&lost(2)).unwrap();
    *fails.lock().unwrap() = true;
    assert!(capture.write(&lost(3)).is_err());
    assert!(capture.write(&lost(4)).is_err());
    assert!(capture.flush().is_err());
    *fails.lock().unwrap() = false;
    capture.write(&lost(5)).unwrap();
    capture.flush().unwrap();
    assert_eq!(sequence(&path), [1, 5]);
    assert_eq!(sequence(&numbered(&path, 1)), [1, 2]);
}

/// Whoever tidies up `/tmp` in an incident must not end the capture in silence.
#[cfg(unix)]
#[test]
fn a_file_that_is_deleted_is_begun_anew_and_told_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.jsonl");
    let mut capture = CaptureFile::create(&path, tap(), Limits::default()).unwrap();
    capture.write(&start()).unwrap();
    capture.write(&lost(2)).unwrap();
    capture.flush().unwrap();
    std::fs::remove_file(&path).unwrap();
    capture.write(&lost(3)).unwrap();
    let told = capture.flush().unwrap_err();
    assert!(told.contains("c.jsonl") && told.contains("deleted"), "{told}");
    capture.flush().unwrap();
    capture.write(&lost(4)).unwrap();
    capture.flush().unwrap();
    assert_eq!(sequence(&path), [1, 3, 4], "the start, what waited, what came");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// A folder that vanished: nothing can be written until it is back, and trying costs nothing worth a word.
#[cfg(unix)]
#[test]
fn a_folder_that_vanishes_is_waited_for_without_haste() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("captures");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("c.jsonl");
    let tries = Arc::new(Mutex::new(0));
    let count = tries.clone();
    let opener = move |path: &Path| {
        *count.lock().unwrap() += 1;
        open_private(path)
    };
    let mut capture = CaptureFile::with_opener(&path, tap(), Limits::default(), Box::new(opener)).unwrap();
    capture.write(&start()).unwrap();
    capture.flush().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(capture.flush().is_err());
    let before = *tries.lock().unwrap();
    let many = Event { at: Stamp(5_000_000), ..lost(2) };
    for _ in 0..1_000 {
        assert!(capture.write(&many).is_err());
    }
    assert_eq!(*tries.lock().unwrap(), before + 1, "once in a second of the traffic");
    std::fs::create_dir(&folder).unwrap();
    capture.write(&lost(6)).unwrap();
    capture.flush().unwrap();
    assert_eq!(sequence(&path), [1, 6]);
}

/// Two authtaps on one path: the second sets the first one's file aside. They must not go on doing that to each other.
#[cfg(unix)]
#[test]
fn a_file_in_its_place_is_left_alone_and_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.jsonl");
    let mut first = CaptureFile::create(&path, tap(), Limits::default()).unwrap();
    first.write(&start()).unwrap();
    first.flush().unwrap();
    let mut second = CaptureFile::create(&path, TapId("another".to_owned()), Limits::default()).unwrap();
    second.write(&start()).unwrap();
    second.flush().unwrap();
    assert!(first.flush().unwrap_err().contains("moved"));
    first.write(&lost(2)).unwrap();
    first.flush().unwrap();
    second.flush().unwrap();
    assert_eq!(sequence(&path), [1]);
    assert_eq!(sequence(&numbered(&path, 1)), [1, 2]);
}

/// A line that a full disk cut must not go on at the head of another file.
#[cfg(unix)]
#[test]
fn the_rest_of_a_cut_line_does_not_spoil_the_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.jsonl");
    let mut capture = CaptureFile::create(&path, tap(), Limits::default()).unwrap();
    capture.write(&start()).unwrap();
    capture.flush().unwrap();
    let disk = Disk::default();
    disk.0.lock().unwrap().1 = 10;
    capture.file = Some(Box::new(disk));
    capture.write(&lost(2)).unwrap();
    capture.write(&lost(3)).unwrap();
    assert!(capture.flush().is_err());
    std::fs::remove_file(&path).unwrap();
    assert!(capture.flush().unwrap_err().contains("deleted"));
    assert_eq!(sequence(&path), [1, 3]);
}
