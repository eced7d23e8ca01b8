//! Cut, mutated, hostile and endless input.

use authtap::token::{challenges, credentials, redact};
use proptest::prelude::*;

use super::fixture::fixtures;
use super::{KEY, as_credentials};

/// A header cut by a limit is a common defect; what is left of it must still be read, and the cut told.
#[test]
fn every_prefix_decodes_and_says_what_is_missing() {
    for fixture in fixtures() {
        let whole = fixture.decode(&fixture.bytes);
        for end in 1..fixture.bytes.len() {
            let field = fixture.decode(&fixture.bytes[..end]);
            // Nothing may be lost without a word; a shorter message that is whole in itself is no loss.
            assert!(
                !field.faults.is_empty() || field.token == whole.token || end == 16 || end == 32,
                "{} cut at {end}: {field:?}",
                fixture.name
            );
            assert!(field.faults.len() <= 65);
            assert!(field.faults.iter().all(|f| f.offset <= fixture.bytes.len()), "{:?}", field.faults);
        }
    }
}

fn check_any(value: &[u8]) {
    let _ = credentials(value, &KEY);
    let _ = challenges(&[value], &KEY);
    for name in ["authorization", "www-authenticate", "authentication-info", "cookie", "set-cookie", "location", "via"]
    {
        let shown = redact::header(name, value, &authtap::token::Key([0; 16]));
        assert!(!shown.contains(|c: char| c.is_control()), "{name}: {shown:?}");
    }
    assert!(!redact::target(value).contains(|c: char| c.is_control()));
}

proptest! {
    /// A panic here turns a connection blind.
    #[test]
    fn any_header_value_is_read(value in proptest::collection::vec(any::<u8>(), 0..300)) {
        check_any(&value);
    }

    /// The same with what grammar is made of.
    #[test]
    fn any_grammar_soup_is_read(value in r#"(Basic|Digest|NTLM|Negotiate|Bearer|realm|response|[a-zA-Z0-9+/]{0,9}|[ ,="\\\t;:?&#@/]){0,40}"#) {
        check_any(value.as_bytes());
    }

    /// A mutated token neither panics nor grows without bound.
    #[test]
    fn mutated_tokens_are_read(
        which in any::<proptest::sample::Index>(),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<proptest::sample::Index>(),
    ) {
        let fixture = which.get(fixtures());
        let mut bytes = fixture.bytes.clone();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut.index(3) == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        let field = fixture.decode(&bytes);
        let shown = format!("{field:?}");
        prop_assert!(shown.len() < 40 * bytes.len() + 20_000);
    }
}

/// The largest header there can be, of the worst content, must cost neither memory nor time.
#[test]
fn large_and_hostile_input_is_bounded() {
    let big = 192 * 1024;
    let mut all = vec![
        [
            &b"NTLMSSP\0\x02\0\0\0\0\0\0\0\x30\0\0\0\x01\0\x80\0"[..],
            &[0; 16],
            &[0xff, 0xff, 0xff, 0xff, 48, 0, 0, 0],
            &[9; 180_000],
        ]
        .concat(),
        [&[0x60, 0x84, 0x7f, 0xff, 0xff, 0xff][..], &vec![0x06; big]].concat(),
        [&[0xa0, 0x80][..], &vec![0x30; big]].concat(),
        [&[0x6e, 0x83, 0x02, 0xff, 0xff][..], &vec![0xa0; big]].concat(),
        vec![0xff; big],
    ];
    // 90,000 OIDs.
    let oids = [0x06_u8, 0x00].repeat(big / 2);
    let length = u32::try_from(oids.len()).unwrap().to_be_bytes();
    all.push([&[0xa0, 0x80, 0x30, 0x80, 0xa0, 0x80, 0x30, 0x84][..], &length, &oids].concat());
    for bytes in all {
        let field = as_credentials("Negotiate", &bytes);
        assert!(field.faults.len() <= 65);
        assert!(format!("{field:?}").len() < 40 * bytes.len());
    }
    for unit in ["a=", "a,", "\"", "NTLM ", "a=\"", "=", ",,", "(", "a=b ", "@", "\\"] {
        let value = unit.repeat(256 * 1024 / unit.len());
        check_any(value.as_bytes());
        check_any(format!("Digest {value}").as_bytes());
    }
}

/// A list without end must end in memory too: what is kept of a field has a limit, and the limit is told.
#[test]
fn lists_without_end_are_cut() {
    let list = challenges(&["NTLM,".repeat(50_000).as_bytes()], &KEY);
    assert_eq!(list.len(), 64);
    assert!(list.last().is_some_and(|last| !last.faults.is_empty()));
    let list = challenges(&[format!("Basic {}", "a=b,".repeat(50_000)).as_bytes()], &KEY);
    assert_eq!((list.len(), list[0].params.len()), (1, 256));
}
