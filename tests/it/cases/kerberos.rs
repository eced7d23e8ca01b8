//! Kerberos messages of a script: their cleartext is right, their ciphertext is made up (RFC 4120 sections 5.5, 5.9).

use authtap::model::Stamp;
use authtap::sim::spnego::{self, NegState};

use super::token::Words;

/// `{ap-req spn=HTTP/app.example.test etype=18 kvno=2 ticket=a auth=1 bytes=1200}`, `{ap-rep}`,
/// `{krb-error code=41 sname=svc clock=-400}`; `raw` leaves SPNEGO away.
pub(super) fn token(kind: &str, words: &Words<'_>, at: Stamp) -> Vec<u8> {
    let (id, message) = match kind {
        "ap-req" => (1, ap_req(words)),
        "ap-rep" => (2, ap_rep(words)),
        _ => (3, krb_error(words, at)),
    };
    // The GSS-API frame of RFC 4121 section 4.1.
    let framed = tlv(0x60, &[tlv(0x06, spnego::KERBEROS), vec![id, 0], message].concat());
    match (words.has("raw"), kind) {
        (true, _) => framed,
        (_, "ap-req") => spnego::init(&[spnego::MS_KERBEROS, spnego::KERBEROS, spnego::NTLM], Some(&framed)),
        (_, "ap-rep") => spnego::resp(Some(NegState::AcceptCompleted), Some(spnego::KERBEROS), Some(&framed), None),
        _ => spnego::resp(Some(NegState::AcceptIncomplete), Some(spnego::KERBEROS), Some(&framed), None),
    }
}

fn ap_req(words: &Words<'_>) -> Vec<u8> {
    let realm = words.option("realm").unwrap_or("EXAMPLE.TEST");
    let spn = words.option("spn").unwrap_or("HTTP/app.example.test");
    let parts: Vec<&str> = spn.split('/').collect();
    let bytes: usize = words.option("bytes").map_or(1_000, |b| b.parse().expect("a size"));
    let sealed = |etype: i64, kvno: Option<i64>, name: &str, size: usize| {
        let mut fields = tlv(0xa0, &number(etype));
        if let Some(kvno) = kvno {
            fields.extend(tlv(0xa1, &number(kvno)));
        }
        fields.extend(tlv(0xa2, &tlv(0x04, &cipher(name, size))));
        tlv(0x30, &fields)
    };
    let etype = number_of(words, "etype").unwrap_or(18);
    let kvno = Some(number_of(words, "kvno").unwrap_or(2));
    let ticket = [
        tlv(0xa0, &number(5)),
        tlv(0xa1, &tlv(0x1b, realm.as_bytes())),
        tlv(0xa2, &principal(2, &parts)),
        tlv(0xa3, &sealed(etype, kvno, words.option("ticket").unwrap_or("ticket"), bytes)),
    ];
    let ticket = tlv(0x61, &tlv(0x30, &ticket.concat()));
    let fields = [
        tlv(0xa0, &number(5)),
        tlv(0xa1, &number(14)),
        tlv(0xa2, &tlv(0x03, &[0, 0x20, 0, 0, 0])),
        tlv(0xa3, &ticket),
        tlv(
            0xa4,
            &sealed(number_of(words, "auth-etype").unwrap_or(18), None, words.option("auth").unwrap_or("auth"), 200),
        ),
    ];
    tlv(0x6e, &tlv(0x30, &fields.concat()))
}

fn ap_rep(words: &Words<'_>) -> Vec<u8> {
    let part = tlv(
        0x30,
        &[tlv(0xa0, &number(number_of(words, "etype").unwrap_or(18))), tlv(0xa2, &tlv(0x04, &[7; 60]))].concat(),
    );
    tlv(0x6f, &tlv(0x30, &[tlv(0xa0, &number(5)), tlv(0xa1, &number(15)), tlv(0xa2, &part)].concat()))
}

fn krb_error(words: &Words<'_>, at: Stamp) -> Vec<u8> {
    let code = number_of(words, "code").expect("code=N");
    let clock = words.time("clock", at).unwrap_or(at);
    let digits: String = clock.to_string().chars().take(19).filter(char::is_ascii_digit).collect();
    let sname = words.option("sname").unwrap_or("svc-app");
    let parts: Vec<&str> = sname.split('/').collect();
    let fields = [
        tlv(0xa0, &number(5)),
        tlv(0xa1, &number(30)),
        tlv(0xa4, &tlv(0x18, format!("{digits}Z").as_bytes())),
        tlv(0xa5, &number(7)),
        tlv(0xa6, &number(code)),
        tlv(0xa9, &tlv(0x1b, words.option("realm").unwrap_or("EXAMPLE.TEST").as_bytes())),
        tlv(0xaa, &principal(if parts.len() > 1 { 2 } else { 1 }, &parts)),
    ];
    tlv(0x7e, &tlv(0x30, &fields.concat()))
}

fn number_of(words: &Words<'_>, name: &str) -> Option<i64> {
    words.option(name).map(|n| n.parse().unwrap_or_else(|_| panic!("{name}={n} is no number")))
}

/// Bytes that are the same for the same name.
fn cipher(name: &str, size: usize) -> Vec<u8> {
    name.bytes().cycle().take(size).collect()
}

fn principal(kind: i64, parts: &[&str]) -> Vec<u8> {
    let strings: Vec<u8> = parts.iter().flat_map(|part| tlv(0x1b, part.as_bytes())).collect();
    tlv(0x30, &[tlv(0xa0, &number(kind)), tlv(0xa1, &tlv(0x30, &strings))].concat())
}

fn number(value: i64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let mut rest = bytes.as_slice();
    // The shortest two's complement (X.690 section 8.3).
    while let [first, second, ..] = rest
        && ((*first == 0 && second & 0x80 == 0) || (*first == 0xff && second & 0x80 != 0))
    {
        rest = &rest[1..];
    }
    tlv(0x02, rest)
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a short token");
    let length = match length.to_be_bytes() {
        [0, short] if short < 0x80 => vec![short],
        [0, byte] => vec![0x81, byte],
        [high, low] => vec![0x82, high, low],
    };
    [&[tag][..], &length, content].concat()
}
