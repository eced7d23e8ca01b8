//! The open connections of a site: how many there are, and how to reach them all when authtap stops.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// The open connections of one site.
#[derive(Debug, Default)]
pub(super) struct Open {
    count: AtomicUsize,
    stopping: AtomicBool,
    wakers: Mutex<Wakers>,
}

/// A waker for each connection whose task runs, and the free places among them.
#[derive(Debug, Default)]
struct Wakers {
    each: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Open {
    /// Connections that are open now.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// From now on a connection without an open exchange is to end; each is woken to look.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wakers().each.iter().flatten().for_each(Waker::wake_by_ref);
    }

    /// Whether authtap stops.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn wakers(&self) -> MutexGuard<'_, Wakers> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the open connections, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    open: Arc<Open>,
    waker: Option<usize>,
}

impl Place {
    /// Takes a place; also how many connections had one before.
    pub(super) fn take(open: &Arc<Open>) -> (Self, usize) {
        let before = open.count.fetch_add(1, Ordering::Relaxed);
        (Self { open: Arc::clone(open), waker: None }, before)
    }

    /// Leaves word how to wake the connection. A task's waker is the same all its life, so once is enough.
    pub(super) fn reach_by(&mut self, waker: &Waker) {
        if self.waker.is_none() {
            let mut wakers = self.open.wakers();
            let at = wakers.free.pop().unwrap_or(wakers.each.len());
            if at == wakers.each.len() {
                wakers.each.push(None);
            }
            wakers.each[at] = Some(waker.clone());
            self.waker = Some(at);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.count.fetch_sub(1, Ordering::Relaxed);
        if let Some(at) = self.waker {
            let mut wakers = self.open.wakers();
            let waker = wakers.each[at].take();
            wakers.free.push(at);
            drop(wakers);
            // It may be the last reference to the task, whose memory is not to be freed under the lock.
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list that kept the places of connections that are over would grow until authtap is stopped.
    #[test]
    fn places_are_used_again() {
        let open = Arc::new(Open::default());
        for _ in 0..10 {
            let (mut one, before) = Place::take(&open);
            let (mut two, _) = Place::take(&open);
            assert_eq!(before, 0);
            one.reach_by(Waker::noop());
            one.reach_by(Waker::noop());
            two.reach_by(Waker::noop());
        }
        assert_eq!(open.count(), 0);
        assert_eq!(open.wakers().each.len(), 2);
    }
}
