//! What a slug, a code or a flag means, in words: what `authtap explain` prints for people.

use super::text::wrap;
use crate::finding::{Meta, catalogue};
use crate::iis::code::{self, Answer, Row};
use crate::token::ntlm::flag_names;

const WIDTH: usize = 80;

/// Everything that one query can mean.
#[derive(Debug)]
pub enum Meaning {
    /// A finding's page.
    Finding(&'static Meta),
    /// A code of IIS, Windows, Kerberos or HTTP.sys.
    Code(Answer),
    /// A flag of NTLM's NegotiateFlags: its bit, its name, what it says.
    Flag(u32, &'static str, &'static str),
}

/// What each flag of NTLM says (MS-NLMP section 2.2.2.5), in our words.
const FLAGS: &[(u32, &str)] = &[
    (0x0000_0001, "Names are in UTF-16. Without it and OEM both, a server refuses the message."),
    (0x0000_0002, "Names are in the client's OEM code page."),
    (0x0000_0004, "The client wants the server's name in the CHALLENGE."),
    (0x0000_0010, "Messages after the logon are signed."),
    (0x0000_0020, "Messages after the logon are encrypted."),
    (0x0000_0040, "Connectionless use; not with HTTP."),
    (0x0000_0080, "The session key comes from the LM response: weak, and old clients only."),
    (0x0000_0200, "NTLM itself is meant."),
    (0x0000_0800, "The logon is anonymous."),
    (0x0000_1000, "The NEGOTIATE names the client's domain."),
    (0x0000_2000, "The NEGOTIATE names the workstation."),
    (0x0000_8000, "A signature is sent with every message, if only an empty one."),
    (0x0001_0000, "The target named in the CHALLENGE is a domain: the server is a member of it."),
    (0x0002_0000, "The target named in the CHALLENGE is a server on its own, not a member of a domain."),
    (0x0008_0000, "Extended session security; NTLMv1 with it mixes in a challenge of the client's."),
    (0x0010_0000, "The server may learn who the client is, but not act as it."),
    (0x0040_0000, "The session key is made the LM way."),
    (0x0080_0000, "The CHALLENGE carries the server's names and clock (target info): NTLMv2 needs it."),
    (0x0200_0000, "The message carries a VERSION."),
    (0x2000_0000, "128-bit keys. Servers that demand them (NtlmMinServerSec) refuse a client without it."),
    (0x4000_0000, "The client sends the session key, encrypted."),
    (0x8000_0000, "56-bit keys."),
];

/// What a query can mean, likeliest first; empty when nothing fits.
pub fn meanings(query: &str) -> Vec<Meaning> {
    let query = query.trim();
    let slug = query.to_ascii_lowercase().replace(['_', ' '], "-");
    let mut found: Vec<Meaning> = catalogue::by_slug(&slug).map(Meaning::Finding).into_iter().collect();
    found.extend(code::lookup(query).into_iter().map(Meaning::Code));
    found.extend(
        flags().filter(|(_, name, _)| is_flag(name, query)).map(|(bit, name, says)| Meaning::Flag(bit, name, says)),
    );
    found
}

/// All flags: bit, name, what it says.
pub fn flags() -> impl Iterator<Item = (u32, &'static str, &'static str)> {
    FLAGS.iter().filter_map(|(bit, says)| flag_names(*bit).first().map(|name| (*bit, *name, *says)))
}

fn is_flag(name: &str, query: &str) -> bool {
    let short = name.strip_prefix("NTLMSSP_").unwrap_or(name);
    let shorter = short.strip_prefix("NEGOTIATE_").unwrap_or(short);
    [name, short, shorter].iter().any(|n| n.eq_ignore_ascii_case(query))
}

/// What may have been meant by a query that means nothing.
pub fn suggestions(query: &str) -> Vec<String> {
    let asked = query.trim().to_ascii_lowercase();
    let words: Vec<&str> = asked.split(['-', '_', ' ']).filter(|w| w.len() > 3).collect();
    let mut close: Vec<(usize, String)> = catalogue::ALL
        .iter()
        .map(|m| (words.iter().filter(|w| m.slug.contains(**w)).count(), m.slug.to_owned()))
        .filter(|(hits, _)| *hits > 0)
        .collect();
    close.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut all: Vec<String> = close.into_iter().map(|(_, slug)| slug).take(3).collect();
    all.extend(code::suggest(query));
    all.truncate(6);
    all
}

/// One meaning as a page for a terminal.
pub fn page(meaning: &Meaning) -> String {
    match meaning {
        Meaning::Finding(meta) => finding(meta),
        Meaning::Code(answer) => of_code(answer),
        Meaning::Flag(bit, name, says) => {
            let mut text = format!("{name} (0x{bit:08x})\n");
            wrap(&mut text, "a flag of NTLM's messages", WIDTH, "  ", "  ");
            text.push('\n');
            wrap(&mut text, says, WIDTH, "  ", "  ");
            text
        }
    }
}

fn finding(meta: &Meta) -> String {
    let mut text = String::new();
    wrap(&mut text, meta.title, WIDTH, "", "");
    let facts = format!("{}: severity {}, at best {}", meta.slug, meta.severity.name(), meta.basis.name());
    wrap(&mut text, &facts, WIDTH, "  ", "  ");
    for heading in Meta::HEADINGS {
        text.push('\n');
        text.push_str(&heading.to_uppercase());
        text.push('\n');
        for block in meta.blocks(heading) {
            match block.strip_prefix("- ") {
                Some(item) => wrap(&mut text, item, WIDTH, "  - ", "    "),
                None => wrap(&mut text, &block, WIDTH, "  ", "  "),
            }
        }
    }
    text
}

fn of_code(answer: &Answer) -> String {
    let row = answer.row;
    let said = row.text();
    let mut text = String::new();
    let key = match row {
        Row::Win32(r) => format!("{} (0x{:08x}) {}", r.code, r.code, r.name),
        Row::Kerberos(r) => format!("{} {}", r.code, r.name),
        Row::HttpErr(r) => r.reason.to_owned(),
        Row::Substatus(_) | Row::Triple(_) => format!("{} {}", row.key(), row.name()),
    };
    wrap(&mut text, &key, WIDTH, "", "");
    wrap(&mut text, answer.read_as, WIDTH, "  ", "  ");
    text.push('\n');
    let caveat = |c: Option<&str>| c.map(|c| format!(" [{c}]")).unwrap_or_default();
    wrap(&mut text, &format!("{}{}", said.means, caveat(said.confidence.caveat())), WIDTH, "  ", "  ");
    wrap(
        &mut text,
        &format!("{}{}", said.here, caveat(said.here_confidence.caveat())),
        WIDTH,
        "  Here:   ",
        "          ",
    );
    wrap(&mut text, said.advice, WIDTH, "  Do:     ", "          ");
    wrap(&mut text, said.source, WIDTH, "  Source: ", "          ");
    text
}

/// Every query that has an answer, by kind, a line each.
pub fn list() -> String {
    let mut text = String::from("Findings\n");
    for meta in catalogue::ALL {
        wrap(&mut text, meta.title, WIDTH, &format!("  {:<38} ", meta.slug), &" ".repeat(41));
    }
    let rows: Vec<Row> = code::all().collect();
    let mut part = |heading: &str, fits: fn(&Row) -> bool| {
        text.push('\n');
        text.push_str(heading);
        text.push('\n');
        for row in rows.iter().filter(|r| fits(r)) {
            wrap(&mut text, row.name(), WIDTH, &format!("  {:<20} ", row.key()), &" ".repeat(23));
        }
    };
    part("IIS log: status, substatus, win32 status", |r| matches!(r, Row::Triple(_)));
    part("Status and substatus", |r| matches!(r, Row::Substatus(_)));
    part("Windows codes (win32, SSPI, NTSTATUS)", |r| matches!(r, Row::Win32(_)));
    part("Kerberos errors", |r| matches!(r, Row::Kerberos(_)));
    part("HTTPERR reasons", |r| matches!(r, Row::HttpErr(_)));
    text.push_str("\nNTLM flags\n");
    for (bit, name, _) in flags() {
        wrap(&mut text, name, WIDTH, &format!("  0x{bit:08x}           "), &" ".repeat(23));
    }
    text
}
