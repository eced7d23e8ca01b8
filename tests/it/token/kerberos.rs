//! Kerberos against two independent libraries: messages that picky-krb encodes, and what kerberos-parser reads in them;
//! KRB-ERRORs with every field, which kerberos-parser reads too.
//!
//! Where the peers fall short: kerberos-parser takes `kvno` for unsigned and refuses a negative one (MS-KILE section
//! 3.1.5.8 has it signed, RFC 4120 section 5.2.9 does not); picky-krb has `cusec` of a KRB-ERROR for a time, and
//! cannot encode one. Both are left out of what is compared with that peer, and are checked by hand below.

use asn1_rs::FromDer as _;
use authtap::model::auth::Kerberos;
use authtap::token::kerberos::{error_name, etype_name};
use kerberos_parser::krb5::{ApRep, ApReq, ErrorCode, KrbError};
use picky_asn1::bit_string::BitString;
use picky_asn1::restricted_string::IA5String;
use picky_asn1::wrapper::{
    Asn1SequenceOf, BitStringAsn1, ExplicitContextTag0, ExplicitContextTag1, ExplicitContextTag2, ExplicitContextTag3,
    ExplicitContextTag4, GeneralStringAsn1, IntegerAsn1, OctetStringAsn1, Optional,
};
use picky_krb::data_types::{EncryptedData, PrincipalName, TicketInner};
use picky_krb::messages::{ApRepInner, ApReqInner};

use super::{as_challenge, as_credentials};

/// Numbers that look random and are the same on every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::try_from(self.below(list.len() as u64)).unwrap()]
    }

    fn bytes(&mut self, limit: u64) -> Vec<u8> {
        (0..self.below(limit)).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    fn word(&mut self) -> String {
        let letters: Vec<char> = "abcdefghijklmnopqrstuvwxyz0123456789-".chars().collect();
        (0..=self.below(20)).map(|_| self.pick(&letters)).collect()
    }
}

fn integer(value: i64) -> IntegerAsn1 {
    let bytes = value.to_be_bytes();
    // The shortest two's complement (X.690 section 8.3.2).
    let spare = bytes.windows(2).take_while(|w| (w[0] == 0 && w[1] < 0x80) || (w[0] == 0xff && w[1] >= 0x80)).count();
    IntegerAsn1::from_bytes_be_signed(bytes[spare..].to_vec())
}

fn string(text: &str) -> GeneralStringAsn1 {
    IA5String::from_string(text.to_owned()).unwrap().into()
}

fn sealed(dice: &mut Dice, kvno: Option<i64>, limit: u64) -> EncryptedData {
    EncryptedData {
        etype: ExplicitContextTag0::from(integer(dice.pick(&[17, 18, 23, 3, -133]))),
        kvno: Optional::from(kvno.map(|kvno| ExplicitContextTag1::from(integer(kvno)))),
        cipher: ExplicitContextTag2::from(OctetStringAsn1::from(dice.bytes(limit))),
    }
}

fn ap_req(dice: &mut Dice) -> Vec<u8> {
    let kvno = dice.pick(&[Some(1), Some(255), Some(65_537), Some(0x7fff_ffff), None]);
    let parts = [vec!["HTTP".to_owned()], (0..dice.below(3)).map(|_| dice.word()).collect()].concat();
    let parts: Vec<_> = parts.iter().map(|part| string(part)).collect();
    let ticket = TicketInner {
        tkt_vno: ExplicitContextTag0::from(integer(5)),
        realm: ExplicitContextTag1::from(string(&format!("{}.EXAMPLE.TEST", dice.word().to_uppercase()))),
        sname: ExplicitContextTag2::from(PrincipalName {
            name_type: ExplicitContextTag0::from(integer(dice.pick(&[1, 2, 3, 10]))),
            name_string: ExplicitContextTag1::from(Asn1SequenceOf::from(parts)),
        }),
        enc_part: ExplicitContextTag3::from(sealed(dice, kvno, 6000)),
    };
    let options = BitString::with_bytes(vec![dice.pick(&[0, 0x20, 0x40, 0x60]), 0, 0, 0]);
    let message = ApReqInner {
        pvno: ExplicitContextTag0::from(integer(5)),
        msg_type: ExplicitContextTag1::from(integer(14)),
        ap_options: ExplicitContextTag2::from(BitStringAsn1::from(options)),
        ticket: ExplicitContextTag3::from(picky_krb::data_types::Ticket::from(ticket)),
        authenticator: ExplicitContextTag4::from(sealed(dice, None, 300)),
    };
    picky_asn1_der::to_vec(&picky_krb::messages::ApReq::from(message)).unwrap()
}

fn ours(bytes: &[u8]) -> Kerberos {
    let field = as_credentials("Kerberos", bytes);
    assert!(field.faults.is_empty(), "{:?}", field.faults);
    field.kerberos().unwrap().clone()
}

fn same_request(ours: &Kerberos, peer: &ApReq<'_>) {
    assert_eq!(ours.message, "ap-req");
    assert_eq!(ours.realm.as_deref(), Some(peer.ticket.realm.0.as_str()));
    assert_eq!(ours.sname, Some(peer.ticket.sname.to_string()));
    assert_eq!(ours.sname_type, Some(peer.ticket.sname.name_type.0));
    assert_eq!(ours.ticket_etype, Some(peer.ticket.enc_part.etype.0));
    assert_eq!(ours.kvno, peer.ticket.enc_part.kvno.map(i64::from));
    assert_eq!(ours.ticket_bytes, Some(peer.ticket.enc_part.cipher.len()));
    assert_eq!(ours.authenticator_etype, Some(peer.authenticator.etype.0));
    assert_eq!(ours.authenticator_bytes, Some(peer.authenticator.cipher.len()));
    let bit = |mask: u8| peer.ap_options.data[0] & mask != 0;
    let has = |name: &str| ours.ap_options.iter().any(|option| option == name);
    assert_eq!((has("use-session-key"), has("mutual-required")), (bit(0x40), bit(0x20)));
}

/// An AP-REQ that is misread names the wrong SPN or key, and with them the wrong machine to repair.
#[test]
fn kerberos_parser_reads_the_same_in_what_picky_krb_encodes() {
    let mut dice = Dice(0x5eed_0003);
    let mut prints = std::collections::HashSet::new();
    for _ in 0..1500 {
        let bytes = ap_req(&mut dice);
        let (rest, peer) = ApReq::from_der(&bytes).unwrap();
        assert!(rest.is_empty());
        let ours = ours(&bytes);
        same_request(&ours, &peer);
        assert!(prints.insert(ours.request.unwrap()), "two requests, one fingerprint");
    }
    for _ in 0..500 {
        let message = ApRepInner {
            pvno: ExplicitContextTag0::from(integer(5)),
            msg_type: ExplicitContextTag1::from(integer(15)),
            enc_part: ExplicitContextTag2::from(sealed(&mut dice, None, 200)),
        };
        let bytes = picky_asn1_der::to_vec(&picky_krb::messages::ApRep::from(message)).unwrap();
        let (_, peer) = ApRep::from_der(&bytes).unwrap();
        let ours = ours(&bytes);
        assert_eq!((ours.message.as_str(), ours.authenticator_etype), ("ap-rep", Some(peer.enc_part.etype.0)));
        assert_eq!(ours.authenticator_bytes, Some(peer.enc_part.cipher.len()));
    }
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let length = match length {
        0..=127 => vec![length.to_be_bytes()[1]],
        128..=255 => vec![0x81, length.to_be_bytes()[1]],
        _ => [&[0x82][..], &length.to_be_bytes()].concat(),
    };
    [&[tag][..], &length, content].concat()
}

fn number(value: i64) -> Vec<u8> {
    tlv(0x02, integer(value).as_signed_bytes_be())
}

fn principal(kind: i64, parts: &[&str]) -> Vec<u8> {
    let strings: Vec<u8> = parts.iter().flat_map(|part| tlv(0x1b, part.as_bytes())).collect();
    tlv(0x30, &[tlv(0xa0, &number(kind)), tlv(0xa1, &tlv(0x30, &strings))].concat())
}

/// A KRB-ERROR; each optional field when its bit of `with` is set.
fn krb_error(with: u64, code: i64, data: &[u8]) -> Vec<u8> {
    let mut fields = vec![tlv(0xa0, &number(5)), tlv(0xa1, &number(30))];
    let mut optional = |bit: u64, field: Vec<u8>| {
        if with & (1 << bit) != 0 {
            fields.push(field);
        }
    };
    optional(0, tlv(0xa2, &tlv(0x18, b"20261122120000Z")));
    optional(1, tlv(0xa3, &number(999_999)));
    fields.push(tlv(0xa4, &tlv(0x18, b"20261122121314Z")));
    fields.push(tlv(0xa5, &number(7)));
    fields.push(tlv(0xa6, &number(code)));
    let mut optional = |bit: u64, field: Vec<u8>| {
        if with & (1 << bit) != 0 {
            fields.push(field);
        }
    };
    optional(2, tlv(0xa7, &tlv(0x1b, b"CLIENTS.EXAMPLE.TEST")));
    optional(3, tlv(0xa8, &principal(1, &["alice"])));
    fields.push(tlv(0xa9, &tlv(0x1b, b"EXAMPLE.TEST")));
    fields.push(tlv(0xaa, &principal(2, &["HTTP", "www.example.test"])));
    let mut optional = |bit: u64, field: Vec<u8>| {
        if with & (1 << bit) != 0 {
            fields.push(field);
        }
    };
    optional(4, tlv(0xab, &tlv(0x1b, b"why")));
    optional(5, tlv(0xac, &tlv(0x04, data)));
    tlv(0x7e, &tlv(0x30, &fields.concat()))
}

/// A KRB-ERROR in a 401 decides the case: each of its fields, in every combination, must come out as it went in.
#[test]
fn kerberos_parser_reads_the_same_in_every_krb_error() {
    for with in 0..64 {
        for code in [0, 7, 31, 37, 41, 60, 76, 200] {
            let bytes = krb_error(with, code, &[9; 5]);
            let (_, peer) = KrbError::from_der(&bytes).unwrap();
            let ours = ours(&bytes);
            assert_eq!(ours.error_code, Some(peer.error_code.0));
            assert_eq!(ours.realm, Some(peer.realm.0));
            assert_eq!((ours.sname, ours.sname_type), (Some(peer.sname.to_string()), Some(peer.sname.name_type.0)));
            assert_eq!(ours.client_realm, peer.crealm.map(|realm| realm.0));
            assert_eq!(ours.client_name, peer.cname.map(|name| name.to_string()));
            assert_eq!(ours.error_text, peer.etext);
            assert_eq!(ours.error_data_bytes, peer.edata.map(<[u8]>::len));
            assert_eq!(ours.server_time.as_deref(), Some("2026-11-22T12:13:14.000007Z"));
            assert_eq!((peer.susec, peer.stime.to_string().as_str()), (7, "2026-11-22 12:13:14Z"));
            let micros = if with & 2 == 0 { "000000" } else { "999999" };
            let client = peer.ctime.map(|_| format!("2026-11-22T12:00:00.{micros}Z"));
            assert_eq!(ours.client_time, client);
        }
    }
}

/// One name in two tables is one search that finds nothing.
#[test]
fn error_names_are_those_of_kerberos_parser() {
    let mut named = 0;
    for code in 0..=127 {
        let peer = format!("{:?}", ErrorCode(code));
        if peer.starts_with('K') {
            named += 1;
            assert_eq!(error_name(code), Some(peer.as_str()), "{code}");
        }
    }
    assert!(named >= 60, "{named}");
    assert_eq!(etype_name(23), Some("RC4-HMAC"));
}

/// MS-KILE section 3.1.5.8: a ticket of a read-only domain controller has its number in kvno's high half, and the sign bit may be
/// set; RFC 4120 would have it unsigned, and some encode it so.
#[test]
fn kvno_is_signed_and_names_the_read_only_domain_controller() {
    let ticket = |kvno: i64| {
        let cipher = tlv(0xa2, &tlv(0x04, b"sealed-ticket-bytes"));
        let sealed = tlv(0x30, &[tlv(0xa0, &number(18)), tlv(0xa1, &number(kvno)), cipher].concat());
        let body = [
            tlv(0xa0, &number(5)),
            tlv(0xa1, &tlv(0x1b, b"EXAMPLE.TEST")),
            tlv(0xa2, &principal(2, &["HTTP", "www"])),
            tlv(0xa3, &sealed),
        ];
        let body = tlv(0x61, &tlv(0x30, &body.concat()));
        let head = [tlv(0xa0, &number(5)), tlv(0xa1, &number(14)), tlv(0xa2, &[3, 5, 0, 0x20, 0, 0, 0])];
        let fields = [head.concat(), tlv(0xa3, &body), tlv(0xa4, &sealed)].concat();
        let k = ours(&tlv(0x6e, &tlv(0x30, &fields)));
        (k.kvno, k.rodc)
    };
    assert_eq!(ticket(2), (Some(2), None));
    assert_eq!(ticket(0x1234_0002), (Some(0x1234_0002), Some(0x1234)));
    let signed = Some(-2_129_526_782);
    assert_eq!(ticket(-2_129_526_782), (signed, Some(0x8112)));
    assert_eq!(ticket(0x8112_0002), (signed, Some(0x8112)));
}

/// MS-KILE section 2.2.1: Windows' own reason, behind the Kerberos code; other e-data is measured and never blamed.
#[test]
fn extended_errors_have_windows_status() {
    let data = |kind: i64, value: &[u8]| tlv(0x30, &[tlv(0xa1, &number(kind)), tlv(0xa2, &tlv(0x04, value))].concat());
    let read = |data: &[u8]| {
        let field = as_challenge("Negotiate", &krb_error(32, 29, data));
        let k = field.kerberos().unwrap();
        (k.error_data_type, k.error_status, field.faults.len())
    };
    let extended = [0x5e, 0, 0, 0xc0, 0, 0, 0, 0, 1, 0, 0, 0];
    assert_eq!(read(&data(3, &extended)), (Some(3), Some(0xc000_005e), 0));
    assert_eq!(read(&data(3, &extended[..2])), (Some(3), None, 1));
    assert_eq!(read(&data(2, &[])), (Some(2), None, 0));
    assert_eq!(read(b"PA-DATA or whatever"), (None, None, 0));
    assert_eq!(read(&[]), (None, None, 0));
}
