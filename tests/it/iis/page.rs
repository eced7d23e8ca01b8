//! Whose page it is, and what a detailed one tells.

use std::fs;
use std::io::Write as _;

use authtap::iis::page::{Answer, classify};
use authtap::model::finding::Basis;
use authtap::model::page::{Page, PageAuthor};
use proptest::prelude::*;

const DETAILED: &[&str] = &[
    "detailed-7.5-401.3",
    "detailed-8.5-401.1",
    "detailed-10-401.2",
    "detailed-10-401.2-russian",
    "detailed-10-500.19-german",
];

fn bytes(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/data/iis/pages/{name}", env!("CARGO_MANIFEST_DIR"))).expect("a page")
}

fn html(name: &str) -> Vec<u8> {
    bytes(&format!("{name}.html"))
}

fn answer<'a>(status: u16, server: &'static str, body: &'a [u8]) -> Answer<'a> {
    Answer {
        status,
        server: Some(server.as_bytes()),
        content_type: Some(b"text/html"),
        content_length: u64::try_from(body.len()).ok(),
        body,
        whole: true,
        ..Answer::default()
    }
}

fn status_of(name: &str) -> u16 {
    if name.contains("500") { 500 } else { 401 }
}

fn detailed(name: &str, body: &[u8]) -> Page {
    classify(&answer(status_of(name), "Microsoft-IIS/10.0", body))
}

/// Which layer answered decides where the fault is looked for.
#[test]
fn the_four_authors_are_told_apart() {
    for (name, status, server, author, basis) in [
        ("http-sys-401", 401, "Microsoft-HTTPAPI/2.0", PageAuthor::HttpSys, Basis::Observed),
        ("http-sys-400", 400, "Microsoft-HTTPAPI/2.0", PageAuthor::HttpSys, Basis::Observed),
        ("http-sys-401", 401, "hidden", PageAuthor::HttpSys, Basis::Inferred),
        ("custom-401", 401, "Microsoft-IIS/10.0", PageAuthor::IisCustom, Basis::Observed),
        ("custom-401-german", 401, "Microsoft-IIS/10.0", PageAuthor::IisCustom, Basis::Inferred),
        ("detailed-10-401.2", 401, "Microsoft-IIS/10.0", PageAuthor::IisDetailed, Basis::Observed),
        ("application", 401, "Microsoft-IIS/10.0", PageAuthor::Application, Basis::Inferred),
        ("application", 401, "Microsoft-HTTPAPI/2.0", PageAuthor::Application, Basis::Inferred),
    ] {
        let page = classify(&answer(status, server, &html(name)));
        assert_eq!((page.author, page.basis), (author, basis), "{name}: {page:?}");
        assert_eq!(page.detail.is_some(), author == PageAuthor::IisDetailed);
    }
    let json = Answer {
        content_type: Some(b"application/problem+json"),
        ..answer(401, "Microsoft-IIS/10.0", b"{\"status\":401}")
    };
    assert_eq!(classify(&json).author, PageAuthor::Application);
}

/// An answer to HEAD and an empty body have only their head to go by, and must not claim more.
#[test]
fn without_a_body_the_head_says_what_it_can() {
    let head = |server, length| Answer { to_head: true, content_length: Some(length), ..answer(401, server, b"") };
    assert_eq!(classify(&head("Microsoft-HTTPAPI/2.0", 341)).author, PageAuthor::HttpSys);
    let custom = classify(&head("Microsoft-IIS/10.0", 1293));
    assert_eq!((custom.author, custom.basis), (PageAuthor::IisCustom, Basis::Suspected));
    assert_eq!(classify(&head("Microsoft-IIS/10.0", 7)).author, PageAuthor::Nobody);
    assert_eq!(classify(&answer(401, "Microsoft-IIS/10.0", b"")).author, PageAuthor::Nobody);
    assert_eq!(
        classify(&Answer { whole: false, content_length: Some(9), ..answer(401, "x", b"") }).author,
        PageAuthor::Unread
    );
}

/// The page is in the language of the server or the client; the substatus must come out all the same.
#[test]
fn detailed_pages_are_read_in_any_language() {
    let read = |name: &str| {
        let d = *detailed(name, &html(name)).detail.expect(name);
        assert!(d.shows_url && d.shows_physical_path, "{name}");
        (
            (d.status.unwrap(), d.substatus.unwrap(), d.hresult.unwrap(), d.build.unwrap()),
            (d.iis_version.unwrap(), d.module.unwrap(), d.notification.unwrap(), d.handler.unwrap()),
            (d.logon_method.unwrap(), d.logon_user.unwrap(), d.logged_on),
        )
    };
    let own = |s: &str| s.to_owned();
    assert_eq!(
        read("detailed-7.5-401.3"),
        (
            (401, 3, 0x8007_0005, 7601),
            (own("7.5"), own("IIS Web Core"), own("AuthenticateRequest"), own("StaticFile")),
            (own("Negotiate"), own("EXAMPLE\\alice"), Some(true))
        )
    );
    assert_eq!(
        read("detailed-8.5-401.1"),
        (
            (401, 1, 0x8009_0308, 9600),
            (
                own("8.5"),
                own("WindowsAuthenticationModule"),
                own("AuthenticateRequest"),
                own("ExtensionlessUrlHandler-Integrated-4.0")
            ),
            (own("Not yet determined"), own("Not yet determined"), Some(false))
        )
    );
    assert_eq!(read("detailed-10-401.2").0, (401, 2, 0x8007_0005, 17763));
    let russian = read("detailed-10-401.2-russian");
    assert_eq!(russian.0, (401, 2, 0x8007_0005, 14393));
    assert_eq!((russian.1.0.as_str(), russian.1.1.as_str(), russian.2.2), ("10.0", "IIS Web Core", None));
    assert_eq!(read("detailed-10-500.19-german").0, (500, 19, 0x8007_0021, 20348));
}

/// The page shows URL and path to whoever sees it; the capture must not.
#[test]
fn url_and_path_do_not_come_out() {
    for name in DETAILED {
        let page = format!("{:?}", detailed(name, &html(name)));
        assert!(!page.contains("planted"), "{page}");
    }
}

/// The observer keeps only the begin of a body; what was in it must be told, and nothing that was cut in half.
#[test]
fn every_prefix_is_read_and_never_wrong() {
    for name in DETAILED {
        let whole = html(name);
        let truth = *detailed(name, &whole).detail.unwrap();
        let mut known = 0;
        for end in 0..whole.len() {
            let cut = Answer {
                whole: false,
                content_length: None,
                ..answer(status_of(name), "Microsoft-IIS/10.0", &whole[..end])
            };
            let page = classify(&cut);
            assert!(
                matches!(page.author, PageAuthor::IisDetailed | PageAuthor::Unread | PageAuthor::Application),
                "{name} {end}: {page:?}"
            );
            let Some(d) = page.detail else {
                assert_eq!(known, 0, "{name}: forgot at {end} what was read before");
                continue;
            };
            known += 1;
            for (part, whole) in [
                (&d.module, &truth.module),
                (&d.notification, &truth.notification),
                (&d.handler, &truth.handler),
                (&d.logon_user, &truth.logon_user),
                (&d.iis_version, &truth.iis_version),
            ] {
                assert!(part.is_none() || part == whole, "{name} {end}: {part:?}");
            }
            for (part, whole) in [
                (d.hresult, truth.hresult),
                (d.build, truth.build),
                (d.substatus.map(u32::from), truth.substatus.map(u32::from)),
            ] {
                assert!(part.is_none() || part == whole, "{name} {end}: {part:?}");
            }
            assert_eq!(d.status, truth.status, "{name} {end}");
        }
        assert!(known > whole.len() / 4, "{name}: only {known} of {} prefixes told", whole.len());
    }
}

fn coded<'a>(coding: &'static str, body: &'a [u8]) -> Answer<'a> {
    Answer { content_encoding: Some(coding.as_bytes()), ..answer(401, "Microsoft-IIS/10.0", body) }
}

/// Compressed pages are rare, and those of a cut copy must still tell what they can; a bomb must not take memory.
#[test]
fn content_codings_are_taken_off() {
    let gz = bytes("detailed-10-401.2.html.gz");
    let plain = detailed("detailed-10-401.2", &html("detailed-10-401.2"));
    assert_eq!(classify(&coded("gzip", &gz)), plain);
    assert_eq!(classify(&coded("X-GZIP", &gz)), plain);
    for end in 1..gz.len() {
        let _ = classify(&Answer { whole: false, ..coded("gzip", &gz[..end]) });
    }
    let half = classify(&Answer { whole: false, ..coded("gzip", &gz[..gz.len() * 9 / 10]) });
    assert_eq!(half.author, PageAuthor::IisDetailed);

    let source = html("detailed-10-401.2");
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(&source).unwrap();
    assert_eq!(classify(&coded("deflate", &zlib.finish().unwrap())), plain);
    let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    raw.write_all(&source).unwrap();
    assert_eq!(classify(&coded("deflate", &raw.finish().unwrap())), plain);

    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..16 * 1024 {
        bomb.write_all(&[b'<'; 4096]).unwrap();
    }
    assert_eq!(classify(&coded("gzip", &bomb.finish().unwrap())).author, PageAuthor::Application);

    let brotli = classify(&coded("br", b"\x1b\x00\x00"));
    assert_eq!(brotli.author, PageAuthor::Unread);
    assert!(brotli.sign.contains("Content-Encoding"));
    assert_eq!(classify(&coded("gzip", b"not gzip at all")).author, PageAuthor::Unread);
}

/// A page in UTF-16 or in a code page is still a page.
#[test]
fn characters_are_decoded() {
    let text = String::from_utf8(html("detailed-10-401.2-russian")).unwrap();
    let truth = detailed("detailed-10-401.2-russian", text.as_bytes());
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(detailed("401", &little), truth);
    let marked: Vec<u8> = [0xFE, 0xFF].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    assert_eq!(detailed("401", &marked), truth);
    // windows-1251, read as Latin-1: the numbers come out, the words do not.
    let legacy: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(0xCF)).collect();
    let page = detailed("401", &legacy);
    assert_eq!(page.detail.unwrap().substatus, Some(2));
}

/// An application that speaks of such pages must not be taken for IIS with certainty.
#[test]
fn a_quotation_is_not_proof() {
    let help = format!(
        "<html><title>Help</title><p>Look for IIS70Error=401,2,0x80070005,1 in the link.</p>{}",
        "x".repeat(2000)
    );
    let page = classify(&answer(401, "Microsoft-IIS/10.0", help.as_bytes()));
    assert_eq!(page.basis, Basis::Inferred);
}

proptest! {
    /// A panic here turns a connection blind.
    #[test]
    fn any_body_is_judged(body in proptest::collection::vec(any::<u8>(), 0..400), coding in prop_oneof![Just(""), Just("gzip"), Just("deflate")]) {
        let _ = classify(&Answer { content_encoding: Some(coding.as_bytes()), ..answer(401, "Microsoft-IIS/10.0", &body) });
    }

    /// The same with what pages are made of.
    #[test]
    fn any_soup_of_html_is_judged(body in r#"(<title>|</title>|<td|</td>|>|details-left"|details-right"|</table|IIS70Error=|401|,|0x8|&nbsp;|&#x41;|&|<|[a-zé ]|IIS 1){0,60}"#) {
        let page = classify(&answer(401, "Microsoft-IIS/10.0", body.as_bytes()));
        let shown = format!("{page:?}");
        prop_assert!(shown.len() < 4000, "{}", shown);
    }
}
