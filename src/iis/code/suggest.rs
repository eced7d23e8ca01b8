//! What may have been meant.

use super::lookup::bare;
use super::{Row, all};

/// No suggestion helps somebody who sees twenty.
const MOST: usize = 5;
/// Longer than any key; what is longer is not a slip of the finger.
const LONGEST: usize = 64;

/// Keys and names close to a query, the closest first.
///
/// Close is: a few letters missing, added, changed or swapped; letters taken for digits (`401.l`); the beginning of a name.
pub fn suggest(query: &str) -> Vec<String> {
    let asked: Vec<char> = fold(query.trim());
    if asked.is_empty() || asked.len() > LONGEST {
        return Vec::new();
    }
    let allowed = asked.len().div_ceil(5).min(4);
    let mut close: Vec<(usize, String)> = Vec::new();
    let mut consider = |word: String| {
        let folded = fold(&word);
        let short = fold(bare(&word));
        let distance = if folded == asked {
            0
        } else if folded.starts_with(&asked) || short.starts_with(&asked) {
            if asked.len() < 3 {
                return;
            }
            1
        } else {
            distance(&asked, &folded).min(distance(&asked, &short))
        };
        // What looks alike folds to the same: distance 0, though it is not the same.
        if distance <= allowed && !close.iter().any(|(_, known)| *known == word) {
            close.push((distance, word));
        }
    };
    for row in all() {
        match row {
            // A triple is found by its parts.
            Row::Triple(_) => continue,
            // Small numbers are all alike.
            Row::Kerberos(_) => {}
            Row::Win32(r) if r.code < 1000 => {}
            _ => consider(row.key()),
        }
        row.names().for_each(|name| consider(name.to_owned()));
    }
    // Stable: rows of one distance stay in the order of the lists.
    close.sort_by_key(|(distance, _)| *distance);
    close.into_iter().take(MOST).map(|(_, word)| word).collect()
}

/// Upper case; what looks alike becomes alike.
fn fold(word: &str) -> Vec<char> {
    let numeric = word.bytes().filter(u8::is_ascii_digit).count().saturating_mul(2) >= word.len();
    word.chars()
        .map(|c| match c.to_ascii_uppercase() {
            // Lower-case L, upper-case I and the letter O, in what else is a number.
            'L' | 'I' if numeric => '1',
            'O' if numeric => '0',
            ' ' | '-' => '_',
            upper => upper,
        })
        .collect()
}

/// Edits from one to the other, a swap of neighbours being one (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    if a.len().abs_diff(b.len()) > 4 {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut last_a: Option<char> = None;
    for (row, &ca) in (1_usize..).zip(a) {
        let mut here = Vec::with_capacity(above.len());
        here.push(row);
        let mut last_b: Option<char> = None;
        for (column, &cb) in b.iter().enumerate() {
            let at = |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX);
            let mut best = at(&above, column).saturating_add(usize::from(ca != cb));
            best = best.min(at(&above, column.saturating_add(1)).saturating_add(1));
            best = best.min(at(&here, column).saturating_add(1));
            if let (Some(pa), Some(pb)) = (last_a, last_b)
                && pa == cb
                && pb == ca
                && let Some(two_back) = column.checked_sub(1)
            {
                best = best.min(at(&before, two_back).saturating_add(1));
            }
            here.push(best);
            last_b = Some(cb);
        }
        before = std::mem::replace(&mut above, here);
        last_a = Some(ca);
    }
    above.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wrong distance offers the wrong word first.
    #[test]
    fn distances() {
        let d = |a: &str, b: &str| distance(&fold(a), &fold(b));
        assert_eq!(d("DENIDE", "DENIED"), 1);
        assert_eq!(d("", "ab"), 2);
        assert_eq!(d("abc", "abc"), 0);
        assert_eq!(d("kitten", "sitting"), 3);
        assert_eq!(d("a", "abcdefgh"), usize::MAX);
    }
}
