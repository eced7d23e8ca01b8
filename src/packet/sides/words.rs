//! What a finding says of the other sides: the same messages there, and whom that blames.

use super::across::BROKEN_BY_HOP;
use super::marks::Place;
use super::threads::{Member, Thread, Threads};
use super::topology::{Plan, index};
use crate::model::finding::{Evidence, Finding};
use crate::packet::is_answer;

/// So many places on other sides are named in one finding.
const MOST_NAMED: usize = 8;
/// A summary gets no longer than that.
const MOST_SUMMARY: usize = 1_900;

/// Adds to a finding of `side` where its messages were on the other sides. `also` are sides that drew it as well.
pub(super) fn name_both_sides(finding: &mut Finding, side: usize, also: &[usize], threads: &Threads, plan: &Plan) {
    let mut added: Vec<Evidence> = Vec::new();
    let mut told: Vec<(Place, bool)> = Vec::new();
    let mut sentence = None;
    let first_mate = finding.evidence.len();
    for evidence in finding.evidence.iter().take(first_mate) {
        let Some((place, thread)) =
            evidence.connection.zip(evidence.exchange).and_then(|p| Some((p, threads.of(p)?.1)))
        else {
            continue;
        };
        let Some(own) = thread.members.iter().find(|m| m.seen.place == place) else { continue };
        let message = evidence.message.as_deref().unwrap_or("request");
        for mate in thread.members.iter().filter(|m| m.seen.place != place) {
            let answer = is_answer(message);
            if told.contains(&(mate.seen.place, answer)) || added.len() >= MOST_NAMED {
                continue;
            }
            told.push((mate.seen.place, answer));
            added.push(same(mate, thread, message, plan));
            if !also.contains(&mate.side) {
                let difference = taken_away(own, mate, thread.by_likeness, plan);
                if let Some((says, whom)) = difference {
                    added.push(Evidence { says, ..same(mate, thread, message, plan) });
                    sentence = sentence.or(Some(whom));
                }
            }
        }
    }
    for evidence in &added {
        if let Some(connection) = evidence.connection.filter(|c| !finding.connections.contains(c)) {
            finding.connections.push(connection);
        }
    }
    let before = |m: &&Member| m.side < side;
    // A hop is named for what a message of its own proves.
    let primary = finding.evidence.iter().find_map(|e| threads.of(e.connection.zip(e.exchange)?));
    let primary = primary.filter(|(_, thread)| !thread.by_likeness);
    let hop = primary.and_then(|(_, thread)| thread.members.iter().rev().find(before)).copied();
    if let Some(hop) = hop
        && sentence.is_none()
        && BROKEN_BY_HOP.contains(&finding.slug.as_str())
        && !also.iter().any(|other| *other < side)
    {
        sentence = Some(format!("The hop is {}, which this capture shows from both sides.", address(&hop, plan)));
    }
    if let Some(sentence) = sentence.filter(|s| finding.summary.len() + s.len() < MOST_SUMMARY) {
        finding.summary.push(' ');
        finding.summary.push_str(&sentence);
    }
    // Right after the primary one: a report has room for few.
    let at = finding.evidence.len().min(1);
    finding.evidence.splice(at..at, added);
}

/// The same message on another side.
fn same(mate: &Member, thread: &Thread, message: &str, plan: &Plan) -> Evidence {
    let name = match message {
        "response" | "close" => "answer",
        other => other,
    };
    let (here, client) = (address(mate, plan), mate.seen.client);
    let known = if thread.by_likeness { ", known by its target and its time" } else { "" };
    let before = thread.members.iter().rev().find(|m| m.side < mate.side);
    // Whoever connects to a further side is a hop, and its endpoint is known where its own side was captured.
    let sender = match before {
        Some(hop) => format!("the hop {} ({client})", address(hop, plan)),
        None if mate.side > 0 => format!("the hop ({client})"),
        None => format!("the client ({client})"),
    };
    let further = thread.members.iter().any(|m| m.side > mate.side);
    let receiver = if further { format!("the hop {here}") } else { format!("the server {here}") };
    let way = if is_answer(message) {
        format!("from {receiver} to {sender}")
    } else {
        format!("from {sender} to {receiver}")
    };
    Evidence {
        primary: false,
        connection: Some(mate.seen.place.0),
        exchange: Some(mate.seen.place.1),
        message: Some(message.to_owned()),
        at: Some(if is_answer(message) { mate.seen.end } else { mate.seen.head }),
        frame: None,
        says: format!("the same {name} on its way {way}{known}"),
    }
}

/// What the hop between two sides took away: in words of the other side's evidence, and of the summary.
fn taken_away(own: &Member, mate: &Member, by_likeness: bool, plan: &Plan) -> Option<(String, String)> {
    // Which request it is on the other side is then the likeliest, and not proved.
    let sure = if by_likeness {
        "most likely: which request it is behind the hop is told by its target and its time alone"
    } else {
        "this capture shows it from both sides"
    };
    let (outer, inner) = if own.side < mate.side { (own, mate) } else { (mate, own) };
    let hop = address(outer, plan);
    if outer.seen.marks.authorization && !inner.seen.marks.authorization {
        let here = if own.side < mate.side { "without" } else { "with" };
        return Some((
            format!("the same request {here} Authorization on the other side of the hop {hop}"),
            format!("The hop {hop} took Authorization off the request: {sure}."),
        ));
    }
    if inner.seen.marks.challenged && !outer.seen.marks.challenged {
        let here = if own.side < mate.side { "with" } else { "without" };
        return Some((
            format!("the same answer {here} WWW-Authenticate on the other side of the hop {hop}"),
            format!("The hop {hop} took WWW-Authenticate off the answer: {sure}."),
        ));
    }
    None
}

fn address(member: &Member, plan: &Plan) -> String {
    plan.endpoints.get(index(member.seen.endpoint)).map_or_else(|| "?".to_owned(), ToString::to_string)
}
