//! `authtap decode`: one header value, or many, explained.

use std::io::Read as _;

use clap::ValueEnum;

use super::{Failure, output, talk};
use crate::model::auth::{AuthField, Scheme, Token};
use crate::net::Clock;
use crate::report::decode::decoded;
use crate::sink::jsonl::v1;
use crate::token::{self, Key};

/// So much is read from stdin.
const MOST: u64 = 16 * 1024 * 1024;

/// Options of `decode`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  authtap decode 'WWW-Authenticate: Negotiate oYIBNjCC...'
  authtap decode 'NTLM TlRMTVNTUAADAAAA...'
  authtap decode TlRMTVNTUAABAAAA...
  curl -v --ntlm -u : http://site.example.test/ 2>&1 | grep -i authenticate | authtap decode -
  authtap decode --format json - < headers.txt

Secrets (passwords, responses, keys, signatures) are never printed.")]
pub struct Args {
    /// A header line, a header's value, or a bare token; `-` reads lines from stdin
    #[arg(value_name = "VALUE", default_value = "-")]
    value: String,
    /// Text for people, or JSON for programs (an object a line)
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Decodes and prints.
pub fn run(args: &Args) -> Result<(), Failure> {
    let input = if args.value == "-" { stdin()? } else { args.value.clone() };
    // Fingerprints are for telling equal values apart within one run.
    let key = Key(rand::random());
    let now = Clock::start().now();
    let mut text = String::new();
    let mut values = 0;
    for (number, line) in input.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let fields = fields(line, &key);
        if fields.is_empty() {
            talk(format_args!(
                "authtap: line {}: no scheme and no token: expected something like `Negotiate YII...`",
                number + 1
            ));
        }
        for field in &fields {
            match args.format {
                Format::Text => {
                    if values > 0 {
                        text.push('\n');
                    }
                    text.push_str(&decoded(field, Some(now)));
                }
                Format::Json => {
                    text.push_str(&serde_json::to_string(&v1::AuthField::from(field)).map_err(Failure::ran)?);
                    text.push('\n');
                }
            }
            values += 1;
        }
    }
    output(&text)?;
    if values == 0 {
        return Err(Failure::usage(
            "decode: nothing to decode: expected a header line, a header's value or a base64 token",
        ));
    }
    Ok(())
}

fn stdin() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .take(MOST + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Failure::ran(format_args!("cannot read stdin: {e}")))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MOST {
        return Err(Failure::usage(format_args!("decode: more than {} MiB on stdin", MOST >> 20)));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What one line holds.
fn fields(line: &str, key: &Key) -> Vec<AuthField> {
    // As `curl -v` shows header lines.
    let line = line.trim_start_matches(['<', '>']).trim();
    let line = ['"', '\''].iter().find_map(|q| line.strip_prefix(*q)?.strip_suffix(*q)).unwrap_or(line);
    let (name, value) = match line.split_once(':') {
        Some((name, value)) if is_auth_field(name) => (Some(name.to_ascii_lowercase()), value.trim()),
        _ => (None, line),
    };
    match name.as_deref() {
        Some("www-authenticate" | "proxy-authenticate") => token::challenges(&[value.as_bytes()], key),
        Some(_) => vec![token::credentials(value.as_bytes(), key)],
        None if value.split_once(' ').is_some_and(|(_, token)| is_base64(token.trim())) => {
            vec![token::credentials(value.as_bytes(), key)]
        }
        None if !value.contains([' ', ',', '=']) || is_base64(value) => vec![bare(value, key)],
        None => either(value, key),
    }
}

fn is_auth_field(name: &str) -> bool {
    ["www-authenticate", "proxy-authenticate", "authorization", "proxy-authorization"]
        .iter()
        .any(|n| n.eq_ignore_ascii_case(name.trim()))
}

fn is_base64(value: &str) -> bool {
    let body = value.trim_end_matches('=');
    value.len() >= 8 && body.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_'))
}

/// A token, or the bare name of a scheme.
fn bare(value: &str, key: &Key) -> AuthField {
    if value.starts_with("eyJ") {
        return nameless(token::credentials(format!("Bearer {value}").as_bytes(), key));
    }
    if !is_base64(value) || Scheme::of(value) != Scheme::Other(value.to_ascii_lowercase()) {
        return token::credentials(value.as_bytes(), key);
    }
    let field = nameless(token::credentials(format!("Negotiate {value}").as_bytes(), key));
    if field.token != Token::Unknown {
        return field;
    }
    let basic = token::credentials(format!("Basic {value}").as_bytes(), key);
    // Without a scheme only something that is surely `user:password` is taken for it.
    let sure = basic.faults.is_empty()
        && matches!(&basic.token, Token::Basic(b) if b.user.as_ref().is_some_and(|u| !u.is_empty() && !u.chars().any(char::is_control)));
    if sure { nameless(basic) } else { field }
}

/// The scheme was ours and not the user's.
fn nameless(mut field: AuthField) -> AuthField {
    field.scheme = Scheme::Other(String::new());
    field.scheme_as_sent = String::new();
    field
}

/// A value without its field's name: challenges when it has several or looks like one, credentials otherwise.
fn either(value: &str, key: &Key) -> Vec<AuthField> {
    let challenges = token::challenges(&[value.as_bytes()], key);
    let one = challenges.len() == 1;
    let challenge = challenges.first().is_some_and(|c| {
        matches!(c.scheme, Scheme::Basic | Scheme::Digest | Scheme::Bearer)
            && !c.params.is_empty()
            && c.param("username").is_none()
    });
    if challenge || !one { challenges } else { vec![token::credentials(value.as_bytes(), key)] }
}
