//! The framing against random conversations, random bytes, and hyper's parser.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use authtap::model::Stamp;
use authtap::wire::http1::head::{RequestHead, ResponseHead};
use authtap::wire::http1::{Http1, Out, Pool};
use authtap::wire::observation::{Ended, RawExchange};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What was told, without the times.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Exchange(u32, Vec<u8>, Option<Vec<u8>>, Vec<u16>),
    /// Number, bytes of both bodies, the copy of the response's, and whether it is whole.
    Ended(u32, u64, u64, Option<Vec<u8>>, bool),
    Unparsable(&'static str, u64, String),
}

#[derive(Default)]
struct Record(Vec<Told>);

impl Out for Record {
    fn exchange(&mut self, e: RawExchange) {
        let response = e.response.map(|r| r.expose().clone());
        let interim = e.interim.iter().map(|i| i.status).collect();
        self.0.push(Told::Exchange(e.exchange, e.request.expose().clone(), response, interim));
    }
    fn ended(&mut self, e: Ended) {
        self.0.push(Told::Ended(
            e.exchange,
            e.request_body,
            e.response_body,
            e.body.map(|b| b.expose().clone()),
            e.body_whole,
        ));
    }
    fn unparsable(&mut self, from: &'static str, offset: u64, why: String) {
        self.0.push(Told::Unparsable(from, offset, why));
    }
}

/// Bytes of one direction.
#[derive(Debug, Clone)]
enum Bytes {
    Client(Vec<u8>),
    Upstream(Vec<u8>),
}

/// Plays a conversation in pieces whose sizes come from `sizes`, over and over; also the count of exchanges.
fn play(conversation: &[Bytes], sizes: &[usize]) -> (Vec<Told>, u32) {
    let (mut http, mut pool, mut out) = (Http1::default(), Pool::default(), Record::default());
    let mut sizes = sizes.iter().cycle();
    for bytes in conversation {
        let (Bytes::Client(all) | Bytes::Upstream(all)) = bytes;
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            match bytes {
                Bytes::Client(_) => http.client(Stamp(0), piece, &mut pool, &mut out),
                Bytes::Upstream(_) => http.upstream(Stamp(0), piece, &mut pool, &mut out),
            }
            rest = after;
        }
    }
    http.upstream_end(Stamp(0), &mut pool, &mut out);
    http.closed(Stamp(0), &mut pool, &mut out);
    assert_eq!(u64::try_from(pool.spare()).unwrap(), pool.created().min(64), "a buffer was not given back");
    (out.0, http.exchanges())
}

#[derive(Debug, Clone)]
enum Body {
    None,
    Length(Vec<u8>),
    Chunked { chunks: Vec<Vec<u8>>, extension: String, trailer: bool },
    UntilClose(Vec<u8>),
}

impl Body {
    fn content(&self) -> Vec<u8> {
        match self {
            Self::None => vec![],
            Self::Length(b) | Self::UntilClose(b) => b.clone(),
            Self::Chunked { chunks, .. } => chunks.concat(),
        }
    }

    fn field(&self) -> String {
        match self {
            Self::None | Self::UntilClose(_) => String::new(),
            Self::Length(b) => format!("Content-Length: {}\r\n", b.len()),
            Self::Chunked { .. } => "Transfer-Encoding: chunked\r\n".to_owned(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::None => vec![],
            Self::Length(b) | Self::UntilClose(b) => b.clone(),
            Self::Chunked { chunks, extension, trailer } => {
                let mut all = vec![];
                for chunk in chunks {
                    all.extend(format!("{:x}{extension}\r\n", chunk.len()).bytes());
                    all.extend(chunk);
                    all.extend(b"\r\n");
                }
                all.extend(format!("0{extension}\r\n").bytes());
                if *trailer {
                    all.extend(b"Trailer-One: 1\r\nT: 2\r\n");
                }
                all.extend(b"\r\n");
                all
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Exchange {
    method: &'static str,
    fields: Vec<&'static str>,
    request: Body,
    interim: Vec<u16>,
    status: u16,
    response_fields: Vec<&'static str>,
    response: Body,
    /// The response's head comes before the request's body.
    early: bool,
}

fn lines(fields: &[&str]) -> String {
    fields.iter().flat_map(|f| [f, "\r\n"]).collect()
}

impl Exchange {
    fn no_body(&self) -> bool {
        self.method == "HEAD" || matches!(self.status, 204 | 304)
    }

    fn request_head(&self) -> Vec<u8> {
        let fields = lines(&self.fields);
        format!("{} /x HTTP/1.1\r\nHost: iis\r\n{}{fields}\r\n", self.method, self.request.field()).into_bytes()
    }

    fn response_head(&self) -> Vec<u8> {
        let fields = lines(&self.response_fields);
        format!("HTTP/1.1 {} Reason\r\n{}{fields}\r\n", self.status, self.response.field()).into_bytes()
    }

    fn response_bytes(&self) -> Vec<u8> {
        let mut all = vec![];
        for status in &self.interim {
            all.extend(format!("HTTP/1.1 {status} Wait\r\nX: y\r\n\r\n").bytes());
        }
        all.extend(self.response_head());
        if !self.no_body() {
            all.extend(self.response.bytes());
        }
        all
    }

    fn response_content(&self) -> Vec<u8> {
        if self.no_body() { vec![] } else { self.response.content() }
    }
}

fn body() -> impl Strategy<Value = Body> {
    let bytes = || vec(any::<u8>(), 0..40);
    let extension = select(vec!["", ";a", ";a=b", "  ", " ; q=\"x y\""]);
    prop_oneof![
        Just(Body::None),
        bytes().prop_map(Body::Length),
        (vec(vec(any::<u8>(), 1..40), 0..4), extension, any::<bool>()).prop_map(|(chunks, extension, trailer)| {
            Body::Chunked { chunks, extension: extension.to_owned(), trailer }
        }),
    ]
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let fields = select(vec![
        "Authorization: NTLM TlRM",
        "User-Agent: a",
        "User-Agent: b",
        "X-Forwarded-For: 192.0.2.1",
        "Upgrade: h2c",
        "Accept: */*",
        "Cookie: a=b",
    ]);
    let response_fields = select(vec!["WWW-Authenticate: NTLM", "Persistent-Auth: true", "Server: x", "Date: y"]);
    (
        (select(vec!["GET", "HEAD", "POST", "OPTIONS", "X-ODD"]), vec(fields, 0..3), body()),
        vec(select(vec![100, 102, 103]), 0..3),
        (select(vec![200, 204, 302, 304, 401, 403, 500]), vec(response_fields, 0..2), body()),
        any::<bool>(),
    )
        .prop_map(|((method, fields, request), interim, (status, response_fields, response), early)| {
            Exchange {
                method,
                fields,
                request,
                interim,
                status,
                response_fields,
                // A response without a length would end the connection: only the last may.
                response: if matches!(response, Body::None) { Body::Length(vec![]) } else { response },
                early,
            }
        })
}

/// A conversation in the order in which bytes may pass: `pipelined` sends all requests first.
fn conversation(exchanges: &[Exchange], pipelined: bool) -> Vec<Bytes> {
    let mut all = vec![];
    let mut answers = vec![];
    for e in exchanges {
        if e.early && !pipelined {
            all.push(Bytes::Client(e.request_head()));
            all.push(Bytes::Upstream(e.response_bytes()));
            all.push(Bytes::Client(e.request.bytes()));
            continue;
        }
        all.push(Bytes::Client([e.request_head(), e.request.bytes()].concat()));
        let answer = Bytes::Upstream(e.response_bytes());
        if pipelined {
            answers.push(answer);
        } else {
            all.push(answer);
        }
    }
    all.extend(answers);
    all
}

/// What must be told, from the rules as the issue has them and from nothing of the framing.
fn expected(exchanges: &[Exchange]) -> Vec<Told> {
    let mut told = vec![];
    let (mut follow, mut marker) = (false, None);
    for (n, e) in (1..).zip(exchanges) {
        let mine: Vec<_> =
            e.fields.iter().filter(|f| f.starts_with("User-Agent") || f.starts_with("X-Forwarded")).collect();
        let changed = marker.replace(mine.clone()).is_some_and(|last| last != mine);
        let own = e.fields.iter().any(|f| f.starts_with("Authorization"))
            || e.status >= 400
            || e.response_fields.iter().any(|f| f.starts_with("WWW") || f.starts_with("Persistent"));
        let redirects = matches!(e.status, 301 | 302 | 303 | 307 | 308);
        if own || redirects || follow || changed || e.fields.contains(&"Upgrade: h2c") {
            told.push(Told::Exchange(n, e.request_head(), Some(e.response_head()), e.interim.clone()));
            let bytes = |body: &[u8]| u64::try_from(body.len()).unwrap();
            let (request, response) = (e.request.content(), e.response_content());
            let copied = (e.status >= 400 && !response.is_empty()).then(|| response.clone());
            let whole = copied.is_some() || response.is_empty();
            told.push(Told::Ended(n, bytes(&request), bytes(&response), copied, whole));
        }
        follow = own;
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// TCP cuts where it likes: a report that depends on the cuts is wrong on some days.
    #[test]
    fn conversations_are_told_alike_at_every_cut(
        mut exchanges in vec(exchange(), 1..6),
        pipelined in any::<bool>(),
        until_close in any::<bool>(),
        sizes in vec(1_usize..60, 1..20),
    ) {
        if let (true, Some(last)) = (until_close, exchanges.last_mut()) {
            last.response = Body::UntilClose(b"to the end".to_vec());
        }
        let conversation = conversation(&exchanges, pipelined);
        let whole = play(&conversation, &[usize::MAX]);
        prop_assert_eq!(&whole.0, &expected(&exchanges));
        prop_assert_eq!(usize::try_from(whole.1).unwrap(), exchanges.len());
        prop_assert_eq!(&play(&conversation, &[1]), &whole);
        prop_assert_eq!(&play(&conversation, &sizes), &whole);
    }

    /// Anyone may send anything: a panic or a flood of gaps would be an attack on the observer.
    #[test]
    fn any_bytes_are_told_alike_and_unparsable_at_most_once(
        mut exchanges in vec(exchange(), 1..4),
        noise in vec((any::<Index>(), vec(select(b"\r\n :;,0159aH\x16\xff".to_vec()), 0..4), 0_usize..4), 0..4),
        raw in vec((any::<bool>(), vec(any::<u8>(), 0..50)), 0..4),
        sizes in vec(1_usize..60, 1..20),
        pipelined in any::<bool>(),
    ) {
        exchanges.truncate(3);
        let mut conversation = conversation(&exchanges, pipelined);
        for (at, insert, remove) in noise {
            let n = at.index(conversation.len());
            let (Bytes::Client(bytes) | Bytes::Upstream(bytes)) = &mut conversation[n];
            let from = at.index(bytes.len() + 1);
            let to = (from + remove).min(bytes.len());
            bytes.splice(from..to, insert);
        }
        for (client, bytes) in raw {
            conversation.push(if client { Bytes::Client(bytes) } else { Bytes::Upstream(bytes) });
        }
        let whole = play(&conversation, &[usize::MAX]);
        prop_assert_eq!(&play(&conversation, &[1]), &whole);
        prop_assert_eq!(&play(&conversation, &sizes), &whole);
        let blind = whole.0.iter().position(|t| matches!(t, Told::Unparsable(..)));
        prop_assert!(blind.is_none_or(|at| at == whole.0.len() - 1), "something was told after blindness");
        let mut last = (0, false);
        for told in &whole.0 {
            match told {
                Told::Exchange(n, request, response, _) => {
                    prop_assert!(*n > last.0);
                    prop_assert!(RequestHead::parse(request).is_some());
                    prop_assert!(response.as_deref().is_none_or(|r| ResponseHead::parse(r).is_some()));
                    last = (*n, false);
                }
                Told::Ended(n, ..) => {
                    prop_assert_eq!((*n, false), last);
                    last = (*n, true);
                }
                Told::Unparsable(..) => {}
            }
        }
    }
}

/// Agreement with hyper: another reading of RFC 9112 by other people.
mod hyper_agrees {
    use super::*;
    use http_body_util::{BodyExt, Empty};
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    type Fields = Vec<(String, Vec<u8>)>;

    fn fields_of(map: &hyper::HeaderMap) -> Fields {
        sorted(map.iter().map(|(n, v)| (n.as_str().to_owned(), v.as_bytes().to_vec())).collect())
    }

    /// hyper groups fields of one name; the order across names is not its business.
    fn sorted(mut fields: Fields) -> Fields {
        fields.sort();
        fields
    }

    fn ours(fields: authtap::wire::http1::head::Fields<'_>) -> Fields {
        sorted(fields.map(|f| (f.name.to_ascii_lowercase(), f.value.into_owned())).collect())
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// hyper's client reads the response.
    async fn response(method: &str, bytes: Vec<u8>) -> (u16, Fields, usize) {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await.unwrap();
        let connection = tokio::spawn(connection);
        let request =
            hyper::Request::builder().method(method).uri("/x").body(Empty::<hyper::body::Bytes>::new()).unwrap();
        let server = tokio::spawn(async move {
            let mut seen = vec![];
            while !seen.ends_with(b"\r\n\r\n") {
                assert_ne!(far.read_buf(&mut seen).await.unwrap(), 0);
            }
            far.write_all(&bytes).await.unwrap();
            far.shutdown().await.unwrap();
        });
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let length = body.collect().await.unwrap().to_bytes().len();
        server.await.unwrap();
        drop(connection);
        (parts.status.as_u16(), fields_of(&parts.headers), length)
    }

    /// hyper's server reads the requests.
    async fn requests(bytes: Vec<u8>) -> Vec<(String, Fields, usize)> {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let seen = Arc::new(Mutex::new(vec![]));
        let told = seen.clone();
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let told = told.clone();
            async move {
                let (parts, body) = request.into_parts();
                let length = body.collect().await?.to_bytes().len();
                told.lock().unwrap().push((parts.method.to_string(), fields_of(&parts.headers), length));
                Ok::<_, hyper::Error>(hyper::Response::new(Empty::<hyper::body::Bytes>::new()))
            }
        });
        far.write_all(&bytes).await.unwrap();
        far.shutdown().await.unwrap();
        hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(near), service)
            .await
            .unwrap();
        std::mem::take(&mut *seen.lock().unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// A length that we read otherwise than the rest of the world pairs answers with the wrong requests.
        #[test]
        fn on_responses(mut e in exchange(), until_close in any::<bool>()) {
            e.fields = vec!["Authorization: NTLM TlRM"];
            e.request = Body::None;
            if until_close {
                e.response = Body::UntilClose(b"to the end".to_vec());
            }
            let (told, _) = play(&conversation(std::slice::from_ref(&e), false), &[usize::MAX]);
            let [Told::Exchange(_, _, Some(head), _), Told::Ended(_, _, length, ..)] = told.as_slice() else {
                panic!("{told:?}");
            };
            let head = ResponseHead::parse(head).unwrap();
            let hyper = block_on(response(e.method, e.response_bytes()));
            prop_assert_eq!((head.status, ours(head.fields()), usize::try_from(*length).unwrap()), hyper);
        }

        /// The same for requests, pipelined.
        #[test]
        fn on_requests(mut exchanges in vec(exchange(), 1..4)) {
            for e in &mut exchanges {
                e.fields.push("Authorization: NTLM TlRM");
                // hyper would wait for an upgrade that never comes.
                e.fields.retain(|f| !f.starts_with("Upgrade"));
            }
            let (told, _) = play(&conversation(&exchanges, true), &[usize::MAX]);
            let mut mine = vec![];
            for pair in told.chunks(2) {
                let [Told::Exchange(_, head, _, _), Told::Ended(_, length, ..)] = pair else {
                    panic!("{told:?}");
                };
                let head = RequestHead::parse(head).unwrap();
                mine.push((head.method.to_owned(), ours(head.fields()), usize::try_from(*length).unwrap()));
            }
            let bytes = exchanges.iter().flat_map(|e| [e.request_head(), e.request.bytes()].concat()).collect();
            prop_assert_eq!(mine, block_on(requests(bytes)));
        }
    }
}
