//! The healthy soak: real clients against real servers that have nothing wrong with them, thousands of requests,
//! straight and through a load balancer that does everything right. Whatever authtap says above `info` here, it says to
//! an administrator whose site is fine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::fs;
use std::io::Write as _;
use std::ops::AddAssign;
use std::path::PathBuf;

use serde_json::Value;

use crate::authtap::{Authtap, Diagnosis};
use crate::haproxy::Haproxy;
use crate::rig::{Apache, Kdc, NtlmServer, Rig, Transport};
use crate::soak_clients::{self as clients, Target};

/// What is true of this rig and no fault of the traffic: authtap and the server are on one machine, and on ports of
/// their own.
pub(crate) const TRUE_OF_THE_RIG: [&str; 2] = ["proxy-on-server-host", "proxy-changes-host"];

/// A client, and the server that it goes to.
struct Case {
    client: &'static str,
    /// As the report calls it.
    scheme: &'static str,
    transport: Transport,
    server: Server,
    directory: &'static str,
    go: fn(&Target) -> Vec<u16>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    Apache,
    Ntlm,
}

const fn case(
    client: &'static str,
    scheme: &'static str,
    transport: Transport,
    server: Server,
    go: fn(&Target) -> Vec<u16>,
) -> Case {
    let directory = match scheme.as_bytes() {
        b"basic" => "/basic/",
        b"digest" => "/digest/",
        _ => "/",
    };
    Case { client, scheme, transport, server, directory, go }
}

use Server::{Apache as A, Ntlm as N};
use Transport::{Plain, Tls};

/// Basic goes over TLS, where it belongs. So does one NTLM client that binds its logon to the certificate; those that
/// cannot, go without. curl and Chromium have their NTLM from the second server: gss-ntlmssp takes none without a VERSION
/// field.
const CURL: [Case; 6] = [
    case("curl --ntlm", "ntlm", Plain, N, clients::curl_ntlm),
    case("curl --negotiate", "kerberos", Plain, A, clients::curl_negotiate),
    case("curl --negotiate", "kerberos", Tls, A, clients::curl_negotiate),
    case("curl --anyauth", "digest", Plain, A, clients::curl_anyauth),
    case("curl --basic", "basic", Tls, A, clients::curl_basic),
    case("curl --digest", "digest", Plain, A, clients::curl_digest),
];
const PYTHON: [Case; 5] = [
    case("requests-ntlm", "ntlm", Plain, A, clients::python_ntlm),
    case("requests-ntlm", "ntlm", Tls, N, clients::python_ntlm),
    case("requests-gssapi", "kerberos", Plain, A, clients::python_gssapi),
    case("requests-gssapi", "kerberos", Tls, A, clients::python_gssapi),
    case("requests-gssapi, each request", "kerberos", Plain, A, clients::python_gssapi_preemptive),
];
const JAVA: [Case; 3] = [
    case("Java", "ntlm", Plain, N, clients::java_ntlm),
    case("Java", "basic", Tls, A, clients::java_basic),
    case("Java", "digest", Plain, A, clients::java_digest),
];
const CHROMIUM: [Case; 5] = [
    case("Chromium", "ntlm", Plain, N, clients::chromium_ntlm),
    case("Chromium", "kerberos", Plain, A, clients::chromium_negotiate),
    case("Chromium", "kerberos", Tls, A, clients::chromium_negotiate),
    case("Chromium", "basic", Tls, A, clients::chromium_basic),
    case("Chromium", "digest", Plain, A, clients::chromium_digest),
];

/// The way from the client to the server.
#[derive(Clone, Copy)]
enum Way {
    Straight,
    /// client → HAProxy, which adds `X-Forwarded-For` → authtap → server
    HaproxyInFront,
    /// client → authtap → HAProxy → server
    HaproxyBehind,
}

impl Way {
    const ALL: [Self; 3] = [Self::Straight, Self::HaproxyInFront, Self::HaproxyBehind];

    fn name(self) -> &'static str {
        match self {
            Self::Straight => "straight",
            Self::HaproxyInFront => "HAProxy in front",
            Self::HaproxyBehind => "HAProxy behind",
        }
    }
}

/// The servers of one transport.
struct Site {
    rig: Rig,
    apache: Apache,
    ntlm: NtlmServer,
}

impl Site {
    fn start(transport: Transport, kdc: &Kdc) -> Self {
        let rig = Rig::new(transport);
        let (apache, ntlm) = (Apache::start(&rig, kdc), NtlmServer::start(&rig));
        Self { rig, apache, ntlm }
    }

    fn port(&self, server: Server) -> u16 {
        match server {
            Server::Apache => self.apache.port,
            Server::Ntlm => self.ntlm.port,
        }
    }
}

struct Ground {
    plain: Site,
    tls: Site,
    kdc: Kdc,
    classes: PathBuf,
    _own: Rig,
}

impl Ground {
    fn start() -> Self {
        let own = Rig::new(Plain);
        let kdc = Kdc::start(&own);
        let classes = clients::compile_java(&own);
        Self { plain: Site::start(Plain, &kdc), tls: Site::start(Tls, &kdc), kdc, classes, _own: own }
    }

    fn site(&self, transport: Transport) -> &Site {
        match transport {
            Plain => &self.plain,
            Tls => &self.tls,
        }
    }

    fn target(&self, case: &Case, port: u16, scratch: &str) -> Target<'_> {
        let rig = &self.site(case.transport).rig;
        let scratch = rig.directory(scratch);
        Target { rig, kdc: &self.kdc, port, directory: case.directory, classes: &self.classes, scratch }
    }

    /// Sends `cases`, all at once, to the server of the first along `way`, with an authtap of their own.
    fn run(&self, name: &str, way: Way, cases: &[&Case]) -> Tally {
        let site = self.site(cases[0].transport);
        let name = format!("{name}, {}, {}", site.rig.transport.scheme(), way.name());
        let label = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let upstream = site.port(cases[0].server);
        let balancer = |port, forwarded| Haproxy::start(&format!("haproxy-{label}"), &site.rig, port, forwarded);
        let behind = matches!(way, Way::HaproxyBehind).then(|| balancer(upstream, false));
        let authtap = Authtap::start_as(&label, &site.rig, behind.as_ref().map_or(upstream, |haproxy| haproxy.port));
        let front = matches!(way, Way::HaproxyInFront).then(|| balancer(authtap.port, true));
        let port = front.as_ref().map_or(authtap.port, |haproxy| haproxy.port);
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let running = cases.iter().enumerate().map(|(number, case)| {
                let target = self.target(case, port, &format!("{label}-{number}"));
                scope.spawn(move || (case.go)(&target))
            });
            let running: Vec<_> = running.collect();
            running.into_iter().flat_map(|client| client.join().unwrap()).collect()
        });
        if let Some(haproxy) = front {
            haproxy.stop();
        }
        let diagnosis = authtap.stop();
        if let Some(haproxy) = behind {
            haproxy.stop();
        }
        let mut tally = judge(&name, cases, &statuses, &diagnosis);
        tally += judge_packets(&name, &diagnosis);
        for capture in &diagnosis.from_packets.files {
            tally.captured += fs::metadata(capture).unwrap().len();
            fs::remove_file(capture).unwrap();
        }
        say(&format!("{name}: {tally}"));
        tally
    }
}

/// The findings above `info`, but for those that are true of the rig.
pub(crate) fn worries(report: &Value) -> impl Iterator<Item = &Value> {
    let told = report["findings"].as_array().unwrap_or_else(|| panic!("no findings in {report:#}")).iter();
    told.filter(|f| f["severity"] != "info" && !TRUE_OF_THE_RIG.contains(&f["slug"].as_str().unwrap()))
}

/// Everybody was let in, authtap saw it, and has nothing to say about it that would worry anyone.
fn judge(name: &str, cases: &[&Case], statuses: &[u16], diagnosis: &Diagnosis) -> Tally {
    let report = &diagnosis.report;
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{name}: no such number in {report:#}"));
    let mut tally = Tally {
        setups: 1,
        requests: statuses.len() as u64,
        connections: number(&report["connections"]),
        logons: diagnosis.handshakes("authenticated"),
        ..Tally::default()
    };
    for finding in diagnosis.findings() {
        let slug = finding["slug"].as_str().unwrap();
        if finding["severity"] == "info" {
            tally.told.insert(slug.to_owned());
        } else if TRUE_OF_THE_RIG.contains(&slug) {
            tally.of_the_rig.insert(slug.to_owned());
        }
    }
    for finding in worries(report) {
        let slug = finding["slug"].as_str().unwrap().to_owned();
        tally.worries.entry(slug).or_default().push((name.to_owned(), finding.clone()));
    }
    let mut must = |holds: bool, else_wrong: String| {
        if !holds {
            tally.wrong.push(format!("{name}: {else_wrong}"));
        }
    };
    let refused: Vec<_> = statuses.iter().filter(|status| **status != 200).collect();
    must(!statuses.is_empty() && refused.is_empty(), format!("the clients themselves got {refused:?}"));
    must(number(&report["exchanges"]) >= statuses.len() as u64, format!("requests were not seen: {report:#}"));
    // What was not seen raises nothing, and would prove nothing.
    must(report["unseen"]["gaps"] == 0, format!("authtap did not see everything: {:#}", report["unseen"]));
    for case in cases {
        let logons = report["schemes"][case.scheme]["authenticated"].as_u64();
        must(logons.is_some_and(|logons| logons > 0), format!("no logon by {} was seen: {report:#}", case.scheme));
        if ["ntlm", "kerberos"].contains(&case.scheme) {
            must(report["pairing"]["verified"] == true, format!("whole handshakes were not vouched for: {report:#}"));
        }
    }
    // An abandoned handshake may well be: curl goes on over a connection that is logged on already when one comes free
    // meanwhile.
    for outcome in ["rejected", "broken"] {
        must(diagnosis.handshakes(outcome) == 0, format!("a handshake counts as {outcome}: {report:#}"));
    }
    tally
}

/// The packets of the same run: as many requests and logons, and nothing to worry about on any link.
fn judge_packets(name: &str, diagnosis: &Diagnosis) -> Tally {
    let (packets, mut tally) = (&diagnosis.from_packets, Tally::default());
    for (view, report) in [("from the link", &packets.link), ("from all links", &packets.all)] {
        for finding in worries(report) {
            let slug = finding["slug"].as_str().unwrap().to_owned();
            tally.worries.entry(slug).or_default().push((format!("{name}, {view}"), finding.clone()));
        }
    }
    let of = |report: &Value| (report["exchanges"].clone(), report["handshakes"]["authenticated"].clone());
    let (live, link) = (of(&diagnosis.report), of(&packets.link));
    if packets.readable {
        tally.opened = 1;
        if live != link {
            tally.wrong.push(format!("{name}: requests and logons are {live:?} live, {link:?} from the link"));
        }
    } else if link != (0.into(), 0.into()) {
        tally.wrong.push(format!("{name}: {link:?} from a link that cannot be opened"));
    }
    tally
}

/// What was asserted about, for whoever reads the output.
#[derive(Default)]
struct Tally {
    setups: u64,
    requests: u64,
    connections: u64,
    logons: u64,
    /// Bytes of captures.
    captured: u64,
    /// Set-ups whose link could be read from its packets.
    opened: u64,
    /// The findings at `info`, which are allowed.
    told: BTreeSet<String>,
    /// Those of `TRUE_OF_THE_RIG`.
    of_the_rig: BTreeSet<String>,
    /// The findings above, by slug, with the set-ups that they were made in.
    worries: BTreeMap<String, Vec<(String, Value)>>,
    /// What else does not hold.
    wrong: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, connections, logons, captured, opened, worries, .. } = self;
        let above: usize = worries.values().map(Vec::len).sum();
        write!(f, "{requests} requests, {connections} connections, {logons} logons, {above} findings above info")?;
        write!(f, " ({} info", self.told.len())?;
        for (number, slug) in self.told.iter().enumerate() {
            write!(f, "{} {slug}", if number == 0 { ":" } else { "," })?;
        }
        for slug in &self.of_the_rig {
            write!(f, "; {slug}, which is true of the rig")?;
        }
        write!(f, "; captures of {captured} bytes, {opened} of the links opened)")
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.setups += other.setups;
        self.requests += other.requests;
        self.connections += other.connections;
        self.logons += other.logons;
        self.captured += other.captured;
        self.opened += other.opened;
        self.told.extend(other.told);
        self.of_the_rig.extend(other.of_the_rig);
        for (slug, findings) in other.worries {
            self.worries.entry(slug).or_default().extend(findings);
        }
        self.wrong.extend(other.wrong);
    }
}

/// libtest keeps back what `println!` says of a test that passes; these figures are for everybody.
fn say(text: &str) {
    writeln!(std::io::stderr().lock(), "soak: {text}").unwrap();
}

/// One of each client by the load balancer alone: when this fails, the soak's own failure says nothing about authtap.
#[test]
fn rig_the_clients_of_the_soak_get_in_without_authtap() {
    let ground = Ground::start();
    for (number, case) in [&CURL[0], &CURL[5], &PYTHON[3], &JAVA[1], &CHROMIUM[0], &CHROMIUM[2]].into_iter().enumerate()
    {
        let site = ground.site(case.transport);
        let haproxy = Haproxy::start(&format!("haproxy-{number}"), &site.rig, site.port(case.server), true);
        let statuses = (case.go)(&ground.target(case, haproxy.port, &format!("scratch-{number}")));
        assert!(statuses.len() >= 100 && statuses.iter().all(|status| *status == 200), "{}: {statuses:?}", case.client);
    }
}

/// When this fails, a user whose site is healthy is sent to look for a fault, and will not believe the next finding.
#[test]
fn soak_healthy_traffic_of_real_clients_raises_nothing_above_info() {
    let ground = Ground::start();
    let alone = |cases: &[Case]| {
        let mut total = Tally::default();
        for case in cases {
            for way in Way::ALL {
                let name = format!("{} ({})", case.client, case.scheme);
                total += ground.run(&name, way, &[case]);
            }
        }
        total
    };
    let mut total = Tally::default();
    // Two at a time; each client goes through its set-ups one after the other.
    std::thread::scope(|scope| {
        let first = scope.spawn(|| [alone(&CURL), alone(&JAVA)]);
        let second = scope.spawn(|| [alone(&PYTHON), alone(&CHROMIUM)]);
        for tally in first.join().unwrap().into_iter().chain(second.join().unwrap()) {
            total += tally;
        }
    });
    // All the clients of a site at once: what belongs to one of them must not be laid to another.
    for (server, name) in [(A, "everybody at Apache"), (N, "everybody at the NTLM server")] {
        let everybody = CURL.iter().chain(&PYTHON).chain(&JAVA).chain(&CHROMIUM);
        let together: Vec<&Case> = everybody.filter(|case| case.transport == Plain && case.server == server).collect();
        for way in Way::ALL {
            total += ground.run(name, way, &together);
        }
    }
    drop(ground); // What its programs said helps nobody from here on.
    say(&format!("{} set-ups in all: {total}", total.setups));
    let mut worries = String::new();
    for (slug, findings) in &total.worries {
        let (first, times) = (&findings[0].1, findings.len());
        writeln!(worries, "{slug} in {times} set-ups, of the first all of it:\n{first:#}").unwrap();
        for (name, finding) in findings {
            writeln!(worries, "{name}: {} times: {}", finding["count"], finding["summary"]).unwrap();
        }
    }
    assert!(
        total.wrong.is_empty() && worries.is_empty(),
        "a healthy site was called broken:\n{worries}{}",
        total.wrong.join("\n")
    );
}
