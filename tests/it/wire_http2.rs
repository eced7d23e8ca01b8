//! HTTP/2 as hyper speaks it, at both ends, with its own compression: what is told must be what they said.

use std::sync::{Arc, Mutex};

use authtap::model::Stamp;
use authtap::wire::follow::Follow;
use authtap::wire::http1::head::{RequestHead, ResponseHead};
use authtap::wire::http1::{Out, Pool};
use authtap::wire::observation::{Ended, RawExchange};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};

/// One exchange: number, request's target, a field of it, status, lengths of both bodies, a refusal's body.
type Line = (u32, String, String, u16, (u64, u64), Option<String>);

#[derive(Default)]
struct Told {
    lines: Vec<Line>,
    faults: Vec<String>,
}

impl Out for Told {
    fn exchange(&mut self, raw: RawExchange) {
        let request = RequestHead::parse(raw.request.expose()).unwrap();
        let response = raw.response.as_ref().map(|r| ResponseHead::parse(r.expose()).unwrap());
        assert_eq!((request.version, response.unwrap().version), ("HTTP/2", "HTTP/2"));
        let field = |name: &str| {
            let value = request.fields().find(|f| f.name == name).map(|f| f.value.into_owned());
            String::from_utf8(value.unwrap_or_default()).unwrap()
        };
        assert_eq!(field("host"), "app.example.test");
        let target = String::from_utf8(request.target.to_vec()).unwrap();
        let status = response.unwrap().status;
        self.lines.push((raw.exchange, target, field("authorization"), status, (0, 0), None));
    }

    fn ended(&mut self, ended: Ended) {
        let line = self.lines.iter_mut().find(|l| l.0 == ended.exchange).unwrap();
        line.4 = (ended.request_body, ended.response_body);
        line.5 = ended.body.map(|b| String::from_utf8(b.expose().clone()).unwrap());
    }

    fn unparsable(&mut self, from: &'static str, offset: u64, why: String) {
        self.faults.push(format!("{from} {offset} {why}"));
    }
}

/// The tap, between two pipes.
#[derive(Clone)]
struct Tap(Arc<Mutex<(Follow, Pool, Told)>>);

impl Tap {
    fn see(&self, client: bool, bytes: &[u8]) {
        let (follow, pool, told) = &mut *self.0.lock().unwrap();
        if client {
            follow.client(Stamp(1), bytes, pool, told);
        } else {
            follow.upstream(Stamp(1), bytes, pool, told);
        }
    }

    async fn pass(self, client: bool, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let mut chunk = vec![0; 4_096];
        while let Ok(n @ 1..) = from.read(&mut chunk).await {
            self.see(client, &chunk[..n]);
            if to.write_all(&chunk[..n]).await.is_err() {
                break;
            }
        }
        to.shutdown().await.ok();
    }
}

/// Refuses every third request, with a page; the others get as many bytes as they sent.
async fn serve(request: hyper::Request<Incoming>) -> Result<hyper::Response<Full<Bytes>>, hyper::Error> {
    let refused =
        request.uri().path().strip_prefix("/item/").and_then(|n| n.parse::<u32>().ok()).is_some_and(|n| n % 3 == 0);
    let body = request.into_body().collect().await?.to_bytes();
    let answer = if refused {
        let answer = hyper::Response::builder().status(401).header("www-authenticate", "Negotiate");
        answer.body(Full::from("refused"))
    } else {
        hyper::Response::builder()
            .header("x-same-each-time", "a value that is worth a place in the table")
            .body(Full::from(body))
    };
    Ok(answer.unwrap())
}

/// So many requests at a time, through pipes that hold so many bytes.
fn through_hyper(requests: u32, pipe: usize) -> Told {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let tap = Tap(Arc::new(Mutex::new((Follow::new(false), Pool::default(), Told::default()))));
        let (client, near) = duplex(pipe);
        let (far, server) = duplex(pipe);
        let (near_reads, near_writes) = tokio::io::split(near);
        let (far_reads, far_writes) = tokio::io::split(far);
        tokio::spawn(tap.clone().pass(true, near_reads, far_writes));
        tokio::spawn(tap.clone().pass(false, far_reads, near_writes));
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(server), service_fn(serve));
        tokio::spawn(serving);
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client));
        let (sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        let mut asking = Vec::new();
        for n in 0..requests {
            let mut sender = sender.clone();
            let request = hyper::Request::post(format!("https://app.example.test/item/{n}"))
                .header("authorization", format!("Bearer not-a-secret-{n}"))
                .header("user-agent", "wire-test")
                .body(Full::<Bytes>::from(vec![b'x'; n as usize * 100]))
                .unwrap();
            asking.push(tokio::spawn(async move {
                let answer = sender.send_request(request).await.unwrap();
                answer.into_body().collect().await.unwrap();
            }));
        }
        for one in asking {
            one.await.unwrap();
        }
        std::mem::take(&mut tap.0.lock().unwrap().2)
    })
}

/// A field read wrongly, or an answer paired with another stream's request, would accuse the innocent.
#[test]
fn what_is_told_is_what_hyper_said() {
    for (requests, pipe) in [(40, 64 * 1024), (9, 11)] {
        let told = through_hyper(requests, pipe);
        assert_eq!(told.faults, Vec::<String>::new());
        let mut lines = told.lines;
        lines.sort_by_key(|l| l.1.trim_start_matches("/item/").parse::<u32>().unwrap());
        let want = (0..requests).map(|n| {
            let (status, length, page) = match n % 3 {
                0 => (401, 7, Some("refused".to_owned())),
                _ => (200, u64::from(n) * 100, None),
            };
            (format!("/item/{n}"), format!("Bearer not-a-secret-{n}"), status, (u64::from(n) * 100, length), page)
        });
        let numbers: std::collections::BTreeSet<u32> = lines.iter().map(|l| l.0).collect();
        assert_eq!(numbers, (1..=requests).collect());
        assert_eq!(lines.into_iter().map(|l| (l.1, l.2, l.3, l.4, l.5)).collect::<Vec<_>>(), want.collect::<Vec<_>>());
    }
}
