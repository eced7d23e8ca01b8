//! What decoding a token costs: an NTLM Type 3, a Kerberos AP-REQ of 6 KB in SPNEGO, a JWT; the base64 included.
//!
//! `cargo bench --bench token`. The observer decodes; the relay's threads never do.

use authtap::token::{Key, challenges, credentials};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

const KEY: Key = Key(*b"a key for bench.");

/// A Type 3 as Windows sends it (MS-NLMP section 2.2.1.3): NTLMv2, all AV pairs, MIC.
fn type3() -> Vec<u8> {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let pair = |id: u8, value: &[u8]| [&[id, 0], &length(value)[..], value].concat();
    let pairs = [
        pair(2, &utf16("EXAMPLE")),
        pair(1, &utf16("IIS1")),
        pair(4, &utf16("corp.example.test")),
        pair(3, &utf16("iis1.corp.example.test")),
        pair(5, &utf16("example.test")),
        pair(7, &[7; 8]),
        pair(6, &[2, 0, 0, 0]),
        pair(8, &[8; 48]),
        pair(10, &[10; 16]),
        pair(9, &utf16("HTTP/www.corp.example.test")),
        pair(0, &[]),
    ];
    let nt = [&[5; 16][..], &[1, 1, 0, 0, 0, 0, 0, 0], &[7; 8], &[6; 8], &[0; 4], &pairs.concat(), &[0; 4]].concat();
    let buffers = [vec![0; 24], nt, utf16("EXAMPLE"), utf16("alice.example"), utf16("WORKSTATION7"), vec![3; 16]];
    let mut message = b"NTLMSSP\0\x03\0\0\0".to_vec();
    let mut payload = Vec::new();
    for buffer in &buffers {
        let offset = u32::try_from(88 + payload.len()).unwrap_or(0).to_le_bytes();
        message.extend([&length(buffer)[..], &length(buffer), &offset].concat());
        payload.extend_from_slice(buffer);
    }
    message.extend(0xe288_8215_u32.to_le_bytes());
    message.extend([10, 0, 0x61, 0x4a, 0, 0, 0, 15]);
    message.extend([4; 16]);
    message.extend(payload);
    message
}

fn length(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap_or(0).to_le_bytes()
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap_or(0).to_be_bytes();
    [&[tag, 0x82][..], &length, content].concat()
}

/// An AP-REQ (RFC 4120 section 5.5.1) of a user in many groups, in SPNEGO as a browser sends it.
fn ap_req() -> Vec<u8> {
    let number = |value: u8| tlv(2, &[value]);
    let sealed = |bytes: usize| {
        let cipher = (0..bytes).map(|n| n.to_le_bytes()[0] ^ 0x5a).collect::<Vec<u8>>();
        tlv(0x30, &[tlv(0xa0, &number(18)), tlv(0xa1, &number(3)), tlv(0xa2, &tlv(4, &cipher))].concat())
    };
    let names = [tlv(0x1b, b"HTTP"), tlv(0x1b, b"www.corp.example.test")].concat();
    let ticket = [
        tlv(0xa0, &number(5)),
        tlv(0xa1, &tlv(0x1b, b"CORP.EXAMPLE.TEST")),
        tlv(0xa2, &tlv(0x30, &[tlv(0xa0, &number(2)), tlv(0xa1, &tlv(0x30, &names))].concat())),
        tlv(0xa3, &sealed(5400)),
    ];
    let request = [
        tlv(0xa0, &number(5)),
        tlv(0xa1, &number(14)),
        tlv(0xa2, &[3, 5, 0, 0x20, 0, 0, 0]),
        tlv(0xa3, &tlv(0x61, &tlv(0x30, &ticket.concat()))),
        tlv(0xa4, &sealed(350)),
    ];
    let krb5 = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];
    let token = tlv(0x60, &[&krb5[..], &[1, 0], &tlv(0x6e, &tlv(0x30, &request.concat()))].concat());
    let mechs = [
        &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02][..],
        &krb5,
        &[0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x1e],
        &[0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a],
    ];
    let init = [tlv(0xa0, &tlv(0x30, &mechs.concat())), tlv(0xa2, &tlv(4, &token))].concat();
    let spnego = [0x06, 0x06, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x02];
    tlv(0x60, &[&spnego[..], &tlv(0xa0, &tlv(0x30, &init))].concat())
}

fn jwt() -> String {
    let claims = r#"{"aud":"api://orders","iss":"https://sts.example.test/","iat":1700000000,"nbf":1700000000,"exp":1700003600,
        "appid":"11111111-2222-3333-4444-555555555555","scp":"User.Read Orders.Write","sub":"s","upn":"u","oid":"o","ver":"1.0"}"#;
    let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);
    format!("Bearer {}.{}.{}", encode(r#"{"typ":"JWT","alg":"RS256","kid":"k1"}"#), encode(claims), "s".repeat(342))
}

fn token(c: &mut Criterion) {
    let mut group = c.benchmark_group("token");
    let type3 = format!("NTLM {}", STANDARD.encode(type3()));
    let ap_req = format!("Negotiate {}", STANDARD.encode(ap_req()));
    for (name, value) in [("type-3", type3), ("ap-req-6k", ap_req), ("jwt", jwt())] {
        let field = credentials(value.as_bytes(), &KEY);
        assert!(field.faults.is_empty(), "{name}: {:?}", field.faults);
        group.throughput(Throughput::Bytes(u64::try_from(value.len()).unwrap_or(0)));
        group.bench_function(name, |b| b.iter(|| credentials(black_box(value.as_bytes()), &KEY)));
    }
    let offer: [&[u8]; 2] = [b"Negotiate", b"NTLM"];
    group.bench_function("offer", |b| b.iter(|| challenges(black_box(&offer), &KEY)));
    group.finish();
}

criterion_group!(benches, token);
criterion_main!(benches);
