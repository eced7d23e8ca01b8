//! Hops that take headers away, join them, shorten them, or find them too long.

use crate::authtap::Diagnosis;
use crate::broken::{asked, curl_with};
use crate::clients::{curl, curl_kerberos, requests_ntlm, statuses_of};
use crate::hops::{Hop, hop_behind, hop_in_front, ticket_of};
use crate::ledger::{Expected, Ledger, told};
use crate::process::command;
use crate::rig::{ALICE, Apache, Kdc, NtlmServer, Rig, Transport};

const SHORT: &str =
    "if ($http_authorization ~ \"^(.{0,120})\") { set $short $1; } proxy_set_header Authorization $short;";

type Ask<'a> = &'a dyn Fn(u16);
type Make<'a> = &'a dyn Fn(&str, u16) -> Hop;
/// What ought to be told, and what one would wish for besides.
type Told<'a> = (&'a [Expected], &'static str);

/// curl offers no 128-bit keys.
const fn weak() -> Expected {
    told("ntlm-session-security", "observed", &[1]).under("credentials-rejected")
}

fn judge(ledger: &mut Ledger, name: &str, diagnosis: &Diagnosis, expected: Told) {
    let (expected, wish) = expected;
    if !wish.is_empty() {
        ledger.short_of(wish);
    }
    ledger.judge(name, diagnosis, expected);
}

/// When this fails, a field that a hop takes away is hunted at the client or the server.
#[test]
fn breakage_fields_that_a_hop_takes_away() {
    let rig = Rig::new(Transport::Plain);
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    let server = NtlmServer::start(&rig);
    let mut ledger = Ledger::default();
    let ntlm = |port| assert_eq!(curl(&rig, port, "--ntlm", ALICE, &["/page"]), [401]);
    let kerberos = |port| {
        assert_eq!(curl_kerberos(&rig, port, &kdc, &["/page"]), [401]);
        assert_eq!(curl_kerberos(&rig, port, &kdc, &["/page"]), [401]);
    };
    let basic = |port| {
        let user = format!("{}:{}", ALICE.qualified(), ALICE.password);
        assert_eq!(curl_with(&rig, port, "/basic/page", ["--basic", "--user", &user]), 401);
    };
    let behind_alone = "what the clients are told is seen in front of the hop";
    let malformed = told("authorization-malformed", "observed", &[1]);
    let malformed_behind = malformed.by_other_links("the shortened field is seen behind the hop");
    let challenge = told("challenge-missing", "observed", &[1]);
    let wrong_key = told("kerberos-wrong-key", "suspected", &[2, 1]);
    let password = told("credentials-rejected", "inferred", &[1]);
    let refused = told("credentials-rejected", "suspected", &[1]);
    let none = "proxy_set_header Authorization \"\";";
    let hides = "proxy_hide_header WWW-Authenticate;";
    // A miss: each of two tries is seen on three links, and counted there.
    let again = told("retry-loop", "observed", &[]).under("authorization-malformed").by_other_links(behind_alone);
    let unasked = "what its client does not get: that it goes away tells it only with time";
    let silent = "that the hop takes `Authorization` away: its client seems to bring none, and goes away";
    let taken = "that the hop takes `Authorization` away, of which the answer says nothing";
    let cut = "that the hop shortens `Authorization`, of which the answer says nothing";
    let cases: [(&str, &str, u16, Ask, [Told; 2]); 6] = [
        (
            "nginx hides the challenges of NTLM",
            hides,
            server.port,
            &ntlm,
            [(&[challenge.by_other_links(behind_alone)], unasked), (&[challenge], "")],
        ),
        ("nginx takes NTLM away", none, server.port, &ntlm, [(&[], silent), (&[], taken)]),
        (
            "nginx takes tickets away",
            none,
            apache.port,
            &kerberos,
            [(&[wrong_key.by_other_links(behind_alone)], silent), (&[wrong_key], taken)],
        ),
        (
            "nginx takes Basic away",
            none,
            apache.port,
            &basic,
            [(&[password.by_other_links(behind_alone)], silent), (&[password], taken)],
        ),
        (
            "nginx shortens NTLM",
            SHORT,
            server.port,
            &ntlm,
            [
                (&[malformed, refused.by_other_links(behind_alone), weak().by_other_links(behind_alone)], ""),
                (&[refused, weak(), malformed_behind], cut),
            ],
        ),
        (
            "nginx shortens tickets",
            SHORT,
            apache.port,
            &kerberos,
            [(&[malformed, wrong_key.by_other_links(behind_alone), again], ""), (&[wrong_key, malformed_behind], cut)],
        ),
    ];
    for (name, settings, server, ask, [front, behind]) in cases {
        let file = &name.replace(' ', "-");
        let diagnosis = hop_in_front(file, &rig, server, |port| Hop::nginx(file, &rig, &[port], 4, "", settings), ask);
        judge(&mut ledger, &format!("{name}, in front"), &diagnosis, front);
        let hop = Hop::nginx(&format!("{file}-hop"), &rig, &[server], 4, "", settings);
        let diagnosis = hop_behind(&format!("{file}-behind"), &rig, hop, ask);
        judge(&mut ledger, &format!("{name}, behind"), &diagnosis, behind);
    }
    ledger.close();
}

/// When this fails, an administrator is told to mend a list that all his clients read.
#[test]
fn breakage_challenges_in_one_line() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start(&rig);
    let mut ledger = Ledger::default();
    let fold = "http-response set-header WWW-Authenticate \"Negotiate, NTLM\" if { res.fhdr_cnt(www-authenticate) 2 }";
    let hop = Hop::haproxy("folds", &rig, &[server.port], "", fold);
    let diagnosis = hop_behind("folds", &rig, hop, |port| {
        assert_eq!(curl(&rig, port, "--ntlm", ALICE, &["/page"]), [200]);
        assert_eq!(statuses_of(&requests_ntlm(&rig, port, "/page", ALICE, &[])), [200]);
    });
    ledger.judge("HAProxy folds the challenges", &diagnosis, &[]);
    ledger.close();
}

/// When this fails, users with long tokens are told to mind their passwords.
#[test]
fn breakage_tokens_that_are_too_long_for_a_hop() {
    let rig = Rig::new(Transport::Plain);
    let mut kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    // Groups make a ticket long on Windows; here it is the name, which stands in the ticket and beside it.
    let user = "a".repeat(1_500);
    kdc.change(&format!("addprinc -pw {} {user}", ALICE.password));
    kdc.ticket = ticket_of(&kdc, &rig, &user, ALICE.password);
    let mut ledger = Ledger::default();
    let with_cookies = |bytes| {
        let (rig, kdc) = (&rig, &kdc);
        move |port| {
            let mut client = command("curl");
            kdc.give_ticket(&mut client);
            let cookie = format!("Cookie: session={}", "s".repeat(bytes));
            let options = ["--negotiate", "--user", ":", "--header", &cookie];
            assert_eq!(asked(client, rig, port, "/page", options), 400);
        }
    };
    let other = Rig::new(Transport::Plain);
    let nginx = |name: &str, port| Hop::nginx(name, &rig, &[port], 4, "large_client_header_buffers 4 4k;", "");
    let haproxy = |name: &str, port| Hop::haproxy(name, &rig, &[port], "", "");
    let limited = |name: &str, port| Hop::apache(name, &other, port, "", "LimitRequestFieldSize 4094");
    let hops: [(&str, Make, usize, &str); 3] = [
        ("nginx", &nginx, 1, "observed"),
        ("haproxy", &haproxy, 12_000, "suspected"),
        ("apache", &limited, 1, "observed"),
    ];
    for (name, hop, cookies, basis) in hops {
        // What a hop in front refuses never comes to authtap.
        let diagnosis = hop_in_front(name, &rig, apache.port, |port| hop(name, port), with_cookies(cookies));
        ledger.short_of("what never comes to authtap");
        let elsewhere =
            told("intermediate-header-limit", basis, &[]).by_other_links("the hop refuses in front of authtap");
        ledger.judge(&format!("a token that is too long for {name}, in front"), &diagnosis, &[elsewhere]);
        let behind = format!("{name}-behind");
        let diagnosis = hop_behind(&behind, &rig, hop(&behind, apache.port), with_cookies(cookies));
        let limit = told("intermediate-header-limit", basis, &[1]);
        ledger.judge(&format!("a token that is too long for {name}, behind"), &diagnosis, &[limit]);
    }
    // A hop that takes it, in front of a server that does not.
    let wide = |port| Hop::nginx("wide", &rig, &[port], 4, "large_client_header_buffers 4 64k;", "");
    let diagnosis = hop_in_front("wide", &rig, apache.port, wide, with_cookies(9_000));
    let limit = told("intermediate-header-limit", "observed", &[1]);
    ledger.judge("a head that is too long for the server behind a wide nginx", &diagnosis, &[limit]);
    ledger.close();
}
