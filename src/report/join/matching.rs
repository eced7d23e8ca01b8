//! Which line belongs to which exchange.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::exchanges::{Index, Place};
use super::source::{Line, NEAR, What};
use super::sure;
use super::view::{Code, Confidence, Offset};
use crate::model::Stamp;

/// Half of the second to which a line's time is cut.
const HALF: i64 = 500_000;
/// Between the last byte at authtap and the line's time, beside the clocks: HTTP.sys takes the time when it has sent.
const SLACK: i64 = 1_000_000;
/// Exchanges that one line is tried with.
const MAX_OF_LINE: usize = 64;
/// Pairs that are tried in all.
const MAX_PAIRS: usize = 4_000_000;
/// Pairs of one group that are judged exactly; beyond, a busy second says nothing anyway.
const MAX_OF_GROUP: usize = 20_000;
/// Codes that a doubtful match names.
const MAX_CODES: usize = 4;

/// What is known of a file's lines together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// `None`: nothing tells its offset.
    pub(super) offset: Option<Offset>,
    /// Its lines name clients, and none is authtap.
    pub(super) foreign: bool,
}

/// The line of an exchange.
#[derive(Debug, Clone)]
pub(super) struct Match {
    /// The line, by its place among all.
    pub(super) line: usize,
    pub(super) confidence: Confidence,
    /// What the lines say that it could be, its own first.
    pub(super) codes: Vec<Code>,
}

/// A line of HTTPERR that belongs to a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) line: usize,
    pub(super) confidence: Confidence,
    pub(super) exchange: Option<Place>,
}

/// What belongs together.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// By the exchange's place in the index.
    pub(super) requests: BTreeMap<usize, Match>,
    /// By tap and connection.
    pub(super) errors: BTreeMap<(usize, u64), Vec<Refusal>>,
    /// Pairs that were too many were left out.
    pub(super) crowded: bool,
}

impl Matches {
    pub(super) fn of(index: &Index, lines: &[Line], clocks: &[Clock]) -> Self {
        let mut matches = Self::default();
        let (groups, crowded) = groups(index, lines, clocks);
        matches.crowded = crowded;
        for group in groups {
            matches.judge(index, lines, clocks, &group);
        }
        for (place, line) in lines.iter().enumerate() {
            matches.error(index, place, line, clocks);
        }
        matches
    }

    fn judge(&mut self, index: &Index, lines: &[Line], clocks: &[Clock], group: &Group) {
        let edges: usize = group.edges.iter().map(Vec::len).sum();
        let small = edges <= MAX_OF_GROUP;
        let choices = if small { sure::pair(&group.edges, group.lines.len()) } else { in_order(group) };
        // On one connection, requests and their lines have one order.
        let ordered = small
            && choices.iter().all(Option::is_some)
            && group.lines.len() == group.exchanges.len()
            && group
                .exchanges
                .iter()
                .filter_map(|e| index.exchanges.get(*e))
                .map(|ex| ex.place.1)
                .collect::<BTreeSet<_>>()
                .len()
                == 1;
        for (exchange, choice) in group.exchanges.iter().zip(choices) {
            let Some(choice) = choice else { continue };
            let Some(place) = group.lines.get(choice.line).copied() else { continue };
            let Some(line) = lines.get(place) else { continue };
            let by_port = matches!(line.what, What::W3c { by_port: true, .. });
            let mut codes = Vec::new();
            for code in choice.possible.iter().filter_map(|l| group.lines.get(*l)).filter_map(|l| lines.get(*l)?.code())
            {
                if !codes.contains(&code) && codes.len() < MAX_CODES {
                    codes.push(code);
                }
            }
            let clock = clocks.get(line.file);
            let certain = clock.is_some_and(|c| !c.foreign && c.offset.is_some_and(|o| o.sure));
            let alone = choice.possible.len() == 1 || ordered && by_port;
            let doubtful = choice.or_none || !certain && !by_port || !alone && codes.len() > 1;
            let confidence = match (doubtful, alone) {
                (true, _) => Confidence::Ambiguous,
                (false, true) if by_port => Confidence::Exact,
                (false, true) => Confidence::Unique,
                (false, false) => Confidence::Agreed,
            };
            if alone {
                codes.truncate(1);
            }
            self.requests.insert(*exchange, Match { line: place, confidence, codes });
        }
    }

    fn error(&mut self, index: &Index, place: usize, line: &Line, clocks: &[Clock]) {
        let What::HttpErr { from, status, method, .. } = &line.what else { return };
        let offset = clocks.get(line.file).and_then(|c| c.offset);
        let slack = offset.map_or(NEAR, |o| if o.sure { 2 * SLACK + o.spread } else { NEAR });
        let at = Stamp(line.at.0 + HALF - offset.map_or(0, |o| o.ahead));
        let conns = index.of_port(*from);
        let fitting: Vec<_> = conns
            .iter()
            .filter_map(|c| index.connections.get(*c))
            .filter(|c| {
                let close = c.close.unwrap_or(Stamp(i64::MAX));
                c.open.0.saturating_sub(slack) <= at.0 && at.0 <= close.0.saturating_add(slack)
            })
            .collect();
        let [conn] = fitting.as_slice() else {
            // A port that was used again within the doubt about the clocks.
            for conn in fitting {
                let refusal = Refusal { line: place, confidence: Confidence::Ambiguous, exchange: None };
                self.errors.entry((conn.tap, conn.id)).or_default().push(refusal);
            }
            return;
        };
        let exchange = index
            .on(conn)
            .rev()
            .filter_map(|place| index.exchanges.get(place))
            .find(|ex| {
                let same = |one: Option<u64>, other: Option<u64>| one.is_none() || one == other;
                Some(ex.parts.status) == *status && same(*method, ex.parts.method) && (ex.end.0 - at.0).abs() <= slack
            })
            .map(|ex| ex.place);
        let refusal = Refusal { line: place, confidence: Confidence::Exact, exchange };
        self.errors.entry((conn.tap, conn.id)).or_default().push(refusal);
    }
}

impl Line {
    /// What IIS logged.
    pub(super) const fn code(&self) -> Option<Code> {
        match &self.what {
            What::W3c { code, .. } => Some(*code),
            What::HttpErr { .. } => None,
        }
    }
}

/// Exchanges and lines that hang together: none of them can belong to any outside.
#[derive(Debug, Default)]
struct Group {
    exchanges: Vec<usize>,
    lines: Vec<usize>,
    /// For each exchange its lines, by their places in this group.
    edges: Vec<Vec<usize>>,
}

fn groups(index: &Index, lines: &[Line], clocks: &[Clock]) -> (Vec<Group>, bool) {
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    let mut crowded = false;
    for (place, line) in lines.iter().enumerate() {
        let What::W3c { mask, key, code, .. } = &line.what else { continue };
        let Some(offset) = clocks.get(line.file).and_then(|c| c.offset) else { continue };
        let at = line.at.0 + HALF - offset.ahead;
        let slack = HALF + SLACK + offset.spread;
        let with_key = index.with_key(*mask, *key);
        let from = with_key.partition_point(|e| index.exchanges.get(*e).is_some_and(|ex| ex.end.0 < at - slack));
        let near = with_key.iter().skip(from).filter_map(|e| Some((*e, index.exchanges.get(*e)?)));
        let near = near.take_while(|(_, ex)| ex.end.0 <= at + slack);
        let mut count = 0_usize;
        for (exchange, ex) in near {
            if ex.fits(*code) && line.is_between(ex.local, ex.upstream, index) {
                count += 1;
                if count > MAX_OF_LINE || pairs.len() >= MAX_PAIRS {
                    crowded = true;
                    break;
                }
                pairs.push((exchange, place));
            }
        }
    }
    (parts(&pairs, lines), crowded)
}

/// The connected parts of the graph, each in the order of time.
fn parts(pairs: &[(usize, usize)], lines: &[Line]) -> Vec<Group> {
    // Exchanges are the even nodes, lines the odd ones.
    let mut parent: HashMap<usize, usize> = HashMap::new();
    for (exchange, line) in pairs {
        let one = root(&mut parent, exchange * 2);
        let other = root(&mut parent, line * 2 + 1);
        parent.insert(one.max(other), one.min(other));
    }
    let mut parts: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for pair in pairs {
        parts.entry(root(&mut parent, pair.0 * 2)).or_default().push(*pair);
    }
    parts.into_values().map(|pairs| part(pairs, lines)).collect()
}

fn part(mut pairs: Vec<(usize, usize)>, lines: &[Line]) -> Group {
    let order = |line: &usize| lines.get(*line).map(|l| (l.at, l.file, l.number));
    pairs.sort_by_key(|(exchange, line)| (*exchange, order(line)));
    let mut group = Group { lines: pairs.iter().map(|(_, line)| *line).collect(), ..Group::default() };
    group.lines.sort_by_key(order);
    group.lines.dedup();
    let places: HashMap<usize, usize> = group.lines.iter().enumerate().map(|(place, line)| (*line, place)).collect();
    for (exchange, line) in pairs {
        if group.exchanges.last() != Some(&exchange) {
            group.exchanges.push(exchange);
            group.edges.push(Vec::new());
        }
        if let (Some(edges), Some(place)) = (group.edges.last_mut(), places.get(&line)) {
            edges.push(*place);
        }
    }
    group
}

fn root(parent: &mut HashMap<usize, usize>, node: usize) -> usize {
    let mut top = node;
    while let Some(above) = parent.get(&top).copied().filter(|above| *above != top) {
        top = above;
    }
    let mut at = node;
    while let Some(above) = parent.insert(at, top).filter(|above| *above != at && *above != top) {
        at = above;
    }
    top
}

/// For groups that are too large to be judged: the first free line for each, and all of it in doubt.
fn in_order(group: &Group) -> Vec<Option<sure::Choice>> {
    let mut taken = vec![false; group.lines.len()];
    let mut choose = |lines: &Vec<usize>| {
        let line = lines.iter().copied().find(|line| taken.get(*line) == Some(&false))?;
        if let Some(taken) = taken.get_mut(line) {
            *taken = true;
        }
        let others = lines.iter().copied().filter(|other| *other != line);
        Some(sure::Choice { line, possible: std::iter::once(line).chain(others).collect(), or_none: false })
    };
    group.edges.iter().map(&mut choose).collect()
}
