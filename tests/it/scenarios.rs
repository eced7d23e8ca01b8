//! Every story of the simulator through the real relay and observer: the same that `demo` does, for all of them.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use authtap::app::Tap;
use authtap::config::{Origin, file, resolve};
use authtap::report::view::View;
use authtap::sim::iis::Iis;
use authtap::sim::scenario::{ALL, Scenario};

/// What follows from a story's finding and may be told beside it.
const ALSO: &[(&str, &str)] = &[("lockout", "credentials-rejected")];
/// Told of each story with a balancer that names its clients, healthy or not.
const OF_ANY_BALANCER: &str = "intermediary-on-path";
/// Stories whose finding needs more time than a test has; a scripted case shows it.
const TOO_SHORT: &[&str] = &["challenge-unanswered"];

async fn play(story: &Scenario) -> View {
    let iis = Iis::start((story.server)()).await.expect("a simulated IIS");
    let wanted = file::File {
        site: vec![file::Site {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            upstream: format!("http://{}", iis.address()),
            tls_cert: None,
            tls_key: None,
            upstream_ca: None,
            upstream_verify: None,
            alpn: None,
        }],
        observe: file::Observe { trusted_proxies: Some(vec!["127.0.0.1".to_owned()]), ..file::Observe::default() },
        ..file::File::default()
    };
    let config = resolve::resolve(&wanted, &Origin::default()).expect("a configuration");
    let tap = Tap::start(&config, Vec::new()).await.expect("a tap");
    story.run(tap.addresses()[0]).await.expect("the story");
    let view = tap.stop().await;
    iis.stop().await;
    view
}

/// A story that gives another diagnosis than its own, live, would send its user to the wrong machine.
#[tokio::test]
async fn each_story_gives_its_own_finding_and_no_other() {
    for story in ALL {
        let view = play(story).await;
        let found: BTreeSet<&str> = view
            .findings
            .iter()
            .flat_map(|g| [g].into_iter().chain(&g.consequences))
            .map(|g| g.slug.as_str())
            .filter(|slug| *slug != OF_ANY_BALANCER)
            .collect();
        let mut expected: BTreeSet<&str> =
            story.findings.iter().copied().filter(|_| !TOO_SHORT.contains(&story.name)).collect();
        expected.extend(ALSO.iter().filter(|(name, _)| *name == story.name).map(|(_, slug)| *slug));
        assert_eq!(found, expected, "{}", story.name);
        assert_eq!(view.blind.gaps, 0, "{}", story.name);
        if story.findings.is_empty() {
            assert!(view.pairing.verified, "{}: {:?}", story.name, view.pairing);
        }
    }
}
