//! What reading a log costs: IIS's default fields, every field, and an HTTPERR log.
//!
//! `cargo bench --bench logs`. The figure beside the time is bytes of log a second on one core.

use std::fmt::Write as _;

use authtap::iis::log::{LogEvent, LogReader};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

const AGENT: &str =
    "Mozilla/5.0+(Windows+NT+10.0;+Win64;+x64)+AppleWebKit/537.36+(KHTML,+like+Gecko)+Chrome/142.0.0.0+Safari/537.36";

fn w3c(all: bool) -> String {
    let mut log =
        "#Software: Microsoft Internet Information Services 10.0\r\n#Version: 1.0\r\n#Date: 2026-11-22 00:00:00\r\n"
            .to_owned();
    log.push_str(if all {
        "#Fields: date time s-sitename s-computername s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip \
         cs-version cs(User-Agent) cs(Cookie) cs(Referer) cs-host sc-status sc-substatus sc-win32-status sc-bytes cs-bytes \
         time-taken X-Forwarded-For\r\n"
    } else {
        "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) \
         sc-status sc-substatus sc-win32-status time-taken\r\n"
    });
    for n in 0..20_000_u32 {
        let (minute, second) = (n / 60 % 60, n % 60);
        let (user, status) = match n % 3 {
            0 => ("-", "401 2 5"),
            1 => ("-", "401 1 2148074254"),
            _ => ("EXAMPLE\\alice", "200 0 0"),
        };
        let _ = if all {
            write!(
                log,
                "2026-11-22 10:{minute:02}:{second:02} W3SVC2 WEB01 192.0.2.10 GET /app/orders/{n}/view.aspx id={n}&sort=asc 443 \
                 {user} 198.51.100.7 HTTP/1.1 {AGENT} ASP.NET_SessionId=0123456789abcdef;+theme=dark \
                 https://intranet.example.test/app/ intranet.example.test {status} 5120 812 {} 203.0.113.9\r\n",
                n % 997
            )
        } else {
            write!(
                log,
                "2026-11-22 10:{minute:02}:{second:02} 192.0.2.10 GET /app/orders/{n}/view.aspx id={n}&sort=asc 443 {user} \
                 198.51.100.7 {AGENT} https://intranet.example.test/app/ {status} {}\r\n",
                n % 997
            )
        };
    }
    log
}

fn httperr() -> String {
    let mut log =
        "#Fields: date time c-ip c-port s-ip s-port cs-version cs-method cs-uri streamid streamid_ex sc-status \
                   s-siteid s-reason s-queuename transport\r\n"
            .to_owned();
    for n in 0..20_000_u32 {
        let _ = write!(
            log,
            "2026-11-22 10:{:02}:{:02} 198.51.100.7 {} 192.0.2.10 443 HTTP/1.1 GET /app/view.aspx?id={n} - - 400 2 FieldLength \
             DefaultAppPool TCP\r\n",
            n / 60 % 60,
            n % 60,
            1024 + n % 60_000
        );
    }
    log
}

fn logs(c: &mut Criterion) {
    let mut group = c.benchmark_group("logs");
    for (name, log) in [("w3c_default_fields", w3c(false)), ("w3c_every_field", w3c(true)), ("httperr", httperr())] {
        group.throughput(Throughput::Bytes(u64::try_from(log.len()).unwrap_or(0)));
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut reader = LogReader::default();
                let mut refused = 0_u32;
                for event in reader.lines(black_box(log.as_bytes())) {
                    match event {
                        Ok(LogEvent::W3c(line)) => refused += u32::from(line.status == Some(401)),
                        Ok(LogEvent::HttpErr(line)) => refused += u32::from(line.status == Some(400)),
                        _ => {}
                    }
                }
                refused
            });
        });
    }
    group.finish();
}

criterion_group!(benches, logs);
criterion_main!(benches);
