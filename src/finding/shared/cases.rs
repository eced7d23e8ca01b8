//! How often something was seen, and when to say so again.

/// Cases of one subject. The first is told, then the tenth, the twentieth, the fortieth …
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::finding) struct Cases {
    count: u64,
    next: u64,
}

impl Cases {
    /// From the second time on.
    const AGAIN: u64 = 10;

    /// So many more; how many there are by now, when it is time to tell.
    pub(in crate::finding) fn more(&mut self, more: u64) -> Option<u64> {
        self.count = self.count.saturating_add(more);
        if self.count < self.next.max(1) {
            return None;
        }
        self.next = self.count.saturating_mul(2).max(Self::AGAIN);
        Some(self.count)
    }

    /// One more; how many there are by now, when it is time to tell, and never before there are `first`.
    pub(in crate::finding) fn after(&mut self, first: u64) -> Option<u64> {
        self.next = self.next.max(first);
        self.more(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten thousand lines of one defect hide the others; one line does not say that it goes on.
    #[test]
    fn the_first_is_told_and_then_doublings() {
        let mut cases = Cases::default();
        let told: Vec<u64> = (0..100).filter_map(|_| cases.more(1)).collect();
        assert_eq!(told, [1, 10, 20, 40, 80]);
        let mut cases = Cases::default();
        let told: Vec<u64> = (0..30).filter_map(|_| cases.after(3)).collect();
        assert_eq!(told, [3, 10, 20]);
    }
}
