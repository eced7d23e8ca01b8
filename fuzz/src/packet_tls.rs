//! TLS of packet captures.

use authtap::packet::tls::{KeyLog, Reading, Session};

/// TLS connections of `tests/data/tls`.
const TLS: [&str; 7] = [
    include_str!("../../tests/data/tls/tls10-cbc-sha.txt"),
    include_str!("../../tests/data/tls/tls12-cbc-encrypted-first.txt"),
    include_str!("../../tests/data/tls/tls12-cbc-sha384.txt"),
    include_str!("../../tests/data/tls/tls12-chacha20.txt"),
    include_str!("../../tests/data/tls/tls12-gcm.txt"),
    include_str!("../../tests/data/tls/tls13-early-data.txt"),
    include_str!("../../tests/data/tls/tls13-second-hello-key-updates.txt"),
];

/// What a file of `tests/data/tls` holds: the key log, what was sent, and the plain text, the client's first.
fn recorded(text: &str) -> (String, [Vec<u8>; 2], [Vec<u8>; 2]) {
    let (mut keys, mut sent, mut plain) = (String::new(), [Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for line in text.lines() {
        let (kind, value) = line.split_once(' ').expect("a kind and a value");
        let bytes = || {
            value
                .as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("hexadecimal"))
        };
        match kind {
            "key" => keys = keys + value + "\n",
            ">" => sent[0].extend(bytes()),
            "<" => sent[1].extend(bytes()),
            "client" => plain[0].extend(bytes()),
            "server" => plain[1].extend(bytes()),
            other => panic!("{other}"),
        }
    }
    (keys, sent, plain)
}

/// More than this, a capture of many connections would fill the memory.
const MOST_HELD: usize = 2 * (64 + 20 + 260) * 1024;

/// A TLS connection with its key log: the first byte says which, each three further ones what comes next. What comes out
/// is what was sent, up to the first damage.
pub fn packet_tls(data: &[u8]) {
    // As a key log, and as what a client and a server send.
    let mut keys = KeyLog::default();
    let (secrets, bad) = keys.read(data);
    assert!(secrets + bad <= data.len());
    let mut session = Session::new(|_| None);
    let mut none = |_: bool, _: &[u8]| panic!("plain text without a secret");
    for (number, piece) in data.chunks(64).enumerate() {
        session.bytes(number % 3 == 0, piece, &keys, &mut none);
    }
    let begins = Session::begins(data);
    assert!(begins.is_some() || data.len() < 5);

    let Some((which, steps)) = data.split_first() else { return };
    let (text, sent, truth) = recorded(TLS[usize::from(*which) % TLS.len()]);
    let mut keys = KeyLog::default();
    keys.read(text.as_bytes());
    let mut session = Session::new(|_| None);
    let mut out = [Vec::new(), Vec::new()];
    let mut at = [0, 0];
    let mut sound = true;
    for step in steps.chunks_exact(3) {
        let &[what, length, other] = step else { return };
        let side = usize::from(what & 1);
        let end = (at[side] + usize::from(length) * (1 + usize::from(what >> 5))).min(sent[side].len());
        let mut piece = sent[side][at[side]..end].to_vec();
        at[side] = end;
        match what >> 1 & 15 {
            0 if !piece.is_empty() => {
                let place = usize::from(other) % piece.len();
                piece[place] ^= (other >> 3).max(1);
                sound = false;
            }
            1 => {
                session.lost(side == 0);
                sound = false;
            }
            2 => {
                piece.extend(vec![other; usize::from(length)]);
                sound = false;
            }
            3 => {
                piece.clear();
                sound = false;
            }
            _ => {}
        }
        session
            .bytes(side == 0, &piece, &keys, &mut |client, plain| out[usize::from(!client)].extend_from_slice(plain));
        assert!(session.footprint() <= MOST_HELD, "{} bytes", session.footprint());
    }
    for side in [0, 1] {
        assert!(truth[side].starts_with(&out[side]), "what came out was not sent");
    }
    if sound {
        for side in [0, 1] {
            let rest = &sent[side][at[side]..];
            session
                .bytes(side == 0, rest, &keys, &mut |client, plain| out[usize::from(!client)].extend_from_slice(plain));
        }
        assert!(out == truth, "{:?}", session.reading());
        assert_eq!(session.reading(), Reading::Open);
    }
}
