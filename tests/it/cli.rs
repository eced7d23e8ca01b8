//! The command line: mistakes are named, and nothing is lost to them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Running, authtap, output, stderr};

fn dir() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn write(dir: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, text).expect("a file");
    path
}

/// A command line that must be refused with exit code 2 and all of these words.
fn refused(args: &[&str], words: &[&str]) {
    let output = output(args);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    assert!(output.stdout.is_empty(), "{args:?} wrote to stdout");
    for word in words {
        assert!(said.contains(word), "{args:?} does not say `{word}`: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

const LISTEN: &str = "127.0.0.1:0";
const UPSTREAM: &str = "http://127.0.0.1:9";

/// A port that is taken is the first thing that goes wrong in an incident.
#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind(LISTEN).expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    refused(&["run", "--listen", &address, "--upstream", UPSTREAM], &[&address, "in use"]);
}

/// In front of itself, authtap would open connections until nothing is left.
#[test]
fn an_upstream_that_is_authtap_itself_is_refused() {
    let free = || TcpListener::bind(LISTEN).expect("a port").local_addr().expect("an address").port();
    for (listen, upstream) in [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "localhost"), ("0.0.0.0", "127.0.0.2")] {
        let port = free();
        let upstream = format!("http://{upstream}:{port}");
        let listen = format!("{listen}:{port}");
        refused(&["run", "--listen", &listen, "--upstream", &upstream], &[&upstream, "authtap itself", &listen]);
    }
}

/// Whoever mistypes an option, a key or a value must read which one, and what is allowed.
#[test]
fn wrong_options_and_keys_are_named_with_what_is_allowed() {
    refused(&["run", "--listen", "8080", "--upstream", UPSTREAM], &["--listen", "8080"]);
    refused(&["run", "--listen", LISTEN], &["--upstream"]);
    refused(&["run", "--upstream", UPSTREAM], &["--listen"]);
    refused(&["run"], &["--listen", "--upstream", "--config"]);
    refused(&["run", "--listen", LISTEN, "--upstream", "iis.example.test"], &["--upstream", "http://host[:port]"]);
    refused(&["run", "--listen", LISTEN, "--upstream", UPSTREAM, "--grace", "soon"], &["--grace", "soon", "10m"]);
    refused(&["run", "--listen", LISTEN, "--upstream", UPSTREAM, "--record", "some"], &["--record", "handshakes"]);
    refused(
        &["run", "--listen", LISTEN, "--upstream", UPSTREAM, "--upstream-ca", "x.pem"],
        &["--upstream-ca", "https"],
    );
    refused(
        &["run", "--listen", LISTEN, "--upstream", UPSTREAM, "--trusted-proxy", "10.0.0.0/33"],
        &["--trusted-proxy:", "10.0.0.0/33"],
    );
    refused(
        &["run", "--listen", LISTEN, "--upstream", UPSTREAM, "--fingerprint-key", "no-such.key"],
        &["--fingerprint-key:", "no-such.key"],
    );
    let with_password = output(&["run", "--listen", LISTEN, "--upstream", "http://u:Hunter2-planted@iis.example.test"]);
    assert!(with_password.status.code() == Some(2) && !stderr(&with_password).contains("Hunter2"));
    let dir = dir();
    let file = write(&dir, "authtap.toml", "[relay]\nidle-timeoot = \"1h\"\n");
    refused(
        &["run", "--config", file.to_str().expect("text")],
        &["authtap.toml: line 2", "idle-timeoot", "idle-timeout"],
    );
    let file = write(
        &dir,
        "wrong.toml",
        "[[site]]\nlisten = \"127.0.0.1:0\"\nupstream = \"http://x\"\n[relay]\nidle-timeout = \"90s\"\n",
    );
    refused(&["run", "--config", file.to_str().expect("text")], &["relay.idle-timeout", "90s", "120 s"]);
    let short = write(&dir, "short.key", "Hunter2-planted\n");
    let text = format!(
        "[[site]]\nlisten = \"127.0.0.1:0\"\nupstream = \"http://x\"\n[observe]\nfingerprint-key = '{}'\n",
        short.display()
    );
    let file = write(&dir, "key.toml", &text);
    let with_key = output(&["run", "--config", file.to_str().expect("text")]);
    assert!(with_key.status.code() == Some(2) && !stderr(&with_key).contains("Hunter2"));
    refused(&["run", "--config", file.to_str().expect("text")], &["observe.fingerprint-key", "at least 16 bytes"]);
    refused(&["run", "--config", "no-such-file.toml"], &["--config", "no-such-file.toml"]);
    refused(&["fly"], &["fly"]);
}

fn certificate() -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["iis.example.test".to_owned()]).expect("names");
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

/// A certificate that is missing, is none, or has another key would end in handshake errors for every user.
#[test]
fn certificate_files_are_checked_before_anything_listens() {
    let dir = dir();
    let (cert, key) = certificate();
    let (_, other_key) = certificate();
    let cert = write(&dir, "site.pem", &cert);
    let key = write(&dir, "site.key", &key);
    let other = write(&dir, "other.key", &other_key);
    let empty = write(&dir, "empty.pem", "nothing in here\n");
    let path = |p: &PathBuf| p.to_str().expect("text").to_owned();
    let run = |cert: &str, key: &str, words: &[&str]| {
        refused(&["run", "--listen", LISTEN, "--upstream", UPSTREAM, "--tls-cert", cert, "--tls-key", key], words);
    };
    run("missing.pem", &path(&key), &["missing.pem"]);
    run(&path(&cert), "missing.key", &["missing.key"]);
    run(&path(&empty), &path(&key), &["empty.pem", "CERTIFICATE"]);
    run(&path(&cert), &path(&empty), &["empty.pem", "PRIVATE KEY"]);
    run(&path(&cert), &path(&other), &["site.pem", "other.key"]);
    refused(&["run", "--listen", LISTEN, "--upstream", UPSTREAM, "--tls-cert", &path(&cert)], &["--tls-key"]);
}

/// A capture that cannot be written must be known before the incident is watched, not after.
#[test]
fn a_capture_that_cannot_be_written_refuses_to_start() {
    let dir = dir();
    let foreign = write(&dir, "notes.txt", "somebody's notes\n");
    let run = |capture: &str, words: &[&str]| {
        refused(&["run", "--listen", LISTEN, "--upstream", UPSTREAM, "--capture", capture], words);
    };
    let missing = dir.path().join("no/such/folder.jsonl");
    run(missing.to_str().expect("text"), &["folder.jsonl"]);
    run(foreign.to_str().expect("text"), &["notes.txt", "not an authtap capture"]);
    run(dir.path().to_str().expect("text"), &["directory"]);
    assert_eq!(fs::read_to_string(&foreign).expect("the notes"), "somebody's notes\n");
}

/// A damaged capture must say what it still holds; a foreign file must not look like an empty diagnosis.
#[test]
fn report_says_what_is_wrong_with_a_file() {
    let dir = dir();
    let path = |name: &str, text: &str| write(&dir, name, text).to_str().expect("text").to_owned();
    refused(&["report", "no-such.jsonl"], &["no-such.jsonl"]);
    refused(&["report", &path("empty.jsonl", "")], &["empty.jsonl", "empty"]);
    refused(&["report", &path("foreign.jsonl", "{\"hello\":1}\n")], &["foreign.jsonl", "not an authtap capture"]);
    refused(&["report", &path("page.html", "<html>")], &["page.html", "not an authtap capture"]);
    refused(&["report"], &["FILE"]);

    let demo = dir.path().join("demo.jsonl");
    let demo = demo.to_str().expect("text");
    assert!(output(&["demo", "--capture", demo]).status.success());
    let whole = fs::read_to_string(demo).expect("the capture");
    let cut = path("cut.jsonl", whole.get(..whole.len() * 2 / 3).expect("ASCII"));
    let output = output(&["report", &cut, "--format", "json"]);
    assert!(output.status.success() && stderr(&output).contains("cut off"), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(report["connections"].as_u64().is_some_and(|n| n > 0), "{report}");
}

/// Scripts rely on the exit code of `--fail-on`, and on `--out`.
#[test]
fn report_fails_on_a_severity_and_writes_where_it_is_told() {
    let dir = dir();
    let demo = dir.path().join("demo.jsonl");
    let demo = demo.to_str().expect("text");
    assert!(output(&["demo", "--capture", demo]).status.success());
    assert_eq!(output(&["report", demo, "--fail-on", "critical"]).status.code(), Some(1));
    assert_eq!(output(&["report", demo]).status.code(), Some(0));
    let out = dir.path().join("report.json");
    let written = output(&["report", demo, "--format", "json", "--out", out.to_str().expect("text")]);
    assert!(written.status.success() && written.stdout.is_empty());
    let report: Value = serde_json::from_str(&fs::read_to_string(&out).expect("the report")).expect("JSON");
    assert_eq!(report["v"], 1);
    refused(&["report", demo, "--out", "/no/such/folder/report.txt"], &["--out", "/no/such/folder/report.txt"]);
}

/// The demo is the first thing that anybody runs: it must show its four stories and leave a capture that says the same.
#[test]
fn the_demo_shows_its_stories_and_leaves_its_capture() {
    let dir = dir();
    let capture = dir.path().join("demo.jsonl");
    let demo = authtap().args(["demo", "--capture"]).arg(&capture).output().expect("the demo");
    let text = String::from_utf8_lossy(&demo.stdout);
    assert!(demo.status.success(), "{}", stderr(&demo));
    for word in [
        "handshake-split-across-connections",
        "credentials-rejected",
        "authenticated-connection-shared",
        "Nothing is wrong",
        "2148074248",
        "authtap report",
    ] {
        assert!(text.contains(word), "{word}:\n{text}");
    }
    assert!(text.lines().all(|l| l.chars().count() <= 80), "a line is wider than a terminal:\n{text}");
    let report = output(&["report", capture.to_str().expect("text"), "--format", "json"]);
    let report: Value = serde_json::from_slice(&report.stdout).expect("JSON");
    let findings = report["findings"].as_array().expect("findings");
    let split = findings.iter().find(|f| f["slug"] == "handshake-split-across-connections").expect("the split");
    assert_eq!(split["basis"], "observed");
    assert_eq!(report["pairing"]["verified"], false);
}

/// A server for one connection, that reads until it has seen `until` and then answers.
fn answers_once(until: &'static [u8], answer: Vec<u8>) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind(LISTEN).expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let thread = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().expect("a connection");
        let mut seen = Vec::new();
        let mut byte = [0; 1024];
        while !seen.windows(until.len().max(1)).any(|w| w == until) {
            match tcp.read(&mut byte).expect("bytes") {
                0 => break,
                n => seen.extend_from_slice(&byte[..n]),
            }
        }
        tcp.write_all(&answer).expect("the answer");
    });
    (url, thread)
}

fn lines(capture: &std::path::Path) -> Vec<Value> {
    let text = fs::read_to_string(capture).expect("the capture");
    text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect()
}

fn read_all(mut tcp: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    tcp.read_to_end(&mut all).expect("the answer");
    all
}

/// `http://` where the server speaks TLS is a usual slip: the bytes pass, and a gap says what they look like.
#[test]
fn an_upstream_that_speaks_tls_where_http_was_said_is_told() {
    let dir = dir();
    let capture = dir.path().join("c.jsonl");
    // A TLS alert: handshake_failure, as a TLS server answers plain HTTP.
    let alert = vec![0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x28];
    let (upstream, server) = answers_once(b"\r\n\r\n", alert.clone());
    let tap = Running::start(&upstream, &capture, &[]);
    let mut client = TcpStream::connect(tap.address).expect("authtap");
    client.write_all(b"GET / HTTP/1.1\r\nHost: iis.example.test\r\n\r\n").expect("the request");
    assert_eq!(read_all(client), alert, "the bytes must pass all the same");
    server.join().expect("the server");
    tap.stop();
    let gap = lines(&capture).into_iter().find(|l| l["type"] == "gap").expect("a gap");
    assert_eq!(gap["what"], "unparsable");
    assert!(gap.to_string().contains("TLS"), "{gap}");
}

/// Garbage on the port is forwarded like anything else, and the connection is told to be blind.
#[test]
fn garbage_on_the_port_is_forwarded_and_told() {
    let dir = dir();
    let capture = dir.path().join("c.jsonl");
    let garbage = b"\x00\xff\x80 what is this?\r\n\r\n";
    let (upstream, server) = answers_once(b"\r\n\r\n", b"whatever".to_vec());
    let tap = Running::start(&upstream, &capture, &[]);
    let mut client = TcpStream::connect(tap.address).expect("authtap");
    client.write_all(garbage).expect("garbage");
    assert_eq!(read_all(client), b"whatever");
    server.join().expect("the server");
    let said = tap.stop();
    assert!(lines(&capture).iter().any(|l| l["type"] == "gap" && l["what"] == "unparsable"));
    assert!(said.contains("blind") || said.contains("could not"), "the summary does not say it:\n{said}");
}

/// A disk that fills while authtap runs must not stop the site, and must not go unsaid.
#[test]
fn a_disk_that_fills_later_costs_lines_and_no_traffic() {
    let dir = dir();
    let capture = dir.path().join("c.jsonl");
    let listener = TcpListener::bind(LISTEN).expect("a port");
    let upstream = format!("http://{}", listener.local_addr().expect("an address"));
    let server = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().expect("a connection");
        let mut bytes = [0; 4096];
        while tcp.read(&mut bytes).expect("a request") > 0 {
            tcp.write_all(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n")
                .expect("it");
        }
    });
    // A file may grow to 64 KiB and no further, as on a disk that is full from there: the write fails (EFBIG).
    let mut command = Command::new("bash");
    command.env("NO_COLOR", "1").args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "bash"]);
    command.arg(env!("CARGO_BIN_EXE_authtap"));
    command
        .args(["run", "--listen", LISTEN, "--upstream", &upstream, "--log-format", "json", "--capture"])
        .arg(&capture);
    let tap = Running::from_command(command);
    let mut client = TcpStream::connect(tap.address).expect("authtap");
    let answer = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n".len();
    for _ in 0..2_000 {
        client.write_all(b"GET / HTTP/1.1\r\nHost: iis.example.test\r\n\r\n").expect("a request");
        let mut got = vec![0; answer];
        client.read_exact(&mut got).expect("its answer, full disk or not");
    }
    drop(client);
    server.join().expect("the server");
    let said = tap.stop();
    assert!(said.contains("sink"), "nobody was told:\n{said}");
    // What is in the file is whole lines, but for a last one that the disk cut.
    let text = fs::read_to_string(&capture).expect("the capture");
    let whole = text.rfind('\n').expect("a line");
    assert!(text[..whole].lines().all(|l| serde_json::from_str::<Value>(l).is_ok()));
}

/// An unreachable site is told to the client as authtap's own answer, and to the operator with the reason.
#[test]
fn an_unreachable_upstream_is_a_502_of_authtaps_own_and_told() {
    let dir = dir();
    let capture = dir.path().join("c.jsonl");
    let closed = TcpListener::bind(LISTEN).expect("a port").local_addr().expect("an address");
    let tap = Running::start(&format!("http://{closed}"), &capture, &[]);
    let mut client = TcpStream::connect(tap.address).expect("authtap");
    client.write_all(b"GET / HTTP/1.1\r\nHost: iis.example.test\r\n\r\n").expect("the request");
    let answer = String::from_utf8(read_all(client)).expect("text");
    assert!(
        answer.starts_with("HTTP/1.1 502 ") && answer.contains("Proxy-Status: authtap; error=connection_refused"),
        "{answer}"
    );
    let said = tap.stop();
    let close = lines(&capture).into_iter().find(|l| l["type"] == "connection_close").expect("an end");
    assert_eq!((&close["by"], &close["how"]), (&"upstream".into(), &"error".into()));
    assert!(close.to_string().contains("refused"), "{close}");
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let file = capture.to_str().expect("text");
    let report = String::from_utf8(output(&["report", file]).stdout).expect("text");
    for text in [flat(&said), flat(&report)] {
        assert!(text.contains("No request reached the site"), "{text}");
        assert!(
            text.contains(
                "authtap itself answered 1 client with 502 (the upstream could not be reached: cannot connect"
            ),
            "{text}"
        );
        assert!(!text.contains("No authentication seen"), "{text}");
    }
    let report: Value = serde_json::from_slice(&output(&["report", file, "--format", "json"]).stdout).expect("JSON");
    let own = &report["own_answers"][0];
    assert_eq!((&own["status"], &own["error"], &own["count"]), (&502.into(), &"connection_refused".into(), &1.into()));
}

/// A server for any number of connections: each request gets a 401, but one for `/hang` gets nothing.
fn refuses_all() -> String {
    let listener = TcpListener::bind(LISTEN).expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        while let Ok((mut tcp, _)) = listener.accept() {
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = tcp.read(&mut bytes) {
                    if !bytes[..n].starts_with(b"GET /hang") {
                        tcp.write_all(REFUSAL).expect("the answer");
                    }
                }
            });
        }
    });
    url
}

const REFUSAL: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: iis.example.test\r\n\r\n";

fn is_refused(client: &mut TcpStream) {
    client.write_all(REQUEST).expect("a request");
    let mut got = vec![0; REFUSAL.len()];
    client.read_exact(&mut got).expect("its answer");
    assert_eq!(got, REFUSAL);
}

/// A terminal stopped with Ctrl-S must stop neither the site nor the capture, and Ctrl-C twice must end it all the same.
#[test]
#[cfg(unix)]
fn a_stderr_that_nobody_reads_holds_up_nothing_and_two_signals_end_it() {
    /// More than a pipe takes, in debug lines of such a size that it is also more than authtap lets wait.
    const ENOUGH: u64 = 4 * 1024 * 1024;
    let dir = dir();
    let capture = dir.path().join("c.jsonl");
    let mut command = authtap();
    command.env("AUTHTAP_LOG", "debug").args(["run", "--listen", LISTEN, "--upstream", &refuses_all()]);
    command.args(["--grace", "1h", "--record", "all", "--log-format", "json", "--capture"]).arg(&capture);
    let tap = Running::from_command(command);
    let connect = || TcpStream::connect(tap.address).expect("authtap");
    let (mut busy, mut idle, mut hanging) = (connect(), connect(), connect());
    is_refused(&mut idle);
    hanging.write_all(b"GET /hang HTTP/1.1\r\nHost: iis.example.test\r\n\r\n").expect("a request");
    let written = || fs::metadata(&capture).expect("the capture").len();
    // Far more than that takes: the traffic may be faster than the observer, and never waits for it.
    for _ in 0..1_000_000 {
        if written() >= ENOUGH {
            break;
        }
        is_refused(&mut busy);
    }
    assert!(written() >= ENOUGH, "the capture does not go on");
    tap.signal("INT");
    // authtap stops: what is idle is ended, what is not has its hour.
    assert!(read_all(idle).is_empty());
    tap.signal("INT");
    assert_eq!(tap.wait_unread().code(), Some(1));
    drop((busy, hanging));
}

/// Without a descriptor for the upstream, IIS is not to blame: the client, the capture and the summary say whose it is.
#[test]
#[cfg(target_os = "linux")]
fn want_of_descriptors_is_told_as_authtaps_own_fault() {
    let dir = dir();
    let capture = dir.path().join("c.jsonl");
    let tap = Running::start(&refuses_all(), &capture, &[]);
    let mut first = TcpStream::connect(tap.address).expect("authtap");
    is_refused(&mut first);
    // Numbers are given from the lowest: one is left free, which the accepted connection takes.
    let open: Vec<u64> = fs::read_dir(format!("/proc/{}/fd", tap.pid()))
        .expect("its descriptors")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    let limit = (0..).filter(|n| !open.contains(n)).nth(1).expect("a number").to_string();
    let limited =
        Command::new("prlimit").args(["--pid", &tap.pid().to_string(), &format!("--nofile={limit}")]).status();
    assert!(limited.expect("prlimit runs").success());
    let mut client = TcpStream::connect(tap.address).expect("authtap");
    client.write_all(REQUEST).expect("the request");
    let answer = String::from_utf8(read_all(client)).expect("text");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("error=proxy_internal_error"), "{answer}");
    assert!(answer.contains("authtap has no file descriptor left: raise `ulimit -n`"), "{answer}");
    is_refused(&mut first);
    drop(first);
    let said = tap.stop();
    let lines = lines(&capture);
    let close = lines.iter().find(|l| l["type"] == "connection_close" && l["connection"] == 2).expect("an end");
    assert_eq!((&close["by"], &close["how"]), (&"tap".into(), &"error".into()));
    assert!(close["detail"].as_str().is_some_and(|d| d.contains("ulimit -n")), "{close}");
    assert!(said.contains("authtap itself answered 1 client with 503"), "{said}");
}

/// A limit that is too low for what is configured is to be known before the clients find it out.
#[test]
#[cfg(unix)]
fn too_few_descriptors_are_told_at_start() {
    let dir = dir();
    let capture = dir.path().join("c.jsonl");
    let mut command = Command::new("bash");
    command.env("NO_COLOR", "1").args(["-c", "ulimit -n 264; ulimit -S -n 100; exec \"$@\"", "bash"]);
    command.arg(env!("CARGO_BIN_EXE_authtap"));
    command.args(["run", "--listen", LISTEN, "--upstream", UPSTREAM, "--capture"]).arg(&capture);
    let said = Running::from_command(command).stop();
    // 264 is the hard limit: the soft one was raised to it.
    assert!(said.contains("file-descriptors: only 100 connections at once are possible"), "{said}");
    let start = lines(&capture).remove(0);
    assert!(start["self_checks"].to_string().contains("264 file descriptors"), "{start}");
}

/// A capture holds names and addresses: nobody else on the machine may read it.
#[test]
#[cfg(unix)]
fn the_capture_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = dir();
    let capture = dir.path().join("c.jsonl");
    let tap = Running::start(UPSTREAM, &capture, &[]);
    tap.stop();
    let mode = fs::metadata(&capture).expect("the capture").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// Help without examples sends a tired person to a search engine.
#[test]
fn every_command_has_help_with_an_example() {
    for command in ["run", "check", "report", "demo"] {
        let help = output(&[command, "--help"]);
        let text = String::from_utf8_lossy(&help.stdout);
        assert!(
            help.status.success() && text.contains("Examples:") && text.contains(&format!("authtap {command}")),
            "{text}"
        );
    }
}
