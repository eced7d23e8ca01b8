//! The rig without authtap in it. When one of these fails, no other failure here says anything about authtap.

use sha2::{Digest, Sha256};

use crate::clients::{
    UPLOADS, curl, curl_kerberos, curl_negotiate_ntlm, curl_post, leg, requests_gssapi, requests_ntlm, statuses_of,
    stepper,
};
use crate::rig::{ALICE, Apache, BOB, Kdc, NginxPool, NtlmServer, Recorder, Rig, Transport};

fn every_client_logs_on_to_the_ntlm_server(transport: Transport) {
    let rig = Rig::new(transport);
    let server = NtlmServer::start_with(&rig, &["--basic"]);
    assert_eq!(curl(&rig, server.port, "--ntlm", ALICE, &["/a", "/b"]), [200, 200]);
    assert_eq!(curl(&rig, server.port, "--basic", ALICE, &["/"]), [200]);
    assert_eq!(curl_negotiate_ntlm(&rig, server.port, &["/a", "/b"]), [200, 200]);
    assert_eq!(statuses_of(&requests_ntlm(&rig, server.port, "/", BOB, &["--requests", "3"])), [200, 200, 200]);
    assert_eq!(curl(&rig, server.port, "--ntlm", ALICE.with_wrong_password(), &["/"]), [401]);
    assert_eq!(statuses_of(&requests_ntlm(&rig, server.port, "/", ALICE.with_wrong_password(), &[])), [401]);
}

#[test]
fn rig_every_client_logs_on_to_the_ntlm_server() {
    every_client_logs_on_to_the_ntlm_server(Transport::Plain);
}

#[test]
fn rig_every_client_logs_on_to_the_ntlm_server_over_tls() {
    every_client_logs_on_to_the_ntlm_server(Transport::Tls);
}

#[test]
fn rig_extended_protection_admits_the_bound_client_and_refuses_the_other() {
    let rig = Rig::new(Transport::Tls);
    let server = NtlmServer::start_with(&rig, &["--epa"]);
    assert_eq!(statuses_of(&requests_ntlm(&rig, server.port, "/", ALICE, &[])), [200]);
    assert_eq!(statuses_of(&requests_ntlm(&rig, server.port, "/", ALICE, &["--no-channel-binding"])), [401]);
}

#[test]
fn rig_bodies_arrive_whole_however_they_are_sent() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start_with(&rig, &["--basic"]);
    let body: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let hash = Sha256::digest(&body).iter().fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"));
    for options in UPLOADS {
        let (status, received) = curl_post(&rig, server.port, options, ALICE, &body);
        assert_eq!((status, received.user.as_str()), (200, r"EXAMPLE\alice"), "{options:?}");
        assert_eq!((received.length, &received.sha256), (body.len(), &hash), "{options:?}");
    }
}

fn apache_takes_kerberos_and_ntlm(transport: Transport) {
    let rig = Rig::new(transport);
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    assert_eq!(curl_kerberos(&rig, apache.port, &kdc, &["/page", "/page"]), [200, 200]);
    assert_eq!(statuses_of(&requests_gssapi(&rig, apache.port, "/page", &kdc, &["--requests", "2"])), [200, 200]);
    assert_eq!(statuses_of(&requests_gssapi(&rig, apache.port, "/page", &kdc, &["--preemptive", "--mutual"])), [200]);
    assert_eq!(statuses_of(&requests_ntlm(&rig, apache.port, "/page", ALICE, &["--requests", "2"])), [200, 200]);
    assert_eq!(statuses_of(&requests_ntlm(&rig, apache.port, "/page", ALICE.with_wrong_password(), &[])), [401]);
}

#[test]
fn rig_apache_takes_kerberos_and_ntlm() {
    apache_takes_kerberos_and_ntlm(Transport::Plain);
}

#[test]
fn rig_apache_takes_kerberos_and_ntlm_over_tls() {
    apache_takes_kerberos_and_ntlm(Transport::Tls);
}

fn the_pool_crosses_two_handshakes(transport: Transport) {
    let rig = Rig::new(transport);
    let server = NtlmServer::start(&rig);
    let pool = NginxPool::start(&rig, server.port);
    let answers = stepper(&rig, "crossed", pool.port, server.port, &[ALICE, BOB]);
    let peer = |account, name| leg(&answers, account, name).peer.as_deref().unwrap();
    assert_ne!(peer(ALICE, "negotiate"), peer(BOB, "negotiate"));
    assert_eq!(peer(ALICE, "authenticate"), peer(BOB, "negotiate"));
    assert_eq!(peer(BOB, "authenticate"), peer(ALICE, "negotiate"));
    assert_eq!(leg(&answers, ALICE, "authenticate").status, 401);
    assert_eq!(leg(&answers, BOB, "authenticate").status, 401);
}

#[test]
fn rig_the_pool_crosses_two_handshakes() {
    the_pool_crosses_two_handshakes(Transport::Plain);
}

#[test]
fn rig_the_pool_crosses_two_handshakes_over_tls() {
    the_pool_crosses_two_handshakes(Transport::Tls);
}

#[test]
fn rig_the_pool_sends_an_authenticate_where_nothing_was_challenged() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start(&rig);
    let pool = NginxPool::start(&rig, server.port);
    let answers = stepper(&rig, "stray", pool.port, server.port, &[ALICE]);
    assert_ne!(leg(&answers, ALICE, "negotiate").peer, leg(&answers, ALICE, "authenticate").peer);
    assert_eq!(leg(&answers, ALICE, "authenticate").status, 401);
}

#[test]
fn rig_the_pool_interleaves_two_handshakes_on_one_connection() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start(&rig);
    let pool = NginxPool::start(&rig, server.port);
    let answers = stepper(&rig, "interleaved", pool.port, server.port, &[ALICE, BOB]);
    assert!(answers.iter().all(|answer| answer.status == 401 && answer.peer == answers[0].peer), "{answers:?}");
}

#[test]
fn rig_the_pool_lets_clients_that_take_turns_log_on() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start(&rig);
    let pool = NginxPool::start(&rig, server.port);
    let answers = stepper(&rig, "whole", pool.port, server.port, &[ALICE, BOB]);
    assert_eq!(leg(&answers, ALICE, "authenticate").status, 200);
    assert_eq!(leg(&answers, BOB, "authenticate").status, 200);
}

#[test]
fn rig_the_pool_breaks_real_clients_that_log_on_at_once() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start_with(&rig, &["--rendezvous", "3"]);
    let pool = NginxPool::start(&rig, server.port);
    let answers = requests_ntlm(&rig, pool.port, "/page", ALICE, &["--clients", "3", "--split"]);
    let refused = answers.iter().filter(|answer| answer.status == 401).count();
    assert!(refused >= 2, "{answers:?}");
}

#[test]
fn rig_two_recorders_in_a_row_agree() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start(&rig);
    let near = Recorder::start(&rig, "near", server.port);
    let far = Recorder::start(&rig, "far", near.port);
    assert_eq!(curl(&rig, far.port, "--ntlm", ALICE, &["/"]), [200]);
    let (far, near) = (far.stop(), near.stop());
    assert!(far == near && far.len() == 1);
    assert!(
        far[0].to_server.starts_with(b"GET / HTTP/1.1\r\n")
            && far[0].to_client.starts_with(b"HTTP/1.1 401 Unauthorized\r\n")
    );
}
