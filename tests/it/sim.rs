//! The simulator against the specification's own numbers, against itself, and each story from end to end.

#![allow(clippy::expect_used, reason = "the helpers of tests are tests: one that cannot go on says where")]

use std::collections::BTreeSet;
use std::io;

use authtap::model::{FileTime, Secret};
use authtap::sim::balancer::{Balancer, Policy};
use authtap::sim::client::{Carriage, Client, Login};
use authtap::sim::iis::Iis;
use authtap::sim::iis::log::{LogLine, win32};
use authtap::sim::iis::settings::{PASSWORD, Settings};
use authtap::sim::ntlm::av::{AvPairs, id};
use authtap::sim::ntlm::{crypto, message, read, respond, verify};
use authtap::sim::scenario::{self, Scenario, pools};

const OK: (u16, u16, u32) = (200, 0, win32::SUCCESS);
const BARE: (u16, u16, u32) = (401, 2, win32::ACCESS_DENIED);
const CHALLENGED: (u16, u16, u32) = (401, 1, win32::NO_CREDENTIALS);
const DENIED: (u16, u16, u32) = (401, 1, win32::LOGON_DENIED);
const NO_CONTEXT: (u16, u16, u32) = (401, 1, win32::INVALID_TOKEN);

fn alice() -> Login {
    Login::new("EXAMPLE", "alice", PASSWORD)
}

async fn iis() -> io::Result<Iis> {
    Iis::start(Settings::default()).await
}

fn codes(iis: &Iis) -> Vec<(u16, u16, u32)> {
    iis.log().iter().map(LogLine::code).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

/// MS-NLMP section 4.2.4 (NTLMv2 authentication): if these differ, the simulated IIS judges by another NTLM than
/// Windows, and every test and demo that rests on it proves nothing.
#[test]
fn ntlmv2_gives_the_numbers_of_the_specification() {
    let key = crypto::nt_owf_v2("Password", "User", "Domain");
    assert_eq!(hex(&key), "0c868a403bfd7a93a3001ef22ef02e3f");
    let pairs = AvPairs::default().text(id::NB_DOMAIN_NAME, "Domain").text(id::NB_COMPUTER_NAME, "Server");
    let temp = respond::temp(FileTime(0), [0xaa; 8], &pairs);
    let challenge = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
    let proof = crypto::nt_proof(&key, &challenge, &temp);
    assert_eq!(hex(&proof), "68cd0ab851e51c96aabc927bebef6a1c");
    let base_key = crypto::session_base_key(&key, &proof);
    assert_eq!(hex(&base_key), "8de40ccadbc14a82f15cb0ad0de95ca3");
    let encrypted = crypto::rc4(&base_key, &[0x55; 16]);
    assert_eq!(hex(&encrypted), "c5dad2544fc9799094ce1ce90bc9d03e");
    let lm = crypto::hmac_md5(&key, &[&challenge, &[0xaa; 8]]);
    assert_eq!(hex(&lm), "86c35097ac9cec102554764a57cccc19");
}

/// MS-NLMP section 4.2.4.3: the sample CHALLENGE and AUTHENTICATE byte for byte, so that decoders are tested on what
/// Windows sends.
#[test]
fn the_encoders_write_the_messages_of_the_specification() {
    let challenge = message::Challenge {
        flags: 0xe28a_8233,
        server_challenge: [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef],
        target_name: "Server".to_owned(),
        target_info: Some(AvPairs::default().text(id::NB_DOMAIN_NAME, "Domain").text(id::NB_COMPUTER_NAME, "Server")),
        version: Some(authtap::model::auth::Version { major: 6, minor: 0, build: 6000 }),
    };
    assert_eq!(
        hex(&challenge.encode()),
        "4e544c4d53535000020000000c000c003800000033828ae20123456789abcdef0000000000000000\
         24002400440000000600701700000\
         00f530065007200760065007200\
         02000c0044006f006d00610069006e0001000c0053006500720076006500720000000000"
    );
    let pairs = AvPairs::default().text(id::NB_DOMAIN_NAME, "Domain").text(id::NB_COMPUTER_NAME, "Server");
    let proof = "68cd0ab851e51c96aabc927bebef6a1c";
    let key = "c5dad2544fc9799094ce1ce90bc9d03e";
    let lm = "86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa";
    let temp = respond::temp(FileTime(0), [0xaa; 8], &pairs);
    let authenticate = message::Authenticate {
        flags: 0xe288_8235,
        domain: "Domain".to_owned(),
        user: "User".to_owned(),
        workstation: "COMPUTER".to_owned(),
        lm_response: unhex(lm),
        nt_response: [unhex(proof), temp.clone()].concat(),
        session_key: unhex(key),
        version: Some(authtap::model::auth::Version { major: 5, minor: 1, build: 2600 }),
        mic: None,
    };
    let head = "4e544c4d5353500003000000180018006c00000054005400840000000c000c00480000000800080054000000\
                100010005c00000010001000d8000000358288e20501280a0000000f";
    let names = "44006f006d00610069006e005500730065007200\
                 43004f004d0050005500540045005200";
    assert_eq!(hex(&authenticate.encode()), [head, names, lm, proof, &hex(&temp), key].concat());
}

/// A logon that the server cannot check would let any password in, and a MIC that it cannot check would hide a
/// message that was changed on the way.
#[test]
fn an_answer_fits_its_own_challenge_only() {
    let type1 = message::Negotiate::default().encode();
    let challenge = |byte| {
        message::Challenge {
            flags: authtap::sim::ntlm::flags::CLIENT,
            server_challenge: [byte; 8],
            target_name: "EXAMPLE".to_owned(),
            target_info: Some(AvPairs::default().timestamp(FileTime(133_000_000_000_000_001))),
            version: Some(message::SERVER_VERSION),
        }
        .encode()
    };
    let type2 = challenge(7);
    for mic in [true, false] {
        let login = Login { mic, ..alice() };
        let sent = login.answer_with(&type1, &type2, [1; 8], [2; 16]).expect("a challenge");
        let answer = read::Authenticate::read(&sent.message).expect("a Type 3");
        assert_eq!(answer.av_pairs.time(), Some(FileTime(133_000_000_000_000_001)));
        let check = |password: &str, challenge: [u8; 8], type1: &[u8]| {
            let password = Secret::new(password.to_owned());
            verify::verify(&answer, &password, &challenge, type1, &type2)
        };
        assert_eq!(check(PASSWORD, [7; 8], &type1), Ok(Secret::new([2; 16])));
        assert_eq!(check("Passwort1-test", [7; 8], &type1), Err(verify::Refusal::Denied));
        assert_eq!(check(PASSWORD, [8; 8], &type1), Err(verify::Refusal::Denied));
        let altered = check(PASSWORD, [7; 8], b"another Type 1");
        if mic {
            assert_eq!(altered, Err(verify::Refusal::Altered));
        } else {
            assert_eq!(altered, Ok(Secret::new([2; 16])));
        }
    }
}

/// The plain story: if a right password is refused here, the demo shows faults that are not there.
#[tokio::test]
async fn a_logon_succeeds_under_each_carriage() -> io::Result<()> {
    for carriage in [Carriage::Ntlm, Carriage::NegotiateRaw, Carriage::NegotiateSpnego] {
        let iis = iis().await?;
        let mut client = Client::connect(iis.address()).await?.carried(carriage);
        let replies = client.logon("/a?b=c", &alice()).await?;
        let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
        assert_eq!(statuses, [401, 401, 200], "{carriage:?}");
        let offers: Vec<&str> = replies[0].all("WWW-Authenticate").collect();
        assert_eq!(offers, ["Negotiate", "NTLM"]);
        assert_eq!(replies[0].body.len(), 1293);
        assert_eq!(replies[1].body.len(), 341);
        let persistent: Vec<&str> = replies[2].all("persistent-auth").collect();
        assert_eq!(persistent, ["true"]);
        assert_eq!(replies[2].text(), "You are EXAMPLE\\alice on WEB01.\n");
        assert_eq!(client.post("/upload", b"words").await?.status, 200);
        assert_eq!(codes(&iis), [BARE, CHALLENGED, OK, OK]);
        let log = iis.log();
        assert_eq!(log[2].to_string(), "GET /a EXAMPLE\\alice 200 0 0");
        assert_eq!(log[3].body_bytes, 5);
    }
    Ok(())
}

/// Two challenges with one timestamp would make the link of a Type 3 ambiguous, and the split unprovable.
#[tokio::test]
async fn no_two_challenges_carry_the_same_time() -> io::Result<()> {
    let frozen = Settings {
        clock: authtap::sim::iis::settings::Clock::new(|| authtap::model::Stamp(1_767_225_600_000_000)),
        ..Settings::default()
    };
    let iis = Iis::start(frozen).await?;
    let mut client = Client::connect(iis.address()).await?;
    let mut times = BTreeSet::new();
    for _ in 0..20 {
        let reply = client.type1("/").await?;
        let value = reply.all("WWW-Authenticate").next().expect("a challenge");
        let time = challenge_of(value).target_info.time();
        assert!(times.insert(time.expect("a time")));
    }
    Ok(())
}

fn challenge_of(value: &str) -> read::Challenge {
    use base64::Engine as _;
    let token = value.strip_prefix("NTLM ").expect("NTLM");
    let bytes = base64::engine::general_purpose::STANDARD.decode(token).expect("base64");
    read::Challenge::read(&bytes).expect("a Type 2")
}

/// Identity belongs to the connection: a second connection that were let in would hide the very defect that authtap
/// is for.
#[tokio::test]
async fn authentication_stays_on_its_connection() -> io::Result<()> {
    let iis = iis().await?;
    let mut first = Client::connect(iis.address()).await?;
    first.logon("/", &alice()).await?;
    let mut second = Client::connect(iis.address()).await?;
    assert_eq!(second.get("/").await?.status, 401);
    assert_eq!(first.get("/").await?.status, 200);
    Ok(())
}

/// What the log says of a Type 3 that comes where no challenge is pending: Microsoft's own mark of a split
/// (`401 1 2148074248`), and not that of a wrong password.
#[tokio::test]
async fn an_answer_without_a_challenge_is_an_invalid_token() -> io::Result<()> {
    let iis = iis().await?;
    let mut client = Client::connect(iis.address()).await?;
    client.type1("/").await?;
    // Any other request in between throws the challenge away.
    client.get("/").await?;
    let reply = client.type3("/", &alice()).await?;
    assert_eq!(reply.all("WWW-Authenticate").count(), 2);
    assert_eq!(codes(&iis), [CHALLENGED, BARE, NO_CONTEXT]);
    let line = iis.log()[2].to_string();
    assert_eq!(line, "GET / - 401 1 2148074248");
    let garbage = client.request("GET", "/", Some("NTLM !"), b"").await?;
    assert_eq!(garbage.status, 401);
    assert_eq!(codes(&iis)[3], NO_CONTEXT);
    Ok(())
}

/// Uploads: a body that is misread turns into a request that nobody sent.
#[tokio::test]
async fn bodies_are_read_to_their_end() -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let iis = iis().await?;
    let mut stream = tokio::net::TcpStream::connect(iis.address()).await?;
    stream
        .write_all(
            b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
              5;ext=1\r\nhello\r\n0\r\nTrailer: t\r\n\r\n\
              PUT /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\
              HEAD /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert_eq!(answer.matches("HTTP/1.1 401").count(), 3);
    assert!(answer.ends_with("Connection: close\r\n\r\n"), "HEAD has no body");
    let log = iis.log();
    let seen: Vec<(&str, usize)> = log.iter().map(|line| (line.path.as_str(), line.body_bytes)).collect();
    assert_eq!(seen, [("/a", 33), ("/b", 3), ("/c", 0)]);
    Ok(())
}

/// Basic proves each request and leaves nothing behind; a sticky Basic would look like a shared connection.
#[tokio::test]
async fn basic_is_for_one_request() -> io::Result<()> {
    let settings = Settings {
        offers: vec!["Basic realm=\"example.test\"".to_owned()],
        lockout_after: Some(2),
        ..Settings::default()
    };
    let iis = Iis::start(settings).await?;
    let mut client = Client::connect(iis.address()).await?;
    assert_eq!(client.basic("/", &alice()).await?.status, 200);
    assert_eq!(client.get("/").await?.status, 401);
    let wrong = Login::new("EXAMPLE", "alice", "Passwort1-test");
    for _ in 0..2 {
        client.basic("/", &wrong).await?;
    }
    client.basic("/", &alice()).await?;
    let expected =
        [OK, BARE, (401, 1, win32::LOGON_FAILURE), (401, 1, win32::LOGON_FAILURE), (401, 1, win32::ACCOUNT_LOCKED_OUT)];
    assert_eq!(codes(&iis), expected);
    Ok(())
}

/// The demo's centre: it must break each time, in the same way, or a newcomer sees a demo of nothing.
#[tokio::test]
async fn the_pool_splits_each_time() -> io::Result<()> {
    for _ in 0..50 {
        let iis = iis().await?;
        let outcome = pools::SPLIT.run(iis.address()).await?;
        assert_eq!(outcome.statuses, [401; 6]);
        let log: Vec<_> =
            iis.log().iter().map(|line| (line.connection, line.code(), line.forwarded_for.clone())).collect();
        let from = |host: &str| Some(format!("192.0.2.{host}"));
        let expected = [
            (1, BARE, from("21")),
            (2, BARE, from("22")),
            (3, CHALLENGED, from("21")),
            (1, CHALLENGED, from("22")),
            (2, NO_CONTEXT, from("21")),
            (3, DENIED, from("22")),
        ];
        assert_eq!(log, expected);
    }
    Ok(())
}

/// The cure must cure: a pinning balancer that splits would make authtap accuse the innocent.
#[tokio::test]
async fn a_pinning_balancer_never_splits() -> io::Result<()> {
    for _ in 0..50 {
        let iis = iis().await?;
        let outcome = scenario::logons::HEALTHY_PINNED.run(iis.address()).await?;
        assert_eq!(outcome.statuses, [401, 401, 200, 200]);
        assert_eq!(codes(&iis), [CHALLENGED, CHALLENGED, OK, OK]);
    }
    let iis = iis().await?;
    let balancer = Balancer::start(iis.address(), Policy::Pinned).await?;
    let logons = (0..20).map(|_| {
        let to = balancer.address();
        tokio::spawn(async move { Client::connect(to).await?.logon("/", &alice()).await })
    });
    for logon in logons.collect::<Vec<_>>() {
        let replies = logon.await.expect("no panic")?;
        assert_eq!(replies.last().map(|reply| reply.status), Some(200));
    }
    Ok(())
}

/// The worst of the findings, an identity that leaks: carol must be served as alice, each time.
#[tokio::test]
async fn the_pool_hands_on_an_identity_each_time() -> io::Result<()> {
    for _ in 0..50 {
        let iis = iis().await?;
        let outcome = pools::SHARED.run(iis.address()).await?;
        assert_eq!(outcome.statuses, [401, 401, 200, 200]);
        let log = iis.log();
        assert!(log.iter().all(|line| line.connection == 1));
        assert_eq!(log[3].user.as_deref(), Some("EXAMPLE\\alice"));
        assert_eq!(log[3].forwarded_for.as_deref(), Some("192.0.2.23"));
    }
    Ok(())
}

/// Each story ends as it says; a story that goes another way tests another finding than it is named for.
#[tokio::test]
async fn each_story_goes_as_told() -> io::Result<()> {
    type Codes = Vec<(u16, u16, u32)>;
    let expected = |name: &str| -> Codes {
        let logon = [BARE, CHALLENGED, OK];
        match name {
            "healthy" => vec![BARE, CHALLENGED, OK, OK, OK],
            "healthy-negotiate" => [BARE, CHALLENGED, OK, OK].repeat(2),
            "healthy-pinned" => vec![CHALLENGED, CHALLENGED, OK, OK],
            "split-handshake" => vec![BARE, BARE, CHALLENGED, CHALLENGED, NO_CONTEXT, DENIED],
            "wrong-password" => vec![BARE, CHALLENGED, DENIED],
            "shared-connection" => vec![BARE, CHALLENGED, OK, OK],
            // The second request needs no logon of its own: the first is still good.
            "identity-changed" => vec![BARE, CHALLENGED, OK, CHALLENGED, OK, OK],
            "lockout" => [CHALLENGED, DENIED].repeat(6),
            "not-persistent" => logon.repeat(3),
            "interleaved" => vec![CHALLENGED, CHALLENGED, DENIED, NO_CONTEXT],
            "anonymous-between" => vec![CHALLENGED, BARE, NO_CONTEXT],
            "closed-announced" | "closed-fin" | "closed-reset" => vec![CHALLENGED],
            "challenge-unanswered" => vec![BARE, CHALLENGED],
            "challenge-missing" => vec![BARE],
            "no-common-scheme" => vec![BARE, BARE],
            other => panic!("{other} has no expectation"),
        }
    };
    for story in scenario::ALL {
        let iis = Iis::start((story.server)()).await?;
        let outcome = story.run(iis.address()).await?;
        assert_eq!(codes(&iis), expected(story.name), "{story:?}");
        let statuses: Vec<u16> = iis.log().iter().map(|line| line.status).collect();
        assert_eq!(outcome.statuses, statuses, "{story:?}");
        assert!(outcome.lines.len() >= outcome.statuses.len());
        assert!(outcome.lines.iter().all(|line| !line.contains(PASSWORD)));
    }
    Ok(())
}

/// `demo` plays its stories against one server; a story that leaves something behind would spoil the next.
#[tokio::test]
async fn the_demo_stories_share_a_server() -> io::Result<()> {
    let iis = iis().await?;
    for _ in 0..2 {
        let mut statuses = Vec::new();
        for story in scenario::DEMO {
            statuses.push(story.run(iis.address()).await?.statuses);
        }
        assert_eq!(statuses[0], [401, 401, 200, 200, 200]);
        assert_eq!(statuses[1], [401; 6]);
        assert_eq!(statuses[2], [401; 3]);
        assert_eq!(statuses[3], [401, 401, 200, 200]);
    }
    Ok(())
}

/// Tests find stories by name; a name that is there twice hides a story.
#[test]
fn names_of_stories_are_unique() {
    for story in scenario::ALL {
        let found = Scenario::named(story.name).expect("listed");
        assert_eq!(found.title, story.title);
    }
}

/// A server that outlives its handle would keep ports and tasks of a finished test.
#[tokio::test]
async fn stopping_closes_the_connections() -> io::Result<()> {
    let iis = iis().await?;
    let mut client = Client::connect(iis.address()).await?;
    client.get("/").await?;
    let address = iis.address();
    iis.stop().await;
    client.ended().await;
    assert!(Client::connect(address).await.is_err());
    Ok(())
}
