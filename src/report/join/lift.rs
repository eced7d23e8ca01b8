//! Findings in the light of the logs: proved, corrected, or with one more sentence.

use super::effect::{self, Effect, OVERRULED, OVERRULED_UNLESS_OBSERVED, Weight};
use super::exchanges::{Class, Ex, Place};
use super::matching::Match;
use super::source::What;
use super::view::{Code, Confidence};
use super::{Joined, NO_CREDENTIALS};
use crate::finding::catalogue;
use crate::iis::code;
use crate::model::TapId;
use crate::model::finding::{Basis, Evidence, Finding};

impl Joined {
    /// The finding of this event as the logs make it; `None` when they say nothing about it.
    pub fn correct(&mut self, tap: &TapId, seq: u64, finding: &Finding) -> Option<Finding> {
        let tap = self.index.taps.iter().position(|known| known == tap)?;
        let corrected = self.by_request(tap, finding).or_else(|| self.by_error(tap, finding));
        let root = self.renamed_root(tap, finding);
        if corrected.is_none() && root.is_none() {
            return None;
        }
        let mut corrected = corrected.unwrap_or_else(|| finding.clone());
        corrected.root = root.or(corrected.root);
        if corrected.slug != finding.slug {
            for connection in &corrected.connections {
                self.renamed.insert((tap, connection.0), (finding.slug.clone(), corrected.slug.clone()));
            }
        }
        if seq != 0 && !self.corrected.insert((tap, seq)) {
            return Some(corrected);
        }
        if corrected.slug != finding.slug {
            self.facts.corrected += 1;
        } else if corrected.basis > finding.basis {
            self.facts.proved += 1;
        }
        Some(corrected)
    }

    /// What a consequence follows from, when its root became another finding on all of its connections.
    fn renamed_root(&self, tap: usize, finding: &Finding) -> Option<String> {
        let root = finding.root.as_ref()?;
        let mut renamed =
            finding.connections.iter().map(|c| self.renamed.get(&(tap, c.0)).filter(|(old, _)| old == root));
        let (_, new) = renamed.next()??;
        renamed.all(|other| other.is_some_and(|(_, other)| other == new)).then(|| new.clone())
    }

    fn by_request(&self, tap: usize, finding: &Finding) -> Option<Finding> {
        let (piece, at) = finding.evidence.iter().find_map(|piece| {
            let at = self.places.get(&(tap, piece.connection?.0, piece.exchange?)).copied()?;
            let matched = self.matches.requests.get(&at)?;
            let ex = self.index.exchanges.get(at)?;
            // Only the primary evidence may be without a doubtful sign: the others must speak of a refusal.
            telling(ex, matched).then_some((piece, at))
        })?;
        let (ex, matched) = (self.index.exchanges.get(at)?, self.matches.requests.get(&at)?);
        let line = self.lines.get(matched.line)?;
        let What::W3c { user, .. } = &line.what else { return None };
        let file = self.facts.files.get(line.file).map_or("", |file| file.name.as_str());
        let evidence = Evidence {
            primary: false,
            message: Some("IIS log".to_owned()),
            at: None,
            frame: None,
            says: said(file, line.number, matched, user.as_deref()),
            ..piece.clone()
        };
        let code = *matched.codes.first()?;
        let sure = matched.confidence > Confidence::Ambiguous;
        if !sure {
            let codes: Vec<String> = matched.codes.iter().map(|code| named(*code)).collect();
            let text = format!("The IIS log probably says {} to it, which is not sure.", codes.join(" or "));
            return Some(with(finding, &text, evidence));
        }
        let effect = effect::of_code(code.status, code.substatus?, code.win32?);
        Some(judge(finding, effect, &format!("The IIS log says {}", named(code)), evidence, Some(ex)))
    }

    fn by_error(&self, tap: usize, finding: &Finding) -> Option<Finding> {
        let piece = finding.evidence.first();
        let connection = piece.and_then(|p| p.connection).or(finding.connections.first().copied())?;
        let errors = self.matches.errors.get(&(tap, connection.0))?;
        let exchange: Option<Place> = piece.and_then(|p| p.exchange).map(|exchange| (tap, connection.0, exchange));
        // Of this exchange, or else of the connection as a whole.
        let error = errors
            .iter()
            .find(|e| e.exchange.is_some() && e.exchange == exchange)
            .or_else(|| errors.iter().find(|e| e.exchange.is_none()))?;
        let line = self.lines.get(error.line)?;
        let What::HttpErr { reason, .. } = &line.what else { return None };
        let file = self.facts.files.get(line.file).map_or("", |file| file.name.as_str());
        let sure = error.confidence == Confidence::Exact;
        let evidence = Evidence {
            primary: false,
            connection: Some(connection),
            exchange: error.exchange.map(|place| place.2),
            message: Some("HTTPERR".to_owned()),
            at: None,
            frame: None,
            says: format!(
                "{file} line {}: {reason}{}",
                line.number,
                if sure { ", by the port of the connection" } else { ", of a port that was used more than once" }
            ),
        };
        let says = format!("HTTP.sys logged {reason} for this connection");
        if !sure {
            return Some(with(finding, &format!("{says}, or for another one from the same port."), evidence));
        }
        let effect = effect::of_reason(reason);
        if effect.is_none()
            && let Some(known) = code::httperr(reason)
        {
            let means = known.text.means.trim_end_matches('.');
            return Some(with(finding, &format!("{says}: {means}."), evidence));
        }
        Some(judge(finding, effect, &says, evidence, None))
    }
}

/// Whether a line says more of a finding than that a handshake took its normal course.
fn telling(ex: &Ex, matched: &Match) -> bool {
    let normal = |code: &Code| match (code.status, code.substatus, code.win32) {
        (401, Some(2), _) => matches!(ex.class, Class::Anonymous | Class::Challenge),
        (401, Some(1), Some(0 | NO_CREDENTIALS)) => ex.class == Class::Challenge,
        (status, ..) => status < 400,
    };
    matched.codes.iter().any(|code| code.substatus.is_some() && code.win32.is_some() && !normal(code))
}

/// A finding and what the log says of it, for sure.
fn judge(finding: &Finding, effect: Option<&Effect>, says: &str, evidence: Evidence, ex: Option<&Ex>) -> Finding {
    let Some(effect) = effect else {
        return with(finding, &format!("{says}."), evidence);
    };
    let sentence = format!("{says}: {}.", effect.says);
    if effect.weight == Weight::Supports {
        return with(finding, &sentence, evidence);
    }
    let slug = finding.slug.as_str();
    // Where the wire alone could only guess, its guesses are left out of what is told.
    let guessed = OVERRULED.contains(&slug) && (finding.basis < Basis::Observed || effect.slug != slug);
    if effect.slug == slug {
        let more = with(finding, &sentence, evidence.clone());
        let summary = if guessed { refused(ex, &evidence, &sentence) } else { more.summary };
        return Finding { basis: Basis::Observed, summary, ..more };
    }
    let overruled = guessed || OVERRULED_UNLESS_OBSERVED.contains(&slug) && finding.basis < Basis::Observed;
    let (true, Some(meta)) = (overruled, catalogue::by_slug(effect.slug)) else {
        return with(finding, &sentence, evidence);
    };
    Finding {
        slug: meta.slug.to_owned(),
        severity: meta.severity,
        basis: Basis::Observed,
        // What it followed from explained the other one.
        root: None,
        title: meta.title.to_owned(),
        summary: format!("{} (The wire alone looked like `{slug}`.)", refused(ex, &evidence, &sentence)),
        fix: meta.fix(),
        ..with(finding, "", evidence)
    }
}

/// Who was refused what, and why by the log.
fn refused(ex: Option<&Ex>, evidence: &Evidence, sentence: &str) -> String {
    let what = ex.and_then(|ex| ex.shown.as_deref()).map_or_else(
        || "a request".to_owned(),
        |shown| match &shown.user {
            Some(user) => format!("{user} for {}", shown.request),
            None => shown.request.clone(),
        },
    );
    let place = evidence.connection.map(|c| format!(" on connection {c}")).unwrap_or_default();
    format!("The server refused {what}{place}. {sentence}")
}

/// The finding with one more sentence and one more piece of evidence.
fn with(finding: &Finding, sentence: &str, evidence: Evidence) -> Finding {
    let mut more = finding.clone();
    if !sentence.is_empty() {
        more.summary = format!("{} {sentence}", more.summary.trim_end());
    }
    // Beside the primary piece, which comes first: a report shows the first few.
    more.evidence.insert(more.evidence.len().min(1), evidence);
    more
}

fn said(file: &str, number: u64, matched: &Match, user: Option<&str>) -> String {
    let code = matched.codes.first().map(ToString::to_string).unwrap_or_default();
    let user = user.map(|user| format!(", user {user}")).unwrap_or_default();
    let sure = match matched.confidence {
        Confidence::Exact => "by the port of the connection",
        Confidence::Unique => "the only line that fits",
        Confidence::Agreed => "one of several lines that fit; all say the same",
        Confidence::Ambiguous => "not surely its line",
    };
    format!("{file} line {number}: {code}{user} ({sure})")
}

/// `401 1 2148074252 (SEC_E_LOGON_DENIED)`.
fn named(code: Code) -> String {
    let name = code.win32.filter(|win32| *win32 != 0).and_then(code::win32).map(|known| known.name);
    match name {
        Some(name) => format!("{code} ({name})"),
        None => code.to_string(),
    }
}
