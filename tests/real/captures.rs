//! The captures of the rig, by a reader that other people wrote: each link is in them whole, and opens with the keys on file.

use std::collections::BTreeMap;
use std::path::Path;

use crate::authtap::Authtap;
use crate::clients::{curl, requests_gssapi, requests_ntlm, statuses_of};
use crate::parts;
use crate::rig::{ALICE, Apache, Kdc, NtlmServer, Recorder, Rig, Transport};
use crate::tshark;

/// How many requests tshark sees in a capture, by the port that they go to.
fn requests(rig: &Rig, capture: &Path, ports: &[u16]) -> BTreeMap<u16, usize> {
    let mut seen = BTreeMap::new();
    for (_, to) in tshark::requests(capture, ports, rig.tls().then(|| rig.keys()).as_deref()) {
        *seen.entry(to).or_default() += 1;
    }
    seen
}

/// client → relay → authtap → relay → server: four links, of which one begins after authtap, and so has a tcpdump of its own.
fn captures_are_whole(transport: Transport) {
    let rig = Rig::new(transport);
    let kdc = Kdc::start(&rig);
    let apache = Apache::start(&rig, &kdc);
    let server = NtlmServer::start(&rig);
    for (name, upstream) in [("apache", apache.port), ("ntlm", server.port)] {
        let behind = Recorder::start(&rig, &format!("{name}-behind"), upstream);
        let authtap = Authtap::start_as(name, &rig, behind.port);
        let before = Recorder::start(&rig, &format!("{name}-before"), authtap.port);
        let ports = [before.port, authtap.port, behind.port, upstream];
        if upstream == apache.port {
            assert_eq!(statuses_of(&requests_gssapi(&rig, before.port, "/page", &kdc, &["--requests", "3"])), [200; 3]);
        } else {
            assert_eq!(curl(&rig, before.port, "--ntlm", ALICE, &["/a", "/b"]), [200, 200]);
            assert_eq!(statuses_of(&requests_ntlm(&rig, before.port, "/", ALICE, &["--requests", "3"])), [200; 3]);
        }
        let diagnosis = authtap.stop();
        before.stop();
        let asked = usize::try_from(diagnosis.report["exchanges"].as_u64().unwrap()).unwrap();
        assert!(asked > 3, "{:#}", diagnosis.report);
        let [link, all] = &diagnosis.from_packets.files;
        assert_eq!(requests(&rig, link, &ports), BTreeMap::from([(ports[1], asked)]), "{name}, the link");
        assert_eq!(requests(&rig, all, &ports), ports.map(|port| (port, asked)).into(), "{name}, all links");
        for port in ports {
            assert!(parts::at(port).is_some(), "nobody has said what listens on {port}");
        }
    }
}

/// When this fails, a capture of the rig lacks packets or keys, and what authtap does not find in it says nothing.
#[test]
fn rig_captures_hold_every_link_whole() {
    captures_are_whole(Transport::Plain);
}

#[test]
fn rig_captures_over_tls_hold_every_link_whole_with_its_keys() {
    captures_are_whole(Transport::Tls);
}
