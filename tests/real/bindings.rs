//! Extended Protection for real: a server that insists on channel bindings, a client that sends them, and authtap between them with
//! the server's certificate and with another one.

use crate::authtap::Authtap;
use crate::clients::{requests_ntlm, statuses_of};
use crate::ledger::{Ledger, told};
use crate::rig::{ALICE, NtlmServer, Recorder, Rig, Transport};

const OWN_CERTIFICATE: &str = "proxy-certificate-breaks-epa";
const MISMATCH: &str = "channel-binding-mismatch";
const MISSING: &str = "channel-binding-missing";
const FOREIGN: &str = "channel-binding-foreign";
const REJECTED: &str = "credentials-rejected";
const OWN_FACTS: &str = "the two certificates are what authtap asked for at its start";

/// When this fails, a user who gave authtap the server's certificate, as the documentation asks, is told that a working site is broken.
#[test]
fn with_the_servers_certificate_a_bound_logon_passes_and_nothing_is_said() {
    let rig = Rig::new(Transport::Tls);
    let server = NtlmServer::start_with(&rig, &["--epa"]);
    let authtap = Authtap::start(&rig, server.port);
    assert_eq!(statuses_of(&requests_ntlm(&rig, authtap.port, "/", ALICE, &["--requests", "2"])), [200, 200]);
    authtap.stop().assert_healthy();
}

/// When this fails, a user whose logons authtap itself breaks is sent to look for a wrong password.
#[test]
fn with_another_certificate_authtap_blames_itself() {
    let rig = Rig::new(Transport::Tls);
    let server = NtlmServer::start_with(&rig, &["--epa"]);
    rig.renew_certificate();
    let authtap = Authtap::start(&rig, server.port);
    assert_eq!(statuses_of(&requests_ntlm(&rig, authtap.port, "/", ALICE, &[])), [401]);
    let diagnosis = authtap.stop();
    Ledger::judge_alone(
        "Extended Protection, authtap with another certificate",
        &diagnosis,
        &[
            told(OWN_CERTIFICATE, "observed", &[]).live_alone(OWN_FACTS),
            told(MISMATCH, "observed", &[1]).under(OWN_CERTIFICATE).live_alone(OWN_FACTS),
            told(REJECTED, "suspected", &[1]).under(OWN_CERTIFICATE).live_alone(OWN_FACTS),
            told(REJECTED, "suspected", &[1])
                .captured_alone("what explains it live is not told")
                .explained_by_other_links(),
            told(FOREIGN, "observed", &[]).by_other_links("the client's side shows to which certificate it is bound"),
        ],
    );
    let mismatch = diagnosis.finding(MISMATCH);
    assert_eq!(mismatch["severity"], "critical", "{mismatch:#}");
}

/// When this fails, everybody who uses a certificate of authtap's own on a site without Extended Protection is told of a critical defect.
#[test]
fn a_server_that_does_not_check_bindings_has_no_mismatch() {
    let rig = Rig::new(Transport::Tls);
    let server = NtlmServer::start(&rig);
    rig.renew_certificate();
    let authtap = Authtap::start(&rig, server.port);
    assert_eq!(statuses_of(&requests_ntlm(&rig, authtap.port, "/", ALICE, &[])), [200]);
    let wrong = ALICE.with_wrong_password();
    assert_eq!(statuses_of(&requests_ntlm(&rig, authtap.port, "/", wrong, &[])), [401]);
    let diagnosis = authtap.stop();
    Ledger::judge_alone(
        "no Extended Protection, authtap with another certificate, and a wrong password",
        &diagnosis,
        &[told(OWN_CERTIFICATE, "observed", &[]).live_alone(OWN_FACTS), told(REJECTED, "suspected", &[2])],
    );
}

/// When this fails, a user whose program knows no channel bindings looks for a wrong password.
#[test]
fn a_client_without_bindings_is_told_to_lack_them() {
    let rig = Rig::new(Transport::Tls);
    let server = NtlmServer::start_with(&rig, &["--epa"]);
    let authtap = Authtap::start(&rig, server.port);
    let without = || statuses_of(&requests_ntlm(&rig, authtap.port, "/", ALICE, &["--no-channel-binding"]));
    assert_eq!(without(), [401]);
    assert_eq!(statuses_of(&requests_ntlm(&rig, authtap.port, "/", ALICE, &[])), [200]);
    // By now it is known that her password is right and that the binding makes the difference.
    assert_eq!(without(), [401]);
    let diagnosis = authtap.stop();
    Ledger::judge_alone(
        "Extended Protection, a client without bindings",
        &diagnosis,
        &[
            told(MISSING, "suspected", &[1]).under(REJECTED),
            told(REJECTED, "suspected", &[1]),
            told(MISSING, "inferred", &[3]),
            told(REJECTED, "suspected", &[3]).under(MISSING),
        ],
    );
    let told: Vec<(&str, Option<&str>)> = diagnosis
        .events
        .iter()
        .filter(|event| event["type"] == "finding" && event["slug"] == MISSING)
        .map(|event| (event["basis"].as_str().unwrap(), event["root"].as_str()))
        .collect();
    assert_eq!(told, [("suspected", Some(REJECTED)), ("inferred", None)]);
}

/// When this fails, a user behind an inspecting proxy is told that authtap or the server has the wrong certificate.
#[test]
fn a_hop_in_front_with_a_certificate_of_its_own_is_foreign() {
    let rig = Rig::new(Transport::Tls);
    let server = NtlmServer::start_with(&rig, &["--epa"]);
    let authtap = Authtap::start(&rig, server.port);
    rig.renew_certificate();
    let hop = Recorder::start(&rig, "hop", authtap.port);
    assert_eq!(statuses_of(&requests_ntlm(&rig, hop.port, "/", ALICE, &[])), [401]);
    let diagnosis = authtap.stop();
    Ledger::judge_alone(
        "Extended Protection, a hop in front with a certificate of its own",
        &diagnosis,
        &[told(FOREIGN, "observed", &[1]), told(REJECTED, "suspected", &[1]).under(FOREIGN)],
    );
}
