//! Which pairs are sure, of exchanges and lines that can belong together in several ways.
//!
//! As many exchanges as can have a line get one: a maximum matching of a bipartite graph. A pair is sure when no other
//! matching of that size leaves it out. Edges of *some* maximum matching are those on an alternating cycle, or on an
//! alternating path of even length that begins at a node without a partner (Berge's theorem).

/// What came of one exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// The line that it got.
    pub(super) line: usize,
    /// Lines that it could have had just as well, that one first.
    pub(super) possible: Vec<usize>,
    /// It could also have got none, another exchange having its line.
    pub(super) or_none: bool,
}

/// Pairs the exchanges of one group: `edges` has the lines that each can have, the likeliest first, as numbers below
/// `lines`. Earlier exchanges get earlier lines where that is possible.
pub(super) fn pair(edges: &[Vec<usize>], lines: usize) -> Vec<Option<Choice>> {
    let mut graph = Graph { edges, of_line: vec![None; lines], of_exchange: vec![None; edges.len()] };
    for exchange in 0..edges.len() {
        let mut tried = vec![false; lines];
        graph.augment(exchange, &mut tried);
    }
    graph.choices()
}

struct Graph<'e> {
    edges: &'e [Vec<usize>],
    of_line: Vec<Option<usize>>,
    of_exchange: Vec<Option<usize>>,
}

impl Graph<'_> {
    /// Finds a line for an exchange, moving others where needed (Kuhn's algorithm, without recursion).
    fn augment(&mut self, exchange: usize, tried: &mut [bool]) -> bool {
        // Exchanges on the way, with the place of the edge that is tried next.
        let mut way = vec![(exchange, 0_usize)];
        while let Some((at, next)) = way.last_mut() {
            let Some(line) = self.edges[*at].get(*next).copied() else {
                way.pop();
                continue;
            };
            *next += 1;
            if std::mem::replace(&mut tried[line], true) {
                continue;
            }
            if let Some(holder) = self.of_line[line] {
                way.push((holder, 0));
                continue;
            }
            for (exchange, next) in &way {
                let line = self.edges[*exchange][*next - 1];
                self.of_exchange[*exchange] = Some(line);
                self.of_line[line] = Some(*exchange);
            }
            return true;
        }
        false
    }

    /// Nodes: exchanges first, then lines. Arrows: an edge that is not taken leads from its exchange to its line, one
    /// that is taken back.
    fn choices(&self) -> Vec<Option<Choice>> {
        let exchanges = self.edges.len();
        let nodes = exchanges + self.of_line.len();
        let mut forward = vec![Vec::new(); nodes];
        let mut backward = vec![Vec::new(); nodes];
        for (exchange, lines) in self.edges.iter().enumerate() {
            for line in lines {
                let taken = self.of_exchange[exchange] == Some(*line);
                let (from, to) = if taken { (exchanges + line, exchange) } else { (exchange, exchanges + line) };
                forward[from].push(to);
                backward[to].push(from);
            }
        }
        let free_exchanges = (0..exchanges).filter(|e| self.of_exchange[*e].is_none());
        let free_lines = (0..self.of_line.len()).filter(|l| self.of_line[*l].is_none()).map(|l| exchanges + l);
        let from_free_exchange = reached(&forward, free_exchanges);
        let to_free_line = reached(&backward, free_lines);
        let circle = circles(&forward, &backward);
        (0..exchanges)
            .map(|exchange| {
                let line = self.of_exchange[exchange]?;
                let mut possible = vec![line];
                for other in self.edges[exchange].iter().copied().filter(|other| *other != line) {
                    let node = exchanges + other;
                    if circle[node] == circle[exchange] || to_free_line[node] || from_free_exchange[exchange] {
                        possible.push(other);
                    }
                }
                Some(Choice { line, possible, or_none: from_free_exchange[exchange] })
            })
            .collect()
    }
}

fn reached(arrows: &[Vec<usize>], from: impl Iterator<Item = usize>) -> Vec<bool> {
    let mut seen = vec![false; arrows.len()];
    let mut open: Vec<usize> = from.collect();
    for node in &open {
        seen[*node] = true;
    }
    while let Some(node) = open.pop() {
        for next in &arrows[node] {
            if !std::mem::replace(&mut seen[*next], true) {
                open.push(*next);
            }
        }
    }
    seen
}

/// The strongly connected component of each node (Kosaraju's algorithm).
fn circles(forward: &[Vec<usize>], backward: &[Vec<usize>]) -> Vec<usize> {
    let mut order = Vec::with_capacity(forward.len());
    let mut seen = vec![false; forward.len()];
    for start in 0..forward.len() {
        if std::mem::replace(&mut seen[start], true) {
            continue;
        }
        let mut way = vec![(start, 0_usize)];
        while let Some((node, next)) = way.last_mut() {
            if let Some(to) = forward[*node].get(*next) {
                *next += 1;
                if !std::mem::replace(&mut seen[*to], true) {
                    way.push((*to, 0));
                }
            } else {
                order.push(*node);
                way.pop();
            }
        }
    }
    let mut circle = vec![usize::MAX; forward.len()];
    for start in order.into_iter().rev() {
        let mut open = vec![start];
        while let Some(node) = open.pop() {
            if circle[node] == usize::MAX {
                circle[node] = start;
                open.extend(backward[node].iter().filter(|from| circle[**from] == usize::MAX));
            }
        }
    }
    circle
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All matchings of the greatest size, by trying everything.
    fn all(edges: &[Vec<usize>]) -> Vec<Vec<Option<usize>>> {
        let mut found = vec![Vec::new()];
        for lines in edges {
            found = found
                .into_iter()
                .flat_map(|so_far: Vec<Option<usize>>| {
                    let free = lines.iter().filter(|l| !so_far.contains(&Some(**l))).map(|l| Some(*l));
                    let next: Vec<Option<usize>> = free.chain([None]).collect();
                    next.into_iter().map(move |one| [so_far.clone(), vec![one]].concat())
                })
                .collect();
        }
        let size = |m: &Vec<Option<usize>>| m.iter().flatten().count();
        let most = found.iter().map(size).max().expect("the empty one");
        found.into_iter().filter(|m| size(m) == most).collect()
    }

    proptest! {
        /// A pair that is called sure and is not would lift a finding by somebody else's line.
        #[test]
        fn what_is_sure_is_so_in_every_matching(
            edges in proptest::collection::vec(proptest::collection::btree_set(0_usize..5, 0..5), 0..5),
        ) {
            let edges: Vec<Vec<usize>> = edges.into_iter().map(|lines| lines.into_iter().collect()).collect();
            let choices = pair(&edges, 5);
            let matchings = all(&edges);
            for (exchange, choice) in choices.iter().enumerate() {
                let mut really: Vec<Option<usize>> = matchings.iter().map(|m| m[exchange]).collect();
                really.sort_unstable();
                really.dedup();
                let mut told: Vec<Option<usize>> = match choice {
                    Some(choice) => choice.possible.iter().map(|l| Some(*l)).collect(),
                    None => Vec::new(),
                };
                told.extend(choice.as_ref().is_none_or(|c| c.or_none).then_some(None));
                told.sort_unstable();
                if choice.is_some() {
                    prop_assert_eq!(really, told, "{}: {:?}", exchange, edges);
                } else {
                    prop_assert!(really.contains(&None));
                }
            }
        }
    }

    /// The three 401s of two clients at once look alike but for what was logged: the refusal must find its own line.
    #[test]
    fn a_refusal_among_twins_gets_the_only_line_that_the_others_cannot_have() {
        // Two anonymous requests (lines 0, 1), two challenges (2, 3), and a refusal that any of 2, 3, 4 would fit.
        let edges = [vec![0, 1], vec![0, 1], vec![2, 3], vec![2, 3], vec![2, 3, 4]];
        let choices = pair(&edges, 5);
        assert_eq!(choices[4], Some(Choice { line: 4, possible: vec![4], or_none: false }));
        assert_eq!(choices[0].as_ref().map(|c| c.possible.len()), Some(2));
    }
}
