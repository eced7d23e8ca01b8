//! TLS of captures against openssl and curl, in the suites and versions that rustls does not speak, with tshark as a second reader.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use authtap::net::tls::certificate_facts;
use authtap::packet::tls::{KeyLog, Reading, Session, Why};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use crate::process::{Process, command, run};
use crate::rig::SITE;
use crate::tshark::pcap_of_streams;

/// What went over a connection, in order; true is from the client.
type Wire = Vec<(bool, Vec<u8>)>;

/// A directory with a certificate of RSA, which old suites need.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let mut request = place.openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key.pem -out cert.pem");
        request.args(["-subj", &format!("/CN={SITE}")]).args(["-addext", &format!("subjectAltName=DNS:{SITE}")]);
        run("openssl", request);
        let page: Vec<u8> = (0..100_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        fs::write(place.path("page"), page).unwrap();
        fs::write(place.path("request"), format!("GET /page HTTP/1.0\r\nHost: {SITE}\r\n\r\n")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn openssl(&self, arguments: &str) -> Command {
        let mut openssl = command("openssl");
        // The machine's own configuration forbids old versions.
        openssl.args(arguments.split(' ')).current_dir(self.path("")).env("OPENSSL_CONF", "/dev/null");
        openssl
    }

    /// An s_server that gives `page`, and its port.
    fn server(&self, more: &str) -> (Process, u16) {
        let suites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256:\
                      TLS_AES_128_CCM_8_SHA256";
        let mut server = self.openssl("s_server -accept 127.0.0.1:0 -cert cert.pem -key key.pem -alpn http/1.1");
        server.args(["-cipher", "ALL:@SECLEVEL=0", "-ciphersuites", suites]).args(more.split(' '));
        let mut server = Process::spawn("s_server", server);
        let line = server.stdout.wait_for("s_server", |line| line.starts_with("ACCEPT "));
        let port = line.rsplit(':').next().unwrap().trim().parse().unwrap();
        (server, port)
    }

    /// The secrets that a client has written to `name`.
    fn keys(&self, name: &str) -> KeyLog {
        let mut keys = KeyLog::default();
        let (secrets, bad) = keys.read(&fs::read(self.path(name)).unwrap());
        assert!(secrets > 0 && bad == 0, "{secrets} {bad}");
        keys
    }
}

/// Relays one connection to a port, and writes down what it carries.
fn relay(server: u16) -> (u16, JoinHandle<Wire>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
        let wire = Arc::new(Mutex::new(Wire::new()));
        let back = {
            let (from, to, wire) = (server.try_clone().unwrap(), client.try_clone().unwrap(), wire.clone());
            std::thread::spawn(move || copy(false, from, to, &wire))
        };
        copy(true, client, server, &wire);
        back.join().unwrap();
        std::mem::take(&mut *wire.lock().unwrap())
    });
    (port, thread)
}

fn copy(client: bool, mut from: TcpStream, mut to: TcpStream, wire: &Mutex<Wire>) {
    let mut bytes = [0; 16_384];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        wire.lock().unwrap().push((client, bytes[..length].to_vec()));
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Write).ok();
}

/// What a session gave.
struct Told {
    session: Session,
    reading: Reading,
    plain: [Vec<u8>; 2],
}

fn read(wire: &Wire, keys: &KeyLog, cut: usize) -> Told {
    let mut session = Session::new(|der| Some(certificate_facts(&CertificateDer::from(der))));
    let mut plain = [Vec::new(), Vec::new()];
    let mut reading = Reading::Handshake;
    for (client, bytes) in wire {
        for piece in bytes.chunks(cut) {
            let mut keep = |client: bool, text: &[u8]| plain[usize::from(!client)].extend_from_slice(text);
            reading = session.bytes(*client, piece, keys, &mut keep);
        }
    }
    Told { session, reading, plain }
}

/// One way to speak TLS: the version's option, openssl's name of the suite, more options, IANA's name, ours of the version.
struct Way {
    options: String,
    cipher: &'static str,
    version: &'static str,
}

fn ways() -> Vec<Way> {
    let tls12 = [
        ("AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA"),
        ("AES256-SHA", "TLS_RSA_WITH_AES_256_CBC_SHA"),
        ("AES128-SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA256"),
        ("AES256-SHA256", "TLS_RSA_WITH_AES_256_CBC_SHA256"),
        ("ECDHE-RSA-AES128-SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
        ("ECDHE-RSA-AES256-SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
        ("ECDHE-RSA-AES128-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"),
        ("ECDHE-RSA-AES256-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"),
        ("DHE-RSA-AES256-SHA256", "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256"),
        ("AES128-GCM-SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256"),
        ("DHE-RSA-AES256-GCM-SHA384", "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"),
        ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        ("ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
        ("ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
        ("AES128-CCM", "TLS_RSA_WITH_AES_128_CCM"),
        ("AES256-CCM8", "TLS_RSA_WITH_AES_256_CCM_8"),
    ];
    let old = [
        ("AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA"),
        ("ECDHE-RSA-AES256-SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
    ];
    let tls13 = [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_AES_128_CCM_SHA256",
        "TLS_AES_128_CCM_8_SHA256",
    ];
    let mut ways = Vec::new();
    let versions: [(&str, &str, &[_]); 3] =
        [("-tls1_2", "TLS1.2", &tls12), ("-tls1_1", "TLS1.1", &old), ("-tls1", "TLS1.0", &old)];
    for (option, version, suites) in versions {
        for (suite, cipher) in suites {
            let options = format!("{option} -cipher {suite}:@SECLEVEL=0");
            if cipher.contains("_CBC_") {
                ways.push(Way { options: format!("{options} -no_etm"), cipher, version });
            }
            ways.push(Way { options, cipher, version });
        }
    }
    for cipher in tls13 {
        ways.push(Way { options: format!("-tls1_3 -ciphersuites {cipher}"), cipher, version: "TLS1.3" });
    }
    ways
}

/// An old IIS speaks CBC with RSA's own key exchange or with SHA-384: a key log that opens it in Wireshark must open it here,
/// to the same bytes.
#[test]
fn what_openssl_says_is_read_in_every_suite() {
    let place = Place::new();
    let (_server, port) = place.server("-WWW");
    let ways = ways();
    let mut streams = Vec::new();
    let mut plains = Vec::new();
    for way in &ways {
        let (port, relay) = relay(port);
        let connect = format!("s_client -quiet -connect 127.0.0.1:{port} -servername {SITE} -alpn h2,http/1.1 ");
        let mut client = place.openssl(&(connect + &way.options + " -keylogfile keys"));
        client.stdin(File::open(place.path("request")).unwrap());
        let got = client.output().unwrap();
        assert!(got.status.success(), "{}: {}", way.options, String::from_utf8_lossy(&got.stderr));
        assert!(got.stdout.len() > 400_000, "{}: {} bytes", way.options, got.stdout.len());
        let wire = relay.join().unwrap();
        let keys = place.keys("keys");
        let mut told = read(&wire, &keys, 1460);
        assert_eq!(told.reading, Reading::Open, "{}", way.options);
        assert!(told.plain[0] == fs::read(place.path("request")).unwrap(), "{}", way.options);
        assert!(told.plain[1] == got.stdout, "{}: {} bytes", way.options, told.plain[1].len());
        let facts = told.session.facts();
        assert_eq!((facts.version.as_deref(), facts.cipher.as_deref()), (Some(way.version), Some(way.cipher)));
        assert_eq!((facts.sni.as_deref(), facts.alpn_chosen.as_deref()), (Some(SITE), Some("http/1.1")));
        assert!(facts.certificate.unwrap().subject.contains(SITE));
        assert!(told.session.ended(false), "{}", way.options);
        assert_eq!(read(&wire, &KeyLog::default(), 1460).reading, Reading::Closed(Why::NoSecrets));
        streams.push(wire);
        plains.push(std::mem::take(&mut told.plain));
    }
    tshark_agrees(&place, &streams, &plains);
}

/// tshark follows the same streams with the same key log.
fn tshark_agrees(place: &Place, streams: &[Wire], plains: &[[Vec<u8>; 2]]) {
    fs::write(place.path("streams.pcap"), pcap_of_streams(streams)).unwrap();
    let mut tshark = command("tshark");
    tshark.current_dir(place.path("")).env("HOME", place.path(""));
    tshark.args(["-r", "streams.pcap", "-q", "-o", "tls.keylog_file:keys"]);
    for number in 0..streams.len() {
        tshark.args(["-z", &format!("follow,tls,raw,{number}")]);
    }
    let said = run("tshark", tshark).stdout;
    // The last one asked for comes first, and which side it writes at the margin is its own choice.
    let mut theirs: Vec<[String; 2]> = Vec::new();
    for line in said.lines() {
        if let Some(number) = line.strip_prefix("Filter: tcp.stream eq ") {
            assert_eq!(number.parse(), Ok(streams.len() - 1 - theirs.len()));
            theirs.push([String::new(), String::new()]);
        } else if line.trim_start().bytes().all(|b| b.is_ascii_hexdigit()) && !line.is_empty() {
            theirs.last_mut().unwrap()[usize::from(line.starts_with('\t'))] += line.trim_start();
        }
    }
    theirs.reverse();
    let hex = |bytes: &Vec<u8>| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    assert_eq!(theirs.len(), plains.len());
    for (number, (theirs, plain)) in theirs.iter_mut().zip(plains).enumerate() {
        theirs.sort_by_key(String::len);
        let ours = [hex(&plain[0]), hex(&plain[1])];
        assert!(*theirs == ours, "stream {number}: {} and {} digits", theirs[1].len(), ours[1].len());
    }
}

/// curl is what an administrator has at hand to make a key log with; its connections are resumed and padded like any other's.
#[test]
fn what_curl_asks_is_read_by_its_key_log() {
    let place = Place::new();
    let (_server, port) = place.server("-WWW");
    for version in ["1.2", "1.3"] {
        let (port, relay) = relay(port);
        let mut curl = command("curl");
        curl.args([
            "-sS",
            "-i",
            "-k",
            "--http1.1",
            "--tls-max",
            version,
            "--connect-to",
            &format!("::127.0.0.1:{port}"),
        ]);
        curl.arg(format!("https://{SITE}/page")).env("SSLKEYLOGFILE", place.path("curl-keys"));
        let got = curl.output().unwrap();
        assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stderr));
        let told = read(&relay.join().unwrap(), &place.keys("curl-keys"), 100);
        assert!(told.plain[0].starts_with(b"GET /page HTTP/1.1\r\n"));
        assert!(told.plain[1] == got.stdout, "TLS {version}");
        assert_eq!(told.session.facts().version, Some(format!("TLS{version}")));
    }
}

/// IIS asks for a client certificate by negotiating anew, in the middle of a connection: the request that follows must be read.
#[test]
fn a_renegotiation_for_a_client_certificate_is_followed() {
    let place = Place::new();
    for suite in ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-SHA384"] {
        let mut server = place.openssl("s_server -accept 127.0.0.1:0 -cert cert.pem -key key.pem -tls1_2");
        server.args(["-cipher", suite, "-CAfile", "cert.pem", "-no_resumption_on_reneg"]);
        let mut server = Talker::spawn(server);
        let line = server.wait_for("ACCEPT ");
        let (port, relay) = relay(line.rsplit(':').next().unwrap().trim().parse().unwrap());
        let mut client = place.openssl("s_client -quiet -cert cert.pem -key key.pem -keylogfile renegotiated");
        client.args(["-connect", &format!("127.0.0.1:{port}")]);
        let mut client = Talker::spawn(client);
        client.say("before\n");
        server.wait_for("before");
        // Negotiate anew, with a client certificate.
        server.say("R\n");
        server.wait_for("verify return:1");
        client.say("after\n");
        server.wait_for("after");
        // Close, and end.
        server.say("Q\n");
        server.end();
        client.end();
        let wire = relay.join().unwrap();
        let told = read(&wire, &place.keys("renegotiated"), 1460);
        assert_eq!(told.plain[0], b"before\nafter\n", "{suite}");
        assert!(told.session.facts().client_certificate_requested);
        assert_eq!(told.reading, Reading::Open);

        // The first handshake's secrets alone.
        let text = fs::read_to_string(place.path("renegotiated")).unwrap();
        let secrets: Vec<&str> = text.lines().filter(|line| line.starts_with("CLIENT_RANDOM")).collect();
        assert!(secrets.len() >= 2, "{}", secrets.len());
        let mut first = KeyLog::default();
        first.read(secrets[secrets.len() - 2].as_bytes());
        let told = read(&wire, &first, 1460);
        assert_eq!(told.reading, Reading::Closed(Why::NoSecretsAnew));
        assert_eq!(told.plain[0], b"before\n");
    }
}

/// A program that is talked to on its stdin, and whose stdout and stderr are read as one.
struct Talker {
    child: Child,
    said: std::sync::mpsc::Receiver<String>,
}

impl Talker {
    fn spawn(mut command: Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let (sender, said) = std::sync::mpsc::channel();
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let lines = std::io::BufRead::lines(std::io::BufReader::new(stream));
                lines.map_while(Result::ok).for_each(|line| sender.send(line).unwrap_or_default());
            });
        }
        Self { child, said }
    }

    fn say(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn wait_for(&mut self, text: &str) -> String {
        let mut all = String::new();
        loop {
            let line = self.said.recv_timeout(crate::process::DEADLINE);
            let line = line.unwrap_or_else(|_| panic!("no {text:?} came, but:\n{all}"));
            if line.contains(text) {
                return line;
            }
            all += &(line + "\n");
        }
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}
