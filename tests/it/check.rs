//! `authtap check`, run as a user runs it, against the simulated IIS and against servers that are wrong in one way.

use std::fs;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use authtap::net;
use authtap::sim::iis::Iis;
use authtap::sim::iis::settings::{Clock, End, PASSWORD, Settings};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::catalogue::same_as_file;
use crate::program::{authtap, stderr};
use crate::tls::{Identity, NAME};

/// A stock site whose clock is this machine's.
pub(crate) fn stock() -> Settings {
    let clock = net::Clock::start();
    Settings { clock: Clock::new(move || clock.now()), ..Settings::default() }
}

/// What `check --format json` said, and how it ended.
struct Said {
    output: Output,
    report: Value,
}

impl Said {
    fn line(&self, check: &str) -> &Value {
        let lines = self.report["lines"].as_array().expect("lines");
        lines.iter().find(|l| l["check"] == check).unwrap_or_else(|| panic!("no line {check}:\n{:#}", self.report))
    }

    /// The line has this verdict, these words, and advice unless it is ok.
    fn has(&self, check: &str, verdict: &str, words: &[&str]) {
        let line = self.line(check);
        assert_eq!(line["verdict"], verdict, "{line:#}");
        let says = line["says"].as_str().expect("a sentence");
        for word in words {
            assert!(says.contains(word), "`{word}` is not in: {says}");
        }
        assert_eq!(line["fix"].is_string(), verdict != "ok", "{line:#}");
    }

    fn lacks(&self, check: &str) {
        assert!(
            self.report["lines"].as_array().expect("lines").iter().all(|l| l["check"] != check),
            "{:#}",
            self.report
        );
    }

    fn code(&self) -> Option<i32> {
        self.output.status.code()
    }
}

/// Runs `check --upstream URL --format json` with more options, while the servers of the test go on.
async fn check(url: String, more: &[&str]) -> Said {
    check_with(url, more, None).await
}

async fn check_with(url: String, more: &[&str], password: Option<&str>) -> Said {
    let mut command = authtap();
    command.args(["check", "--format", "json", "--upstream", &url]).args(more);
    if let Some(password) = password {
        command.env("AUTHTAP_PASSWORD", password);
    }
    let output = tokio::task::spawn_blocking(move || command.output().expect("authtap runs")).await.expect("it ran");
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let schema = serde_json::from_str(&authtap::check::v1::schema().expect("a schema")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    if let Err(wrong) = validator.validate(&report) {
        panic!("{wrong}");
    }
    assert_eq!(report["upstream"], url);
    Said { output, report }
}

async fn check_iis(settings: Settings, more: &[&str]) -> (Said, Iis) {
    let iis = Iis::start(settings).await.expect("a server");
    let said = check(format!("http://{}", iis.address()), more).await;
    (said, iis)
}

/// A server that does with each connection what it is told.
async fn server<F, T>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// A server of plain HTTP that answers each head; an empty answer ends the connection.
async fn answering(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    let answer = Arc::new(answer);
    server(move |mut stream| {
        let answer = Arc::clone(&answer);
        async move {
            let mut bytes = Vec::new();
            while stream.read_buf(&mut bytes).await.is_ok_and(|n| n > 0) {
                // A ClientHello is answered as well: it has no empty line.
                if bytes.ends_with(b"\r\n\r\n") || bytes.starts_with(&[22]) {
                    let text = answer(&String::from_utf8_lossy(&bytes));
                    bytes.clear();
                    if text.is_empty() || stream.write_all(text.as_bytes()).await.is_err() || text.contains(": close") {
                        return;
                    }
                }
            }
        }
    })
    .await
}

/// TLS in front of a plain server, as HTTP.sys ends it before IIS sees anything.
pub(crate) async fn in_tls(acceptor: TlsAcceptor, behind: SocketAddr) -> SocketAddr {
    server(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut tls) = acceptor.accept(stream).await else { return };
            let mut plain = TcpStream::connect(behind).await.expect("the server behind");
            // A check leaves without ceremony.
            tokio::io::copy_bidirectional(&mut tls, &mut plain).await.ok();
        }
    })
    .await
}

/// TLS that asks each client for a certificate, and takes those without one unless it insists.
pub(crate) fn asks_for_certificates(identity: &Identity, insists: bool) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain: Vec<_> = rustls::pki_types::CertificateDer::pem_file_iter(identity.cert())
        .expect("PEM")
        .map(|c| c.expect("one"))
        .collect();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(chain[0].clone()).expect("a root");
    let asks = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let asks = if insists { asks } else { asks.allow_unauthenticated() }.build().expect("a verifier");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(asks)
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(identity.key()).expect("a key"))
        .expect("a server");
    TlsAcceptor::from(Arc::new(config))
}

async fn tls_iis(identity: &Identity, alpn: &[&str]) -> (SocketAddr, Iis) {
    let iis = Iis::start(stock()).await.expect("a server");
    (in_tls(identity.acceptor(alpn), iis.address()).await, iis)
}

/// A check that finds fault with a stock site sends an administrator after nothing, in the middle of an incident.
#[tokio::test(flavor = "multi_thread")]
async fn a_stock_site_has_no_problem_and_its_facts_are_told() {
    let (said, iis) = check_iis(stock(), &[]).await;
    assert_eq!(said.code(), Some(0), "{:#}", said.report);
    said.has("reachable", "ok", &[&iis.address().to_string()]);
    said.has("answer", "ok", &["401", "Microsoft-IIS/10.0", "custom error page"]);
    said.has("schemes", "ok", &["Negotiate, NTLM, in this order"]);
    said.has("connection-after-401", "ok", &[]);
    said.has("challenge", "ok", &["web01.example.test", "EXAMPLE", "10.0.20348"]);
    said.has("connection-after-challenge", "ok", &[]);
    said.has("persistent-auth", "ok", &["not known"]);
    said.has("clock", "ok", &["CHALLENGE"]);
    said.has("header-limit", "ok", &["12288"]);
    said.has("http-version", "ok", &[]);
    said.has("extended-protection", "ok", &["no TLS"]);
    // The test's server is on the same machine, which is what this line is for.
    said.has("own-host", "warning", &["127.0.0.1"]);
    said.lacks("certificate");
    said.lacks("client-certificate");
}

/// Whoever runs it against production must know what it does there: few requests, and no wrong password.
#[tokio::test(flavor = "multi_thread")]
async fn it_asks_little_and_tries_no_password() {
    let (said, iis) = check_iis(stock(), &[]).await;
    let codes: Vec<_> = iis.log().iter().map(authtap::sim::iis::log::LogLine::code).collect();
    let (bare, negotiate) = ((401, 2, 5), (401, 1, 0x8009_030E));
    assert_eq!(codes, [bare, negotiate, bare, bare]);
    assert_eq!((&said.report["connections"], &said.report["requests"]), (&2.into(), &4.into()));
    let (said, iis) = check_iis(stock(), &["--header-bytes", "0"]).await;
    assert_eq!(iis.log().len(), 3);
    said.lacks("header-limit");
}

/// A server that ends the connection after its challenge refuses every NTLM logon, whatever the password.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_after_the_challenge_is_a_problem_announced_or_not() {
    for (end, words) in [(End::Announced, "Connection: close"), (End::Fin, "does not outlive"), (End::Reset, "reset")] {
        let (said, _iis) = check_iis(Settings { after_challenge: Some(end), ..stock() }, &[]).await;
        assert_eq!(said.code(), Some(1), "{end:?}");
        said.has("connection-after-401", "ok", &[]);
        said.has("connection-after-challenge", "problem", &[words]);
    }
}

/// A 401 that ends the connection is a hop's doing, and costs each NTLM logon a connection more.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_after_a_bare_401_is_told_with_the_hop_that_names_itself() {
    let address = answering(|_| {
        "HTTP/1.1 401 Unauthorized\r\nVia: 1.1 edge.example.test\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n"
            .to_owned()
    })
    .await;
    let said = check(format!("http://{address}"), &[]).await;
    said.has("connection-after-401", "warning", &["Connection: close", "edge.example.test"]);
    said.has("challenge", "problem", &["NTLM is offered", "without a CHALLENGE"]);
    said.lacks("connection-after-challenge");
    // Unannounced: the second request on it has no answer.
    let ends = server(|mut stream| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|n| n > 0) {}
        let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.ok();
    })
    .await;
    let said = check(format!("http://{ends}"), &[]).await;
    said.has("connection-after-401", "warning", &["does not outlive the 401"]);
    said.has("challenge", "warning", &["only Kerberos"]);
}

/// Clocks that differ make Kerberos fail with an error that names something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_told_by_the_challenge_or_by_date() {
    let clock = net::Clock::start();
    let off = |seconds: i64| Clock::new(move || authtap::model::Stamp(clock.now().0 + seconds * 1_000_000));
    let (said, _iis) = check_iis(Settings { clock: off(-601), ..stock() }, &[]).await;
    assert_eq!(said.code(), Some(0));
    said.has("clock", "warning", &["10 min behind", "five minutes", "CHALLENGE"]);
    let offers = vec!["Basic realm=\"example.test\"".to_owned()];
    let (said, _iis) = check_iis(Settings { clock: off(90), offers, ..stock() }, &[]).await;
    said.has("clock", "warning", &["ahead of", "`Date`"]);
    said.has("schemes", "ok", &["Basic"]);
    said.has("connection-after-401", "ok", &[]);
    said.lacks("challenge");
    said.lacks("persistent-auth");
}

/// Without a challenge no client can log on; without a 401 nothing can be said about logons, and "ok" would be a lie.
#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_offers_nothing_is_told() {
    let (said, _iis) = check_iis(Settings { hide_challenges: true, ..stock() }, &[]).await;
    assert_eq!(said.code(), Some(1));
    said.has("schemes", "problem", &["no `WWW-Authenticate`"]);
    let open = answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_owned()).await;
    let said = check(format!("http://{open}"), &["--path", "/open"]).await;
    assert_eq!(said.code(), Some(0));
    said.has("answer", "warning", &["GET /open", "200", "without a logon"]);
    said.lacks("schemes");
}

/// "Cannot connect" without a reason is what one calls a colleague for.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_a_problem_with_its_reason() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let said = check(format!("http://{free}"), &[]).await;
    assert_eq!(said.code(), Some(1));
    said.has("reachable", "problem", &["refused", &free.to_string()]);
    said.lacks("answer");
    assert_eq!(said.report["requests"], 0);
}

/// `http` for `https` is the commonest slip, and its symptom (an empty answer, a TLS error) says nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_other_scheme_is_recognised_both_ways() {
    let identity = Identity::new();
    let (address, _iis) = tls_iis(&identity, &["http/1.1"]).await;
    let said = check(format!("http://{address}"), &[]).await;
    assert_eq!(said.code(), Some(1));
    said.has("reachable", "problem", &["speaks TLS"]);
    said.lacks("answer");
    // HTTP.sys answers bytes that are no HTTP, such as a ClientHello, with 400.
    let plain = answering(|head| {
        let status = if head.starts_with("GET ") { "401 Unauthorized" } else { "400 Bad Request" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    })
    .await;
    let said = check(format!("https://{plain}"), &[]).await;
    assert_eq!(said.code(), Some(1));
    said.has("reachable", "problem", &["plain HTTP"]);
    assert!(said.line("reachable")["fix"].as_str().expect("advice").contains("http://"));
}

/// With another certificate than the server's, authtap itself would make every logon fail under Extended Protection:
/// the one thing that must be known before it is inserted.
#[tokio::test(flavor = "multi_thread")]
async fn the_certificates_are_compared_and_judged() {
    let (site, other) = (Identity::new(), Identity::new());
    let (address, _iis) = tls_iis(&site, &["h2", "http/1.1"]).await;
    let url = format!("https://{address}");
    let public = format!("https://{NAME}");
    let path = |p: std::path::PathBuf| p.to_str().expect("text").to_owned();
    let (cert, key, ca) = (path(site.cert()), path(site.key()), path(site.cert()));
    let same = ["--public", &public, "--upstream-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
    let said = check(url.clone(), &same).await;
    assert_eq!(said.code(), Some(0), "{:#}", said.report);
    said.has("tls", "ok", &["TLS1.3"]);
    said.has("certificate", "ok", &["verifies", NAME]);
    said.has("extended-protection", "ok", &["the server's own certificate"]);
    said.has("client-certificate", "ok", &["none is asked for"]);
    said.has("http-version", "ok", &["HTTP/2"]);
    said.has("host", "ok", &[NAME]);
    said.has("challenge", "ok", &["web01.example.test"]);

    let (cert, key) = (path(other.cert()), path(other.key()));
    let another = ["--public", &public, "--upstream-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
    let said = check(url.clone(), &another).await;
    assert_eq!(said.code(), Some(1));
    said.has("extended-protection", "problem", &["refuse every Windows logon"]);
    said.has("certificate", "ok", &[]);

    // Without a certificate of its own authtap takes TLS away.
    let said = check(url.clone(), &["--upstream-ca", &ca]).await;
    said.has("extended-protection", "warning", &["plain HTTP"]);
    // The name in the URL is an address, which is not what clients ask for.
    said.has("certificate", "warning", &["not valid for name"]);
    // An unknown authority is a 502 for each client, unless it is to be recorded only.
    let unknown = ["--public", &public, "--upstream-ca", &cert];
    let said = check(url.clone(), &unknown).await;
    assert_eq!(said.code(), Some(1));
    said.has("certificate", "problem", &["does not verify"]);
    said.has("host", "problem", &["no certificate to show"]);
    let said = check(url, &["--public", &public, "--upstream-ca", &cert, "--upstream-verify", "record"]).await;
    said.has("certificate", "warning", &["does not verify"]);
}

/// A client certificate cannot pass authtap; people who log on with one would be locked out for the hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_that_is_asked_for_is_a_problem() {
    let identity = Identity::new();
    let iis = Iis::start(stock()).await.expect("a server");
    let address = in_tls(asks_for_certificates(&identity, false), iis.address()).await;
    let public = format!("https://{NAME}");
    let said = check(format!("https://{address}"), &["--public", &public, "--upstream-verify", "record"]).await;
    assert_eq!(said.code(), Some(1));
    said.has("client-certificate", "problem", &["asks for a client certificate"]);
    // No ALPN at this server: HTTP/1.1 it is.
    said.has("http-version", "ok", &["HTTP/1.1"]);
    said.has("answer", "ok", &["401"]);
    // One that insists ends the connection of whoever has none.
    let address = in_tls(asks_for_certificates(&identity, true), iis.address()).await;
    let said = check(format!("https://{address}"), &["--public", &public, "--upstream-verify", "record"]).await;
    said.has("client-certificate", "problem", &["asks for a client certificate"]);
    said.has("answer", "problem", &["no answer"]);
}

/// A changed port or a name that no binding has breaks what worked without authtap.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_name_or_port_is_told() {
    let (said, iis) = check_iis(stock(), &["--listen", "0.0.0.0:8099"]).await;
    said.has("host", "warning", &["8099", &iis.address().port().to_string()]);
    let own = format!("0.0.0.0:{}", iis.address().port());
    let url = format!("http://{}", iis.address());
    check(url.clone(), &["--listen", &own]).await.has("host", "ok", &["own port"]);
    let said = check(url.clone(), &["--listen", "0.0.0.0:80", "--public", "http://www.example.test"]).await;
    said.has("host", "ok", &["www.example.test"]);
    assert_eq!(said.report["host"], "www.example.test");
    let said = check(url, &["--public", "https://www.example.test"]).await;
    said.has("host", "problem", &["no certificate to show"]);
    let bound = answering(|head| {
        if head.contains("Host: www.example.test\r\n") {
            return "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n".to_owned();
        }
        let page = "<h2>Bad Request - Invalid Hostname</h2>";
        format!(
            "HTTP/1.1 400 Bad Request\r\nServer: Microsoft-HTTPAPI/2.0\r\nContent-Length: {}\r\nConnection: close\r\n\r\n\
             {page}",
            page.len()
        )
    })
    .await;
    let said = check(format!("http://{bound}"), &[]).await;
    assert_eq!(said.code(), Some(1));
    said.has("answer", "problem", &["no binding has the name"]);
    let said = check(format!("http://{bound}"), &["--public", "http://www.example.test"]).await;
    said.has("answer", "ok", &["401"]);
}

/// A limit below a large Kerberos ticket refuses only the people with many groups, and nobody suspects a limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_limit_is_told_with_who_has_it() {
    let address = answering(|head| {
        let status = if head.len() > 8_192 { "431 Request Header Fields Too Large" } else { "401 Unauthorized" };
        format!(
            "HTTP/1.1 {status}\r\nServer: edge/1\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        )
    })
    .await;
    let url = format!("http://{address}");
    check(url.clone(), &[]).await.has("header-limit", "warning", &["12288 bytes", "431", "by edge/1", "16384"]);
    check(url, &["--header-bytes", "4096"]).await.has("header-limit", "ok", &["4096 bytes"]);
}

/// Whether a logon lasts is what decides between two requests a page and two hundred.
#[tokio::test(flavor = "multi_thread")]
async fn with_an_account_persistence_is_tried_and_a_wrong_password_is_tried_once() {
    let user = ["--user", "EXAMPLE\\alice"];
    let iis = Iis::start(stock()).await.expect("a server");
    let url = format!("http://{}", iis.address());
    let said = check_with(url.clone(), &user, Some(PASSWORD)).await;
    assert_eq!(said.code(), Some(0), "{:#}", said.report);
    said.has("persistent-auth", "ok", &["EXAMPLE\\alice is logged on", "Persistent-Auth: true", "needs no logon"]);
    iis.change(|settings| settings.persistent = false);
    let said = check_with(url.clone(), &user, Some(PASSWORD)).await;
    said.has("persistent-auth", "warning", &["Persistent-Auth: false", "log on again"]);

    let before = iis.log().len();
    let said = check_with(url, &user, Some("Hunter2-planted")).await;
    assert_eq!(said.code(), Some(1));
    said.has("persistent-auth", "problem", &["refused with 401"]);
    let denied = iis.log()[before..].iter().filter(|l| l.win32 == 0x8009_030C).count();
    assert_eq!(denied, 1, "one wrong password and not two");
    assert!(!String::from_utf8_lossy(&said.output.stdout).contains("Hunter2"));
}

/// Whoever scripts against a line must find it described, and the schema must be that of the code.
#[test]
fn the_page_lists_every_line_and_the_schema_is_generated() {
    same_as_file(Path::new("docs/check-v1.schema.json"), &authtap::check::v1::schema().expect("a schema"));
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/check.md")).expect("docs/check.md");
    for name in authtap::check::judge::NAMES {
        assert!(page.contains(&format!("`{name}`")), "docs/check.md does not name `{name}`");
    }
}

/// The lines that people read, whole: verdict, name, sentence, advice, and how much was asked.
#[tokio::test(flavor = "multi_thread")]
async fn the_text_says_the_same_for_people() {
    let iis = Iis::start(Settings { after_challenge: Some(End::Announced), ..stock() }).await.expect("a server");
    let url = format!("http://{}", iis.address());
    let mut command = authtap();
    command.args(["check", "--upstream", &url]);
    let output = tokio::task::spawn_blocking(move || command.output().expect("authtap runs")).await.expect("it ran");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("ok       schemes: Negotiate, NTLM, in this order\n"), "{text}");
    assert!(text.contains("problem  connection-after-challenge: "), "{text}");
    assert!(text.contains("\n         > "), "{text}");
    assert!(text.ends_with("\n1 problem, 1 warning (2 connections, 3 requests).\n"), "{text}");
    assert!(text.lines().all(|l| l.len() <= 104), "{text}");
}

/// A mistyped option must be named, and nothing be asked of a server.
#[test]
fn a_wrong_command_line_is_refused_with_what_is_allowed() {
    let refused = |args: &[&str], words: &[&str]| {
        let mut command = authtap();
        let output = command.arg("check").args(args).output().expect("authtap runs");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(output.stdout.is_empty() && words.iter().all(|w| said.contains(w)), "{args:?}: {said}");
    };
    let up = ["--upstream", "http://127.0.0.1:9"];
    refused(&[], &["--upstream"]);
    refused(&["--upstream", "iis.example.test"], &["--upstream", "http://host[:port]"]);
    refused(&[up[0], up[1], "--tls-cert", "site.pem"], &["--tls-key"]);
    refused(&[up[0], up[1], "--upstream-ca", "x.pem"], &["--upstream-ca", "https"]);
    refused(&[up[0], up[1], "--public", "www.example.test"], &["--public", "http://host[:port]"]);
    refused(&[up[0], up[1], "--path", "app"], &["--path", "app", "begins with `/`"]);
    refused(&[up[0], up[1], "--header-bytes", "100000"], &["--header-bytes", "100000", "65536"]);
    refused(&[up[0], up[1], "--timeout", "soon"], &["--timeout", "soon", "10s"]);
    refused(&[up[0], up[1], "--user", "EXAMPLE\\alice"], &["--user", "AUTHTAP_PASSWORD"]);
}
