//! What is told of two sides: whose word counts, what follows from what, and what only both together show.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use authtap::model::event::{Gap, GapWhat, What};
use authtap::wire::observation::{Observation, Seen};

use super::super::player::record;
use super::diagnose;
use super::links::{behind, merged, onward};
use super::stories::{IIS, above_info, both, case, connections, crossed, slugs, torn_script};

/// A hop that takes the challenges off the answers is caught by its two sides, and by nothing else.
#[test]
fn what_the_hop_took_away_is_told() {
    let steps = |offer: &str| {
        case(&format!(
            "0.0 1 open 192.0.2.7:50123 upstream=192.0.2.10:80\n\
             0.1 1 > GET /app HTTP/1.1 | Host: app.example.test | User-Agent: Edge\n\
             0.2 1 < HTTP/1.1 401 Unauthorized | Server: Microsoft-IIS/10.0 |{offer} Content-Length: 2 || no\n\
             1.0 1 close client fin\n90.0 stop\n"
        ))
    };
    let (without, with) = (steps(""), steps(" WWW-Authenticate: Negotiate | WWW-Authenticate: NTLM |"));
    let inner = behind(&record(&with).0, 0, |c, _| Some(onward(c + 100, "192.0.2.10", IIS)));
    let (outer, stop) = record(&without);
    let told = diagnose(&without, merged(vec![outer, inner]), stop, None);
    assert_eq!(told.facts.sides.len(), 2);
    let missing = told.findings().into_iter().find(|f| f.slug == "challenge-missing").expect("it");
    assert!(missing.summary.contains("The hop 192.0.2.10:80 took WWW-Authenticate off the answer"), "{missing:?}");
    assert!(missing.evidence.iter().any(|e| e.connection.is_some_and(|c| c.0 == 101)), "{missing:?}");
}

/// What the client does about a torn handshake is no second defect, on whichever side it is counted.
#[test]
fn what_follows_from_a_torn_handshake_stands_under_it() {
    let mut steps = "0.000 1 open 192.0.2.7:50123 upstream=192.0.2.10:80\n".to_owned();
    for n in 0..8_u32 {
        let t = |more: f64| format!("{:.3}", f64::from(n) + more);
        write!(
            steps,
            "{} 1 > GET /a HTTP/1.1 | Host: app.example.test | User-Agent: Edge | Authorization: NTLM {{negotiate}}\n\
             {} 1 < HTTP/1.1 401 Unauthorized | Server: Microsoft-HTTPAPI/2.0 | WWW-Authenticate: NTLM {{challenge c{n}}} | Content-Length: 2 || no\n\
             {} 1 > GET /a HTTP/1.1 | Host: app.example.test | User-Agent: Edge | Authorization: NTLM {{authenticate c{n} user=alice}}\n\
             {} 1 < HTTP/1.1 401 Unauthorized | Server: Microsoft-IIS/10.0 | WWW-Authenticate: NTLM | Content-Length: 2 || no\n",
            t(0.10),
            t(0.12),
            t(0.14),
            t(0.16)
        )
        .expect("text");
    }
    let script = case(&format!("{steps}9.0 1 close client fin\n60 stop\n"));
    // Each request takes the next connection of four.
    let (all, stop) = both(&script, 0, |_, e| Some(onward(u64::from(e % 4) + 10, "192.0.2.10", IIS)));
    let told = diagnose(&script, all, stop, None);
    let split = "handshake-split-across-connections";
    for f in above_info(&told) {
        assert!(f.slug == split || f.root.as_deref() == Some(split), "{} because of {:?}", f.slug, f.root);
    }
    let told: BTreeSet<&str> = slugs(&told).into_iter().map(|(slug, _)| slug).collect();
    for slug in [split, "credentials-rejected", "retry-loop", "lockout-risk"] {
        assert!(told.contains(slug), "{slug} is missing: {told:?}");
    }
}

/// The side that knows better is the one that is told, whichever it is.
#[test]
fn the_stronger_basis_stays() {
    let refusal = |server: &str| {
        case(&format!(
            "0.000 1 open 192.0.2.7:50123 upstream=192.0.2.10:80\n\
             0.010 1 > GET /a HTTP/1.1 | Host: app.example.test | Authorization: NTLM {{negotiate}}\n\
             0.020 1 < HTTP/1.1 401 Unauthorized | Server: {server} | WWW-Authenticate: NTLM {{challenge a}} | Content-Length: 2 || no\n\
             0.030 1 > GET /a HTTP/1.1 | Host: app.example.test | Authorization: NTLM {{authenticate a}}\n\
             0.040 1 < HTTP/1.1 401 Unauthorized | Server: {server} | WWW-Authenticate: NTLM | Content-Length: 2 || no\n\
             1.0 1 close client fin\n9.0 stop\n"
        ))
    };
    let (iis, other) = (refusal("Microsoft-IIS/10.0"), refusal("gateway"));
    for (outer, inner, first) in [(&other, &iis, 101), (&iis, &other, 1)] {
        let (before, stop) = record(outer);
        let behind = behind(&record(inner).0, 0, |c, _| Some(onward(c + 100, "192.0.2.10", IIS)));
        let told = diagnose(outer, merged(vec![before, behind]), stop, None);
        let [refused] = above_info(&told)[..] else { panic!("{:?}", slugs(&told)) };
        assert_eq!((refused.slug.as_str(), refused.basis.name()), ("credentials-rejected", "inferred"));
        assert_eq!(refused.connections[0].0, first);
        assert_eq!(connections(refused), BTreeSet::from([1, 101]));
    }
}

/// A hop that takes the credentials off the requests: who sees one side only looks for them at the client.
#[test]
fn credentials_that_the_hop_took_away_are_told() {
    let steps = |credentials: &str| {
        let mut text = "0.000 1 open 192.0.2.7:50123 upstream=192.0.2.10:80\n".to_owned();
        for n in 0..3_u32 {
            write!(
                text,
                "{n}.010 1 > GET /a HTTP/1.1 | Host: app.example.test |{credentials} User-Agent: Edge\n\
                 {n}.020 1 < HTTP/1.1 401 Unauthorized | Server: Microsoft-IIS/10.0 | WWW-Authenticate: Basic realm=\"a\" | Content-Length: 2 || no\n"
            )
            .expect("text");
        }
        case(&format!("{text}9.0 1 close client fin\n60 stop\n"))
    };
    let (with, without) = (steps(" Authorization: Basic {basic bob} |"), steps(""));
    let inner = behind(&record(&without).0, 0, |c, _| Some(onward(c + 100, "192.0.2.10", IIS)));
    let (outer, stop) = record(&with);
    let told = diagnose(&with, merged(vec![outer, inner]), stop, None);
    let refused = told.findings().into_iter().find(|f| f.slug == "credentials-rejected").expect("it");
    assert!(
        refused.summary.contains("The hop 192.0.2.10:80 took Authorization off the request: most likely"),
        "what its target and its time tell is no proof: {refused:?}"
    );
}

/// What concerns all sides is told once, and counted once.
#[test]
fn what_concerns_all_sides_is_told_once() {
    let script = torn_script();
    let (mut all, stop) = both(&script, 0, |c, e| Some(crossed(c, e)));
    let at = all[0].at;
    let gap = Gap { connection: None, what: GapWhat::QueueFull { dropped: 7 } };
    all.insert(0, Observation { at, what: Seen::Gap(gap) });
    all.insert(0, Observation { at, what: Seen::Start(Box::default()) });
    let told = diagnose(&script, all, stop, None);
    let count = |wanted: fn(&What) -> bool| told.events.iter().filter(|e| wanted(&e.what)).count();
    assert_eq!(count(|what| matches!(what, What::Start(_))), 1);
    assert_eq!(count(|what| matches!(what, What::Gap(_))), 1);
    assert_eq!(told.totals().dropped, 7);
}

/// When this fails, who hands over packets that a key log opens is sent to look for an authtap that ends their TLS.
#[test]
fn of_packets_nothing_is_authtaps_doing() {
    let mut told_in_all = 0;
    for (slug, name, case) in super::super::cases() {
        if !["client-certificate-not-relayed", "client-certificate-required", "ip-restricted"].contains(&slug.as_str())
        {
            continue;
        }
        let (mut observations, stop) = record(&case);
        observations.retain(|o| !matches!(o.what, Seen::Start(_)));
        let told = diagnose(&case, observations, stop, None);
        // No packets show two certificates of one connection.
        for finding in told.findings().into_iter().filter(|f| f.slug != "proxy-certificate-breaks-epa") {
            assert_ne!(finding.slug, "client-certificate-not-relayed", "{slug}/{name}");
            assert_ne!(finding.root.as_deref(), Some("client-certificate-not-relayed"), "{slug}/{name}");
            assert!(!finding.summary.contains("authtap"), "{slug}/{name}: {}", finding.summary);
            told_in_all += 1;
        }
    }
    assert!(told_in_all > 4, "only {told_in_all} findings");
}
