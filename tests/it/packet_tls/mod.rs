//! TLS of captures against rustls: what its two ends read of each other is what must come out.

pub(crate) mod pair;

use std::io::Write as _;

use authtap::net::tls::certificate_facts;
use authtap::packet::tls::{KeyLog, Reading, Session, Why};
use proptest::prelude::*;
use rustls::ProtocolVersion;
use rustls::crypto::ring;

use pair::{Ends, Log, NAME, Pair, Wish, keys, read};

/// All suites of rustls that its ECDSA certificate can serve.
fn wishes() -> Vec<Wish> {
    let of_ecdsa = |name: &str| !name.contains("_RSA_");
    let suites = ring::default_provider().cipher_suites;
    let wishes: Vec<Wish> = suites
        .into_iter()
        .filter(|suite| of_ecdsa(&format!("{:?}", suite.suite())))
        .map(|suite| Wish { suite: Some(suite), ..Wish::default() })
        .collect();
    assert_eq!(wishes.len(), 6);
    wishes
}

/// An operator who gives a key log must see what was said, whatever the suite and wherever the segments were cut.
#[test]
fn each_suite_opens_however_it_is_cut() {
    for wish in wishes() {
        let ends = Ends::new(&wish);
        let pair = Pair::whole(&ends);
        assert!(pair.read[0].len() > 10 && pair.read[1].len() == 40_000);
        for cut in [1, 2, 5, 7, 1460, 100_000] {
            let told = read(&pair.wire, &ends.log.keys(), cut);
            assert_eq!(told.reading, Reading::Open, "{:?}", wish.suite);
            assert!(told.both() == pair.read, "{:?} in pieces of {cut}", wish.suite);
            assert!(told.session.ended(true) && told.session.ended(false));
        }
    }
}

/// A finding about a certificate or a protocol must say the same of a capture as of live traffic.
#[test]
fn the_facts_are_those_of_live_traffic() {
    for wish in wishes() {
        let ends = Ends::new(&Wish { client_certificate: true, ..wish });
        let pair = Pair::whole(&ends);
        let facts = read(&pair.wire, &ends.log.keys(), 1000).session.facts();
        let tls13 = pair.client.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        assert_eq!(facts.version.as_deref(), Some(if tls13 { "TLS1.3" } else { "TLS1.2" }));
        let suite = format!("{:?}", pair.client.negotiated_cipher_suite().unwrap().suite());
        assert_eq!(facts.cipher, Some(suite.replace("TLS13_", "TLS_")));
        assert_eq!(facts.sni.as_deref(), Some(NAME));
        assert_eq!(facts.alpn_offered, ["h2", "http/1.1"]);
        assert_eq!(facts.alpn_chosen.as_deref(), Some("http/1.1"));
        assert_eq!(facts.certificate, Some(certificate_facts(&ends.certificate)));
        assert!(facts.client_certificate_requested);
        assert_eq!((facts.alert, facts.verification), (None, None));

        // Without secrets, what is in clear text.
        let told = read(&pair.wire, &KeyLog::default(), 1000);
        assert_eq!(told.reading, Reading::Closed(Why::NoSecrets));
        let clear = told.session.facts();
        assert_eq!((clear.version, clear.cipher), (facts.version, facts.cipher));
        assert_eq!((clear.sni, clear.alpn_offered), (facts.sni, facts.alpn_offered));
        assert_eq!(clear.certificate.is_some(), !tls13);
        assert_eq!(clear.client_certificate_requested, !tls13);
        assert_eq!(clear.alpn_chosen.is_some(), !tls13);
    }
}

/// A capture's packets may be out of order between the directions: then the answer stands before the question.
#[test]
fn the_order_between_the_sides_does_not_matter() {
    for tls12 in [false, true] {
        let ends = Ends::new(&Wish { tls12, ..Wish::default() });
        let mut pair = Pair::new(&ends);
        pair.carry();
        pair.client.writer().write_all(b"question").unwrap();
        pair.carry();
        pair.server.writer().write_all(b"answer").unwrap();
        pair.end();
        for client_first in [true, false] {
            let mut wire = pair.wire.clone();
            wire.sort_by_key(|(client, _)| *client != client_first);
            let told = read(&wire, &ends.log.keys(), 1460);
            assert_eq!(told.both(), [b"question".to_vec(), b"answer".to_vec()], "{tls12} {client_first}");
        }
    }
}

/// Browsers resume nearly all of their connections.
#[test]
fn resumed_sessions_open() {
    for tls12 in [false, true] {
        let ends = Ends::new(&Wish { tls12, ..Wish::default() });
        let first = Pair::whole(&ends);
        let second = Pair::whole(&ends);
        let length = |pair: &Pair| pair.wire.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        assert!(length(&second) < length(&first) && second.client.peer_certificates().is_some());
        assert_eq!(format!("{:?}", second.client.handshake_kind()), "Some(Resumed)");
        let told = read(&second.wire, &ends.log.keys(), 1460);
        assert!(told.both() == second.read);
        assert_eq!(told.session.facts().certificate, None);
    }
}

/// A server that renews its keys would turn the rest of a connection into damage.
#[test]
fn keys_are_updated() {
    let ends = Ends::new(&Wish::default());
    let mut pair = Pair::new(&ends);
    pair.carry();
    for number in 0..4 {
        pair.talk(number);
        pair.client.refresh_traffic_keys().unwrap();
        pair.talk(number + 10);
        pair.server.refresh_traffic_keys().unwrap();
    }
    pair.end();
    let told = read(&pair.wire, &ends.log.keys(), 999);
    assert!(told.both() == pair.read && told.session.ended(true));
}

/// A server that wants another group answers with a hello that is none.
#[test]
fn a_second_hello_is_followed() {
    let groups = Some(vec![ring::kx_group::SECP384R1]);
    let ends = Ends::new(&Wish { server_groups: groups, ..Wish::default() });
    let pair = Pair::whole(&ends);
    assert_eq!(format!("{:?}", pair.client.handshake_kind()), "Some(FullWithHelloRetryRequest)");
    assert!(read(&pair.wire, &ends.log.keys(), 100).both() == pair.read);
}

/// A request in early data is part of what the client sends, and stands before its answer.
#[test]
fn early_data_comes_before_its_answer() {
    let mut ends = Ends::new(&Wish::default());
    ends.client.enable_early_data = true;
    ends.server.max_early_data_size = 16_384;
    ends.server.send_half_rtt_data = true;
    Pair::whole(&ends);
    let mut pair = Pair::new(&ends);
    pair.client.early_data().unwrap().write_all(b"GET /early").unwrap();
    let mut hello = Vec::new();
    while pair.client.wants_write() {
        pair.client.write_tls(&mut hello).unwrap();
    }
    pair.wire.push((true, hello.clone()));
    pair.server.read_tls(&mut &hello[..]).unwrap();
    pair.server.process_new_packets().unwrap();
    let mut early = [0; 10];
    std::io::Read::read_exact(&mut pair.server.early_data().unwrap(), &mut early).unwrap();
    pair.server.writer().write_all(b"at once").unwrap();
    pair.carry();
    pair.talk(1);
    pair.end();
    assert!(pair.client.is_early_data_accepted() && &early == b"GET /early");
    let told = read(&pair.wire, &ends.log.keys(), 50);
    assert_eq!(told.order.first(), Some(&(true, b"GET /early".to_vec())));
    assert!(told.plain(true) == [&early[..], &pair.read[0]].concat());
    assert!(told.plain(false) == pair.read[1] && pair.read[1].starts_with(b"at once"));

    // Without its secret the client's side has a hole at its beginning.
    let mut text = ends.log.text();
    text = text.split_inclusive('\n').filter(|line| !line.starts_with("CLIENT_EARLY")).collect();
    let told = read(&pair.wire, &keys(&text), 50);
    assert_eq!((told.reading, told.order.len()), (Reading::Closed(Why::NoSecrets), 0));
}

/// Early data that the server refuses is sent again, and must not be told twice.
#[test]
fn refused_early_data_is_passed_over() {
    for group in [None, Some(vec![ring::kx_group::SECP384R1])] {
        let mut ends = Ends::new(&Wish::default());
        ends.client.enable_early_data = true;
        ends.server.max_early_data_size = 16_384;
        Pair::whole(&ends);
        // A server that knows nothing of the session, and perhaps wants another hello.
        let mut other = Ends::new(&Wish { server_groups: group, ..Wish::default() }).server;
        other.cert_resolver = ends.server.cert_resolver.clone();
        ends.server = other;
        let mut pair = Pair::new(&ends);
        pair.client.early_data().unwrap().write_all(b"GET /early").unwrap();
        pair.carry();
        assert!(!pair.client.is_early_data_accepted());
        pair.talk(1);
        pair.end();
        let told = read(&pair.wire, &ends.log.keys(), 700);
        assert_eq!(told.reading, Reading::Open);
        assert!(told.both() == pair.read);
    }
}

/// Secrets of another session, or damaged ones, must give a reason and never garbage.
#[test]
fn wrong_secrets_open_nothing() {
    for wish in wishes() {
        let ends = Ends::new(&wish);
        let pair = Pair::whole(&ends);
        let text = ends.log.text();
        for (number, line) in text.lines().enumerate() {
            let label = line.split(' ').next().unwrap();
            let last = if line.ends_with('0') { '1' } else { '0' };
            let wrong: Vec<String> = text
                .lines()
                .enumerate()
                .map(|(n, line)| if n == number { format!("{}{last}", &line[..line.len() - 1]) } else { line.into() })
                .collect();
            let told = read(&pair.wire, &keys(&wrong.join("\n")), 1000);
            if label.contains("EXPORTER") {
                assert_eq!(told.reading, Reading::Open);
                continue;
            }
            assert_eq!(told.reading, Reading::Closed(Why::DoNotFit), "{label}");
            assert!(pair.read[0].starts_with(&told.plain(true)) && pair.read[1].starts_with(&told.plain(false)));
            // Without it.
            let less = text.lines().filter(|other| *other != line).fold(String::new(), |text, line| text + line + "\n");
            let told = read(&pair.wire, &keys(&less), 1000);
            assert_eq!(told.reading, Reading::Closed(Why::NoSecrets), "{label}");
            assert!(pair.read[0].starts_with(&told.plain(true)) && pair.read[1].starts_with(&told.plain(false)));
        }
    }
}

/// A flipped bit, a length that lies, a hole: nothing may come out that was not sent.
#[test]
fn damage_closes_the_session() {
    for tls12 in [false, true] {
        let ends = Ends::new(&Wish { tls12, ..Wish::default() });
        let pair = Pair::whole(&ends);
        let keys = ends.log.keys();
        // The answer's pieces.
        let answer = pair.wire.iter().position(|(client, bytes)| !client && bytes.len() > 30_000).unwrap();
        let change = |at: usize, to: u8| {
            let mut wire = pair.wire.clone();
            wire[answer].1[at] ^= to;
            let told = read(&wire, &keys, 1460);
            assert!(pair.read[1].starts_with(&told.plain(false)) && told.plain(true) == pair.read[0]);
            told
        };
        assert_eq!(change(20_000, 1).reading, Reading::Closed(Why::Damaged));
        assert_eq!(change(20_000, 1).plain(false).len(), 16_384);
        assert_eq!(change(0, 1).reading, Reading::Closed(Why::Damaged));
        // Longer than a record may be, and a little shorter than it is.
        assert_eq!(change(3, 0xff).reading, Reading::Closed(Why::Damaged));
        assert_eq!(change(4, 1).reading, Reading::Closed(Why::Damaged));

        let mut session = read(&pair.wire[..answer], &keys, 1460).session;
        assert_eq!(session.reading(), Reading::Open);
        assert_eq!(session.lost(false), Reading::Closed(Why::Missing));
        let after = session.bytes(false, &pair.wire[answer].1, &keys, &mut |_, _| panic!("after a hole"));
        assert_eq!(after, Reading::Closed(Why::Missing));

        // An end in the middle of a record is no fault; what was whole has come out.
        let mut cut = pair.wire[..=answer].to_vec();
        cut[answer].1.truncate(30_000);
        let told = read(&cut, &keys, 1460);
        assert_eq!((told.reading, told.plain(false).len()), (Reading::Open, 16_384));
    }
}

/// A capture that begins too late, and one of one direction, are told apart from missing secrets.
#[test]
fn what_the_capture_lacks_is_the_reason() {
    for tls12 in [false, true] {
        let ends = Ends::new(&Wish { tls12, ..Wish::default() });
        let mut pair = Pair::new(&ends);
        pair.carry();
        let handshake = pair.wire.len();
        pair.talk(1);
        pair.talk(2);
        let keys = ends.log.keys();
        let reading = |wire: &[(bool, Vec<u8>)]| read(wire, &keys, 1460).reading;
        assert_eq!(reading(&pair.wire[handshake..]), Reading::Closed(Why::NotFromBeginning));
        assert_eq!(reading(&pair.wire[1..]), Reading::Closed(Why::NotFromBeginning));
        assert_eq!(reading(&[(true, b"GET / HTTP/1.1\r\n\r\n".to_vec())]), Reading::Closed(Why::NotFromBeginning));
        let server: Vec<_> = pair.wire.iter().filter(|(client, _)| !client).cloned().collect();
        assert_eq!(reading(&server), Reading::Closed(Why::OneSided));
        assert_eq!(Session::begins(&pair.wire[0].1), Some(true));
        assert_eq!(Session::begins(&pair.wire[handshake].1), Some(true));
    }
}

/// Why a handshake failed is told by its alert, also without a key log.
#[test]
fn a_fatal_alert_is_told() {
    for tls12 in [false, true] {
        let mut ends = Ends::new(&Wish { tls12, ..Wish::default() });
        ends.server = Ends::new(&Wish { tls12: !tls12, ..Wish::default() }).server;
        let mut pair = Pair::new(&ends);
        pair.carry();
        let told = read(&pair.wire, &KeyLog::default(), 3);
        assert_eq!(told.session.facts().alert.as_deref(), Some("the server sent the alert ProtocolVersion"));
        assert_eq!(told.reading, Reading::Handshake);

        // The client does not trust the certificate: in TLS 1.3 only the secrets show that.
        let mut ends = Ends::new(&Wish { tls12, ..Wish::default() });
        let other = Ends::new(&Wish { tls12, ..Wish::default() });
        ends.server.cert_resolver = other.server.cert_resolver;
        let mut pair = Pair::new(&ends);
        pair.carry();
        let alert = |keys: &KeyLog| read(&pair.wire, keys, 3).session.facts().alert;
        let told = alert(&ends.log.keys()).unwrap();
        assert!(told.starts_with("the client sent the alert "), "{told}");
        assert_eq!(alert(&KeyLog::default()), tls12.then_some(told));
    }
}

/// A debug line with a secret in it ends in a support ticket.
#[test]
fn debug_shows_no_secrets() {
    let ends = Ends::new(&Wish::default());
    let pair = Pair::whole(&ends);
    let told = read(&pair.wire, &ends.log.keys(), 1000);
    let text = format!("{:?} {:?}", told.session, ends.log.keys());
    for line in ends.log.text().lines() {
        assert!(!text.contains(line.split(' ').nth(2).unwrap()));
    }
    assert!(text.contains(NAME));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Wherever segments are cut and whichever side's come first, the same comes out.
    #[test]
    fn any_cuts_give_the_same(tls12: bool, cuts in prop::collection::vec((1..3000_usize, any::<bool>()), 1..200)) {
        let ends = Ends::new(&Wish { tls12, ..Wish::default() });
        let pair = Pair::whole(&ends);
        let stream = |of: bool| -> Vec<u8> {
            pair.wire.iter().filter(|(client, _)| *client == of).flat_map(|(_, bytes)| bytes.clone()).collect()
        };
        let streams = [stream(true), stream(false)];
        let mut at = [0, 0];
        let mut wire = Vec::new();
        for (length, client) in cuts {
            let side = usize::from(!client);
            let end = (at[side] + length).min(streams[side].len());
            wire.push((client, streams[side][at[side]..end].to_vec()));
            at[side] = end;
        }
        // The rest: the client's first, so that less than the limit waits.
        wire.push((true, streams[0][at[0]..].to_vec()));
        wire.push((false, streams[1][at[1]..].to_vec()));
        let told = read(&wire, &ends.log.keys(), usize::MAX);
        prop_assert!(told.both() == pair.read);
    }
}

/// A key log is read whole before it is known which sessions the capture holds: others' secrets must not disturb.
#[test]
fn secrets_of_many_sessions_are_kept_apart() {
    let ends = Ends::new(&Wish::default());
    let pairs: Vec<Pair> = (0..5).map(|_| Pair::whole(&ends)).collect();
    let keys = Log::keys(&ends.log);
    for pair in &pairs {
        assert!(read(&pair.wire, &keys, 1460).both() == pair.read);
    }
}
