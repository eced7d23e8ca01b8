use std::borrow::Cow;

use super::*;
use crate::check::Verdict;
use crate::check::facts::{Answer, Ended, Large, Place};
use crate::model::Stamp;
use crate::model::finding::Basis;
use crate::model::page::{Page, PageAuthor};
use crate::model::transport::{Certificate, Tls};

const AT: Stamp = Stamp(1_767_225_600_000_000);

fn answer(status: u16) -> Answer {
    Answer {
        status,
        old: false,
        server: Some("Microsoft-IIS/10.0".to_owned()),
        via: None,
        location: None,
        persistent_auth: None,
        date: Some(AT),
        offers: Vec::new(),
        challenge: None,
        closes: false,
        page: Page {
            author: PageAuthor::IisCustom,
            basis: Basis::Observed,
            sign: Cow::Borrowed("a title"),
            says: None,
            back_end: None,
            detail: None,
        },
        invalid_hostname: false,
        endless: false,
        sent: AT,
        got: AT.after(std::time::Duration::from_millis(2)),
    }
}

/// A plain server that was reached from another machine.
fn facts() -> Facts {
    let mut facts = Facts {
        server: Place { tls: false, host: "iis.example.test".to_owned(), port: 80 },
        host: "iis.example.test".to_owned(),
        path: "/".to_owned(),
        first: Some(Ok(answer(401))),
        ..Facts::default()
    };
    facts.reach.dialled = "192.0.2.1:80".parse().ok();
    facts.reach.local = "192.0.2.2:50000".parse().ok();
    facts
}

fn certificate(subject: &str, names: &[&str]) -> Certificate {
    Certificate {
        subject: subject.to_owned(),
        names: names.iter().map(|n| (*n).to_owned()).collect(),
        sha256: format!("{subject}-sha256"),
        end_point: format!("{subject}-end-point"),
        ..Certificate::default()
    }
}

/// The same, with TLS and a certificate that verifies.
fn with_tls(mut facts: Facts) -> Facts {
    facts.server.tls = true;
    facts.reach.tls = Some(Tls { certificate: Some(certificate("CN=iis", &["iis.example.test"])), ..Tls::default() });
    facts
}

fn verdict(facts: &Facts, check: &str) -> Option<(Verdict, String)> {
    judge(facts).into_iter().find(|l| l.check == check).map(|l| (l.verdict, l.says))
}

fn stands(facts: &Facts, check: &str, wanted: Verdict, words: &str) {
    let (verdict, says) = verdict(facts, check).unwrap_or_else(|| panic!("no line {check}"));
    assert!(verdict == wanted && says.contains(words), "{check}: {verdict:?}, {says}");
}

/// Each pair of certificates has its own consequence for Extended Protection; a wrong one sends people the wrong way.
#[test]
fn extended_protection_depends_on_both_sides() {
    let check = "extended-protection";
    let showing = |mut facts: Facts, subject: &str| {
        facts.insertion.certificate = Some(certificate(subject, &["iis.example.test"]));
        facts
    };
    stands(&facts(), check, Verdict::Ok, "no TLS on either side");
    stands(&showing(facts(), "CN=iis"), check, Verdict::Warning, "the server has no TLS");
    stands(&with_tls(facts()), check, Verdict::Warning, "take TLS away");
    stands(&showing(with_tls(facts()), "CN=iis"), check, Verdict::Ok, "nothing changes");
    stands(&showing(with_tls(facts()), "CN=other"), check, Verdict::Problem, "refuse every Windows logon");
    // A server whose certificate was never seen is no reason to be content, nor to complain.
    let mut unseen = showing(with_tls(facts()), "CN=iis");
    unseen.reach.tls = None;
    assert_eq!(verdict(&unseen, check), None);
}

/// Clients refuse a certificate that is for another name, and come with another scheme than authtap speaks.
#[test]
fn the_public_name_is_held_against_what_authtap_would_show() {
    let public = |host: &str, tls| {
        let mut facts = with_tls(facts());
        facts.insertion.public = Some(Place { tls, host: host.to_owned(), port: 443 });
        facts.insertion.certificate = Some(certificate("CN=iis", &["*.example.test", "192.0.2.1"]));
        facts
    };
    stands(&public("WWW.example.test", true), "host", Verdict::Ok, "iis.example.test");
    stands(&public("192.0.2.1", true), "host", Verdict::Ok, "");
    stands(&public("a.b.example.test", true), "host", Verdict::Problem, "not for a.b.example.test");
    stands(&public("example.test", true), "host", Verdict::Problem, "not for example.test");
    stands(&public("www.example.test", false), "host", Verdict::Problem, "speak TLS");
}

/// On IIS's own host pages with paths and stack traces may leave the machine; elsewhere nothing is to be said.
#[test]
fn the_own_host_is_known_by_equal_addresses() {
    stands(&facts(), "own-host", Verdict::Ok, "another machine");
    let mut own = facts();
    own.reach.local = "[::ffff:192.0.2.1]:50000".parse().ok();
    stands(&own, "own-host", Verdict::Warning, "may then get detailed error pages");
    let mut page = answer(401);
    page.page.author = PageAuthor::IisDetailed;
    own.first = Some(Ok(page));
    stands(&own, "own-host", Verdict::Warning, "it answered with its detailed error page");
}

/// What IIS itself never does is a hop's doing.
#[test]
fn http_1_0_is_a_problem() {
    let old = Facts { first: Some(Ok(Answer { old: true, ..answer(401) })), ..facts() };
    stands(&old, "http-version", Verdict::Problem, "HTTP/1.0");
    stands(&facts(), "http-version", Verdict::Ok, "HTTP/1.1");
    let h2 = Facts { alpn: Some(Ok(Some("h2".to_owned()))), ..with_tls(facts()) };
    stands(&h2, "http-version", Verdict::Warning, "HTTP/2");
    let mut mirrored = h2;
    mirrored.insertion.mirrors_alpn = true;
    stands(&mirrored, "http-version", Verdict::Ok, "lets clients have it");
    let unknown = Facts { alpn: Some(Err("reset".to_owned())), ..with_tls(facts()) };
    stands(&unknown, "http-version", Verdict::Warning, "not known");
}

/// `Date` has whole seconds: a difference below one is none, and must not be told as one.
#[test]
fn a_date_within_its_second_is_no_offset() {
    stands(&facts(), "clock", Verdict::Ok, "agrees with this machine's within 501 ms");
    let off = |seconds: i64| {
        let date = Some(Stamp(AT.0 + seconds * 1_000_000));
        Facts { first: Some(Ok(Answer { date, ..answer(401) })), ..facts() }
    };
    stands(&off(-5), "clock", Verdict::Ok, "behind");
    stands(&off(60), "clock", Verdict::Warning, "ahead of");
    stands(&off(-301), "clock", Verdict::Warning, "behind");
    stands(&off(3_600), "clock", Verdict::Warning, "Kerberos");
    let none = Facts { first: Some(Ok(Answer { date: None, ..answer(401) })), ..facts() };
    assert_eq!(verdict(&none, "clock"), None);
}

/// Each status wants another next step; a 401 alone is what the check came for.
#[test]
fn each_kind_of_answer_has_its_verdict() {
    for (status, wanted) in [
        (401, Verdict::Ok),
        (200, Verdict::Warning),
        (302, Verdict::Warning),
        (403, Verdict::Warning),
        (404, Verdict::Warning),
        (400, Verdict::Warning),
        (503, Verdict::Problem),
    ] {
        let facts = Facts { first: Some(Ok(answer(status))), ..facts() };
        stands(&facts, "answer", wanted, &format!("answered {status} by Microsoft-IIS/10.0"));
    }
    let silent = Facts { first: Some(Err(Ended::Silent(10))), ..facts() };
    stands(&silent, "answer", Verdict::Problem, "nothing came within 10 s");
    // A page that is refused as such says nothing about the size of fields.
    let large = Some(Large { bytes: 12_288, answer: Ok(answer(400)) });
    let refused_anyway = Facts { first: Some(Ok(answer(400))), large: large.clone(), ..facts() };
    stands(&refused_anyway, "header-limit", Verdict::Ok, "");
    stands(&Facts { large, ..facts() }, "header-limit", Verdict::Warning, "refused with 400");
}

/// "It does not work" without a next step is what the check is there to avoid.
#[test]
fn whatever_is_not_ok_says_what_to_do() {
    let error = |name| {
        let mut facts = facts();
        facts.first = None;
        facts.reach.error = Some((name, "why".to_owned()));
        facts
    };
    let names =
        ["dns_error", "connection_refused", "connection_timeout", "tls_alert_received", "tls_protocol_error", "other"];
    for facts in names.map(error) {
        let lines = judge(&facts);
        assert!(lines.iter().any(|l| l.verdict == Verdict::Problem));
        assert!(lines.iter().all(|l| l.fix.is_some() == (l.verdict != Verdict::Ok)), "{lines:?}");
    }
}
