//! `authtap check`: the preflight, before authtap is inserted.

use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::{Failure, output, runtime};
use crate::check::facts::{Insertion, Place};
use crate::check::{Account, Facts, Line, Question, Verdict, ask, judge, v1};
use crate::config::{Origin, file, resolve};
use crate::model::Secret;
use crate::net::tls::{ServerTls, UpstreamTls, Verify};
use crate::net::{Clock, Upstream};
use crate::report::text::{clean, counted, wrap};
use crate::token::Key;

/// The variable that holds the password of `--user`.
const PASSWORD: &str = "AUTHTAP_PASSWORD";
/// The largest field that is sent; HTTP.sys can be told to take up to 64 KiB.
const LARGEST: usize = 65_536;

/// Options of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  authtap check --upstream http://iis.example.test
  authtap check --upstream https://iis.example.test --tls-cert site.pem --tls-key site.key \\
      --listen 0.0.0.0:443 --public https://www.example.test
  authtap check --upstream https://192.0.2.10 --public https://www.example.test --format json
  AUTHTAP_PASSWORD=... authtap check --upstream http://iis.example.test --user 'EXAMPLE\\alice'

It makes at most five connections and eight requests; it tries no password unless --user gives one.
Exit code: 0 when there is no problem (warnings are none), 1 when there is one, 2 for a wrong command line.")]
pub struct Args {
    /// The server that authtap would stand in front of: `http://host[:port]` or `https://host[:port]`
    #[arg(long, value_name = "URL")]
    upstream: String,
    /// The certificate chain (PEM) that authtap would show: compared with the server's
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's PEM key
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Verify the server with these PEM roots instead of the platform's
    #[arg(long, value_name = "FILE")]
    upstream_ca: Option<PathBuf>,
    /// What `run` would do with a certificate that does not verify
    #[arg(long, value_name = "HOW")]
    upstream_verify: Option<VerifyArg>,
    /// Where authtap would listen: to judge a changed port
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// The URL that clients use; its name becomes `Host` and SNI. Without it, that of --upstream
    #[arg(long, value_name = "URL")]
    public: Option<String>,
    /// What to ask for: something that needs a logon
    #[arg(long, value_name = "PATH", default_value = "/")]
    path: String,
    /// Log on over NTLM as DOMAIN\user, once; the password comes from AUTHTAP_PASSWORD or stdin
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Size of the one large header field that is sent; 0 sends none
    #[arg(long, value_name = "BYTES", default_value_t = 12_288)]
    header_bytes: usize,
    /// How long each step may take, such as 10s
    #[arg(long, value_name = "TIME", default_value = "10s")]
    timeout: String,
    /// Text for people, or JSON for programs
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum VerifyArg {
    Require,
    Record,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Asks, judges and prints.
pub fn run(args: &Args) -> Result<(), Failure> {
    let question = question(args)?;
    let facts = runtime()?.block_on(ask(&question, Clock::start()));
    let lines = judge(&facts);
    let url = question.upstream.url();
    output(&match args.format {
        Format::Text => text(&url, &facts, &lines),
        Format::Json => {
            let report = v1::Report::new(url, &facts, &lines);
            serde_json::to_string_pretty(&report).map_err(Failure::ran)? + "\n"
        }
    })?;
    if lines.iter().any(|line| line.verdict == Verdict::Problem) {
        // The problems are told; there is nothing to add on stderr.
        return Err(Failure::Ran(String::new()));
    }
    Ok(())
}

/// The command line, checked: with the words of `run`, whose options these are.
fn question(args: &Args) -> Result<Question, Failure> {
    let site = file::Site {
        listen: args.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
        upstream: args.upstream.clone(),
        tls_cert: args.tls_cert.clone(),
        tls_key: args.tls_key.clone(),
        upstream_ca: args.upstream_ca.clone(),
        upstream_verify: args.upstream_verify.map(|how| match how {
            VerifyArg::Require => "require".to_owned(),
            VerifyArg::Record => "record".to_owned(),
        }),
        alpn: None,
    };
    let wanted = file::File { site: vec![site], ..file::File::default() };
    let config = resolve::resolve(&wanted, &Origin::default()).map_err(Failure::usage)?;
    let site = config.sites.first().ok_or_else(|| Failure::usage("--upstream: it is needed"))?;
    let certificate = match &site.tls {
        None => None,
        Some((certificate, key)) => {
            Some(ServerTls::load(certificate, key).map_err(Failure::usage)?.certificate().clone())
        }
    };
    // Recorded only: a certificate that does not verify is a line of its own, and what follows is asked all the same.
    let ca = site.upstream_ca.as_deref();
    let tls = site.upstream.tls.then(|| UpstreamTls::new(ca, Verify::Record)).transpose().map_err(Failure::usage)?;
    let insertion = Insertion {
        listen: args.listen,
        public: args.public.as_deref().map(public).transpose()?,
        certificate,
        // As `run` does where it ends TLS, unless it is told otherwise.
        mirrors_alpn: site.tls.is_some() && site.alpn == resolve::Alpn::Mirror,
        lenient: site.upstream_verify == resolve::Verify::Record,
    };
    Ok(Question {
        upstream: Upstream { host: site.upstream.host.clone(), port: site.upstream.port, tls },
        insertion,
        path: path(&args.path)?,
        account: args.user.as_deref().map(account).transpose()?,
        large: large(args.header_bytes)?,
        limit: limit(&args.timeout)?,
        key: Key(rand::random()),
    })
}

fn public(url: &str) -> Result<Place, Failure> {
    let parsed = resolve::parse_upstream(url).ok_or_else(|| {
        Failure::usage("--public: http://host[:port] or https://host[:port] is wanted, without a path (see --path)")
    })?;
    Ok(Place { tls: parsed.tls, host: parsed.host, port: parsed.port })
}

fn path(path: &str) -> Result<String, Failure> {
    if path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Ok(path.to_owned());
    }
    Err(Failure::usage(format_args!(
        "--path: `{}` is not allowed: a path that begins with `/`, percent-encoded, is wanted",
        clean(path)
    )))
}

fn large(bytes: usize) -> Result<usize, Failure> {
    if bytes <= LARGEST {
        return Ok(bytes);
    }
    Err(Failure::usage(format_args!("--header-bytes: `{bytes}` is not allowed: 0 to {LARGEST} is wanted")))
}

fn limit(text: &str) -> Result<Duration, Failure> {
    let time = text.parse::<jiff::SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok());
    time.filter(|d| !d.is_zero()).ok_or_else(|| {
        Failure::usage(format_args!("--timeout: `{}` is not allowed: a time such as 10s is wanted", clean(text)))
    })
}

fn account(user: &str) -> Result<Account, Failure> {
    let password = match std::env::var(PASSWORD) {
        Ok(password) => password,
        Err(_) if std::io::stdin().is_terminal() => {
            return Err(Failure::usage(format_args!(
                "--user: a password is needed, in {PASSWORD} or on stdin (not on the terminal, where it would be seen)"
            )));
        }
        Err(_) => {
            let mut line = String::new();
            std::io::stdin()
                .lock()
                .read_line(&mut line)
                .map_err(|e| Failure::usage(format_args!("--user: cannot read the password from stdin: {e}")))?;
            line.trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    if password.is_empty() {
        return Err(Failure::usage(format_args!("--user: the password in {PASSWORD} or on stdin is empty")));
    }
    Ok(Account { user: user.to_owned(), password: Secret::new(password) })
}

fn text(url: &str, facts: &Facts, lines: &[Line]) -> String {
    let mut out = format!("authtap check {}\n\n", clean(url));
    for line in lines {
        let first = format!("{:<8} {}: ", line.verdict.name(), line.check);
        wrap(&mut out, &line.says, 100, &first, "         ");
        if let Some(fix) = &line.fix {
            wrap(&mut out, fix, 100, "         > ", "           ");
        }
    }
    let of =
        |verdict: Verdict| u64::try_from(lines.iter().filter(|l| l.verdict == verdict).count()).unwrap_or(u64::MAX);
    writeln!(
        out,
        "\n{}, {} ({}, {}).",
        counted(of(Verdict::Problem), "problem", "problems"),
        counted(of(Verdict::Warning), "warning", "warnings"),
        counted(u64::from(facts.connections), "connection", "connections"),
        counted(u64::from(facts.requests), "request", "requests")
    )
    .ok();
    out
}
