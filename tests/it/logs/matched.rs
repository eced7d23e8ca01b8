//! Lines find their exchanges, and findings follow.

use authtap::model::finding::Basis;
use authtap::report::join::{Code, IisLog, Offset};
use authtap::report::view::{Group, View};

use super::made::{AUTHTAP, BARE, CHALLENGED, DENIED, FIELDS, FORBIDDEN, NOON, Site, log, when};

fn facts(view: &View) -> &IisLog {
    view.iis_log.as_ref().unwrap()
}

fn offset(view: &View) -> Offset {
    facts(view).files[0].offset.unwrap()
}

fn group<'v>(view: &'v View, slug: &str) -> &'v Group {
    view.findings.iter().find(|g| g.slug == slug).unwrap_or_else(|| panic!("no {slug}: {:?}", view.findings))
}

fn code((status, substatus, win32): (u16, u16, u32)) -> Code {
    Code { status, substatus: Some(substatus), win32: Some(win32) }
}

/// A server's clock is never quite right: if the offset is not found, no line belongs to anything.
#[test]
fn the_clocks_offset_is_found_and_every_refusal_gets_its_line() {
    let site = Site::busy();
    for ahead in [0, 3, -37, 240, -899] {
        let view = site.report(&[("u_ex261122.log", site.log(ahead).as_bytes())]);
        let found = offset(&view);
        assert!((found.ahead - ahead * 1_000_000).abs() <= 700_000, "{ahead}: {found:?}");
        assert!(found.sure && found.zone.is_none() && found.requests >= 50, "{ahead}: {found:?}");
        let refusals = facts(&view).refusals;
        assert_eq!((refusals.total(), refusals.unmatched, refusals.ambiguous), (45, 0, 0), "{ahead}: {refusals:?}");
        assert_eq!(refusals.unique, 45, "{ahead}");
        assert_eq!(facts(&view).codes, [(code(CHALLENGED), 20), (code(BARE), 20), (code(DENIED), 5)]);
        let refused = group(&view, "credentials-rejected");
        assert_eq!((refused.basis, refused.count), (Basis::Observed, 5), "{ahead}");
        assert!(refused.summary.contains("The IIS log says 401 1 2148074252 (SEC_E_LOGON_DENIED): "), "{refused:?}");
        assert!(refused.evidence[0].1.primary);
        assert!(refused.evidence[1].1.says.starts_with("u_ex261122.log line "), "{:?}", refused.evidence);
        assert_eq!(facts(&view).proved, 5);
    }
}

/// IIS logs UTC. A log in local time comes from a tool, and whoever reads the report must not mend a clock for it.
#[test]
fn local_time_is_recognised_and_still_joined() {
    let site = Site::busy();
    for (ahead, minutes) in [(3_600 - 12, 60), (-5 * 3_600, -300), (19_800, 330)] {
        let view = site.report(&[("local.log", site.log(ahead).as_bytes())]);
        assert_eq!((offset(&view).zone, offset(&view).sure), (Some(minutes), true), "{:?}", offset(&view));
        assert_eq!(facts(&view).refusals.unique, 45);
        let text = authtap::report::terminal::report(&view, false);
        let text: Vec<&str> = text.split_whitespace().collect();
        let zone = format!("local time (UTC{:+03}:{:02})", minutes / 60, minutes % 60);
        assert!(text.join(" ").contains(&zone), "{zone}: {text:?}");
        assert!(facts(&view).files[0].remarks.is_empty(), "{:?}", facts(&view).files[0]);
    }
}

/// One logon alone cannot tell a wrong clock from a wrong line: then nothing may be proved by it.
#[test]
fn too_few_requests_make_no_offset() {
    let mut site = Site::default();
    site.open(0, 1);
    site.exchange(10, (1, 1), ("/", "curl/8"), None, FORBIDDEN);
    site.finding(10, "credentials-rejected", (1, Some(1)), Basis::Inferred);
    let view = site.report(&[("u_ex.log", site.log(-37).as_bytes())]);
    assert!(!offset(&view).sure);
    assert_eq!(facts(&view).refusals.ambiguous, 1);
    let refused = group(&view, "credentials-rejected");
    assert_eq!(refused.basis, Basis::Inferred);
    assert!(refused.summary.contains("probably says 401 3 5"), "{}", refused.summary);
    // With clocks that agree there is nothing to estimate.
    let view = site.report(&[("u_ex.log", site.log(0).as_bytes())]);
    assert_eq!((offset(&view).sure, facts(&view).refusals.unique), (true, 1));
}

/// A user who tries again after ten minutes, and a log whose newest lines HTTP.sys has not written yet: the lines of the
/// first try would explain the second one, by a clock that is ten minutes off.
#[test]
fn an_earlier_logon_of_the_same_client_is_no_clock() {
    let mut site = Site::busy();
    site.logon(900_000, 101, ("/again", "Agent/8"), FORBIDDEN);
    let log = site.rows.split_off(site.rows.len() - 3);
    site = Site::default();
    site.logon(1_500_000, 102, ("/again", "Agent/8"), DENIED);
    let view = site.report(&[("u_ex.log", super::made::log(log.iter().map(|row| row.line(0))).as_bytes())]);
    assert!(!offset(&view).sure, "{:?}", offset(&view));
    assert_eq!((facts(&view).refusals.unique, facts(&view).refusals.agreed, facts(&view).proved), (0, 0, 0));
    assert_eq!(group(&view, "credentials-rejected").basis, Basis::Inferred);
}

/// Two users of one program at once, one with a wrong password and one without permission: a log has no connections,
/// and whoever is told the other's line mends the wrong thing.
#[test]
fn twins_with_different_reasons_prove_nothing() {
    let mut site = Site::busy();
    let request = ("/same", "Agent/0 (Windows NT 10.0)");
    site.logon(900_000, 101, request, DENIED);
    site.logon(900_003, 102, request, FORBIDDEN);
    let view = site.report(&[("u_ex.log", site.log(-2).as_bytes())]);
    let refusals = facts(&view).refusals;
    // Their first two legs say the same, whichever is whose.
    assert_eq!((refusals.ambiguous, refusals.agreed, refusals.unmatched), (2, 4, 0), "{refusals:?}");
    let refused = group(&view, "credentials-rejected");
    assert_eq!(refused.count, 7);
    assert_eq!(facts(&view).proved, 5);
    assert_eq!(facts(&view).corrected, 0);
    // Had both been refused for one reason, it would not matter which line is whose.
    let mut site = Site::busy();
    site.logon(900_000, 101, request, DENIED);
    site.logon(900_003, 102, request, DENIED);
    let view = site.report(&[("u_ex.log", site.log(-2).as_bytes())]);
    assert_eq!((facts(&view).refusals.agreed, facts(&view).proved), (6, 7));
}

/// With the port in the log there is nothing to guess, even for twins.
#[test]
fn a_port_in_a_site_log_makes_matches_exact() {
    let mut site = Site::busy();
    let request = ("/same", "Agent/0 (Windows NT 10.0)");
    site.logon(900_000, 101, request, DENIED);
    site.logon(900_003, 102, request, (401, 1, 1909));
    let lines: Vec<String> = site.rows.iter().map(|row| format!("{} {}", row.line(-37), row.from.port())).collect();
    let text = log(lines).replace(FIELDS, &format!("{FIELDS} c-port"));
    let view = site.report(&[("u_ex.log", text.as_bytes())]);
    let refusals = facts(&view).refusals;
    assert_eq!((refusals.exact, refusals.total()), (51, 51), "{refusals:?}");
    assert_eq!(facts(&view).proved, 7);
    let all: Vec<&str> =
        group(&view, "credentials-rejected").evidence.iter().map(|(_, piece)| piece.says.as_str()).collect();
    assert!(all.iter().any(|says| says.ends_with("(by the port of the connection)")), "{all:?}");
}

/// What HTTP.sys refuses, IIS never logs: only HTTPERR has it, and the port says whose it is.
#[test]
fn httperr_is_joined_by_the_port() {
    let mut site = Site::busy();
    site.open(500_000, 200);
    site.exchange(500_010, (200, 1), ("/big", "curl/8"), None, (400, 0, 0));
    site.finding(500_010, "connection-closed-mid-handshake", (200, Some(1)), Basis::Inferred);
    site.close(500_020, 200);
    // HTTP.sys answered, so IIS logged nothing.
    site.rows.retain(|row| row.code.0 != 400);
    let port = Site::port(200).port();
    let authtap = std::net::Ipv4Addr::from(AUTHTAP);
    let fields =
        "date time c-ip c-port s-ip s-port cs-version cs-method cs-uri sc-status s-siteid s-reason s-queuename";
    let line = |millis: i64, port: u16, reason: &str| {
        format!(
            "{} {authtap} {port} 192.0.2.80 443 HTTP/1.1 GET /big?x=planted 400 1 {reason} DefaultAppPool\n",
            when(NOON + millis * 1_000, -37)
        )
    };
    let httperr =
        format!("#Fields: {fields}\n{}{}", line(500_010, port, "FieldLength"), line(500_010, 9, "BadRequest"));
    // Its own lines are too few for an offset; the site's log has it.
    let view = site.report(&[("u_ex.log", site.log(-37).as_bytes()), ("httperr1.log", httperr.as_bytes())]);
    assert_eq!((facts(&view).httperr, facts(&view).files[1].matched, facts(&view).files[1].lines), (1, 1, 2));
    assert!(facts(&view).files[1].offset.is_some_and(|o| o.of_others));
    let told = group(&view, "connection-closed-mid-handshake");
    assert!(told.summary.contains("HTTP.sys logged FieldLength for this connection"), "{}", told.summary);
    assert_eq!(told.evidence[1].1.says, "httperr1.log line 2: FieldLength, by the port of the connection");
    // A port that another connection had hours before is not this connection's.
    let early = format!("#Fields: {fields}\n{}", line(-2_000_000, port, "FieldLength"));
    let view = site.report(&[("u_ex.log", site.log(-37).as_bytes()), ("httperr1.log", early.as_bytes())]);
    assert_eq!(facts(&view).httperr, 0);
}

/// Others use the site too, beside authtap. Their lines must not explain what they have no part in.
#[test]
fn lines_of_other_clients_are_left_alone() {
    let site = Site::busy();
    let foreign = |row: &super::made::Row| {
        let mut row = row.clone();
        row.from = "198.51.100.99:50000".parse().unwrap();
        row.code = if row.code == DENIED { FORBIDDEN } else { row.code };
        row.line(-2)
    };
    let mixed = log(site.rows.iter().flat_map(|row| [foreign(row), row.line(-2)]));
    let view = site.report(&[("u_ex.log", mixed.as_bytes())]);
    assert_eq!((facts(&view).refusals.unique, facts(&view).proved, facts(&view).corrected), (45, 5, 0));
    assert!(facts(&view).files[0].remarks.is_empty());
    // Where no line names authtap, it is said, and nothing is sure.
    let alone = log(site.rows.iter().map(foreign));
    let view = site.report(&[("u_ex.log", alone.as_bytes())]);
    assert_eq!((facts(&view).refusals.unique, facts(&view).refusals.ambiguous), (0, 45));
    assert!(facts(&view).files[0].remarks[0].contains("198.51.100.99"), "{:?}", facts(&view).files);
    assert_eq!(group(&view, "credentials-rejected").basis, Basis::Inferred);
}

/// A permission is not a password. The code decides, not what the wire alone looked like.
#[test]
fn codes_decide_what_a_refusal_is() {
    for (last, words) in [
        ((401, 1, 2_148_074_248), "compare the certificates first"),
        ((401, 1, 1909), "the account is locked out"),
        ((401, 3, 5), "the password is not the cause"),
        ((401, 1, 2_148_074_245), "The IIS log says 401 1 2148074245 (SEC_E_SECPKG_NOT_FOUND)."),
        ((401, 1, 2_148_074_310), "bound to another TLS channel"),
    ] {
        let mut site = Site::busy();
        site.rows.retain(|row| row.code != DENIED);
        site.logon(950_000, 77, ("/only", "Agent/9"), last);
        site.events.retain(|event| match &event.what {
            authtap::model::event::What::Finding(f) => f.connections[0].0 == 77,
            _ => true,
        });
        let view = site.report(&[("u_ex.log", site.log(-37).as_bytes())]);
        assert_eq!(view.findings.len(), 1);
        assert!(view.findings[0].summary.contains(words), "{last:?}: {}", view.findings[0].summary);
        let proved = matches!(last.2, 1909);
        if view.findings[0].slug == "credentials-rejected" {
            assert_eq!(view.findings[0].basis == Basis::Observed, proved, "{last:?}");
        }
    }
}
