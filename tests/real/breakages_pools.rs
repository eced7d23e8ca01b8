//! Intermediaries that keep a pool of connections to the server: authtap names what the pool does to logons, and blames nobody else.

use std::path::Path;

use crate::broken::{asked, curl_with};
use crate::clients::{Answer, leg, requests_gssapi, statuses_of, stepper};
use crate::hops::{Hop, hop_behind, hop_in_front, hop_in_front_trusted, ticket_of};
use crate::ledger::{Expected, Ledger, told};
use crate::parts;
use crate::process::{command, run};
use crate::rig::{ALICE, Account, Apache, BOB, Kdc, NtlmServer, Rig, Transport};

const SPLIT: &str = "handshake-split-across-connections";
const REJECTED: &str = "credentials-rejected";
const SHARED: &str = "authenticated-connection-shared";
const INTERLEAVED: &str = "handshake-interleaved";
const CLOSED: &str = "connection-closed-mid-handshake";
/// Why other links tell more.
const BEHIND: &str = "what the hop does to the legs is seen behind it";
const SHORT: &str = "what the hop behind authtap does; what is suspected names that hop, and the password first";

type Make = fn(&str, &Rig, u16) -> Hop;

/// All that can be told in front of a hop that breaks handshakes.
const fn rejected(connections: &'static [u64]) -> Expected {
    told(REJECTED, "suspected", connections).explained_by_other_links()
}

/// How a cause shows to the clients of the hop, where those are seen too.
const fn shown(root: &'static str) -> [Expected; 2] {
    const FRONT: &str = "what the clients are told is seen in front of the hop";
    [
        told(REJECTED, "suspected", &[]).under(root).by_other_links(FRONT),
        told("ntlm-session-security", "observed", &[]).under(root).by_other_links(FRONT),
    ]
}

/// A cause and how it shows.
const fn with_shown(root: Expected, [rejected, weak]: [Expected; 2]) -> [Expected; 3] {
    [root, rejected, weak]
}

/// What is proved where the hop in front is believed.
const fn shared() -> [Expected; 1] {
    [told(SHARED, "observed", &[1])]
}

/// curl offers no 128-bit keys.
const fn weak(connections: &'static [u64]) -> Expected {
    told("ntlm-session-security", "observed", connections).under(REJECTED)
}

/// Two `curl --ntlm` at once, whose legs meet in the given order.
fn curls(rig: &Rig, order: &str, port: u16, server: u16, accounts: &[Account]) -> Vec<Answer> {
    let mut command = rig.python("stepper.py");
    parts::asks(port, "curl");
    command.args([order, "--curl", "--url", &rig.url(port, "/page"), "--control", &rig.url(server, "/")]);
    for account in accounts {
        command.args(["--user", &account.qualified(), "--password", account.password]);
    }
    let said = run("stepper with curl", command).stdout;
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a client gets that has no credentials, or alice's Kerberos ticket, and comes from an address of its own.
fn from(rig: &Rig, port: u16, address: &str, ticket: Option<(&Kdc, &Path)>) -> u16 {
    let mut client = command("curl");
    let mut options = vec!["--interface", address];
    if let Some((kdc, ticket)) = ticket {
        kdc.give_ticket(&mut client);
        client.env("KRB5CCNAME", format!("FILE:{}", ticket.display()));
        options.extend(["--negotiate", "--user", ":"]);
    }
    asked(client, rig, port, "/page", options)
}

fn ntlm_from(rig: &Rig, port: u16, address: &str, account: Account) -> u16 {
    let user = format!("{}:{}", account.qualified(), account.password);
    curl_with(rig, port, "/page", ["--interface", address, "--ntlm", "--user", &user])
}

/// Puts the pool in front of authtap and behind it, and lets the clients' legs meet in it in the given order.
fn pool(
    name: &str,
    ledger: &mut Ledger,
    hop: Make,
    (curl, order, accounts): (bool, &str, &[Account]),
    [front, behind]: [&[Expected]; 2],
) {
    let clients = if curl { curls } else { stepper };
    let file = &name.replace(' ', "-");
    for (place, expected) in [("in front", front), ("behind", behind)] {
        // A server of its own: it remembers whom it has let go.
        let (rig, hops) = (Rig::new(Transport::Plain), Rig::new(Transport::Plain));
        let server = NtlmServer::start(&rig);
        let ask = |port| {
            let answers = clients(&rig, order, port, server.port, accounts);
            for account in accounts {
                assert_eq!(leg(&answers, *account, "authenticate").status, 401, "{answers:?}");
            }
        };
        let diagnosis = if place == "in front" {
            hop_in_front(file, &rig, server.port, |port| hop(file, &hops, port), ask)
        } else {
            hop_behind(file, &rig, hop(file, &hops, server.port), ask)
        };
        if place == "behind" {
            ledger.short_of(SHORT);
        }
        ledger.judge(&format!("{name}, {place}"), &diagnosis, expected);
    }
}

fn nginx(name: &str, rig: &Rig, port: u16) -> Hop {
    Hop::nginx(name, rig, &[port], 4, "", "")
}

fn apache(name: &str, rig: &Rig, port: u16) -> Hop {
    Hop::apache(name, rig, port, "", "")
}

/// When this fails, people behind a pooling nginx or Apache are told to mind their passwords.
#[test]
fn breakage_pools_that_mix_handshakes() {
    let mut ledger = Ledger::default();
    let both = &[ALICE, BOB][..];
    let crossed = with_shown(told(SPLIT, "observed", &[2, 1]), shown(SPLIT));
    let stray = with_shown(told(SPLIT, "observed", &[1, 2]), shown(SPLIT));
    let interleaved = with_shown(told(INTERLEAVED, "observed", &[1]), shown(INTERLEAVED));
    // From the clients' side each handshake is whole, and only the hop's name in the answer makes it doubtful.
    let split_behind = told(SPLIT, "observed", &[]).by_other_links(BEHIND);
    let refused = [rejected(&[3, 4]), split_behind];
    let refused_curls = [rejected(&[3, 4]), weak(&[3]), split_behind];
    let refused_one = [rejected(&[2]), weak(&[2]), split_behind];
    let refused_two = [rejected(&[1, 2]), weak(&[1]), told(INTERLEAVED, "observed", &[]).by_other_links(BEHIND)];
    for (what, hop) in [("nginx", nginx as Make), ("mod_proxy", apache)] {
        let mut pool = |how: &str, curl, order, accounts, expected| {
            pool(&format!("{how} in the pool of {what}"), &mut ledger, hop, (curl, order, accounts), expected);
        };
        pool("two clients crossed", false, "crossed", both, [&crossed[..], &refused]);
        pool("two curl --ntlm crossed", true, "crossed", both, [&crossed, &refused_curls]);
        pool("a curl --ntlm gone astray", true, "stray", &both[..1], [&stray, &refused_one]);
        pool("two curl --ntlm interleaved", true, "interleaved", both, [&interleaved, &refused_two]);
    }
    ledger.close();
}

/// When this fails, nobody learns that a pool shows people other people's data, for no 401 shows it.
#[test]
fn breakage_pools_that_hand_over_a_kerberos_logon() {
    let rig = Rig::new(Transport::Plain);
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    let mut ledger = Ledger::default();
    let ask = |port| {
        assert_eq!(from(&rig, port, "127.0.0.2", Some((&kdc, &kdc.ticket))), 200);
        assert_eq!(from(&rig, port, "127.0.0.3", None), 200, "a pool logs nobody on");
    };
    let forwarded = "proxy_set_header X-Forwarded-For $remote_addr;";
    let nginx = |port| Hop::nginx("nginx", &rig, &[port], 4, "", forwarded);
    ledger.judge(
        "nginx pool, preemptive Kerberos",
        &hop_in_front_trusted("k-nginx", &rig, apache.port, nginx, ask),
        &shared(),
    );
    let preemptive = |port| {
        let answers = requests_gssapi(&rig, port, "/page", &kdc, &["--preemptive"]);
        assert_eq!(statuses_of(&answers), [200]);
        assert_eq!(from(&rig, port, "127.0.0.3", None), 200, "a pool logs nobody on");
    };
    let nginx_again = |port| Hop::nginx("nginx-requests", &rig, &[port], 4, "", forwarded);
    let diagnosis = hop_in_front_trusted("k-requests", &rig, apache.port, nginx_again, preemptive);
    let doubtful = [told(SHARED, "suspected", &[1])];
    ledger.short_of("only suspected: this client has the proxy's own address, for which nobody else vouches");
    ledger.judge("nginx pool, requests-gssapi's ticket unasked", &diagnosis, &doubtful);
    let always = "http-reuse always\n    option forwardfor";
    let haproxy = |port| Hop::haproxy("haproxy", &rig, &[port], "", always);
    ledger.judge(
        "HAProxy http-reuse always, preemptive Kerberos",
        &hop_in_front_trusted("k-haproxy", &rig, apache.port, haproxy, ask),
        &shared(),
    );
    let other = Rig::new(Transport::Plain);
    let proxy = |port| Hop::apache("proxy", &other, port, "", "");
    ledger.judge(
        "Apache mod_proxy, preemptive Kerberos",
        &hop_in_front_trusted("k-apache", &rig, apache.port, proxy, ask),
        &shared(),
    );
    // Names stand in the tickets, which nobody can read. That two tickets take turns can be seen.
    kdc.change(&format!("addprinc -pw {} {}", BOB.password, BOB.user));
    let (alice, bob) = (kdc.ticket.clone(), ticket_of(&kdc, &rig, BOB.user, BOB.password));
    let turns = |port| {
        for ticket in [&alice, &bob, &alice] {
            assert_eq!(from(&rig, port, "127.0.0.2", Some((&kdc, ticket))), 200);
        }
    };
    let nginx = |port| self::nginx("nginx-turns", &rig, port);
    let diagnosis = hop_in_front("k-turns", &rig, apache.port, nginx, turns);
    ledger.short_of("only suspected: names are not to be read in tickets, and no field names the clients");
    ledger.judge("nginx pool, two users' tickets in turn", &diagnosis, &[told(SHARED, "suspected", &[1])]);
    // Nobody who asks without credentials is refused: to the clients' side this is a site that lets everybody in.
    let hop = Hop::haproxy("haproxy-behind", &rig, &[apache.port], "", always);
    ledger.short_of("that strangers get in: in front of the hop each of them looks as if nobody had to log on");
    ledger.judge("HAProxy http-reuse always behind, preemptive Kerberos", &hop_behind("k-behind", &rig, hop, ask), &[]);
    ledger.close();
}

/// When this fails, either a pool that hands over NTLM logons is missed, or an intermediary that pins properly is accused.
#[test]
fn breakage_pools_and_who_is_logged_on_by_ntlm() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start(&rig);
    let mut ledger = Ledger::default();
    let then = |status| {
        let rig = &rig;
        move |port| {
            assert_eq!(ntlm_from(rig, port, "127.0.0.2", ALICE), 200);
            assert_eq!(from(rig, port, "127.0.0.3", None), status);
        }
    };
    let other = Rig::new(Transport::Plain);
    let proxy = |port| Hop::apache("proxy", &other, port, "", "");
    let diagnosis = hop_in_front_trusted("apache", &rig, server.port, proxy, then(200));
    ledger.judge("Apache mod_proxy, NTLM", &diagnosis, &shared());
    let haproxy = |port| Hop::haproxy("haproxy", &rig, &[port], "", "http-reuse always\n    option forwardfor");
    let diagnosis = hop_in_front_trusted("haproxy", &rig, server.port, haproxy, then(401));
    ledger.judge("HAProxy http-reuse always pins NTLM", &diagnosis, &[]);
    let other = NtlmServer::start(&rig);
    let haproxy = |port| Hop::haproxy("haproxy-crossed", &rig, &[port], "", "http-reuse always");
    let diagnosis = hop_in_front("haproxy-crossed", &rig, other.port, haproxy, |port| {
        let answers = stepper(&rig, "crossed", port, other.port, &[ALICE, BOB]);
        for account in [ALICE, BOB] {
            assert_eq!(leg(&answers, account, "authenticate").status, 200, "{answers:?}");
        }
    });
    ledger.judge("HAProxy http-reuse always pins two at once", &diagnosis, &[]);
    let refused = |port| assert_eq!(ntlm_from(&rig, port, "127.0.0.2", ALICE), 401);
    let haproxy = |port| Hop::haproxy("haproxy-closes", &rig, &[port], "", "option http-server-close");
    let diagnosis = hop_in_front("haproxy-closes", &rig, server.port, haproxy, refused);
    ledger.judge(
        "HAProxy http-server-close, in front",
        &diagnosis,
        &with_shown(told(CLOSED, "observed", &[1]), shown(CLOSED)),
    );
    let hop = Hop::haproxy("haproxy-closes-behind", &rig, &[server.port], "", "option http-server-close");
    let diagnosis = hop_behind("haproxy-closes-behind", &rig, hop, refused);
    ledger.short_of(SHORT);
    ledger.judge(
        "HAProxy http-server-close, behind",
        &diagnosis,
        &[rejected(&[1]), weak(&[1]), told(CLOSED, "observed", &[]).by_other_links(BEHIND)],
    );
    ledger.close();
}

/// When this fails, an Apache that does not pool, or not at first, is called something else.
#[test]
fn breakage_apache_that_does_not_keep_connections() {
    let mut ledger = Ledger::default();
    let server_rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start(&server_rig);
    let closes: Make = |name, rig, port| Hop::apache(name, rig, port, "disablereuse=On", "");
    let at_first: Make = |name, rig, port| Hop::apache(name, rig, port, "", "SetEnv proxy-initial-not-pooled 1");
    // The stepper asks without credentials first.
    let ended = with_shown(told(CLOSED, "observed", &[2]), shown(CLOSED));
    let closed_behind = told(CLOSED, "observed", &[]).by_other_links(BEHIND);
    let refused = [rejected(&[1]), closed_behind];
    let ask = |status| {
        let (rig, server) = (&server_rig, server.port);
        move |port| {
            let answers = stepper(rig, "whole", port, server, &[ALICE]);
            assert_eq!(leg(&answers, ALICE, "authenticate").status, status, "{answers:?}");
        }
    };
    let hops = Rig::new(Transport::Plain);
    let diagnosis = hop_in_front("closes", &server_rig, server.port, |port| closes("closes", &hops, port), ask(401));
    ledger.judge("Apache, disablereuse, in front", &diagnosis, &ended);
    let diagnosis = hop_behind("closes-behind", &server_rig, closes("closes-behind", &hops, server.port), ask(401));
    ledger.short_of(SHORT);
    ledger.judge("Apache, disablereuse, behind", &diagnosis, &refused);
    let diagnosis = hop_in_front("alone", &server_rig, server.port, |port| at_first("alone", &hops, port), ask(200));
    ledger.judge("Apache, proxy-initial-not-pooled, one client", &diagnosis, &[]);
    // Each client begins on a connection of its own, and goes on over the one that was used last: bob's, for both.
    let [shown, _] = shown(SPLIT);
    let torn = [shown, told(SPLIT, "observed", &[2, 1]), told(INTERLEAVED, "observed", &[2]).under(SPLIT)];
    let refused_two = [
        rejected(&[1, 2]),
        told(SPLIT, "observed", &[]).by_other_links(BEHIND),
        told(INTERLEAVED, "observed", &[]).under(SPLIT).by_other_links(BEHIND),
    ];
    pool(
        "two clients in the pool of mod_proxy with proxy-initial-not-pooled",
        &mut ledger,
        at_first,
        (false, "interleaved", &[ALICE, BOB]),
        [&torn, &refused_two],
    );
    ledger.close();
}
