//! Recorded connections (`tests/data/tls`), and the beginnings of others.

use super::*;

const CBC: [&str; 3] = [
    include_str!("../../../tests/data/tls/tls10-cbc-sha.txt"),
    include_str!("../../../tests/data/tls/tls12-cbc-encrypted-first.txt"),
    include_str!("../../../tests/data/tls/tls12-cbc-sha384.txt"),
];

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A recorded connection's key log, what was sent in order, and the plain text of both sides.
struct Recorded {
    keys: String,
    sent: Vec<(bool, Vec<u8>)>,
    plain: [Vec<u8>; 2],
}

fn recorded(text: &str) -> Recorded {
    let mut recorded = Recorded { keys: String::new(), sent: Vec::new(), plain: [Vec::new(), Vec::new()] };
    for line in text.lines() {
        let (kind, value) = line.split_once(' ').unwrap();
        match kind {
            "key" => recorded.keys.extend([value, "\n"]),
            ">" | "<" => recorded.sent.push((kind == ">", bytes(value))),
            _ => recorded.plain[usize::from(kind == "server")] = bytes(value),
        }
    }
    recorded
}

fn read(recorded: &Recorded, keys: &str) -> (Session, [Vec<u8>; 2]) {
    let mut log = KeyLog::default();
    log.read(keys.as_bytes());
    let mut session = Session::new(|_| None);
    let mut plain = [Vec::new(), Vec::new()];
    for (client, sent) in &recorded.sent {
        session.bytes(*client, sent, &log, &mut |client, text| plain[usize::from(!client)].extend_from_slice(text));
    }
    (session, plain)
}

/// CBC's MAC is all that tells a wrong key or a flipped bit from plain text: an old IIS's connections must open, and give
/// nothing that was not sent.
#[test]
fn cbc_is_opened_and_checked() {
    for text in CBC {
        let recorded = recorded(text);
        let (session, plain) = read(&recorded, &recorded.keys);
        assert_eq!(session.reading(), Reading::Open);
        assert!(plain == recorded.plain && !plain[1].is_empty());
        assert!(session.ended(false));

        let (session, plain) = read(&recorded, "");
        assert_eq!((session.reading(), plain), (Reading::Closed(Why::NoSecrets), [Vec::new(), Vec::new()]));
        let last = if recorded.keys.ends_with("0\n") { "1\n" } else { "0\n" };
        let wrong = recorded.keys.get(..recorded.keys.len() - 2).unwrap().to_owned() + last;
        let (session, plain) = read(&recorded, &wrong);
        assert_eq!((session.reading(), plain), (Reading::Closed(Why::DoNotFit), [Vec::new(), Vec::new()]));

        // Every byte of the answer's last piece.
        let at = recorded.sent.iter().rposition(|(client, bytes)| !client && bytes.len() > 40).unwrap();
        let length = recorded.sent[at].1.len();
        for place in 0..length {
            let mut damaged = self::recorded(text);
            damaged.sent[at].1[place] ^= 0x10;
            let (session, plain) = read(&damaged, &recorded.keys);
            assert!(recorded.plain[1].starts_with(&plain[1]), "byte {place}");
            assert!(plain[1] != recorded.plain[1] || !session.ended(false), "byte {place} was not looked at");
        }
    }
}

/// A server's port says nothing: whether a connection is TLS must be seen by its first bytes, and soon.
#[test]
fn tls_is_known_by_its_first_bytes() {
    assert_eq!(Session::begins(b""), None);
    assert_eq!(Session::begins(b"\x16\x03"), None);
    assert_eq!(Session::begins(b"\x16\x03\x01\x02\x00"), Some(true));
    // From the middle of a connection: application data, an alert.
    assert_eq!(Session::begins(b"\x17\x03\x03\x48\x00"), Some(true));
    assert_eq!(Session::begins(b"\x15\x03\x03\x00\x1a"), Some(true));
    // An SSL 2.0 hello that offers more.
    assert_eq!(Session::begins(b"\x80\x2e\x01\x03\x01\x00"), Some(true));
    for other in [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/2.0", b"\x16\x02", b"\x17\x03\x03\x48\x01", b"\0\0\0\0\0"] {
        assert_eq!(Session::begins(other), Some(false), "{other:?}");
    }
}

/// Each reason ends a line of a report.
#[test]
fn reasons_are_parts_of_a_sentence() {
    let said = [
        (Why::NoSecrets, "no secrets for them in the key log"),
        (Why::Suite(0x000a), "authtap does not open the cipher suite TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
        (Why::Suite(0xfafa), "authtap does not open the cipher suite 0xfafa"),
        (Why::Version(0x0300), "authtap does not open SSL3.0"),
        (Why::Version(0x7f1c), "authtap does not open TLS version 0x7f1c"),
        (Why::DoNotFit, "the secrets in the key log do not fit"),
    ];
    for (why, text) in said {
        assert_eq!(why.to_string(), text);
    }
}

/// A handshake's message that promises 16 MiB must not make the memory of it.
#[test]
fn a_message_that_lies_about_its_length_is_refused() {
    let hello = recorded(CBC[0]).sent.remove(0).1;
    let mut session = Session::new(|_| None);
    let (keys, mut none) = (KeyLog::default(), |_: bool, _: &[u8]| panic!("plain text"));
    assert_eq!(session.bytes(true, &hello, &keys, &mut none), Reading::Handshake);
    let liar = [0x16, 3, 3, 0, 4, 11, 0xff, 0xff, 0xff];
    assert_eq!(session.bytes(false, &liar, &keys, &mut none), Reading::Closed(Why::Damaged));
    assert_eq!(session.footprint(), 0);
}
