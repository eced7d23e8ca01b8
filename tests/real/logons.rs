//! authtap in front of real servers: it changes nothing, calls a healthy logon healthy, and a wrong password what it is. Each case runs plain and over TLS.

use std::collections::BTreeSet;

use crate::authtap::{Authtap, Diagnosis};
use crate::clients::{
    UPLOADS, curl, curl_kerberos, curl_negotiate_ntlm, curl_post, requests_gssapi, requests_ntlm, statuses_of,
};
use crate::ledger::{Ledger, told};
use crate::rig::{ALICE, Apache, BOB, Kdc, NtlmServer, Recorder, Recording, Rig, Transport};

const REJECTED: &str = "credentials-rejected";

pub(crate) fn over(transport: Transport) -> &'static str {
    if transport == Transport::Tls { ", over TLS" } else { "" }
}

/// client → recorder → authtap → recorder → server.
///
/// Runs `client`, and insists that both recorders saw the same bytes on the same number of connections: when that fails, authtap
/// changes the traffic that it was brought in to explain.
fn through_authtap(rig: &Rig, server: u16, client: impl FnOnce(u16)) -> Diagnosis {
    let behind = Recorder::start(rig, "behind", server);
    let authtap = Authtap::start(rig, behind.port);
    let before = Recorder::start(rig, "before", authtap.port);
    client(before.port);
    let diagnosis = authtap.stop();
    let mut behind = behind.stop();
    if rig.transport == Transport::Tls {
        // authtap asks the server for its certificate once, before anything else, and says nothing there.
        let probe = behind.remove(0);
        assert!(probe.to_server.is_empty() && probe.to_client.is_empty(), "authtap spoke to the server by itself");
    }
    assert_same(&before.stop(), &behind);
    diagnosis
}

fn assert_same(before: &[Recording], behind: &[Recording]) {
    assert!(!before.is_empty(), "no connection was recorded in front of authtap");
    assert_eq!(before.len(), behind.len(), "one connection of a client must be one connection to the server");
    for (before, behind) in before.iter().zip(behind) {
        assert_same_bytes("to the server", &before.to_server, &behind.to_server);
        assert_same_bytes("to the client", &behind.to_client, &before.to_client);
    }
}

fn assert_same_bytes(direction: &str, taken: &[u8], given: &[u8]) {
    if taken != given {
        let at = taken.iter().zip(given).take_while(|(a, b)| a == b).count();
        let around = |bytes: &[u8]| {
            String::from_utf8_lossy(&bytes[at.saturating_sub(40)..bytes.len().min(at + 40)]).into_owned()
        };
        panic!(
            "{direction}: authtap took {} bytes and gave {}; they differ at {at}:\n{:?}\n{:?}",
            taken.len(),
            given.len(),
            around(taken),
            around(given)
        );
    }
}

/// When this fails, a user who puts authtap in front of a working site is told that it is broken, or breaks it.
fn curl_ntlm_logs_on(transport: Transport) {
    let rig = Rig::new(transport);
    let server = NtlmServer::start(&rig);
    let diagnosis = through_authtap(&rig, server.port, |port| {
        assert_eq!(curl(&rig, port, "--ntlm", ALICE, &["/a", "/b"]), [200, 200]);
    });
    diagnosis.assert_healthy();
}

#[test]
fn a_healthy_curl_ntlm_logon_is_untouched_and_vouched_for() {
    curl_ntlm_logs_on(Transport::Plain);
}

#[test]
fn a_healthy_curl_ntlm_logon_over_tls_is_untouched_and_vouched_for() {
    curl_ntlm_logs_on(Transport::Tls);
}

/// requests-ntlm asks anonymously first and is refused twice before it is in: two 401s that mean nothing.
fn requests_ntlm_logs_on(transport: Transport) {
    let rig = Rig::new(transport);
    let server = NtlmServer::start(&rig);
    let diagnosis = through_authtap(&rig, server.port, |port| {
        assert_eq!(statuses_of(&requests_ntlm(&rig, port, "/", BOB, &["--requests", "3"])), [200, 200, 200]);
    });
    diagnosis.assert_healthy();
}

#[test]
fn a_healthy_requests_ntlm_logon_is_untouched_and_vouched_for() {
    requests_ntlm_logs_on(Transport::Plain);
}

#[test]
fn a_healthy_requests_ntlm_logon_over_tls_is_untouched_and_vouched_for() {
    requests_ntlm_logs_on(Transport::Tls);
}

/// Several at once, without a pool: each on its own connections, so nothing is split, and nothing may be called so.
#[test]
fn concurrent_clients_without_a_pool_are_not_mistaken_for_a_split() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start_with(&rig, &["--rendezvous", "4"]);
    let diagnosis = through_authtap(&rig, server.port, |port| {
        let answers = requests_ntlm(&rig, port, "/", ALICE, &["--clients", "4", "--requests", "2"]);
        assert_eq!(statuses_of(&answers), [200; 8]);
    });
    diagnosis.assert_healthy();
    assert_eq!(diagnosis.handshakes("authenticated"), 4);
}

/// NTLM inside SPNEGO inside Negotiate, by gss-ntlmssp: what a Windows client sends when Kerberos is not to be had.
fn curl_negotiate_with_ntlm_inside_logs_on(transport: Transport) {
    let rig = Rig::new(transport);
    let server = NtlmServer::start(&rig);
    let diagnosis = through_authtap(&rig, server.port, |port| {
        assert_eq!(curl_negotiate_ntlm(&rig, port, &["/a", "/b"]), [200, 200]);
    });
    diagnosis.assert_healthy();
}

#[test]
fn a_healthy_negotiate_logon_with_ntlm_inside_is_untouched_and_vouched_for() {
    curl_negotiate_with_ntlm_inside_logs_on(Transport::Plain);
}

#[test]
fn a_healthy_negotiate_logon_with_ntlm_inside_over_tls_is_untouched_and_vouched_for() {
    curl_negotiate_with_ntlm_inside_logs_on(Transport::Tls);
}

/// When this fails, a Kerberos site is called broken, or its tickets do not get through.
fn kerberos_logs_on(transport: Transport) {
    let rig = Rig::new(transport);
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    let diagnosis = through_authtap(&rig, apache.port, |port| {
        assert_eq!(curl_kerberos(&rig, port, &kdc, &["/page", "/page"]), [200, 200]);
        assert_eq!(statuses_of(&requests_gssapi(&rig, port, "/page", &kdc, &["--requests", "2"])), [200, 200]);
    });
    diagnosis.assert_healthy();
}

#[test]
fn a_healthy_kerberos_logon_is_untouched_and_vouched_for() {
    kerberos_logs_on(Transport::Plain);
}

#[test]
fn a_healthy_kerberos_logon_over_tls_is_untouched_and_vouched_for() {
    kerberos_logs_on(Transport::Tls);
}

/// The second, independent NTLM server: its CHALLENGE is laid out differently, and it signals Persistent-Auth on every response.
fn ntlm_at_apache_logs_on(transport: Transport) {
    let rig = Rig::new(transport);
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    let diagnosis = through_authtap(&rig, apache.port, |port| {
        assert_eq!(statuses_of(&requests_ntlm(&rig, port, "/page", ALICE, &["--requests", "2"])), [200, 200]);
    });
    diagnosis.assert_healthy();
}

#[test]
fn a_healthy_ntlm_logon_at_apache_is_untouched_and_vouched_for() {
    ntlm_at_apache_logs_on(Transport::Plain);
}

#[test]
fn a_healthy_ntlm_logon_at_apache_over_tls_is_untouched_and_vouched_for() {
    ntlm_at_apache_logs_on(Transport::Tls);
}

/// Basic over TLS: every request carries the password, nothing belongs to the connection, and nothing is wrong.
#[test]
fn a_basic_logon_over_tls_is_untouched_and_raises_nothing() {
    let rig = Rig::new(Transport::Tls);
    let server = NtlmServer::start_with(&rig, &["--basic"]);
    let diagnosis = through_authtap(&rig, server.port, |port| {
        assert_eq!(curl(&rig, port, "--basic", ALICE, &["/a", "/b"]), [200, 200]);
    });
    assert_eq!(diagnosis.found(), BTreeSet::new(), "{:#}", diagnosis.report);
    assert_no_password(&diagnosis);
}

/// Bodies with every framing that a client uses while it logs on, `Expect: 100-continue` included: framing is where proxies change things.
fn uploads_arrive_whole(transport: Transport) {
    let rig = Rig::new(transport);
    let server = NtlmServer::start_with(&rig, &["--basic"]);
    let body: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let diagnosis = through_authtap(&rig, server.port, |port| {
        for options in UPLOADS {
            let (status, received) = curl_post(&rig, port, options, ALICE, &body);
            assert_eq!((status, received.length), (200, body.len()), "{options:?}");
        }
    });
    assert_eq!(diagnosis.report["pairing"]["verified"], true, "{:#}", diagnosis.report);
    for slug in diagnosis.found() {
        assert!(slug.contains("basic"), "{:#}", diagnosis.report); // Basic in the clear may be remarked on, nothing else.
    }
}

#[test]
fn uploads_arrive_whole_while_logging_on() {
    uploads_arrive_whole(Transport::Plain);
}

#[test]
fn uploads_over_tls_arrive_whole_while_logging_on() {
    uploads_arrive_whole(Transport::Tls);
}

/// Extended Protection binds a logon to the server's certificate. authtap with that same certificate must not break it.
#[test]
fn extended_protection_holds_through_authtap_with_the_sites_certificate() {
    let rig = Rig::new(Transport::Tls);
    let server = NtlmServer::start_with(&rig, &["--epa"]);
    let diagnosis = through_authtap(&rig, server.port, |port| {
        assert_eq!(statuses_of(&requests_ntlm(&rig, port, "/", ALICE, &[])), [200]);
    });
    diagnosis.assert_healthy();
}

/// The server says `Connection: close` with its CHALLENGE, so the handshake cannot go on: whoever reads the report must not look for a
/// wrong password or a pool.
#[test]
fn a_server_that_closes_after_its_challenge_is_named() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start_with(&rig, &["--announce-close"]);
    let diagnosis = through_authtap(&rig, server.port, |port| {
        assert_eq!(curl(&rig, port, "--ntlm", ALICE, &["/"]), [401]);
    });
    Ledger::judge_alone(
        "a server that closes after its challenge",
        &diagnosis,
        &[told("connection-closed-mid-handshake", "observed", &[1])],
    );
}

/// Everybody gets in, and pays for it with two extra 401s on every request: nobody would look for it, so it has to be told.
#[test]
fn a_server_that_forgets_its_logons_is_named() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start_with(&rig, &["--forget"]);
    let diagnosis = through_authtap(&rig, server.port, |port| {
        assert_eq!(curl(&rig, port, "--ntlm", ALICE, &["/a", "/b", "/c"]), [200, 200, 200]);
    });
    Ledger::judge_alone(
        "a server that forgets its logons",
        &diagnosis,
        &[told("authentication-not-persistent", "observed", &[1])],
    );
    assert_eq!(diagnosis.handshakes("authenticated"), 3);
}

/// When this fails, a user with a mistyped password is sent to reconfigure a load balancer.
fn a_wrong_password_is_that(transport: Transport) {
    let rig = Rig::new(transport);
    let server = NtlmServer::start(&rig);
    let diagnosis = through_authtap(&rig, server.port, |port| {
        assert_eq!(curl(&rig, port, "--ntlm", ALICE.with_wrong_password(), &["/"]), [401]);
        assert_eq!(statuses_of(&requests_ntlm(&rig, port, "/", BOB.with_wrong_password(), &[])), [401]);
    });
    let mut expected = vec![
        told(REJECTED, "suspected", &[1, 2]),
        // curl offers no 128-bit keys, and binds no logon to the certificate.
        told("ntlm-session-security", "observed", &[1]).under(REJECTED),
    ];
    if transport == Transport::Tls {
        expected.push(told("channel-binding-missing", "suspected", &[1]).under(REJECTED));
    }
    let breakage = format!("curl --ntlm and requests-ntlm, wrong passwords{}", over(transport));
    Ledger::judge_alone(&breakage, &diagnosis, &expected);
    assert!(diagnosis.handshakes("rejected") >= 2, "{:#}", diagnosis.report);
    assert_no_password(&diagnosis);
}

#[test]
fn a_wrong_password_is_called_that_and_not_a_split() {
    a_wrong_password_is_that(Transport::Plain);
}

#[test]
fn a_wrong_password_over_tls_is_called_that_and_not_a_split() {
    a_wrong_password_is_that(Transport::Tls);
}

/// What authtap writes is meant to be shown around.
fn assert_no_password(diagnosis: &Diagnosis) {
    let mut written = format!("{}{}", diagnosis.summary, diagnosis.report);
    for event in &diagnosis.events {
        written += &event.to_string();
    }
    for secret in [ALICE.password, ALICE.with_wrong_password().password] {
        assert!(!written.contains(secret), "a password is in what authtap wrote");
    }
    // curl's Basic credentials of alice, as they travel.
    assert!(
        !written.contains("RVhBTVBMRVxhbGljZTphbGljZS10ZXN0LXBhc3N3b3Jk"),
        "Basic credentials are in what authtap wrote"
    );
}
