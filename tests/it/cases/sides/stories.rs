//! Scripted captures with hops, farms, and what only looks like them.

use std::collections::BTreeSet;

use authtap::model::event::What;
use authtap::model::finding::{Finding, Severity};
use authtap::model::{Stamp, TapId};
use authtap::report::view::View;
use authtap::wire::observation::Observation;

use super::super::Case;
use super::super::player::record;
use super::links::{Onward, behind, merged, onward};
use super::{Told, address, diagnose};

pub(super) fn case(steps: &str) -> Case {
    Case {
        about: String::new(),
        origin: String::new(),
        trusted_proxies: Vec::new(),
        steps: steps.to_owned(),
        expect: Vec::new(),
    }
}

pub(super) const HOP: &str = "192.0.2.10:80";
pub(super) const IIS: &str = "203.0.113.20:80";
const NODE: &str = "203.0.113.21:80";

/// A logon by NTLM on a connection, in three exchanges, from `at` on.
fn logon(n: u64, client: &str, at: f64, to: &str, user: &str) -> String {
    let t = |more: f64| format!("{:.3}", at + more);
    format!(
        "{} {n} open {client} upstream={to}\n\
         {} {n} > GET /app HTTP/1.1 | Host: app.example.test | User-Agent: Edge\n\
         {} {n} < HTTP/1.1 401 Unauthorized | Server: Microsoft-IIS/10.0 | WWW-Authenticate: NTLM | Content-Length: 2 || no\n\
         {} {n} > GET /app HTTP/1.1 | Host: app.example.test | User-Agent: Edge | Authorization: NTLM {{negotiate}}\n\
         {} {n} < HTTP/1.1 401 Unauthorized | Server: Microsoft-HTTPAPI/2.0 | WWW-Authenticate: NTLM {{challenge {user}{n}}} | Content-Length: 2 || no\n\
         {} {n} > GET /app HTTP/1.1 | Host: app.example.test | User-Agent: Edge | Authorization: NTLM {{authenticate {user}{n} user={user}}}\n\
         {} {n} < HTTP/1.1 200 OK | Server: Microsoft-IIS/10.0 | Persistent-Auth: true | Content-Length: 2 || ok\n",
        t(0.0),
        t(0.01),
        t(0.02),
        t(0.03),
        t(0.04),
        t(0.05),
        t(0.06)
    )
}

/// Steps in the order of time, and the end.
fn in_order(parts: &[String], end: &str) -> Case {
    let mut lines: Vec<String> = parts.iter().flat_map(|p| p.lines()).map(|l| l.trim().to_owned()).collect();
    let at = |l: &String| l.split_whitespace().next().expect("a time").parse::<f64>().expect("a time");
    lines.sort_by(|a, b| at(a).total_cmp(&at(b)));
    case(&format!("{}\n{end} stop\n", lines.join("\n")))
}

/// The outer side as scripted, and what `route` makes of it behind the hop.
pub(super) fn both(
    case: &Case,
    clock: i64,
    route: impl FnMut(u64, u32) -> Option<Onward>,
) -> (Vec<Observation>, Stamp) {
    let (outer, stop) = record(case);
    let inner = behind(&outer, clock, route);
    (merged(vec![outer, inner]), Stamp(stop.0 + clock.max(0)))
}

pub(super) fn slugs(told: &Told) -> Vec<(&str, Option<&str>)> {
    told.findings().into_iter().map(|f| (f.slug.as_str(), f.root.as_deref())).collect()
}

fn view(told: &Told) -> View {
    let tap = TapId("capture1".to_owned());
    View::of(told.events.iter().map(|e| (&tap, e)))
}

pub(super) fn above_info(told: &Told) -> Vec<&Finding> {
    told.findings().into_iter().filter(|f| f.severity > Severity::Info).collect()
}

pub(super) fn connections(finding: &Finding) -> BTreeSet<u64> {
    finding.connections.iter().map(|c| c.0).collect()
}

/// Two clients whose handshakes a pool behind the hop tears apart.
pub(super) fn torn_script() -> Case {
    case(
        r"0.000 1 open 192.0.2.7:50123 upstream=192.0.2.10:80
          0.001 2 open 192.0.2.8:50200 upstream=192.0.2.10:80
          0.010 1 > GET /a HTTP/1.1 | Host: app.example.test | User-Agent: Edge | Authorization: NTLM {negotiate}
          0.020 1 < HTTP/1.1 401 Unauthorized | Server: Microsoft-HTTPAPI/2.0 | WWW-Authenticate: NTLM {challenge a} | Content-Length: 2 || no
          0.030 2 > GET /b HTTP/1.1 | Host: app.example.test | User-Agent: Edge | Authorization: NTLM {negotiate}
          0.040 2 < HTTP/1.1 401 Unauthorized | Server: Microsoft-HTTPAPI/2.0 | WWW-Authenticate: NTLM {challenge b} | Content-Length: 2 || no
          0.050 1 > GET /a HTTP/1.1 | Host: app.example.test | User-Agent: Edge | Authorization: NTLM {authenticate a user=alice}
          0.060 1 < HTTP/1.1 401 Unauthorized | Server: Microsoft-IIS/10.0 | WWW-Authenticate: Negotiate | WWW-Authenticate: NTLM | Content-Length: 2 || no
          0.070 2 > GET /b HTTP/1.1 | Host: app.example.test | User-Agent: Edge | Authorization: NTLM {authenticate b user=bob}
          0.080 2 < HTTP/1.1 401 Unauthorized | Server: Microsoft-IIS/10.0 | WWW-Authenticate: Negotiate | WWW-Authenticate: NTLM | Content-Length: 2 || no
          1.000 1 close client fin
          1.100 2 close client fin
          9.000 stop",
    )
}

/// Each answer to a challenge goes out on the other one's connection.
pub(super) fn crossed(connection: u64, exchange: u32) -> Onward {
    let inner = if (connection == 1) == (exchange == 1) { 3 } else { 4 };
    onward(inner, "192.0.2.10", IIS)
}

pub(super) fn torn_is_told(told: &Told, what: &str) {
    let view = view(told);
    let top: Vec<&str> =
        view.findings.iter().filter(|g| g.severity > Severity::Info).map(|g| g.slug.as_str()).collect();
    assert_eq!(top, ["handshake-split-across-connections"], "{what}: {:?}", slugs(told));
    let group = &view.findings[0];
    assert_eq!(group.basis.name(), "observed", "{what}");
    let named: BTreeSet<u64> = group.connections.iter().map(|(_, c)| c.0).collect();
    assert_eq!(named, BTreeSet::from([1, 2, 3, 4]), "{what}");
    let consequences: Vec<&str> = group.consequences.iter().map(|g| g.slug.as_str()).collect();
    assert_eq!(consequences, ["credentials-rejected"], "{what}");
    let split = told.findings().into_iter().find(|f| f.slug == group.slug).expect("it");
    assert!(
        split.summary.ends_with("The hop is 192.0.2.10:80, which this capture shows from both sides."),
        "{split:?}"
    );
    let mate = &split.evidence[1];
    assert_eq!(
        mate.says,
        "the same AUTHENTICATE on its way from the client (192.0.2.7:50123) to the hop 192.0.2.10:80"
    );
    assert_eq!((mate.connection.map(|c| c.0), mate.exchange), (Some(1), Some(2)), "{what}");
    assert!(!mate.primary && mate.at.is_some());
}

/// The case that this is for: the hop is what an administrator must mend, and the refusals before it are not passwords.
#[test]
fn a_pool_that_tears_handshakes_is_one_finding_that_names_both_sides() {
    let script = torn_script();
    let (all, stop) = both(&script, 0, |c, e| Some(crossed(c, e)));
    let told = diagnose(&script, all, stop, None);
    torn_is_told(&told, "both sides");
    let facts = &told.facts;
    assert_eq!(facts.sides.len(), 2);
    assert_eq!((&facts.sides[0].endpoints, &facts.sides[1].endpoints), (&vec![address(HOP)], &vec![address(IIS)]));
    assert_eq!((facts.sides[0].connections, facts.sides[0].paired, facts.sides[1].paired), (2, 4, 0));
    assert_eq!((facts.hops[0].at, &facts.hops[0].to), (address(HOP), &vec![address(IIS)]));
    assert!(!facts.settled_early && facts.contradicted == 0 && !facts.forgotten);
    // Two sides' handshakes have names of their own.
    let names: Vec<u64> = told
        .events
        .iter()
        .filter_map(|e| match &e.what {
            What::Handshake(h) => Some(h.handshake.0),
            _ => None,
        })
        .collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    assert_eq!(told.totals().connections, 4);
    assert_eq!(told.totals().findings, told.findings().len() as u64);
}

/// Captures of two machines were not taken by one clock; a reader must not get two defects of one for that.
#[test]
fn clocks_that_differ_change_nothing() {
    let script = torn_script();
    for clock in [-3_600_000_000, -10_000_000, -5_000, 5_000, 250_000, 10_000_000, 3_600_000_000] {
        let (all, stop) = both(&script, clock, |c, e| Some(crossed(c, e)));
        let told = diagnose(&script, all, stop, None);
        torn_is_told(&told, &format!("{clock} us"));
        assert_eq!(told.facts.sides[0].endpoints, [address(HOP)], "{clock} us");
        // The hop may have another address on that side: then its answers tell, and how long they take.
        let elsewhere = |c, e| Some(onward(crossed(c, e).connection, "203.0.113.99", IIS));
        let (all, stop) = both(&script, clock, elsewhere);
        let told = diagnose(&script, all, stop, None);
        torn_is_told(&told, &format!("{clock} us, from another address"));
    }
}

/// Whoever has a healthy site and captures on the hop must not be sent looking for a defect.
#[test]
fn a_healthy_hop_raises_nothing() {
    let parts: Vec<String> = (1..=6_u32)
        .map(|n| {
            let from = format!("192.0.2.{}:50123", 100 + n);
            logon(n.into(), &from, f64::from(n) * 0.013, HOP, "alice") + &format!("5.{n} {n} close client fin\n")
        })
        .collect();
    let script = in_order(&parts, "40");
    let (all, stop) = both(&script, 0, |c, _| Some(onward(c + 100, "192.0.2.10", IIS)));
    let told = diagnose(&script, all, stop, None);
    assert!(above_info(&told).is_empty(), "{:?}", slugs(&told));
    assert_eq!((told.facts.sides.len(), told.facts.sides[0].paired), (2, 18));
    assert_eq!((told.totals().authenticated, told.totals().broken), (12, 0));
}

/// On one machine all hops have one address; only their ports differ.
#[test]
fn a_healthy_hop_on_loopback_raises_nothing() {
    let parts: Vec<String> = (1..=4_u32)
        .map(|n| {
            let from = format!("127.0.0.1:{}", 50_000 + n);
            logon(n.into(), &from, f64::from(n) * 0.5, "127.0.0.1:8080", "alice")
                + &format!("9.{n} {n} close client fin\n")
        })
        .collect();
    let script = in_order(&parts, "40");
    let (all, stop) = both(&script, 0, |c, _| Some(onward(c + 100, "127.0.0.1", "127.0.0.1:8081")));
    let told = diagnose(&script, all, stop, None);
    assert!(told.findings().is_empty(), "{:?}", slugs(&told));
    assert_eq!(told.facts.hops.len(), 1);
    assert_eq!(told.facts.sides[0].endpoints, [address("127.0.0.1:8080")]);
}

/// A client, a proxy, another proxy and IIS: three links, and the defect in the last of them.
#[test]
fn three_links_in_a_row_are_three_sides() {
    let script = torn_script();
    let (outer, stop) = record(&script);
    let middle = behind(&outer, 0, |c, _| Some(onward(c + 10, "192.0.2.10", "198.51.100.5:8080")));
    let inner = behind(&middle, 0, |c, e| Some(onward(crossed(c - 10, e).connection, "198.51.100.5", IIS)));
    let told = diagnose(&script, merged(vec![outer, middle, inner]), stop, None);
    let sides: Vec<_> = told.facts.sides.iter().map(|s| s.endpoints.clone()).collect();
    assert_eq!(sides, [vec![address(HOP)], vec![address("198.51.100.5:8080")], vec![address(IIS)]]);
    assert_eq!(told.facts.hops.len(), 2);
    let top = view(&told);
    let top: Vec<&str> = top.findings.iter().filter(|g| g.severity > Severity::Info).map(|g| g.slug.as_str()).collect();
    assert_eq!(top, ["handshake-split-across-connections"], "{:?}", slugs(&told));
    let split = told.findings().into_iter().find(|f| f.slug.starts_with("handshake-split")).expect("it");
    assert!(split.summary.contains("The hop is 198.51.100.5:8080"), "{}", split.summary);
    assert_eq!(connections(split), BTreeSet::from([1, 11, 3, 4]));
}

/// The pool mixes, and a relay behind it passes on what it got: when this fails, the relay is accused.
#[test]
fn the_hop_that_mixed_is_named_and_not_the_one_behind_it() {
    let script = torn_script();
    let (outer, stop) = record(&script);
    let middle = behind(&outer, 0, |c, e| Some(onward(crossed(c, e).connection, "192.0.2.10", "198.51.100.5:8080")));
    let inner = behind(&middle, 0, |c, _| Some(onward(c + 10, "198.51.100.5", IIS)));
    let told = diagnose(&script, merged(vec![outer, middle, inner]), stop, None);
    let splits: Vec<&Finding> = told.findings().into_iter().filter(|f| f.slug.starts_with("handshake-split")).collect();
    assert_eq!(splits.len(), 2, "{:?}", slugs(&told));
    for split in splits {
        assert!(
            split.summary.ends_with("The hop is 192.0.2.10:80, which this capture shows from both sides."),
            "{split:?}"
        );
        assert!([3, 4].contains(&split.connections[0].0), "{split:?}");
    }
}

/// Two nodes behind a hop without affinity: one side, so that one engine sees the handshake leave its node.
#[test]
fn a_farm_behind_a_hop_is_one_side() {
    let script = torn_script();
    let to_nodes = |c: u64, e: u32| {
        let node = if e == 1 { IIS } else { NODE };
        Some(onward(c * 10 + u64::from(e), "192.0.2.10", node))
    };
    let (all, stop) = both(&script, 0, to_nodes);
    let told = diagnose(&script, all, stop, None);
    assert_eq!(told.facts.sides.len(), 2);
    assert_eq!(told.facts.sides[1].endpoints, [address(IIS), address(NODE)]);
    assert_eq!(told.facts.hops[0].to, [address(IIS), address(NODE)]);
    let roots: Vec<&str> = above_info(&told).iter().filter(|f| f.root.is_none()).map(|f| f.slug.as_str()).collect();
    assert_eq!(roots, ["handshake-split-across-connections"; 2], "{:?}", slugs(&told));
}

/// A client that changes the node itself is no hop: both nodes are one side, and the handshake is torn there.
#[test]
fn a_farm_without_a_hop_is_one_side() {
    let script = case(
        r"0.000 1 open 192.0.2.7:50123 upstream=203.0.113.20:80
          0.010 1 > GET /a HTTP/1.1 | Host: app.example.test | Authorization: NTLM {negotiate}
          0.020 1 < HTTP/1.1 401 Unauthorized | Server: Microsoft-HTTPAPI/2.0 | WWW-Authenticate: NTLM {challenge a} | Content-Length: 2 || no
          0.025 2 open 192.0.2.7:50124 upstream=203.0.113.21:80
          0.030 2 > GET /a HTTP/1.1 | Host: app.example.test | Authorization: NTLM {authenticate a user=alice}
          0.040 2 < HTTP/1.1 401 Unauthorized | Server: Microsoft-IIS/10.0 | WWW-Authenticate: NTLM | Content-Length: 2 || no
          0.045 3 open 192.0.2.7:50125 upstream=203.0.113.20:80
          0.050 3 > GET /a HTTP/1.1 | Host: app.example.test | Authorization: NTLM {authenticate a user=alice}
          0.060 3 < HTTP/1.1 401 Unauthorized | Server: Microsoft-IIS/10.0 | WWW-Authenticate: NTLM | Content-Length: 2 || no
          1.0 1 close client fin
          1.1 2 close client fin
          1.2 3 close client fin
          9.0 stop",
    );
    let (all, stop) = record(&script);
    let told = diagnose(&script, all, stop, None);
    assert_eq!((told.facts.sides.len(), told.facts.hops.len()), (1, 0));
    assert!(slugs(&told).iter().any(|(slug, _)| *slug == "handshake-split-across-connections"), "{:?}", slugs(&told));
}

/// Two sites that have nothing to do with each other stay on the outermost side, beside a hop as well.
#[test]
fn unrelated_sites_are_on_the_outermost_side() {
    let parts: Vec<String> = (0..5_u32)
        .flat_map(|n| {
            let at = f64::from(n);
            let (a, b) = (u64::from(n) * 2 + 1, u64::from(n) * 2 + 2);
            [
                logon(a, &format!("192.0.2.7:{}", 50_000 + a), at, HOP, "alice"),
                logon(b, &format!("192.0.2.7:{}", 50_000 + b), at + 0.005, "198.51.100.77:80", "alice"),
            ]
        })
        .collect();
    let script = in_order(&parts, "60");
    let (all, stop) = record(&script);
    let told = diagnose(&script, all, stop, None);
    assert_eq!((told.facts.sides.len(), told.facts.hops.len()), (1, 0));
    assert!(above_info(&told).is_empty(), "{:?}", slugs(&told));
    let (all, stop) = both(&script, 0, |c, _| (c % 2 == 1).then(|| onward(c + 100, "192.0.2.10", IIS)));
    let told = diagnose(&script, all, stop, None);
    assert_eq!(told.facts.sides[0].endpoints, [address(HOP), address("198.51.100.77:80")]);
    assert_eq!(told.facts.sides[1].endpoints, [address(IIS)]);
    assert!(above_info(&told).is_empty(), "{:?}", slugs(&told));
}

/// Requests with Basic have nothing of their own. Counted twice, three refusals would be a user who is locked out soon.
#[test]
fn a_hop_is_found_by_basic_alone() {
    let mut steps = String::new();
    for n in 0..3_u32 {
        let at = f64::from(n) * 7.0;
        let text = format!(
            "{at:.3} {c} open 192.0.2.7:{port} upstream=192.0.2.10:80\n\
             {a:.3} {c} > GET /app HTTP/1.1 | Host: app.example.test | Authorization: Basic {{basic bob}}\n\
             {b:.3} {c} < HTTP/1.1 401 Unauthorized | Server: Microsoft-IIS/10.0 | WWW-Authenticate: Basic realm=\"a\" | Content-Length: 2 || no\n\
             {e:.3} {c} close client fin\n",
            c = n + 1,
            port = 50_000 + n,
            a = at + 0.01,
            b = at + 0.02,
            e = at + 0.5
        );
        steps.push_str(&text);
    }
    let script = case(&format!("{steps}60 stop\n"));
    for ip in ["192.0.2.10", "203.0.113.99"] {
        let (all, stop) = both(&script, 0, |c, _| Some(onward(c + 100, ip, IIS)));
        let told = diagnose(&script, all, stop, None);
        assert_eq!(told.facts.sides.len(), 2, "{ip}");
        assert_eq!(slugs(&told), [("credentials-rejected", None); 3], "{ip}");
    }
    // A client that asks two servers for the same is none.
    let twice = behind(&record(&script).0, 0, |c, _| Some(onward(c + 100, "192.0.2.7", IIS)));
    let (all, stop) = record(&script);
    let told = diagnose(&script, merged(vec![all, twice]), stop, None);
    assert_eq!(told.facts.sides.len(), 1);
}
