//! Spare buffers.

/// Most spare buffers kept.
const SPARE: usize = 64;
/// Largest buffer kept; one head with a fat Kerberos ticket must not pin its size for ever.
const CAPACITY: usize = 16 * 1024;
/// Capacity of a new buffer: most heads fit.
pub(super) const INITIAL: usize = 1024;

/// Spare buffers, shared by the connections of one thread: an idle connection holds none.
#[derive(Debug, Default)]
pub struct Pool {
    spare: Vec<Vec<u8>>,
    created: u64,
}

impl Pool {
    /// An empty buffer.
    pub(in crate::wire) fn take(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_else(|| {
            self.created = self.created.saturating_add(1);
            Vec::with_capacity(INITIAL)
        })
    }

    /// Takes a buffer back. Large ones, and those that nobody waits for, are dropped.
    pub(in crate::wire) fn give(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity == 0 || capacity > CAPACITY || self.spare.len() >= SPARE {
            return;
        }
        buffer.clear();
        self.spare.push(buffer);
    }

    /// Buffers ever created: constant while traffic is boring.
    pub const fn created(&self) -> u64 {
        self.created
    }

    /// Buffers at rest here.
    pub fn spare(&self) -> usize {
        self.spare.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without bounds here, one burst of big heads would cost memory until authtap is stopped.
    #[test]
    fn keeps_few_and_small() {
        let mut pool = Pool::default();
        pool.give(Vec::new());
        pool.give(Vec::with_capacity(CAPACITY + 1));
        assert_eq!(pool.spare(), 0);
        for _ in 0..SPARE + 10 {
            pool.give(vec![1; 10]);
        }
        assert_eq!(pool.spare(), SPARE);
        assert!(pool.take().is_empty());
        assert_eq!(pool.created(), 0);
    }
}
