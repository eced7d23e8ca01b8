//! `authtap explain`: what a finding, a code or a flag means.

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{Failure, output};
use crate::iis::code::Row;
use crate::report::explain::{Meaning, list, meanings, page, suggestions};

/// Options of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  authtap explain handshake-split-across-connections
  authtap explain 401.1
  authtap explain 401 1 2148074248
  authtap explain 0x80090308
  authtap explain KRB_AP_ERR_MODIFIED
  authtap explain FieldLength
  authtap explain --list")]
pub struct Args {
    /// A finding's slug, a status with substatus, a code in decimal or hex, a name, a HTTPERR reason, an NTLM flag
    #[arg(value_name = "SLUG|CODE", allow_negative_numbers = true, required_unless_present = "list")]
    query: Vec<String>,
    /// List everything that has an explanation
    #[arg(long)]
    list: bool,
    /// Text for people, or JSON for programs
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Explains.
pub fn run(args: &Args) -> Result<(), Failure> {
    if args.list {
        return output(&list());
    }
    let query = args.query.join(" ");
    let found = meanings(&query);
    if found.is_empty() {
        let near = suggestions(&query);
        let hint = if near.is_empty() {
            "`authtap explain --list` shows everything that has an explanation".to_owned()
        } else {
            format!("did you mean {}?", near.join(", "))
        };
        return Err(Failure::usage(format_args!("explain: nothing is known of `{query}`; {hint}")));
    }
    match args.format {
        Format::Text => output(&found.iter().map(page).collect::<Vec<_>>().join("\n")),
        Format::Json => {
            let answers: Vec<Value> = found.iter().map(answer).collect();
            let text = serde_json::to_string_pretty(&json!({ "v": 1, "query": query, "answers": answers }));
            output(&(text.map_err(Failure::ran)? + "\n"))
        }
    }
}

fn answer(meaning: &Meaning) -> Value {
    match meaning {
        Meaning::Finding(m) => json!({
            "kind": "finding", "slug": m.slug, "title": m.title, "severity": m.severity.name(),
            "basis": m.basis.name(), "schemes": m.schemes, "page": m.document(),
        }),
        Meaning::Code(a) => {
            let said = a.row.text();
            let kind = match a.row {
                Row::Triple(_) => "status-substatus-win32",
                Row::Substatus(_) => "substatus",
                Row::Win32(_) => "win32",
                Row::Kerberos(_) => "kerberos",
                Row::HttpErr(_) => "httperr",
            };
            json!({
                "kind": kind, "key": a.row.key(), "name": a.row.name(), "read_as": a.read_as, "means": said.means,
                "here": said.here, "do": said.advice, "confidence": said.confidence.name(),
                "here_confidence": said.here_confidence.name(), "source": said.source,
            })
        }
        Meaning::Flag(bit, name, says) => {
            json!({ "kind": "ntlm-flag", "key": format!("0x{bit:08x}"), "name": name, "means": says })
        }
    }
}
