//! Handshakes that a pool of connections breaks: the case that authtap exists for. Each runs live and from its packets, plain or over TLS.

use std::collections::BTreeSet;

use crate::authtap::{Authtap, Diagnosis};
use crate::clients::{leg, requests_ntlm, stepper};
use crate::ledger::{Expected, Ledger, told};
use crate::logons::over;
use crate::rig::{ALICE, BOB, NginxPool, NtlmServer, Rig, Transport};

const SPLIT: &str = "handshake-split-across-connections";
const REJECTED: &str = "credentials-rejected";

/// Which connections they are the test knows only by what the server saw.
const SPLIT_SOMEWHERE: Expected = told(SPLIT, "observed", &[]).anywhere();

/// What the client sees of it, on its link in front of the pool.
const fn looks_whole(root: &'static str) -> Expected {
    told(REJECTED, "suspected", &[]).under(root).by_other_links("in front of the pool each handshake looks whole")
}

/// clients → nginx with a pool → authtap → server: the case that authtap exists for. When this fails, the user is told nothing, or told
/// to look at the passwords.
fn a_pool_splits_two_handshakes(transport: Transport) {
    let rig = Rig::new(transport);
    let server = NtlmServer::start(&rig);
    let authtap = Authtap::start(&rig, server.port);
    let pool = NginxPool::start(&rig, authtap.port);
    let answers = stepper(&rig, "crossed", pool.port, server.port, &[ALICE, BOB]);
    assert_eq!(leg(&answers, ALICE, "authenticate").status, 401);
    assert_eq!(leg(&answers, BOB, "authenticate").status, 401);
    pool.stop();
    let diagnosis = authtap.stop();

    // The two connections by what the server saw, which authtap does not know.
    let challenged = diagnosis.connection(leg(&answers, ALICE, "negotiate").peer.as_deref().unwrap());
    let answered = diagnosis.connection(leg(&answers, ALICE, "authenticate").peer.as_deref().unwrap());
    assert_ne!(challenged, answered);
    assert_split(&format!("nginx pools, two clients crossed{}", over(transport)), &diagnosis, &[challenged, answered]);
}

/// The split is named with just these connections and as something that was seen, and nobody's password is blamed for it.
fn assert_split(breakage: &str, diagnosis: &Diagnosis, connections: &[u64]) {
    let mut expected = vec![SPLIT_SOMEWHERE, looks_whole(SPLIT)];
    if breakage.ends_with("TLS") {
        let unbound = told("channel-binding-missing", "suspected", &[]).under(SPLIT);
        expected.push(unbound.by_other_links("the client binds its logon to no certificate"));
    }
    Ledger::judge_alone(breakage, diagnosis, &expected);
    diagnosis.from_packets.assert_frames(SPLIT);
    let split = diagnosis.finding(SPLIT);
    let named: BTreeSet<u64> =
        split["connections"].as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect();
    assert_eq!(named, connections.iter().copied().collect(), "{split:#}");
    assert_ne!(diagnosis.report["pairing"]["verified"], true, "the report:\n{:#}", diagnosis.report);
    assert!(diagnosis.summary.contains(SPLIT), "whoever ran authtap is not told:\n{}", diagnosis.summary);
}

#[test]
fn a_pool_that_splits_handshakes_is_named_with_both_connections() {
    a_pool_splits_two_handshakes(Transport::Plain);
}

#[test]
fn a_pool_that_splits_handshakes_over_tls_is_named_with_both_connections() {
    a_pool_splits_two_handshakes(Transport::Tls);
}

/// The lone client: its AUTHENTICATE comes to a connection that never challenged anybody, as after a pool has grown.
#[test]
fn a_split_of_a_lone_handshake_is_named_with_both_connections() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start(&rig);
    let authtap = Authtap::start(&rig, server.port);
    let pool = NginxPool::start(&rig, authtap.port);
    let answers = stepper(&rig, "stray", pool.port, server.port, &[ALICE]);
    pool.stop();
    let diagnosis = authtap.stop();
    let number = |name| diagnosis.connection(leg(&answers, ALICE, name).peer.as_deref().unwrap());
    assert_split("nginx pools, a lone client", &diagnosis, &[number("negotiate"), number("authenticate")]);
}

/// The same with clients that know nothing of being tested: three threads of requests-ntlm, at once, through the pool.
fn a_pool_splits_real_clients(transport: Transport) {
    let rig = Rig::new(transport);
    let server = NtlmServer::start_with(&rig, &["--rendezvous", "3"]);
    let authtap = Authtap::start(&rig, server.port);
    let pool = NginxPool::start(&rig, authtap.port);
    let answers = requests_ntlm(&rig, pool.port, "/page", ALICE, &["--clients", "3", "--split"]);
    assert!(answers.iter().filter(|answer| answer.status == 401).count() >= 2, "{answers:?}");
    pool.stop();
    let diagnosis = authtap.stop();

    let breakage = format!("nginx pools, three requests-ntlm at once{}", over(transport));
    let interleaved = told("handshake-interleaved", "observed", &[])
        .perhaps("a second challenge on the connection of one that waits: which thread is faster decides");
    Ledger::judge_alone(
        &breakage,
        &diagnosis,
        &[SPLIT_SOMEWHERE, interleaved, interleaved.under(SPLIT), looks_whole(SPLIT)],
    );
    diagnosis.from_packets.assert_frames(SPLIT);
    let split = diagnosis.finding(SPLIT);
    assert!(split["count"].as_u64().unwrap() >= 2, "two clients at least were split:\n{split:#}");
}

#[test]
fn real_clients_at_once_through_a_pool_are_found_split() {
    a_pool_splits_real_clients(Transport::Plain);
}

#[test]
fn real_clients_at_once_through_a_pool_over_tls_are_found_split() {
    a_pool_splits_real_clients(Transport::Tls);
}

/// Two clients on one pooled connection: no leg is on a wrong connection, so calling it a split would send the reader looking for a
/// connection that does not exist.
#[test]
fn interleaved_handshakes_on_one_connection_are_not_called_a_split() {
    let rig = Rig::new(Transport::Plain);
    let server = NtlmServer::start(&rig);
    let authtap = Authtap::start(&rig, server.port);
    let pool = NginxPool::start(&rig, authtap.port);
    stepper(&rig, "interleaved", pool.port, server.port, &[ALICE, BOB]);
    pool.stop();
    let diagnosis = authtap.stop();
    Ledger::judge_alone(
        "nginx pools, two clients on one connection",
        &diagnosis,
        &[told("handshake-interleaved", "observed", &[1]), looks_whole("handshake-interleaved")],
    );
}
