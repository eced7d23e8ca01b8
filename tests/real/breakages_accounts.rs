//! Users that do not exist, tickets that have ended, bindings that do not fit, and servers that end connections.

use crate::authtap::Authtap;
use crate::breakages::by;
use crate::broken::{asked, fetch_service_ticket};
use crate::clients::{curl, curl_kerberos, requests_gssapi, requests_ntlm, statuses_of, stepper};
use crate::hops::{Hop, hop_behind, hop_in_front};
use crate::ledger::{Expected, Ledger, between, told};
use crate::process::{Process, command};
use crate::rig::{ALICE, Account, Apache, Kdc, NtlmServer, Rig, SITE, Transport};

const NOBODY: Account = Account { user: "nobody", password: "nobody-test-password" };

/// When this fails, a mistyped name is called something else than a refused logon.
#[test]
fn breakage_users_that_do_not_exist() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start(&rig);
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    let mut ledger = Ledger::default();
    let diagnosis = between("ntlm", &rig, server.port, |port| {
        assert_eq!(statuses_of(&requests_ntlm(&rig, port, "/", NOBODY, &[])), [401]);
    });
    ledger.judge("requests-ntlm, an unknown user", &diagnosis, &[told("credentials-rejected", "suspected", &[1])]);
    let diagnosis = between("ntlm-curl", &rig, server.port, |port| {
        assert_eq!(curl(&rig, port, "--ntlm", NOBODY, &["/"]), [401]);
    });
    ledger.judge(
        "curl --ntlm, an unknown user",
        &diagnosis,
        &[
            told("credentials-rejected", "suspected", &[1]),
            // curl offers no 128-bit keys.
            told("ntlm-session-security", "observed", &[1]).under("credentials-rejected"),
        ],
    );
    for scheme in ["basic", "digest"] {
        let diagnosis = between(scheme, &rig, apache.port, |port| {
            assert_eq!(by(&rig, port, scheme, &format!("/{scheme}/page"), NOBODY), 401);
        });
        ledger.judge(
            &format!("curl --{scheme}, an unknown user"),
            &diagnosis,
            &[told("credentials-rejected", "inferred", &[1])],
        );
    }
    ledger.close();
}

/// When this fails, authtap claims to know why a client has no ticket, which no wire to the server shows.
#[test]
fn breakage_a_client_that_gets_no_ticket() {
    let rig = Rig::new(Transport::Plain);
    let mut kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    let mut ledger = Ledger::default();
    let tickets = rig.path("no-tickets");
    for (name, user) in [("wrong-password", ALICE), ("unknown-user", NOBODY)] {
        let mut kinit = command("sh");
        kinit.args(["-c", "echo \"$1\" | kinit \"$2\"", "sh", "not-the-test-password", user.user]);
        kinit.env("KRB5_CONFIG", &kdc.configuration).env("KRB5CCNAME", format!("FILE:{}", tickets.display()));
        assert!(!Process::spawn("kinit", kinit).finish().status.success(), "kinit let {name} in");
        let with = std::mem::replace(&mut kdc.ticket, tickets.clone());
        let diagnosis = between(name, &rig, apache.port, |port| {
            assert_eq!(curl_kerberos(&rig, port, &kdc, &["/kerberos/page"]), [401]);
            assert_eq!(statuses_of(&requests_gssapi(&rig, port, "/kerberos/page", &kdc, &[])), [401]);
        });
        kdc.ticket = with;
        ledger.short_of("why the client has no ticket: the KDC does not answer by this way");
        ledger.judge(&format!("kinit failed: {name}"), &diagnosis, &[]);
    }
    // A ticket for the realm that has ended: the client does not get one for the site, and sends none.
    let diagnosis = between("ended", &rig, apache.port, |port| {
        let mut client = command("faketime");
        client.args(["-m", "-f", "+2h", "curl"]);
        kdc.give_ticket(&mut client);
        assert_eq!(asked(client, &rig, port, "/kerberos/page", ["--negotiate", "--user", ":"]), 401);
    });
    ledger.short_of("that the ticket has ended: a client without one for the site sends none");
    ledger.judge("a ticket for the realm that has ended", &diagnosis, &[]);
    ledger.close();
}

/// When this fails, a ticket that has ended is laid to the SPN or the password.
#[test]
fn breakage_a_ticket_that_has_ended() {
    let rig = Rig::new(Transport::Plain);
    let kdc = Kdc::start(&rig);
    kdc.change(&format!("modprinc -maxlife 5minutes HTTP/{SITE}"));
    fetch_service_ticket(&kdc);
    let apache = Apache::start_with(&rig, &kdc, &kdc.keytab, "+11m");
    let mut ledger = Ledger::default();
    let diagnosis = between("ended", &rig, apache.port, |port| {
        assert_eq!(curl_kerberos(&rig, port, &kdc, &["/page"]), [401]);
    });
    ledger.judge("a service ticket that has ended", &diagnosis, &[told("kerberos-error", "observed", &[1])]);
    ledger.close();
}

/// When this fails, users of a site with Extended Protection are told to mind their passwords, or a working site is called broken.
#[test]
fn breakage_extended_protection() {
    const REJECTED: Expected = told("credentials-rejected", "suspected", &[1]);
    let rig = Rig::new(Transport::Tls);
    let server = NtlmServer::start_with(&rig, &["--epa"]);
    let mut ledger = Ledger::default();
    let ask = |port| assert_eq!(statuses_of(&requests_ntlm(&rig, port, "/", ALICE, &[])), [401]);
    // From here on whoever starts shows another certificate.
    let authtap = Authtap::start_as("terminated", &rig, server.port);
    rig.renew_certificate();
    let hop = Hop::nginx("terminates", &rig, &[authtap.port], 4, "", "");
    ask(hop.port);
    hop.stop();
    let foreign = [told("channel-binding-foreign", "observed", &[1]), REJECTED.under("channel-binding-foreign")];
    ledger.judge("nginx in front ends TLS with a certificate of its own", &authtap.stop(), &foreign);
    let hop = Hop::nginx("terminates-behind", &rig, &[server.port], 4, "", "");
    let diagnosis = hop_behind("terminated-behind", &rig, hop, ask);
    let behind = [
        REJECTED.explained_by_other_links(),
        told("channel-binding-foreign", "observed", &[])
            .by_other_links("the server's certificate is seen behind the hop"),
    ];
    ledger.short_of("the certificate behind the hop; what is suspected names that hop, and the password first");
    ledger.judge("nginx behind ends TLS with a certificate of its own", &diagnosis, &behind);
    ledger.close();
}

/// When this fails, a server that ends its connections looks like a wrong password.
#[test]
fn breakage_servers_that_end_connections() {
    let rig = Rig::new(Transport::Plain);
    let mut ledger = Ledger::default();
    for (name, option) in [("announced", "--announce-close"), ("unannounced", "--drop-after-challenge")] {
        let server = NtlmServer::start_with(&rig, &[option]);
        let clients = |port| {
            let answers = stepper(&rig, "reconnecting", port, server.port, &[ALICE]);
            assert_eq!(answers.last().unwrap().status, 401, "{answers:?}");
        };
        let ended = told("connection-closed-mid-handshake", "observed", &[1]);
        ledger.judge(
            &format!("a server that ends connections, {name}"),
            &between(name, &rig, server.port, clients),
            &[ended],
        );
    }
    // nginx keeps its client, and goes on over a new connection.
    let server = NtlmServer::start_with(&rig, &["--announce-close"]);
    let refused = |port| assert_eq!(curl(&rig, port, "--ntlm", ALICE, &["/"]), [401]);
    let nginx = |name: &str, port| Hop::nginx(name, &rig, &[port], 4, "", "");
    let diagnosis = hop_in_front("front", &rig, server.port, |port| nginx("front", port), refused);
    let ended = told("connection-closed-mid-handshake", "observed", &[1]);
    let front = "what the clients are told is seen in front of the hop";
    let root = "connection-closed-mid-handshake";
    let ended = [
        ended,
        told("credentials-rejected", "suspected", &[]).under(root).by_other_links(front),
        told("ntlm-session-security", "observed", &[]).under(root).by_other_links(front),
    ];
    ledger.judge("a server that ends connections, nginx in front", &diagnosis, &ended);
    let diagnosis = hop_behind("behind", &rig, nginx("behind", server.port), refused);
    let refused = [
        told("credentials-rejected", "suspected", &[1]).explained_by_other_links(),
        told("ntlm-session-security", "observed", &[1]).under("credentials-rejected"),
        told("connection-closed-mid-handshake", "observed", &[])
            .by_other_links("the server's end is seen behind the hop"),
    ];
    ledger.short_of("what the server behind the hop does; what is suspected names that hop, and the password first");
    ledger.judge("a server that ends connections, nginx behind", &diagnosis, &refused);
    ledger.close();
}
