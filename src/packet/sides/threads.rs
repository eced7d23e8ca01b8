//! Which exchange on one side is which on the next: a thread holds one exchange, as each side saw it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::marks::{Lie, Place, Sighting, compatible};
use super::topology::Plan;
use crate::model::ConnectionId;

/// So many exchanges are remembered for pairs that may still come.
pub(super) const MOST: usize = 32_768;
/// So many threads are looked at that begin alike.
const MOST_ALIKE: usize = 32;
/// So many connections' partners are remembered.
const MOST_PARTNERS: usize = 65_536;

/// One exchange on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) side: usize,
    pub(super) seen: Sighting,
}

/// One exchange on all sides that it was seen on.
#[derive(Debug, Default)]
pub(super) struct Thread {
    /// At most one a side, the outermost first.
    pub(super) members: Vec<Member>,
    /// No message of its own ties it: it is known by its target and its times.
    pub(super) by_likeness: bool,
}

/// What an exchange showed that the sides, as they were settled, cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Contradiction(pub(super) u32, pub(super) u32);

/// All threads.
#[derive(Debug, Default)]
pub(super) struct Threads {
    living: BTreeMap<u64, Thread>,
    by_place: HashMap<Place, u64>,
    by_mark: HashMap<u64, VecDeque<u64>>,
    by_line: HashMap<u64, VecDeque<u64>>,
    /// The latest connection that one was paired with, by side.
    partners: HashMap<(ConnectionId, usize), ConnectionId>,
    /// Threads of places that findings rest on; they are no longer looked for.
    kept: BTreeMap<u64, Thread>,
    next: u64,
    /// Exchanges that have a pair further in, by side.
    pub(super) paired: Vec<u64>,
    /// Some were forgotten that had a pair.
    pub(super) forgotten: bool,
}

impl Threads {
    /// What is remembered, in entries.
    pub(super) fn len(&self) -> usize {
        self.by_place.len() + self.partners.len()
    }

    /// The thread of an exchange.
    pub(super) fn of(&self, place: Place) -> Option<(u64, &Thread)> {
        let id = self.by_place.get(&place)?;
        Some((*id, self.living.get(id).or_else(|| self.kept.get(id))?))
    }

    /// Connections that have an exchange in common, both ways.
    pub(super) fn connected(&self) -> HashSet<(ConnectionId, ConnectionId)> {
        let all = self.living.values().chain(self.kept.values());
        let pairs = all.flat_map(|thread| {
            let of = |m: &Member| m.seen.place.0;
            thread.members.iter().flat_map(move |a| thread.members.iter().map(move |b| (of(a), of(b))))
        });
        pairs.filter(|(a, b)| a != b).collect()
    }

    /// Takes in an exchange. `wanted` are places that findings rest on.
    pub(super) fn saw(&mut self, member: Member, plan: &Plan, wanted: &HashSet<Place>) -> Option<Contradiction> {
        let mut contradiction = None;
        let mine = self.by_message(&member, plan, &mut contradiction).map(|id| (id, false));
        match mine.or_else(|| Some((self.by_likeness(&member, plan)?, true))) {
            Some((id, by_likeness)) => self.join(id, member, by_likeness),
            None => self.begin(member, wanted),
        }
        contradiction
    }

    /// The thread that one of its own messages belongs to.
    fn by_message(&self, new: &Member, plan: &Plan, contradiction: &mut Option<Contradiction>) -> Option<u64> {
        let mut second = None;
        for (mark, answer) in [(new.seen.marks.response, true), (new.seen.marks.request, false)] {
            let alike = mark.and_then(|mark| self.by_mark.get(&mark)).into_iter().flatten();
            for id in alike.rev().take(MOST_ALIKE) {
                let Some(thread) = self.living.get(id) else { continue };
                if let Some(same) = thread.members.iter().find(|m| m.side == new.side) {
                    let both = Contradiction(same.seen.endpoint, new.seen.endpoint);
                    let nested = matches!(same.seen.lies(&new.seen, 0), Lie::Inside | Lie::Outside);
                    if both.0 != both.1 && (answer || nested) {
                        contradiction.get_or_insert(both);
                    }
                    continue;
                }
                let Some(other) = nearest(thread, new.side) else { continue };
                let (outer, inner) = in_order(other, new);
                let hop = plan.hops.get(&(outer.seen.endpoint, inner.seen.endpoint));
                let (shift, apart) = hop.map_or((0, false), |hop| (hop.shift, hop.apart));
                match outer.seen.lies(&inner.seen, shift) {
                    Lie::Inside | Lie::Same | Lie::Overlap => return Some(*id),
                    // An answer that is a server's own was handed on, whatever the clocks say; and clocks that are known
                    // to differ tell nothing.
                    _ if answer || apart => {
                        second.get_or_insert(*id);
                    }
                    // Where the hop is known, its clock is not quite the other's.
                    Lie::Outside if hop.is_some() => return Some(*id),
                    Lie::Outside => {
                        contradiction.get_or_insert(Contradiction(outer.seen.endpoint, inner.seen.endpoint));
                    }
                    Lie::Apart => {}
                }
            }
        }
        second
    }

    /// The one thread whose exchange may be this one, by target, answer and times.
    fn by_likeness(&self, new: &Member, plan: &Plan) -> Option<u64> {
        let alike = self.by_line.get(&new.seen.marks.line)?;
        let fits = |id: &&u64| {
            let Some(other) = self.living.get(id).and_then(|t| nearest(t, new.side)) else { return false };
            let (outer, inner) = in_order(other, new);
            let Some(hop) = plan.hops.get(&(outer.seen.endpoint, inner.seen.endpoint)) else { return false };
            let within = matches!(outer.seen.lies(&inner.seen, hop.shift), Lie::Inside | Lie::Same);
            within && compatible(&outer.seen.marks, &inner.seen.marks)
        };
        let mut found = alike.iter().rev().take(MOST_ALIKE).filter(fits);
        let (first, second) = (found.next()?, found.next());
        if second.is_none() {
            return Some(*first);
        }
        // Several may be it: it is the one on the connection that its own is paired with, or nobody can tell.
        let partner = |id: &&u64| {
            let thread = self.living.get(id);
            thread.is_some_and(|t| {
                t.members.iter().any(|m| {
                    self.partners.get(&(m.seen.place.0, new.side)) == Some(&new.seen.place.0)
                        || self.partners.get(&(new.seen.place.0, m.side)) == Some(&m.seen.place.0)
                })
            })
        };
        let mut partners = alike.iter().rev().take(MOST_ALIKE).filter(fits).filter(partner);
        // Of several on that connection the latest: an earlier one had its time.
        partners.next().copied()
    }

    fn join(&mut self, id: u64, member: Member, by_likeness: bool) {
        let Some(thread) = self.living.get_mut(&id) else { return };
        let whole = thread.members.len();
        let at = thread.members.partition_point(|m| m.side < member.side);
        thread.members.insert(at, member);
        thread.by_likeness |= by_likeness;
        if self.partners.len() + 2 * whole > MOST_PARTNERS {
            self.partners.clear();
        }
        let here = member.seen.place.0;
        for other in thread.members.iter().filter(|m| m.side != member.side) {
            self.partners.insert((here, other.side), other.seen.place.0);
            self.partners.insert((other.seen.place.0, member.side), here);
        }
        // One more side, one more pair: that of the outer of the two.
        let outer = if at == 0 { member.side } else { thread.members.get(at - 1).map_or(0, |m| m.side) };
        if self.paired.len() <= outer {
            self.paired.resize(outer + 1, 0);
        }
        if let Some(paired) = self.paired.get_mut(outer) {
            *paired += 1;
        }
        self.by_place.insert(member.seen.place, id);
        self.index(id, &member);
    }

    fn begin(&mut self, member: Member, wanted: &HashSet<Place>) {
        let id = self.next;
        self.next += 1;
        self.by_place.insert(member.seen.place, id);
        self.living.insert(id, Thread { members: vec![member], by_likeness: false });
        self.index(id, &member);
        while self.living.len() > MOST {
            self.forget_oldest(wanted);
        }
    }

    fn index(&mut self, id: u64, member: &Member) {
        let marks = &member.seen.marks;
        for mark in [marks.request, marks.response].into_iter().flatten() {
            push(self.by_mark.entry(mark).or_default(), id);
        }
        push(self.by_line.entry(marks.line).or_default(), id);
    }

    fn forget_oldest(&mut self, wanted: &HashSet<Place>) {
        let Some((id, thread)) = self.living.pop_first() else { return };
        for member in &thread.members {
            let marks = &member.seen.marks;
            for mark in [marks.request, marks.response].into_iter().flatten() {
                take_out(&mut self.by_mark, mark, id);
            }
            take_out(&mut self.by_line, marks.line, id);
        }
        if thread.members.len() > 1 {
            if thread.members.iter().any(|m| wanted.contains(&m.seen.place)) {
                self.kept.insert(id, thread);
                return;
            }
            self.forgotten = true;
        }
        for member in &thread.members {
            self.by_place.remove(&member.seen.place);
        }
    }
}

fn push(list: &mut VecDeque<u64>, id: u64) {
    if list.back() != Some(&id) {
        list.push_back(id);
    }
}

/// Forgets a thread that is the oldest. One that was joined late may stand behind younger ones: it goes with them.
fn take_out(map: &mut HashMap<u64, VecDeque<u64>>, key: u64, oldest: u64) {
    if let Some(list) = map.get_mut(&key) {
        while list.front().is_some_and(|id| *id <= oldest) {
            list.pop_front();
        }
        if list.is_empty() {
            map.remove(&key);
        }
    }
}

/// The exchange as the nearest other side saw it; `None` when this side has one already.
fn nearest(thread: &Thread, side: usize) -> Option<&Member> {
    if thread.members.iter().any(|m| m.side == side) {
        return None;
    }
    thread.members.iter().min_by_key(|m| m.side.abs_diff(side))
}

fn in_order<'a>(a: &'a Member, b: &'a Member) -> (&'a Member, &'a Member) {
    if a.side < b.side { (a, b) } else { (b, a) }
}
