//! Farms whose balancer sends the legs of a logon to different nodes.

use crate::authtap::Authtap;
use crate::clients::{curl_kerberos, requests_digest, requests_ntlm, statuses_of};
use crate::hops::{Hop, hop_behind};
use crate::ledger::{Ledger, told};
use crate::rig::{ALICE, Apache, Kdc, NtlmServer, Rig, Transport};

/// When this fails, users of a farm without affinity are told to mind their passwords.
#[test]
fn breakage_a_farm_without_affinity_for_ntlm() {
    let rig = Rig::new(Transport::Plain);
    let nodes = ["NODE1", "NODE2"].map(|name| NtlmServer::start_with(&rig, &["--computer", name]));
    let ports = [nodes[0].port, nodes[1].port];
    let mut ledger = Ledger::default();
    // requests-ntlm asks without credentials first: node 1, then its NEGOTIATE goes to node 2 and its AUTHENTICATE to node 1.
    let ask = |port| assert_eq!(statuses_of(&requests_ntlm(&rig, port, "/page", ALICE, &[])), [401]);
    let hop = Hop::nginx("turns", &rig, &ports, 4, "", "");
    let diagnosis = hop_behind("farm", &rig, hop, ask);
    ledger.short_of("the change of nodes behind nginx: node 2 refuses without naming itself; the hop is named, and the password first");
    ledger.judge(
        "NTLM at two nodes in turn, behind nginx",
        &diagnosis,
        &[
            told("credentials-rejected", "suspected", &[1]).explained_by_other_links(),
            told("handshake-split-across-connections", "observed", &[])
                .by_other_links("the nodes are seen behind the hop"),
        ],
    );
    // As two nodes see it.
    let taps = [Authtap::start_as("node1", &rig, ports[0]), Authtap::start_as("node2", &rig, ports[1])];
    let hop = Hop::nginx("to-taps", &rig, &[taps[0].port, taps[1].port], 4, "", "");
    ask(hop.port);
    hop.stop();
    let [first, second] = taps.map(Authtap::stop);
    ledger.judge(
        "NTLM at two nodes in turn, at node 1",
        &first,
        &[
            told("credentials-rejected", "suspected", &[])
                .under("handshake-split-across-connections")
                .by_other_links("what the clients are told is seen in front of the hop"),
            told("handshake-split-across-connections", "inferred", &[1]),
        ],
    );
    ledger.judge("NTLM at two nodes in turn, at node 2", &second, &[]);
    // HAProxy keeps whom it saw refused on the node that refused him.
    let hop = Hop::haproxy("sticks", &rig, &ports, "", "balance roundrobin");
    let diagnosis = hop_behind("sticks", &rig, hop, |port| {
        assert_eq!(statuses_of(&requests_ntlm(&rig, port, "/page", ALICE, &["--requests", "3"])), [200, 200, 200]);
    });
    ledger.judge("NTLM at two nodes in turn, behind HAProxy", &diagnosis, &[]);
    ledger.close();
}

/// When this fails, the one node with an old keytab is hunted among clients and passwords.
#[test]
fn breakage_a_farm_where_one_node_has_another_key() {
    let rig = Rig::new(Transport::Plain);
    let kdc = Kdc::start(&rig);
    let other = rig.path("keytab-of-another");
    kdc.change("addprinc -randkey HTTP/other.example.test");
    kdc.change(&format!("ktadd -k {} HTTP/other.example.test", other.display()));
    let rigs = [Rig::new(Transport::Plain), Rig::new(Transport::Plain)];
    let nodes = [Apache::start(&rigs[0], &kdc), Apache::start_with(&rigs[1], &kdc, &other, "+0")];
    let ports = [nodes[0].port, nodes[1].port];
    let mut ledger = Ledger::default();
    for (name, haproxy) in [("nginx", false), ("haproxy", true)] {
        let hop = |ports: &[u16], name: &str| {
            if haproxy {
                Hop::haproxy(name, &rig, ports, "", "balance roundrobin")
            } else {
                Hop::nginx(name, &rig, ports, 4, "", "")
            }
        };
        let ask = |port| {
            for status in [200, 401, 200, 401] {
                assert_eq!(curl_kerberos(&rig, port, &kdc, &["/page"]), [status]);
            }
        };
        let diagnosis = hop_behind(name, &rig, hop(&ports, name), ask);
        ledger.judge(
            &format!("Kerberos at two nodes behind {name}, one with another key"),
            &diagnosis,
            &[told("kerberos-wrong-key", "observed", &[2, 4])],
        );
        let taps = ports.map(|port| Authtap::start_as(&format!("{name}-{port}"), &rig, port));
        let balancer = hop(&[taps[0].port, taps[1].port], &format!("{name}-taps"));
        ask(balancer.port);
        balancer.stop();
        let [right, wrong] = taps.map(Authtap::stop);
        ledger.judge(
            &format!("the node with the right key, behind {name}"),
            &right,
            &[told("kerberos-wrong-key", "observed", &[])
                .by_other_links("the clients of the balancer meet the other node too")],
        );
        ledger.judge(
            &format!("the node with another key, behind {name}"),
            &wrong,
            &[told("kerberos-wrong-key", "observed", if haproxy { &[1, 2] } else { &[1] })],
        );
    }
    ledger.close();
}

/// When this fails, a node of a farm that does not know the other nodes' nonces is called something else.
#[test]
fn breakage_a_farm_that_does_not_share_nonces() {
    let rig = Rig::new(Transport::Plain);
    let kdc = Kdc::start(&rig);
    let rigs = [Rig::new(Transport::Plain), Rig::new(Transport::Plain), Rig::new(Transport::Plain)];
    let nodes = rigs.each_ref().map(|rig| Apache::start(rig, &kdc));
    let mut ledger = Ledger::default();
    let taps = nodes.each_ref().map(|node| Authtap::start_as(&format!("node-{}", node.port), &rig, node.port));
    let hop = Hop::nginx("turns", &rig, &taps.each_ref().map(|tap| tap.port), 4, "", "");
    assert_eq!(statuses_of(&requests_digest(&rig, hop.port, "/digest/page", ALICE, 9)), [401; 9]);
    hop.stop();
    for (number, tap) in (1..).zip(taps) {
        ledger.judge(
            &format!("Digest at three nodes in turn, at node {number}"),
            &tap.stop(),
            &[told("digest-stale-loop", "observed", &[1])],
        );
    }
    let hop = Hop::haproxy("sticks", &rig, &nodes.each_ref().map(|node| node.port), "", "balance roundrobin");
    let diagnosis = hop_behind("sticks", &rig, hop, |port| {
        assert_eq!(statuses_of(&requests_digest(&rig, port, "/digest/page", ALICE, 5)), [401; 5]);
    });
    // It keeps only NTLM and Negotiate on their node.
    ledger.judge(
        "Digest at three nodes in turn, behind HAProxy",
        &diagnosis,
        &[told("digest-stale-loop", "observed", &[1])],
    );
    ledger.close();
}
