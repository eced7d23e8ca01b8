//! A client and a server of rustls in memory, and all that went between them.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use authtap::net::tls::certificate_facts;
use authtap::packet::tls::{KeyLog, Reading, Session};
use rcgen::{CertificateParams, CertifiedKey, KeyPair};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, SupportedCipherSuite};

pub(crate) const NAME: &str = "www.example.test";

/// The lines of a key log.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<String>);

impl rustls::KeyLog for Log {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        writeln!(self.0.lock().unwrap(), "{label} {} {}", hex(client_random), hex(secret)).unwrap();
    }
}

impl Log {
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn keys(&self) -> KeyLog {
        keys(&self.text())
    }
}

pub(crate) fn keys(text: &str) -> KeyLog {
    let mut keys = KeyLog::default();
    assert_eq!(keys.read(text.as_bytes()).1, 0, "{text}");
    keys
}

/// Both ends' configurations.
pub(crate) struct Ends {
    pub(crate) client: ClientConfig,
    pub(crate) server: ServerConfig,
    pub(crate) log: Arc<Log>,
    pub(crate) certificate: CertificateDer<'static>,
}

/// What a test may want other than the default.
#[derive(Default, Clone)]
pub(crate) struct Wish {
    pub(crate) suite: Option<SupportedCipherSuite>,
    pub(crate) tls12: bool,
    pub(crate) client_certificate: bool,
    pub(crate) server_groups: Option<Vec<&'static dyn SupportedKxGroup>>,
}

impl Ends {
    pub(crate) fn new(wish: &Wish) -> Self {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
        let made = CertifiedKey { cert, signing_key: key };
        let certificate = made.cert.der().clone();
        let private = || PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = |groups: Option<Vec<_>>| {
            let mut provider: CryptoProvider = ring::default_provider();
            if let Some(suite) = wish.suite {
                provider.cipher_suites = vec![suite];
            }
            if let Some(groups) = groups {
                provider.kx_groups = groups;
            }
            Arc::new(provider)
        };
        let versions = match wish {
            Wish { suite: Some(suite), .. } => vec![suite.version()],
            Wish { tls12: true, .. } => vec![&rustls::version::TLS12],
            _ => vec![&rustls::version::TLS13],
        };
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let roots = Arc::new(roots);
        let server = ServerConfig::builder_with_provider(provider(wish.server_groups.clone()))
            .with_protocol_versions(&versions)
            .unwrap();
        let mut server = if wish.client_certificate {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider(None)).build().unwrap();
            server.with_client_cert_verifier(verifier)
        } else {
            server.with_no_client_auth()
        }
        .with_single_cert(vec![certificate.clone()], private())
        .unwrap();
        let client = ClientConfig::builder_with_provider(provider(None))
            .with_protocol_versions(&versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut client = if wish.client_certificate {
            client.with_client_auth_cert(vec![certificate.clone()], private()).unwrap()
        } else {
            client.with_no_client_auth()
        };
        let log = Arc::new(Log::default());
        client.key_log = log.clone();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { client, server, log, certificate }
    }
}

/// A connection under way.
pub(crate) struct Pair {
    pub(crate) client: ClientConnection,
    pub(crate) server: ServerConnection,
    /// What went over the wire, in order; true is from the client.
    pub(crate) wire: Vec<(bool, Vec<u8>)>,
    /// What either read of the other: the client's bytes, the server's.
    pub(crate) read: [Vec<u8>; 2],
}

impl Pair {
    /// Nothing is sent yet.
    pub(crate) fn new(ends: &Ends) -> Self {
        let name = ServerName::try_from(NAME).unwrap();
        Self {
            client: ClientConnection::new(Arc::new(ends.client.clone()), name).unwrap(),
            server: ServerConnection::new(Arc::new(ends.server.clone())).unwrap(),
            wire: Vec::new(),
            read: [Vec::new(), Vec::new()],
        }
    }

    /// One connection with a request, a long answer and orderly ends.
    pub(crate) fn whole(ends: &Ends) -> Self {
        let mut pair = Self::new(ends);
        pair.carry();
        pair.talk(1);
        pair.end();
        pair
    }

    /// A request and an answer of several records.
    pub(crate) fn talk(&mut self, number: usize) {
        self.client.writer().write_all(format!("GET /{number} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        self.carry();
        let body: Vec<u8> = (0..40_000_usize).map(|i| (i * (i >> 8) + number).to_le_bytes()[0]).collect();
        self.server.writer().write_all(&body).unwrap();
        self.carry();
    }

    pub(crate) fn end(&mut self) {
        self.client.send_close_notify();
        self.carry();
        self.server.send_close_notify();
        self.carry();
    }

    /// Carries until neither has more to send.
    pub(crate) fn carry(&mut self) {
        while self.client.wants_write() || self.server.wants_write() {
            let mut bytes = Vec::new();
            if self.client.wants_write() {
                self.client.write_tls(&mut bytes).unwrap();
                self.wire.push((true, bytes.clone()));
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    self.server.read_tls(&mut rest).unwrap();
                    let state = self.server.process_new_packets();
                    if let Some(mut early) = self.server.early_data() {
                        early.read_to_end(&mut self.read[0]).unwrap();
                    }
                    if let Ok(state) = state {
                        let mut plain = vec![0; state.plaintext_bytes_to_read()];
                        self.server.reader().read_exact(&mut plain).unwrap();
                        self.read[0].extend(plain);
                    }
                }
            } else {
                self.server.write_tls(&mut bytes).unwrap();
                self.wire.push((false, bytes.clone()));
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    self.client.read_tls(&mut rest).unwrap();
                    if let Ok(state) = self.client.process_new_packets() {
                        let mut plain = vec![0; state.plaintext_bytes_to_read()];
                        self.client.reader().read_exact(&mut plain).unwrap();
                        self.read[1].extend(plain);
                    }
                }
            }
        }
    }
}

/// What a session told.
pub(crate) struct Told {
    pub(crate) session: Session,
    pub(crate) reading: Reading,
    /// What came out, in order.
    pub(crate) order: Vec<(bool, Vec<u8>)>,
}

impl Told {
    /// What came out of a side.
    pub(crate) fn plain(&self, client: bool) -> Vec<u8> {
        self.order.iter().filter(|(from, _)| *from == client).flat_map(|(_, bytes)| bytes.clone()).collect()
    }

    pub(crate) fn both(&self) -> [Vec<u8>; 2] {
        [self.plain(true), self.plain(false)]
    }
}

/// Reads what went over the wire, each piece cut into pieces of at most `cut` bytes.
pub(crate) fn read(wire: &[(bool, Vec<u8>)], keys: &KeyLog, cut: usize) -> Told {
    let mut session = Session::new(|der| Some(certificate_facts(&CertificateDer::from(der))));
    let mut order: Vec<(bool, Vec<u8>)> = Vec::new();
    let mut reading = Reading::Handshake;
    for (client, bytes) in wire {
        for piece in bytes.chunks(cut) {
            reading = session.bytes(*client, piece, keys, &mut |from, plain| order.push((from, plain.to_vec())));
        }
    }
    Told { session, reading, order }
}
