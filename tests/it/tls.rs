//! TLS on either side of the relay: the bytes, the names, the certificates, and what goes wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot set itself up fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use authtap::model::event::What;
use authtap::model::transport::{By, How};
use authtap::net::tls::{Alpn, ServerTls, TlsFileError, UpstreamTls, Verify, certificate_facts};
use authtap::net::{Clock, SiteConfig, probe, probe_certificate};
use rcgen::{CertificateParams, CertifiedKey, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::relay::{HANG, Rig, closes, opens, site};

pub(crate) const NAME: &str = "iis.test";

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A self-signed certificate for [`NAME`], in files.
pub(crate) struct Identity {
    made: CertifiedKey<KeyPair>,
    folder: TempDir,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
        let made = CertifiedKey { cert, signing_key: key };
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        let key = made.signing_key.serialize_pem();
        std::fs::write(folder.path().join("key.pem"), key).unwrap();
        Self { made, folder }
    }

    pub(crate) fn cert(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    fn load(&self) -> ServerTls {
        ServerTls::load(&self.cert(), &self.key()).unwrap()
    }

    pub(crate) fn acceptor(&self, alpn: &[&str]) -> TlsAcceptor {
        let key = PrivateKeyDer::from_pem_file(self.key()).unwrap();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.made.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    async fn connect(&self, tcp: TcpStream, alpn: &[&str]) -> client::TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.made.cert.der().clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).unwrap(), tcp).await.unwrap()
    }
}

/// An upstream that speaks TLS, and a site before it that judges it so.
async fn upstream(ca: Option<&Path>, verify: Verify) -> (TcpListener, SiteConfig) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut site = site(listener.local_addr().unwrap());
    site.upstream.tls = Some(UpstreamTls::new(ca, verify).unwrap());
    (listener, site)
}

type Ends = (client::TlsStream<TcpStream>, server::TlsStream<TcpStream>);

/// One client and one upstream, with authtap between them.
async fn through(rig: &Rig, iis: &Identity, listener: &TcpListener, shown: &Identity, alpn: &[&str]) -> Ends {
    let acceptor = iis.acceptor(&["h2", "http/1.1"]);
    let accept = async {
        let (tcp, _) = listener.accept().await.unwrap();
        acceptor.accept(tcp).await.unwrap()
    };
    let connect = async { shown.connect(rig.client().await, alpn).await };
    tokio::join!(connect, accept)
}

/// TLS that eats a byte, or an end, is worse than no proxy.
#[tokio::test]
async fn bytes_and_ends_pass_through_tls_on_both_sides() {
    let identity = Identity::new();
    let (listener, mut site) = upstream(Some(&identity.cert()), Verify::Require).await;
    site.tls = Some(identity.load());
    site.alpn = Alpn::Http1;
    let rig = Rig::start(site);
    let (mut client, mut server) = through(&rig, &identity, &listener, &identity, &["h2", "http/1.1"]).await;
    assert_eq!(server.get_ref().1.server_name(), Some(NAME));
    assert_eq!(server.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));

    let upload: Vec<u8> = (0..3_000_000u32).map(|i| i.to_be_bytes()[2] ^ i.to_be_bytes()[3]).collect();
    let mut got = Vec::new();
    let send = async {
        client.write_all(&upload).await.unwrap();
        client.shutdown().await.unwrap();
    };
    let ((), read) = tokio::join!(send, server.read_to_end(&mut got));
    read.unwrap();
    assert!(got == upload);
    server.write_all(&upload).await.unwrap();
    server.shutdown().await.unwrap();
    got.clear();
    // An end without close_notify would be an error here.
    client.read_to_end(&mut got).await.unwrap();
    assert!(got == upload);

    drop((client, server));
    let events = rig.told().await;
    let open = opens(&events).remove(0);
    let (towards_client, towards_iis) = (open.tls.unwrap(), open.upstream_tls.unwrap());
    assert_eq!(towards_client.sni.as_deref(), Some(NAME));
    assert_eq!(towards_client.alpn_offered, ["h2", "http/1.1"]);
    for tls in [&towards_client, &towards_iis] {
        assert_eq!(tls.version.as_deref(), Some("TLS1.3"));
        assert!(tls.cipher.as_ref().unwrap().starts_with("TLS_A"), "{tls:?}");
        assert_eq!(tls.alpn_chosen.as_deref(), Some("http/1.1"));
        let certificate = tls.certificate.as_ref().unwrap();
        assert_eq!(*certificate, certificate_facts(identity.made.cert.der()));
        assert_eq!(certificate.names, [NAME]);
    }
    assert_eq!(towards_iis.sni.as_deref(), Some(NAME));
    assert_eq!(towards_iis.verification, None);
    let end = closes(&events).remove(0).end;
    assert_eq!((end.by, end.how, end.detail), (By::Client, How::Fin, None));
}

/// A cut stream that looks complete hides a truncated answer.
#[tokio::test]
async fn an_end_without_close_notify_stays_one() {
    let identity = Identity::new();
    let (listener, mut site) = upstream(Some(&identity.cert()), Verify::Require).await;
    site.tls = Some(identity.load());
    let rig = Rig::start(site);
    let (mut client, mut server) = through(&rig, &identity, &listener, &identity, &["http/1.1"]).await;
    server.write_all(b"half an ans").await.unwrap();
    server.flush().await.unwrap();
    server.get_mut().0.shutdown().await.unwrap();
    let mut got = Vec::new();
    let error = client.read_to_end(&mut got).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    assert_eq!(got, b"half an ans");
    drop((client, server));
    let end = closes(&rig.told().await).remove(0).end;
    assert_eq!((end.by, end.how), (By::Upstream, How::Fin));
    assert!(end.detail.unwrap().contains("close_notify"));
}

/// authtap must not turn away a client that speaks something it does not.
#[tokio::test]
async fn a_client_that_offers_only_h2_is_not_refused() {
    let identity = Identity::new();
    let (listener, mut site) = upstream(Some(&identity.cert()), Verify::Require).await;
    site.tls = Some(identity.load());
    site.alpn = Alpn::Http1;
    let rig = Rig::start(site);
    let (client, server) = through(&rig, &identity, &listener, &identity, &["h2"]).await;
    assert_eq!(client.get_ref().1.alpn_protocol(), None);
    drop((client, server));
    let tls = opens(&rig.told().await).remove(0).tls.unwrap();
    assert_eq!((tls.alpn_offered, tls.alpn_chosen), (vec!["h2".to_owned()], None));
}

/// A protocol that authtap takes away, or brings in, changes the outcome that it is here to explain.
#[tokio::test]
async fn client_and_upstream_agree_as_they_would_without_authtap() {
    let identity = Identity::new();
    for (offers, speaks, chosen) in [
        (&["h2", "http/1.1"][..], &["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], &["h2", "http/1.1"], Some("h2")),
        (&["h2"], &["h2"], Some("h2")),
        (&["spdy/3", "h2", "http/1.1"], &["http/1.1"], Some("http/1.1")),
        (&["http/1.1"], &["h2", "http/1.1"], Some("http/1.1")),
        (&["h2", "http/1.1"], &[], None),
    ] {
        let (listener, mut site) = upstream(Some(&identity.cert()), Verify::Require).await;
        site.tls = Some(identity.load());
        let rig = Rig::start(site);
        let acceptor = identity.acceptor(speaks);
        let accept = async {
            let (tcp, _) = listener.accept().await.unwrap();
            acceptor.accept(tcp).await.unwrap()
        };
        let connect = async { identity.connect(rig.client().await, offers).await };
        let (client, server) = tokio::join!(connect, accept);
        let agreed = client.get_ref().1.alpn_protocol().map(|p| String::from_utf8(p.to_vec()).unwrap());
        assert_eq!(agreed.as_deref(), chosen, "{offers:?} {speaks:?}");
        assert_eq!(server.get_ref().1.alpn_protocol(), chosen.map(str::as_bytes), "{offers:?} {speaks:?}");
        drop((client, server));
        let open = opens(&rig.told().await).remove(0);
        assert_eq!(
            (open.tls.unwrap().alpn_chosen.as_deref(), open.upstream_tls.unwrap().alpn_chosen.as_deref()),
            (chosen, chosen)
        );
    }
}

/// A refusal over HTTP/2 that is not seen leaves the administrator with a connection without a word in it.
#[tokio::test]
async fn what_is_said_over_http2_is_told() {
    use crate::cases::h2;
    let identity = Identity::new();
    let (listener, mut site) = upstream(Some(&identity.cert()), Verify::Require).await;
    site.tls = Some(identity.load());
    let rig = Rig::start(site);
    let (mut client, mut server) = through(&rig, &identity, &listener, &identity, &["h2", "http/1.1"]).await;
    // The server may speak first: TLS has told it what the client will speak.
    let begins = h2::server_begins();
    server.write_all(&begins).await.unwrap();
    server.flush().await.unwrap();
    let mut got = vec![0; begins.len()];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(got, begins);
    let asks = [h2::client_begins(), h2::message(1, true, &["GET /app".to_owned(), "host: iis.test".to_owned()], b"")]
        .concat();
    client.write_all(&asks).await.unwrap();
    client.flush().await.unwrap();
    let mut got = vec![0; asks.len()];
    server.read_exact(&mut got).await.unwrap();
    assert!(got == asks);
    let answer = h2::message(1, false, &["401".to_owned(), "www-authenticate: NTLM".to_owned()], b"no");
    server.write_all(&answer).await.unwrap();
    server.shutdown().await.unwrap();
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    assert!(got == answer);
    drop((client, server));
    let events = rig.told().await;
    assert!(!events.iter().any(|e| matches!(e.what, What::Gap(_))), "{events:?}");
    assert_eq!(closes(&events).remove(0).exchanges, 1);
}

/// Asks plainly, and returns what came.
async fn ask(rig: &Rig) -> String {
    let mut client = rig.client().await;
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut got = String::new();
    client.read_to_string(&mut got).await.unwrap();
    got
}

/// A wrong certificate at IIS must be named, or nobody looks there.
#[tokio::test]
async fn a_certificate_that_does_not_verify_is_a_502_when_required() {
    let (identity, other) = (Identity::new(), Identity::new());
    let (listener, site) = upstream(Some(&other.cert()), Verify::Require).await;
    let rig = Rig::start(site);
    let acceptor = identity.acceptor(&[]);
    let accept = async {
        let (tcp, _) = listener.accept().await.unwrap();
        acceptor.accept(tcp).await.unwrap_err();
    };
    let (got, ()) = tokio::join!(ask(&rig), accept);
    assert!(got.starts_with("HTTP/1.1 502 "), "{got}");
    assert!(got.contains("error=tls_certificate_error"), "{got}");
    let tls = opens(&rig.told().await).remove(0).upstream_tls.unwrap();
    assert!(tls.verification.unwrap().contains("certificate"));
    assert!(tls.certificate.is_some());
}

/// `record` exists so that the outcome stays what it was: traffic flows, and the fault is told.
#[tokio::test]
async fn a_certificate_that_does_not_verify_is_only_told_when_recorded() {
    let (identity, other) = (Identity::new(), Identity::new());
    let (listener, mut site) = upstream(Some(&other.cert()), Verify::Record).await;
    site.tls = Some(other.load());
    let rig = Rig::start(site);
    let (mut client, mut server) = through(&rig, &identity, &listener, &other, &[]).await;
    client.write_all(b"hello").await.unwrap();
    client.flush().await.unwrap();
    let mut got = [0; 5];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hello");
    drop((client, server));
    let open = opens(&rig.told().await).remove(0);
    let tls = open.upstream_tls.unwrap();
    assert!(tls.verification.is_some());
    assert_ne!(tls.certificate, open.tls.unwrap().certificate);
}

/// Client certificates do not pass a TLS proxy: authtap blames itself only when it notices that IIS asks.
#[tokio::test]
async fn an_upstream_that_asks_for_a_client_certificate_is_noticed() {
    let identity = Identity::new();
    let (listener, mut site) = upstream(Some(&identity.cert()), Verify::Require).await;
    site.upstream.host = "localhost".to_owned();
    site.tls = Some(identity.load());
    let rig = Rig::start(site);
    let mut roots = RootCertStore::empty();
    roots.add(identity.made.cert.der().clone()).unwrap();
    let asks = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .allow_unauthenticated()
        .build()
        .unwrap();
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(asks)
        .with_single_cert(vec![identity.made.cert.der().clone()], PrivateKeyDer::from_pem_file(identity.key()).unwrap())
        .unwrap();
    let accept = async {
        let (tcp, _) = listener.accept().await.unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        acceptor.accept(tcp).await.unwrap()
    };
    let connect = async { identity.connect(rig.client().await, &[]).await };
    drop(tokio::join!(connect, accept));
    let tls = opens(&rig.told().await).remove(0).upstream_tls.unwrap();
    assert!(tls.client_certificate_requested);
}

/// `https` where `http` was meant must be said in those words.
#[tokio::test]
async fn an_upstream_that_does_not_speak_tls_is_a_502_that_says_so() {
    let identity = Identity::new();
    let (listener, site) = upstream(Some(&identity.cert()), Verify::Require).await;
    let rig = Rig::start(site);
    let accept = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        // The header of the ClientHello's record is enough to have been spoken to.
        tcp.read_exact(&mut [0; 5]).await.unwrap();
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        tcp
    };
    let (got, _tcp) = tokio::join!(ask(&rig), accept);
    assert!(got.contains("error=tls_protocol_error"), "{got}");
    assert!(got.contains("does not speak TLS"), "{got}");
    rig.told().await;
}

/// Scanners and plain-text clients hit every TLS port; they must neither hang nor look like a client that left.
#[tokio::test]
async fn garbage_on_the_tls_port_is_told_and_ended() {
    let identity = Identity::new();
    let (_listener, mut site) = upstream(Some(&identity.cert()), Verify::Require).await;
    site.tls = Some(identity.load());
    let rig = Rig::start(site);
    let mut client = rig.client().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: iis.test\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    // An alert and an end, or a reset: the client's own bytes may be unread.
    client.read_to_end(&mut got).await.ok();
    drop(client);
    let events = rig.told().await;
    let end = closes(&events).remove(0).end;
    assert_eq!((end.by, end.how), (By::Client, How::Error));
    assert!(end.detail.unwrap().contains("TLS handshake with the client failed"));
    assert!(opens(&events)[0].tls.as_ref().unwrap().alert.is_some());
    assert_eq!(opens(&events)[0].addresses.upstream, None);
}

/// A client that does not trust authtap's certificate must be seen as that, and not as one that went away.
#[tokio::test]
async fn a_client_that_refuses_the_certificate_leaves_its_alert() {
    let (identity, other) = (Identity::new(), Identity::new());
    let (listener, mut site) = upstream(Some(&identity.cert()), Verify::Require).await;
    site.tls = Some(identity.load());
    let rig = Rig::start(site);
    let acceptor = identity.acceptor(&[]);
    let accept = async {
        let (tcp, _) = listener.accept().await.unwrap();
        acceptor.accept(tcp).await.unwrap()
    };
    let refuse = async {
        let mut roots = RootCertStore::empty();
        roots.add(other.made.cert.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from(NAME).unwrap(), rig.client().await)
            .await
            .unwrap_err();
    };
    let _ = tokio::join!(refuse, accept);
    let events = rig.told().await;
    let end = closes(&events).remove(0).end;
    assert_eq!((end.by, end.how), (By::Client, How::TlsAlert), "{end:?}");
}

/// Without it nobody is told that `--alpn http1` keeps clients from what the server speaks.
#[tokio::test]
async fn the_probe_learns_what_the_upstream_speaks() {
    let identity = Identity::new();
    for (speaks, chosen) in [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)] {
        let (listener, site) = upstream(Some(&identity.cert()), Verify::Record).await;
        let acceptor = identity.acceptor(speaks);
        let accept = async {
            let (tcp, _) = listener.accept().await.unwrap();
            acceptor.accept(tcp).await.ok();
        };
        let (found, ()) = tokio::join!(probe(&site.upstream, HANG, Clock::start().now()), accept);
        assert_eq!(found.unwrap().alpn.as_deref(), chosen);
    }
}

/// The start event compares both certificates; without the probe Extended Protection's breakage shows only as 401s.
#[tokio::test]
async fn the_probe_learns_the_certificate_also_when_it_does_not_verify() {
    let (identity, other) = (Identity::new(), Identity::new());
    let acceptor = identity.acceptor(&[]);
    for (ca, verify) in [(&identity, Verify::Require), (&other, Verify::Require), (&other, Verify::Record)] {
        let (listener, site) = upstream(Some(&ca.cert()), verify).await;
        let mut upstream = site.upstream;
        upstream.host = "localhost".to_owned();
        let accept = async {
            let (tcp, _) = listener.accept().await.unwrap();
            acceptor.accept(tcp).await.ok()
        };
        let (found, _) = tokio::join!(probe_certificate(&upstream, HANG, Clock::start().now()), accept);
        assert_eq!(found.unwrap(), Some(certificate_facts(identity.made.cert.der())));
    }
}

/// Each message names the file and the fault, or the operator guesses.
#[test]
fn what_is_wrong_with_a_file_is_said_with_its_name() {
    let (one, two) = (Identity::new(), Identity::new());
    let text = |e: &TlsFileError| e.to_string();
    let missing = one.folder.path().join("nowhere.pem");
    let e = ServerTls::load(&missing, &one.key()).unwrap_err();
    assert!(matches!(e, TlsFileError::Unreadable { .. }) && text(&e).contains("nowhere.pem"));
    let e = ServerTls::load(&one.key(), &one.key()).unwrap_err();
    assert!(matches!(e, TlsFileError::NoCertificate { .. }) && text(&e).contains("key.pem"));
    let e = ServerTls::load(&one.cert(), &one.cert()).unwrap_err();
    assert!(matches!(e, TlsFileError::NoKey { .. }) && text(&e).contains("cert.pem"));
    let e = ServerTls::load(&one.cert(), &two.key()).unwrap_err();
    assert!(matches!(e, TlsFileError::Mismatch { .. }), "{e}");
    assert!(text(&e).contains("does not belong to the certificate"));
    let e = UpstreamTls::new(Some(&missing), Verify::Require).unwrap_err();
    assert!(text(&e).contains("nowhere.pem"));
    let e = UpstreamTls::new(Some(&one.key()), Verify::Require).unwrap_err();
    assert!(matches!(e, TlsFileError::NoCertificate { .. }));
}

/// The hash must be the one that the certificate's signature asks for, or the warning about Extended Protection is false.
#[test]
fn the_end_point_hash_follows_the_signature() {
    for (algorithm, hash, digits) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, "sha-256", 64),
        (&rcgen::PKCS_ECDSA_P384_SHA384, "sha-384", 96),
        (&rcgen::PKCS_ED25519, "sha-256", 64),
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let params = CertificateParams::new(vec![NAME.to_owned(), "10.1.2.3".to_owned()]).unwrap();
        let der: CertificateDer<'_> = params.self_signed(&key).unwrap().der().clone();
        let facts = certificate_facts(&der);
        assert_eq!((facts.end_point_hash.as_str(), facts.end_point.len()), (hash, digits));
        assert_eq!(facts.names, [NAME, "10.1.2.3"]);
        assert_eq!(facts.channel_bindings.len(), 3);
        assert!(facts.subject.contains("CN="), "{}", facts.subject);
    }
}
