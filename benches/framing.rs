//! What following HTTP/1 costs a request: a small GET and its answer, whole and cut, and the cost of a body.
//!
//! `cargo bench --bench framing`. The figure beside the time is bytes a second through the framing.

use authtap::model::Stamp;
use authtap::wire::http1::{Http1, Out, Pool};
use authtap::wire::observation::{Ended, RawExchange};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

struct Count(u64);

impl Out for Count {
    fn exchange(&mut self, exchange: RawExchange) {
        self.0 += u64::from(black_box(exchange).exchange);
    }
    fn ended(&mut self, ended: Ended) {
        self.0 += ended.response_body;
    }
    fn unparsable(&mut self, _: &'static str, _: u64, why: String) {
        panic!("{why}");
    }
}

const REQUEST: &[u8] = b"GET /app/orders?page=3 HTTP/1.1\r\nHost: intranet.example.test\r\nConnection: keep-alive\r\n\
User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
Accept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\nCookie: ASP.NET_SessionId=abcdefghijklmnopqrstuvwx\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Type: text/html; charset=utf-8\r\n\
Server: Microsoft-IIS/10.0\r\nX-AspNet-Version: 4.0.30319\r\nX-Powered-By: ASP.NET\r\n\
Date: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Length: 20\r\n\r\n<html>hello</html>\r\n";
const AUTHORIZED: &[u8] = b"GET / HTTP/1.1\r\nHost: intranet.example.test\r\n\
Authorization: NTLM TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAKAGNFAAAADw==\r\n\r\n";

fn framing(c: &mut Criterion) {
    let mut group = c.benchmark_group("framing");
    let small = u64::try_from(REQUEST.len() + RESPONSE.len()).unwrap_or(0);
    group.throughput(Throughput::Bytes(small));
    let at = Stamp(0);
    for (name, request, size) in [
        ("get_and_small_answer", REQUEST, usize::MAX),
        ("get_and_small_answer_cut_at_64", REQUEST, 64),
        ("told_exchange", AUTHORIZED, usize::MAX),
    ] {
        group.bench_function(name, |b| {
            let (mut http, mut pool, mut out) = (Http1::default(), Pool::default(), Count(0));
            b.iter(|| {
                for piece in black_box(request).chunks(size) {
                    http.client(at, piece, &mut pool, &mut out);
                }
                for piece in black_box(RESPONSE).chunks(size) {
                    http.upstream(at, piece, &mut pool, &mut out);
                }
            });
            black_box(out.0);
        });
    }
    // 1 MiB as a relay sees it: 64 slices of 16 KiB, with a length and in chunks of 4 KiB.
    group.throughput(Throughput::Bytes(1024 * 1024));
    let mut plain = b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n".to_vec();
    plain.resize(plain.len() + 1024 * 1024, b'x');
    let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..256 {
        chunked.extend(b"1000\r\n");
        chunked.resize(chunked.len() + 4096, b'x');
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    for (name, response) in [("mebibyte_with_length", plain), ("mebibyte_in_chunks", chunked)] {
        group.bench_function(name, |b| {
            let (mut http, mut pool, mut out) = (Http1::default(), Pool::default(), Count(0));
            b.iter(|| {
                http.client(at, REQUEST, &mut pool, &mut out);
                for piece in black_box(&response).chunks(16 * 1024) {
                    http.upstream(at, piece, &mut pool, &mut out);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, framing);
criterion_main!(benches);
