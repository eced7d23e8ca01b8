//! A report as text, for a tired person at an 80-column terminal: the verdict first, then why, then what is well,
//! then what was not seen.

use super::join::{IisLog, paragraphs};
use super::packets;
use super::text::{columns, counted, grouped, wrap};
use super::view::{Group, Outcomes, OwnAnswers, View};
use crate::model::finding::{Basis, Evidence, Severity};
use crate::model::{Stamp, TapId};

const WIDTH: usize = 80;

/// Connections that a finding's text names; the JSON has all.
const NAMED_CONNECTIONS: usize = 8;

/// The whole report.
pub fn report(view: &View, colours: bool) -> String {
    let mut page = Page::new(view, colours);
    page.head();
    page.verdict();
    if !view.findings.is_empty() {
        page.heading("Findings");
        for (i, group) in view.findings.iter().enumerate() {
            page.finding(i + 1, group);
        }
    }
    page.heading("Pairing");
    page.pairing();
    page.heading("Seen");
    page.seen();
    if let Some(log) = &view.iis_log {
        page.heading("IIS log");
        page.iis_log(log);
    }
    if not_all_seen(view) {
        page.heading("Not seen");
        page.not_seen();
    }
    page.out
}

/// The few lines at the end of `authtap run`.
pub fn summary(view: &View) -> String {
    let mut page = Page::new(view, false);
    page.verdict_lines(true);
    // The first is the verdict, unless it is only good to know.
    let told = view.findings.first().is_some_and(|g| g.severity > Severity::Info);
    for group in view.findings.iter().skip(usize::from(told)) {
        page.indented(&format!(
            "Also: {} ({}, {}), {}.",
            group.title,
            group.severity.name(),
            group.basis.name(),
            times(group.count)
        ));
    }
    page.pairing();
    page.seen();
    if not_all_seen(view) {
        page.not_seen();
    }
    page.out
}

struct Page<'a> {
    view: &'a View,
    colours: bool,
    /// With captures of several taps, a connection's number alone says nothing.
    several: bool,
    out: String,
}

impl<'a> Page<'a> {
    fn new(view: &'a View, colours: bool) -> Self {
        Self { view, colours, several: view.taps.len() > 1, out: String::new() }
    }

    fn head(&mut self) {
        let view = self.view;
        for tap in &view.taps {
            let Some((_, start)) = &tap.start else {
                continue;
            };
            let upstream = start.upstream.join(", ");
            let name = if self.several { format!("tap {}, ", tap.tap) } else { String::new() };
            self.para(&format!("authtap {}, {name}in front of {upstream}", start.version));
        }
        for line in view.packets.iter().flat_map(packets::heads) {
            self.para(&line);
        }
        if let Some((first, last)) = view.period {
            let (first, last) = (second(first), second(last));
            // The date once, when it is the same.
            let last = match (first.split_once(' '), last.split_once(' ')) {
                (Some((date, _)), Some((same, time))) if date == same => time,
                _ => &last,
            };
            self.para(&format!("{first} to {last} UTC"));
        }
    }

    fn heading(&mut self, text: &str) {
        let text = text.to_uppercase();
        let text = self.paint("1", &text);
        self.out.push('\n');
        self.out.push_str(&text);
        self.out.push('\n');
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn para(&mut self, text: &str) {
        wrap(&mut self.out, text, WIDTH, "", "");
    }

    fn indented(&mut self, text: &str) {
        wrap(&mut self.out, text, WIDTH, "  ", "  ");
    }

    fn labelled(&mut self, label: &str, text: &str) {
        wrap(&mut self.out, text, WIDTH, &format!("  {label:<12}"), "              ");
    }

    fn verdict(&mut self) {
        self.heading("Verdict");
        self.verdict_lines(false);
    }

    /// What is broken, whose fault it is, how sure that is, what to change; the whole of it where no finding follows.
    fn verdict_lines(&mut self, whole_fix: bool) {
        let view = self.view;
        // What is good to know breaks nothing.
        let Some(worst) = view.findings.first().filter(|g| g.severity > Severity::Info) else {
            let text = nothing_found(view);
            self.indented(&text);
            return;
        };
        self.labelled("Broken", &worst.summary);
        if let Some(place) = worst.cause.place() {
            self.labelled("Where", place);
        }
        self.labelled("How sure", how_sure(worst.basis, view.iis_log.is_some()));
        let (first, rest) = worst.fix.split_once('\n').unwrap_or((&worst.fix, ""));
        if whole_fix || rest.is_empty() {
            self.labelled("Change", &worst.fix);
        } else {
            let first = first.trim_end_matches([':', '.', ' ']);
            self.labelled("Change", &format!("{first} (details below)"));
        }
        if whole_fix {
            return;
        }
        let same = view.findings.iter().skip(1).filter(|g| g.cause == worst.cause && g.severity > Severity::Info);
        let titles: Vec<&str> = same.map(|g| g.title.as_str()).collect();
        if worst.cause.place().is_some() && !titles.is_empty() {
            self.labelled("Same cause", &titles.join("; "));
        }
    }

    fn finding(&mut self, number: usize, group: &Group) {
        let severity = group.severity.name().to_uppercase();
        let code = match group.severity {
            Severity::Critical | Severity::High => "1;31",
            Severity::Medium => "1;33",
            Severity::Low | Severity::Info => "1;36",
        };
        let label = format!("{number}. {severity}  ");
        let mut title = String::new();
        let hang = " ".repeat(columns(&label));
        wrap(&mut title, &group.title, WIDTH, &label, &hang);
        // Painted after wrapping, so that the codes do not count as columns.
        let title = title.replacen(&severity, &self.paint(code, &severity), 1);
        if number > 1 {
            self.out.push('\n');
        }
        self.out.push_str(&title);
        let span = if group.first_at == group.last_at {
            format!("at {}", self.time(group.first_at))
        } else {
            format!("{} to {}", self.time(group.first_at), self.time(group.last_at))
        };
        self.indented(&format!("{}, {}, {span}{}", group.slug, times(group.count), self.named_connections(group)));
        self.out.push('\n');
        self.indented(&group.summary);
        if !group.evidence.is_empty() {
            self.out.push('\n');
            self.indented(&format!("How authtap knows ({}):", group.basis.name()));
            for (tap, evidence) in &group.evidence {
                self.evidence(tap, evidence);
            }
            let evidence = group.evidence.iter().map(|(_, e)| e);
            for filter in self.view.packets.iter().flat_map(|facts| packets::filters(facts, evidence.clone())) {
                self.indented(&format!("In Wireshark: {filter}"));
            }
        }
        self.out.push('\n');
        self.indented("Fix:");
        wrap(&mut self.out, &group.fix, WIDTH, "    ", "    ");
        if !group.consequences.is_empty() {
            self.out.push('\n');
            self.indented("What follows from it, and goes with it:");
            for c in &group.consequences {
                let text = format!("{} ({}, {}): {}", c.slug, c.severity.name(), times(c.count), c.summary);
                wrap(&mut self.out, &text, WIDTH, "  - ", "    ");
            }
        }
    }

    fn evidence(&mut self, tap: &TapId, evidence: &Evidence) {
        let mut place = Vec::new();
        if self.several {
            place.push(format!("tap {tap}"));
        }
        if let Some(connection) = evidence.connection {
            place.push(format!("connection {connection}"));
        }
        if let Some(exchange) = evidence.exchange {
            place.push(format!("exchange {exchange}"));
        }
        if let Some(message) = &evidence.message {
            place.push(message.clone());
        }
        if let Some(at) = evidence.at {
            place.push(self.time(at));
        }
        if let (Some(facts), Some(frame)) = (&self.view.packets, evidence.frame) {
            place.push(packets::frame(facts, frame));
        }
        let text =
            if place.is_empty() { evidence.says.clone() } else { format!("{}: {}", place.join(", "), evidence.says) };
        let mark = if evidence.primary { "  * " } else { "  - " };
        wrap(&mut self.out, &text, WIDTH, mark, "    ");
    }

    fn named_connections(&self, group: &Group) -> String {
        if group.connections.is_empty() {
            return String::new();
        }
        let names: Vec<String> = group
            .connections
            .iter()
            .take(NAMED_CONNECTIONS)
            .map(|(tap, c)| if self.several { format!("{tap}/{c}") } else { c.to_string() })
            .collect();
        let more = group.connections.len().saturating_sub(NAMED_CONNECTIONS);
        let word = if group.connections.len() == 1 { "connection" } else { "connections" };
        let more = if more > 0 { format!(" and {} more", grouped(more as u64)) } else { String::new() };
        format!(", {word} {}{more}", names.join(", "))
    }

    fn pairing(&mut self) {
        let p = &self.view.pairing;
        let mut whole = Vec::new();
        match p.paired {
            0 => {}
            1 => whole.push("1 NTLM handshake, answered on the connection that was challenged".to_owned()),
            n => whole
                .push(format!("{} NTLM handshakes, each answered on the connection that was challenged", grouped(n))),
        }
        match p.kerberos {
            0 => {}
            1 => whole.push("1 Kerberos logon, whole on its connection".to_owned()),
            n => whole.push(format!("{} Kerberos logons, each whole on its connection", grouped(n))),
        }
        let whole = whole.join("; ");
        let text = if p.verified {
            format!("Pairing verified: {whole}.")
        } else {
            let why: Vec<&str> = p.because.iter().map(|b| reason(b)).collect();
            let mut text = format!("Pairing not verified: {}.", why.join("; "));
            if !whole.is_empty() {
                text = format!("{text} Whole, nevertheless: {whole}.");
            }
            text
        };
        self.indented(&text);
        if p.unproved > 0 {
            self.indented(&format!(
                "{} more came in order on one connection; their clients sent nothing that could be compared with \
                 the challenge.",
                counted(p.unproved, "NTLM logon", "NTLM logons")
            ));
        }
        if p.single > 0 {
            self.indented(&format!(
                "{} by Basic, Digest or bearer token: each request stands alone, nothing to pair.",
                counted(p.single, "logon", "logons")
            ));
        }
    }

    fn seen(&mut self) {
        let view = self.view;
        self.indented(&format!(
            "{} from {}, {}, {} with status 401.",
            counted(view.connections, "connection", "connections"),
            counted(view.clients, "client address", "client addresses"),
            counted(view.exchanges, "request", "requests"),
            counted(view.refusals, "answer", "answers"),
        ));
        for line in view.packets.iter().flat_map(packets::seen) {
            self.indented(&line);
        }
        if view.packets.is_some() && self.several {
            self.indented(
                "What captures of authtap and captures of packets both hold of the same traffic counts twice.",
            );
        }
        for own in &view.own_answers {
            self.indented(&own_answers(own));
        }
        if view.handshakes.total() == 0 {
            self.indented("No handshakes.");
            return;
        }
        self.indented(&format!("Handshakes: {}.", outcomes(view, view.handshakes)));
        if view.schemes.len() > 1 {
            for (scheme, counts) in &view.schemes {
                self.indented(&format!("- {scheme}: {}", outcomes(view, *counts)));
            }
        }
    }

    fn iis_log(&mut self, log: &IisLog) {
        for paragraph in paragraphs(log) {
            self.indented(&paragraph);
        }
    }

    fn not_seen(&mut self) {
        let blind = &self.view.blind;
        for line in self.view.packets.iter().flat_map(packets::not_seen) {
            self.indented(&line);
        }
        let mut parts = Vec::new();
        if blind.connections > 0 {
            parts.push(format!(
                "{} could not be followed to the end",
                counted(blind.connections, "connection", "connections")
            ));
        }
        if blind.dropped > 0 {
            parts.push(format!("{} dropped", counted(blind.dropped, "observation", "observations")));
        }
        if blind.gaps > 0 {
            parts.push(counted(blind.gaps, "gap", "gaps"));
        }
        if !parts.is_empty() {
            let held_up = if self.view.packets.is_some() { "" } else { " The traffic itself was not held up." };
            self.indented(&format!("{}.{held_up} What is above holds only for what was seen.", parts.join(", ")));
        }
        for (tap, connection, at, why) in &blind.told {
            let place = match (self.several, connection) {
                (true, Some(c)) => format!("tap {tap}, connection {c}, "),
                (true, None) => format!("tap {tap}, "),
                (false, Some(c)) => format!("connection {c}, "),
                (false, None) => String::new(),
            };
            let text = format!("{place}{}: {why}", self.time(*at));
            wrap(&mut self.out, &text, WIDTH, "  - ", "    ");
        }
    }

    /// The time of day, with the date when it is not that of the report's first event.
    fn time(&self, at: Stamp) -> String {
        let text = at.to_string();
        let first = self.view.period.map(|(first, _)| first.to_string());
        match (text.split_once('T'), first.as_deref().and_then(|f| f.split_once('T'))) {
            (Some((date, time)), Some((first, _))) if date == first => time.trim_end_matches('Z').to_owned(),
            _ => text,
        }
    }
}

/// What authtap answered in the site's place.
fn own_answers(own: &OwnAnswers) -> String {
    let clients = counted(own.count, "client", "clients");
    let because = match (own.status, own.error.as_str()) {
        (502, _) => "the upstream could not be reached",
        (_, "connection_limit_reached") => "its limit of open connections was reached",
        _ => "it lacked what it needs itself",
    };
    let first = if own.count > 1 { "; the first time: " } else { ": " };
    format!(
        "authtap itself answered {clients} with {} ({because}{first}{}).",
        own.status,
        own.why.trim_end_matches('.')
    )
}

/// Without findings: what can be said then.
fn not_all_seen(view: &View) -> bool {
    let packets = view.packets.iter().flat_map(packets::not_seen).next().is_some();
    packets || view.blind.gaps > 0 || view.blind.connections > 0 || view.blind.dropped > 0
}

fn nothing_found(view: &View) -> String {
    let mut text = nothing_found_in_traffic(view);
    if !view.own_answers.is_empty() && view.exchanges > 0 {
        text.push_str(" Not every client reached the site, though: see authtap's own answers below.");
    }
    text
}

fn nothing_found_in_traffic(view: &View) -> String {
    let unseen = not_all_seen(view);
    let seen_all = if unseen { " Something was not seen, though: see below." } else { "" };
    let h = view.handshakes;
    if view.connections == 0 && view.exchanges == 0 {
        return match &view.packets {
            None => format!("No traffic seen. Nothing can be said: do the clients come through authtap?{seen_all}"),
            Some(_) => format!("No HTTP that can be read is in the capture. Nothing can be said.{seen_all}"),
        };
    }
    if view.exchanges == 0 && !view.own_answers.is_empty() {
        return format!(
            "No request reached the site: authtap itself answered, because {}. Nothing can be said about \
             authentication.{seen_all}",
            if view.own_answers.iter().any(|own| own.status == 502) {
                "the upstream could not be reached"
            } else {
                "it could take no more connections"
            }
        );
    }
    if h.total() == 0 && view.credentials > 0 {
        return format!(
            "No finding. {} with credentials, but no handshake was seen whole: nothing can be said about {}.{seen_all}",
            counted(view.credentials, "request came", "requests came"),
            if view.credentials == 1 { "it" } else { "them" }
        );
    }
    if h.total() == 0 && view.refusals == 0 {
        return format!(
            "No authentication seen: no 401 and no handshake among {}. Nothing can be said about \
             it.{seen_all}",
            counted(view.exchanges, "request", "requests")
        );
    }
    if h.total() == 0 {
        return format!(
            "No finding. {} with status 401, and no client began a handshake.{seen_all}",
            counted(view.refusals, "answer", "answers")
        );
    }
    if h.authenticated == h.total() {
        return format!(
            "Nothing is broken: {} succeeded. (A 401 before each NTLM logon is how NTLM works.){seen_all}",
            if h.total() == 1 {
                "the one handshake that was seen".to_owned()
            } else {
                format!("all {} handshakes that were seen", grouped(h.total()))
            }
        );
    }
    format!("No finding, among {}: {}.{seen_all}", counted(h.total(), "handshake", "handshakes"), outcomes(view, h))
}

fn outcomes(view: &View, x: Outcomes) -> String {
    // A capture ends when it ends: that a client gave up is not known.
    let abandoned = if view.packets.is_some() { "not finished" } else { "abandoned" };
    let parts: Vec<String> =
        [(x.authenticated, "authenticated"), (x.rejected, "rejected"), (x.broken, "broken"), (x.abandoned, abandoned)]
            .into_iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, name)| format!("{} {name}", grouped(n)))
            .collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn times(n: u64) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{} times", grouped(n)),
    }
}

/// To the second, for people.
fn second(at: Stamp) -> String {
    let text = at.to_string();
    match text.get(..19) {
        Some(short) if text.as_bytes().get(10) == Some(&b'T') => short.replace('T', " "),
        _ => text,
    }
}

const fn how_sure(basis: Basis, with_log: bool) -> &'static str {
    match (basis, with_log) {
        (Basis::Observed, false) => "observed: the bytes and the connections' events prove it",
        (Basis::Observed, true) => "observed: the bytes, the connections' events or the server's log prove it",
        (Basis::Inferred, _) => "inferred: the fact is certain, this cause is the likeliest of several",
        (Basis::Suspected, _) => "suspected: the pattern fits; other causes are possible",
    }
}

fn reason(because: &str) -> &'static str {
    match because {
        "no-logon" => "no NTLM or Kerberos logon was seen to succeed whole",
        "broken-handshakes" => "handshakes were broken",
        "findings" => "a finding above speaks against it",
        "gaps" => "authtap did not see everything",
        _ => "see the findings",
    }
}
