//! How far the server's clock is from authtap's, by the data themselves.
//!
//! Each exchange votes for every difference to a line that it could have made. Chance spreads its votes; the truth
//! gets one of nearly all. An exchange with many such lines says less, so its votes count less.
//!
//! A clock that is off is believed only when several connections speak for it, and when it gives a line to a good part
//! of what the log covers: the legs of one logon would fit an earlier logon of the same client just as well.

use std::collections::{BTreeMap, BTreeSet};

use super::exchanges::{Ex, Index};
use super::key::{Key, Mask};
use super::source::{FAR, Line, NEAR, What};
use super::view::Offset;
use crate::model::Stamp;

const SECOND: i64 = 1_000_000;
/// What an exchange's votes count together.
const VOTE: u64 = 1_000;
/// Exchanges of one key that vote.
const MAX_OF_KEY: usize = 200;
/// Lines that an exchange is compared with.
const MAX_OF_EXCHANGE: usize = 2_000;
/// Comparisons in all.
const MAX_COMPARISONS: usize = 10_000_000;
/// Exchanges, and connections, that make an estimate.
const ENOUGH: usize = 3;
/// One in so many of the exchanges that the log covers has a line, at least.
const EXPLAINED: usize = 3;
/// Clocks of one domain are this near, nearly always: such an offset is believed though others fit as well.
const USUAL: i64 = 5 * SECOND;
/// So near that no estimate is needed.
const NO_DIFFERENCE: i64 = 2 * SECOND;

/// The offset of the clock that these lines were written by; `None` when no line can belong to any exchange. `covers` is
/// the time of all lines of their files.
pub(super) fn estimate(index: &Index, lines: &[&Line], covers: Option<(Stamp, Stamp)>) -> Option<Offset> {
    let groups = groups(index, lines);
    let reach = FAR / SECOND + 1;
    let mut votes = vec![0_u64; usize::try_from(2 * reach + 2).ok()?];
    each(index, &groups, |_, _, differences| {
        let mut bins: Vec<i64> = differences.iter().map(|d| d.div_euclid(SECOND)).collect();
        bins.dedup();
        let weight = VOTE / (bins.len() as u64).clamp(1, VOTE);
        for bin in bins {
            if let Some(sum) = usize::try_from(bin + reach).ok().and_then(|place| votes.get_mut(place)) {
                *sum += weight;
            }
        }
    });
    // A line's time is cut to the second, so the differences of one clock lie in two neighbouring bins.
    let pairs: Vec<(i64, u64)> =
        votes.windows(2).zip(-reach..).map(|(two, bin)| (bin, two.iter().sum())).filter(|(_, sum)| *sum > 0).collect();
    let top = pairs.iter().map(|(_, sum)| *sum).max()?;
    let (bin, sum) = pairs
        .iter()
        .filter(|(_, sum)| sum * 10 >= top * 6)
        .min_by_key(|(bin, sum)| ((bin + 1).abs() / 2, std::cmp::Reverse(*sum), *bin))
        .copied()?;
    let (bin, sum) = best_beside(&pairs, bin, sum);
    let runner_up = pairs.iter().filter(|(other, _)| (other - bin).abs() > 2).map(|(_, sum)| *sum).max().unwrap_or(0);

    let mut differences: Vec<i64> = Vec::new();
    let mut connections: BTreeSet<(usize, u64)> = BTreeSet::new();
    let mut explained = 0;
    each(index, &groups, |ex, stands_for, of_one| {
        if let Some(difference) = of_one.iter().find(|d| (bin..bin + 2).contains(&d.div_euclid(SECOND))) {
            differences.push(*difference);
            connections.insert((ex.place.0, ex.place.1));
            explained += stands_for;
        }
    });
    differences.sort_unstable();
    let at = |part: usize| differences.get(differences.len().saturating_sub(1) * part / 100).copied();
    let ahead = at(50)? + SECOND / 2;
    let spread = (at(95)? - at(5)?) / 2;
    let clear = runner_up * 10 <= sum * 6;
    // HTTPERR has errors only, so nothing is missing from it.
    let whole = !lines.iter().any(|line| matches!(line.what, What::W3c { .. }))
        || explained * EXPLAINED >= expected(index, covers, ahead);
    let sure = ahead.abs() <= NO_DIFFERENCE
        || ahead.abs() <= USUAL && differences.len() >= ENOUGH
        || connections.len() >= ENOUGH && clear && whole;
    let requests = differences.len() as u64;
    Some(Offset { ahead, spread, requests, sure, zone: zone(ahead), of_others: false })
}

/// Exchanges that the log covers when its clock is so far ahead.
fn expected(index: &Index, covers: Option<(Stamp, Stamp)>, ahead: i64) -> usize {
    let Some((first, last)) = covers else { return 0 };
    let covered = first.0.saturating_sub(ahead)..=last.0.saturating_sub(ahead);
    index.exchanges.iter().filter(|ex| covered.contains(&ex.end.0)).count()
}

/// The choice nearest to zero may be the slope of a peak beside it.
fn best_beside(pairs: &[(i64, u64)], bin: i64, sum: u64) -> (i64, u64) {
    let near = pairs.iter().filter(|(other, _)| (other - bin).abs() <= 2).copied();
    near.fold((bin, sum), |best, other| if other.1 > best.1 { other } else { best })
}

/// Whole quarters of an hour, of a clock that is farther off than clocks drift.
fn zone(ahead: i64) -> Option<i64> {
    const QUARTER: i64 = 15 * 60 * SECOND;
    if ahead.abs() <= NEAR {
        return None;
    }
    let quarters = (ahead + QUARTER / 2).div_euclid(QUARTER);
    ((ahead - quarters * QUARTER).abs() <= 5 * 60 * SECOND).then_some(quarters * 15)
}

/// Exchanges and lines that can belong to each other.
struct Group<'a> {
    exchanges: Vec<usize>,
    /// One of so many exchanges is in it.
    step: usize,
    lines: Vec<&'a Line>,
}

fn groups<'a>(index: &Index, lines: &[&'a Line]) -> Vec<Group<'a>> {
    let mut by_key: BTreeMap<(Mask, Key), Vec<&Line>> = BTreeMap::new();
    let mut by_port: BTreeMap<(usize, u16), Vec<&Line>> = BTreeMap::new();
    for line in lines {
        match &line.what {
            What::W3c { mask, key, .. } => by_key.entry((*mask, *key)).or_default().push(line),
            What::HttpErr { from, status: Some(status), .. } => {
                for conn in index.of_port(*from) {
                    by_port.entry((*conn, *status)).or_default().push(line);
                }
            }
            What::HttpErr { .. } => {}
        }
    }
    let mut groups: Vec<Group<'_>> = Vec::new();
    for ((mask, key), lines) in by_key {
        groups.push(Group { exchanges: index.with_key(mask, key).to_vec(), step: 1, lines });
    }
    for ((conn, status), lines) in by_port {
        let Some(conn) = index.connections.get(conn) else { continue };
        let has_status = |place: &usize| index.exchanges.get(*place).is_some_and(|ex| ex.parts.status == status);
        groups.push(Group { exchanges: index.on(conn).filter(has_status).collect(), step: 1, lines });
    }
    for group in &mut groups {
        group.lines.sort_by_key(|line| (line.at, line.file, line.number));
        group.step = group.exchanges.len().div_ceil(MAX_OF_KEY).max(1);
        group.exchanges = group.exchanges.iter().copied().step_by(group.step).collect();
    }
    // The rarest say most.
    groups.sort_by_key(|group| group.exchanges.len() * group.lines.len());
    groups
}

/// The differences of each exchange to its lines, in order; exchanges without any are left out.
fn each(index: &Index, groups: &[Group<'_>], mut tell: impl FnMut(&Ex, usize, &[i64])) {
    let mut left = MAX_COMPARISONS;
    let mut differences = Vec::new();
    for group in groups {
        for ex in group.exchanges.iter().filter_map(|place| index.exchanges.get(*place)) {
            let middle = group.lines.partition_point(|line| line.at < ex.end);
            let from = middle.saturating_sub(MAX_OF_EXCHANGE / 2);
            let near = group.lines.iter().skip(from).take(MAX_OF_EXCHANGE);
            differences.clear();
            for line in near {
                let possible = match &line.what {
                    What::W3c { code, .. } => ex.fits(*code),
                    What::HttpErr { .. } => true,
                };
                let difference = line.at.0 - ex.end.0;
                if possible && difference.abs() <= FAR && line.is_between(ex.local, ex.upstream, index) {
                    differences.push(difference);
                }
                left = left.saturating_sub(1);
            }
            if !differences.is_empty() {
                tell(ex, group.step, &differences);
            }
            if left == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log in local time that is taken for a clock that is off sends somebody to mend a clock that is right.
    #[test]
    fn whole_hours_are_a_time_zone_and_minutes_are_not() {
        let minute = 60 * SECOND;
        assert_eq!(zone(60 * minute - 37 * SECOND), Some(60));
        assert_eq!(zone(-300 * minute), Some(-300));
        assert_eq!(zone(345 * minute), Some(345));
        assert_eq!(zone(14 * minute), None);
        assert_eq!(zone(67 * minute), None);
    }
}
