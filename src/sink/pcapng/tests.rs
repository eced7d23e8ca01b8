use std::io;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::model::FileTime;
use crate::model::auth::{AuthField, Token};
use crate::model::transport::Addresses;
use crate::sim::ntlm::av::{AvPairs, id};
use crate::sim::ntlm::flags;
use crate::sim::ntlm::message::{Authenticate, CLIENT_VERSION, Challenge, Negotiate, SERVER_VERSION};
use crate::sim::ntlm::respond::{Login, temp};
use crate::sim::spnego::{self, NegState};
use crate::token::{Key, credentials};

fn read(scheme: &str, token: &[u8]) -> AuthField {
    credentials(format!("{scheme} {}", STANDARD.encode(token)).as_bytes(), &Key([7; 16]))
}

fn pairs() -> AvPairs {
    AvPairs::default()
        .text(id::NB_COMPUTER_NAME, "WEB01")
        .text(id::DNS_DOMAIN_NAME, "example.test")
        .timestamp(FileTime(133_000_000_000_000_001))
}

fn challenge(flags: u32) -> Challenge {
    let (target_name, target_info) = ("EXAMPLE".to_owned(), Some(pairs()));
    Challenge { flags, server_challenge: *b"8 secret", target_name, target_info, version: Some(SERVER_VERSION) }
}

fn authenticate(flags: u32, bytes: u8, mic: bool) -> Authenticate {
    let client = pairs().with(id::CHANNEL_BINDINGS, [0x5a; 16]).text(id::TARGET_NAME, "HTTP/iis.example.test");
    let client = if mic { client.flags(2) } else { client };
    Authenticate {
        flags,
        domain: "EXAMPLE".to_owned(),
        user: "alice".to_owned(),
        workstation: "PC7".to_owned(),
        lm_response: vec![bytes; 24],
        nt_response: [vec![bytes; 16], temp(FileTime(133_000_000_000_000_002), [bytes; 8], &client)].concat(),
        session_key: vec![bytes; 16],
        version: Some(CLIENT_VERSION),
        mic: mic.then_some([bytes; 16]),
    }
}

/// Wireshark must show the flags, names and times that were sent; else the file misleads whoever reads it.
#[test]
fn a_token_made_anew_reads_as_the_one_that_was_sent() {
    let oem = flags::CLIENT & !flags::UNICODE;
    let info = flags::CLIENT | flags::TARGET_INFO;
    let named = Negotiate { domain: Some("EXAMPLE".to_owned()), ..Negotiate::default() };
    let old = Authenticate { nt_response: vec![1; 24], ..authenticate(0x8206, 1, false) };
    let type1 = Negotiate { flags: flags::CLIENT & !flags::VERSION, version: None, ..Negotiate::default() }.encode();
    let type2 = challenge(info).encode();
    let type3 = Login::new("EXAMPLE", "alice", "Password1-test").answer(&type1, &type2).expect("an answer");
    let raw = [
        type1.clone(),
        named.encode(),
        type2.clone(),
        challenge(oem | flags::TARGET_INFO).encode(),
        Challenge { target_info: None, version: None, ..challenge(flags::UNICODE | flags::NTLM) }.encode(),
        type3.clone(),
        authenticate(flags::CLIENT, 9, true).encode(),
        authenticate(oem, 9, false).encode(),
        old.encode(),
    ];
    let wrapped = [
        spnego::init(&[spnego::MS_KERBEROS, spnego::KERBEROS, spnego::NEGOEX, spnego::NTLM], Some(&type1)),
        spnego::resp(Some(NegState::AcceptIncomplete), Some(spnego::NTLM), Some(&type2), None),
        spnego::resp(None, None, Some(&type3), Some(&[9; 16])),
    ];
    let sent = raw.iter().map(|t| read("NTLM", t)).chain(wrapped.iter().map(|t| read("Negotiate", t)));
    for sent in sent {
        assert_eq!(sent.faults, [], "{sent:?}");
        let made = token::remade(&sent).unwrap_or_else(|| panic!("not made: {sent:?}"));
        let again = read(&sent.scheme_as_sent, &made);
        assert_eq!((again.token, again.faults), (sent.token, sent.faults));
    }
}

/// What is made must hold nothing of what was secret, whatever the secret was.
#[test]
fn secrets_of_a_token_make_no_difference() {
    let made = |bytes| token::remade(&read("NTLM", &authenticate(flags::CLIENT, bytes, true).encode()));
    assert!(made(1).is_some());
    assert_eq!(made(1), made(0xee));
    let basic = |password: &str| token::remade(&read("Basic", format!("alice:{password}").as_bytes()));
    assert_eq!(basic("Password1-test"), Some(b"alice:(kept out)".to_vec()));
    assert_eq!(basic("Password1-test"), basic("another-test-password"));
}

/// A token that was not read whole would be shown as a whole one.
#[test]
fn broken_and_unknown_tokens_are_not_made() {
    let whole = authenticate(flags::CLIENT, 1, true).encode();
    for (scheme, bytes) in [("NTLM", &whole[..whole.len() - 30]), ("NTLM", b"garbage"), ("Bearer", b"opaque")] {
        assert_eq!(token::remade(&read(scheme, bytes)), None, "{scheme}");
    }
    assert_eq!(token::remade(&AuthField { token: Token::None, ..read("NTLM", &whole) }), None);
}

/// A disk with so much room.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

impl io::Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.0.lock().expect("the disk");
        let room = bytes.len().min(disk.1 - disk.0.len());
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.0.extend_from_slice(&bytes[..room]);
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn sink(disk: &Disk, limit: u64) -> PacketFile {
    let output = Output::onto(Box::new(disk.clone()), limit);
    PacketFile::onto(Path::new("c.pcapng"), &TapId("tap".to_owned()), output)
}

fn open(number: u64, client: &str) -> Event {
    let upstream = Some("198.51.100.2:443".parse().expect("an address"));
    let addresses = Addresses { client: client.parse().expect("an address"), upstream, upstream_local: None };
    let connection = ConnectionId(number);
    let open = ConnectionOpen { connection, addresses, tls: None, upstream_tls: None, begun_before: false };
    Event { seq: number, at: Stamp(1_000_000), what: What::ConnectionOpen(Box::new(open)) }
}

/// Lengths of all blocks; panics where one is torn.
fn blocks_of(mut bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while !bytes.is_empty() {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four")) as usize;
        let length = number(4);
        assert_eq!(number(length - 4), length);
        lengths.push(length);
        bytes = &bytes[length..];
    }
    lengths
}

/// A capture that fills the disk is a second incident on top of the first.
#[test]
fn it_ends_at_its_limit_with_a_whole_block_and_says_so() {
    let disk = Disk::default();
    disk.0.lock().expect("the disk").1 = usize::MAX;
    let mut sink = sink(&disk, 1 << 20);
    let error = (1..100_000).find_map(|number| sink.write(&open(number, "192.0.2.1:5000")).err()).expect("a limit");
    assert!(error.contains("1 MiB") && error.contains("capture.pcapng-mib"), "{error}");
    assert!(sink.write(&open(1, "192.0.2.1:5000")).is_err(), "it stays full");
    let written = disk.0.lock().expect("the disk").0.clone();
    assert!((1_040_000..=1 << 20).contains(&written.len()), "{}", written.len());
    assert!(blocks_of(&written).len() > 10_000);
}

/// A disk that is full for a while must not tear a block: Wireshark reads nothing behind it.
#[test]
fn after_a_full_disk_it_goes_on_at_the_same_byte() {
    let disk = Disk::default();
    disk.0.lock().expect("the disk").1 = 1001;
    let mut sink = sink(&disk, 1 << 30);
    let taken = (1..100_000).take_while(|number| sink.write(&open(*number, "[2001:db8::1]:5000")).is_ok()).count();
    assert!(sink.flush().expect_err("it is full").contains("c.pcapng"));
    disk.0.lock().expect("the disk").1 = usize::MAX;
    sink.flush().expect("room");
    // Two blocks of the header, then three segments a connection.
    assert_eq!(blocks_of(&disk.0.lock().expect("the disk").0).len(), 2 + 3 * taken);
}

/// Somebody's capture that is overwritten is gone; one that others can read is a leak.
#[test]
fn an_existing_file_is_refused_and_a_new_one_is_private() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("c.pcapng");
    drop(PacketFile::create(&path, &TapId("tap".to_owned()), 1 << 20).expect("a new file"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    }
    let before = std::fs::read(&path).expect("a file");
    let error = PacketFile::create(&path, &TapId("tap".to_owned()), 1 << 20).expect_err("it is there");
    assert!(error.to_string().contains("c.pcapng") && error.to_string().contains("overwrite"), "{error}");
    assert_eq!(std::fs::read(&path).expect("a file"), before);
    assert_eq!(blocks_of(&before).len(), 2);
}
